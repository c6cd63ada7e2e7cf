#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web with users: who gets in, who may do what, and what attackers get."""

import base64
import json
import os
import pty
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from fake_node import FakeNode  # noqa: E402
from gateway import BUILD, Answer, Gateway  # noqa: E402

WEB = f"{BUILD}/pinhole-web"
VIEWER, OPERATOR = ("-u", "eve.view:see pictures"), ("-u", "olaf:turn knobs: all")
GETS = ("/", "/app.js", "/snapshot", "/snapshot?fresh=1", "/stream", "/state", "/metrics", "/healthz",
        "/?action=snapshot")
FEATURES = b"Gain\t1\tFloat\t\t0\t10\t0\trw\t\tgain\n"


def add_user(path: str, name: str, role: str, password: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([WEB, "--add-user", name, "--role", role, "--users", path], text=True,
                          input=password + "\n", capture_output=True, timeout=60, check=False)


def start(*options: str) -> tuple[int, str]:
    """Of a gateway that must refuse to start: exit status and sentence."""
    done = subprocess.run([WEB, "--node", "unix:/nonexistent", *options], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


class WithUsers(unittest.TestCase):
    """A node, and a file with a user of each role."""

    options: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.users = os.path.join(folder.name, "users")
        for name, role, password in (("eve.view", "view", "see pictures"),
                                     ("olaf", "control", "turn knobs: all"),
                                     ("long", "view", "y" * 128)):
            assert add_user(cls.users, name, role, password).returncode == 0
        cls.node = FakeNode(features=FEATURES, refusal=b"")
        cls.addClassCleanup(cls.node.__exit__)
        cls.gateway = Gateway(cls.node.address, "--users", cls.users, *cls.options)
        cls.addClassCleanup(cls.gateway.__exit__)
        cls.gateway.wait_ready(*VIEWER)

    def metric(self, name: str) -> int:
        text = self.gateway.get("/metrics", *VIEWER).body.decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


class Basic(WithUsers):
    def test_nothing_without_a_login(self) -> None:
        for path in GETS:
            for options in ((), ("-I",)):
                answer = self.gateway.get(path, *options)
                self.assertEqual(answer.status, 401, path)
                self.assertTrue(answer.headers["www-authenticate"].startswith("Basic realm="))
        for path in ("/features", "/trigger"):
            self.assertEqual(self.gateway.post(path, "Gain=2").status, 401)

    def test_view_sees_and_changes_nothing(self) -> None:
        for path in GETS:
            self.assertEqual(self.gateway.get(path, *VIEWER, "-I").status, 200, path)
        for path in ("/features", "/trigger"):
            answer = self.gateway.post(path, "Gain=2", *VIEWER)
            self.assertEqual(answer.status, 403)
            self.assertIn("eve.view may only view", answer.error())
        self.assertIn(b'"read_only":true', self.gateway.get("/state?brief=1", *VIEWER).body)

    def test_control_sets_and_triggers(self) -> None:
        self.assertEqual(self.gateway.post("/features", "Gain=2", *OPERATOR).status, 200)
        self.assertEqual(self.gateway.post("/trigger", "", *OPERATOR).status, 200)
        self.assertIn(b'"read_only":false', self.gateway.get("/state?brief=1", *OPERATOR).body)

    def test_a_password_does_not_do_for_what_a_foreign_page_lacks(self) -> None:
        self.assertEqual(self.gateway.post("/trigger", "", *OPERATOR, marked=False).status, 403)
        for header in ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Host: evil.example"):
            self.assertEqual(self.gateway.post("/trigger", "", *OPERATOR, "-H", header).status, 403, header)
        self.assertEqual(self.gateway.get("/snapshot", *VIEWER, "-H", "Host: evil.example").status, 403)

    def test_wrong_credentials(self) -> None:
        for wrong in ("eve.view:see picture", "eve.view:see picturess", "eve.view:", "nobody:see pictures",
                      "olaf:see pictures", ":", "eve.view:" + "x" * 128, "eve.view\n:see pictures"):
            self.assertEqual(self.gateway.get("/snapshot", "-u", wrong).status, 401, wrong)
        for header in ("Basic", "Basic ", "Basic ====", "Basic !!!!", "Basic " + "QUFB" * 2000, "Bearer abc",
                       "Basic " + "QQ==", "Basic ZXZlLnZpZXc6c2VlIHBpY3R1cmVzAA=="):
            self.assertEqual(self.gateway.get("/snapshot", "-H", f"Authorization: {header}").status, 401,
                             header)
        self.assertEqual(self.gateway.get("/snapshot", *VIEWER).status, 200)

    def test_who_asks_again_and_again_pays_once(self) -> None:
        self.gateway.get("/state", *OPERATOR)
        before = self.metric("pinhole_web_passwords_checked_total")
        for _ in range(20):
            self.assertEqual(self.gateway.get("/snapshot", *OPERATOR).status, 200)
        self.assertEqual(self.metric("pinhole_web_passwords_checked_total"), before)


class Cookies(WithUsers):
    def log_in(self, user: str, *options: str) -> Answer:
        name, password = user.split(":", 1)
        return self.gateway.post("/login", json.dumps({"name": name, "password": password}), *options)

    def cookie(self, *options: str) -> str:
        """A header with the cookie of one who has logged in."""
        answer = self.log_in("olaf:turn knobs: all", *options)
        self.assertEqual(answer.status, 200, answer.body)
        return "Cookie: " + answer.headers["set-cookie"].split(";")[0]

    def test_a_cookie_says_what_it_must(self) -> None:
        answer = self.log_in("olaf:turn knobs: all", "-H", f"Origin: {self.gateway.url}")
        self.assertRegex(answer.headers["set-cookie"], f"^pinhole_{self.gateway.port}=[0-9a-f]{{64}}; Path=/; "
                         "HttpOnly; SameSite=Strict; Max-Age=604800$")
        self.assertNotEqual(self.cookie(), self.cookie())
        proxied = self.log_in("olaf:turn knobs: all", "-H", "Origin: https://127.0.0.1", "-H", "Host: 127.0.0.1")
        self.assertTrue(proxied.headers["set-cookie"].endswith("; Secure"))

    def test_a_cookie_does_what_its_user_may_until_it_is_taken_back(self) -> None:
        cookie = self.cookie()
        other = self.cookie()
        for path in GETS:
            self.assertEqual(self.gateway.get(path, "-I", "-H", cookie).status, 200, path)
        self.assertEqual(self.gateway.post("/features", "Gain=2", "-H", cookie).status, 200)
        answer = self.log_in("eve.view:see pictures")
        view = "Cookie: " + answer.headers["set-cookie"].split(";")[0]
        self.assertEqual(self.gateway.post("/features", "Gain=2", "-H", view).status, 403)
        out = self.gateway.post("/logout", "", "-H", cookie)
        self.assertEqual(out.status, 200)
        self.assertIn("=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", out.headers["set-cookie"])
        self.assertEqual(self.gateway.get("/snapshot", "-H", cookie).status, 401)
        self.assertEqual(self.gateway.get("/snapshot", "-H", other).status, 200)

    def test_a_stolen_cookie_serves_no_other_site(self) -> None:
        cookie = self.cookie()
        for header in ("Origin: http://evil.example", "Origin: http://127.0.0.1:1", "Sec-Fetch-Site: cross-site",
                       "Host: evil.example"):
            answer = self.gateway.post("/trigger", "", "-H", cookie, "-H", header)
            self.assertIn(answer.status, (401, 403), header)
        self.assertEqual(self.gateway.post("/trigger", "", "-H", cookie, marked=False).status, 403)
        for site in ("cross-site", "same-site"):  # as a page at another port of this host is
            for path in ("/snapshot", "/stream", "/state"):
                answer = self.gateway.get(path, "-I", "-H", cookie, "-H", f"Sec-Fetch-Site: {site}")
                self.assertEqual(answer.status, 401)
        self.assertEqual(self.gateway.get("/state", "-H", cookie, "-H", "Host: evil.example").status, 403)

    def test_a_foreign_page_logs_nobody_in_or_out(self) -> None:
        cookie = self.cookie()
        for header in ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Host: evil.example"):
            self.assertEqual(self.log_in("olaf:turn knobs: all", "-H", header).status, 403)
            self.assertEqual(self.gateway.post("/logout", "", "-H", cookie, "-H", header).status, 403)
        self.assertEqual(self.gateway.post("/logout", "", "-H", cookie, marked=False).status, 403)
        self.assertEqual(self.gateway.get("/snapshot", "-H", cookie).status, 200)

    def test_cookies_that_are_none(self) -> None:
        name = f"pinhole_{self.gateway.port}"
        for value in ("", "0" * 64, "g" * 64, "a" * 63, "a" * 5000):
            self.assertEqual(self.gateway.get("/snapshot", "-H", f"Cookie: {name}={value}").status, 401)

    def test_bodies_that_are_no_login(self) -> None:
        for body in ("", "{}", "[]", '{"name":1,"password":2}', '{"name":"olaf"}', "name=olaf&password=x",
                     '{"name":"olaf","password":null}', "{" * 4000):
            self.assertEqual(self.gateway.post("/login", body).status, 400, body)
        for wrong in ("olaf:wrong", "nobody:turn knobs: all", ":", "olaf:" + "x" * 3000,
                      "long:" + "y" * 129):
            answer = self.log_in(wrong)
            self.assertEqual((answer.status, answer.error()), (401, "wrong name or password"))
            self.assertNotIn("set-cookie", answer.headers)

    def test_a_browser_gets_the_login_page_and_no_window_of_its_own(self) -> None:
        html = ("-H", "Accept: text/html,*/*", "-A", "Mozilla/5.0")
        for path in GETS:
            answer = self.gateway.get(path, *html)
            self.assertEqual((answer.status, answer.headers["location"]), (303, "login"), path)
        answer = self.gateway.get("/state", "-A", "Mozilla/5.0")
        self.assertEqual(answer.status, 401)
        self.assertNotIn("www-authenticate", answer.headers)
        for path, kind in (("/login", "text/html"), ("/login.js", "text/javascript"), ("/style.css", "text/css"),
                           ("/favicon.svg", "image/svg+xml")):
            answer = self.gateway.get(path, *html)
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.headers["content-type"].startswith(kind))

    def test_every_answer_has_the_headers_that_guard_it(self) -> None:
        for path, options in (*((path, VIEWER) for path in GETS), ("/login", ()), ("/nothing", ()), ("/state", ())):
            headers = self.gateway.get(path, "-I", *options).headers
            self.assertIn("frame-ancestors 'self'", headers["content-security-policy"], path)
            self.assertNotIn("unsafe", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["referrer-policy"], "no-referrer")
        for page in ("index.html", "login.html"):
            with open(f"tools/web/page/{page}", encoding="utf-8") as file:
                text = file.read()
            for inline in ("<style", "style=", "<script>", "onclick", "javascript:"):
                self.assertNotIn(inline, text)


class BruteForce(WithUsers):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        assert cls.gateway.get("/state", *OPERATOR).status == 200  # known from now on

    def test_who_tries_too_much_must_wait_and_others_need_not(self) -> None:
        told = self.gateway.post("/login", json.dumps({"name": "olaf", "password": "turn knobs: all"}))
        cookie = "Cookie: " + told.headers["set-cookie"].split(";")[0]
        checked, limited = "pinhole_web_passwords_checked_total", "pinhole_web_passwords_limited_total"
        before, tries, refused = self.metric(checked), 0, 0
        while refused < 20:
            self.assertLess(tries := tries + 1, 500)
            guess = f"guess number {tries}"
            if tries % 2:
                answer = self.gateway.get("/snapshot", "-u", f"olaf:{guess}")
            else:
                answer = self.gateway.post("/login", json.dumps({"name": "eve.view", "password": guess}))
            self.assertIn(answer.status, (401, 429))
            if answer.status == 429:
                refused += 1
                self.assertRegex(answer.headers["retry-after"], "^[1-6]$")
                self.assertIn("try again in", answer.error())
        self.assertEqual(self.metric(checked) - before, tries - refused)
        self.assertEqual(self.metric(limited), refused)
        # Those who are known are served on.
        self.assertEqual(self.gateway.get("/snapshot", *VIEWER).status, 200)
        self.assertEqual(self.gateway.get("/snapshot", "-H", cookie).status, 200)
        self.assertEqual(self.gateway.post("/trigger", "", *OPERATOR).status, 200)

    def test_many_checks_at_once_hold_up_no_pictures(self) -> None:
        header = "Authorization: Basic " + base64.b64encode(b"olaf:wrong").decode()
        crowd = [self.gateway.connect() for _ in range(30)]
        for link in crowd:
            link.sendall(f"GET /state HTTP/1.0\r\n{header}\r\n\r\n".encode())
        self.assertEqual(self.gateway.get("/snapshot", *VIEWER).status, 200)
        told = [link.recv(65536).split(b" ")[1] for link in crowd]
        self.assertLessEqual(set(told), {b"401", b"429"})
        self.assertIn(b"429", told)
        for link in crowd:
            link.close()


class AnonymousView(WithUsers):
    options = ("--anonymous", "view")

    def test_everybody_sees_and_users_control(self) -> None:
        self.assertEqual(self.gateway.get("/snapshot").status, 200)
        self.assertEqual(self.gateway.post("/features", "Gain=2").status, 401)
        self.assertEqual(self.gateway.post("/features", "Gain=2", *VIEWER).status, 403)
        self.assertEqual(self.gateway.post("/features", "Gain=2", *OPERATOR).status, 200)
        self.assertEqual(self.gateway.get("/snapshot", "-u", "olaf:wrong password").status, 401)


class Starting(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.users = os.path.join(folder.name, "sub", "users")

    def test_an_open_page_needs_a_decision(self) -> None:
        for listen in ("0.0.0.0:0", "[::]:0", ":0"):
            status, out = start("--listen", listen)
            self.assertEqual(status, 2, out)
            for way in ("--users", "--anonymous", "127.0.0.1"):
                self.assertIn(way, out)
        with FakeNode() as node, Gateway(node.address, "--listen", "0.0.0.0:0", "--anonymous", "view") as page:
            page.wait_ready()
            answer = page.post("/trigger")
            self.assertEqual(answer.status, 401)

    def test_loopback_asks_nothing(self) -> None:
        with FakeNode(refusal=b"") as node, Gateway(node.address) as page:
            page.wait_ready()
            self.assertEqual(page.post("/features", "Gain=2").status, 200)

    def test_add_user_writes_changes_and_keeps(self) -> None:
        self.assertEqual(add_user(self.users, "anna", "view", "first password").returncode, 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.users).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.users)).st_mode), 0o700)
        self.assertEqual(add_user(self.users, "bob", "control", "second password").returncode, 0)
        self.assertEqual(add_user(self.users, "anna", "control", "third password").returncode, 0)
        with open(self.users, encoding="ascii") as file:
            lines = [line.split(":") for line in file.read().splitlines()]
        self.assertEqual([line[:2] for line in lines], [["anna", "control"], ["bob", "control"]])
        self.assertTrue(all(line[2].startswith("$y$") for line in lines), lines)
        self.assertEqual(os.listdir(os.path.dirname(self.users)), ["users"])

    def test_a_terminal_asks_twice_and_shows_nothing(self) -> None:
        for again, status in (("good password", 0), ("other password", 2)):
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(WEB, [WEB, "--add-user", "anna", "--role", "view", "--users", self.users])
            shown = b""
            for question, answer in ((b"Password: ", "good password"), (b"Again: ", again)):
                while question not in shown:
                    shown += os.read(terminal, 1000)
                os.write(terminal, answer.encode() + b"\n")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status)
            try:
                while more := os.read(terminal, 1000):
                    shown += more
            except OSError:
                pass  # the terminal's end
            os.close(terminal)
            self.assertNotIn(b"password\r", shown.replace(b"Password", b""))
            self.assertEqual(b"passwords differ" in shown, status == 2)
        with open(self.users, encoding="ascii") as file:
            self.assertTrue(file.read().startswith("anna:view:$y$"))

    def test_add_user_refuses_and_leaves_the_file(self) -> None:
        add_user(self.users, "anna", "view", "first password")
        with open(self.users, "rb") as file:
            before = file.read()
        for name, role, password, word in (
                ("a:b", "view", "long enough", "letters"), ("", "view", "long enough", "letters"),
                ("x" * 33, "view", "long enough", "letters"), ("anna", "admin", "long enough", "--role"),
                ("anna", "view", "short", "8 to 128"), ("anna", "view", "y" * 129, "8 to 128"),
                ("anna", "view", "y" * 5000, "too long")):
            done = add_user(self.users, name, role, password)
            self.assertEqual(done.returncode, 2, (name, role, password))
            self.assertIn(word, done.stderr)
        done = subprocess.run([WEB, "--add-user", "anna", "--users", self.users], input="long enough\n",
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--role", done.stderr)
        with open(self.users, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_a_file_that_is_wrong_is_named_with_its_line(self) -> None:
        add_user(self.users, "anna", "view", "first password")
        with open(self.users, encoding="ascii") as file:
            good = file.read()
        many = "".join(good.replace("anna", f"u{i}") for i in range(33))
        for text, word in (("", "no user"), ("# none\n", "no user"), ("anna\n", ":1: "),
                           (good + "bob:view\n", ":2: "), (good + good, ":2: this name"),
                           (good.replace(":view:", ":admin:"), ":1: a role"),
                           (good + "bob:view:secret\n", ":2: this is no hash"),
                           ("bob:view:ab0123456789.\n", ":1: this is no hash"),
                           (good + "\n# x\nb ob:view:x\n", ":4: a name"), (many, ":33: there are more"),
                           (good + "\0", "no text"), ("#" * 20000, "too long")):
            with open(self.users, "w", encoding="ascii") as file:
                file.write(text)
            status, out = start("--listen", "127.0.0.1:0", "--users", self.users)
            self.assertEqual(status, 2, (text, out))
            self.assertIn(self.users, out)
            self.assertIn(word, out)
        with open(self.users, "w", encoding="ascii") as file:
            file.write(good)
        for mode in (0o604, 0o602, 0o620):
            os.chmod(self.users, mode)
            status, out = start("--listen", "127.0.0.1:0", "--users", self.users)
            self.assertEqual(status, 2)
            self.assertIn("chmod 600", out)
        for path, word in ((self.users + "-not", "No such file"), (os.path.dirname(self.users), "no file")):
            status, out = start("--listen", "127.0.0.1:0", "--users", path)
            self.assertEqual(status, 2)
            self.assertIn(path, out)
            self.assertIn(word, out)

    def test_systemd_gives_the_file_as_a_credential(self) -> None:
        add_user(self.users, "anna", "view", "first password")
        os.environ["CREDENTIALS_DIRECTORY"] = os.path.dirname(self.users)
        self.addCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY")
        with FakeNode() as node, Gateway(node.address, "--users", "users") as page:
            page.wait_ready("-u", "anna:first password")


if __name__ == "__main__":
    unittest.main(verbosity=2)
