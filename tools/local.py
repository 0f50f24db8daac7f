# SPDX-License-Identifier: Apache-2.0
"""Asks nodes over their control sockets without a process a question: for tests and benchmarks
that ask fifty nodes many times a second. What is said stands in docs/wire.md (control rows)."""
import os
import socket
import struct

import cbor2

MUX_OPEN, MUX_DATA, MUX_SETTINGS = 1, 2, 8
PROTOCOL_CONTROL, CLASS_RPC, WINDOW = 1, 0, 1 << 20
STATUS, NODES, PEERS = 1, 2, 3
REQUEST, ROW, NOTE, END, ERROR = 1, 2, 3, 4, 5


class Refused(Exception):
    """The node answered with an error, or went away."""


def frame(kind, stream, payload=b""):
    return struct.pack("!BBHI", kind, 0, len(payload), stream) + payload


def messages(sock):
    """The messages of stream 1, as they come: (type, body)."""
    raw, stream = bytearray(), bytearray()
    while True:
        while len(raw) >= 8:
            kind, _, length, number = struct.unpack_from("!BBHI", raw)
            if len(raw) < 8 + length:
                break
            if kind == MUX_DATA and number == 1:
                stream += raw[8:8 + length]
            del raw[:8 + length]
        while len(stream) >= 5:
            length = struct.unpack_from("!I", stream)[0]
            if len(stream) < 4 + length:
                break
            yield stream[4], bytes(stream[5:4 + length])
            del stream[:4 + length]
        data = sock.recv(1 << 16)
        if not data:
            raise Refused("the node closed the connection")
        raw += data


def ask(home, command, *arguments, timeout=5):
    """The rows of an answer, each a dict."""
    body = cbor2.dumps({1: command, 2: list(arguments)})
    message = struct.pack("!IB", len(body) + 1, REQUEST) + body
    rows = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect(os.path.join(home, "sock"))
        s.sendall(frame(MUX_SETTINGS, 0)
                  + frame(MUX_OPEN, 1, struct.pack("!HBBI", PROTOCOL_CONTROL, CLASS_RPC, 0, WINDOW))
                  + frame(MUX_DATA, 1, message))
        for kind, body in messages(s):
            if kind == ROW:
                flat = cbor2.loads(body)
                rows.append(dict(zip(flat[::2], flat[1::2])))
            elif kind == ERROR:
                raise Refused(str(cbor2.loads(body)))
            elif kind == END:
                return rows
    return rows
