#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The running server against node/api/openapi.json: every operation and every response that it
documents and that can be provoked is provoked; every answer must be one of those documented for its
operation, with that content type and that form. usage: openapi_check.py SERVER OPENAPI_JSON"""
import http.client
import json
import re
import socket
import subprocess
import sys
import urllib.parse
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # RefResolver: its successor is not in Debian 12
import jsonschema  # noqa: E402

# Documented and not provoked here: they need a defect or a machine without memory. Damage to stored
# data (500) is in tests/node/fsck_test.cc and tests/node/api_test.cc.
NOT_PROVOKED = {"500"}
NOT_PROVOKED_FOR_READS = {"503"}

failures = []


def check(condition, message):
    if not condition:
        failures.append(message)
        print("FAILED:", message)
    return condition


class Server:
    """The program under test, and its disk and token."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "simulate"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.read_address()

    def read_address(self):
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
        if not match:
            raise SystemExit(f"the server did not start: {line!r}")
        self.port = int(match[1])

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        if command == "restart":
            self.read_address()
        else:
            self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        check(self.process.wait(60) == 0, "the server ends with status 0")


class Description:
    def __init__(self, text):
        self.document = json.loads(text)
        self.resolver = jsonschema.RefResolver.from_schema(self.document)
        for name, schema in self.document["components"]["schemas"].items():
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                check(False, f"schema {name}: {error.message}")

    def resolve(self, value):
        while "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def find(self, method, path):
        """The operation of a request, its path template and what stands for its parameters."""
        for known, template, operation in self.operations():
            names = re.findall(r"{(\w+)}", template)
            pattern = re.sub(r"\\{\w+\\}", r"([^/]+)", re.escape(template))
            match = re.fullmatch(pattern, path)
            if known == method and match:
                return template, operation, dict(zip(names, match.groups()))
        return None, None, None

    def errors(self, schema, value):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        return [f"{list(error.absolute_path)}: {error.message}" for error in
                validator.iter_errors(value)]


