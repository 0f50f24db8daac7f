#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile input by socket against a real node: 20,000 datagrams, 2,000 connections, noise on the
control socket. usage: test_hostile.py BUILD_DIR"""
import os
import random
import select
import socket
import struct

from cases import case, check, check_in, main
from mesh import Failed, read_proc, tree_of, wait_until

N_DATAGRAMS = 20000
N_CONNECTIONS = 2000
N_LOCAL = 300
AT_ONCE = 500           # connections held open together
GROWTH_MAX_KIB = 2048
MAC_LEN = 32            # mac1 and mac2 end an INIT; what is before them is covered by mac1
SEED = 7


class Recorder:
    """All packets on lo, so that what the attack alters is what nodes really say."""

    def __init__(self):
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        except PermissionError:
            raise Failed("recording packets needs root or a user namespace (CAP_NET_RAW)") from None
        self.socket.bind(("lo", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setblocking(False)

    def take(self, port):
        """Payloads of datagrams and of connections' segments that went to the port."""
        datagrams, segments = [], []
        while True:
            try:
                packet = self.socket.recv(65536)
            except BlockingIOError:
                break
            head = (packet[0] & 15) * 4
            if len(packet) < head + 8 or struct.unpack_from("!H", packet, head + 2)[0] != port:
                continue
            if packet[9] == socket.IPPROTO_UDP:
                datagrams.append(packet[head + 8:])
            elif packet[9] == socket.IPPROTO_TCP:
                body = packet[head + (packet[head + 12] >> 4) * 4:]
                if body:
                    segments.append(body)
        self.socket.close()
        return datagrams, segments


def altered(rng, payload):
    """Never equal where mac1 or the tag looks, so that no answer is due."""
    data = bytearray(payload)
    for _ in range(rng.randrange(3)):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
    data[8 + rng.randrange(max(len(data) - MAC_LEN - 8, 1))] = rng.randrange(256)
    if rng.random() < 0.2:
        del data[rng.randrange(len(data)):]
    elif rng.random() < 0.1:
        data += rng.randbytes(rng.randrange(200))
    covered = len(payload) - MAC_LEN
    if data[:covered] == payload[:covered]: # also where bytes follow: a link's INIT is whole then
        data[8] ^= 1
    return bytes(data)


def port_of(node):
    """Where the node listens: by its own sockets, for no command is asked here."""
    inodes = set()
    for fd in os.listdir(f"/proc/{node.pid()}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{node.pid()}/fd/{fd}"))
        except OSError:
            continue
    for line in open("/proc/net/udp").readlines()[1:]:
        words = line.split()
        if f"socket:[{words[9]}]" in inodes:
            return int(words[1].rpartition(":")[2], 16)
    raise Failed("the node has no UDP socket")


def udp_queue(port):
    for line in open("/proc/net/udp").readlines()[1:]:
        words = line.split()
        if int(words[1].rpartition(":")[2], 16) == port:
            return int(words[4].partition(":")[2], 16)
    return 0


def pss_kib(pid):
    for line in read_proc(pid, "smaps_rollup").decode().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise Failed("no smaps_rollup")


def weight(node):
    return sum(pss_kib(pid) for pid in tree_of(node.pid()))


def n_fds(node):
    return len(os.listdir(f"/proc/{node.pid()}/fd"))


