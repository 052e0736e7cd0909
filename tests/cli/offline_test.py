#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The subcommands that need no node and no token, run as a user runs them.

usage: offline_test.py PROGRAM CERTIFICATE_FOLDER
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
from program import Program, SampleLoader  # noqa: E402
from rfc9162 import consistency_path, inclusion_path, tree_root  # noqa: E402
from signature_lines import every_kind  # noqa: E402

PROGRAM = os.path.abspath(sys.argv.pop(1))
CERTIFICATES = os.path.abspath(sys.argv.pop(1))

# RFC 8032, test 1.
SIGNED = {
    "scheme": "ed25519",
    "public_key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "message": "",
    "signature": "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
                 "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
}


def certificate_command(certificate=None):
    at = {name: os.path.join(CERTIFICATES, name)
          for name in ("certificate.json", "document.txt", "ca.pem")}
    return ("certificate", "verify", certificate or at["certificate.json"], "--document",
            at["document.txt"], "--trust", at["ca.pem"])


class OfflineTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.colophon = Program(PROGRAM, folder.name)

    def run_it(self, *arguments, **options):
        return self.colophon.run(*arguments, **options)


class Help(OfflineTest):
    def subcommands(self, path):
        """Every command there is, found by reading the helps."""
        text = self.run_it(*path, "--help", status=0).out
        yield path, text
        inside = False
        for line in text.splitlines():
            if line == "Subcommands:":
                inside = True
            elif inside and line.startswith("  "):
                yield from self.subcommands(path + [line.split()[0]])
            else:
                inside = False

    def test_every_command_has_a_help_that_says_what_its_exit_status_means(self):
        found = {" ".join(path): text for path, text in self.subcommands([])}
        for name in ("backends", "verify", "hash", "merkle root", "merkle prove", "merkle consistency",
                     "merkle verify", "merkle verify-consistency", "hsm list", "hsm keygen",
                     "hsm public-key", "hsm sign", "node init", "node start", "node fsck",
                     "ca create", "ca issue", "enrol organization", "enrol member", "revoke member",
                     "register", "transfer", "show", "history", "transaction", "log checkpoint",
                     "certificate verify", "certificate get", "completion"):
            self.assertIn(name, found)
        for name, text in found.items():
            self.assertIn("Usage: colophon " + name, text)
            self.assertIn("Exit status", text, name)
            for option in ("--pin ", "--pin="):
                self.assertNotIn(option, text, "a PIN on the command line")

    def test_usage_errors_have_status_2(self):
        for arguments in ([], ["nothing"], ["--nothing"], ["node"], ["node", "nothing"],
                          ["merkle", "root"], ["verify"], ["show"], ["verify", "a", "b"],
                          ["certificate", "verify", "x"], ["completion", "tcsh"]):
            finished = self.run_it(*arguments, status=2)
            self.assertEqual(finished.out, "")
            self.assertNotEqual(finished.err, "")

    def test_version(self):
        self.assertRegex(self.run_it("--version", status=0).out, r"^colophon \d+\.\d+\.\d+\n$")


