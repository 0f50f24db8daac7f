# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: named cases, one line each, with the output shown where one fails;
at the end nothing may be left: no process, no file. Every wait has a condition and a deadline.

A test file:  from cases import case, main  ..  @case  def name(mesh): ..  main(BUILD_DIR use)"""
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
from mesh import Failed, Mesh  # noqa: E402

CASES = []


def case(function):
    """A case with a mesh of its own, closed behind it."""
    CASES.append(function)
    return function


def check(condition, what):
    if not condition:
        raise Failed(what)


def check_equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {shorten(got)}, want {shorten(want)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 800 else text[:500] + " .. " + text[-250:]


def check_in(part, whole, what):
    if part not in whole:
        raise Failed(f"{what}: no {part!r} in {shorten(whole)}")


def check_error(done, code, *parts, what="the command"):
    """One line on stderr that says what, why and what to do; nothing on stdout."""
    said = done.stderr.decode(errors="replace")
    check_equal(done.returncode, code, f"{what}: exit code (stderr: {said!r})")
    check_equal(done.stdout, b"", f"{what}: stdout")
    for part in parts:
        check_in(part, said, f"{what}: its error")


def run_case(function, build):
    start = time.monotonic()
    mesh = Mesh(build)
    problem = ""
    try:
        function(mesh)
    except Failed as e:
        problem = str(e)
    except Exception:  # a test's own mistake is a failure like any other
        problem = traceback.format_exc()
    logs = mesh.logs() if problem else ""
    left = mesh.close()
    if os.path.exists(mesh.base):
        left.append(f"{mesh.base} is still there")
    if left:
        problem += "\nleft behind: " + "; ".join(left)
    name = function.__name__.replace("_", " ")
    took = time.monotonic() - start
    print(f"{'FAIL' if problem else 'ok  '} {name} ({took:.1f} s)", flush=True)
    if problem:
        print("     " + (problem + "\n" + logs).replace("\n", "\n     "), flush=True)
    return not problem


def main():
    """Runs all cases, or those whose names contain one of the words behind BUILD_DIR."""
    if len(sys.argv) < 2:
        print(f"usage: {sys.argv[0]} BUILD_DIR [CASE..]", file=sys.stderr)
        sys.exit(2)
    words = [w for w in sys.argv[2:] if not w.startswith("--")]
    chosen = [c for c in CASES if not words or any(w in c.__name__ for w in words)]
    failed = [c.__name__ for c in chosen if not run_case(c, sys.argv[1])]
    if not chosen:
        print("no such case", file=sys.stderr)
    print(f"{len(chosen) - len(failed)} of {len(chosen)} cases passed", flush=True)
    sys.exit(1 if failed or not chosen else 0)
