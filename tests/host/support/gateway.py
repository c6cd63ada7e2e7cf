# SPDX-License-Identifier: MIT
"""Starts a node and a web gateway for a test, asks the gateway, and reads what it answers."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from typing import Any, BinaryIO, Callable, Iterator

from pinhole_node import BUILD, PATIENCE_S, wait_for


class Program:
    """A running program whose output is kept in files."""

    def __init__(self, *command: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-test-")
        self.out_path = os.path.join(self.folder.name, "out")
        self.err_path = os.path.join(self.folder.name, "err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL)

    def out(self) -> str:
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def err(self) -> str:
        with open(self.err_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def find(self, text: Callable[[], str], pattern: str) -> str:
        """What the pattern's group matches in the program's output, once it is there."""
        def look() -> str | None:
            match = re.search(pattern, text())
            if match is None and self.process.poll() is not None:
                raise AssertionError(f"{self.process.args} ended: {self.err()}")
            return match and match.group(1)
        return str(wait_for(f"{pattern} from {self.process.args}", look))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Ends it as systemd does. Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.process.args} ignored SIGTERM; {self.err()}") from None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            status = self.end()
            if status != 0:
                raise AssertionError(f"{self.process.args} ended with {status}:\n{self.err()}")
        finally:
            self.folder.cleanup()


class Node(Program):
    """A node with the fake camera, at a port of its own or at a given Unix socket."""

    def __init__(self, *options: str, path: str = "") -> None:
        where = ["--listen", "", "--socket", path] if path else ["--listen", "127.0.0.1:0"]
        super().__init__(f"{BUILD}/pinhole", "--camera", "fake", *where, *options)
        pattern = r"listening on (unix) " if path else r"listening on tcp ([0-9.:]+)"
        found = self.find(self.err, pattern)
        self.address = f"unix:{path}" if path else found


class Gateway(Program):
    """A gateway to the node at an address; "" when the options say what it shows."""

    def __init__(self, node: str, *options: str) -> None:
        where = ("--node", node) if node else ()
        super().__init__(f"{BUILD}/pinhole-web", *where, "--listen", "127.0.0.1:0", *options)
        self.url = self.find(self.out, r"(https?://\S+)/")
        self.port = int(self.url.rsplit(":", 1)[1])

    def wait_ready(self, *options: str) -> "Gateway":
        wait_for("a first snapshot", lambda: self.get("/snapshot", *options).status == 200)
        return self

    def curl(self, path: str, *options: str) -> "Answer":
        """One request by curl; the answer with its headers."""
        done = subprocess.run(["curl", "-sS", "-i", "--max-time", "60", *options, self.url + path],
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"curl {path}: {done.stderr.decode()}")
        return Answer(done.stdout)

    def get(self, path: str, *options: str) -> "Answer":
        return self.curl(path, *options)

    def post(self, path: str, body: str | bytes = b"", *options: str,
             marked: bool = True) -> "Answer":
        """As the page does: with the header that a foreign page could not send."""
        data = body if isinstance(body, bytes) else body.encode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return self.curl(path, "-X", "POST", "-H", "Expect:", "--data-binary",
                             f"@{file.name}", *(("-H", "X-Pinhole: 1") if marked else ()), *options)

    def state(self, query: str = "brief=1") -> Any:
        answer = self.get(f"/state?{query}")
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def feature(self, name: str) -> Any:
        return next(f for f in self.state("")["features"] if f["name"] == name)["value"]

    def set(self, **features: Any) -> None:
        answer = self.post("/features", urllib.parse.urlencode(features))
        assert answer.status == 200, answer.body

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        """A plain connection, with little room to receive when asked."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(PATIENCE_S)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def ask(self, request: bytes) -> bytes:
        """Sends raw bytes; all that comes until the gateway closes."""
        with self.connect() as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            return answer


class Answer:
    """An HTTP answer taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        while b" 100 " in head.split(b"\r\n")[0]:
            head, _, self.body = self.body.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.version, status = lines[0].split(" ")[:2]
        self.status = int(status)
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}

    def error(self) -> str:
        return str(json.loads(self.body)["error"])


class Stream:
    """Reads /stream part by part, strictly as multipart with Content-Length."""

    def __init__(self, gateway: Gateway, path: str = "/stream", version: str = "1.1",
                 receive_bytes: int = 0) -> None:
        self.socket = gateway.connect(receive_bytes)
        self.socket.sendall(f"GET {path} HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.file: BinaryIO = self.socket.makefile("rb", buffering=4096)
        self.answer = Answer(self._head() + b"\r\n\r\n")
        if self.answer.status == 200:
            self._expect(b"--boundarydonotcross\r\n")

    def _head(self) -> bytes:
        lines = []
        while (line := self.file.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines).rstrip(b"\r\n")

    def _expect(self, wanted: bytes) -> None:
        found = self.file.read(len(wanted))
        if found == b"":
            raise EOFError
        assert found == wanted, (found, wanted)

    def part(self) -> Answer:
        head = self._head()
        if head == b"":
            raise EOFError
        part = Answer(b"PART 200\r\n" + head + b"\r\n\r\n")
        length = int(part.headers["content-length"])
        part.body = self.file.read(length)
        if len(part.body) < length:
            raise EOFError
        self._expect(b"\r\n--boundarydonotcross\r\n")
        return part

    def parts(self, count: int) -> Iterator[Answer]:
        for _ in range(count):
            yield self.part()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