class Backends(OfflineTest):
    def test_list(self):
        listed = self.run_it("backends", "--json", status=0).json()
        self.assertIn("openssl", [backend["name"] for backend in listed])
        self.assertEqual(sum(backend["chosen_by_auto"] for backend in listed), 1)
        self.assertEqual(listed[-1]["name"], "openssl")
        text = self.run_it("backends", status=0).out
        for backend in listed:
            mark = "*" if backend["chosen_by_auto"] else " "
            self.assertIn(f"{mark} {backend['name']}  {backend['description']}", text)
            self.assertIn(backend["reason"], text)
            self.assertIs(backend["self_test_passed"], backend["reason"] == "")
            self.assertEqual(backend["hashing"].count(", "), 4 if backend["self_test_passed"] else 0)
            if not backend["name"].startswith("cuda"):
                self.assertIsNone(backend["device"])
        # The first that can be used.
        usable = [backend for backend in listed if backend["self_test_passed"]]
        self.assertEqual([backend["chosen_by_auto"] for backend in usable],
                         [True] + [False] * (len(usable) - 1))

    def test_a_new_process_has_no_tables_but_a_limit(self):
        text = self.run_it("backends", status=0).out
        for backend in self.run_it("backends", "--json", status=0).json():
            tables = backend["table_memory"]
            self.assertEqual(list(tables), ["bytes", "bytes_max", "tables"])
            self.assertEqual((tables["bytes"], tables["tables"]), (0, 0))
            if backend["name"] == "openssl":
                self.assertEqual(tables["bytes_max"], 0)
                self.assertIn("keeps no tables of keys\n", text)
            elif backend["self_test_passed"]:
                self.assertGreaterEqual(tables["bytes_max"], 1 << 20)
                self.assertIn(f"tables of keys: 0, 0 of at most {tables['bytes_max']} bytes\n", text)

    def test_an_unknown_backend_is_refused_and_the_known_are_named(self):
        names = ["auto"] + [one["name"] for one in self.run_it("backends", "--json").json()
                            if ":" not in one["name"]]  # further GPUs
        told = "there is no backend 'nothing'; choose one of: " + ", ".join(names) + "\n"
        for command in (("backends",), ("verify", "-"), ("merkle", "root", "-"),
                        certificate_command()):
            self.assertEqual(self.run_it(*command, status=2, COLOPHON_BACKEND="nothing").err,
                             "colophon: COLOPHON_BACKEND: " + told)
        error = self.run_it(*certificate_command(), "--json", status=2,
                            COLOPHON_BACKEND="nothing").json()["error"]
        self.assertEqual(error["field"], "COLOPHON_BACKEND")
        self.assertEqual(self.run_it("verify", "-", "--backend", "nothing", status=2).err,
                         "colophon: --backend: " + told)
        self.run_it("verify", "-", "--backend", "openssl", status=0, COLOPHON_BACKEND="nothing")

    def test_one_that_is_known_and_cannot_be_used_is_refused_and_not_replaced(self):
        for backend in self.run_it("backends", "--json", status=0).json():
            if not backend["self_test_passed"]:
                finished = self.run_it("verify", "-", status=3, COLOPHON_BACKEND=backend["name"])
                self.assertEqual(finished.err, f"colophon: COLOPHON_BACKEND: {backend['reason']}\n")


class EveryBackend(OfflineTest):
    """Whatever does the work, what is printed is the same, byte for byte."""

    def on_each(self, *arguments, **options):
        backends = [backend["name"] for backend in self.run_it("backends", "--json").json()
                    if backend["supported"]]
        self.assertIn("portable", backends)
        self.assertIn("openssl", backends)
        printed = {name: self.run_it(*arguments, COLOPHON_BACKEND=name, **options)
                   for name in backends + ["auto", None]}
        expected = printed["openssl"]
        for name, finished in printed.items():
            self.assertEqual((finished.status, finished.err), (expected.status, expected.err), name)
            self.assertTrue(finished.out == expected.out, name)
        return expected

    def test_verify_prints_the_same(self):
        lines, expected = every_kind()
        answers = self.on_each("verify", "-", stdin="".join(lines).encode(), status=2).lines()
        self.assertEqual([answer.get("valid") for answer in answers], expected)

    def test_certificates_are_checked_the_same(self):
        self.assertIn("valid: ", self.on_each(*certificate_command(), status=0).out)
        with open(os.path.join(CERTIFICATES, "certificate.json"), encoding="utf-8") as file:
            certificate = file.read()
        # The last character but nine of the checkpoint's signature.
        altered = re.sub(r"(?<=[0-9A-Za-z+/]{60})[0-9A-Za-z+/](?=[0-9A-Za-z+/]{8}=\\n\")",
                         lambda found: "A" if found[0] != "A" else "B", certificate, count=1)
        self.assertNotEqual(altered, certificate)
        self.colophon.write("altered.json", altered)
        self.assertIn("signature does not verify",
                      self.on_each(*certificate_command("altered.json"), status=1).out)

    def test_trees_are_the_same(self):
        leaves = "".join("%02x\n" % (i % 256) * (i % 3) for i in range(1000)).encode()
        self.on_each("merkle", "root", "-", stdin=leaves, status=0)


