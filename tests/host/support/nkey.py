# SPDX-License-Identifier: MIT
"""Keys of NATS users, apart from the product's: Ed25519 as RFC 8032 has it, in NATS' spelling."""

import base64
import hashlib

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME


def add(one, two):
    """Points in extended coordinates (X, Y, Z, T)."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % PRIME
    b = (one[1] + one[0]) * (two[1] + two[0]) % PRIME
    c = 2 * one[3] * two[3] * D % PRIME
    d = 2 * one[2] * two[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def base_point():
    y = 4 * pow(5, -1, PRIME) % PRIME
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    x = x if x % 2 == 0 else PRIME - x
    return x, y, 1, x * y % PRIME


def times(scalar, point=base_point()):
    """The product as 32 bytes."""
    total = 0, 1, 1, 0
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    inverse = pow(total[2], -1, PRIME)
    x, y = total[0] * inverse % PRIME, total[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


def split(secret):
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:]


def integer(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


class Key:
    """The user's key in a file that pinhole-relay has made."""

    def __init__(self, path):
        with open(path, encoding="ascii") as file:
            name, self.seed = file.read().split()
        assert name == "nkey:" and len(self.seed) == 58, self.seed
        data = base64.b32decode(self.seed + "=" * 6)
        assert data[:2] == bytes([18 << 3 | (20 << 3) >> 5, 0]), data
        assert crc16(data[:-2]) == int.from_bytes(data[-2:], "little")
        self.scalar, self.prefix = split(data[2:-2])
        self.point = times(self.scalar)

    @property
    def public(self):
        data = bytes([20 << 3]) + self.point
        return base64.b32encode(data + crc16(data).to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, message):
        """As NATS has it in CONNECT."""
        number = integer(self.prefix, message)
        point = times(number)
        scalar = (number + integer(point, self.point, message) * self.scalar) % ORDER
        return base64.urlsafe_b64encode(point + scalar.to_bytes(32, "little")).decode().rstrip("=")
