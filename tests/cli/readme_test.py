#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of the README and the guides and compares what they print.

Every ```console block is a session: a line starting with "$ " is a command, the lines after it are its output
(standard output and standard error). A command whose line ends in a backslash goes on in the next line, which
starts with "> ". A line "..." stands for any lines, "..." inside a line for any text. All commands of one file
are run by one bash in one new folder, so that a variable set or a node started in the background stays; what
still runs at the end of the file is ended. ```sh blocks are not run.
usage: readme_test.py PROGRAM FILE.md ...
"""
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

TIMEOUT_S = 120


def sessions(path):
    """Yields (line number, command, expected lines)."""
    command, expected, start, inside = None, [], 0, False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not inside:
                inside = line == "```console"
                continue
            if line == "```" or line.startswith("$ "):
                if command is not None:
                    yield start, command, expected
                command, expected, start = None, [], number
                if line == "```":
                    inside = False
                else:
                    command = line[2:]
            elif command is not None and line.startswith("> ") and command.endswith("\\"):
                command += "\n" + line[2:]
            elif command is not None:
                expected.append(line)


def matches(expected, printed):
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, printed) is not None


class Shell:
    """One bash that runs one command after another."""

    def __init__(self, folder, environment):
        # Its own process group, so that nothing it starts outlives it.
        self.process = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0, start_new_session=True)

    def run(self, command):
        """What it printed; None if it did not end in time."""
        mark = b"end of command %d\n" % time.monotonic_ns()
        self.process.stdin.write(b"{ %s\n} </dev/null; printf '%s'\n"
                                 % (command.encode(), mark.replace(b"\n", b"\\n")))
        printed, deadline = b"", time.monotonic() + TIMEOUT_S
        while not printed.endswith(mark):
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            read = self.process.stdout.read(65536) if ready else b""
            if not read:
                return None
            printed += read
        return printed[:-len(mark)].decode("utf-8", "replace")

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def main():
    program, files = os.path.abspath(sys.argv[1]), [os.path.abspath(f) for f in sys.argv[2:]]
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("COLOPHON_")}
    environment["PATH"] = os.path.dirname(program) + ":" + environment["PATH"]
    # SoftHSM loses memory with each Ed25519 signature; what the program itself loses, other tests see.
    environment["ASAN_OPTIONS"] = ":".join(
        filter(None, (environment.get("ASAN_OPTIONS"), "detect_leaks=0")))
    run = failed = 0
    for path in files:
        with tempfile.TemporaryDirectory() as folder:
            shell = Shell(folder, environment)
            try:
                for number, command, expected in sessions(path):
                    printed = shell.run(command)
                    run += 1
                    if printed is not None and matches(expected, printed):
                        continue
                    failed += 1
                    print(f"{path}:{number}: $ {command}\nexpected:\n" + "\n".join(expected)
                          + f"\nprinted:\n{printed}")
                    if printed is None:
                        break
            finally:
                shell.end()
    print(f"{run} commands run, {failed} differ")
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
