#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`colophon hash` beside coreutils' sha256sum and sha512sum, and Merkle trees over a folder's files.

usage: hash_test.py PROGRAM
"""
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
from program import Program  # noqa: E402
from rfc9162 import inclusion_path, tree_root  # noqa: E402

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
    # What a name may hold; the last is no UTF-8. CLI11, which reads the arguments, has its own mind about some.
    FILES = {
        "plain": b"abc", "empty": b"", "with space": b"1", " leading": b"2", "*star": b"3", "new\nline": b"4",
        "back\\slash": b"5", "\\n": b"6", "return\r": b"7", "(a) = b": b"8", "hash": b"9", "verify": b"10",
        "{}": b"11", "%%": b"12", "a,b": b"13", "=x": b"14", "#c": b"15", "[a,b": b"16", b"\xff\xfe": b"17",
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
        missing = []
        for algorithm, values in PUBLISHED.items():
            finished = self.run_it("hash", "--algorithm", algorithm, "empty", "abc")
            if finished.status == 3 and "does not offer" in finished.err:
                missing.append(algorithm)
                continue
            self.assertEqual(finished.out, "%s  empty\n%s  abc\n" % values, algorithm)
        if missing:
            self.skipTest("not in this build: " + ", ".join(missing))

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

    def test_hashes_that_trees_have_not_yet_are_refused(self):
        finished = self.run_it("merkle", "root", "--leaves-from", "folder", "--hash", "sha512", status=3)
        self.assertEqual(finished.err, "colophon: trees with sha512 are not there yet: sha256 is\n")
        proof = {**self.prove("--file", "z").json(), "hash": "sm3"}
        finished = self.run_it("merkle", "verify", "-", stdin=json.dumps(proof).encode(), status=3)
        self.assertIn("trees with sm3 are not there yet", finished.err)
        proof["hash"] = "md5"
        self.assertIn("not valid: hash: is no hash there is: 'md5'",
                      self.run_it("merkle", "verify", "-", stdin=json.dumps(proof).encode(), status=1).out)
        del proof["hash"]
        self.run_it("merkle", "verify", "-", stdin=json.dumps(proof).encode(), status=0)


if __name__ == "__main__":
    if not all(shutil.which(name) for name in ("sha256sum", "sha512sum")):
        print("skipped: coreutils are not installed")
        sys.exit(77)
    unittest.main()
