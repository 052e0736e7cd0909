#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program with an emulated GPU (colophon-emulated), and the ordinary one on a machine that has none.

usage: gpu_test.py PROGRAM EMULATED
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.dont_write_bytecode = True
from consortium import MODULES, RunningNode, World  # noqa: E402
from program import TIMEOUT_S, Program  # noqa: E402
from signature_lines import P256, edge_lines, p256_lines  # noqa: E402

EMULATED = os.path.abspath(sys.argv.pop(2))
PROGRAM = os.path.abspath(sys.argv.pop(1))

GPU = "Colophon GPU emulator"
# What may be wrong with a GPU: the emulator's settings, and what is said of it.
NO_GPU = [
    ("driver=0", "no NVIDIA driver is installed"),
    ("driver=12040", r"the NVIDIA driver is too old: it supports CUDA 12\.4, this program needs 13\.\d+"),
    ("devices=0", r"the NVIDIA driver finds no GPU \(is one hidden by CUDA_VISIBLE_DEVICES\?\)"),
    ("taken=8180M", rf"GPU 0 \({GPU}\) has only \d+ of its 8589934592 bytes of memory free, needs \d+"),
    ("pools=0", rf"GPU 0 \({GPU}\) has no stream-ordered memory \(memory pools\)"),
    ("fault=cudaSetDevice@1+*:cudaErrorDevicesUnavailable",
     rf"GPU 0 \({GPU}\) is in use by another process, which has it for itself, or its compute mode "
     r"forbids all use"),
    ("fault=cudaMalloc@1+*:cudaErrorMemoryAllocation", "cudaErrorMemoryAllocation"),
]


def signatures():
    """Lines of P-256, right and wrong, of keys that come often and of keys that come once, and the verdicts."""
    made = [*p256_lines()][::8] + [*edge_lines("ecdsa-p256-sha256", P256, P256.ecdsa)]
    return "".join(json.dumps(line) + "\n" for line, _ in made).encode(), [valid for _, valid in made]


class GpuTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.ordinary = Program(PROGRAM, folder.name)
        self.emulated = Program(EMULATED, folder.name)

    def verify(self, text, status, emulator=None, backend="cuda", program=None):
        """What came out, and the summary, or None."""
        finished = (program or self.emulated).run(
            "verify", "--summary", "-", stdin=text, status=status, COLOPHON_BACKEND=backend,
            COLOPHON_GPU_EMULATOR=emulator)
        last = finished.err.splitlines()[-1]
        return finished, json.loads(last) if last.startswith("{") else None


