#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program and a real node from end to end, with keys in SoftHSM tokens.

usage: node_test.py PROGRAM DAMAGE_LEDGER [CLASS...]
"""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

sys.dont_write_bytecode = True
from consortium import CHAIN, MODULES, PIN, Relay, World, key  # noqa: E402
from program import TIMEOUT_S, SampleLoader  # noqa: E402

DAMAGE_LEDGER = os.path.abspath(sys.argv.pop(2))
PROGRAM = os.path.abspath(sys.argv.pop(1))

world = None


def setUpModule():
    global world
    module = next((path for path in MODULES if os.path.exists(path)), None)
    if module is None or shutil.which("softhsm2-util") is None:
        print("skipped: SoftHSM is not installed (scripts/setup)")
        sys.exit(77)
    folder = tempfile.TemporaryDirectory(prefix="colophon node test ")
    unittest.addModuleCleanup(folder.cleanup)
    world = World(PROGRAM, folder.name, module)


class Chain(unittest.TestCase):
    """Tests that share one chain and its node. Each registers documents of its own."""

    @classmethod
    def setUpClass(cls):
        world.init("data")
        cls.node = world.start("data")
        cls.addClassCleanup(cls.node.stop)
        world.enrol("acme", "library")

    def setUp(self):
        world.environment["COLOPHON_NODE"] = self.node.url

    def document(self, extra=""):
        name = f"{self.id().rsplit('.', 1)[-1]}{extra}.txt"
        world.write(name, f"document of {self.id()} {extra}")
        return name

    def certified(self, *options, **named):
        """A registered document and its certificate."""
        document = self.document()
        record, = world.register(document, "--certificate-out", document + ".json", *options, **named)
        return document, document + ".json", record

    def verify(self, certificate, document, *options, trust="consortium-root.crt", status):
        return world.run("certificate", "verify", certificate, "--document", document, "--trust",
                         trust, *options, status=status)

    # --- registration and what follows --------------------------------------------------------

    def test_register_show_history_transfer(self):
        document, certificate, record = self.certified("--type", "patent", "--title", "A \"title\" ü")
        self.assertEqual(record["file"], document)
        shown = world.run("show", record["record_id"], "--json", status=0).json()
        self.assertEqual((shown["owner"], shown["type"], shown["title"], shown["revision"]),
                         ("acme", "patent", "A \"title\" ü", 1))
        self.assertEqual(shown["document_sha256"], record["document_sha256"])
        self.assertIn("acme", world.run("show", record["record_id"], status=0).out)

        transfer = ("transfer", record["record_id"], "--to")
        world.run(*transfer, "library", *world.signed("library", "carol"), status=1)  # not the owner
        world.run(*transfer, "nobody", *world.signed("acme", "bob"), status=1)
        receipt = world.run(*transfer, "library", *world.signed("acme", "bob"), "--json",
                            status=0).json()
        self.assertEqual(world.run("transaction", receipt["transaction_id"], "--json",
                                   status=0).json(), receipt)
        shown = world.run("show", record["record_id"], "--json", status=0).json()
        self.assertEqual((shown["owner"], shown["revision"]), ("library", 2))

        events = world.run("history", record["record_id"], "--json", status=0).json()["events"]
        self.assertEqual([(event["type"], event["data"]["owner"]) for event in events],
                         [("registered", "acme"), ("transferred", "library")])
        self.assertEqual(len(world.run("history", record["record_id"],
                                       status=0).out.splitlines()), 2)

        # The old certificate stays true of its event; a new one is about the new owner.
        self.assertIn('named "acme"', self.verify(certificate, document, status=0).out)
        world.run("certificate", "get", record["record_id"], "--out", "new.json", status=0)
        self.assertIn('named "library"', self.verify("new.json", document, status=0).out)
        world.run("certificate", "get", record["record_id"], "--out", "new.json", status=1)
        world.run("certificate", "get", record["record_id"], "--out", "new.json", "--force", status=0)
        self.assertEqual(world.run("certificate", "get", record["record_id"], status=0).out,
                         world.read("new.json").decode())

    def test_many_documents_in_one_call(self):
        names = [self.document(str(i)) for i in range(5)]
        os.makedirs(os.path.join(world.folder, "certificates"))
        records = world.register(*names, "--certificate-out", "certificates")
        self.assertEqual([record["file"] for record in records], names)
        for name in names:
            self.verify(f"certificates/{name}.json", name, status=0)

    def test_odd_names_are_taken_and_titles_are_lines(self):
        for i, name in enumerate((b"new\nline", b"latin \xe9", b"-dash", "\u2028\u0085".encode())):
            world.write(os.fsdecode(name), f"odd {i}")
            record, = world.run("register", "--json", *world.signed("acme", "alice"), "--",
                                os.fsdecode(name), status=0).lines()
            title = world.run("show", record["record_id"], "--json", status=0).json()["title"]
            self.assertEqual(title, ("new?line", "latin ?", "-dash", "??")[i])

    def test_the_same_document_twice_is_refused(self):
        document, _, record = self.certified()
        error = world.run("register", document, *world.signed("acme", "alice"), status=1).err
        self.assertIn("already", error)
        refused, = world.register(document, member=("acme", "bob"), status=1)
        self.assertEqual(refused["error"]["code"], "already_exists")
        world.register(document, member=("library", "carol"))  # the ledger judges not whose it is

    def test_what_would_overwrite_is_refused_before_anything_is_sent(self):
        document = self.document()
        size = self.node.get("/v1/status")["log_size"]
        world.write("taken", "mine")
        for options in (("--certificate-out", "taken"), ("--certificate-out", "no folder/x"),
                        ("--private", "--salt-out", "taken"), ("--private",), ("--salt-out", "x"),
                        (document, "--certificate-out", "one file"), (document, "--title", "one")):
            finished = world.run("register", document, *options, *world.signed("acme", "alice"))
            self.assertIn(finished.status, (1, 2), finished)
        world.run("register", "none", *world.signed("acme", "alice"), status=1)
        world.run("register", ".", *world.signed("acme", "alice"), status=2)
        self.assertEqual(world.read("taken"), b"mine")
        self.assertEqual(self.node.get("/v1/status")["log_size"], size)

    # --- certificates ---------------------------------------------------------------------------

    def test_verify_says_in_words_what_is_proven_and_what_not(self):
        document, certificate, record = self.certified()
        text = self.verify(certificate, document, status=0).out
        for words in ("valid", "it proves:", "it does not prove:", record["record_id"], "acme", CHAIN,
                      "Test Consortium CA", record["document_sha256"]):
            self.assertIn(words, text)
        report = self.verify(certificate, document, "--json", status=0).json()
        self.assertEqual((report["valid"], report["owner"], report["origin"], report["record_id"]),
                         (True, "acme", CHAIN, record["record_id"]))
        self.assertGreater(len(report["proves"]), 2)
        self.assertGreater(len(report["not_proven"]), 2)

    def test_any_altered_byte_is_refused_with_the_reason(self):
        document, certificate, _ = self.certified()
        for name, steps in ((certificate, 40), (document, 6)):
            right = world.read(name)
            for step in range(steps):
                altered = bytearray(right)
                altered[step * (len(right) - 1) // (steps - 1)] ^= 1 << (step % 8)
                self.refused(certificate, document, name, bytes(altered))
            for altered in (b"", right[:-1], right + b"\n", b" " + right, right * 2):
                self.refused(certificate, document, name, altered)
        right = world.read(certificate).decode()
        for old, new in (('"revision":1', '"revision":2'), ('"acme"', '"akme"'), (",", ", "),
                         ('"version":1', '"version":2'), ('"registered"', '"transferred"')):
            self.assertIn(old, right)
            self.refused(certificate, document, certificate, right.replace(old, new, 1).encode())
            answer = self.verify("altered", document, "--json", status=1).json()
            self.assertIs(answer["valid"], False)
            self.assertNotEqual(answer["reason"], "")

    def refused(self, certificate, document, name, altered):
        world.write("altered", altered)
        pair = ("altered", document) if name == certificate else (certificate, "altered")
        self.assertRegex(self.verify(*pair, status=1).out, r"^refused: .+")

    def test_another_trust_is_refused_and_files_that_are_none_are_errors(self):
        document, certificate, _ = self.certified()
        self.assertIn("refused", self.verify(certificate, document, trust="acme-root.crt", status=1).out)
        self.assertIn("refused", self.verify(certificate, document, trust="consortium-log.crt",
                                             status=1).out)
        self.verify(certificate, document, trust=document, status=2)
        self.verify(certificate, document, trust="consortium-log.pem", status=2)
        self.verify("none", document, status=3)
        self.verify(certificate, "none", status=3)
        self.verify(certificate, ".", status=2)
        self.verify(certificate, document, trust="none", status=3)
        error = self.verify(certificate, "none", "--json", status=3).json()["error"]
        self.assertEqual((error["code"], error["field"]), ("not_found", "none"))

    def test_verify_asks_no_network(self):
        document, certificate, _ = self.certified()
        if subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            self.skipTest("no network namespace can be made here")
        subprocess.run(["unshare", "--net", PROGRAM, "certificate", "verify", certificate, "--document",
                        document, "--trust", "consortium-root.crt"], cwd=world.folder, check=True,
                       env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL)

    def test_a_commitment_needs_its_salt(self):
        document, certificate, record = self.certified("--private", "--salt-out", "private.salt")
        salt = os.path.join(world.folder, "private.salt")
        self.assertEqual(os.stat(salt).st_mode & 0o777, 0o600)
        shown = world.run("show", record["record_id"], "--json", status=0).json()
        self.assertEqual(shown["commitment"], record["commitment"])
        self.assertNotIn("document_sha256", shown)
        self.assertNotIn(record["document_sha256"], world.read(certificate).decode())

        self.verify(certificate, document, "--salt", "private.salt", status=0)
        self.assertIn("--salt", self.verify(certificate, document, status=2).err)
        world.write("other.salt", "00" * 32 + "\n")
        self.verify(certificate, document, "--salt", "other.salt", status=1)
        self.verify(certificate, "consortium-log.pem", "--salt", "private.salt", status=1)
        for text in ("", "00" * 31, "00" * 33, "zz" * 32, "00" * 32 + "\n\n"):
            world.write("broken.salt", text)
            self.verify(certificate, document, "--salt", "broken.salt", status=2)
        self.verify(certificate, document, "--salt", "none", status=3)

        open_document = self.document("open")
        world.register(open_document, "--certificate-out", "open.json")
        self.verify("open.json", open_document, "--salt", "private.salt", status=2)

    def test_a_salt_without_a_record_is_not_left(self):
        document, _, _ = self.certified("--private", "--salt-out", "first.salt")
        world.run("register", document, "--private", "--salt-out", "second.salt", *world.signed(
            "acme", "nobody"), status=1)
        world.run("register", document, "--private", "--salt-out", "second.salt", "--title", "\n",
                  *world.signed("acme", "alice"), status=2)
        self.assertFalse(os.path.exists(os.path.join(world.folder, "second.salt")))

    # --- the log --------------------------------------------------------------------------------

    def test_proofs_from_the_node_are_those_that_merkle_verifies(self):
        self.certified()
        checkpoint = world.run("log", "checkpoint", "--json", status=0).json()
        self.assertEqual(checkpoint["origin"], CHAIN)
        self.assertIn(checkpoint["note"].splitlines()[0],
                      world.run("log", "checkpoint", status=0).out)
        last = str(checkpoint["size"] - 1)
        proof = world.run("log", "inclusion", last, status=0)
        self.assertEqual(list(proof.json()), ["hash", "index", "size", "leaf", "proof", "root"])
        world.run("merkle", "verify", "-", stdin=proof.out.encode(), status=0)
        proof = world.run("log", "consistency", "1", status=0)
        self.assertEqual(list(proof.json()), ["hash", "from", "to", "from_root", "to_root", "proof"])
        world.run("merkle", "verify-consistency", "-", stdin=proof.out.encode(), status=0)
        entry = world.run("log", "entry", last, status=0).json()
        self.assertEqual(entry["event"]["type"], "registered")
        first = world.run("log", "checkpoint", "--height", "1", status=0).out
        self.assertEqual(first.splitlines()[:2], [CHAIN, "1"])
        for arguments in (("entry", "999999"), ("checkpoint", "--height", "999999")):
            world.run("log", *arguments, status=1)
        for arguments in (("inclusion", "999999"), ("consistency", "999999"), ("consistency", "0"),
                          ("entry", "-1"), ("checkpoint", "--height", "0")):
            world.run("log", *arguments, status=2)

    # --- members --------------------------------------------------------------------------------

    def test_enrolment_is_refused_to_who_may_not(self):
        organization = ("enrol", "organization", "--name", "Evil", "--ca", "acme-root.crt")
        world.run(*organization, "--id", "evil", *world.signed("acme", "alice"), status=1)
        world.run(*organization, "--id", "acme", *world.signed("consortium", "admin"), status=1)
        world.run(*organization, "--id", "Not An Id", *world.signed("consortium", "admin"), status=2)
        member = ("enrol", "member", "--organization")
        world.run(*member, "library", "--certificate", "acme-alice.crt",
                  *world.signed("acme", "alice"), status=1)  # another CA's certificate
        world.run(*member, "acme", "--certificate", "acme-bob.crt",
                  *world.signed("acme", "alice"), status=2)  # another key's certificate
        world.run(*member, "acme", "--certificate", "pin", *world.signed("acme", "alice"), status=2)

    def test_an_expired_ca_is_refused(self):
        """Certificates of an OpenSSL CA, and one of them out of its time."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=world.folder, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.write("ca.cnf", """
            [ca]
            default_ca = all
            [all]
            database = index.txt
            serial = serial
            new_certs_dir = .
            default_md = sha256
            policy = any
            unique_subject = no
            [any]
            commonName = supplied
            [req]
            distinguished_name = any_name
            [any_name]
            [root]
            basicConstraints = critical,CA:TRUE
            keyUsage = critical,keyCertSign
            subjectKeyIdentifier = hash
        """)
        world.write("index.txt", "")
        world.write("serial", "01")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
        openssl("req", "-new", "-config", "ca.cnf", "-key", "ca.key", "-subj", "/CN=Old CA",
                "-utf8", "-out", "ca.csr")
        for name, end in (("valid.crt", "20400101000000Z"), ("expired.crt", "20210101000000Z")):
            openssl("ca", "-batch", "-selfsign", "-config", "ca.cnf", "-keyfile", "ca.key", "-in",
                    "ca.csr", "-startdate", "20200101000000Z", "-enddate", end, "-extensions", "root",
                    "-notext", "-utf8", "-out", name)
        enrol = ("enrol", "organization", "--id", "old-one", "--name", "Old",
                 *world.signed("consortium", "admin"), "--ca")
        self.assertIn("expired", world.run(*enrol, "expired.crt", status=1).err)
        world.run(*enrol, "valid.crt", status=0)

        # The same CA as the one to trust: with the right period, and out of it.
        world.write("log.ext", "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,"
                               "digitalSignature\nsubjectKeyIdentifier=hash\n"
                               "authorityKeyIdentifier=keyid\n")
        openssl("req", "-new", "-config", "ca.cnf", "-key", "ca.key", "-subj", "/CN=old.example",
                "-utf8", "-out", "log.csr")
        openssl("x509", "-req", "-in", "log.csr", "-force_pubkey", "consortium-log.pem", "-CA",
                "valid.crt", "-CAkey", "ca.key", "-set_serial", "7", "-days", "365", "-extfile",
                "log.ext", "-out", "old-log.crt")
        world.init("old", chain_id="old.example", certificate_chain="old-log.crt")
        node = world.start("old")
        try:
            world.enrol("acme")
            document, certificate, _ = self.certified()
        finally:
            self.assertEqual(node.stop(), 0)
        self.verify(certificate, document, trust="valid.crt", status=0)
        self.assertIn("expired",
                      self.verify(certificate, document, trust="expired.crt", status=1).out)
        self.verify(certificate, document, status=1)  # the other chain's CA

    def test_a_revoked_key_signs_no_more(self):
        world.run("hsm", "keygen", "--token", "pkcs11:token=acme", "--label", "dave", "--pin-file",
                  "pin", status=0)
        world.run("hsm", "public-key", "--key", key("acme", "dave"), "--pin-file", "pin", "--out",
                  "acme-dave.pem", status=0)
        world.issue("acme", "dave", "dave")
        receipt = world.run("enrol", "member", "--organization", "acme", "--certificate",
                            "acme-dave.crt", *world.signed("acme", "dave"), "--json", status=0).json()
        world.register(self.document(), member=("acme", "dave"))
        revoke = ("revoke", "member", receipt["subjects"][0])
        world.run(*revoke, *world.signed("library", "carol"), status=1)
        world.run(*revoke, *world.signed("acme", "alice"), status=0)
        refused, = world.register(self.document("2"), member=("acme", "dave"), status=1)
        self.assertEqual(refused["error"]["code"], "permission_denied")

    # --- keys and PINs --------------------------------------------------------------------------

    def test_a_wrong_pin_is_presented_once(self):
        document = self.document()

        def acme():
            tokens = world.run("hsm", "list", "--json", status=0).json()["tokens"]
            return next(token for token in tokens if token["label"] == "acme")
        self.assertFalse(acme()["user_pin_count_low"])
        finished = world.run("register", document, "--key", key("acme", "alice"), "--pin-file",
                             "wrong-pin", status=1)
        self.assertIn("PIN", finished.err)
        self.assertNotIn("wrong 0000", finished.err + finished.out)
        self.assertTrue(acme()["user_pin_count_low"])
        self.assertFalse(acme()["user_pin_final_try"])
        world.register(document)
        self.assertFalse(acme()["user_pin_count_low"])

    def test_keys_tokens_and_modules_that_are_not_there(self):
        document = self.document()

        def register(uri, status, **environment):
            return world.run("register", document, "--key", uri, "--pin-file", "pin", status=status,
                             **environment).err
        self.assertIn("nobody", register(key("acme", "nobody"), 1))
        self.assertIn("library", register(key("nowhere", "alice"), 1))  # what there is
        self.assertIn("/no/module.so", register(key("acme", "alice"), 1,
                                                COLOPHON_PKCS11_MODULE="/no/module.so"))
        self.assertIn("COLOPHON_PKCS11_MODULE", register(key("acme", "alice"), 2,
                                                         COLOPHON_PKCS11_MODULE=None))
        register("not a uri", 2)
        self.assertNotIn("1234", register(key("acme", "alice") + "?pin-value=1234", 2))
        world.run("register", document, "--key", key("acme", "alice"), "--pin-file", "none", status=1)
        world.run("register", document, "--key", key("acme", "alice"), status=1)  # no terminal
        world.secret("open-pin", PIN)
        os.chmod(os.path.join(world.folder, "open-pin"), 0o644)
        world.run("register", document, "--key", key("acme", "alice"), "--pin-file", "open-pin",
                  status=1)
        world.run("register", document, "--key", key("acme", "alice"), "--pin-env", "THE_PIN",
                  THE_PIN=PIN, status=0)

    # --- the network ----------------------------------------------------------------------------

    def test_a_node_that_is_not_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
            self.assertIn(url, world.run("show", "00" * 32, "--node", url, status=3).err)
        for url, status in (("ftp://x", 2), ("https://x", 3), ("http://", 2), ("http://x:99999", 2)):
            self.assertIn("--node", world.run("show", "00" * 32, "--node", url, status=status).err)

    def test_ids_that_are_none_and_ids_that_name_nothing(self):
        for arguments in (("show",), ("history",), ("transaction",), ("certificate", "get")):
            world.run(*arguments, "00" * 32, status=1)
            for wrong in ("", "00", "AB" * 32, "zz" * 32, "00" * 33, "../status"):
                world.run(*arguments, wrong, status=2)

    def test_a_replayed_transaction_is_refused(self):
        with Relay(self.node.url) as relay:
            world.run("register", self.document(), "--node", relay.url, *world.signed("acme", "alice"),
                      status=0)
        before = self.node.get("/v1/status")["log_size"]
        reply = json.loads(relay.forward("POST", "/v1/transactions", relay.posted[0]))
        self.assertEqual(reply["results"][0]["error"]["code"], "already_exists")
        self.assertEqual(self.node.get("/v1/status")["log_size"], before)
        # The same bytes with one bit of the signature changed are no transaction at all.
        body = json.loads(relay.posted[0])
        transaction = bytearray(base64.b64decode(body["transactions"][0]))
        transaction[-1] ^= 1
        body["transactions"] = [base64.b64encode(transaction).decode()]
        reply = json.loads(relay.forward("POST", "/v1/transactions", json.dumps(body).encode()))
        self.assertNotIn("transaction_id", reply["results"][0])

    def test_a_lost_reply_is_asked_for_and_nothing_is_sent_twice(self):
        with Relay(self.node.url, lose_posts=True) as relay:
            record, = world.run("register", self.document(), "--json", "--node", relay.url,
                                *world.signed("acme", "alice"), status=0).lines()
            self.assertEqual(len(relay.posted), 1)
        events = world.run("history", record["record_id"], "--json", status=0).json()["events"]
        self.assertEqual(len(events), 1)


class Operation(unittest.TestCase):
    """Making, starting, stopping and checking nodes; each test has a chain of its own."""

    def data(self):
        return self.id().rsplit(".", 1)[-1]

    def entries(self):
        return sorted(name for name in os.listdir(world.folder) if name.startswith(self.data()))

    def start_fails(self, status):
        finished = world.run("node", "start", "--data", self.data(), status=status)
        self.assertEqual(finished.out, "")
        self.assertIn("colophon: ", finished.err)
        return finished.err

    def fsck(self, status):
        return world.run("node", "fsck", "--data", self.data(), "--json", status=status).json()

    def test_init_never_overwrites_and_leaves_nothing_half_made(self):
        data = self.data()
        for replaced, status in (({"pin_file": "wrong-pin"}, 1), ({"pin_file": "none"}, 1),
                                 ({"key": key("consortium", "nobody")}, 1),
                                 ({"key": key("consortium", "admin")}, 2),  # not Ed25519
                                 ({"chain_id": "other.example"}, 2),  # not the certificate's name
                                 ({"chain_id": "A B"}, 2), ({"listen": "here"}, 2),
                                 ({"certificate_chain": "acme-alice.crt"}, 2),
                                 ({"certificate_chain": "consortium-root.crt"}, 2),
                                 ({"certificate_chain": "pin"}, 2), ({"certificate_chain": "none"}, 1),
                                 ({"administrator_key": "consortium-log.crt"}, 2),
                                 ({"administrator_key": "none"}, 1),
                                 ({"data": data + "/no/such"}, 1), ({"data": "pin"}, 1),
                                 ({"chain_id": None}, 2)):
            finished = world.init(replaced.pop("data", data), status=status, **replaced)
            self.assertEqual(finished.out, "")
            self.assertEqual(self.entries(), [], replaced)
        made = world.init(data)
        self.assertIn(CHAIN, made.out)
        self.assertLessEqual({"db", "genesis.json", "log-certificates.pem", "node.json"},
                             set(os.listdir(os.path.join(world.folder, data))))
        self.assertNotIn(PIN, world.read(data + "/node.json").decode())
        genesis = world.read(data + "/genesis.json")
        self.assertIn("never overwritten", world.init(data, status=1).err)
        self.assertEqual(world.read(data + "/genesis.json"), genesis)
        self.assertEqual(self.entries(), [data])
        self.assertEqual(self.fsck(0)["blocks"], 0)

    def test_restart_keeps_everything_and_fsck_is_clean(self):
        world.init(self.data())
        node = world.start(self.data())
        world.enrol("acme")
        world.write("kept.txt", "kept")
        record, = world.register("kept.txt")
        checkpoint = world.run("log", "checkpoint", status=0).out
        self.assertEqual(node.stop(signal.SIGINT), 0)
        report = self.fsck(0)
        self.assertEqual((report["clean"], report["events"], report["findings"]), (True, 4, []))
        self.assertIn("clean", world.run("node", "fsck", "--data", self.data(), status=0).out)

        node = world.start(self.data())
        self.assertEqual(world.run("log", "checkpoint", status=0).out, checkpoint)
        self.assertEqual(world.run("show", record["record_id"], "--json", status=0).json()["title"],
                         "kept.txt")
        world.register("kept.txt", status=1)
        for line in node.log().splitlines():
            self.assertEqual(set(json.loads(line)), {"time", "level", "message"})
        self.assertEqual(node.stop(), 0)

    def test_a_ledger_that_was_tampered_with_is_found(self):
        world.init(self.data())
        node = world.start(self.data())
        world.enrol("acme")
        self.assertEqual(node.stop(), 0)
        for family in ("leaf", "state", "block", "checkpoint", "transaction"):
            copy = self.data() + "-" + family
            shutil.copytree(os.path.join(world.folder, self.data()), os.path.join(world.folder, copy))
            subprocess.run([DAMAGE_LEDGER, copy, family], cwd=world.folder, check=True)
            report = world.run("node", "fsck", "--data", copy, "--json", status=1).json()
            self.assertFalse(report["clean"])
            text = world.run("node", "fsck", "--data", copy, status=1).out.splitlines()
            self.assertEqual(text[:-1], report["findings"])
            self.assertIn("NOT CLEAN", text[-1])
        self.assertTrue(self.fsck(0)["clean"])

    def test_a_damaged_database_is_an_error_and_no_crash(self):
        world.init(self.data())
        node = world.start(self.data())
        world.enrol("acme")
        self.assertEqual(node.stop(), 0)
        ledger = os.path.join(world.folder, self.data(), "db")
        for name in sorted(os.listdir(ledger)):
            path = os.path.join(ledger, name)
            with open(path, "rb") as file:
                right = file.read()
            if name.startswith("LOG") or not right:
                continue
            for damaged in (right[:len(right) // 2],
                            right[:len(right) // 2] + b"\xa5" * 8 + right[len(right) // 2 + 8:]):
                with open(path, "wb") as file:
                    file.write(damaged)
                finished = world.run("node", "fsck", "--data", self.data())
                self.assertNotEqual(finished.out + finished.err, "")
            with open(path, "wb") as file:
                file.write(right)
        self.assertTrue(self.fsck(0)["clean"])

    def test_what_keeps_a_node_from_starting_is_said(self):
        data = self.data()
        self.assertIn("node init", self.start_fails(1))
        self.assertIn("no chain", world.run("node", "fsck", "--data", data, status=3).err)
        world.init(data)
        for members, status, words in (({"pin_file": os.path.join(world.folder, "wrong-pin")}, 1, "PIN"),
                                       ({"pin_file": "/no/pin"}, 1, "/no/pin"),
                                       ({"pin_env": "PIN"}, 2, "pin_env"),
                                       ({"key": key("consortium", "nobody")}, 1, "nobody"),
                                       ({"key": key("acme", "bob")}, 2, "log key"),
                                       ({"backend": "nothing"}, 2, "backend of node.json: there is no backend "
                                                                   "'nothing'; choose one of: auto, "),
                                       ({"backend": ""}, 2, "backend of node.json"),
                                       ({"table_memory": (1 << 20) - 1}, 2, "table_memory of node.json must be a "
                                                                            "number from 1048576 to "),
                                       ({"table_memory": "1 GiB"}, 2, "table_memory"),
                                       ({"backends": "auto"}, 2, "backends"),
                                       ({"listen": None}, 2, "listen"),
                                       ({"listen": "nowhere.invalid:1"}, 2, "nowhere.invalid"),
                                       ({"block_transactions_max": 0}, 2, "block_transactions_max")):
            saved = world.read(data + "/node.json")
            world.configure(data, **members)
            self.assertIn(words, self.start_fails(status))
            world.write(data + "/node.json", saved)
        os.rename(os.path.join(world.folder, data, "db"), os.path.join(world.folder, data, "away"))
        self.assertIn("backup", self.start_fails(3))
        os.rename(os.path.join(world.folder, data, "away"), os.path.join(world.folder, data, "db"))
        self.assertEqual(world.start(data).stop(), 0)

    def test_a_wrong_backend_costs_no_pin(self):
        world.init(self.data())
        world.configure(self.data(), backend="nothing", pin_file="/no/pin")
        self.assertNotIn("/no/pin", self.start_fails(2))
        world.configure(self.data(), backend="auto")
        finished = world.run("node", "start", "--data", self.data(), status=2, COLOPHON_BACKEND="nothing")
        self.assertIn("colophon: COLOPHON_BACKEND: there is no backend 'nothing'", finished.err)

    def test_the_backend_and_its_tables_are_in_log_and_metrics(self):
        def gauges():
            with urllib.request.urlopen(node.url + "/metrics", timeout=TIMEOUT_S) as reply:
                return {name: int(value) for name, value in re.findall(
                    r'^colophon_key_(tables\w*)\{backend="portable"\} (\d+)$', reply.read().decode(), re.M)}
        data, listed = self.data(), world.run("backends", "--json", status=0).json()
        best = next(backend["name"] for backend in listed if backend["chosen_by_auto"])
        world.init(data)
        world.configure(data, backend="portable", table_memory=3 << 20)
        node = world.start(data)
        self.assertEqual(gauges(), {"tables": 0, "tables_bytes": 0, "tables_bytes_max": 3 << 20})
        world.enrol("acme")
        files = [f"table-{i}.txt" for i in range(24)]
        for name in files:
            world.write(name, name)
        world.register(*files)
        now = gauges()
        self.assertEqual((now["tables"], now["tables_bytes_max"]), (1, 3 << 20))
        self.assertTrue(0 < now["tables_bytes"] <= 3 << 20, now)
        self.assertEqual(node.stop(), 0)
        self.assertIn("backend portable was asked for, not chosen by auto; its tables of keys take at most "
                      f"{3 << 20} bytes", node.log())

        # auto: the best, and why none before it; or what COLOPHON_BACKEND says.
        world.configure(data, backend="auto", table_memory=None)
        node = world.start(data)
        self.assertEqual(node.get("/v1/status")["backend"], best)
        self.assertEqual(node.stop(), 0)
        self.assertIn(f"backend {best} is the best that this machine can use", node.log())
        for backend in listed:
            if not backend["self_test_passed"]:
                self.assertIn(json.dumps(backend["reason"]), node.log())
        world.environment["COLOPHON_BACKEND"] = "openssl"
        try:
            node = world.start(data)
        finally:
            del world.environment["COLOPHON_BACKEND"]
        self.assertEqual(node.get("/v1/status")["backend"], "openssl")
        self.assertEqual(node.stop(), 0)
        self.assertIn("backend openssl was asked for, not chosen by auto", node.log())
        for backend in ("portable", "openssl"):
            report = world.run("node", "fsck", "--data", data, "--json", status=0, COLOPHON_BACKEND=backend).json()
            self.assertEqual((report["clean"], report["events"]), (True, 27))

    def test_a_module_that_is_away(self):
        world.init(self.data())
        finished = world.run("node", "start", "--data", self.data(), status=1,
                             COLOPHON_PKCS11_MODULE="/no/module.so")
        self.assertIn("/no/module.so", finished.err)
        finished = world.run("node", "start", "--data", self.data(), status=3,
                             SOFTHSM2_CONF="/no/softhsm2.conf")
        self.assertIn("colophon: ", finished.err)

    def test_a_port_in_use(self):
        world.init(self.data())
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            world.configure(self.data(), listen=address)
            error = self.start_fails(3)
            self.assertIn(address, error)
            self.assertIn("in use", error)
        node = world.start(self.data())
        self.assertEqual(node.url, "http://" + address)
        self.assertEqual(node.stop(), 0)

    def test_one_process_at_a_time(self):
        world.init(self.data())
        node = world.start(self.data())
        self.assertIn("another process", self.start_fails(3))
        self.assertIn("another process",
                      world.run("node", "fsck", "--data", self.data(), status=3).err)
        self.assertTrue(node.get("/v1/status")["accepting"])
        self.assertEqual(node.stop(), 0)

    def test_what_was_acknowledged_before_a_stop_is_there_after_it(self):
        world.init(self.data())
        node = world.start(self.data())
        world.enrol("acme")
        acknowledged, enough = [], threading.Event()

        def client(number):
            for i in range(1000):
                name = f"stop-{number}-{i}.txt"
                world.write(name, name)
                finished = world.run("register", name, "--json", *world.signed("acme", "alice"))
                if finished.status != 0:
                    return
                acknowledged.append(finished.json()["record_id"])
                if len(acknowledged) >= 8:
                    enough.set()
        clients = [threading.Thread(target=client, args=(number,)) for number in range(3)]
        for one in clients:
            one.start()
        self.assertTrue(enough.wait(TIMEOUT_S))
        self.assertEqual(node.stop(), 0)
        for one in clients:
            one.join()
        self.assertTrue(self.fsck(0)["clean"])
        node = world.start(self.data())
        for record in acknowledged:
            world.run("show", record, status=0)
        self.assertEqual(node.stop(), 0)

    def test_a_disk_that_takes_no_more(self):
        data = self.data()
        world.init(data)
        # Small enough for the database's own files, large enough for those of SoftHSM.
        with self.assertRaisesRegex(AssertionError, "colophon: data: the disk with .* failed"):
            world.start(data, file_bytes_max=1000)
        node = world.start(data, file_bytes_max=40_000)
        world.enrol("acme")
        acknowledged = []
        for i in range(400):
            name = f"{data}-{i}.txt"
            world.write(name, name)
            finished = world.run("register", name, "--json", *world.signed("acme", "alice"))
            if finished.status != 0:
                break
            acknowledged.append(finished.json()["record_id"])
        self.assertEqual(finished.status, 3, finished)
        self.assertIn("the disk", finished.json()["error"]["message"])
        self.assertGreater(len(acknowledged), 3)
        self.assertFalse(node.get("/v1/status")["accepting"])
        world.run("show", acknowledged[0], status=0)  # it still answers
        node.stop()
        self.assertTrue(self.fsck(0)["clean"])
        node = world.start(data)
        for record in acknowledged:
            world.run("show", record, status=0)
        world.register(name)
        self.assertEqual(node.stop(), 0)

    def test_log_certificates_of_another_key_are_refused_at_start(self):
        world.init(self.data())
        pem = world.read("acme-bob.crt")
        world.write(self.data() + "/log-certificates.pem", pem)
        self.assertIn("log-certificates.pem", self.start_fails(2))


class Authority(unittest.TestCase):
    """colophon ca: what it makes, others read; what it cannot make, it says."""

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], cwd=world.folder, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()

    def test_openssl_verifies_what_it_issued(self):
        for token, label in (("consortium", "log"), ("acme", "alice"), ("acme", "bob")):
            self.assertIn("OK", self.openssl("verify", "-x509_strict", "-CAfile",
                                             f"{token}-root.crt", f"{token}-{label}.crt"))
        text = self.openssl("x509", "-in", "consortium-log.crt", "-noout", "-text")
        for words in ("CN = " + CHAIN, "CA:FALSE", "Digital Signature"):
            self.assertIn(words, text)

    def test_options_are_checked_and_nothing_is_overwritten(self):
        def create(*options, status):
            return world.run("ca", "create", *world.signed("acme", "ca"), *options, status=status)
        create("--name", "X", "--out", "acme-root.crt", status=1)
        create("--name", "", "--out", "new.crt", status=2)
        create("--name", "x" * 65, "--out", "new.crt", status=2)
        for days in ("0", "36501", "-1", "1.5"):
            create("--name", "X", "--days", days, "--out", "new.crt", status=2)
        create("--name", "X", "--out", "no folder/new.crt", status=1)
        self.assertFalse(os.path.exists(os.path.join(world.folder, "new.crt")))
        made = json.loads(create("--name", "X", "--organization", "Y", "--days", "1", "--json",
                                 "--out", "new.crt", status=0).out)
        self.assertEqual((made["certificate"], made["common_name"], made["is_ca"]),
                         ("new.crt", "X", True))
        self.assertIn("O = Y, CN = X", self.openssl("x509", "-in", "new.crt", "-noout", "-subject"))

    def test_issue_fits_the_ca(self):
        def issue(*options, label="ca", days="1", status):
            return world.run("ca", "issue", *world.signed("acme", label), "--name", "X", "--out",
                             "issued.crt", "--days", days, *options, status=status).err
        right = ("--ca", "acme-root.crt", "--public-key", "acme-bob.pem")
        self.assertIn("--ca", issue(*right, label="alice", status=2))  # not the CA's key
        self.assertIn("--ca", issue("--ca", "acme-alice.crt", *right[2:], label="alice", status=2))
        self.assertIn("--days", issue(*right, days="36500", status=2))  # longer than the CA
        self.assertIn("--public-key", issue(*right[:2], "--public-key", "acme-bob.crt", status=2))
        self.assertIn("--public-key", issue(*right[:2], "--public-key", "none", status=1))
        self.assertIn("--ca", issue("--ca", "acme-bob.pem", *right[2:], status=2))
        self.assertFalse(os.path.exists(os.path.join(world.folder, "issued.crt")))
        issue(*right, status=0)


if __name__ == "__main__":
    unittest.main(testLoader=SampleLoader())