class Verify(OfflineTest):
    def verify(self, *lines, status):
        text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        return self.run_it("verify", "-", stdin=text.encode(), status=status).lines()

    def changed(self, **members):
        return {**SIGNED, **members}

    def test_answers_come_in_order_and_the_status_is_the_worst(self):
        wrong = self.changed(message="00")
        answers = self.verify(SIGNED, wrong, SIGNED, status=1)
        self.assertEqual([answer["valid"] for answer in answers], [True, False, True])
        answers = self.verify(SIGNED, "{}\n", wrong, SIGNED, status=2)
        self.assertEqual(answers[1], {"error": "line 2: field 'scheme': is missing", "line": 2,
                                      "field": "scheme"})
        self.assertEqual([answer.get("valid") for answer in answers], [True, None, False, True])
        self.assertEqual(self.verify(SIGNED, status=0),
                         [{"valid": True, "reason": "the signature is valid"}])
        self.assertEqual(self.verify(status=0), [])

    def test_order_holds_over_many_lines_of_several_kinds(self):
        kinds = [SIGNED, self.changed(message="00"), "{}\n", self.changed(profile="strict"),
                 self.changed(scheme="ecdsa-p256-sha256"), self.changed(signature="00")]
        expected = [True, False, None, True, False, False]
        count, filler = 200, 40_000  # more than one chunk of the program
        answers = self.verify(*(kinds * count), *(["\n"] * filler), *(kinds * count), status=2)
        self.assertEqual([answer.get("valid") for answer in answers],
                         expected * count + [None] * filler + expected * count)
        second = 6 * count + filler
        self.assertEqual([answer["line"] for answer in answers if "error" in answer],
                         [*range(3, 6 * count, 6), *range(6 * count + 1, second + 1),
                          *range(second + 3, second + 6 * count, 6)])

    def test_wrong_bytes_are_invalid_and_not_an_error(self):
        for member, value in (("signature", ""), ("signature", "00" * 63), ("signature", "ff" * 64),
                              ("public_key", ""), ("public_key", "00"), ("public_key", "ff" * 40),
                              ("public_key", SIGNED["public_key"].replace("d7", "d6", 1)),
                              ("signature", SIGNED["signature"].replace("e5", "e4", 1))):
            answer, = self.verify(self.changed(**{member: value}), status=1)
            self.assertIs(answer["valid"], False)
        digest = self.changed(scheme="sm2-sm3", digest="00")  # a digest of one byte
        del digest["message"]
        answer, = self.verify(digest, status=1)
        self.assertIs(answer["valid"], False)

    def test_lines_that_are_no_such_object_are_errors_that_name_line_and_field(self):
        for line, field in ((self.changed(signature="0"), "signature"),
                            (self.changed(signature="zz"), "signature"),
                            (self.changed(public_key="0x00"), "public_key"),
                            (self.changed(scheme="rsa"), "scheme"),
                            (self.changed(encoding="der"), "encoding"),
                            (self.changed(profile="low_s"), "profile"),
                            (self.changed(digest="00"), "digest"),
                            (self.changed(other="00"), "other"),
                            (self.changed(message=0), "message"),
                            (json.dumps(SIGNED).replace("{", '{"scheme":"ed25519",') + "\n",
                             "scheme")):
            answers = self.verify(SIGNED, line, SIGNED, status=2)
            self.assertEqual(answers[1]["line"], 2)
            self.assertEqual(answers[1]["field"], field)
            self.assertIn("line 2", answers[1]["error"])
            self.assertIn(field, answers[1]["error"])
            self.assertEqual((answers[0]["valid"], answers[2]["valid"]), (True, True))

    def test_hostile_lines_are_errors_and_the_next_line_is_read(self):
        for line in (b"", b"[]", b"null", b"\0", b"\xff", b"\xef\xbb\xbf" + json.dumps(SIGNED).encode(),
                     b'{"a":' + b"[" * 100000, b"{" * 100000, json.dumps(SIGNED).encode() + b"x",
                     json.dumps(SIGNED).encode() + b"\0", b'{"scheme":"' + b"a" * (5 << 20) + b'"}'):
            finished = self.run_it("verify", "-", status=2,
                                   stdin=line + b"\n" + json.dumps(SIGNED).encode() + b"\n")
            first, second = finished.lines()
            self.assertIn("line 1", first["error"])
            self.assertIs(second["valid"], True)

    def test_carriage_returns_and_a_missing_last_newline_are_taken(self):
        text = json.dumps(SIGNED).encode()
        self.assertEqual(len(self.run_it("verify", "-", stdin=text + b"\r\n" + text,
                                         status=0).lines()), 2)

    def test_the_summary_counts_and_names_the_backend(self):
        text = "".join(json.dumps(line) + "\n" for line in (SIGNED, SIGNED, self.changed(message="00"), {}))
        for backend in ("portable", "openssl"):
            plain = self.run_it("verify", "-", "--backend", backend, stdin=text.encode(), status=2)
            finished = self.run_it("verify", "-", "--backend", backend, "--summary", stdin=text.encode(), status=2)
            self.assertEqual((finished.out, plain.err), (plain.out, ""))
            self.assertEqual(finished.err, '{"lines":4,"valid":2,"not_valid":1,"errors":1,"backend":"%s"}\n' % backend)

    def test_input_that_cannot_be_read_has_status_3(self):
        self.run_it("verify", "none", status=3)
        self.run_it("verify", ".", status=3)

    def test_output_that_cannot_be_written_has_status_3(self):
        self.colophon.write("lines", json.dumps(SIGNED))
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, "verify", "lines"], cwd=self.colophon.folder,
                                    stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(result.returncode, 3)
        self.assertIn(b"standard output", result.stderr)


