#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fifty nodes as real processes: all join at once, 15 are killed at once and start again, 15 are
cut off and come back. Prints the times.

usage: test_fifty.py BUILD_DIR [--full] [--repeat N]

Fifty processes on two cores that others use too: the short form asserts only that each phase
converges, that nobody alive is declared dead but by the cut, and that no dead comes back. --full
asserts the times as well: all know all in 2 s after the last join; the median of the killed is
gone everywhere in 9 s and the last in 16 s. --repeat N does it all N times."""
import os
import signal
import statistics
import subprocess
import sys
import time

from cases import case, check, main
from mesh import Failed, is_alive, wait_until

import local

N_NODES, N_KILLED, N_CUT = 50, 15, 15
ALL_KNOW_S, MEDIAN_GONE_S, LAST_GONE_S = 2.0, 9.0, 16.0
SHORT_CUT_S = 6  # how long the cut lasts in the short form
LIMIT = 90  # seconds for one phase: never met, but where something is wrong
LOOK_S = 0.1  # between two looks at a node
RULES = """table inet cut {{
 chain in {{ type filter hook input priority 0;
  meta l4proto tcp drop
  ip saddr {{ {here} }} ip daddr {{ {there} }} drop
  ip saddr {{ {there} }} ip daddr {{ {here} }} drop
 }}
}}
"""


def address(index):
    return f"127.0.1.{index + 1}"


def run_all(starts):
    """Commands at once; all have to end well. Seconds until each had ended."""
    begin = time.monotonic()
    left = {node: start() for node, start in starts.items()}
    took = {}
    while left:
        for node, process in list(left.items()):
            if process.poll() is None:
                continue
            took[node] = time.monotonic() - begin
            if process.returncode != 0:
                raise Failed(f"{node.name}: {process.stderr.read().decode()}")
            del left[node]
        if time.monotonic() - begin > LIMIT:
            raise Failed(f"no end of the command at {[n.name for n in left]}")
        time.sleep(0.01)
    return took


def states(node):
    return {row["name"].rpartition("/")[2]: row["state"] for row in local.ask(
        node.home, local.NODES, "", timeout=LIMIT)}


def look(nodes, is_done, what):
    """Looks at each node until is_done(node, its states) is true; seconds until the last."""
    begin, left = time.monotonic(), list(nodes)
    while True:
        round_begin = time.monotonic()
        seen = {node: states(node) for node in left}
        left = [node for node in left if not is_done(node, seen[node])]
        if not left:
            return time.monotonic() - begin
        if time.monotonic() - begin > LIMIT:
            sample = left[0]
            wrong = {n: s for n, s in seen[sample].items() if s != "alive"}
            raise Failed(f"after {LIMIT} s still not: {what}, at {len(left)} nodes; {sample.name} "
                         f"has {len(seen[sample])} members, not alive are {wrong}")
        time.sleep(max(0.0, round_begin + LOOK_S - time.monotonic()))


def all_know(nodes, names):
    """Seconds until each of the nodes has all of the names alive. `status` counts them, which is
    cheaper than their rows: those are read once, at the end."""
    begin = time.monotonic()
    for node in nodes:
        wait_until(f"{node.name} counts {len(names)} members", lambda node=node: local.ask(
            node.home, local.STATUS, timeout=LIMIT)[0]["members"] == len(names), LIMIT, LOOK_S)
    took = time.monotonic() - begin
    look(nodes, lambda _, seen: {n for n, s in seen.items() if s == "alive"} == names,
         f"{len(names)} are alive")
    return took


def kill_at_once(nodes):
    pids = [node.pid() for node in nodes]
    check(all(pids), "each has a process to kill")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until("the killed are gone", lambda: not any(is_alive(pid) for pid in pids))


def detect(survivors, killed):
    """Seconds, by name, until a killed node was gone at every survivor; who else was accused."""
    begin = time.monotonic()
    lost = {node.name: set() for node in killed}
    gone, dead, doubted = {}, set(), set()

    def is_done(node, seen):
        for name, state in seen.items():
            if name not in lost and state != "alive":
                (doubted if state == "suspect" else dead).add(name)
        mine = [n for n in lost if seen.get(n) not in ("alive", "suspect")]
        for name in mine:
            lost[name].add(node.name)
            if len(lost[name]) == len(survivors):
                gone.setdefault(name, time.monotonic() - begin)
        return len(mine) == len(lost)

    look(survivors, is_done, "the killed are gone")
    return gone, dead, doubted


def cut(here, there):
    """UDP between the two by address, and all TCP: a link's dialler has no address of its own."""
    rules = RULES.format(here=", ".join(here), there=", ".join(there))
    done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"nft (wants root or a user namespace, and nftables): {done.stderr}")


