#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The GPU bundle, packed of programs on the GPU emulator: run.sh runs its tests and benches, writes its result, and
says what went wrong.

  gpu_bundle_test.py SCRIPT BUILD     scripts/gpu-bundle; the folder with the programs NAME_emulated
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

# One of each program's, quick on the emulator.
FILTER = "BackendSelfTest.*:Rfc6979.*:P256Differential.OneSignatureManyTimes"
PROGRAMS = ["lib_test", "lib_vectors_test", "p256_differential_test"]
# A stand-in with the one form of call that run.sh makes.
NVIDIA_SMI = """#!/bin/bash
case "$*" in
  *"-l 1"*) echo "timestamp, clocks.sm"; exec sleep 60 ;;
  *--query-gpu=clocks.sm*) echo "1980 MHz" ;;
  *--query-gpu=*) echo 'a "value"' ;;
esac
"""
# Programs that pass: without having run anything, a test, a bench.
NOTHING = "#!/bin/bash\nexit 0\n"
GOOD_TEST = "#!/bin/bash\necho '[==========] 1 test from 1 test suite ran. (0 ms total)'\n"
GOOD_BENCH = """#!/bin/bash
[[ $1 == --json ]] && echo '{"rows":[]}' >"$2"
exit 0
"""


class Bundle:
    def __init__(self, script, build, folder):
        self.folder = os.path.join(folder, "bundle")
        self.results = os.path.join(folder, "results")
        subprocess.run([script, "--pack", build, "--emulated", "--out", self.folder], check=True)
        self.packed = self.listing()

    def listing(self):
        return sorted(os.path.join(at, name) for at, _, names in os.walk(self.folder) for name in names)

    def run(self, *arguments, emulator="", path=None, test_filter=FILTER):
        environment = dict(os.environ, COLOPHON_GPU_EMULATOR=emulator, GTEST_FILTER=test_filter)
        if path:
            environment["PATH"] = path + ":" + environment["PATH"]
        return subprocess.run([os.path.join(self.folder, "run.sh"), *arguments], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240)

    def result(self, name):
        with open(os.path.join(self.results, name, "result.json"), encoding="utf-8") as file:
            found = json.load(file)
        with open(os.path.join(self.results, name, "result.txt"), encoding="utf-8") as file:
            return found, file.read()

    def out(self, name):
        return ["--out", os.path.join(self.results, name)]

    def replace(self, program, text):
        path = os.path.join(self.folder, "bin", program)
        os.remove(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)


def expect(condition, *what):
    if not condition:
        sys.exit("gpu_bundle_test: " + "\n".join(str(part) for part in what))


def check_rows(bench, text):
    """Every kind of row, each with figures and right verdicts."""
    expect(bench["failed"] == [], bench["failed"])
    expect(len(bench["probe"]["issue"]) == 7, bench["probe"])
    expect(all(rate["lanes_a_clock"] > 0 for rate in bench["probe"]["issue"]), bench["probe"])
    expect(bench["probe"]["copy_both_ways_gigabytes_a_second"] > 0, bench["probe"])
    expect(bench["probe"]["gather_gigabytes_a_second"] > 0, bench["probe"])
    for row in bench["rows"]:
        expect(0 < row["low"] <= row["median"] <= row["high"], row)
        expect(row["verdicts"] == "right" and row["samples"] >= 2, row)
        expect(("p99" in row) == (row["unit"] == "us"), row)
        expect(re.search(rf"^{row['job']} +{row['measure']} +{row['backend']} ", text, re.MULTILINE), row, text)
    kinds = {(row["job"], row["measure"], row["backend"], row["unit"]) for row in bench["rows"]}
    rate, time = "verifications/s", "us"
    wanted = {("p256-enrolled", "kernel", "cuda", rate), ("p256-enrolled", "library", "cuda", rate),
              ("p256-unknown", "kernel", "cuda", rate), ("p256-unknown", "library", "cuda", rate),
              ("p256-split", "kernel", "cuda", rate), ("p256-latency", "slot", "cuda", time),
              ("p256-latency", "library", "cuda", time)}
    for job in ("p256-enrolled", "p256-unknown"):
        wanted |= {(job, "library", backend, rate) for backend in ("portable", "openssl")}
    left_out = {entry["row"] for entry in bench["not_run"]}
    if "avx512" not in left_out:
        wanted |= {(job, "library", "avx512", rate) for job in ("p256-enrolled", "p256-unknown")}
    expect(kinds == wanted, "kinds of rows:", sorted(kinds), "wanted:", sorted(wanted))
    expect(left_out <= {"avx512"}, bench["not_run"])
    shapes = {row["shape"] for row in bench["rows"] if row["job"] == "p256-split"}
    expect(shapes == {"throughput", "split-2", "split-32"}, shapes)
    chosen = [row for row in bench["rows"] if row.get("library_chooses")]
    expect({row["batch"] for row in chosen} == {1, 8}, chosen)
    expect("*" in text, text)