def send_datagrams(rng, port, recorded):
    """Returns how many answers came."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    for s in sockets:
        s.connect(("127.0.0.1", port))
        s.setblocking(False)
    n_answers = 0
    for i in range(N_DATAGRAMS):
        how = rng.random()
        if how < 0.3:
            data = rng.randbytes(rng.randrange(1500))
        elif how < 0.45: # a right head: each type, the version and zone of today
            data = bytes((0x10 | rng.randrange(8), rng.randrange(4), 0, 0)) + rng.randbytes(
                rng.choice((0, 1, 12, 28, 60, 200, 1196, 1300)))
        elif how < 0.46:
            data = bytes(rng.choice((0, 1, 65507)))
        else:
            data = altered(rng, rng.choice(recorded))
        try:
            sockets[i % 8].send(data)
        except OSError:
            pass # longer than lo takes at once
        if i % 100 == 99:
            wait_until("the node reads its datagrams", lambda: udp_queue(port) == 0, every=0.001)
    for s in sockets:
        while True:
            try:
                s.recv(65536)
                n_answers += 1
            except OSError:
                break
        s.close()
    return n_answers


def opening(rng, recorded):
    """What one connection says; empty: nothing at all."""
    how = rng.random()
    if how < 0.2:
        return b""
    if how < 0.5 or not recorded:
        return rng.randbytes(1 + rng.randrange(3000))
    return altered(rng, rng.choice(recorded))


def answers_of(connections):
    """Bytes that the node sent before it closed them: all are read to their end."""
    n_bytes = 0
    left = {s.fileno(): s for s in connections}

    def drain():
        nonlocal n_bytes
        for fd in select.select(list(left), [], [], 0.05)[0] if left else []:
            try:
                data = left[fd].recv(65536)
            except OSError:
                data = b""
            n_bytes += len(data)
            if not data:
                left.pop(fd).close()
        return not left

    wait_until("the node closes what strangers opened", drain, every=0)
    return n_bytes


def connect_all(rng, port, recorded):
    """Noise, half-open and slow connections, some reset; returns the bytes answered."""
    n_bytes = 0
    for start in range(0, N_CONNECTIONS, AT_ONCE):
        held, slow = [], []
        for i in range(start, min(start + AT_ONCE, N_CONNECTIONS)):
            s = socket.create_connection(("127.0.0.1", port))
            data = opening(rng, recorded)
            try:
                if i % 5 == 0:
                    slow.append((s, data))
                elif data:
                    s.sendall(data)
                if i % 7 == 0:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.close()
                    continue
            except OSError:
                pass # closed already: as it should be
            held.append(s)
        for k in range(20): # byte by byte, all of them in turn
            for s, data in slow:
                try:
                    s.send(data[k:k + 1])
                except OSError:
                    continue
        n_bytes += answers_of(held)
    return n_bytes


def read_to_end(s):
    data = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


def local(node):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(10)
    s.connect(os.path.join(node.home, "sock"))
    return s


def mux_frame(kind, stream, payload=b"", flags=0):
    return struct.pack("!BBHI", kind, flags, len(payload), stream) + payload


def noise_on_control_socket(rng, node):
    for i in range(N_LOCAL):
        with local(node) as s:
            s.sendall(bytes((0x91,)) + rng.randbytes(64 + rng.randrange(2000)))
            try:
                answer = read_to_end(s)
            except TimeoutError:
                raise Failed("noise on the control socket: not closed in 10 s") from None
            check(answer, "noise on the control socket: closed without an answer")
    for i in range(N_LOCAL): # well framed, but no request
        body = rng.randbytes(rng.randrange(1, 60))
        message = struct.pack("!IB", 1 + len(body), 1) + body
        with local(node) as s:
            s.sendall(mux_frame(8, 0) + mux_frame(1, 1, struct.pack("!HBBI", 1, 0, 0, 1 << 16))
                      + mux_frame(2, 1, message))
            s.shutdown(socket.SHUT_WR)
            check_in(b"the request cannot be read", read_to_end(s), "a malformed request")


@case
def hostile_input_by_socket(mesh):
    rng = random.Random(SEED)
    node, other = mesh.node("ada", "astro"), mesh.node("ben", "astro")
    node.new()
    port = port_of(node)
    recorder = Recorder()
    other.join(node.invite("astro"))
    mesh.wait_all_see()
    other.do("run", "--on", "ada", "--", "true") # opens a link to the node
    datagrams, segments = recorder.take(port)
    check(len(datagrams) >= 10, f"{len(datagrams)} datagrams recorded")
    check(len(segments) >= 2, f"{len(segments)} segments recorded")
    kinds = {d[0] & 15 for d in datagrams}
    check({1, 4} <= kinds, f"INIT and DATA are recorded, not only {kinds}")
    datagrams = [d for d in datagrams if len(d) > 2 * MAC_LEN]
    segments = [s for s in segments if len(s) > 2 * MAC_LEN]
    before, fds = weight(node), n_fds(node)

    n_answers = send_datagrams(rng, port, datagrams)
    check(n_answers == 0, f"{n_answers} answers to datagrams of strangers")
    node.do("status")
    n_bytes = connect_all(rng, port, segments)
    check(n_bytes == 0, f"{n_bytes} bytes answered on connections of strangers")
    node.do("status")
    noise_on_control_socket(rng, node)
    node.do("status")

    wait_until(f"the node has {fds} descriptors again, not {n_fds(node)}",
               lambda: n_fds(node) <= fds)
    after = weight(node)
    print(f"    {N_DATAGRAMS} datagrams, {N_CONNECTIONS} connections, {2 * N_LOCAL} on the "
          f"control socket: no answer;"
          f" PSS {before} KiB before, {after} KiB after, {fds} descriptors")
    check(after - before < GROWTH_MAX_KIB, f"PSS grew from {before} to {after} KiB")
    check(other.shown in node.sees(), "the other member is still seen")
    late = mesh.node("cem", "astro")
    late.join(node.invite("astro"))
    mesh.wait_all_see()
    for one in mesh.nodes:
        one.down()


if __name__ == "__main__":
    main()
