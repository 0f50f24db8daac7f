#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joining: how fast, through whom, and what is refused. usage: test_join.py BUILD_DIR"""
import json
import os
import signal
import subprocess
import time

from cases import case, check, check_equal, check_error, check_in, main
from mesh import DEADLINE, is_alive, tree_of, wait_until

N_NODES = 10
JOIN_MAX_S = 1.0


def lab_of(mesh, n):
    """n nodes of one lab; the first made the mesh."""
    first = mesh.node("n0", "astro")
    first.new()
    for i in range(1, n):
        mesh.node(f"n{i}", "astro").join(first.invite("astro"))
    mesh.wait_all_see()
    return mesh.nodes


def join_whole(mesh, name, ticket, others):
    """A join, until the new node sees all and has run a task on each; returns the seconds."""
    node = mesh.node(name, "astro")
    want = {n.shown for n in others} | {node.shown}
    start = time.monotonic()
    node.join(ticket)
    wait_until(f"{name} sees {sorted(want)}, not {sorted(node.sees())}",
               lambda: want <= node.sees(), every=0.002)
    took = time.monotonic() - start
    for other in others:
        check_equal(node.do("run", "--on", other.name, "--", "echo", "here"), "here\n",
                    f"run --on {other.name}")
    return took, time.monotonic() - start


def timed_join(mesh, name, ticket, others):
    joined, whole = join_whole(mesh, name, ticket, others)
    print(f"    {name}: sees all {joined * 1000:.0f} ms after `join` began, has run a task on "
          f"each of {len(others)} after {whole * 1000:.0f} ms")
    check(whole < JOIN_MAX_S,
          f"{joined:.2f} s until it sees all, {whole:.2f} s with a task on each")


@case
def join_ten_nodes(mesh):
    nodes = lab_of(mesh, N_NODES)
    timed_join(mesh, "late", nodes[0].invite("astro"), nodes)


def with_only_live(mesh, which):
    """Of a ticket's two contacts only the one numbered `which` lives; where it is not the node
    that printed the ticket, that node is down too."""
    nodes = lab_of(mesh, N_NODES)
    issuer = nodes[0]
    row = issuer.rows("invite", "--lab", "astro")[0]
    by_addr = {r["addr"]: r["name"].rpartition("/")[2] for r in issuer.rows("nodes")}
    names = [by_addr[a] for a in row["contacts"].split()]
    check_equal(len(set(names)), 2, f"contacts in the ticket: {names}")
    dead = {issuer.name, *names} - {names[which]}
    for node in nodes:
        if node.name in dead:
            node.down()
    timed_join(mesh, "late", row["ticket"], [n for n in nodes if n.name not in dead])


@case
def join_with_only_the_first_contact_live(mesh):
    with_only_live(mesh, 0)


@case
def join_with_only_the_second_contact_live(mesh):
    with_only_live(mesh, 1)


def is_refused(mesh, ticket, *parts, listen="127.0.0.1", name="bad", words=(), env=None,
               timeout=60):
    """join says why, in one line, exits 1 and leaves nothing."""
    node = mesh.node(name, "astro")
    done = node.try_("join", "-", "--name", name, "--listen", listen, *words, stdin=ticket + "\n",
                     timeout=timeout, env=env)
    check_error(done, 1, *parts, what="join")
    check(not os.path.exists(node.home), f"{node.home} was left behind")
    check_equal([p for p in mesh.processes()
                 if node.home.encode() in open(f"/proc/{p}/cmdline", "rb").read()], [],
                "processes left behind")
    mesh.nodes.remove(node)


