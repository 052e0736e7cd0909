# SPDX-License-Identifier: Apache-2.0
"""The program under test, and what its tests share."""
import json
import os
import subprocess
import unittest

TIMEOUT_S = 300


class SampleLoader(unittest.TestLoader):
    """Of each class every COLOPHON_TEST_SAMPLE-th test: for builds in which the program starts slowly. All with --long."""

    def getTestCaseNames(self, testCaseClass):
        is_long = os.environ.get("COLOPHON_TEST_LONG") == "1"
        step = 1 if is_long else int(os.environ.get("COLOPHON_TEST_SAMPLE", "1"))
        return super().getTestCaseNames(testCaseClass)[::step]


class Finished:
    """What a run of the program left: exit status, standard output and standard error as text."""

    def __init__(self, arguments, result):
        self.arguments = arguments
        self.status = result.returncode
        self.out = result.stdout.decode("utf-8", "replace")
        self.err = result.stderr.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.split("\n") if line]

    def __str__(self):
        return (f"colophon {' '.join(map(repr, self.arguments))}\nexit status {self.status}\n"
                f"--- standard output\n{self.out}--- standard error\n{self.err}---")


class Program:
    """Runs `colophon` in a folder with an environment of its own."""

    def __init__(self, path, folder, **environment):
        self.path = os.path.abspath(path)
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("COLOPHON_")}
        self.environment.update(environment)

    def run(self, *arguments, stdin=b"", status=None, **environment):
        """Runs it, away from any terminal; with `status`, it must end with that. A variable given as
        None is unset."""
        merged = {**self.environment, **environment}
        result = subprocess.run(
            [self.path, *arguments], input=stdin, cwd=self.folder, timeout=TIMEOUT_S, check=False,
            env={name: value for name, value in merged.items() if value is not None},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        finished = Finished(arguments, result)
        if status is not None and finished.status != status:
            raise AssertionError(f"exit status {status} was expected\n{finished}")
        # However it ends, it ends by itself: 128 and more is a signal or a sanitizer.
        if not 0 <= finished.status <= 3:
            raise AssertionError(f"the program died\n{finished}")
        return finished

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()
