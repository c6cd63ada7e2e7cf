// SPDX-License-Identifier: MIT
// The login page: sends name and password, and goes to the live page when they are right.
'use strict';

const element = (id) => document.getElementById(id);

async function logIn() {
  const response = await fetch('login', {
    method: 'POST',
    headers: {'X-Pinhole': '1', 'Content-Type': 'application/json'},
    body: JSON.stringify({name: element('name').value, password: element('password').value}),
  });
  if (!response.ok) {
    throw new Error((await response.json()).error);
  }
  location.replace('./');
}

element('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  element('submit').disabled = true;
  element('error').textContent = '';
  try {
    await logIn();
  } catch (error) {
    element('error').textContent = error.message;
    element('submit').disabled = false;
  }
});
