#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The quickstart in all its variants, as a user runs it. usage: test_quickstart.py BUILD_DIR"""
import os
import re
import signal
import subprocess
import sys

from cases import Failed, case, check, check_equal, check_in, main
from mesh import DEADLINE, is_alive, wait_until

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/quickstart.py")


def start(mesh, *options):
    """The quickstart's own folder lies in that of this case."""
    return subprocess.Popen([sys.executable, TOOL, sys.argv[1], *options], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=dict(os.environ, IPX_TEST_TMP=mesh.base))


def finish(process, code=0, timeout=90):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE)
        raise Failed(f"no end after {timeout} s\n{out}{err}") from None
    check_equal(process.returncode, code, f"exit code\n{out}{err}\n")
    return out


def run(mesh, *options):
    out = finish(start(mesh, *options))
    check_in("equal", out, "the comparison")
    found = re.search(r"read (\d+) frames, ([0-9.]+) a second, (\d+) gaps", out)
    check(found, f"no line about the source in {out}")
    check(8 <= float(found.group(2)) <= 12, f"the source's rate is {found.group(2)}, not 10")
    check_equal(os.listdir(mesh.base), [], "left behind")
    return out


@case
def quickstart(mesh):
    out = run(mesh)
    took = float(re.search(r"done: all equal, ([0-9.]+) s", out).group(1))
    check(took < 20, f"took {took} s")


@case
def quickstart_kill_one(mesh):
    check_in("was killed by SIGKILL after", run(mesh, "--kill-one"), "what it says")


@case
def quickstart_on_v6_alone(mesh):
    check_in("on ::1", run(mesh, "--v6"), "what it says")


@case
def quickstart_interrupted(mesh):
    process = start(mesh)
    for line in process.stdout:
        if "map of" in line:
            break
    process.send_signal(signal.SIGINT)
    finish(process, 128 + signal.SIGINT)
    check_equal(os.listdir(mesh.base), [], "left behind")


@case
def quickstart_keep(mesh):
    out = finish(start(mesh, "--keep"))
    lines = out.partition("To try next:\n")[2].splitlines()
    check_equal(len(lines), 5, "lines to try next")
    environment = dict(os.environ, IPX_HOME=lines[0].partition("IPX_HOME=")[2])
    for line in (lines[1], lines[3]):
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True,
                              timeout=DEADLINE, check=False)
        check_equal((done.returncode, done.stderr), (0, b""), line)
    source = int(lines[4].split()[1].rstrip(";"))
    subprocess.run(["bash", "-c", lines[4]], env=environment, timeout=DEADLINE, check=True,
                   capture_output=True)
    wait_until("the source ends", lambda: not is_alive(source))
    check_equal(os.listdir(mesh.base), [], "left behind")


if __name__ == "__main__":
    main()
