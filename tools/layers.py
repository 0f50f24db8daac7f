#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom: the layers, the faces of folders, and include cycles.

usage: layers.py [ROOT]     prints one line a finding and exits 1 if there is any
"""
import os
import re
import sys

FOLDERS = ["base", "dht", "gossip", "exec", "node"]
# what a folder may include beside itself
ALLOWED = {
    "base": set(),
    "dht": {"base"},
    "gossip": {"base"},
    "exec": {"base"},
    "node": {"base", "dht", "gossip", "exec"},
}
# the faces: the only headers of a core that others may include
FACES = {
    "dht": {"dht/dht.h"},
    "gossip": {"gossip/gossip.h"},
    "exec": {"exec/exec.h", "exec/action.h", "exec/job.h", "exec/wire.h", "exec/wire_client.h",
             "exec/source_wire.h"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
IMPURE = re.compile(r"^(uv_|os_|cmd_)|^(main|log|client|out|cmd|daemon)\.[ch]$")


def sources(root):
    for folder in FOLDERS:
        base = os.path.join(root, folder)
        for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
            if name.endswith((".c", ".h")):
                yield folder, folder + "/" + name


def layer_findings(folder, path, includes):
    for inc in includes:
        target = inc.split("/")[0]
        if "/" not in inc or target not in FOLDERS:
            yield f"{path}: includes {inc}: write the folder, \"base/x.h\""
        elif target != folder and target not in ALLOWED[folder]:
            yield f"{path}: {folder} must not include {target} ({inc})"
        elif target != folder and target in FACES and inc not in FACES[target]:
            yield f"{path}: {inc} is not a face of {target}"
        elif inc.startswith("node/") and not IMPURE.match(os.path.basename(path)) \
                and IMPURE.match(os.path.basename(inc)):
            yield f"{path}: a pure file includes {inc}"


def cycle_findings(graph):
    state, stack = {}, []

    def visit(node):
        state[node] = 1
        stack.append(node)
        for after in graph.get(node, []):
            if state.get(after) == 1:
                yield "include cycle: " + " -> ".join(stack[stack.index(after):] + [after])
            elif after not in state:
                yield from visit(after)
        stack.pop()
        state[node] = 2

    for node in sorted(graph):
        if node not in state:
            yield from visit(node)


def findings(root):
    graph = {}
    for folder, path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as f:
            includes = INCLUDE.findall(f.read())
        yield from layer_findings(folder, path, includes)
        if path.endswith(".h"):
            graph[path] = [i for i in includes if i.endswith(".h")]
    yield from cycle_findings(graph)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    found = list(findings(root))
    print("\n".join(found) if found else "layers: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
