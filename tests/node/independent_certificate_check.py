#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the program against independent_certificate.py, which was written from docs/formats.md alone.

Both must accept the golden certificate and every certificate that is right, made here in another way than the
program makes them; both must refuse each that is wrong in one thing. The page's test values are recomputed.
usage: independent_certificate_check.py PROGRAM DATA_FOLDER FORMATS.md
"""
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # nothing of a test belongs in the source tree
import independent_certificate as ic
from independent_certificate import Refused, oid, sha256

# --- keys ----------------------------------------------------------------------------------------


class Ed25519Key:
    scheme = ic.ED25519

    def __init__(self, seed):
        digest = hashlib.sha512(seed.encode()).digest()
        self.a = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self.prefix = digest[32:]
        self.public = ic.ed_encode(ic.ed_mul(self.a, ic.ED_BASE))
        self.bits = self.public

    def sign(self, message):
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % ic.L25519
        return self.finish(ic.ed_encode(ic.ed_mul(r, ic.ED_BASE)), r, message)

    def finish(self, encoded_r, r, message):
        k = int.from_bytes(hashlib.sha512(encoded_r + self.public + message).digest(), "little")
        return encoded_r + ((r + k * self.a) % ic.L25519).to_bytes(32, "little")


class SmallOrderKey(Ed25519Key):
    """A = the neutral point: whatever S·B = R is signs, under a rule that does not look at A's order."""

    def __init__(self):
        super().__init__("small order")
        self.a, self.public = 0, ic.ed_encode(ic.NEUTRAL)
        self.bits = self.public


class P256Key:
    scheme = ic.ECDSA_P256
    high_s = False

    def __init__(self, seed):
        self.d = int.from_bytes(sha256(seed.encode()), "big") % ic.N256
        self.point = ic.p256_mul(self.d, ic.G256)
        x, y = (c.to_bytes(32, "big") for c in self.point)
        self.bits = b"\x04" + x + y
        self.public = bytes([2 | y[-1] & 1]) + x

    def sign(self, message):
        k = int.from_bytes(sha256(b"k" + message), "big") % ic.N256
        r = ic.p256_mul(k, ic.G256)[0] % ic.N256
        s = pow(k, -1, ic.N256) * (int.from_bytes(sha256(message), "big") + r * self.d) % ic.N256
        # Of the two that are as valid, the one that certificate files have; or the other.
        s = max(s, ic.N256 - s) if self.high_s else min(s, ic.N256 - s)
        return der(ic.SEQUENCE, der_number(r), der_number(s))


# --- X.509 ---------------------------------------------------------------------------------------


def der(tag, *parts):
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    encoded = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(encoded)]) + encoded + content