class Checker:
    def __init__(self, server, description):
        self.server = server
        self.description = description
        self.seen = set()

    def raw(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def ask(self, expected, method, path, query=None, body=None, content_type="application/json"):
        """A request that a documented operation takes; its answer's body."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        name = f"{method} {target[:100]}"
        headers = {"Content-Type": content_type} if body is not None else {}
        answer, content = self.raw(method, target, body, headers)
        template, operation, arguments = self.description.find(method, path)
        if not check(operation, f"{name}: the description has no such operation"):
            return None
        status = str(answer.status)
        check(answer.status == expected, f"{name}: status {status} instead of {expected}: {content[:200]}")
        response = operation["responses"].get(status)
        if not check(response, f"{name}: status {status} is not described"):
            return None
        self.seen.add((method, template, status))
        if expected < 400:
            self.check_parameters(name, operation, arguments, query or {})
        return self.check_content(name, self.description.resolve(response), answer, content)

    def check_parameters(self, name, operation, arguments, query):
        """What was accepted is also what the description allows."""
        described = {}
        for parameter in operation.get("parameters", []):
            parameter = self.description.resolve(parameter)
            described[(parameter["in"], parameter["name"])] = parameter
        given = {("path", key): value for key, value in arguments.items()}
        given.update({("query", key): value for key, value in query.items()})
        for key, value in given.items():
            if not check(key in described, f"{name}: the parameter {key} is not described"):
                continue
            schema = described[key]["schema"]
            text = str(value)
            number = self.description.resolve(schema).get("type") == "integer"
            errors = self.description.errors(schema, int(text) if number else text)
            check(not errors, f"{name}: {key} is accepted, the description says {errors}")
        for key, parameter in described.items():
            check(not parameter.get("required") or key in given, f"{name}: accepted without {key}")

    def check_content(self, name, response, answer, content):
        contents = response.get("content", {})
        content_type = answer.getheader("Content-Type")
        if not check(content_type in contents, f"{name}: {content_type} is not described"):
            return None
        check(int(answer.getheader("Content-Length")) == len(content), f"{name}: Content-Length")
        schema = contents[content_type].get("schema", {})
        if content_type == "application/json":
            value = json.loads(content.decode("utf-8"))
        else:
            value = content.decode("utf-8")
        errors = self.description.errors(schema, value)
        check(not errors, f"{name}: the body is not as described: {errors[:3]}")
        return value

    def check_error(self, name, answer, content, status):
        check(answer.status == status, f"{name}: status {answer.status} instead of {status}")
        check(answer.getheader("Content-Type") == "application/json", f"{name}: content type")
        errors = self.description.errors({"$ref": "#/components/schemas/Error"}, json.loads(content))
        check(not errors, f"{name}: not an Error: {errors}")

    def submit(self, expected, body):
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        if expected < 400:
            schema = self.description.find("POST", "/v1/transactions")[1]["requestBody"]["content"]
            errors = self.description.errors(schema["application/json"]["schema"], json.loads(text))
            check(not errors, f"POST: accepted, the description says {errors[:3]}")
        return self.ask(expected, "POST", "/v1/transactions", body=text)


# --- what is asked -----------------------------------------------------------------------------------


def check_empty(checker):
    """Before the first block."""
    status = checker.ask(200, "GET", "/v1/status")
    check(status["height"] == 0 and status["block_time"] is None, "an empty chain has height 0")
    checker.ask(200, "GET", "/v1/log/checkpoint")
    checker.ask(400, "GET", "/v1/log/proof/inclusion", {"index": 0})
    checker.ask(400, "GET", "/v1/log/proof/consistency", {"from": 1})


def check_submissions(checker, prepared):
    for one in prepared["founding"]:
        checker.submit(201, {"transaction": one})
    registrations = prepared["registrations"]
    receipt = checker.submit(201, {"transaction": registrations[0]})
    check(receipt["transaction_id"] == prepared["transaction_ids"][0], "the receipt has the id")
    check(receipt["subjects"] == [prepared["record_ids"][0]], "the receipt has the record's id")
    checker.submit(201, {"transaction": prepared["transfer"]})
    for one in registrations[1:80]:  # a block each, so that there is more than one page of a table
        checker.submit(201, {"transaction": one})
    results = checker.submit(200, {"transactions": registrations[80:100] + ["AA==", registrations[0]]})
    codes = [one.get("error", {}).get("code") for one in results["results"]]
    check(codes == [None] * 20 + ["malformed", "already_exists"], f"each in its place: {codes}")

    checker.submit(400, "")
    checker.submit(400, {"transaction": "AA=="})
    checker.submit(400, {"transactions": []})
    checker.submit(400, b'{"transaction":"\xff"}')
    checker.ask(400, "POST", "/v1/transactions", {"x": 1}, body="{}")
    checker.submit(403, {"transaction": prepared["stranger"]})
    checker.submit(404, {"transaction": prepared["unknown_contract"]})
    checker.submit(409, {"transaction": registrations[0]})
    checker.submit(413, {"transactions": ["AA=="] * 4097})
    checker.submit(413, {"transaction": "A" * 90000})
    checker.submit(413, " " * (8 * 1024 * 1024 + 1))
    checker.ask(415, "POST", "/v1/transactions", body="{}", content_type="text/plain")
    checker.submit(422, {"transaction": prepared["forged"]})
    checker.submit(422, {"transaction": prepared["expired"]})
    checker.submit(422, {"transaction": prepared["future"]})


def check_reads(checker, prepared):
    record, transaction = prepared["record_ids"][0], prepared["transaction_ids"][0]
    key, unknown = prepared["key_id"], "0" * 64
    checker.ask(200, "GET", "/v1/health")
    status = checker.ask(200, "GET", "/v1/status")
    size, height = status["log_size"], status["height"]
    check(status["accepting"] and status["reason"] == "", "the node accepts")
    checker.ask(200, "GET", "/")
    checker.ask(200, "GET", "/openapi.json")
    checker.ask(200, "GET", f"/v1/transactions/{transaction}")
    value = checker.ask(200, "GET", f"/v1/records/{record}")
    check(value["owner"] == "globe-press" and value["revision"] == 2, "the record was transferred")
    history = checker.ask(200, "GET", f"/v1/records/{record}/history")
    check([event["type"] for event in history["events"]] == ["registered", "transferred"], "history")
    page = checker.ask(200, "GET", f"/v1/records/{record}/history", {"from": 0, "limit": 1})
    check(page["next"] == 1, "a page names the next")
    checker.ask(200, "GET", f"/v1/records/{record}/history", {"from": 2, "limit": 1000})
    certificate = checker.ask(200, "GET", f"/v1/records/{record}/certificate")
    check(certificate["record"]["id"] == record, "the certificate is of the record")
    checker.ask(200, "GET", "/v1/organizations/acme-studio")
    checker.ask(200, "GET", f"/v1/members/{key}")
    checker.ask(200, "GET", "/v1/log/checkpoint")
    checker.ask(200, "GET", "/v1/log/checkpoint", {"height": height})
    for index in range(0, size, 7):
        checker.ask(200, "GET", f"/v1/log/entries/{index}")
        checker.ask(200, "GET", "/v1/log/proof/inclusion", {"index": index, "size": size})
        checker.ask(200, "GET", "/v1/log/proof/consistency", {"from": index + 1, "to": size})
    checker.ask(200, "GET", "/v1/log/proof/inclusion", {"index": 0})
    checker.ask(200, "GET", "/v1/log/proof/consistency", {"from": 1})

    for path in (f"/v1/transactions/{unknown}", f"/v1/records/{unknown}",
                 f"/v1/records/{unknown}/history", f"/v1/records/{unknown}/certificate",
                 "/v1/organizations/nobody", f"/v1/members/{unknown}", f"/v1/log/entries/{size}"):
        checker.ask(404, "GET", path)
    checker.ask(404, "GET", "/v1/log/checkpoint", {"height": height + 1})
    for path in ("/v1/transactions/x", "/v1/records/X", "/v1/records/x/history",
                 "/v1/records/x/certificate", "/v1/organizations/No%20Body", "/v1/members/x",
                 "/v1/log/entries/x"):
        checker.ask(400, "GET", path)
    for path in ("/", "/metrics", "/openapi.json", "/v1/health", "/v1/status", "/v1/log/checkpoint",
                 f"/v1/transactions/{transaction}"):
        checker.ask(400, "GET", path, {"unknown": 1})
    checker.ask(400, "GET", "/v1/log/proof/inclusion", {"index": size})
    checker.ask(400, "GET", "/v1/log/proof/consistency", {"from": 0})


def check_failures(checker, prepared):
    """A token that is away, a full disk, a disk that cannot be read; each until it is back."""
    server = checker.server
    left = prepared["registrations"][100:]
    server.tell("token away")
    checker.submit(503, {"transaction": left[0]})
    checker.ask(503, "GET", "/v1/health")
    status = checker.ask(200, "GET", "/v1/status")
    check(not status["accepting"] and status["reason"], "the status says why")
    server.tell("token back")
    checker.submit(201, {"transaction": left[0]})
    server.tell("disk full")
    checker.submit(507, {"transaction": left[1]})
    checker.ask(503, "GET", "/v1/health")
    checker.ask(200, "GET", f"/v1/transactions/{prepared['transaction_ids'][0]}")
    server.tell("disk mended")
    checker.submit(201, {"transaction": left[1]})
    checker.ask(200, "GET", "/v1/health")

    server.tell("restart")  # with nothing in memory
    server.tell("disk unreadable")
    record = prepared["record_ids"][0]
    for path in (f"/v1/transactions/{prepared['transaction_ids'][40]}", f"/v1/records/{record}",
                 f"/v1/records/{record}/history", f"/v1/records/{record}/certificate",
                 "/v1/organizations/acme-studio", f"/v1/members/{prepared['key_id']}",
                 "/v1/log/entries/40"):
        checker.ask(507, "GET", path)
    checker.ask(507, "GET", "/v1/log/checkpoint", {"height": 60})
    checker.ask(507, "GET", "/v1/log/proof/inclusion", {"index": 40})
    checker.ask(507, "GET", "/v1/log/proof/consistency", {"from": 41})
    server.tell("disk mended")
    checker.ask(200, "GET", f"/v1/records/{record}")


def check_addresses(checker):
    """What is not described is not there."""
    for path in ("/v1", "/v1/", "/v1/status/", "/favicon.ico", "/v1/records", "/v1/log", "/metrics/x",
                 "/%ff", "/v1/records/a/b", "/v2/status"):
        answer, content = checker.raw("GET", path)
        checker.check_error(f"GET {path}", answer, content, 404)
    described = {}
    for method, path, _ in checker.description.operations():
        described.setdefault(path, set()).add(method)
    for path, methods in described.items():
        concrete = re.sub(r"{\w+}", "1", path)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if method not in methods:
                answer, content = checker.raw(method, concrete, body="" if method == "POST" else None)
                checker.check_error(f"{method} {concrete}", answer, content, 405)
        if "GET" in methods:
            answer, content = checker.raw("HEAD", concrete)
            plain, _ = checker.raw("GET", concrete)
            check(answer.status == plain.status and content == b"", f"HEAD {concrete}")


def check_server_refusals(checker):
    """What the server answers before an operation sees it."""
    for status, request in (
            (400, b"nonsense\r\n\r\n"),
            (400, b"POST /v1/transactions HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
            (411, b"POST /v1/transactions HTTP/1.1\r\n\r\n"),
            (411, b"POST /v1/transactions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            (413, b"POST /v1/transactions HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
            (414, b"GET /" + b"x" * 1000 + b" HTTP/1.1\r\n\r\n"),
            (415, b"POST /v1/transactions HTTP/1.1\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n\r\n1"),
            (416, b"GET / HTTP/1.1\r\nRange: x\r\n\r\n"),
            (431, b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n")):
        with socket.create_connection(("127.0.0.1", checker.server.port), timeout=60) as peer:
            peer.sendall(request)
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            checker.check_error(f"{request[:60]!r}", answer, answer.read(), status)
            description = checker.description.document["info"]["description"]
            check(str(status) in description, f"the description names {status}")


def check_metrics(checker):
    """Prometheus text exposition format 0.0.4."""
    text = checker.ask(200, "GET", "/metrics")
    check(text.endswith("\n"), "metrics end with a line feed")
    types, helps, samples, family = {}, set(), {}, None
    for line in text.splitlines():
        if match := re.fullmatch(r"# HELP ([a-z_:]+) ([^\\]+)", line):
            check(match[1] not in helps, f"{match[1]} has one HELP")
            helps.add(match[1])
            family = match[1]
        elif match := re.fullmatch(r"# TYPE ([a-z_:]+) (counter|gauge|histogram)", line):
            check(match[1] == family and match[1] not in types, f"{match[1]} has one TYPE after HELP")
            types[match[1]] = match[2]
        elif match := re.fullmatch(r'([a-z_:]+)(\{(?:[a-z_]+="[^"\\\n]*",?)*\})? (\d+(?:\.\d+)?)', line):
            base = re.sub(r"_(bucket|sum|count)$", "", match[1]) if types.get(family) == "histogram" \
                else match[1]
            check(base == family, f"{line}: a sample of {family} belongs here")
            check((match[1], match[2]) not in samples, f"{line} is given twice")
            samples[(match[1], match[2])] = float(match[3])
        else:
            check(False, f"not a line of the format: {line!r}")
    for name, kind in types.items():
        check(name.startswith("colophon_"), f"{name}: prefix")
        check((kind == "counter") == name.endswith("_total"), f"{name}: a counter ends in _total")
        if kind == "histogram":
            buckets = [(labels, value) for (sample, labels), value in samples.items()
                       if sample == name + "_bucket"]
            bounds = [float(re.fullmatch(r'\{le="([^"]+)"\}', labels)[1]) for labels, _ in buckets]
            values = [value for _, value in buckets]
            check(bounds == sorted(bounds) and bounds[-1] == float("inf"), f"{name}: bounds")
            check(values == sorted(values), f"{name}: cumulative")
            check(values[-1] == samples[(name + "_count", None)], f"{name}: count")
            check((name + "_sum", None) in samples, f"{name}: sum")
    status = checker.ask(200, "GET", "/v1/status")
    check(samples[("colophon_block_height", None)] == status["height"], "metrics have the height")
    check(samples[("colophon_log_size", None)] == status["log_size"], "metrics have the log's size")
    of_backend = '{backend="%s"}' % status["backend"]
    for name in ("colophon_key_tables", "colophon_key_tables_bytes", "colophon_key_tables_bytes_max"):
        check((name, of_backend) in samples, f"metrics have {name} of the backend")
    check(samples[("colophon_transactions_refused_total", '{code="invalid_signature"}')] >= 1,
          "metrics count what was refused")


def check_all_seen(checker):
    for method, path, operation in checker.description.operations():
        for status in operation["responses"]:
            if status in NOT_PROVOKED:
                continue
            if method == "GET" and path != "/v1/health" and status in NOT_PROVOKED_FOR_READS:
                continue
            check((method, path, status) in checker.seen, f"{method} {path}: {status} was never seen")


def main():
    program, openapi_path = sys.argv[1:]
    with open(openapi_path, encoding="utf-8") as file:
        text = file.read()
    prepared = json.loads(subprocess.run([program, "sign"], check=True, capture_output=True).stdout)
    server = Server(program)
    checker = Checker(server, Description(text))
    _, served = checker.raw("GET", "/openapi.json")
    check(served.decode() == text, "the server describes itself with openapi.json")
    check_empty(checker)
    check_submissions(checker, prepared)
    check_reads(checker, prepared)
    check_metrics(checker)
    check_failures(checker, prepared)
    check_addresses(checker)
    check_server_refusals(checker)
    check_all_seen(checker)
    server.stop()
    print(f"{len(checker.seen)} responses of {len(list(checker.description.operations()))} operations, "
          f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
