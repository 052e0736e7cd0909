#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks a certificate file offline: a second implementation, written from docs/formats.md alone.

Shares no code with the program, uses Python's standard library only, and is slow. Names of chapters in
comments are those of docs/formats.md.
usage: independent_certificate.py CERTIFICATE --document FILE --trust CA.pem [--salt FILE]
exit status: 0 valid, 1 refused
"""
import argparse
import base64
import calendar
import hashlib
import json
import re
import sys

TIME_MS_MAX = 253402300799999
TREE_SIZE_MAX = 1 << 48
CERTIFICATE_FILE_BYTES_MAX = 256 * 1024
CHECKPOINT_BYTES_MAX = 4096
X509_BYTES_MAX = 8192
ECDSA_P256, ED25519 = 1, 3
SCHEME_NAMES = {ECDSA_P256: "ecdsa-p256-sha256", ED25519: "ed25519"}
TYPES = {"work", "patent", "trademark", "design", "trade_secret", "software", "dataset"}


class Refused(Exception):
    """What does not hold, in words."""


def require(condition, message):
    if not condition:
        raise Refused(message)


def sha256(data):
    return hashlib.sha256(data).digest()


# --- Conventions ---------------------------------------------------------------------------------


def read_base64(text, what):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    require(data is not None and base64.b64encode(data).decode() == text, f"{what}: not canonical base64")
    return data


def text_line(data, bytes_max, what):
    require(1 <= len(data) <= bytes_max, f"{what}: not 1 to {bytes_max} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{what}: not UTF-8") from None
    bad = any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or ord(c) in (0x2028, 0x2029) for c in text)
    require(not bad, f"{what}: a control character or line separator")
    return text


def format_time(time_ms, what):
    require(0 < time_ms <= TIME_MS_MAX, f"{what}: not a time")
    days, in_day = divmod(time_ms, 86400000)
    # Civil date from days, Gregorian, without the limits of datetime.
    year = 1970
    while days >= (365 + calendar.isleap(year)):
        days -= 365 + calendar.isleap(year)
        year += 1
    month = 1
    while days >= calendar.monthrange(year, month)[1]:
        days -= calendar.monthrange(year, month)[1]
        month += 1
    seconds, ms = divmod(in_day, 1000)
    return (f"{year:04}-{month:02}-{days + 1:02}T{seconds // 3600:02}:{seconds // 60 % 60:02}:"
            f"{seconds % 60:02}.{ms:03}Z")


def read_canonical_message(data, fields, what):
    """fields: number -> (name, "uint32", "uint64" or "bytes"). Absent fields are 0 or empty."""
    values = {name: b"" if kind == "bytes" else 0 for name, kind in fields.values()}
    at = last = 0

    def varint():
        nonlocal at
        value = 0
        for i in range(10):
            require(at < len(data), f"{what}: cut off")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                require((byte != 0 or i == 0) and value < 1 << 64, f"{what}: not a minimal varint")
                return value
        raise Refused(f"{what}: a varint of more than 64 bits")

    while at < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        require(number in fields, f"{what}: unknown field {number}")
        require(number > last, f"{what}: field {number} repeated or out of order")
        last = number
        name, kind = fields[number]
        require(wire == (2 if kind == "bytes" else 0), f"{what}: {name} has another wire type")
        value = varint()
        if kind == "bytes":
            require(value <= len(data) - at, f"{what}: {name} is cut off")
            values[name] = data[at:at + value]
            at += value
        else:
            require(kind == "uint64" or value < 1 << 32, f"{what}: {name} is over 32 bits")
            values[name] = value
        require(values[name], f"{what}: {name} is written with its default value")
    return values


# --- Signature profiles: Ed25519 -----------------------------------------------------------------

P25519 = 2**255 - 19
L25519 = 2**252 + 27742317777372353535851937790883648493
D25519 = -121665 * pow(121666, -1, P25519) % P25519
ROOT_OF_MINUS_ONE = pow(2, (P25519 - 1) // 4, P25519)
NEUTRAL = (0, 1, 1, 0)  # extended coordinates X, Y, Z, T


def ed_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P25519
    b = (p[1] + p[0]) * (q[1] + q[0]) % P25519
    c = 2 * p[3] * q[3] * D25519 % P25519
    d = 2 * p[2] * q[2] % P25519
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P25519, g * h % P25519, f * g % P25519, e * h % P25519


def ed_mul(scalar, point):
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = ed_add(result, point)
        point = ed_add(point, point)
        scalar >>= 1
    return result


def ed_encode(point):
    inverse = pow(point[2], -1, P25519)
    x, y = point[0] * inverse % P25519, point[1] * inverse % P25519
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed_decode(data):
    """None if it is not a point. Takes non-canonical encodings too."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P25519
    square = (y * y - 1) * pow(D25519 * y * y + 1, -1, P25519) % P25519
    x = pow(square, (P25519 + 3) // 8, P25519)
    if x * x % P25519 != square:
        x = x * ROOT_OF_MINUS_ONE % P25519
    if x * x % P25519 != square:
        return None
    if x & 1 != sign:
        x = -x % P25519
    return x, y, 1, x * y % P25519


ED_BASE = ed_decode((4 * pow(5, -1, P25519) % P25519).to_bytes(32, "little"))


def ed_is_small_order(point):
    p = ed_mul(8, point)
    return p[0] % P25519 == 0 and (p[1] - p[2]) % P25519 == 0


def ed_is_canonical(data):
    """The one encoding of the point it decodes to. Says nothing of what does not decode."""
    point = ed_decode(data)
    return point is not None and ed_encode(point) == data


def ed25519_equation(public_key, message, signature):
    """S < L and encode(S·B - k·A) = R."""
    a = ed_decode(public_key)
    s = int.from_bytes(signature[32:], "little")
    if a is None or len(signature) != 64 or s >= L25519:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L25519
    minus_a = (-a[0] % P25519, a[1], a[2], -a[3] % P25519)
    return ed_encode(ed_add(ed_mul(s, ED_BASE), ed_mul(k, minus_a))) == signature[:32]


def ed25519_strict(public_key, message, signature):
    if len(public_key) != 32 or len(signature) != 64:
        return False
    for encoding in (public_key, signature[:32]):
        if not ed_is_canonical(encoding) or ed_is_small_order(ed_decode(encoding)):
            return False
    return ed25519_equation(public_key, message, signature)


# --- Signature profiles: ECDSA P-256 -------------------------------------------------------------

P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
B256 = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G256 = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def p256_add(p, q):
    """Affine; None is infinity."""
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % P256 == 0:
            return None
        slope = (3 * p[0] * p[0] - 3) * pow(2 * p[1], -1, P256)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P256)
    x = (slope * slope - p[0] - q[0]) % P256
    return x, (slope * (p[0] - x) - p[1]) % P256


