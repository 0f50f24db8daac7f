#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Links in a coat: two labs between which a firewall passes nothing but TCP on one port.
usage: test_coat.py BUILD_DIR

astro and phys are here, bio in a network namespace of its own behind a cable; nftables drops in
silence, at both ends, all that is not TCP to or from port 443 of astro or phys."""
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import time

from cases import Failed, case, check, check_equal, main
from mesh import read_proc, wait_until

HERE, PHYS, BIO = "10.77.0.1", "10.77.0.3", "10.77.0.2"
PORT = 443
N_ITEMS = 40
DROP = ("table ip coat {{ chain in {{ type filter hook input priority 0; "
        "ip saddr {far} tcp {port} accept; ip saddr {far} counter drop; }} ; }}")
ACCEPT = 'job.lab in ["astro", "phys", "bio"]'


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


class Wall:
    """The cable and what is dropped on it."""

    def __init__(self, mesh, is_shut=True):
        self.mesh = mesh
        self.far = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"],
                                    stdout=subprocess.PIPE)
        self.far.stdout.readline()
        self.inside = ["nsenter", f"--net=/proc/{self.far.pid}/ns/net"]
        run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "far", "netns",
            str(self.far.pid))
        for addr in (HERE, PHYS):
            run("ip", "addr", "add", f"{addr}/24", "dev", "cable")
        run("ip", "link", "set", "cable", "up")
        run(*self.inside, "ip", "link", "set", "lo", "up")
        run(*self.inside, "ip", "addr", "add", f"{BIO}/24", "dev", "far")
        run(*self.inside, "ip", "link", "set", "far", "up")
        if is_shut:
            run("nft", DROP.format(far=BIO, port=f"dport {PORT}"))
            for addr in (HERE, PHYS):
                table = DROP.replace("ip coat", f"ip coat{addr[-1]}")
                run(*self.inside, "nft", table.format(far=addr, port=f"sport {PORT}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.mesh.nodes:
            node.inside = []  # its socket is a file: `down` finds it from anywhere
        subprocess.run(["ip", "link", "del", "cable"], check=False)
        subprocess.run(["nft", "flush", "ruleset"], check=False)
        self.far.kill()
        self.far.wait()
        self.far.stdout.close()

    def dropped(self):
        return [int(n) for n in re.findall(r"counter packets (\d+)", run("nft", "list", "ruleset"))]


def listen(node, addr, *more):
    return ["--listen", f"tls:{addr}:{PORT}", *more]


def labs(mesh, wall, coats=True):
    """The quickstart's mesh: one node a lab; each runs the tasks of all."""
    astro, phys, bio = (mesh.node(n, lab) for n, lab in
                        (("gw", "astro"), ("sim", "phys"), ("seq", "bio")))
    bio.inside = wall.inside
    astro.new(listen=HERE, accept=ACCEPT, words=listen(astro, HERE) if coats else ())
    phys.join(astro.invite("phys"), listen=PHYS, accept=ACCEPT,
              words=listen(phys, PHYS) if coats else ())
    took = bio.join(astro.invite("bio"), listen=BIO, accept=ACCEPT)
    mesh.wait_all_see()
    return astro, phys, bio, took


def map_of(owner):
    """Results of a map over all nodes, and which node made how many."""
    items = [f"item {i}" for i in range(N_ITEMS)]
    out = owner.do("map", "--json", "-q", "--", "sh", "-c",
                   'sleep 0.2; printf %s "{}" | sha256sum | cut -c1-64', ":::", *items)
    rows = [r for r in map(json.loads, out.splitlines()) if "index" in r]
    check_equal(sorted(r["index"] for r in rows), list(range(N_ITEMS)), "each result once")
    counts = {}
    for row in rows:
        want = hashlib.sha256(items[row["index"]].encode()).hexdigest() + "\n"
        check_equal(row["output"], want, f"result {row['index']}")
        counts[row["node"]] = counts.get(row["node"], 0) + 1
    return counts


