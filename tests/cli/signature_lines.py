# SPDX-License-Identifier: Apache-2.0
"""Lines for `colophon verify` of every scheme, encoding, input and profile, right and wrong, with the answer that each must
get. The signatures are made here, by the textbook: keys 1, 2, 3 ... and nonces 1, 2, 3 ..., no secret in them."""
import hashlib
import json


class Curve:
    """y² = x³ + ax + b over the integers modulo p, n points; the first multiples of the generator, each by one addition."""

    def __init__(self, p, a, n, x, y):
        self.p, self.a, self.n, self.points = p, a, n, [None, (x, y)]

    def add(self, one, other):
        (x1, y1), (x2, y2) = one, other
        if one == other:
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x3 = (slope * slope - x1 - x2) % self.p
        return x3, (slope * (x1 - x3) - y1) % self.p

    def multiple(self, k):
        while len(self.points) <= k:
            self.points.append(self.add(self.points[-1], self.points[1]))
        return self.points[k]

    def ecdsa(self, d, k, digest):
        r = self.multiple(k)[0] % self.n
        return r, pow(k, -1, self.n) * (int.from_bytes(digest, "big") + r * d) % self.n

    def sm2(self, d, k, digest):
        r = (int.from_bytes(digest, "big") + self.multiple(k)[0]) % self.n
        return r, pow(1 + d, -1, self.n) * (k - r * d) % self.n


P256 = Curve(0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff, -3,
             0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
             0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
             0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)
SECP256K1 = Curve(2**256 - 2**32 - 977, 0,
                  0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141,
                  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
                  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)
SM2 = Curve(0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff, -3,
            0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123,
            0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7,
            0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0)

# RFC 8032 section 7.1, TEST 1 and 2; then two points of small order with S = 0, which only strict refuses.
ED25519 = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246551"
     "41438e7a100b", True),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d"
     "291612bb0c00", True),
    ("01" + "00" * 31, "00", "01" + "00" * 63, False),
    ("01" + "00" * 30 + "80", "00", "01" + "00" * 30 + "80" + "00" * 32, False),
]


def raw(r, s):
    return "%064x%064x" % (r, s)


def der(r, s):
    def integer(value):
        content = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return bytes((2, len(content))) + content
    content = integer(r) + integer(s)
    return (bytes((0x30, len(content))) + content).hex()


def uncompressed(point):
    return "04%064x%064x" % point


def compressed(point):
    return "%02x%064x" % (2 + point[1] % 2, point[0])


def right_p256(count, keys):
    """`count` right signatures over messages, of keys in turn."""
    for i in range(count):
        d, message = i % keys + 1, b"message %d" % i
        r, s = P256.ecdsa(d, i % 500 + 1, hashlib.sha256(message).digest())
        yield d, message, r, s


