#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`colophon hash` beside coreutils' sha256sum and sha512sum and BLAKE3's own package, and Merkle trees of every hash.

usage: hash_test.py PROGRAM
"""
import functools
import glob
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
from program import Program, SampleLoader  # noqa: E402
from rfc9162 import consistency_path, inclusion_path, tree_root  # noqa: E402

try:  # installed by scripts/setup
    sys.path += glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                       "../../.tools/venv/lib/python3*/site-packages"))
    from blake3 import blake3
except ImportError:
    blake3 = None

PROGRAM = os.path.abspath(sys.argv.pop(1))
MIB = 1 << 20

# Of "" and "abc". BLAKE3: its test vectors, and b3sum. Keccak-256: the submission's ShortMsgKAT_256, and Ethereum's.
PUBLISHED = {
    "sm3": ("1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    "blake3": ("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
               "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    "keccak256": ("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
                  "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
}


def tool(name, *arguments, folder, stdin=b"", status=0):
    """Standard output of a program of coreutils."""
    result = subprocess.run([name, *arguments], cwd=folder, input=stdin, check=False,
                            env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    if result.returncode != status:
        raise AssertionError(f"{name} {arguments}: {result}")
    return result.stdout


class HashTest(unittest.TestCase):
    # What a name may hold; one is no UTF-8. CLI11, which reads the arguments, has its own mind about some.
    FILES = {
        "plain": b"abc", "empty": b"", "with space": b"1", " leading": b"2", "*star": b"3", "new\nline": b"4",
        "back\\slash": b"5", "\\n": b"6", "return\r": b"7", "(a) = b": b"8", "hash": b"9", "verify": b"10",
        "{}": b"11", "%%": b"12", "a,b": b"13", "=x": b"14", "#c": b"15", "[a,b": b"16", b"\xff\xfe": b"17",
        "[plain]": b"18", "[plain,empty]": b"19", "[]": b"20", "\1": b"21", "\1[x]": b"22",
        "short": b"x" * (MIB - 1), "piece": b"y" * MIB, "long": b"z" * (MIB + 1), "pieces": bytes(range(251)) * 13000,
    }

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.colophon = Program(PROGRAM, folder.name)

    def run_it(self, *arguments, **options):
        return self.colophon.run(*arguments, **options)

    def raw(self, *arguments, status=0, stdin=b""):
        """Standard output as bytes."""
        result = subprocess.run([PROGRAM, *arguments], cwd=self.folder, input=stdin, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, status, result)
        return result.stdout

    def write_files(self):
        for name, content in self.FILES.items():
            with open(os.path.join(os.fsencode(self.folder), os.fsencode(name)), "wb") as file:
                file.write(content)
        return list(self.FILES)


class Hash(HashTest):
    def test_lines_are_those_of_coreutils(self):
        names = self.write_files()
        for algorithm in ("sha256", "sha512"):
            for options in ((), ("--tag",), ("--zero",)):
                self.assertEqual(self.raw("hash", "--algorithm", algorithm, *options, "--", *names),
                                 tool(algorithm + "sum", *options, "--", *names, folder=self.folder))
        self.assertEqual(self.raw("hash", "plain", "-", stdin=b"abc"),
                         tool("sha256sum", "plain", "-", folder=self.folder, stdin=b"abc"))
        self.assertEqual(self.raw("hash", stdin=b"abc"), tool("sha256sum", folder=self.folder, stdin=b"abc"))

    def test_each_reads_the_others_lists(self):
        names = self.write_files()
        for algorithm in ("sha256", "sha512"):
            for options in ((), ("--tag",)):
                ours = self.raw("hash", "--algorithm", algorithm, *options, "--", *names)
                told = tool(algorithm + "sum", "--check", folder=self.folder, stdin=ours)
                self.assertEqual(told.count(b": OK\n"), len(names))
                theirs = tool(algorithm + "sum", *options, "--", *names, folder=self.folder)
                self.assertEqual(self.raw("hash", "--algorithm", algorithm, "--check", "-", stdin=theirs), told)

    def test_published_values(self):
        self.colophon.write("empty", b"")
        self.colophon.write("abc", b"abc")
        for algorithm, values in PUBLISHED.items():
            finished = self.run_it("hash", "--algorithm", algorithm, "empty", "abc", status=0)
            self.assertEqual(finished.out, "%s  empty\n%s  abc\n" % values, algorithm)

    @unittest.skipUnless(blake3, "the Python package blake3 is not installed: scripts/setup installs it")
    def test_blake3_is_that_of_its_package(self):
        names = self.write_files()
        # Around its chunks of 1 KiB, and the pieces in which files are read.
        for size in (1, 64, 65, 1023, 1024, 1025, 2049, 3 * 1024, 17 * 1024 + 1, 3 * MIB, 5 * MIB + 1234):
            names.append(str(size))
            self.colophon.write(str(size), bytes(i % 251 for i in range(251)) * (size // 251) +
                                bytes(range(size % 251)))
        for name, line in zip(names, self.raw("hash", "--algorithm", "blake3", "--zero", "--", *names).split(b"\0")):
            with open(os.path.join(os.fsencode(self.folder), os.fsencode(name)), "rb") as file:
                self.assertEqual(line, blake3(file.read()).hexdigest().encode() + b"  " + os.fsencode(name))

    def test_json(self):
        self.colophon.write("a", b"abc")
        finished = self.run_it("hash", "--json", "a", "none", status=1)
        self.assertEqual(finished.err, "")
        first, second = finished.lines()
        self.assertEqual(first, {"file": "a", "hash": "sha256", "digest": hashlib.sha256(b"abc").hexdigest(),
                                 "bytes": 3})
        self.assertEqual((second["error"]["code"], second["error"]["field"]), ("not_found", "none"))

    def test_what_cannot_be_read_is_told_and_the_others_are_hashed(self):
        for name in ("a", "c", "locked"):
            self.colophon.write(name, b"abc")
        os.mkdir(os.path.join(self.folder, "folder"))
        line = hashlib.sha256(b"abc").hexdigest()
        finished = self.run_it("hash", "a", "none", "folder", "a/b", "c", status=1)
        self.assertEqual(finished.out, f"{line}  a\n{line}  c\n")
        self.assertEqual(finished.err, "colophon: none: cannot be read: No such file or directory\n"
                                       "colophon: folder: cannot be hashed: it is a folder\n"
                                       "colophon: a/b: cannot be read: Not a directory\n")
        # "c" begins the message, too.
        os.remove(os.path.join(self.folder, "c"))
        self.assertIn("colophon: c: cannot", self.run_it("hash", "c", status=1).err)
        if os.geteuid() != 0:  # root may read everything
            os.chmod(os.path.join(self.folder, "locked"), 0)
            self.assertIn("Permission denied", self.run_it("hash", "locked", status=1).err)

    def test_usage(self):
        for arguments in (("--algorithm", "md5"), ("--quiet", "a"), ("--check", "--tag", "a"), ("--json", "--zero", "a"),
                          ("--backend", "none", "a")):
            finished = self.run_it("hash", *arguments, status=2)
            self.assertEqual(finished.out, "")
            self.assertNotEqual(finished.err, "")

    def test_every_backend_prints_the_same(self):
        self.colophon.write("a", b"abc")
        for backend in self.run_it("backends", "--json").json():
            if backend["self_test_passed"]:
                self.assertEqual(self.run_it("hash", "a", "--backend", backend["name"], status=0).out,
                                 hashlib.sha256(b"abc").hexdigest() + "  a\n")

    def test_a_pipe_is_read_to_its_end(self):
        pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(pipe)
        with subprocess.Popen([PROGRAM, "hash", "pipe"], cwd=self.folder, stdout=subprocess.PIPE) as process:
            with open(pipe, "wb") as file:
                for _ in range(3):
                    file.write(b"a" * 700_000)
                    file.flush()
            self.assertEqual(process.stdout.read().decode(),
                             hashlib.sha256(b"a" * 2_100_000).hexdigest() + "  pipe\n")

    def test_an_interrupt_ends_it_and_leaves_nothing(self):
        os.mkfifo(os.path.join(self.folder, "pipe"))
        with subprocess.Popen([PROGRAM, "hash", "pipe"], cwd=self.folder, stdout=subprocess.PIPE) as process:
            with open(os.path.join(self.folder, "pipe"), "wb") as file:
                file.write(b"a")
                file.flush()
                process.send_signal(2)
                self.assertEqual(process.stdout.read(), b"")
                self.assertEqual(process.wait(), -2)
        self.assertEqual(os.listdir(self.folder), ["pipe"])

    def test_progress_is_shown_on_a_terminal_alone(self):
        os.mkfifo(os.path.join(self.folder, "pipe"))
        terminal, its_end = pty.openpty()
        with subprocess.Popen([PROGRAM, "hash", "pipe"], cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=its_end) as process:
            os.close(its_end)
            with open(os.path.join(self.folder, "pipe"), "wb") as file:
                shown = b""
                while b"MiB" not in shown:  # after a tenth of a second
                    file.write(b"a" * 65536)
                    file.flush()
                    os.set_blocking(terminal, False)
                    try:
                        shown += os.read(terminal, 4096)
                    except BlockingIOError:
                        pass
            self.assertIn(b"  pipe\n", process.stdout.read())
        os.set_blocking(terminal, True)
        shown += os.read(terminal, 65536)
        os.close(terminal)
        self.assertRegex(shown, rb"^(\r0 files, \d+ MiB\x1b\[K)+\r\x1b\[K$")


class Check(HashTest):
    def list_of(self, *lines):
        return "".join(line + "\n" for line in lines).encode()

    def both(self, text, *options, status):
        """What ours and sha256sum print for a list: the same."""
        ours = self.run_it("hash", "--check", *options, "-", stdin=text, status=status)
        theirs = subprocess.run(["sha256sum", "--check", *options, "-"], cwd=self.folder, input=text, check=False,
                                env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((ours.out, ours.status), (theirs.stdout.decode(), theirs.returncode))
        told = theirs.stderr.decode().replace("sha256sum: ", "colophon: ").replace("'", "")
        told = told.replace("colophon: none: No such", "colophon: none: cannot be read: No such")
        self.assertEqual(ours.err, told)
        return ours

    def test_mixed_results_are_told_as_sha256sum_tells_them(self):
        self.colophon.write("a", b"abc")
        self.colophon.write("b", b"changed")
        right = hashlib.sha256(b"abc").hexdigest()
        text = self.list_of("# a comment", right + "  a", right + "  b", "", right + "  none", "no line of it",
                            right[1:] + "  a", right.upper() + " *a", f"SHA256 (b) = {right}", right + "  -")
        for options in ((), ("--status",), ("--ignore-missing",),
                        ("--status", "--warn"), ("--warn", "--quiet")):
            told = self.both(text, *options, status=1).err
        self.assertIn("WARNING: 2 computed checksums did NOT match\n", told)

    def test_faulty_lines_fail_with_strict_alone(self):
        self.colophon.write("a", b"abc")
        text = self.list_of(hashlib.sha256(b"abc").hexdigest() + "  a", "faulty")
        self.both(text, status=0)
        self.both(text, "--strict", status=1)
        self.both(text, "--strict", "--status", status=1)

    def test_missing_files_are_skipped_if_asked_but_not_all(self):
        self.colophon.write("a", b"abc")
        right = hashlib.sha256(b"abc").hexdigest()
        self.both(self.list_of(right + "  a", right + "  none"), "--ignore-missing", status=0)
        self.both(self.list_of(right + "  none"), "--ignore-missing", status=1)

    def test_no_list_is_an_error(self):
        for text in (b"", b"\n# a\n", b"\0\n\xff\n" + b"x" * 100_000, self.list_of("0" * 63 + "  a")):
            self.both(text, status=1)
        self.colophon.write("list", self.list_of(hashlib.sha256(b"").hexdigest() + "  list"))
        for paths in ((".",), ("none", "list")):
            finished = self.run_it("hash", "--check", *paths, status=1)
            self.assertIn(f"colophon: {paths[0]}: cannot be read", finished.err)
        self.assertEqual(finished.out, "list: FAILED\n")

    def test_other_hashes_lists_are_not_taken(self):
        self.colophon.write("a", b"abc")
        long = hashlib.sha512(b"abc").hexdigest()
        short = hashlib.sha256(b"abc").hexdigest()
        self.both(self.list_of(long + "  a", f"SHA512 (a) = {long}", f"SM3 (a) = {short}", f"SHA512 (a) = {short}"),
                  status=1)
        # Without a tag, a hash of the same length is another hash.
        for tag in ((), ("--tag",)):
            text = self.raw("hash", "--algorithm", "sm3", *tag, "a")
            self.raw("hash", "--algorithm", "sm3", "--check", "-", stdin=text)
            self.raw("hash", "--check", "-", stdin=text, status=1)

    def test_json(self):
        self.colophon.write("a", b"abc")
        right = hashlib.sha256(b"abc").hexdigest()
        text = self.list_of(right + "  a", "0" * 64 + "  a", right + "  none", "faulty")
        finished = self.run_it("hash", "--check", "--json", "-", stdin=text, status=1)
        self.assertEqual(finished.err, "")
        one, two, three, four = finished.lines()
        self.assertEqual((one, two), ({"file": "a", "valid": True}, {"file": "a", "valid": False}))
        self.assertEqual((three["error"]["code"], three["error"]["field"]), ("not_found", "none"))
        self.assertEqual(four["error"], {"code": "malformed", "field": "standard input",
                                         "message": "line 4: improperly formatted SHA256 checksum line"})


class FolderTree(HashTest):
    # In the order of the paths' bytes: '-' < '/' < '0'.
    FILES = ("a-b", "a/b/c", "a/c", "a0/x", "new\nline", "z")

    def setUp(self):
        super().setUp()
        for name in self.FILES:
            path = os.path.join(self.folder, "folder", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(name.encode())
        os.symlink("z", os.path.join(self.folder, "folder", "link"))
        os.symlink("a", os.path.join(self.folder, "folder", "linked"))
        self.leaves = [hashlib.sha256(name.encode()).digest() for name in self.FILES]

    def prove(self, *arguments, status=0):
        return self.run_it("merkle", "prove", "--leaves-from", "folder", *arguments, status=status)

    def test_leaves_are_the_hashes_of_the_files_in_the_order_of_their_paths(self):
        root = tree_root(self.leaves).hex()
        self.assertEqual(self.run_it("merkle", "root", "--leaves-from", "folder", status=0).out, root + "\n")
        self.assertEqual(self.run_it("merkle", "root", "--leaves-from", "folder/", "--hash", "sha256", "--json",
                                     status=0).json(),
                         {"hash": "sha256", "size": len(self.FILES), "root": root})
        self.colophon.write("leaves", "".join(leaf.hex() + "\n" for leaf in self.leaves))
        self.assertEqual(self.run_it("merkle", "root", "leaves", status=0).out, root + "\n")

    def test_an_empty_folder_is_the_empty_tree(self):
        os.mkdir(os.path.join(self.folder, "empty"))
        self.assertEqual(self.run_it("merkle", "root", "--leaves-from", "empty", status=0).out,
                         hashlib.sha256(b"").hexdigest() + "\n")

    def test_a_file_is_proven_by_its_name_and_nothing_else_is(self):
        for name in ("a/b/c", "new\nline"):
            index = self.FILES.index(name)
            text = self.prove("--file", name).out.encode()
            self.assertEqual(json.loads(text), {
                "hash": "sha256", "index": index, "size": len(self.FILES), "leaf": self.leaves[index].hex(),
                "proof": [node.hex() for node in inclusion_path(index, self.leaves)],
                "root": tree_root(self.leaves).hex()})
            self.assertEqual(self.prove("--index", str(index)).out.encode(), text)
        path = os.path.join("folder", "a/b/c")
        text = self.prove("--file", "a/b/c").out.encode()
        self.assertIn("valid: leaf 1, the hash of folder/a/b/c, is in the tree of 6 leaves",
                      self.run_it("merkle", "verify", "-", "--file", path, stdin=text, status=0).out)
        self.run_it("merkle", "verify", "-", stdin=text, status=0)
        self.assertEqual(self.run_it("merkle", "verify", "-", "--file", "folder/z", stdin=text, status=1).out,
                         "not valid: the leaf is not the hash of folder/z\n")
        self.run_it("merkle", "verify", "-", "--file", "none", stdin=text, status=3)
        other = json.dumps({**json.loads(text), "leaf": self.leaves[2].hex()}).encode()
        self.assertEqual(self.run_it("merkle", "verify", "-", "--file", "folder/a/c", stdin=other, status=1).out,
                         "not valid: the proof does not lead from the leaf to the root at this position\n")
        # One byte more in the file: neither leaf nor root.
        self.colophon.write(path, b"a/b/c!")
        self.run_it("merkle", "verify", "-", "--file", path, stdin=text, status=1)
        self.assertNotEqual(self.prove("--file", "a/b/c").json()["root"], json.loads(text)["root"])

    def test_names_that_are_none_and_folders_that_are_none(self):
        for name in ("none", "a", "./z", "link", "linked/c"):
            finished = self.prove("--file", name, status=2)
            self.assertEqual(finished.out, "")
            self.assertIn("--file", finished.err)
        self.assertIn("--index", self.prove("--index", "6", status=2).err)
        for folder in ("none", "folder/z"):
            finished = self.run_it("merkle", "root", "--leaves-from", folder, status=3)
            self.assertIn(folder, finished.err)

    def test_usage(self):
        for arguments in (("root",), ("root", "leaves", "--leaves-from", "folder"), ("prove", "--leaves-from", "folder"),
                          ("prove", "leaves", "--file", "z"),
                          ("prove", "--leaves-from", "folder", "--file", "z", "--index", "1")):
            finished = self.run_it("merkle", *arguments, status=2)
            self.assertEqual(finished.out, "")
            self.assertNotEqual(finished.err, "")


class Limits(HashTest):
    LEAVES_MAX = 1 << 24

    @unittest.skipIf(os.environ.get("COLOPHON_TEST_SAMPLE", "1") != "1", "takes a minute with sanitizers")
    def test_as_many_leaves_as_there_may_be_and_one_more(self):
        root = hashlib.sha256(b"\0").digest()  # of an empty leaf, and from here on of equal halves
        for _ in range(24):
            root = hashlib.sha256(b"\1" + root + root).digest()
        self.colophon.write("leaves", "\n" * self.LEAVES_MAX)
        self.assertEqual(self.run_it("merkle", "root", "leaves", status=0).out, root.hex() + "\n")
        self.colophon.write("leaves", "\n" * (self.LEAVES_MAX + 1))
        finished = self.run_it("merkle", "root", "leaves", status=2)
        self.assertEqual(finished.out, "")
        self.assertIn("line 16777217: more than 16777216 leaves", finished.err)


class EveryHash(HashTest):
    ALGORITHMS = {"sha256": 32, "sha512": 64, "sm3": 32, "blake3": 32, "keccak256": 32}  # and a digest's bytes
    LEAVES = (b"\0", b"", b"\xff\1", bytes(64), bytes(range(65)), b"6", bytes(200))

    def setUp(self):
        super().setUp()
        self.colophon.write("leaves", "".join(leaf.hex() + "\n" for leaf in self.LEAVES))
        self.colophon.write("leaves-5", "".join(leaf.hex() + "\n" for leaf in self.LEAVES[:5]))

    def made(self, command, algorithm, *options):
        return self.run_it("merkle", command, "leaves", "--hash", algorithm, *options, status=0).json()

    def checked(self, command, proof, status):
        return self.run_it("merkle", command, "-", stdin=json.dumps(proof).encode(), status=status).out

    def expect_refused(self, command, proof, reason):
        self.assertIn("not valid: " + reason, self.checked(command, proof, 1))

    def test_roots(self):
        os.mkdir(os.path.join(self.folder, "empty"))
        os.mkdir(os.path.join(self.folder, "folder"))
        for name in "abc":
            self.colophon.write("folder/" + name, name.encode())
        for algorithm in self.ALGORITHMS:
            digest = functools.partial(digest_of, algorithm)
            root = tree_root(self.LEAVES, digest).hex()
            self.assertEqual(self.made("root", algorithm, "--json"),
                             {"hash": algorithm, "size": len(self.LEAVES), "root": root})
            for folder, files in (("empty", ()), ("folder", (b"a", b"b", b"c"))):
                finished = self.run_it("merkle", "root", "--leaves-from", folder, "--hash", algorithm, status=0)
                self.assertEqual(finished.out, tree_root([digest(file) for file in files], digest).hex() + "\n")

    def test_inclusion(self):
        for algorithm in self.ALGORITHMS:
            digest = functools.partial(digest_of, algorithm)
            proof = self.made("prove", algorithm, "--index", "4")
            self.assertEqual(proof, {
                "hash": algorithm, "index": 4, "size": len(self.LEAVES), "leaf": self.LEAVES[4].hex(),
                "proof": [node.hex() for node in inclusion_path(4, self.LEAVES, digest)],
                "root": tree_root(self.LEAVES, digest).hex()})
            self.assertEqual(self.checked("verify", proof, 0),
                             f"valid: leaf 4 is in the tree of {len(self.LEAVES)} leaves with root {proof['root']}\n")
            bent = flipped(proof["proof"][1])
            for wrong in ({"leaf": flipped(proof["leaf"])}, {"root": flipped(proof["root"])},
                          {"proof": [proof["proof"][0], bent, *proof["proof"][2:]]}):
                self.expect_refused("verify", {**proof, **wrong}, "the proof does not lead from the leaf to the root")

    def test_consistency(self):
        for algorithm in self.ALGORITHMS:
            digest = functools.partial(digest_of, algorithm)
            proof = self.made("consistency", algorithm, "--from", "5")
            self.assertEqual(proof, {
                "hash": algorithm, "from": 5, "to": len(self.LEAVES),
                "from_root": self.run_it("merkle", "root", "leaves-5", "--hash", algorithm, status=0).out.strip(),
                "to_root": tree_root(self.LEAVES, digest).hex(),
                "proof": [node.hex() for node in consistency_path(5, self.LEAVES, digest)]})
            self.assertEqual(self.checked("verify-consistency", proof, 0),
                             f"valid: the tree of {len(self.LEAVES)} leaves begins with that of 5\n")
            for wrong in ({"from_root": flipped(proof["from_root"])}, {"to_root": flipped(proof["to_root"])},
                          {"proof": [flipped(proof["proof"][0]), *proof["proof"][1:]]}):
                self.expect_refused("verify-consistency", {**proof, **wrong}, "the proof does not lead to the ")

    def test_a_proof_proves_nothing_under_another_hash(self):
        for algorithm, size in self.ALGORITHMS.items():
            inclusion = self.made("prove", algorithm, "--index", "4")
            consistency = self.made("consistency", algorithm, "--from", "5")
            for other, other_size in self.ALGORITHMS.items():
                if other == algorithm:
                    continue
                reason = "" if other_size == size else f"proof: a {other} hash has {other_size} bytes, not {size}\n"
                self.expect_refused("verify", {**inclusion, "hash": other}, reason)
                if other_size == size:
                    self.expect_refused("verify-consistency", {**consistency, "hash": other}, "")
            # SHA-256 is what it means to name none.
            del inclusion["hash"]
            self.checked("verify", inclusion, 0 if algorithm == "sha256" else 1)
        self.expect_refused("verify", {**inclusion, "hash": "md5"}, "hash: is no hash there is: 'md5'")

    def test_digests_of_another_length_are_refused(self):
        for algorithm, size in self.ALGORITHMS.items():
            inclusion = self.made("prove", algorithm, "--index", "4")
            consistency = self.made("consistency", algorithm, "--from", "5")
            reason = f"a {algorithm} hash has {size} bytes, not {size - 1}\n"
            self.expect_refused("verify", {**inclusion, "root": inclusion["root"][2:]}, "root: " + reason)
            nodes = [*inclusion["proof"][:-1], inclusion["proof"][-1][2:]]
            self.expect_refused("verify", {**inclusion, "proof": nodes}, "proof: " + reason)
            for member in ("from_root", "to_root"):
                self.expect_refused("verify-consistency", {**consistency, member: consistency[member][2:]},
                                    f"{member}: {reason}")

    def test_files_are_proven_under_every_hash(self):
        os.mkdir(os.path.join(self.folder, "folder"))
        for name in "abc":
            self.colophon.write("folder/" + name, name.encode())
        for algorithm in self.ALGORITHMS:
            proof = self.run_it("merkle", "prove", "--leaves-from", "folder", "--file", "b", "--hash", algorithm,
                                status=0).out.encode()
            self.assertEqual(json.loads(proof)["leaf"], digest_of(algorithm, b"b").hex())
            self.run_it("merkle", "verify", "-", "--file", "folder/b", stdin=proof, status=0)
            self.assertEqual(self.run_it("merkle", "verify", "-", "--file", "folder/c", stdin=proof, status=1).out,
                             "not valid: the leaf is not the hash of folder/c\n")


@functools.cache
def digest_of(algorithm, message):
    """Python's where it has the hash, else what `colophon hash` prints, which other tests check."""
    if algorithm in hashlib.algorithms_available:
        return hashlib.new(algorithm, message).digest()
    told = tool(PROGRAM, "hash", "--algorithm", algorithm, folder=None, stdin=message)
    return bytes.fromhex(told.split()[0].decode())


def flipped(text):
    """Hex, with one bit of its first byte another."""
    return f"{int(text[:2], 16) ^ 1:02x}{text[2:]}"


if __name__ == "__main__":
    if not all(shutil.which(name) for name in ("sha256sum", "sha512sum")):
        print("skipped: coreutils are not installed")
        sys.exit(77)
    unittest.main(testLoader=SampleLoader())