class Merkle(OfflineTest):
    LEAVES = [b"", b"\0", b"\xff\x01", b"", b"leaf", b"x" * 100, b"\n"]

    def leaves_file(self, leaves):
        return self.colophon.write("leaves", "".join(leaf.hex() + "\n" for leaf in leaves))

    def test_root_is_that_of_rfc_9162(self):
        for size in range(len(self.LEAVES) + 1):
            leaves = self.LEAVES[:size]
            self.leaves_file(leaves)
            finished = self.run_it("merkle", "root", "leaves", status=0)
            self.assertEqual(finished.out, tree_root(leaves).hex() + "\n")
            self.assertEqual(finished.err, "")
        self.assertEqual(self.run_it("merkle", "root", "leaves", "--json", status=0).json(),
                         {"hash": "sha256", "size": size, "root": tree_root(leaves).hex()})

    def test_empty_lines_are_empty_leaves_and_a_last_newline_is_none(self):
        def root(text):
            return self.run_it("merkle", "root", "-", stdin=text, status=0).out.strip()
        self.assertEqual(root(b""), hashlib.sha256(b"").hexdigest())
        self.assertEqual(root(b"\n"), tree_root([b""]).hex())
        self.assertEqual(root(b"\n\n"), tree_root([b"", b""]).hex())
        self.assertEqual(root(b"00"), tree_root([b"\0"]).hex())
        self.assertEqual(root(b"AB\n"), tree_root([b"\xab"]).hex())

    def test_wrong_leaves_name_their_line(self):
        for text in (b"00\n0\n", b"00\nzz\n", b"00\n00\r\n", b"00\n \n", b"00\n\0\n"):
            finished = self.run_it("merkle", "root", "-", stdin=text, status=2)
            self.assertIn("line 2", finished.err)
            self.assertEqual(finished.out, "")
        self.run_it("merkle", "root", "none", status=3)
        error = self.run_it("merkle", "root", "--json", "none", status=3).json()["error"]
        self.assertEqual(error["code"], "not_found")

    def test_inclusion_proofs_are_those_of_rfc_9162_and_verify(self):
        for size in range(1, len(self.LEAVES) + 1):
            leaves = self.LEAVES[:size]
            self.leaves_file(leaves)
            for index in range(size):
                text = self.run_it("merkle", "prove", "leaves", "--index", str(index), status=0).out
                proof = json.loads(text)
                self.assertEqual(list(proof), ["hash", "index", "size", "leaf", "proof", "root"])
                self.assertEqual(proof, {
                    "hash": "sha256", "index": index, "size": size, "leaf": leaves[index].hex(),
                    "proof": [node.hex() for node in inclusion_path(index, leaves)],
                    "root": tree_root(leaves).hex()})
        verified = self.run_it("merkle", "verify", "-", stdin=text.encode(), status=0)
        self.assertIn("valid", verified.out)
        self.assertEqual(self.run_it("merkle", "verify", "-", "--json", stdin=text.encode(),
                                     status=0).json()["valid"], True)

    def test_consistency_proofs_are_those_of_rfc_9162_and_verify(self):
        self.leaves_file(self.LEAVES)
        for new in range(1, len(self.LEAVES) + 1):
            for old in range(1, new + 1):
                text = self.run_it("merkle", "consistency", "leaves", "--from", str(old), "--to",
                                   str(new), status=0).out
                proof = json.loads(text)
                self.assertEqual(list(proof),
                                 ["hash", "from", "to", "from_root", "to_root", "proof"])
                leaves = self.LEAVES[:new]
                self.assertEqual(proof, {
                    "hash": "sha256", "from": old, "to": new,
                    "from_root": tree_root(leaves[:old]).hex(), "to_root": tree_root(leaves).hex(),
                    "proof": [node.hex() for node in consistency_path(old, leaves)]})
        self.run_it("merkle", "verify-consistency", "-", stdin=text.encode(), status=0)
        to_all = self.run_it("merkle", "consistency", "leaves", "--from", "3", status=0).json()
        self.assertEqual(to_all["to"], len(self.LEAVES))

    def test_arguments_out_of_range_have_status_2(self):
        self.leaves_file(self.LEAVES[:3])
        for arguments in (("prove", "leaves", "--index", "3"), ("prove", "leaves", "--index", "-1"),
                          ("prove", "leaves", "--index", "01"), ("prove", "leaves", "--index", "x"),
                          ("prove", "leaves", "--index", str(2**64)), ("prove", "leaves"),
                          ("consistency", "leaves", "--from", "0"),
                          ("consistency", "leaves", "--from", "4"),
                          ("consistency", "leaves", "--from", "3", "--to", "2"),
                          ("consistency", "leaves", "--from", "1", "--to", "4"),
                          ("consistency", "leaves", "--from", "-1"), ("consistency", "leaves")):
            finished = self.run_it("merkle", *arguments, status=2)
            self.assertEqual(finished.out, "")
            self.assertIn("--", finished.err)
        self.leaves_file([])
        self.run_it("merkle", "prove", "leaves", "--index", "0", status=2)
        self.run_it("merkle", "consistency", "leaves", "--from", "1", status=2)

    def altered(self, proof):
        """Every member of a proof changed in a way that no right proof can have."""
        for name, value in proof.items():
            if isinstance(value, int):
                yield name, value + 1000
                yield name, 0 if name != "index" else value ^ 1
                yield name, "1"
            elif isinstance(value, list):
                yield name, value[:-1]
                yield name, value + [value[0]]
                yield name, value[::-1]
                for i in range(len(value)):
                    yield name, value[:i] + [value[i][:-1] + ("0" if value[i][-1] != "0" else "1")
                                             ] + value[i + 1:]
            else:
                yield name, value + "00"
                yield name, value[:-1] + ("0" if value[-1:] != "0" else "1")
                yield name, "zz"

    def test_altered_proofs_are_refused_with_the_reason_and_status_1(self):
        self.leaves_file(self.LEAVES)
        for prove, verify in ((("prove", "leaves", "--index", "4"), "verify"),
                              (("consistency", "leaves", "--from", "3"), "verify-consistency")):
            proof = self.run_it("merkle", *prove, status=0).json()
            for name, value in self.altered(proof):
                text = json.dumps({**proof, name: value}).encode()
                finished = self.run_it("merkle", verify, "-", stdin=text, status=1)
                self.assertRegex(finished.out, "^not valid: .+", (name, value))
                answer = self.run_it("merkle", verify, "--json", "-", stdin=text, status=1).json()
                self.assertIs(answer["valid"], False)
                self.assertNotEqual(answer["reason"], "")
            for text in (b"", b"{}", b"[]", json.dumps(proof).encode()[:-2],
                         json.dumps({**proof, "x": 1}).encode(), b'{"a":' + b"[" * 100000):
                self.assertRegex(self.run_it("merkle", verify, "-", stdin=text, status=1).out,
                                 "^not valid: .+")
            self.run_it("merkle", verify, "none", status=3)