@case
def tickets_that_are_wrong(mesh):
    first, = lab_of(mesh, 1)
    good = first.invite("astro")
    is_refused(mesh, "ipxt1thisisnoticket", "ticket")
    flipped = good[:-8] + ("q" if good[-8] != "q" else "p") + good[-7:]
    is_refused(mesh, flipped, "ticket")
    is_refused(mesh, good[:len(good) // 2], "ticket")
    mesh.node("good", "astro").join(good)  # it was good all the time


@case
def ticket_used_twice(mesh):
    first, = lab_of(mesh, 1)
    ticket = first.invite("astro")
    mesh.node("one", "astro").join(ticket)
    is_refused(mesh, ticket, "used")


# A wall clock that is ahead by IPX_TEST_AHEAD_S seconds.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);
    if (id == CLOCK_REALTIME) {
        t->tv_sec += atoi(getenv("TEST_AHEAD_S"));
    }
    return rc;
}
"""


def clock_ahead(mesh, seconds):
    """Environment of a process whose wall clock is ahead."""
    source, library = (os.path.join(mesh.base, n) for n in ("clock.c", "clock.so"))
    with open(source, "w") as file:
        file.write(CLOCK)
    subprocess.run(["cc", "-w", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": library, "TEST_AHEAD_S": str(seconds)}


@case
def ticket_expired(mesh):
    """A day and an hour later; the joiner sees it by its own clock."""
    first, = lab_of(mesh, 1)
    ticket = first.invite("astro")
    is_refused(mesh, ticket, "expired", "invite", env=clock_ahead(mesh, 25 * 3600))


@case
def ticket_expired_for_who_admits(mesh):
    """The joiner's clock is a day late: the member that it asks refuses."""
    first, = lab_of(mesh, 1)
    ticket = first.invite("astro")
    first.down()
    first.do("up", env=clock_ahead(mesh, 25 * 3600))
    is_refused(mesh, ticket, "expired", "invite")


@case
def ticket_of_another_mesh(mesh):
    """A ticket that a mesh never made, with the contacts of a mesh that lives."""
    lab_of(mesh, 1)
    other = mesh.node("other", "astro")
    other.new("sea")
    ticket = other.invite("astro")
    listen = other.rows("status")[0]["listen"].split()[0]
    other.down()
    # where the other mesh listened, a node of the first one answers now
    guest = mesh.node("guest", "astro")
    guest.join(mesh.nodes[0].invite("astro"), listen=listen)
    is_refused(mesh, ticket)


@case
def clash_of_names(mesh):
    first, = lab_of(mesh, 1)
    mesh.node("twin", "astro").join(first.invite("astro"))
    ticket = first.invite("astro")
    clash = mesh.node("clash", "astro")
    done = clash.try_("join", "-", "--name", "twin", "--listen", "127.0.0.1", stdin=ticket + "\n")
    check_error(done, 1, "twin", what="join")
    check(not os.path.exists(clash.home), "the home was left behind")
    clash.join(ticket)  # under a name of its own; the refusal did not use the ticket up


@case
def an_interrupted_join_leaves_nothing(mesh):
    """Ctrl-C while nobody named in the ticket answers, in the background and with --fg."""
    first = mesh.node("n0", "astro")
    first.new()
    ticket = first.invite("bio")
    first.down()
    for words, number in (([], signal.SIGINT), (["--fg"], signal.SIGINT), ([], signal.SIGTERM)):
        node = mesh.node("waits", "bio")
        process = node.start("join", "-", "--name", "waits", "--listen", "127.0.0.2", *words,
                             stdin=subprocess.PIPE)
        process.stdin.write(ticket.encode())
        process.stdin.close()
        wait_until("its node runs", node.pid)
        tree = tree_of(process.pid) + tree_of(node.pid())
        check(any(b"waiting for" in line for line in process.stderr), "it says what it waits for")
        process.send_signal(number)
        check_equal(process.wait(timeout=DEADLINE), 128 + number, f"exit code, {words}")
        check_in(b"nothing is left", process.stderr.read(), "what it says")
        check(not os.path.exists(node.home), "the home is gone")
        wait_until("its processes are gone", lambda tree=tree: not any(map(is_alive, tree)))
    first.up()
    other = mesh.node("other", "bio")
    other.join(ticket, listen="127.0.0.2")  # nothing was used up


@case
def join_json_tells_errors_too(mesh):
    first, = lab_of(mesh, 1)
    ticket = first.invite("astro")
    mesh.node("one", "astro").join(ticket)
    bad = mesh.node("bad", "astro")
    done = bad.try_("join", "-", "--json", "--name", "bad", "--listen", "127.0.0.1",
                    stdin=ticket + "\n")
    check_equal(done.returncode, 1, "exit code")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    check(len(rows) == 1 and rows[0]["v"] == 1 and rows[0]["error"]["name"] == "USED",
          f"an error object in {rows}")


@case
def join_over_a_mesh_that_is_there(mesh):
    first, = lab_of(mesh, 1)
    done = first.try_("join", "-", stdin=first.invite("astro"))
    check_error(done, 1, what="join")
    check_equal(first.rows("status")[0]["name"], "n0", "the node is as before")


@case
def leave_leaves_nothing(mesh):
    first, = lab_of(mesh, 1)
    second = mesh.node("n1", "astro")
    second.join(first.invite("astro"))
    mesh.wait_all_see()
    second.do("leave")
    check(not os.path.exists(second.home), "the home is still there")
    wait_until("the first sees that it left", lambda: second.shown not in first.sees())


if __name__ == "__main__":
    main()