def p256_mul(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = p256_add(result, point)
        point = p256_add(point, point)
        scalar >>= 1
    return result


def p256_point(data):
    """Of the 65 bytes of an uncompressed point; None if it is not on the curve."""
    x, y = int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")
    on_curve = x < P256 and y < P256 and (y * y - x**3 + 3 * x - B256) % P256 == 0
    return (x, y) if on_curve else None


def ecdsa_p256(point, message, r, s):
    if not (1 <= r < N256 and 1 <= s < N256):
        return False
    w = pow(s, -1, N256)
    e = int.from_bytes(sha256(message), "big")
    q = p256_add(p256_mul(e * w % N256, G256), p256_mul(r * w % N256, point))
    return q is not None and q[0] % N256 == r


# --- X.509 profile: form of one certificate ------------------------------------------------------

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, ENUMERATED = 1, 2, 3, 4, 5, 6, 10
UTF8_STRING, PRINTABLE_STRING, UTC_TIME, GENERALIZED_TIME = 12, 19, 23, 24
SEQUENCE, SET = 0x30, 0x31


def der_next(data, what):
    """tag, content, encoding, rest"""
    require(len(data) >= 2 and data[0] & 0x1F != 0x1F, f"{what}: not a DER element")
    length, header = data[1], 2
    if length >= 0x80:
        count = length & 0x7F
        require(1 <= count <= 3 and len(data) >= 2 + count, f"{what}: a DER length of the wrong form")
        length, header = int.from_bytes(data[2:2 + count], "big"), 2 + count
        require(length >= 0x80 and data[2] != 0, f"{what}: a DER length not in its shortest form")
    require(length <= len(data) - header, f"{what}: a DER element longer than what holds it")
    end = header + length
    return data[0], data[header:end], data[:end], data[end:]


def der_all(data, what):
    """The elements of a run: [(tag, content, encoding)]."""
    elements = []
    while data:
        tag, content, encoding, data = der_next(data, what)
        elements.append((tag, content, encoding))
    return elements


def der_one(data, tag, what):
    elements = der_all(data, what)
    require(len(elements) == 1 and elements[0][0] == tag, f"{what}: another ASN.1 type than expected")
    return elements[0][1]


def is_minimal_integer(content):
    if len(content) < 2:
        return len(content) == 1
    return not (content[0] == 0 and content[1] < 0x80 or content[0] == 0xFF and content[1] >= 0x80)


def is_der_primitive(tag, content):
    if tag == BOOLEAN:
        return content in (b"\x00", b"\xff")
    if tag in (INTEGER, ENUMERATED):
        return is_minimal_integer(content)
    if tag == BIT_STRING:
        unused = content[0] if content else 8
        if len(content) == 1:
            return unused == 0
        return unused <= 7 and content[-1] & (1 << unused) - 1 == 0
    if tag == NULL:
        return content == b""
    if tag == OID:
        starts = [i for i in range(len(content)) if i == 0 or content[i - 1] < 0x80]
        return bool(content) and content[-1] < 0x80 and all(content[i] != 0x80 for i in starts)
    if tag == UTF8_STRING:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True
    if tag == PRINTABLE_STRING:
        return re.fullmatch(rb"[A-Za-z0-9 '()+,\-./:=?]*", content) is not None
    if tag == UTC_TIME:
        return re.fullmatch(rb"[0-9]{12}Z", content) is not None
    if tag == GENERALIZED_TIME:
        return re.fullmatch(rb"[0-9]{14}Z", content) is not None
    return tag not in (0, SEQUENCE & 0x1F, SET & 0x1F)


def check_der(data, what, depth=0):
    """Strict DER throughout: one element and everything inside it."""
    tag, content, _, rest = der_next(data, what)
    require(not rest, f"{what}: bytes after the end")
    if not tag & 0x20:
        require(tag & 0xC0 or is_der_primitive(tag, content), f"{what}: a value that is not DER")
        return
    require(tag & 0xC0 or tag in (SEQUENCE, SET), f"{what}: a string in pieces")
    require(depth < 16, f"{what}: nested more than 16 deep")
    encodings = [encoding for _, _, encoding in der_all(content, what)]
    for encoding in encodings:
        check_der(encoding, what, depth + 1)
    require(tag != SET or encodings == sorted(encodings), f"{what}: a SET out of order")


def oid(text):
    first, second, *rest = (int(arc) for arc in text.split("."))
    out = b""
    for arc in [40 * first + second, *rest]:
        digits = [arc & 0x7F]
        while arc > 0x7F:
            arc >>= 7
            digits.append(arc & 0x7F | 0x80)
        out += bytes(reversed(digits))
    return out


ECDSA_WITH_SHA256, ID_ED25519 = oid("1.2.840.10045.4.3.2"), oid("1.3.101.112")
EC_PUBLIC_KEY, PRIME256V1 = oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")
COMMON_NAME = oid("2.5.4.3")
BASIC_CONSTRAINTS, KEY_USAGE, NAME_CONSTRAINTS = oid("2.5.29.19"), oid("2.5.29.15"), oid("2.5.29.30")
SUBJECT_KEY_ID, AUTHORITY_KEY_ID, EXT_KEY_USAGE = oid("2.5.29.14"), oid("2.5.29.35"), oid("2.5.29.37")
ANY_EXT_KEY_USAGE, CLIENT_AUTH = oid("2.5.29.37.0"), oid("1.3.6.1.5.5.7.3.2")
DIGITAL_SIGNATURE, KEY_CERT_SIGN = 0, 5


class Certificate:
    """One X.509 certificate of the profile's form."""

    def __init__(self, data, what):
        self.what, self.data = what, data
        require(len(data) <= X509_BYTES_MAX, f"{what}: over {X509_BYTES_MAX} bytes")
        check_der(data, what)
        parts = der_all(der_one(data, SEQUENCE, what), what)
        require([tag for tag, _, _ in parts] == [SEQUENCE, SEQUENCE, BIT_STRING], f"{what}: not X.509")
        self.tbs = parts[0][2]
        self.signature_scheme = self._algorithm(parts[1][1])
        self._read_tbs(parts[0][1], parts[1][2])
        require(parts[2][1][:1] == b"\x00", f"{what}: a signature of part of a byte")
        self._read_signature(parts[2][1][1:])

    def _algorithm(self, content):
        schemes = {ECDSA_WITH_SHA256: ECDSA_P256, ID_ED25519: ED25519}
        algorithm = der_one(content, OID, self.what)
        require(algorithm in schemes, f"{self.what}: another signature algorithm")
        return schemes[algorithm]

    def _read_tbs(self, content, outer_algorithm):
        what, fields = self.what, der_all(content, self.what)
        tags = [0xA0, INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, 0xA3]
        require([tag for tag, _, _ in fields] == tags, f"{what}: fields missing, unknown or out of order")
        version, serial, algorithm, issuer, validity, subject, spki, extensions = fields
        require(version[1] == b"\x02\x01\x02", f"{what}: not version 3")
        require(len(serial[1]) <= 20 and int.from_bytes(serial[1], "big", signed=True) > 0,
                f"{what}: serial number")
        require(algorithm[2] == outer_algorithm, f"{what}: two signature algorithms")
        self.issuer, self.subject = issuer[2], subject[2]
        require(issuer[1], f"{what}: no issuer")
        times = der_all(validity[1], what)
        require(len(times) == 2, f"{what}: validity")
        self.not_before_ms = 1000 * self._seconds(times[0])
        self.not_after_ms = 1000 * self._seconds(times[1]) + 999
        require(self.not_before_ms < self.not_after_ms, f"{what}: validity ends before it begins")
        self.common_name = self._common_name(subject[1])
        self._read_key(spki[1])
        self._read_extensions(der_one(extensions[1], SEQUENCE, what))

    def _seconds(self, element):
        tag, content, _ = element
        require(tag in (UTC_TIME, GENERALIZED_TIME), f"{self.what}: not a time")
        digits = content[:-1].decode()
        if tag == UTC_TIME:
            digits = ("19" if digits >= "50" else "20") + digits
        else:
            require(digits >= "2050", f"{self.what}: GeneralizedTime before 2050")
        year, month, day, hour, minute, second = (
            int(digits[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)))
        real = (year >= 1970 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
                and hour <= 23 and minute <= 59 and second <= 59)
        require(real, f"{self.what}: not a date since 1970")
        return calendar.timegm((year, month, day, hour, minute, second))

    def _common_name(self, content):
        names = []
        for tag, relative, _ in der_all(content, self.what):
            require(tag == SET, f"{self.what}: subject")
            for inner, attribute, _ in der_all(relative, self.what):
                parts = der_all(attribute, self.what)
                require(inner == SEQUENCE and len(parts) == 2 and parts[0][0] == OID, f"{self.what}: subject")
                if parts[0][1] == COMMON_NAME:
                    names.append(parts[1])
        require(len(names) == 1 and names[0][0] in (UTF8_STRING, PRINTABLE_STRING),
                f"{self.what}: not exactly one common name")
        name = names[0][1].decode("utf-8")
        require(1 <= len(name) <= 64 and all(ord(c) >= 0x20 and ord(c) != 0x7F for c in name),
                f"{self.what}: the common name is not 1 to 64 characters")
        return name

    def _read_key(self, content):
        parts = der_all(content, self.what)
        require([tag for tag, _, _ in parts] == [SEQUENCE, BIT_STRING], f"{self.what}: public key")
        algorithm, bits = [(tag, value) for tag, value, _ in der_all(parts[0][1], self.what)], parts[1][1]
        require(bits[:1] == b"\x00", f"{self.what}: public key")
        self.key = bits[1:]
        if algorithm == [(OID, ID_ED25519)]:
            self.key_scheme = ED25519
            require(len(self.key) == 32, f"{self.what}: an Ed25519 key has 32 bytes")
            point = ed_decode(self.key)
            require(int.from_bytes(self.key, "little") & (1 << 255) - 1 < P25519
                    and (point is None or not ed_is_small_order(point)), f"{self.what}: an unfit Ed25519 key")
            return
        require(algorithm == [(OID, EC_PUBLIC_KEY), (OID, PRIME256V1)], f"{self.what}: another kind of key")
        self.key_scheme = ECDSA_P256
        require(len(self.key) == 65 and self.key[0] == 4 and p256_point(self.key) is not None,
                f"{self.what}: not an uncompressed point of P-256")

    def _read_extensions(self, content):
        self.is_ca, self.path_length, self.key_usage = False, None, None
        self.subject_key_id = self.authority_key_id = None
        seen = set()
        for tag, extension, _ in der_all(content, self.what):
            parts = [(inner, value) for inner, value, _ in der_all(extension, self.what)]
            critical = len(parts) == 3 and parts[1] == (BOOLEAN, b"\xff")
            require(tag == SEQUENCE and (len(parts) == 2 or critical) and parts[0][0] == OID
                    and parts[-1][0] == OCTET_STRING, f"{self.what}: extension")
            name, value = parts[0][1], parts[-1][1]
            require(name not in seen, f"{self.what}: an extension twice")
            seen.add(name)
            self._read_extension(name, critical, value)
        require(self.is_ca == (KEY_CERT_SIGN in (self.key_usage or ())), f"{self.what}: CA and keyCertSign")

    def _read_extension(self, name, critical, value):
        known = (BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_ID, AUTHORITY_KEY_ID, EXT_KEY_USAGE)
        if name in known:
            check_der(value, self.what)
        require(not critical or name in (BASIC_CONSTRAINTS, KEY_USAGE), f"{self.what}: critical extension")
        require(name != NAME_CONSTRAINTS, f"{self.what}: name constraints")
        if name == BASIC_CONSTRAINTS:
            parts = [(tag, content) for tag, content, _ in der_all(der_one(value, SEQUENCE, self.what), self.what)]
            self.is_ca = parts[:1] == [(BOOLEAN, b"\xff")]
            require(critical or not self.is_ca, f"{self.what}: a CA's basicConstraints are critical")
            rest = parts[1:] if self.is_ca else parts
            if rest and self.is_ca:
                require(rest[0][0] == INTEGER, f"{self.what}: path length")
                self.path_length = int.from_bytes(rest.pop(0)[1], "big", signed=True)
                require(0 <= self.path_length < 1 << 31, f"{self.what}: path length")
            require(not rest, f"{self.what}: basicConstraints")
        elif name == KEY_USAGE:
            bits = der_one(value, BIT_STRING, self.what)
            require(2 <= len(bits) <= 3 and bits[-1] >> bits[0] & 1, f"{self.what}: keyUsage")
            self.key_usage = {i for i in range(8 * (len(bits) - 1)) if bits[1 + i // 8] & 0x80 >> i % 8}
        elif name == SUBJECT_KEY_ID:
            self.subject_key_id = der_one(value, OCTET_STRING, self.what)
        elif name == AUTHORITY_KEY_ID:
            parts = der_all(der_one(value, SEQUENCE, self.what), self.what)
            require(parts and parts[0][0] == 0x80, f"{self.what}: authorityKeyIdentifier")
            self.authority_key_id = parts[0][1]
        elif name == EXT_KEY_USAGE:
            usages = [(tag, usage) for tag, usage, _ in der_all(der_one(value, SEQUENCE, self.what), self.what)]
            require(all(tag == OID for tag, _ in usages) and
                    {usage for _, usage in usages} & {ANY_EXT_KEY_USAGE, CLIENT_AUTH}, f"{self.what}: extKeyUsage")

    def _read_signature(self, octets):
        self.signature = octets
        if self.signature_scheme == ED25519:
            require(len(octets) == 64, f"{self.what}: an Ed25519 signature has 64 bytes")
            return
        check_der(octets, self.what)
        numbers = der_all(der_one(octets, SEQUENCE, self.what), self.what)
        require(len(numbers) == 2 and all(tag == INTEGER and content[0] < 0x80 and len(content) <= 33
                                          for tag, content, _ in numbers), f"{self.what}: ECDSA signature")
        self.r, self.s = (int.from_bytes(content, "big") for _, content, _ in numbers)

    def is_signed_by(self, issuer):
        if self.signature_scheme != issuer.key_scheme:
            return False
        if self.signature_scheme == ED25519:
            return ed25519_equation(issuer.key, self.tbs, self.signature)
        return ecdsa_p256(p256_point(issuer.key), self.tbs, self.r, self.s)


# --- X.509 profile: chain ------------------------------------------------------------------------


def verify_chain(chain, root, time_ms):
    for i, certificate in enumerate(chain):
        require(certificate.data != root.data, "the chain contains the trusted CA")
        require(certificate.issuer != certificate.subject, f"{certificate.what} is self-issued")
    leaf = chain[0]
    require(not leaf.is_ca, "the first certificate is a CA's")
    require(DIGITAL_SIGNATURE in (leaf.key_usage or ()), "the first certificate lacks digitalSignature")
    require(root.is_ca and root.issuer == root.subject, "the trusted certificate is not a root CA's")
    require(root.subject_key_id is not None and root.authority_key_id in (None, root.subject_key_id),
            "the trusted CA's key identifiers")
    require(root.is_signed_by(root), "the trusted CA's own signature does not verify")
    for below, (certificate, issuer) in enumerate(zip(chain, [*chain[1:], root])):
        require(issuer.is_ca, f"{issuer.what} is not a CA's")
        require(certificate.issuer == issuer.subject, f"{certificate.what} was issued by another name")
        require(None not in (certificate.authority_key_id, issuer.subject_key_id)
                and certificate.authority_key_id == issuer.subject_key_id, f"{certificate.what}: key identifiers")
        require(issuer.path_length is None or issuer.path_length >= below, f"{issuer.what}: path length")
        require(certificate.is_signed_by(issuer), f"{certificate.what}: its signature does not verify")
    for certificate in [*chain, root]:
        require(certificate.not_before_ms <= time_ms <= certificate.not_after_ms,
                f"{certificate.what} was not valid then")


# --- Events and the log --------------------------------------------------------------------------

EVENT = {1: ("version", "uint32"), 2: ("index", "uint64"), 3: ("block_height", "uint64"),
         4: ("block_time_ms", "uint64"), 5: ("transaction_id", "bytes"), 6: ("signer_scheme", "uint32"),
         7: ("signer_public_key", "bytes"), 8: ("contract", "bytes"), 9: ("type", "bytes"),
         10: ("subject", "bytes"), 11: ("data", "bytes")}
RECORD = {1: ("id", "bytes"), 2: ("owner", "bytes"), 3: ("type", "bytes"), 4: ("title", "bytes"),
          5: ("document_sha256", "bytes"), 6: ("commitment", "bytes"), 7: ("registered_at_ms", "uint64"),
          8: ("revision", "uint64")}


def record_json(data, event_type):
    record = read_canonical_message(data, RECORD, "data")
    require(len(record["id"]) == 32, "data.id")
    require(re.fullmatch(rb"[a-z0-9-]{2,32}", record["owner"]), "data.owner")
    require(record["type"].decode("latin-1") in TYPES, "data.type")
    title = text_line(record["title"], 512, "data.title")
    names = [name for name in ("document_sha256", "commitment") if record[name]]
    require(len(names) == 1 and len(record[names[0]]) == 32, "data.document_sha256 or data.commitment")
    require(record["revision"] >= 1 and (record["revision"] == 1) == (event_type == "registered"), "data.revision")
    return {"id": record["id"].hex(), "owner": record["owner"].decode(), "type": record["type"].decode(),
            "title": title, names[0]: record[names[0]].hex(), "revision": record["revision"],
            "registered_at": format_time(record["registered_at_ms"], "data.registered_at")
            }, record["registered_at_ms"]


def event_json(leaf):
    """Of an event of contract registry."""
    event = read_canonical_message(leaf, EVENT, "leaf")
    require(event["version"] == 1, "leaf: version")
    require(event["block_height"] > 0, "leaf: block_height")
    require(len(event["transaction_id"]) == 32, "leaf: transaction_id")
    key_bytes = {ECDSA_P256: 33, ED25519: 32}.get(event["signer_scheme"])
    require(key_bytes == len(event["signer_public_key"]), "leaf: signer")
    require(event["contract"] == b"registry", "leaf: not an event of a record")
    require(event["type"] in (b"registered", b"transferred"), "leaf: type")
    data, registered_at_ms = record_json(event["data"], event["type"].decode())
    require(event["subject"].hex() == data["id"], "leaf: subject")
    first, time_ms = event["type"] == b"registered", event["block_time_ms"]
    require(registered_at_ms == time_ms if first else registered_at_ms <= time_ms, "leaf: registered_at")
    # Certificate file, step 3. Times are text of one width: in order as text.
    block_time = format_time(event["block_time_ms"], "leaf: block_time")
    registered_at = data["registered_at"]
    require(registered_at == block_time if event["type"] == b"registered" else registered_at <= block_time,
            "leaf: registered at another time than its event allows")
    return {"version": 1, "index": event["index"], "block_height": event["block_height"],
            "block_time": block_time,
            "transaction_id": event["transaction_id"].hex(),
            "signer": {"scheme": SCHEME_NAMES[event["signer_scheme"]],
                       "public_key": event["signer_public_key"].hex()},
            "contract": "registry", "type": event["type"].decode(), "subject": data["id"],
            "data": data}, event["block_time_ms"]


# --- Proofs, Checkpoints -------------------------------------------------------------------------


def inclusion_root(leaf_hash, index, size, proof):
    inner = (index ^ (size - 1)).bit_length()
    border = bin(index >> inner).count("1")
    require(len(proof) == inner + border, "inclusion.proof: another number of hashes")
    node = leaf_hash
    for i, sibling in enumerate(proof):
        left = i >= inner or index >> i & 1
        node = sha256(b"\x01" + (sibling + node if left else node + sibling))
    return node


def read_checkpoint(note, origin, public_key):
    """Size and root, once the signature is found right."""
    data = note.encode("utf-8")
    require(len(data) <= CHECKPOINT_BYTES_MAX, "checkpoint: too long")
    form = re.fullmatch(r"(([!-*,-~]{1,255})\n(0|[1-9][0-9]{0,19})\n([^\n]*)\n)\n\u2014 ([^ \n]*) ([^\n]*)\n", note)
    require(form, "checkpoint: not a signed note of three lines and one signature")
    body, name, size, root, key_name, value = form.groups()
    root, value = read_base64(root, "checkpoint"), read_base64(value, "checkpoint")
    require(len(root) == 32 and len(value) == 68 and int(size) <= TREE_SIZE_MAX, "checkpoint: form")
    require(name == key_name == origin, "checkpoint: another log")
    key_id = sha256(origin.encode() + b"\n\x01" + public_key)[:4]
    require(value[:4] == key_id, "checkpoint: another key")
    require(ed25519_strict(public_key, body.encode(), value[4:]), "checkpoint: the signature does not verify")
    return int(size), root


# --- Certificate file ----------------------------------------------------------------------------


def canonical(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def commitment(salt, document_sha256):
    return sha256(b"colophon commitment v1\x00" + salt + document_sha256)


def read_parts(file):
    """The six members from which everything else follows; checked when the file is built anew."""
    try:
        value = json.loads(file.decode("utf-8"))
        parts = {"leaf": value["leaf"], "checkpoint": value["checkpoint"], "chain": value["chain"],
                 "index": value["inclusion"]["index"], "size": value["inclusion"]["size"],
                 "proof": value["inclusion"]["proof"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("not a certificate file") from None
    texts = [parts["leaf"], parts["checkpoint"], *parts["chain"], *parts["proof"]] if (
        isinstance(parts["chain"], list) and isinstance(parts["proof"], list)) else [None]
    require(all(isinstance(text, str) for text in texts), "a member of another type")
    require(all(type(parts[name]) is int and 0 <= parts[name] < 1 << 64 for name in ("index", "size")),
            "inclusion: not whole numbers")
    require(1 <= len(parts["chain"]) <= 4 and len(parts["proof"]) <= 48, "chain or inclusion.proof: too many")
    require(all(re.fullmatch(r"[0-9a-f]{64}", text) for text in parts["proof"]), "inclusion.proof: not hashes")
    return parts


def build_file(parts, leaf, event):
    return canonical({
        "format": "colophon-certificate", "version": 1, "record": event["data"], "event": event,
        "leaf": parts["leaf"], "checkpoint": parts["checkpoint"], "chain": parts["chain"],
        "inclusion": {"hash": "sha256", "index": parts["index"], "size": parts["size"],
                      "leaf_hash": sha256(b"\x00" + leaf).hex(), "proof": parts["proof"]}}) + b"\n"


def check_document(record, document, salt):
    digest = sha256(document)
    if "commitment" in record:
        require(salt is not None and len(salt) == 32, "the record holds a commitment: give its 32-byte salt")
        require(commitment(salt, digest).hex() == record["commitment"], "document and salt: not what was registered")
    else:
        require(salt is None, "the record holds a hash: leave the salt out")
        require(digest.hex() == record["document_sha256"], "document: not what was registered")


def verify(file, document, trust_der, salt=None):
    """Raises Refused, or returns the event."""
    require(len(file) <= CERTIFICATE_FILE_BYTES_MAX, "the file is too long")
    parts = read_parts(file)
    leaf = read_base64(parts["leaf"], "leaf")
    event, block_time_ms = event_json(leaf)
    try:
        rebuilt = build_file(parts, leaf, event)
    except UnicodeEncodeError:
        raise Refused("not UTF-8") from None
    require(rebuilt == file, "not canonical, or its parts contradict each other")
    require(event["index"] == parts["index"], "inclusion.index is not the event's")
    check_document(event["data"], document, salt)
    ders = [read_base64(text, f"chain[{i}]") for i, text in enumerate(parts["chain"])]
    log_key = Certificate(ders[0], "chain[0]")
    require(not log_key.is_ca and log_key.key_scheme == ED25519, "chain[0] is not for the key of a log")
    size, root = read_checkpoint(parts["checkpoint"], log_key.common_name, log_key.key)
    require(size == parts["size"], "inclusion.size is not the checkpoint's")
    require(parts["index"] < size, "the checkpoint does not cover the event")
    proof = [bytes.fromhex(text) for text in parts["proof"]]
    require(inclusion_root(sha256(b"\x00" + leaf), parts["index"], size, proof) == root,
            "the proof does not lead to the checkpoint's root")
    chain = [log_key] + [Certificate(der, f"chain[{i}]") for i, der in enumerate(ders) if i > 0]
    for certificate in chain:
        require(certificate.signature_scheme == ED25519 or certificate.s <= (N256 - 1) // 2,
                f"{certificate.what}: s of its ECDSA signature is in the upper half")
    verify_chain(chain, Certificate(trust_der, "the trusted CA"), block_time_ms)
    return event


def read_pem(text):
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----\n(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    require(len(blocks) == 1, "--trust: not one PEM certificate")
    return base64.b64decode(blocks[0])


def main():
    parser = argparse.ArgumentParser(description="Checks a Colophon certificate file offline.")
    parser.add_argument("certificate")
    parser.add_argument("--document", required=True)
    parser.add_argument("--trust", required=True)
    parser.add_argument("--salt")
    options = parser.parse_args()

    def read(path):
        with open(path, "rb") as file:
            return file.read()

    try:
        salt = bytes.fromhex(read(options.salt).decode()) if options.salt else None
        trust = read_pem(read(options.trust).decode())
        event = verify(read(options.certificate), read(options.document), trust, salt)
    except Refused as reason:
        print(f"refused: {reason}")
        return 1
    print(f"valid: record {event['subject']}, owner {event['data']['owner']}, {event['type']} {event['block_time']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
