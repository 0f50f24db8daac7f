#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the source itself, the ones that no compiler knows (docs/style.md).

usage: tidy.py [ROOT]     prints one line a finding and exits 1 if there is any

Exceptions stand in tools/tidy_exceptions, `rule path-or-function today's-length # why`, and may
only shrink: a thing that grew beyond its exception is a finding, and so is one that needs none.
"""
import os
import re
import subprocess
import sys

CODE = ("base", "dht", "gossip", "exec", "node", "tests")
CORES = ("base", "dht", "gossip", "exec", "node")
IMPURE = re.compile(r"^(uv_|os_|cmd_)|^(main|log|client|out|cmd|daemon)\.[ch]$")
COLUMNS, FUNCTION_LINES, SOURCE_LINES, HEADER_LINES = 100, 70, 500, 200

BANNED = [
    (r"\bstrcpy\s*\(|\bstrcat\s*\(|\bsprintf\s*\(|\bgets\s*\(", "use snprintf or a writer"),
    (r"\bstrtok\s*\(", "use a reader"),
    (r"\batoi\s*\(|\batol\s*\(", "parse with a range check"),
    (r"\b(s?rand|random)\s*\(\s*\)", "use struct rng"),
    (r"\balloca\s*\(", "use a bounded array or struct mem"),
    (r"\bcbor_load\s*\(", "use struct cbor_reader"),
    (r"\bsystem\s*\(|\bpopen\s*\(", "start processes through the spawner"),
    (r"\buv_spawn\s*\(", "start processes through the spawner"),
]
BANNED_IN_CORES = [
    (r"\b(malloc|calloc|realloc|free)\s*\(", "use struct mem"),
    (r"\btime\s*\(\s*(NULL|0|&)", "time is a parameter"),
    (r"\bmemcmp\s*\([^;]*\b(tag|mac|mac1|mac2|psk|secret|token|cookie)\b",
     "use crypt_equal"),
]
WORDS = re.compile(r"\b(FIXME|TODO|XXX|HACK)\b|not implemented", re.I)
OUTSIDE = re.compile(r"(?<![\w.])/(work|root)/|/tmp/brief|\.pyenv")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])*'")
NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def tracked(root):
    out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True)
    if out.returncode == 0 and out.stdout:
        return [p for p in sorted(set(out.stdout.split("\n")))
                if p and os.path.isfile(os.path.join(root, p))]
    return sorted(os.path.relpath(os.path.join(d, f), root)
                  for d, _, files in os.walk(root) for f in files)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def functions(lines):
    """(name, first line, length) of every function: its opening brace stands in column 0."""
    for i, line in enumerate(lines):
        if line.rstrip() != "{":
            continue
        head = i - 1
        while head > 0 and lines[head - 1].strip() and not lines[head - 1].rstrip().endswith(
                (";", "}", "*/")) and not lines[head - 1].startswith("#"):
            head -= 1
        end = next((j for j in range(i, len(lines)) if lines[j].rstrip() == "}"), len(lines) - 1)
        name = NAME.search(" ".join(lines[head:i]))
        yield (name.group(1) if name else "?", head + 1, end - head + 1)


def length_findings(path, lines, found):
    is_face = path.endswith(".h") and not path.startswith("tests/")  # test worlds hold code
    limit = HEADER_LINES if is_face else SOURCE_LINES
    if len(lines) > limit:
        found.append(("file", path, len(lines), f"{path}: {len(lines)} lines, at most {limit}"))
    for name, at, length in functions(lines):
        if length > FUNCTION_LINES:
            found.append(("function", f"{path}:{name}", length,
                          f"{path}:{at}: {name} has {length} lines, at most {FUNCTION_LINES}"))


def text_findings(path, text):
    lines = text.split("\n")
    if not lines[0].startswith("/* SPDX-License-Identifier: Apache-2.0 */"):
        yield f"{path}:1: the first line is the SPDX line"
    if path.endswith(".h") and "#pragma once" not in text:
        yield f"{path}: a header has #pragma once"
    for m in COMMENT.finditer(text):
        if not re.search(r"\w", m.group(0)):
            yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: an empty comment"
    code = STRING.sub(lambda m: '"' + " " * (len(m.group(0)) - 2) + '"', COMMENT.sub(blank, text))
    for n, line in enumerate(code.split("\n"), 1):
        if "//" in line:
            yield f"{path}:{n}: comments are /* */ only"
        for pattern, instead in BANNED:
            if re.search(pattern, line):
                yield f"{path}:{n}: banned call: {instead}"
        if path.split("/")[0] in CORES and not IMPURE.match(os.path.basename(path)) \
                and path != "base/mem.c":
            for pattern, instead in BANNED_IN_CORES:
                if re.search(pattern, line):
                    yield f"{path}:{n}: banned in a core: {instead}"


def any_findings(path, text):
    for n, line in enumerate(text.split("\n"), 1):
        if WORDS.search(line) and not path.startswith("tools/"):
            yield f"{path}:{n}: unfinished: {line.strip()[:60]}"
        if OUTSIDE.search(line) and not path.startswith("tools/t"):
            yield f"{path}:{n}: names a path outside the repository"
        if len(line) > COLUMNS and path.endswith((".c", ".h", ".py", ".build")):
            yield f"{path}:{n}: {len(line)} columns, at most {COLUMNS}"


def structure_findings(root, paths):
    listed = {}
    for p in paths:
        if p.endswith("meson.build"):
            with open(os.path.join(root, p), encoding="utf-8") as f:
                listed[os.path.dirname(p)] = set(re.findall(r"'([\w./-]+)'", f.read()))
    have = set(paths)
    for path in paths:
        folder, name = os.path.split(path)
        names = {name, name[:-2], name[:-2].removeprefix("fuzz_")}
        if path.endswith(".c") and folder.split("/")[0] in CODE and \
                not listed.get(folder, set()) & names:
            yield f"{path}: in no meson.build: a dead file"
        if path.endswith(".md"):
            with open(os.path.join(root, path), encoding="utf-8") as f:
                text = re.sub(r"```.*?```", "", f.read(), flags=re.S)
            titles = re.findall(r"^# .+$", text, re.M)
            if len(titles) != 1:
                yield f"{path}: {len(titles)} titles of the first level, wanted one"
    for path in paths:
        m = re.match(r"tests/fuzz/fuzz_(\w+)\.c$", path)
        if m and not any(p.startswith(f"tests/fuzz/corpus/{m.group(1)}/") for p in have):
            yield f"{path}: has no corpus in tests/fuzz/corpus/{m.group(1)}/"


def threat_findings(root):
    """Every `file: test` in docs/threats.md is a unit test."""
    path = os.path.join(root, "docs/threats.md")
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as f:
        named = re.findall(r"`([a-z]\w+): (\w+)`", f.read())
    for file, test in named:
        source = os.path.join(root, "tests/unit", file + ".c")
        text = ""
        if os.path.exists(source):
            with open(source, encoding="utf-8") as f:
                text = f.read()
        if not re.search(rf"^TEST\(\w+, {test}\)", text, re.M):
            yield f"docs/threats.md: no test {test} in tests/unit/{file}.c"


def untested_modules(root, paths):
    """A pure module <folder>/<name>.h wants tests/unit/<folder>_<name>.c, or another test there
    that includes it; internal headers (*_core.h, core.h) have no .c of their name."""
    tests = {p: open(os.path.join(root, p), encoding="utf-8").read()
             for p in paths if p.startswith("tests/unit/") and p.endswith((".c", ".h"))}
    for path in paths:
        folder, name = path.split("/")[0], os.path.basename(path)
        if folder not in CORES or not path.endswith(".h") or IMPURE.match(name):
            continue
        if path[:-2] + ".c" not in paths:
            continue
        if f"tests/unit/{folder}_{name[:-2]}.c" not in tests and not any(
                f'"{path}"' in text for text in tests.values()):
            yield ("untested", path, 1, f"{path}: no unit test: tests/unit/{folder}_{name[:-2]}.c")


def load_exceptions(root):
    path = os.path.join(root, "tools/tidy_exceptions")
    allowed = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                rule, what, length = line.split("#")[0].split() or (None, None, 0)
                allowed[(rule, what)] = int(length)
    allowed.pop((None, None), None)
    return allowed


def apply_exceptions(measured, allowed):
    seen = set()
    for rule, what, length, message in measured:
        seen.add((rule, what))
        limit = allowed.get((rule, what))
        if limit is None:
            yield message
        elif length > limit:
            yield message + f" (the exception says {limit}: exceptions only shrink)"
    for rule, what in sorted(set(allowed) - seen):
        yield f"tools/tidy_exceptions: {rule} {what} is no longer needed: remove it"


def findings(root):
    paths = tracked(root)
    measured = []
    for path in paths:
        if not path.endswith((".c", ".h", ".py", ".md", ".sh", ".build")):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as f:
            text = f.read()
        yield from any_findings(path, text)
        if path.endswith((".c", ".h")):
            yield from text_findings(path, text)
            length_findings(path, text.rstrip("\n").split("\n"), measured)
    yield from structure_findings(root, paths)
    yield from threat_findings(root)
    measured.extend(untested_modules(root, paths))
    yield from apply_exceptions(measured, load_exceptions(root))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    found = list(findings(os.path.abspath(root)))
    print("\n".join(found) if found else "tidy: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