class Backends(GpuTest):
    def test_the_gpu_is_listed_with_all_that_is_known_of_it(self):
        listed = self.emulated.run("backends", "--json", status=0).json()
        cuda, *others = listed
        self.assertEqual((cuda["name"], cuda["chosen_by_auto"], cuda["self_test_passed"], cuda["reason"]),
                         ("cuda", True, True, ""))
        self.assertEqual([other["device"] for other in others], [None] * len(others))
        device = cuda["device"]
        self.assertEqual(list(device), ["index", "name", "compute_capability", "driver", "memory_bytes", "memory_free",
                                        "low_latency_max", "in_use", "signatures", "signatures_on_cpu", "faults", "last_fault"])
        self.assertEqual((device["index"], device["name"], device["compute_capability"], device["driver"],
                          device["memory_bytes"], device["in_use"], device["signatures_on_cpu"], device["faults"],
                          device["last_fault"]), (0, GPU, "9.0", "13.0", 8 << 30, True, 0, 0, ""))
        self.assertGreater(device["signatures"], 0)  # the self-test's
        self.assertGreater(device["low_latency_max"], 0)
        tables = cuda["table_memory"]
        self.assertEqual((tables["bytes"], tables["tables"]), (0, 0))
        self.assertTrue(1 << 30 < tables["bytes_max"] <= device["memory_free"] // 2)

        text = self.emulated.run("backends", status=0).out
        self.assertIn(f"* cuda  ECDSA P-256 and large batches of hashes on {GPU} (compute capability 9.0); all else as ", text)
        self.assertIn(f"GPU 0: {GPU}, compute capability 9.0, driver for CUDA 13.0, ", text)
        self.assertIn(f"in use; signatures: {device['signatures']} on it, 0 on the CPU in its place; faults: 0\n", text)

    def test_what_a_gpu_lacks_is_said_and_auto_takes_the_next(self):
        for settings, reason in NO_GPU:
            with self.subTest(settings):
                cuda, best, *_ = self.emulated.run("backends", "--json", status=0,
                                                   COLOPHON_GPU_EMULATOR=settings).json()
                self.assertEqual((cuda["chosen_by_auto"], cuda["self_test_passed"]), (False, False))
                self.assertRegex(cuda["reason"], reason)
                self.assertEqual(cuda["device"] is None, settings == "driver=0")
                if GPU in reason:
                    self.assertEqual((cuda["device"]["name"], cuda["device"]["in_use"]), (GPU, False))
                self.assertTrue(best["chosen_by_auto"] or not best["self_test_passed"])

    def test_an_index_that_is_not_there_is_refused(self):
        for name, status, message in (
                ("cuda:1", 3, "backend 'cuda:1' cannot run on this machine: there is no GPU 1; their indices end at 0"),
                ("cuda:", 2, "there is no backend 'cuda:'; choose one of: auto, cuda, "),
                ("cuda:00", 2, "there is no backend 'cuda:00'"), ("cuda:-1", 2, "there is no backend 'cuda:-1'"),
                ("cuda:100", 2, "there is no backend 'cuda:100'")):
            finished, _ = self.verify(b"", status, backend=name)
            self.assertIn("colophon: COLOPHON_BACKEND: " + message, finished.err)
        _, summary = self.verify(b"", 0, backend="cuda:0")
        self.assertEqual(summary["backend"], "cuda")


class Verify(GpuTest):
    def test_the_verdicts_are_those_of_openssl(self):
        text, expected = signatures()
        reference, told = self.verify(text, 1, backend="openssl", program=self.ordinary)
        self.assertEqual([answer["valid"] for answer in reference.lines()], expected)
        self.assertEqual(told, {"lines": len(expected), "valid": sum(expected),
                                "not_valid": len(expected) - sum(expected), "errors": 0, "backend": "openssl"})
        for order in ("ascending", "descending"):
            finished, summary = self.verify(text, 1, emulator=f"seed=7,order={order}")
            self.assertTrue(finished.out == reference.out)
            self.assertEqual((summary["backend"], summary["device"], summary["signatures_on_cpu"]), ("cuda", GPU, 0))
            # All but those whose form is wrong went through the kernels.
            self.assertTrue(sum(expected) < summary["signatures_on_device"] <= len(expected))

    def test_a_gpu_that_cannot_be_used_is_an_error_and_not_replaced(self):
        text, _ = signatures()
        for settings, reason in NO_GPU:
            with self.subTest(settings):
                finished, summary = self.verify(text, 3, emulator=settings)
                self.assertRegex(finished.err,
                                 rf"^colophon: COLOPHON_BACKEND: backend 'cuda' [^\n]*: .*{reason}[^\n]*\n$")
                self.assertEqual((finished.out, summary), ("", None))

    def test_auto_goes_on_without_and_says_what_it_took(self):
        _, summary = self.verify(b"", 0, backend="auto")
        self.assertEqual(summary["backend"], "cuda")
        _, summary = self.verify(b"", 0, backend="auto", emulator="devices=0")
        self.assertIn(summary["backend"], ("avx512", "portable"))
        self.assertNotIn("device", summary)

    def test_a_gpu_that_fails_in_the_midst_costs_no_verdict_and_is_told_of(self):
        text, expected = signatures()
        reference, _ = self.verify(text, 1, backend="openssl", program=self.ordinary)
        # The first of these moments that is after the self-test.
        for kernel in range(100, 2000, 20):
            finished = self.emulated.run("verify", "-", stdin=text, COLOPHON_BACKEND="cuda",
                                         COLOPHON_GPU_EMULATOR=f"fault=kernel@{kernel}:cudaErrorLaunchFailure")
            if finished.status != 3:
                break
            self.assertIn("failed in its self-test", finished.err)
        self.assertEqual(finished.status, 1)
        self.assertTrue(finished.out == reference.out)
        told = re.fullmatch(rf"colophon: warning: GPU 0 \({GPU}\) failed, and the CPU verified (\d+) signatures in its "
                            r"place: .*cudaErrorLaunchFailure.*\n", finished.err)
        self.assertTrue(told, finished)
        self.assertTrue(0 < int(told[1]) <= len(expected))

    def test_two_processes_at_once_on_one_card(self):
        text, expected = signatures()
        self.emulated.write("lines", text)
        with tempfile.NamedTemporaryFile(prefix="card-") as card:
            environment = {**self.emulated.environment, "COLOPHON_BACKEND": "cuda",
                           "COLOPHON_GPU_EMULATOR": f"pace=free,card={card.name}"}
            runs = [subprocess.Popen([EMULATED, "verify", "--summary", "lines"], cwd=self.emulated.folder,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
                    for _ in range(2)]
            for run in runs:
                answers, told = run.communicate(timeout=TIMEOUT_S)
                self.assertEqual(run.returncode, 1)
                self.assertEqual([json.loads(answer)["valid"] for answer in answers.splitlines()], expected)
                self.assertEqual(json.loads(told.splitlines()[-1])["signatures_on_cpu"], 0)

    def test_the_ordinary_program_without_a_gpu_says_so(self):
        cuda = self.ordinary.run("backends", "--json", status=0).json()[0]
        self.assertEqual(cuda["name"], "cuda")
        if cuda["device"] is not None:
            self.skipTest("this machine has an NVIDIA driver")
        text, _ = signatures()
        finished, _ = self.verify(text, 3, program=self.ordinary)
        self.assertEqual((finished.out, finished.err),
                         ("", "colophon: COLOPHON_BACKEND: backend 'cuda' cannot run on this machine: no NVIDIA driver "
                              "is installed\n"))
        self.assertEqual(self.ordinary.run("verify", "-", "--backend", "cuda", status=3).err,
                         "colophon: --backend: backend 'cuda' cannot run on this machine: no NVIDIA driver is "
                         "installed\n")


class Node(unittest.TestCase):
    """`colophon node start` with what node.json and the machine say of a GPU. What a node does when its GPU fails is in
    tests/node/gpu_test.cc."""

    @classmethod
    def setUpClass(cls):
        module = next((path for path in MODULES if os.path.exists(path)), None)
        if module is None or shutil.which("softhsm2-util") is None:
            raise unittest.SkipTest("SoftHSM is not installed (scripts/setup)")
        folder = tempfile.TemporaryDirectory(prefix="colophon gpu test ")
        cls.addClassCleanup(folder.cleanup)
        cls.world = World(PROGRAM, folder.name, module)
        cls.world.init("data")
        cls.emulated = Program(EMULATED, folder.name)
        cls.emulated.environment = cls.world.environment

    def configure(self, emulator=None, **members):
        self.world.configure("data", **{"backend": "auto", "table_memory": None, **members})
        self.world.environment.pop("COLOPHON_GPU_EMULATOR", None)
        if emulator is not None:
            self.world.environment["COLOPHON_GPU_EMULATOR"] = emulator

    def test_what_cannot_be_had_is_an_error_at_start_that_names_the_member(self):
        backend = "colophon: backend: the member backend of node.json: backend 'cuda"
        for emulator, members, status, message in (
                (None, {"backend": "cuda:3"}, 3, backend + ":3' .*there is no GPU 3; their indices end at 0"),
                (None, {"backend": "cuda:x"}, 2, "the member backend of node.json: there is no backend 'cuda:x'"),
                (None, {"backend": "cuda", "table_memory": 9 << 30}, 2,
                 "colophon: table_memory: the member table_memory of node.json: table_memory is 9663676416 bytes, but "
                 r"GPU 0 has room for \d+\n"),
                *((settings, {"backend": "cuda"}, 3, backend + "' .*" + reason) for settings, reason in NO_GPU)):
            with self.subTest(emulator=emulator, **members):
                self.configure(emulator, **members)
                finished = self.emulated.run("node", "start", "--data", "data", status=status)
                self.assertRegex(finished.err, message)

    def test_what_a_node_takes_of_a_card_another_process_has_not(self):
        line = json.dumps(next(p256_lines())[0]).encode()
        arguments = ("verify", "--backend", "cuda", "-")
        alone = self.emulated.run(*arguments, stdin=line, status=3, COLOPHON_GPU_EMULATOR="memory=1M")
        needed = int(re.search(r" bytes of memory free, needs (\d+)", alone.err)[1])
        with tempfile.NamedTemporaryFile(prefix="card-") as card:
            settings = f"memory={needed + (16 << 20)},card={card.name}"
            self.configure(settings, backend="cuda")
            node = RunningNode(self.emulated, "data")
            try:
                self.assertEqual(node.get("/v1/status")["backend"], "cuda")
                refused = self.emulated.run(*arguments, stdin=line, status=3, COLOPHON_GPU_EMULATOR=settings)
                self.assertRegex(refused.err, rf"GPU 0 \({GPU}\) has only \d+ of its {needed + (16 << 20)} bytes of memory")
            finally:
                self.assertEqual(node.stop(), 0)
            self.emulated.run(*arguments, stdin=line, status=0, COLOPHON_GPU_EMULATOR=settings)

    def test_under_auto_it_goes_on_on_the_cpu_and_says_so(self):
        for emulator, members, message in (
                (NO_GPU[5][0], {}, "is in use by another process"),
                (NO_GPU[1][0], {}, "the NVIDIA driver is too old"),
                (None, {"table_memory": 9 << 30}, "table_memory is 9663676416 bytes, but GPU 0 has room for")):
            with self.subTest(emulator=emulator, **members):
                self.configure(emulator, **members)
                log = os.path.join(self.world.folder, "data.log")
                if os.path.exists(log):
                    os.remove(log)
                node = RunningNode(self.emulated, "data")
                try:
                    self.assertIn(node.get("/v1/status")["backend"], ("avx512", "portable"))
                    self.assertTrue(node.get("/v1/health"))  # an exception unless its status is 200
                    with urllib.request.urlopen(node.url + "/metrics", timeout=TIMEOUT_S) as reply:
                        self.assertIn('\ncolophon_gpu_in_use{device="0"} 0\n', reply.read().decode())
                finally:
                    stopped = node.stop()
                self.assertEqual(stopped, 0)
                warned = [line["message"] for line in map(json.loads, node.log().splitlines())
                          if line["level"] == "WARN" and "ordering solo" not in line["message"]]
                self.assertEqual(len(warned), 1, warned)
                self.assertIn(message, warned[0])


if __name__ == "__main__":
    unittest.main()