def p256_lines():
    """Enough of few keys for tables and threads, every ninth wrong somewhere; then keys that come once."""
    for i, (d, message, r, s) in enumerate(right_p256(2400, 7)):
        line = {"scheme": "ecdsa-p256-sha256", "public_key": uncompressed(P256.multiple(d)),
                "message": message.hex(), "signature": raw(r, s)}
        if i % 9 == 4:
            name = ("public_key", "message", "signature")[i // 9 % 3]
            at = len(line[name]) - 1 - i // 27 % 16
            line[name] = line[name][:at] + "%x" % (int(line[name][at], 16) ^ 1) + line[name][at + 1:]
        yield line, i % 9 != 4
    for d, message, r, s in right_p256(200, 200):
        yield {"scheme": "ecdsa-p256-sha256", "public_key": compressed(P256.multiple(d)),
               "digest": hashlib.sha256(message).hexdigest(), "signature": raw(r, s)}, True


def edge_lines(scheme, curve, sign):
    """Numbers at the ends of their ranges, the two forms of s, keys that are none, DER that is none."""
    d, k, digest, n, p = 3, 5, hashlib.sha256(b"edge").digest(), curve.n, curve.p
    r, s = sign(d, k, digest)
    key = uncompressed(curve.multiple(d))
    line = {"scheme": scheme, "public_key": key, "digest": digest.hex(), "signature": raw(r, s)}
    yield line, True
    yield {**line, "encoding": "der", "signature": der(r, s)}, True
    yield {**line, "public_key": compressed(curve.multiple(d))}, True
    yield {**line, "profile": "standard"}, True
    edges = (0, 1, n - 1, n, n + 1, p, 2**256 - 1)
    for value in edges:
        yield {**line, "signature": raw(value, s)}, False
        yield {**line, "signature": raw(r, value)}, False
        yield {**line, "encoding": "der", "signature": der(value, value)}, False
    ecdsa = scheme != "sm2-sm3"
    yield {**line, "signature": raw(r, n - s)}, ecdsa
    if ecdsa:
        for profile_s in (s, n - s):
            yield {**line, "profile": "low_s", "signature": raw(r, profile_s)}, profile_s <= n // 2
    yield {**line, "encoding": "der", "signature": raw(r, s)}, False
    yield {**line, "encoding": "der", "signature": der(r, s) + "00"}, False
    yield {**line, "encoding": "der", "signature": "3080" + der(r, s)[4:] + "0000"}, False
    x, y = curve.multiple(d)
    for wrong in ("", "00", "04" + "00" * 64, uncompressed((x, y ^ 1)), uncompressed((x, p - y)),
                  uncompressed((x, 2**256 - 1)), "04%064x%064x" % (p, y), "05" + key[2:], key + "00",
                  compressed((x, y ^ 1))):
        yield {**line, "public_key": wrong}, False
    yield {**line, "digest": digest.hex()[2:]}, False
    # u1·G + u2·Q where one of the two is nothing, or both are the same point.
    zero = bytes(32)
    yield {**line, "digest": zero.hex(), "signature": raw(*sign(d, k, zero))}, True
    for key_and_nonce in (1, 2):
        for value in (b"\0" * 31 + b"\1", b"\0" * 31 + b"\2", (n - 1).to_bytes(32, "big")):
            r, s = sign(key_and_nonce, key_and_nonce, value)
            yield {**line, "public_key": uncompressed(curve.multiple(key_and_nonce)),
                   "digest": value.hex(), "signature": raw(r, s)}, r != 0 and s != 0


def ed25519_lines():
    for key, message, signature, also_strict in ED25519:
        line = {"scheme": "ed25519", "public_key": key, "message": message, "signature": signature}
        yield line, True
        yield {**line, "profile": "strict"}, also_strict
        yield {**line, "profile": "zip215", "message": message + "01"}, not also_strict
        yield {**line, "signature": signature[:-2] + "ff"}, False
        yield {**line, "signature": signature[:64] + "01" + signature[66:]}, False


# The first is an object that says nothing, the last a word that is no profile of the scheme's.
BAD_LINES = ["{}\n", "\n", "not JSON\n", '{"scheme":"rsa"}\n', "[" * 2000 + "\n",
             '{"scheme":"ecdsa-p256-sha256","public_key":"0","message":"","signature":""}\n',
             '{"scheme":"ecdsa-p256-sha256","public_key":"","message":"","digest":"","signature":""}\n',
             '{"scheme":"ed25519","public_key":"","message":"","signature":"","profile":"low_s"}\n']


def every_kind():
    """(lines, what "valid" must be for each: True, False, or None for a line that is no signature)."""
    kinds = [*p256_lines(), *edge_lines("ecdsa-p256-sha256", P256, P256.ecdsa),
             *edge_lines("ecdsa-secp256k1-sha256", SECP256K1, SECP256K1.ecdsa),
             *edge_lines("sm2-sm3", SM2, SM2.sm2), *ed25519_lines()]
    made = [(json.dumps(line) + "\n", valid) for line, valid in kinds]
    for i, line in enumerate(BAD_LINES):
        made.insert(i * 331, (line, None))
    return [line for line, _ in made], [valid for _, valid in made]
