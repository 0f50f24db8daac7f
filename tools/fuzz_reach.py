#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every decoder and every input of a core's face is reached by some fuzz target: reads what the
targets print with -print_coverage=1 and the headers of the five folders.

usage: fuzz_reach.py FILE..      prints one line a function that none reaches, and exits 1
"""
import glob
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FOLDERS = ("base", "dht", "gossip", "exec", "node")
# what takes foreign bytes, by its name; a core's face beside it: messages and the steps of time
DECODER = re.compile(r"\b([a-z][a-z0-9_]*_(?:decode|parse|recv))\(")
FACES = {"dht_tick", "gossip_tick", "exec_tick", "exec_on_stream_message", "exec_on_client_message",
         "framing_next", "record_open", "signed_read", "handshake_init_read",
         "handshake_resp_read", "session_tick", "link_tick", "cbor_token_read", "keys_file_get"}
# what is fed elsewhere, and where
ELSEWHERE = {
    "admission_recv": "a whole node is needed: tests/sim/hostile.c, a million inputs",
}
REACHED = re.compile(r"^COVERED_FUNC: hits: \d+ edges: \d+/\d+ (\w+) ", re.M)


def wanted():
    found = {}
    for path in sorted(p for f in FOLDERS for p in glob.glob(os.path.join(ROOT, f, "*.h"))):
        with open(path, encoding="utf-8") as f:
            text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
        for name in DECODER.findall(text) + [n for n in FACES if re.search(rf"\b{n}\(", text)]:
            found.setdefault(name, os.path.relpath(path, ROOT))
    return found


def main():
    reached = set()
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", errors="replace") as f:
            reached |= set(REACHED.findall(f.read()))
    if not reached:
        sys.exit("fuzz_reach: no coverage in the files given (is a symbolizer installed?)")
    names = wanted()
    missed = sorted(set(names) - reached - set(ELSEWHERE))
    for name in missed:
        print(f"{names[name]}: no fuzz target reaches {name}")
    for name in sorted((set(ELSEWHERE) & reached) | (set(ELSEWHERE) - set(names))):
        print(f"tools/fuzz_reach.py: the exception of {name} is no longer needed")
        missed.append(name)
    print(f"fuzz: {len(names) - len(missed)} of {len(names)} decoders and inputs are reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