def heal():
    subprocess.run(["nft", "delete", "table", "inet", "cut"], check=True)


def storm(mesh):
    first = mesh.nodes[0]
    first.new(listen=address(0))
    tickets = [first.invite("astro") for _ in mesh.nodes[1:]]
    starts = {}
    for i, node in enumerate(mesh.nodes[1:], 1):
        def start(node=node, i=i):
            process = node.start("join", "-", "--name", node.name, "--listen", address(i),
                                 stdin=subprocess.PIPE)
            process.stdin.write(tickets[i - 1].encode() + b"\n")
            process.stdin.close()
            return process
        starts[node] = start
    took = run_all(starts)
    after = all_know(mesh.nodes, {n.name for n in mesh.nodes})
    print(f"     {N_NODES} at once: join p50 {statistics.median(took.values()):.2f} s, last "
          f"{max(took.values()):.2f} s; all know all {after:.2f} s after it", flush=True)
    return after


def kill_and_restart(mesh):
    killed, survivors = mesh.nodes[1:1 + N_KILLED], [mesh.nodes[0]] + mesh.nodes[1 + N_KILLED:]
    kill_at_once(killed)
    gone, dead, doubted = detect(survivors, killed)
    median, last = statistics.median(gone.values()), max(gone.values())
    print(f"     {N_KILLED} killed at once: gone everywhere after {min(gone.values()):.1f} s, "
          f"median {median:.1f} s, last {last:.1f} s; for a while in doubt: {len(doubted)}, "
          f"declared dead: {len(dead)}", flush=True)
    check(not dead, f"alive and declared dead: {sorted(dead)}")
    run_all({node: (lambda node=node: node.start("up")) for node in killed})
    took = all_know(mesh.nodes, {n.name for n in mesh.nodes})
    print(f"     started again: all know all {took:.2f} s after the last", flush=True)
    return median, last, doubted


def cut_and_heal(mesh, is_full):
    """One of the larger part dies while the smaller cannot see it: it stays dead for all. The
    short form heals after some seconds, in the middle of it; the full one when each part has given
    up all of the other."""
    here, there = mesh.nodes[:-N_CUT], mesh.nodes[-N_CUT:]
    cut([address(mesh.nodes.index(n)) for n in here], [address(mesh.nodes.index(n)) for n in there])
    victim = here[-1]
    kill_at_once([victim])
    living = [n for n in here + there if n is not victim]
    other = {True: {n.name for n in there}, False: {n.name for n in here}}

    def is_apart(node, seen):
        lost = {n for n in other[node in here] if seen.get(n) not in ("alive", "suspect")}
        return lost == other[node in here]
    begin = time.monotonic()
    if is_full:
        look(living, is_apart, "the parts have given each other up")
    else:
        time.sleep(SHORT_CUT_S)
    held = time.monotonic() - begin
    heal()
    together = all_know(living, {n.name for n in living})
    for node in living:
        check(states(node).get(victim.name) != "alive", f"{node.name} sees the dead alive")
    print(f"     {N_CUT} cut off for {held:.1f} s, {'all given up' if is_full else 'in part'}: "
          f"together again {together:.1f} s later", flush=True)


def once(mesh):
    is_full = "--full" in sys.argv
    for i in range(N_NODES):
        mesh.node(f"n{i}", "astro")
    after = storm(mesh)
    median, last, doubted = kill_and_restart(mesh)
    cut_and_heal(mesh, is_full)
    if is_full:
        check(after < ALL_KNOW_S, f"all know all {after:.2f} s after the last join")
        check(median <= MEDIAN_GONE_S, f"the median of the killed is gone after {median:.1f} s")
        check(last <= LAST_GONE_S, f"the last of the killed is gone after {last:.1f} s")
        check(not doubted, f"alive and accused: {sorted(doubted)}")


def repeats():
    if "--repeat" not in sys.argv:
        return 1
    at = sys.argv.index("--repeat")
    count = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return count


for number in range(repeats()):
    def fifty(mesh):
        once(mesh)
    fifty.__name__ = f"fifty_nodes_{number + 1}" if number else "fifty_nodes"
    case(fifty)

if __name__ == "__main__":
    main()