def passes(bundle, folder):
    smi = os.path.join(folder, "smi")
    os.mkdir(smi)
    with open(os.path.join(smi, "nvidia-smi"), "w", encoding="utf-8") as file:
        file.write(NVIDIA_SMI)
    os.chmod(os.path.join(smi, "nvidia-smi"), 0o755)
    done = bundle.run("--device", "0", "--quick", *bundle.out("good"), path=smi)
    expect(done.returncode == 0, done.stdout)
    result, text = bundle.result("good")
    expect(result["outcome"] == "passed" and result["emulated"] is True, result)
    expect(result["device"] == "Colophon GPU emulator" and result["compute_capability"] == "9.0", result)
    expect(result["visible_devices"] == "0" and result["gtest_filter"] == FILTER, result)
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result["date"]), result["date"])
    with open(os.path.join(bundle.folder, "commit"), encoding="utf-8") as file:
        expect(result["commit"] == file.readline().strip() != "", result["commit"])
    expect(result["nvidia_smi_before"]["clocks.sm"] == "1980 MHz", result["nvidia_smi_before"])
    expect(result["nvidia_smi_after"]["driver_version"] == 'a "value"', result["nvidia_smi_after"])
    expect([test["program"] for test in result["tests"]] == PROGRAMS, result["tests"])
    for test in result["tests"]:
        expect(test["outcome"] == "passed" and test["tests"] >= 1 and test["skipped"] == 0, test)
    expect(text.startswith("EMULATED: no GPU was there."), text)
    expect(result["bench"]["note"] == "no GPU was there: all times and rates mean nothing", result["bench"])
    check_rows(result["bench"], text)
    # It wrote nothing into itself, and a result is not overwritten.
    expect(bundle.listing() == bundle.packed, bundle.listing())
    again = bundle.run("--quick", *bundle.out("good"))
    expect(again.returncode == 2 and "has a result already" in again.stdout, again.stdout)


def says_that_there_is_no_gpu(bundle):
    for emulator, why in (("driver=0", "no NVIDIA driver is installed"), ("devices=0", "finds no GPU"),
                          ("driver=12040", "the NVIDIA driver is too old")):
        done = bundle.run(*bundle.out("none"), emulator=emulator)
        expect(done.returncode == 3, emulator, done.returncode, done.stdout)
        expect("there is no GPU to qualify here" in done.stdout and why in done.stdout, done.stdout)
        expect(not os.path.exists(os.path.join(bundle.results, "none")), "a result of nothing")


