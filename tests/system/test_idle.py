#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What three nodes cost when there is nothing to do: threads, context switches, memory.
usage: test_idle.py BUILD_DIR [--full]      60 s after the last work and over 60 s with --full,
else 5 s after it and over 20 s."""
import os
import sys
import time

from cases import case, check, check_equal, main
from mesh import DEADLINE, read_proc, text, tree_of, wait_until

SWITCHES_MAX = 12.0  # voluntary context switches a second, daemon and spawner together
PSS_MAX_KIB = 6 * 1024


def field(pid, file, name):
    for line in text(read_proc(pid, file)).splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def switches(pids):
    return sum(field(p, "status", "voluntary_ctxt_switches") for p in pids)


def pss_kib(pids):
    return sum(field(p, "smaps_rollup", "Pss") for p in pids)


def quiet_for(pids, seconds):
    """Over a window of time: switches a second. The window is what is measured, it waits for
    nothing."""
    begin, start = switches(pids), time.monotonic()
    time.sleep(seconds)
    return (switches(pids) - begin) / (time.monotonic() - start)


@case
def three_idle_nodes(mesh):
    full = "--full" in sys.argv
    first = mesh.node("n0", "astro")
    first.new()
    for i in (1, 2):
        mesh.node(f"n{i}", "astro").join(first.invite("astro"), listen=f"127.0.0.{i + 1}")
    mesh.wait_all_see()
    first.do("map", "-q", "--range", "1-200", "--", "true", timeout=DEADLINE)
    trees = {n: tree_of(n.pid()) for n in mesh.nodes}
    wait_until("only daemons and spawners are left", lambda: all(
        len(tree_of(n.pid())) == 2 for n in mesh.nodes))
    trees = {n: tree_of(n.pid()) for n in mesh.nodes}
    everyone = [p for pids in trees.values() for p in pids]
    quiet_for(everyone, 60 if full else 5)
    begin = {n: switches(pids) for n, pids in trees.items()}
    start = time.monotonic()
    quiet_for(everyone, 60 if full else 20)
    took = time.monotonic() - start
    for node, pids in trees.items():
        rate = (switches(pids) - begin[node]) / took
        pss = pss_kib(pids)
        threads = len(os.listdir(f"/proc/{pids[0]}/task"))
        print(f"     {node.shown}: {rate:.1f} context switches/s, PSS {pss / 1024:.2f} MiB, "
              f"{threads} thread in the daemon")
        check_equal(threads, 1, "threads of the daemon")
        check(rate < SWITCHES_MAX, f"{rate:.1f} context switches a second")
        check(0 < pss <= PSS_MAX_KIB, f"PSS {pss} KiB")


if __name__ == "__main__":
    main()