def der_number(value):
    return der(ic.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def der_oid(content):
    return der(ic.OID, content)


def name(text, tag=ic.UTF8_STRING, before=()):
    attributes = [*before, der(ic.SEQUENCE, der_oid(ic.COMMON_NAME), der(tag, text.encode()))]
    return der(ic.SEQUENCE, *(der(ic.SET, attribute) for attribute in attributes))


def spki(key):
    if key.scheme == ic.ED25519:
        algorithm = der(ic.SEQUENCE, der_oid(ic.ID_ED25519))
    else:
        algorithm = der(ic.SEQUENCE, der_oid(ic.EC_PUBLIC_KEY), der_oid(ic.PRIME256V1))
    return der(ic.SEQUENCE, algorithm, der(ic.BIT_STRING, b"\0", key.bits))


def signature_algorithm(key):
    return der(ic.SEQUENCE, der_oid(ic.ID_ED25519 if key.scheme == ic.ED25519 else ic.ECDSA_WITH_SHA256))


def extension(kind, critical, value):
    flag = der(ic.BOOLEAN, b"\xff") if critical else b""
    return der(ic.SEQUENCE, der_oid(kind), flag, der(ic.OCTET_STRING, value))


def key_identifier(key):
    return sha256(key.bits)[:20]


def usage(bits, unused):
    return extension(ic.KEY_USAGE, True, der(ic.BIT_STRING, bytes([unused]), bytes(bits)))


DIGITAL_SIGNATURE = usage([0x80], 7)
CERT_SIGN = usage([0x06], 1)
NOT_CA = extension(ic.BASIC_CONSTRAINTS, True, der(ic.SEQUENCE))


def ca_constraints(path_length=None):
    limit = b"" if path_length is None else der_number(path_length)
    return extension(ic.BASIC_CONSTRAINTS, True, der(ic.SEQUENCE, der(ic.BOOLEAN, b"\xff"), limit))


UTC = (der(ic.UTC_TIME, b"260101000000Z"), der(ic.UTC_TIME, b"301231235959Z"))
NOT_BEFORE_MS, NOT_AFTER_MS = 1767225600000, 1924991999999  # of UTC


def issue(subject_name, key, issuer_name, issuer_key, ca=False, **change):
    """An X.509 certificate of the profile, with the parts named in `change` as given."""
    part = {
        "version": der(0xA0, der_number(2)), "serial": der_number(7), "algorithm": signature_algorithm(issuer_key),
        "issuer": name(issuer_name), "validity": UTC, "subject": name(subject_name), "spki": spki(key),
        "constraints": ca_constraints() if ca else NOT_CA, "usage": CERT_SIGN if ca else DIGITAL_SIGNATURE,
        "subject_key_id": extension(ic.SUBJECT_KEY_ID, False, der(ic.OCTET_STRING, key_identifier(key))),
        "authority_key_id": extension(ic.AUTHORITY_KEY_ID, False,
                                      der(ic.SEQUENCE, der(0x80, key_identifier(issuer_key)))),
        "more": b"", "before_extensions": b"", "sign_with": issuer_key, **change}
    part.setdefault("outer_algorithm", part["algorithm"])
    extensions = der(ic.SEQUENCE, part["constraints"], part["usage"], part["subject_key_id"],
                     part["authority_key_id"], part["more"])
    tbs = der(ic.SEQUENCE, part["version"], part["serial"], part["algorithm"], part["issuer"],
              der(ic.SEQUENCE, *part["validity"]), part["subject"], part["spki"], part["before_extensions"],
              der(0xA3, extensions))
    return der(ic.SEQUENCE, tbs, part["outer_algorithm"],
               der(ic.BIT_STRING, b"\0", part["sign_with"].sign(tbs)))


# --- events and the log --------------------------------------------------------------------------


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(values, fields):
    out = b""
    for number, (field, kind) in fields.items():
        value = values.get(field)
        if value:
            data = varint(len(value)) + value if kind == "bytes" else varint(value)
            out += varint(number << 3 | (2 if kind == "bytes" else 0)) + data
    return out


def subtree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + subtree(leaves[:k]) + subtree(leaves[k:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return path(index, leaves[:k]) + [subtree(leaves[k:])]
    return path(index - k, leaves[k:]) + [subtree(leaves[:k])]


def checkpoint(origin, size, root, key, signature=None):
    body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    key_id = sha256(origin.encode() + b"\n\x01" + key.public)[:4]
    value = base64.b64encode(key_id + (signature or key.sign)(body.encode())).decode()
    return f"{body}\n\u2014 {origin} {value}\n"


ORIGIN, CA_NAME = "log.example", "Trust CA"
CA, P256_CA, MIDDLE, LOG, MEMBER = (
    Ed25519Key("ca"), P256Key("ca"), P256Key("middle"), Ed25519Key("log"), P256Key("member"))
DOCUMENT = b"a document\n"
SALT = bytes(range(32))
TIME_MS = 1770000000123


class Log:
    """A log with one record's event in it, every part of which can be made wrong."""

    def __init__(self, index=3, size=7, record=None, event=None, leaf=None, time_ms=TIME_MS):
        record_id = sha256(b"a record")
        self.record = {"id": record_id, "owner": b"acme", "type": b"work", "title": b"A title",
                       "document_sha256": sha256(DOCUMENT), "registered_at_ms": time_ms, "revision": 1,
                       **(record or {})}
        self.event = {"version": 1, "index": index, "block_height": 2, "block_time_ms": time_ms,
                      "transaction_id": sha256(b"a transaction"), "signer_scheme": ic.ECDSA_P256,
                      "signer_public_key": MEMBER.public, "contract": b"registry", "type": b"registered",
                      "subject": record_id, "data": message(self.record, ic.RECORD), **(event or {})}
        self.leaf = leaf(self) if leaf else message(self.event, ic.EVENT)
        hashes = [sha256(b"\0" + (self.leaf if i == index else str(i).encode())) for i in range(size)]
        self.root = subtree(hashes)
        self.parts = {"leaf": base64.b64encode(self.leaf).decode(), "index": index, "size": size,
                      "proof": [hash_.hex() for hash_ in path(index, hashes)],
                      "checkpoint": checkpoint(ORIGIN, size, self.root, LOG), "chain": []}

    def shown(self):
        """The readable members, whether or not the leaf is right."""
        record, event = self.record, self.event
        document = {field: record[field].hex() for field in ("document_sha256", "commitment") if record.get(field)}
        data = {"id": record["id"].hex(), "owner": record["owner"].decode(), "type": record["type"].decode(),
                "title": record["title"].decode("utf-8", "replace"), "revision": record["revision"],
                "registered_at": ic.format_time(record["registered_at_ms"], ""), **document}
        return {"version": event["version"], "index": event["index"], "block_height": event["block_height"],
                "block_time": ic.format_time(event["block_time_ms"], ""),
                "transaction_id": event["transaction_id"].hex(),
                "signer": {"scheme": ic.SCHEME_NAMES.get(event["signer_scheme"], "?"),
                           "public_key": event["signer_public_key"].hex()},
                "contract": event["contract"].decode(), "type": event["type"].decode(),
                "subject": event["subject"].hex(), "data": data}

    def file(self, chain, **parts):
        parts = {**self.parts, "chain": [base64.b64encode(one).decode() for one in chain], **parts}
        return ic.build_file(parts, self.leaf, self.shown())


# --- cases ---------------------------------------------------------------------------------------


class Case:
    def __init__(self, what, valid, file, document=DOCUMENT, trust=None, salt=None):
        self.what, self.valid, self.file = what, valid, file
        self.document, self.trust, self.salt = document, trust or ROOT, salt


def leaf_certificate(ca_key=CA, **change):
    return issue(ORIGIN, LOG, CA_NAME, ca_key, **change)


ROOT = issue(CA_NAME, CA, CA_NAME, CA, ca=True)
P256_ROOT = issue(CA_NAME, P256_CA, CA_NAME, P256_CA, ca=True)
CHAIN = [leaf_certificate()]


def log_cases():
    for index, size in ((0, 1), (0, 2), (1, 2), (2, 3), (6, 7), (4, 8), (64, 65)):
        yield Case(f"entry {index} of {size}", True, Log(index, size).file(CHAIN))
    for title in ("\u00c9tude n\u00ba 1 \u2014 \u201cq\u201d", 'a "quote", a \\ and a /', "\U0001f4dc", "t" * 512):
        yield Case(f"title {title[:9]}", True, Log(record={"title": title.encode()}).file(CHAIN))
    for title in (b"", b"t" * 513, b"a\nb", b"\x7f", b"\xc2\x85", "\u2028".encode(), b"\xff", b"\xed\xa0\x80",
                  b"\xc0\x80"):
        yield Case(f"title {title[:9]!r}", False, Log(record={"title": title}).file(CHAIN))
    for kind in ic.TYPES:
        yield Case(f"type {kind}", True, Log(record={"type": kind.encode()}).file(CHAIN))
    for when, after_ms in (("later", -1000), ("in the same block", 0), ("before it was registered", 1)):
        moved = {"revision": 2, "owner": b"b-2", "registered_at_ms": TIME_MS + after_ms}
        log = Log(record=moved, event={"type": b"transferred"})
        yield Case(f"a transfer {when}", after_ms <= 0, log.file(CHAIN))
    for after_ms in (-1, 1):
        log = Log(record={"registered_at_ms": TIME_MS + after_ms})
        yield Case(f"registered {after_ms} ms after its block", False, log.file(CHAIN))
    yield Case("an Ed25519 signer", True,
               Log(event={"signer_scheme": ic.ED25519, "signer_public_key": LOG.public}).file(CHAIN))
    for what, record in (("type", {"type": b"song"}), ("owner", {"owner": b"Acme"}), ("owner", {"owner": b"a"}),
                         ("owner", {"owner": b"a" * 33}), ("revision", {"revision": 2}),
                         ("time", {"registered_at_ms": 1 << 60}),
                         ("document hash", {"document_sha256": b"\1" * 31}), ("both", {"commitment": b"\1" * 32}),
                         ("neither", {"document_sha256": b""}), ("id", {"id": b"\1" * 32})):
        yield Case(f"record: {what}", False, safe_file(record=record))
    for what, event in (("version", {"version": 2}), ("height", {"block_height": 0}),
                        ("scheme", {"signer_scheme": 4}),
                        ("key", {"signer_public_key": b"\2" * 32}), ("contract", {"contract": b"membership"}),
                        ("type", {"type": b"revoked"}), ("subject", {"subject": b"\1" * 32}),
                        ("transfer at revision 1", {"type": b"transferred"}),
                        ("transaction", {"transaction_id": b"\1" * 31}), ("index", {"index": 4})):
        yield Case(f"event: {what}", False, safe_file(event=event))
    for what, leaf in (("unknown field", lambda l: message(l.event, ic.EVENT) + b"\x60\x01"),
                       ("cut off", lambda l: message(l.event, ic.EVENT)[:-1]),
                       ("long varint", lambda l: b"\x08\x81\x00" + message(l.event, ic.EVENT)[2:]),
                       ("default value", lambda l: message({**l.event, "data": b""}, ic.EVENT) + b"\x5a\x00"),
                       ("out of order", lambda l: message(l.event, ic.EVENT)[2:] + b"\x08\x01"),
                       ("repeated", lambda l: b"\x08\x01" + message(l.event, ic.EVENT))):
        yield Case(f"leaf: {what}", False, Log(leaf=leaf).file(CHAIN))


def safe_file(**change):
    """As Log(**change).file(CHAIN), where the change may be a time that cannot be written as text."""
    log = Log(**change)
    log.record["registered_at_ms"] = TIME_MS
    return log.file(CHAIN)


def document_cases():
    file = Log().file(CHAIN)
    yield Case("the document", True, file)
    yield Case("another document", False, file, document=DOCUMENT + b" ")
    yield Case("a salt for a hash", False, file, salt=SALT)
    hidden = Log(record={"document_sha256": b"", "commitment": ic.commitment(SALT, sha256(DOCUMENT))}).file(CHAIN)
    yield Case("a commitment", True, hidden, salt=SALT)
    yield Case("a commitment, no salt", False, hidden)
    yield Case("a commitment, another salt", False, hidden, salt=SALT[::-1])
    yield Case("a commitment, another document", False, hidden, document=b"", salt=SALT)
    yield Case("another CA", False, file, trust=P256_ROOT)


def checkpoint_cases():
    log = Log()
    other = Ed25519Key("other")

    def case(what, note, valid=False, chain=CHAIN, **parts):
        return Case(f"checkpoint: {what}", valid, log.file(chain, checkpoint=note, **parts))

    note, root = log.parts["checkpoint"], log.root
    line = note.split("\n\n")[1]
    yield case("another key", checkpoint(ORIGIN, 7, root, other))
    yield case("another key under this key's id", checkpoint(ORIGIN, 7, root, LOG, other.sign))
    yield case("another name", checkpoint("log.example2", 7, root, LOG))
    yield case("another root", checkpoint(ORIGIN, 7, sha256(b""), LOG))
    yield case("another size", checkpoint(ORIGIN, 8, root, LOG))
    yield case("a size with a zero before it", checkpoint(ORIGIN, "07", root, LOG))
    yield case("two signatures", note + line)
    yield case("no signature", note.split("\n\n")[0] + "\n\n")
    yield case("a hyphen for the dash", note.replace("\u2014", "-"))
    yield case("something after it", note + "\n")
    yield case("S + L", checkpoint(ORIGIN, 7, root, LOG, lambda body: plus_order(LOG.sign(body))))
    body = note.split("\n\n")[0] + "\nextension\n"
    value = sha256(ORIGIN.encode() + b"\n\x01" + LOG.public)[:4] + LOG.sign(body.encode())
    yield case("an extension line", f"{body}\n\u2014 {ORIGIN} {base64.b64encode(value).decode()}\n")
    low = SmallOrderKey()
    yield case("a log key of small order", holds_without_strict(low, checkpoint(ORIGIN, 7, root, low)),
               chain=[issue(ORIGIN, low, CA_NAME, CA)])
    neutral, twisted = ic.ed_encode(ic.NEUTRAL), (1 + ic.P25519).to_bytes(32, "little")
    small_r = checkpoint(ORIGIN, 7, root, LOG, lambda b: LOG.finish(neutral, 0, b))
    yield case("R of small order", holds_without_strict(LOG, small_r))
    yield case("R not canonical", checkpoint(ORIGIN, 7, root, LOG, lambda b: LOG.finish(twisted, 0, b)))
    proof = log.parts["proof"]
    for what, wrong in (("short", proof[:-1]), ("long", [*proof, proof[0]]), ("empty", []), ("turned", proof[::-1]),
                        ("49 hashes", proof[:1] * 49), ("upper case", [proof[0].upper(), *proof[1:]])):
        yield case(f"a proof that is {what}", note, proof=wrong)
    yield case("another index in the file", note, index=2)
    yield case("another size in the file", note, size=8)
    yield case("a size before the entry", checkpoint(ORIGIN, 3, root, LOG), size=3)


def holds_without_strict(key, note):
    """The twin of a case: what refuses it is a rule of profile strict, not the equation."""
    body, line = note.split("\n\n")
    signature = base64.b64decode(line.split(" ")[2])[4:]
    assert ic.ed25519_equation(key.public, body.encode() + b"\n", signature)
    return note


def plus_order(signature):
    s = int.from_bytes(signature[32:], "little") + ic.L25519
    return signature[:32] + s.to_bytes(32, "little")


def chain_cases():
    log = Log()

    def case(what, valid, chain, trust=ROOT, log=log):
        return Case(f"chain: {what}", valid, log.file(chain), trust=trust)

    middle = issue("Middle", MIDDLE, CA_NAME, CA, ca=True)
    under_middle = issue(ORIGIN, LOG, "Middle", MIDDLE)
    yield case("P-256 CA", True, [leaf_certificate(P256_CA)], P256_ROOT)
    P256_CA.high_s = True
    other_s = leaf_certificate(P256_CA)
    P256_CA.high_s = False
    yield case("P-256 CA, n - s", False, [other_s], P256_ROOT)
    yield case("a CA between", True, [under_middle, middle])
    yield case("a CA between, left out", False, [under_middle])
    yield case("out of order", False, [middle, under_middle])
    yield case("one too many", False, [CHAIN[0], middle])
    yield case("the root in it", False, [CHAIN[0], ROOT])
    yield case("five", False, CHAIN * 5)
    yield case("none", False, [])
    path_0 = issue(CA_NAME, CA, CA_NAME, CA, ca=True, constraints=ca_constraints(0))
    yield case("path length 0, none between", True, CHAIN, path_0)
    yield case("path length 0, one between", False, [under_middle, middle], path_0)
    path_1 = issue(CA_NAME, CA, CA_NAME, CA, ca=True, constraints=ca_constraints(1))
    yield case("path length 1, one between", True, [under_middle, middle], path_1)
    yield case("between, but not a CA", False, [under_middle, issue("Middle", MIDDLE, CA_NAME, CA)])
    impostor = Ed25519Key("impostor")
    yield case("another CA of the name", False, [issue(ORIGIN, LOG, CA_NAME, impostor)])
    yield case("another CA of the name and key id", False, [leaf_certificate(sign_with=impostor)])
    yield case("another issuer", False, [leaf_certificate(issuer=name("Other CA"))])
    yield case("the issuer in another string type", False,
               [leaf_certificate(issuer=name(CA_NAME, ic.PRINTABLE_STRING))])
    yield case("no authority key id", False, [leaf_certificate(authority_key_id=b"")])
    yield case("another log's certificate", False, [issue("other.example", LOG, CA_NAME, CA)])
    yield case("another key's certificate", False, [issue(ORIGIN, impostor, CA_NAME, CA)])
    yield case("a P-256 log key", False, [issue(ORIGIN, MIDDLE, CA_NAME, CA)])
    yield case("a root not signed by itself", False, CHAIN,
               issue(CA_NAME, CA, CA_NAME, CA, ca=True, sign_with=impostor))
    yield case("a root without key id", False, CHAIN, issue(CA_NAME, CA, CA_NAME, CA, ca=True, subject_key_id=b""))
    yield case("a trusted CA under another", False, [under_middle], middle)
    yield case("a trusted end entity", False, CHAIN, issue(CA_NAME, CA, CA_NAME, CA))
    for what, valid, time_ms in (("at notBefore", True, NOT_BEFORE_MS), ("before it", False, NOT_BEFORE_MS - 1),
                                 ("at notAfter", True, NOT_AFTER_MS), ("after it", False, NOT_AFTER_MS + 1)):
        yield case(what, valid, CHAIN, log=Log(time_ms=time_ms))


def certificate_cases():
    log = Log()

    def case(what, valid, **change):
        return Case(f"certificate: {what}", valid, log.file([leaf_certificate(**change)]))

    late = der(ic.GENERALIZED_TIME, b"20500101000000Z")
    organization = der(ic.SEQUENCE, der_oid(oid("2.5.4.10")), der(ic.UTF8_STRING, b"Acme"))
    twice = der(ic.SEQUENCE, der_oid(ic.COMMON_NAME), der(ic.UTF8_STRING, b"x"))
    other_usage = extension(ic.EXT_KEY_USAGE, False, der(ic.SEQUENCE, der_oid(oid("1.3.6.1.5.5.7.3.1"))))
    client = extension(ic.EXT_KEY_USAGE, False, der(ic.SEQUENCE, der_oid(ic.CLIENT_AUTH)))
    private = oid("1.3.6.1.4.1.99999.1")
    pair = sorted(der(ic.SEQUENCE, der_oid(oid(kind)), der(ic.UTF8_STRING, b"x"))
                  for kind in ("2.5.4.11", "2.5.4.12"))
    common = der(ic.SET, der(ic.SEQUENCE, der_oid(ic.COMMON_NAME), der(ic.UTF8_STRING, ORIGIN.encode())))
    yield case("a PrintableString name", True, subject=name(ORIGIN, ic.PRINTABLE_STRING))
    yield case("an IA5String name", False, subject=name(ORIGIN, 22))
    yield case("an organization name too", True, subject=name(ORIGIN, before=[organization]))
    yield case("two common names", False, subject=name(ORIGIN, before=[twice]))
    yield case("a SET in order", True, subject=der(ic.SEQUENCE, der(ic.SET, *pair), common))
    yield case("a SET out of order", False, subject=der(ic.SEQUENCE, der(ic.SET, *pair[::-1]), common))
    yield case("an empty issuer", False, issuer=der(ic.SEQUENCE))
    yield case("valid past 2049", True, validity=(UTC[0], late))
    yield case("GeneralizedTime too early", False, validity=(UTC[0], der(ic.GENERALIZED_TIME, b"20401231235959Z")))
    yield case("a time without seconds", False, validity=(der(ic.UTC_TIME, b"2601010000Z"), UTC[1]))
    yield case("the 30th of February", False, validity=(UTC[0], der(ic.UTC_TIME, b"280230000000Z")))
    yield case("before 1970", False, validity=(der(ic.UTC_TIME, b"690101000000Z"), UTC[1]))
    yield case("an end before the beginning", False, validity=UTC[::-1])
    yield case("clientAuth", True, more=client)
    yield case("serverAuth alone", False, more=other_usage)
    yield case("an unknown extension", True, more=extension(private, False, b"\x05\x00"))
    yield case("an unknown critical extension", False, more=extension(private, True, b"\x05\x00"))
    yield case("an extension twice", False, more=client * 2)
    yield case("name constraints", False, more=extension(ic.NAME_CONSTRAINTS, False, der(ic.SEQUENCE)))
    yield case("critical FALSE written", False, more=der(ic.SEQUENCE, der_oid(private), der(ic.BOOLEAN, b"\0"),
                                                        der(ic.OCTET_STRING, b"\x05\x00")))
    yield case("no key usage", False, usage=b"")
    yield case("two usages", True, usage=usage([0xC0], 6))
    yield case("another usage", False, usage=usage([0x40], 6))
    yield case("keyCertSign too", False, usage=usage([0x84], 2))
    yield case("a usage padded", False, usage=usage([0x80], 6))
    yield case("no basicConstraints", True, constraints=b"")
    yield case("basicConstraints cA FALSE written", False, constraints=extension(
        ic.BASIC_CONSTRAINTS, True, der(ic.SEQUENCE, der(ic.BOOLEAN, b"\0"))))
    yield case("a CA's", False, constraints=ca_constraints(), usage=usage([0x84], 2))
    yield case("version 1", False, version=b"")
    yield case("version 2", False, version=der(0xA0, der_number(1)))
    yield case("serial number 0", False, serial=der_number(0))
    yield case("a negative serial number", False, serial=der(ic.INTEGER, b"\xff"))
    yield case("a padded serial number", False, serial=der(ic.INTEGER, b"\x00\x07"))
    yield case("a serial number of 20 bytes", True, serial=der(ic.INTEGER, b"\x7f" * 20))
    yield case("a serial number of 21 bytes", False, serial=der(ic.INTEGER, b"\x7f" * 21))
    yield case("a unique identifier", False, before_extensions=der(0x82, b"\0\1"))
    yield case("two signature algorithms", False, outer_algorithm=signature_algorithm(P256_CA))
    yield case("algorithm parameters", False, algorithm=der(ic.SEQUENCE, der_oid(ic.ID_ED25519), der(ic.NULL)))
    yield case("a longer length than needed", False, serial=b"\x02\x81\x01\x07")
    for what, change in (("cut", lambda d: d[:-1]), ("with a byte after it", lambda d: d + b"\0"),
                         ("a signature bit", lambda d: d[:-1] + bytes([d[-1] ^ 1])),
                         ("S + L", lambda d: d[:-64] + plus_order(d[-64:]))):
        yield Case(f"certificate: {what}", False, log.file([change(CHAIN[0])]))


def form_cases(file):
    """Another byte form of the same JSON, or another JSON of the same parts. `file` is right."""
    value = json.loads(file)

    def case(what, data):
        return Case(f"form: {what}", False, data)

    def with_change(change):
        altered = json.loads(file)
        change(altered)
        return ic.canonical(altered) + b"\n"

    yield Case("form: as it is", True, file)
    yield case("empty", b"")
    yield case("no newline", file[:-1])
    yield case("two newlines", file + b"\n")
    yield case("byte order mark", b"\xef\xbb\xbf" + file)
    yield case("spaces", json.dumps(value, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    yield case("escapes", json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    yield case("another escape", file.replace(b'"work"', b'"wor\\u006b"', 1))
    yield case("an escaped slash", file.replace(b"/", b"\\/", 1))
    yield case("unsorted", b'{"version":1,' + file[1:].replace(b',"version":1}\n', b"}\n"))
    yield case("a member twice", file.replace(b'"index":', b'"index":0,"index":', 1))
    yield case("a number with a fraction", file.replace(b'"version":1}\n', b'"version":1.0}\n'))
    yield case("a zero before a number", file.replace(b'"version":1}\n', b'"version":01}\n'))
    yield case("something after it", file + b"{}\n")
    for what, change in (
            ("another format", lambda v: v.update(format="certificate")),
            ("another version", lambda v: v.update(version=2)),
            ("a member more", lambda v: v.update(note="")), ("a member less", lambda v: v.pop("record")),
            ("record", lambda v: v["record"].update(owner="other")),
            ("event", lambda v: v["event"].update(block_height=9)),
            ("event data", lambda v: v["event"]["data"].update(title="Mine")),
            ("leaf hash", lambda v: v["inclusion"].update(leaf_hash="00" * 32)),
            ("hash", lambda v: v["inclusion"].update(hash="sha512")),
            ("chain not a list", lambda v: v.update(chain=v["chain"][0])),
            ("a padded base64", lambda v: v.update(leaf=v["leaf"] + "===="))):
        yield case(what, with_change(change))
    for at in range(0, len(file), 97):  # every byte is tried by node_certificate_test
        yield case(f"bit {at % 8} of byte {at}", file[:at] + bytes([file[at] ^ 1 << at % 8]) + file[at + 1:])


# --- running -------------------------------------------------------------------------------------


def pem(certificate):
    text = base64.encodebytes(certificate).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def ours(case):
    try:
        ic.verify(case.file, case.document, case.trust, case.salt)
    except Refused as reason:
        return False, str(reason)
    return True, "valid"


def program_says(program, folder, case):
    files = {"certificate.json": case.file, "document": case.document, "ca.pem": pem(case.trust).encode(),
             "salt": None if case.salt is None else case.salt.hex().encode() + b"\n"}
    paths = {}
    for file_name, data in files.items():
        paths[file_name] = os.path.join(folder, file_name)
        if data is not None:
            with open(paths[file_name], "wb") as file:
                file.write(data)
    command = [program, "certificate", "verify", paths["certificate.json"], "--document", paths["document"],
               "--trust", paths["ca.pem"]]
    if case.salt is not None:
        command += ["--salt", paths["salt"]]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=60, check=False)
    return {0: True, 1: False, 2: False}.get(result.returncode), result.stdout.decode("utf-8", "replace")


def test_values(golden_leaf):
    """What docs/formats.md states under "Test values"."""
    body = message({"version": 1, "created_at_ms": 1770000000000, "expires_at_ms": 1770000600000,
                    "nonce": bytes(range(16)), "contract": b"registry", "payload": b"\x0a\x00"},
                   {1: ("version", "uint32"), 2: ("created_at_ms", "uint64"), 3: ("expires_at_ms", "uint64"),
                    4: ("nonce", "bytes"), 5: ("contract", "bytes"), 6: ("payload", "bytes")})
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signed = b"colophon transaction v1\0" + bytes([11]) + b"log.example" + b"\x03" + key + body
    transaction_id = sha256(signed)
    yield "body", body
    yield "signed bytes", signed
    yield "transaction id", transaction_id
    yield "record id", sha256(b"colophon record v1\0" + transaction_id)
    yield "commitment", ic.commitment(SALT, sha256(b"abc"))
    yield "checkpoint key id", sha256(b"log.example\n\x01" + key)[:4]
    yield "Ed25519 key id", sha256(bytes.fromhex("302a300506032b6570032100") + key)
    yield "leaf hash of the golden certificate", sha256(b"\0" + golden_leaf)
    leaves = [sha256(b"\0" + leaf) for leaf in (b"\0", b"", b"\xff\1")]
    yield "root of three leaves", subtree(leaves)


def main():
    program, data_folder, page = sys.argv[1:]

    def read(*names):
        with open(os.path.join(*names), "rb") as file:
            return file.read()

    golden = read(data_folder, "certificate.json")
    golden_document = read(data_folder, "document.txt")
    golden_ca = ic.read_pem(read(data_folder, "ca.pem").decode())
    cases = []
    for case in form_cases(golden):
        case.document, case.trust = golden_document, golden_ca
        cases.append(case)
    for make in (log_cases, document_cases, checkpoint_cases, chain_cases, certificate_cases):
        cases.extend(make())

    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            mine, reason = ours(case)
            theirs, printed = program_says(program, folder, case)
            if mine != case.valid or theirs != case.valid:
                failures += 1
                print(f"{case.what}: should be {'valid' if case.valid else 'refused'}\n  here: {reason}\n"
                      f"  program: {printed.strip()}")
    text = "".join(read(page).decode().split())  # long values are broken over lines
    for what, value in test_values(base64.b64decode(json.loads(golden)["leaf"])):
        if value.hex() not in text:
            failures += 1
            print(f"{page} does not state the {what} {value.hex()}")
    accepted = sum(case.valid for case in cases)
    print(f"{accepted} right and {len(cases) - accepted} wrong certificates, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
