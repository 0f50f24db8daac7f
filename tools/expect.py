#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the quickstart's map has to give, computed without ipx: lines, bytes and SHA-256 of the
unpacked content of each file named on stdin, one line a file, in the order given."""
import gzip
import hashlib
import sys


def content(path):
    with open(path, "rb") as file:
        data = file.read()
    return gzip.decompress(data) if path.endswith(".gz") else data


for name in sys.stdin.read().splitlines():
    data = content(name)
    print(data.count(b"\n"), len(data), hashlib.sha256(data).hexdigest(), name)
