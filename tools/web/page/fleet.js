// SPDX-License-Identifier: MIT
// The fleet page. It asks /fleet once a second for the nodes that have changed. Only nodes on the
// screen have elements, and only what differs is written to them. Names are text from outside.
'use strict';

const POLL_MS = 1000;
const THUMBNAIL_MS = 2000; // between two pictures of one node
const AGAIN_MS = 5000; // after a picture that did not come
const SETTLE_MS = 150; // pictures wait until scrolling has ended
const SILENT_MS = 10000; // at least, and five times the usual distance
const UNTOLD_MS = 90000; // a relay tells of its node each half minute
const CARD = {width: 330, height: 164, gap: 10};
const MARGIN = 2; // rows beyond the screen
const element = (id) => document.getElementById(id);

const nodes = new Map(); // token -> what the gateway said last
const cards = new Map(); // token -> its card, of those on the screen
const spare = []; // cards of nobody
let order = []; // tokens that are shown, by name
let run = '';
let version = 0;
let clock = {server: 0, own: 0}; // the gateway's time, and when it said so
let settleTimer = 0;

// --- formatting ------------------------------------------------------------------------------

const number = (value, digits = 0) =>
  value.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits})
    .replaceAll(',', '\u202f');

const serverNow = () => clock.server + performance.now() - clock.own;

function ageText(seconds) {
  if (seconds < 90) {
    return `${number(Math.floor(seconds))} s ago`;
  }
  return seconds < 5400 ? `${number(seconds / 60)} min ago` : `${number(seconds / 3600)} h ago`;
}

function sinceText(ms) {
  const date = new Date(ms);
  const time = date.toLocaleTimeString('en-GB');
  return serverNow() - ms < 43200000 ? time : `${date.toLocaleDateString('en-CA')} ${time}`;
}

const isSilent = (node) => serverNow() - node.seen_ms >
  Math.max(SILENT_MS, node.frames_per_second > 0 ? 5000 / node.frames_per_second : 0);

function rateText(node) {
  const rate = node.frames_per_second;
  return rate === 0 || isSilent(node) ? '–' : number(rate, rate < 10 ? 2 : 1);
}

function gapText(node) {
  return node.gaps === 0 ? '' :
    `${number(node.lost)} lost in ${number(node.gaps)} ${node.gaps === 1 ? 'gap' : 'gaps'}, newest ` +
    (node.gap_first === node.gap_last ? number(node.gap_last)
      : `${number(node.gap_first)}–${number(node.gap_last)}`);
}

function spoolText(node) {
  return node.spool === 0 ? '' : `${number(node.spool)} still at the leaf`;
}

const isUntold = (node) => node.health === undefined || serverNow() - node.health.told_ms > UNTOLD_MS;

function healthText(node) {
  if (isUntold(node)) {
    return node.health === undefined ? '' : `its relay is silent since ${sinceText(node.health.told_ms)}`;
  }
  const {state, text, findings} = node.health;
  return state === 'ok' ? 'nothing is wrong' :
    `${state}: ${text}${findings > 1 ? ` (and ${number(findings - 1)} more)` : ''}`;
}

// --- a card ----------------------------------------------------------------------------------

const FIGURES = [
  ['Frames/s', rateText],
  ['Frames', (node) => number(node.frames)],
  ['Matched', (node) => number(node.triggers.matched)],
  ['Missed', (node) => number(node.triggers.missed)],
  ['Overrun', (node) => number(node.triggers.overrun)],
  ['Failed', (node) => number(node.triggers.failed)],
];

function make(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  parent.append(made);
  return made;
}

