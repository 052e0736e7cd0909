# SPDX-License-Identifier: Apache-2.0
"""A consortium to test with: tokens, certificates, a chain's node, and what stands between it and a client."""
import http.server
import json
import os
import select
import signal
import subprocess
import threading
import time
import urllib.request

from program import TIMEOUT_S, Program

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")
PIN = "right 7391"
CHAIN = "test.colophon.example"


def key(token, label):
    return f"pkcs11:token={token};object={label}"


class RunningNode:
    """A node process; `url` is where its API answers."""

    def __init__(self, program, data, prefix=()):
        self.log_path = os.path.join(program.folder, data + ".log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, program.path, "node", "start", "--data", data], cwd=program.folder,
                env=program.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                bufsize=0, restore_signals=False)  # SIGXFSZ stays ignored: a write fails instead
        line = b""
        deadline = time.monotonic() + TIMEOUT_S
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            byte = self.process.stdout.read(1) if ready else b""
            if not byte:
                self.stop(signal.SIGKILL)
                raise AssertionError("the node did not start:\n" + self.log())
            line += byte
        self.url = line.decode().removeprefix("listening on ").strip()

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def stop(self, how=signal.SIGTERM):
        """Its exit status."""
        self.process.send_signal(how)
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=TIMEOUT_S) as reply:
            return json.load(reply)


class World(Program):
    """Tokens, certificates and a chain with two organizations."""

    def __init__(self, program, folder, module):
        os.makedirs(os.path.join(folder, "tokens"))
        configuration = os.path.join(folder, "softhsm2.conf")
        super().__init__(program, folder, SOFTHSM2_CONF=configuration,
                         COLOPHON_PKCS11_MODULE=module)
        # SoftHSM loses memory with each Ed25519 signature; what the program itself loses, other tests see.
        self.environment["ASAN_OPTIONS"] = ":".join(
            filter(None, (self.environment.get("ASAN_OPTIONS"), "detect_leaks=0")))
        self.write("softhsm2.conf", f"directories.tokendir = {folder}/tokens\n"
                                    "objectstore.backend = file\nlog.level = ERROR\n")
        self.secret("pin", PIN)
        self.secret("wrong-pin", "wrong 0000")
        for token, keys in (("consortium", {"ca": "p256", "log": "ed25519", "admin": "p256"}),
                            ("acme", {"ca": "p256", "alice": "p256", "bob": "ed25519"}),
                            ("library", {"ca": "p256", "carol": "p256"})):
            subprocess.run(
                ["softhsm2-util", "--init-token", "--free", "--label", token, "--pin", PIN,
                 "--so-pin", PIN], env=self.environment, check=True, stdout=subprocess.DEVNULL)
            for label, kind in keys.items():
                self.run("hsm", "keygen", "--token", f"pkcs11:token={token}", "--label", label,
                         "--type", kind, "--pin-file", "pin", status=0)
                self.run("hsm", "public-key", "--key", key(token, label), "--pin-file", "pin",
                         "--out", f"{token}-{label}.pem", status=0)
        self.ca("consortium", "Test Consortium CA")
        self.issue("consortium", "log", CHAIN)
        for token in ("acme", "library"):
            self.ca(token, token + " CA")
        for token, label in (("acme", "alice"), ("acme", "bob"), ("library", "carol")):
            self.issue(token, label, label)

    def secret(self, name, content):
        os.chmod(self.write(name, content), 0o600)

    def signed(self, token, label):
        return ("--key", key(token, label), "--pin-file", "pin")

    def ca(self, token, name):
        self.run("ca", "create", *self.signed(token, "ca"), "--name", name,
                 "--out", f"{token}-root.crt", status=0)

    def issue(self, token, label, name):
        self.run("ca", "issue", *self.signed(token, "ca"), "--ca", f"{token}-root.crt", "--public-key",
                 f"{token}-{label}.pem", "--name", name, "--out", f"{token}-{label}.crt", status=0)

    def init(self, data, status=0, **replaced):
        options = {"--data": data, "--chain-id": CHAIN, "--key": key("consortium", "log"),
                   "--pin-file": "pin", "--administrator-key": "consortium-admin.pem",
                   "--certificate-chain": "consortium-log.crt", "--listen": "127.0.0.1:0"}
        options.update({"--" + name.replace("_", "-"): value for name, value in replaced.items()})
        arguments = [text for option in options.items() if option[1] is not None for text in option]
        return self.run("node", "init", *arguments, status=status)

    def configure(self, data, **members):
        """Edits node.json as an operator does; None removes a member."""
        configuration = json.loads(self.read(data + "/node.json"))
        configuration.update(members)
        self.write(data + "/node.json", json.dumps(
            {name: value for name, value in configuration.items() if value is not None}))

    def start(self, data, file_bytes_max=None):
        """With `file_bytes_max`, no file of the node grows beyond it: a disk that takes no more."""
        prefix = ("prlimit", f"--fsize={file_bytes_max}") if file_bytes_max is not None else ()
        node = RunningNode(self, data, prefix)
        self.environment["COLOPHON_NODE"] = node.url
        return node

    def enrol(self, *organizations):
        members = {"acme": ("alice", "bob"), "library": ("carol",)}
        for organization in organizations:
            self.run("enrol", "organization", "--id", organization, "--name", organization.title(),
                     "--ca", f"{organization}-root.crt", *self.signed("consortium", "admin"), status=0)
            for member in members[organization]:
                self.run("enrol", "member", "--organization", organization, "--certificate",
                         f"{organization}-{member}.crt", *self.signed(organization, member), status=0)

    def register(self, *files, member=("acme", "alice"), status=0):
        """Registers documents (and options); the records' summaries."""
        return self.run("register", "--json", *files, *self.signed(*member), status=status).lines()


class Relay:
    """Stands between client and node: keeps what was posted, and may lose the replies to it."""

    def __init__(self, url, lose_posts=False):
        relay = self
        self.target, self.posted = url, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(relay.forward("GET", self.path, None))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                relay.posted.append(body)
                reply = relay.forward("POST", self.path, body)
                if not lose_posts:
                    self.answer(reply)

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def forward(self, method, path, body):
        request = urllib.request.Request(self.target + path, data=body, method=method,
                                         headers={"Content-Type": "application/json"} if body else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            return reply.read()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