class Completion(OfflineTest):
    def test_bash_completes_commands_options_choices_and_files(self):
        self.colophon.write("some document.pdf", "x")
        script = """
          source <("$1" completion bash)
          compopt() { :; }
          try() { COMP_WORDS=(colophon "$@"); COMP_CWORD=$#; COMPREPLY=(); _colophon
                  (IFS='|'; printf '%s\\n' "${COMPREPLY[*]}"); }
          try no
          try node ''
          try certificate v
          try merkle verify-
          try node init --chain
          try register --key 'pkcs11:token=x' --pin
          try register --type d
          try hsm keygen --type ''
          try hsm keygen --type = ed
          try hsm keygen --type =
          try hash --algorithm sm
          try merkle root --leaves-from some
          try completion ''
          try certificate verify some
          try certificate verify x --trust some
          try show --node some
        """
        printed = subprocess.run(["bash", "-c", script, "-", PROGRAM], cwd=self.colophon.folder,
                                 stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
        self.assertEqual(printed, [
            "node", "init|start|fsck", "verify", "verify-consistency", "--chain-id",
            "--pin-file|--pin-env", "design|dataset", "p256|ed25519", "ed25519", "p256|ed25519", "sm3", "some document.pdf",
            "bash|zsh|fish", "some document.pdf", "some document.pdf", ""])

    def test_the_scripts_are_well_formed(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.run_it("completion", shell, status=0).out
            self.assertIn("certificate verify", script)
            if shutil.which(shell):
                subprocess.run([shell, "-n"], input=script.encode(), check=True)


if __name__ == "__main__":
    unittest.main(testLoader=SampleLoader())