def fails_a_gpu_that_cannot_be_used(bundle):
    """It is there: in use by others, full, too old, broken."""
    for number, (emulator, why) in enumerate((
            ("fault=cudaSetDevice@1+*:cudaErrorDevicesUnavailable", "is in use by another process"),
            ("memory=16M", "bytes of memory free, needs"),
            ("fault=kernel@1+*:cudaErrorIllegalAddress:break", "cudaErrorIllegalAddress"))):
        name = f"unusable-{number}"
        done = bundle.run(*bundle.out(name), emulator=emulator)
        expect(done.returncode == 1, emulator, done.returncode, done.stdout)
        expect("the GPU cannot be used" in done.stdout and why in done.stdout, emulator, done.stdout)
        result, text = bundle.result(name)
        expect(result["outcome"] == "failed" and result["bench_status"] == 1, result)
        outcomes = {test["program"]: test["outcome"] for test in result["tests"]}
        expect(outcomes["p256_differential_test"] == "failed", outcomes)
        expect(why in text, text)


def says_which_test_fails(bundle):
    """A wrong verdict, and a program that tests nothing."""
    vectors = os.path.join(bundle.folder, "vectors/cryptography_vectors/asymmetric/ECDSA/RFC6979",
                           "evppkey_ecdsa_rfc6979.txt")
    with open(vectors, encoding="utf-8") as file:
        text = file.read()
    with open(vectors, "w", encoding="utf-8") as file:
        file.write(text.replace('"sample"', '"simple"'))
    for program, stand_in in (("lib_test", GOOD_TEST), ("colophon_gpu_bench", GOOD_BENCH),
                              ("p256_differential_test", GOOD_TEST)):
        bundle.replace(program, stand_in)
    done = bundle.run(*bundle.out("wrong"))
    expect(done.returncode == 1, done.returncode, done.stdout)
    result, text = bundle.result("wrong")
    expect(result["outcome"] == "failed" and result["bench_outcome"] == "passed", result)
    outcomes = [(test["outcome"], test["why"]) for test in result["tests"]]
    expect(outcomes == [("passed", ""), ("failed", "exit status 1"), ("passed", "")], outcomes)
    expect("lib_vectors_test           failed" in text, text)
    shutil.rmtree(os.path.join(bundle.folder, "vectors"))
    bundle.replace("lib_test", NOTHING)
    bundle.replace("p256_differential_test", GOOD_TEST + "echo 'cuda is not compared: it is not there'\n")
    done = bundle.run(*bundle.out("nothing"))
    expect(done.returncode == 1, done.returncode, done.stdout)
    whys = [test["why"] for test in bundle.result("nothing")[0]["tests"]]
    expect(whys == ["it ran no test", "vectors are missing",
                    "the GPU took no part: cuda is not compared: it is not there"], whys)


def says_that_the_bench_fails(bundle, build):
    """A device that breaks under it."""
    for program in PROGRAMS:
        bundle.replace(program, GOOD_TEST)
    shutil.copy(os.path.join(build, "colophon_gpu_bench_emulated"),
                os.path.join(bundle.folder, "bin", "colophon_gpu_bench"))
    done = bundle.run(*bundle.out("broken"), emulator="fault=kernel@150:cudaErrorECCUncorrectable:break")
    expect(done.returncode == 1, done.returncode, done.stdout)
    result, text = bundle.result("broken")
    expect(result["outcome"] == "failed" and result["bench_status"] == 1, result)
    expect(all(test["outcome"] == "passed" for test in result["tests"]), result["tests"])
    expect(any("cudaErrorECCUncorrectable" in entry["why"] for entry in result["bench"]["failed"]), result["bench"])
    expect("FAILED: " in text, text)


def main():
    script, build = sys.argv[1:]
    folder = tempfile.mkdtemp(prefix="gpu_bundle_test")
    try:
        bundle = Bundle(script, build, folder)
        usage = bundle.run("--no-such-option")
        expect(usage.returncode == 2 and "unknown argument" in usage.stdout, usage.stdout)
        says_that_there_is_no_gpu(bundle)
        fails_a_gpu_that_cannot_be_used(bundle)
        passes(bundle, folder)
        says_which_test_fails(bundle)
        says_that_the_bench_fails(bundle, build)
    finally:
        shutil.rmtree(folder)
    print("gpu_bundle_test: passed")


if __name__ == "__main__":
    main()