@case
def the_quickstart_s_mesh_through_the_coats_port_alone(mesh):
    with Wall(mesh) as wall:
        astro, phys, bio, took = labs(mesh, wall)
        check(sum(wall.dropped()) > 0, "the wall dropped nothing")
        print(f"    bio joined in {took:.1f} s")
        for owner in (bio, phys):
            counts = map_of(owner)
            print(f"    map from {owner.shown}: {counts}")
            check(len(counts) >= 2, f"all ran on {counts}")
        run_on = phys.do("run", "--on", "seq", "--", "sh", "-c", "echo $IPX_LAB/$IPX_NODE")
        check_equal(run_on, "bio/seq\n", "run --on the node behind the wall")
        phys.down()  # of those that bio is linked to, one goes and comes back
        phys.up()
        mesh.wait_all_see()
        bio.down()  # and bio itself: it remembers where coats are worn
        bio.up()
        mesh.wait_all_see()
        map_of(bio)


@case
def without_a_coat_the_wall_holds(mesh):
    with Wall(mesh) as wall:
        astro = mesh.node("gw", "astro")
        bio = mesh.node("seq", "bio")
        bio.inside = wall.inside
        astro.new(listen=HERE)
        done = bio.try_("join", "-", "--name", "seq", "--listen", BIO,
                        stdin=astro.invite("bio") + "\n")
        check(done.returncode != 0, "it joined through a wall")


@case
def a_coat_is_not_needed_where_packets_pass(mesh):
    with Wall(mesh, is_shut=False) as wall:
        astro, _, bio, took = labs(mesh, wall)
        check(took < 1.5, f"joined in {took} s: not by datagrams")
        map_of(bio)
        check(not os.path.exists(os.path.join(bio.home, "coats")), "it went by a coat")


def threads(node):
    return int(re.search(rb"Threads:\s+(\d+)", read_proc(node.pid(), "status")).group(1))


def hear(sock, seconds=6):
    """All that comes until the other end closes."""
    sock.settimeout(seconds)
    got = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return got
            got += more
    except ConnectionError:
        return got
    except (TimeoutError, socket.timeout):
        raise Failed(f"not closed after {seconds} s; it said {got!r}") from None


def tls_context(*alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@case
def strangers_at_the_coats_port(mesh):
    node = mesh.node("gw", "astro")
    node.new(words=["--listen", "tls:127.0.0.1:4443"])
    at = ("127.0.0.1", 4443)
    before = threads(node)
    for line in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(3000), bytes(3000),
                 b"\x01\x54" + b"\x11" + os.urandom(339)):
        with socket.create_connection(at) as sock:
            sock.sendall(line)
            got = hear(sock)
            check(len(got) <= 7, f"an answer of {len(got)} bytes to {line[:16]!r}")
    with socket.create_connection(at) as sock:  # says nothing
        start = time.monotonic()
        check_equal(hear(sock, 8), b"", "to one who is silent")
        check(3 < time.monotonic() - start < 8, "closed when the handshake takes too long")
    for alpn in ((), ("h2", "http/1.1")):
        with socket.create_connection(at) as sock:
            try:
                with tls_context(*alpn).wrap_socket(sock) as tls:
                    check_equal(hear(tls), b"", f"to a TLS client of {alpn}")
            except ssl.SSLError:
                pass
    with socket.create_connection(at) as sock, \
            tls_context("ipx/1").wrap_socket(sock) as tls:  # ours in TLS, a stranger within
        check_equal(tls.selected_alpn_protocol(), "ipx/1", "ALPN")
        tls.sendall(b"\x01\x54" + b"\x11" + os.urandom(339))
        try:
            check_equal(hear(tls), b"", "to noise within the coat")
        except ssl.SSLError:
            pass
    crowd = [socket.create_connection(at) for _ in range(100)]
    wait_until("more than the allowed handshakes are closed at once",
               lambda: sum(is_closed(s) for s in crowd) >= 60, timeout=4)
    for sock in crowd:
        sock.close()
    check_equal(node.do("run", "-q", "--", "echo", "well"), "well\n", "the node after all that")
    print(f"    threads: {before} before the first handshake, {threads(node)} after")
    check_equal(threads(node), before + 1, "threads")


def is_closed(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    main()
