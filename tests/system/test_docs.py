#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Types the commands of the documents' ```console blocks into one shell on a terminal and compares
what comes: `...` stands for anything within a line, alone in a line for any lines; the number of
blanks does not matter. A question (nodes, sources ..) is asked again until it is answered so, as a
person would. usage: test_docs.py BUILD_DIR [DOCUMENT..]"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

from cases import Failed
from mesh import Mesh, text, wait_until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
DOCUMENTS = ("docs/quickstart.md",)
QUESTIONS = ("nodes", "sources", "status", "why", "peers", "run")
MARK = "-- done "
DEADLINE = 30


def steps_of(path):
    """(line number, command, expected lines) of each command in the document."""
    steps, in_block = [], False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file.read().splitlines(), 1):
            if line.startswith("```"):
                in_block = line == "```console"
            elif in_block and line.startswith("$ "):
                steps.append((number, line[2:], []))
            elif in_block:
                steps[-1][2].append(line)
    return steps


def pattern(expected):
    """One regular expression for the lines that are expected."""
    parts = []
    for line in expected:
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*")
            continue
        words = re.sub(r"\s+", " ", line.rstrip())
        parts.append("[^\n]*".join(re.escape(w) for w in words.split("...")) + "\n")
    return re.compile("".join(parts))


def squeezed(shown):
    lines = (re.sub(r"\s+", " ", line.rstrip()) for line in shown.splitlines())
    return "".join(line + "\n" for line in lines if line)


class Shell:
    """bash, its output on a terminal of its own."""

    def __init__(self, folder, binary):
        os.symlink(binary, os.path.join(folder, "ipx-node"))
        self.terminal, slave = pty.openpty()
        env = {"PATH": folder + ":" + os.environ["PATH"], "HOME": folder, "NO_COLOR": "1",
               "TERM": "dumb", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=slave,
                                        stderr=slave, cwd=folder, env=env, start_new_session=True)
        os.close(slave)

    def type(self, command):
        end = "" if command.endswith("&") else ";"
        line = f"{{ {command}{end} }} </dev/null\necho '{MARK}'$?\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        shown, end = "", time.monotonic() + DEADLINE
        while MARK not in shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise Failed(f"no end after {DEADLINE} s; so far:\n{shown}")
            shown += text(os.read(self.terminal, 65536)).replace("\r", "")
        return squeezed(shown.partition(MARK)[0])

    def close(self):
        for job in ("jobs -p | xargs -r kill", "exit"):
            self.process.stdin.write((job + "\n").encode())
        self.process.stdin.close()
        self.process.wait(timeout=DEADLINE)
        os.close(self.terminal)


def is_question(command):
    words = [w for w in command.split() if not w.startswith("-")]
    return words[0] == "ipx-node" and any(w in QUESTIONS for w in words[1:3])


def run_step(shell, step):
    number, command, expected = step
    wanted = pattern(expected)
    shown = shell.type(command)

    def matches():
        nonlocal shown
        if not wanted.fullmatch(shown) and is_question(command):
            shown = shell.type(command)
        return wanted.fullmatch(shown)

    try:
        wait_until("it says so", matches, timeout=5 if is_question(command) else 0)
    except Failed:
        raise Failed(f"line {number}: $ {command}\n--- should say\n" + "\n".join(expected)
                     + f"\n--- says\n{shown}") from None


def run_document(path, mesh):
    shell = Shell(mesh.base, mesh.binary)
    try:
        steps = steps_of(os.path.join(ROOT, path))
        if not steps:
            raise Failed("there is no command in it")
        for step in steps:
            run_step(shell, step)
        return len(steps)
    finally:
        shell.close()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = 0
    for path in sys.argv[2:] or DOCUMENTS:
        mesh = Mesh(sys.argv[1])
        try:
            print(f"ok   {path}: {run_document(path, mesh)} commands say what it says")
        except Failed as e:
            failed += 1
            print(f"FAIL {path}: {e}")
        left = mesh.processes()
        for pid in left:
            os.kill(pid, signal.SIGTERM)
        if left and not failed:
            failed += 1
            print(f"FAIL {path}: left {len(left)} processes behind")
        mesh.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