function put(target, text) {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

function buildCard() {
  const root = document.createElement('article');
  root.className = 'node';
  root.setAttribute('role', 'listitem');
  const stage = make('div', 'thumbnail', root);
  const image = make('img', '', stage);
  image.alt = '';
  const missing = make('span', 'muted', stage);
  const text = make('div', 'text', root);
  const name = make('a', 'name', make('h2', '', text));
  name.rel = 'noreferrer';
  const seen = make('p', 'seen', text);
  const list = make('dl', '', text);
  const figures = FIGURES.map(([label, describe]) => {
    const pair = make('div', '', list);
    make('dt', '', pair).textContent = label;
    return [make('dd', '', pair), describe];
  });
  const card = {root, image, missing, name, seen, figures, gap: make('p', 'gap', text),
    health: make('p', 'health', text)};
  image.addEventListener('load', () => endThumbnail(card, ''));
  image.addEventListener('error', () => endThumbnail(card, 'no picture'));
  return card;
}

function bind(card, token) {
  card.token = token;
  card.frame = card.wanted = card.notBefore = 0;
  card.isLoading = false;
  card.image.removeAttribute('src');
  card.image.hidden = true;
  put(card.missing, '');
}

function fill(card, node) {
  put(card.name, node.name);
  card.name.title = node.name;
  if (node.page !== undefined && node.page.startsWith('http://')) {
    card.name.href = node.page;
  } else {
    card.name.removeAttribute('href');
  }
  put(card.gap, [gapText(node), spoolText(node)].filter((each) => each !== '').join('; '));
  card.gap.title = card.gap.textContent;
  tick(card, node);
}

// What changes with the time alone.
function tick(card, node) {
  const silent = isSilent(node);
  card.root.classList.toggle('silent', silent);
  put(card.health, healthText(node));
  card.health.title = card.health.textContent;
  card.health.className = `health ${isUntold(node) ? 'untold' : node.health.state}`;
  put(card.seen, node.seen_ms === 0 ? 'no record yet' : silent ? `silent since ${sinceText(node.seen_ms)}`
    : ageText(Math.max(0, serverNow() - node.seen_ms) / 1000));
  for (const [target, describe] of card.figures) {
    put(target, describe(node));
  }
}

// --- thumbnails ------------------------------------------------------------------------------

function endThumbnail(card, missing) {
  if (!card.isLoading) {
    return;
  }
  card.isLoading = false;
  card.image.hidden = missing !== '';
  put(card.missing, missing);
  card.frame = missing === '' ? card.wanted : 0;
  card.notBefore = performance.now() + (missing === '' ? THUMBNAIL_MS : AGAIN_MS);
}

function loadThumbnails() {
  for (const [token, card] of cards) {
    const {frame} = nodes.get(token);
    if (frame === 0) {
      put(card.missing, 'no frame yet');
    } else if (frame !== card.frame && !card.isLoading && performance.now() >= card.notBefore) {
      card.isLoading = true;
      card.wanted = frame;
      card.image.src = `fleet/thumbnail?node=${encodeURIComponent(token)}&frame=${frame}`;
    }
  }
}

// --- the list --------------------------------------------------------------------------------

function release(card) {
  cards.delete(card.token);
  card.root.remove();
  spare.push(card);
}

function place(card, index, columns, width) {
  const x = (index % columns) * (width + CARD.gap);
  const y = Math.floor(index / columns) * (CARD.height + CARD.gap);
  const style = `transform: translate(${x}px, ${y}px); width: ${width}px; height: ${CARD.height}px`;
  if (card.style !== style) {
    card.style = style;
    card.root.style.transform = `translate(${x}px, ${y}px)`;
    card.root.style.width = `${width}px`;
    card.root.style.height = `${CARD.height}px`;
  }
  card.root.setAttribute('aria-setsize', order.length);
  card.root.setAttribute('aria-posinset', index + 1);
}

// Gives cards to the nodes on the screen, and takes those of all others.
function render() {
  const list = element('list');
  const room = list.clientWidth;
  const columns = Math.max(1, Math.floor((room + CARD.gap) / (CARD.width + CARD.gap)));
  const width = Math.floor((room + CARD.gap) / columns) - CARD.gap;
  const pitch = CARD.height + CARD.gap;
  list.style.height = `${Math.ceil(order.length / columns) * pitch}px`;
  const above = Math.max(0, -list.getBoundingClientRect().top);
  const first = Math.max(0, Math.floor(above / pitch) - MARGIN) * columns;
  const last = (Math.ceil((above + innerHeight) / pitch) + MARGIN) * columns;
  const wanted = new Set(order.slice(first, last));
  for (const card of [...cards.values()].filter((each) => !wanted.has(each.token))) {
    release(card);
  }
  order.slice(first, last).forEach((token, i) => {
    let card = cards.get(token);
    if (card === undefined) {
      card = spare.pop() ?? buildCard();
      bind(card, token);
      cards.set(token, card);
      fill(card, nodes.get(token));
      list.append(card.root);
    }
    place(card, first + i, columns, width);
  });
  clearTimeout(settleTimer);
  settleTimer = setTimeout(loadThumbnails, SETTLE_MS);
}

const byName = new Intl.Collator('en', {numeric: true}).compare;

function sort() {
  const wanted = element('search').value.trim().toLowerCase();
  order = [...nodes.values()].filter((node) => node.name.toLowerCase().includes(wanted))
    .sort((a, b) => byName(a.name, b.name)).map((node) => node.node);
  render();
}

// --- the gateway -----------------------------------------------------------------------------

function show(badge, kind, notice) {
  put(element('badge'), badge);
  element('badge').className = `badge ${kind}`;
  put(element('notice'), notice);
  element('notice').hidden = notice === '';
}

function showStream(stream) {
  put(element('stream'), `${stream.name}, ${number(nodes.size)} ${nodes.size === 1 ? 'node' : 'nodes'}`);
  element('stream').title = stream.since_ms ? `Counted since ${sinceText(stream.since_ms)}` : '';
  if (stream.state === 'connecting') {
    show('connecting', '', '');
  } else if (stream.state === 'away') {
    show('server away', 'bad', `The server is away. ${stream.why}.`);
  } else if (stream.state === 'no stream') {
    show('no stream', 'bad', `${stream.why}. pinhole-relay makes it.`);
  } else if (nodes.size === 0) {
    show('no nodes yet', '', `Stream ${stream.name} has no records yet. pinhole-relay puts them there.`);
  } else {
    show('live', 'good', stream.has_more_nodes ? `Only the first ${number(nodes.size)} nodes are shown.` : '');
  }
}

function takeNodes(state) {
  let isOther = false;
  if (state.is_whole) {
    const there = new Set(state.nodes.map((node) => node.node));
    for (const token of [...nodes.keys()].filter((each) => !there.has(each))) {
      nodes.delete(token);
      isOther = true;
    }
  }
  for (const node of state.nodes) {
    isOther = isOther || !nodes.has(node.node);
    nodes.set(node.node, node);
    const card = cards.get(node.node);
    if (card !== undefined) {
      fill(card, node);
    }
  }
  if (isOther) {
    sort();
  }
}

async function update() {
  const response = await fetch(`fleet?run=${run}&since=${version}`, {signal: AbortSignal.timeout(8000)});
  if (response.status === 401) {
    location.assign('login');
    return;
  }
  const state = await response.json();
  if (!response.ok) {
    throw new Error(state.error);
  }
  ({run, version} = state);
  clock = {server: state.now_ms, own: performance.now()};
  takeNodes(state);
  showStream(state.stream);
  element('link-login').hidden = !state.gateway.has_users || state.gateway.user !== undefined;
  element('link-logout').hidden = state.gateway.user === undefined;
}

async function poll() {
  try {
    if (!document.hidden) {
      await update();
    }
  } catch (error) {
    show('no gateway', 'bad', `The gateway does not answer. ${error.message}.`);
  }
  for (const [token, card] of cards) {
    tick(card, nodes.get(token));
  }
  loadThumbnails();
  setTimeout(poll, POLL_MS);
}

async function logOut(event) {
  event.preventDefault();
  await fetch('logout', {method: 'POST', headers: {'X-Pinhole': '1'}});
  location.assign('login');
}

let isRendering = false;
function renderSoon() {
  if (!isRendering) {
    isRendering = true;
    requestAnimationFrame(() => {
      isRendering = false;
      render();
    });
  }
}

element('search').addEventListener('input', sort);
element('link-logout').addEventListener('click', logOut);
addEventListener('scroll', renderSoon, {passive: true});
addEventListener('resize', renderSoon);
poll();
