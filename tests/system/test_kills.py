#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills at seeded times of node, spawner, publisher and task: nothing of what was killed lives 2 s
later, no command hangs, the next start works. usage: test_kills.py BUILD_DIR [--full] [--seed=N]"""
import os
import random
import select
import signal
import subprocess
import sys

from cases import case, check, check_equal, main
from mesh import Failed, is_alive, parent_of, process_ids, read_proc, tree_of, wait_until

KILLS, KILLS_FULL = 40, 200
GONE_S = 2.0
COMMAND_S = 10        # a command that takes longer hangs
VICTIMS = ("node", "spawner", "publisher", "task")
LATEST_S = 0.4        # after the start of what is killed: while it starts, or runs

# Each stays, whatever becomes of its parent. The marker is in the argv of all.
PLAIN = "import time; time.sleep(600)"
FORKS = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
HIDES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)",
                                   sys.argv[1]], {})
    os._exit(0)
time.sleep(600)
"""
CODES = {"plain": PLAIN, "forks": FORKS, "hides": HIDES}


def marked(mark):
    """Processes with the marker as a word of their argv, but for commands of ipx-node itself."""
    found = []
    for pid in process_ids():
        words = read_proc(pid, "cmdline").split(b"\0")
        if mark.encode() in words and not words[0].endswith(b"ipx-node") and is_alive(pid):
            found.append(pid)
    return found


def wait_gone(mark, why):
    wait_until(f"{why}: no process {mark} lives; {marked(mark)} do", lambda: not marked(mark),
               GONE_S)


def spawner_of(node):
    """The daemon's child that runs the daemon's own program."""
    daemon = node.pid()
    for pid in process_ids():
        if parent_of(pid) == daemon and is_alive(pid):
            return pid
    raise Failed("the node has no spawner")


def end(process, what):
    """A command that is interrupted ends."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        raise Failed(f"{what} hangs: no end {COMMAND_S} s after an interrupt") from None


class Round:
    """What runs while something is killed: two tasks and a publisher."""

    def __init__(self, node, rng, number):
        self.node, self.number = node, number
        self.victim = VICTIMS[number % len(VICTIMS)]
        self.kinds = rng.sample(list(CODES), 2)
        self.kind = self.kinds[0]
        self.delay = rng.random() * LATEST_S
        self.tasks = {}

    def mark(self, kind):
        return f"ipx-kill-{self.number}-{kind}"

    def argv(self, kind):
        return ["/usr/bin/python3", "-c", CODES[kind], self.mark(kind)]

    def start(self):
        for kind in self.kinds:
            self.tasks[kind] = self.node.start("run", "--on", self.node.name, "--",
                                               *self.argv(kind))
        self.publisher = self.node.start("publish", "noise", "--", "/usr/bin/python3", "-c",
                                         CODES[self.kind], self.mark("source"))

    def wait_delay(self):
        """Until a seeded moment: time itself is the condition."""
        select.select([], [], [], self.delay)

    def main_of_task(self):
        """The first process of the task, or None while it has not started."""
        all_of_it = set(marked(self.mark(self.kind)))
        firsts = [p for p in all_of_it if parent_of(p) == spawner_of(self.node)]
        return min(firsts) if firsts else None

    def kill(self):
        """Returns the markers of what may not live on."""
        every = [self.mark(kind) for kind in self.kinds]
        if self.victim == "node":
            self.node.kill()
            return every
        if self.victim == "spawner":
            os.kill(spawner_of(self.node), signal.SIGKILL)
            return every
        if self.victim == "publisher":
            self.publisher.kill()
            return [self.mark("source")]
        pid = wait_until("the task has started", self.main_of_task)
        os.kill(pid, signal.SIGKILL)
        return [self.mark(self.kind)]

    def finish(self):
        for kind, process in self.tasks.items():
            end(process, f"run of {kind}")
        end(self.publisher, "publish")
        for kind in (*self.kinds, "source"):
            wait_gone(self.mark(kind), "at the end")


def one_kill(node, rng, number):
    r = Round(node, rng, number)
    r.start()
    r.wait_delay()
    what = f"kill {number} of the {r.victim} after {r.delay:.3f} s ({r.kind})"
    try:
        for mark in r.kill():
            wait_gone(mark, "after the kill")
        if r.victim == "task":
            code = r.tasks[r.kind].wait(timeout=COMMAND_S)
            check_equal(code, 128 + signal.SIGKILL, "exit code of run")
        r.finish()
        if r.victim == "node":
            node.do("up", timeout=COMMAND_S)
        node.do("status", timeout=COMMAND_S)
        check_equal(node.do("run", "--on", node.name, "--", "echo", "here", timeout=COMMAND_S),
                    "here\n", "run afterwards")
    except subprocess.TimeoutExpired:
        raise Failed(f"{what}: a command hangs") from None
    except Failed as e:
        raise Failed(f"{what}: {e}") from None


@case
def kills_at_seeded_times(mesh):
    seed = next((int(w[7:]) for w in sys.argv if w.startswith("--seed=")), 1)
    n_kills = KILLS_FULL if "--full" in sys.argv else KILLS
    rng = random.Random(seed)
    node = mesh.node("ada", "astro")
    node.new()
    node.do("run", "--on", "ada", "--", "true")
    for number in range(n_kills):
        one_kill(node, rng, number)
    left = [p for p in tree_of(node.pid()) if p not in (node.pid(), spawner_of(node))]
    check(not left, f"below the node there are still {left}")
    print(f"     {n_kills} kills of {', '.join(VICTIMS)}, seed {seed}: nothing lived on")
    node.down()


if __name__ == "__main__":
    main()
