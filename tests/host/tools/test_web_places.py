#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web among addresses: one cannot take all places, and supervision is always answered. The
addresses are on the loopback interface of a network namespace of the test's own."""

import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from gateway import Gateway, Node  # noqa: E402
from pinhole_node import wait_for  # noqa: E402

MAX_CLIENTS, OF_ONE, KEPT = 12, 5, 3
SERVER, HONEST, ATTACKERS = "192.0.2.1", "192.0.2.2", ("192.0.2.3", "192.0.2.4", "192.0.2.5")


def enter_namespace() -> None:
    """Goes on in a network namespace with these addresses, or exits with 77."""
    if os.environ.get("PINHOLE_TEST_NAMESPACE") == "1":
        return
    addresses = "; ".join(f"ip addr add {a}/24 dev lo" for a in (SERVER, HONEST, *ATTACKERS))
    script = f'set -e; ip link set lo up; {addresses}; exec "$@"'
    namespace = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--net"]
    if subprocess.run([*namespace, "sh", "-c", script, "-", "true"], capture_output=True,
                      check=False).returncode != 0:
        print("skip: this user can make no network namespace, or ip is not installed")
        sys.exit(77)
    os.environ["PINHOLE_TEST_NAMESPACE"] = "1"
    os.execvp("unshare", [*namespace, "sh", "-c", script, "-", sys.executable, *sys.argv])


class Places(unittest.TestCase):
    def setUp(self) -> None:
        self.node = Node("--framerate", "30")
        self.addCleanup(self.node.__exit__)
        self.gateway = Gateway(self.node.address, "--listen", "0.0.0.0:0", "--anonymous", "view", "--max-clients",
                               str(MAX_CLIENTS), "--max-clients-of-one", str(OF_ONE))
        self.addCleanup(self.gateway.__exit__)
        self.gateway.wait_ready()
        self.held: list[socket.socket] = []
        self.addCleanup(lambda: [each.close() for each in self.held])

    def attack(self, address: str, count: int) -> int:
        """Opens streams and never reads them. How many the gateway has begun."""
        begun = 0
        for _ in range(count):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.bind((address, 0))
            try:
                connection.connect((SERVER, self.gateway.port))
                connection.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
                begun += b" 200 " in connection.recv(20)
            except OSError:
                pass
            self.held.append(connection)
        return begun

    def status(self, path: str, source: str) -> int:
        url = f"http://{SERVER}:{self.gateway.port}{path}"
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30",
                               "--interface", source, url], capture_output=True, check=False)
        return int(done.stdout)

    def test_one_address_leaves_places_to_others(self) -> None:
        self.assertEqual(self.attack(ATTACKERS[0], 40), OF_ONE)
        for path in ("/snapshot", "/state?brief=1", "/healthz"):
            self.assertEqual(self.status(path, HONEST), 200, path)

    def test_supervision_and_this_host_are_answered_when_all_is_taken(self) -> None:
        begun = sum(self.attack(address, 20) for address in ATTACKERS)
        self.assertEqual(begun, MAX_CLIENTS - KEPT)
        self.assertIn(self.status("/snapshot", HONEST), (0, 503))
        wait_for("health for others", lambda: self.status("/healthz", HONEST) == 200, 9)
        self.assertEqual(self.gateway.get("/healthz").status, 200)
        self.assertEqual(self.gateway.get("/metrics").status, 200)
        self.assertEqual(self.gateway.get("/snapshot").status, 200)


if __name__ == "__main__":
    enter_namespace()
    unittest.main(verbosity=2)
