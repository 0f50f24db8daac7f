#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three labs, one live source, one distributed job, on this machine.

usage: quickstart [--keep] [--kill-one] [--v6]
  --keep      leave the mesh running and print five lines to try next
  --kill-one  SIGKILL one of the two nodes that do not own the job, in the middle of it
  --v6        all three nodes on ::1
Exits 0 only if every result came once and equals what python3 computes without ipx."""
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mesh import Failed, Mesh, wait_until  # noqa: E402

TOOLS = os.path.dirname(os.path.abspath(__file__))
LABS = ("astro", "phys", "bio")
DOCUMENTS_MAX = 600
DOCUMENTS_MIN = 50
ACCEPT = 'job.lab in ["astro", "phys", "bio"]'
# One task: lines, bytes and SHA-256 of what is in $1. A task has a directory of its own.
TASK = ('case $1 in *.gz) gzip -dc -- "$1" ;; *) cat -- "$1" ;; esac >t && '
        'read -r lines bytes <<. && read -r sum _ <<, && echo "$lines $bytes $sum $1"\n'
        '$(wc -lc <t)\n.\n$(sha256sum <t)\n,')


def say(line):
    print(line, flush=True)


def documents(base):
    """At most 600 .gz files below /usr/share/doc; fewer than 50: the repository's own files."""
    found = []
    for where, _, names in os.walk("/usr/share/doc"):
        paths = [os.path.join(where, n) for n in names if n.endswith(".gz")]
        found += [p for p in paths if os.path.isfile(p) and not os.path.islink(p)
                  and p.isprintable()]
    if len(found) >= DOCUMENTS_MIN:
        return sorted(found)[:DOCUMENTS_MAX], ".gz documents below /usr/share/doc"
    return copies(base), "files of the repository"


def copies(base):
    """The repository may be closed to the users that tasks run as; its copy is not."""
    root = os.path.dirname(TOOLS)
    folder = os.path.join(base, "documents")
    os.mkdir(folder, 0o755)
    made = []
    for where, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in (".git", "build", "shared"))
        for name in sorted(names):
            path = os.path.join(where, name)
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            copy = os.path.join(folder, os.path.relpath(path, root).replace("/", "_"))
            with open(path, "rb") as source, open(copy, "wb") as target:
                target.write(source.read())
            os.chmod(copy, 0o644)
            made.append(copy)
    return sorted(made)[:DOCUMENTS_MAX]


def start_mesh(mesh, v6):
    """Three nodes of three labs; the first makes the mesh, the others join by its tickets."""
    nodes = [mesh.node(name, lab) for name, lab in zip(("gw", "wks", "seq"), LABS)]
    start = time.monotonic()
    for i, node in enumerate(nodes):
        listen = "::1" if v6 else f"127.0.0.{i + 1}"
        if i == 0:
            node.new("sky", listen=listen, accept=ACCEPT)
            say(f"  {node.shown:<10} made mesh \"sky\" on {listen} in "
                f"{time.monotonic() - start:.2f} s")
        else:
            took = node.join(nodes[0].invite(node.lab), listen=listen, accept=ACCEPT)
            say(f"  {node.shown:<10} joined with a ticket on {listen} in {took:.2f} s")
    start = time.monotonic()
    mesh.wait_all_see()
    say(f"  all see all three after another {time.monotonic() - start:.2f} s; "
        f"each accepts: {ACCEPT}")
    return nodes


class Tap:
    """Reads the live source in another lab and keeps account of what came."""

    def __init__(self, node, source):
        self.node, self.source = node, source
        self.frames, self.gaps, self.lost, self.wrong = 0, 0, 0, 0
        self.first = self.last = self.next_seq = None
        self.process = node.start("tap", source, "--json", stderr=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            row = json.loads(line)
            if "gap" in row:
                self.gaps += 1
                self.lost += row["gap"]["last"] - row["gap"]["first"] + 1
                self.next_seq = row["gap"]["last"] + 1
            elif "seq" in row:
                self.on_frame(row)

    def on_frame(self, row):
        if self.next_seq is not None and row["seq"] != self.next_seq:
            self.wrong += 1  # missing and not told
        self.next_seq = row["seq"] + 1
        if "cpu_busy" not in json.loads(row["data"]):
            self.wrong += 1
        self.frames += 1
        self.last = time.monotonic()
        self.first = self.first or self.last

    def rate(self):
        span = (self.last or 0) - (self.first or 0)
        return (self.frames - 1) / span if span > 0 else 0.0

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.thread.join(timeout=10)


def start_source(publisher, reader):
    counters = [sys.executable, os.path.join(TOOLS, "counters.py"), "10"]
    process = publisher.start("publish", "proc", "--rate", "10Hz", "--kind", "counters", "--",
                              *counters, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              new_session=True)
    wait_until("the source is known in another lab",
               lambda: any(r["name"].endswith("proc") for r in reader.rows("sources")))
    tap = Tap(reader, "phys/proc")
    wait_until("frames come", lambda: tap.frames >= 3 or tap.process.poll() is not None)
    if tap.process.poll() is not None:
        raise Failed(f"tap ended by itself with {tap.process.returncode}")
    say(f"  {publisher.shown} publishes /proc counters at 10 Hz, {reader.shown} taps them")
    return process, tap


class Map:
    """The job, read as it goes: one object a finished task."""

    def __init__(self, owner, names):
        self.rows, self.names = [], names
        items = os.path.join(owner.mesh.base, "documents.txt")
        with open(items, "w", encoding="utf-8") as file:
            file.write("".join(name + "\n" for name in names))
        self.errors = os.path.join(owner.mesh.base, "map.err")
        with open(self.errors, "wb") as errors:
            self.process = owner.start("map", "--json", "--pure", "--", "sh", "-c", TASK, "sh",
                                       "{}", "::::", items, stderr=errors)

    def run(self, on_row):
        for line in self.process.stdout:
            row = json.loads(line)
            if "index" in row:
                self.rows.append(row)
                on_row(self)
        code = self.process.wait(timeout=60)
        if code != 0:
            with open(self.errors, errors="replace") as file:
                raise Failed(f"map ended with {code}: {file.read()[-3000:]}")

    def results(self):
        """Output in the order of the documents; fails unless each came exactly once."""
        seen = sorted(row["index"] for row in self.rows)
        if seen != list(range(len(self.names))):
            twice = len(seen) - len(set(seen))
            raise Failed(f"{len(set(seen))} of {len(self.names)} results, {twice} twice")
        return "".join(r["output"] for r in sorted(self.rows, key=lambda r: r["index"]))

    def by_node(self):
        counts = {}
        for row in self.rows:
            name = f"{row['lab']}/{row['node'].rpartition('/')[2]}" if "lab" in row else row["node"]
            counts[name] = counts.get(name, 0) + 1
        return counts


class Killer:
    """SIGKILLs the victim when a fifth of the results is in and some are its own."""

    def __init__(self, victim):
        self.victim, self.killed_at = victim, None

    def __call__(self, job):
        if self.killed_at is not None or len(job.rows) < len(job.names) // 5:
            return
        if any(self.victim.name in row["node"] for row in job.rows):
            self.killed_at = len(job.rows)
            os.kill(self.victim.pid(), signal.SIGKILL)


def run_job(owner, victim):
    names, what = documents(owner.mesh.base)
    say(f"  map of {len(names)} {what}, one process each, from {owner.shown}")
    start = time.monotonic()
    job = Map(owner, names)
    killer = Killer(victim) if victim else None
    job.run(killer or (lambda _: None))
    took = time.monotonic() - start
    if killer and killer.killed_at is None:
        raise Failed(f"{victim.shown} ran no task, so it was not killed")
    if killer:
        say(f"  {victim.shown} was killed by SIGKILL after {killer.killed_at} results")
    shares = ", ".join(f"{n} {c}" for n, c in sorted(job.by_node().items()))
    say(f"  {len(job.rows)} results in {took:.2f} s ({len(job.rows) / took:.0f} tasks/s): {shares}")
    return job


def compare(mesh, job):
    ours, theirs = (os.path.join(mesh.base, n) for n in ("by-ipx.txt", "by-python.txt"))
    with open(ours, "w", encoding="utf-8") as file:
        file.write(job.results())
    with open(theirs, "w", encoding="utf-8") as file:
        subprocess.run([sys.executable, os.path.join(TOOLS, "expect.py")], stdout=file, check=True,
                       input="".join(n + "\n" for n in job.names).encode())
    diff = subprocess.run(["diff", ours, theirs], stdout=subprocess.PIPE, check=False)
    if diff.returncode != 0:
        raise Failed("the results differ:\n" + diff.stdout.decode(errors="replace")[:2000])
    say(f"  diff with what python3 computes without ipx: equal, {len(job.names)} lines")


def print_next(mesh, nodes, source):
    program = shlex.quote(os.path.relpath(mesh.binary))
    if not program.startswith(("/", ".")):
        program = "./" + program
    homes = " ".join(n.name for n in nodes)
    down = f"{program} --home {mesh.base}/$n down"
    say(f"""
The mesh is still running. To try next:
  export IPX_HOME={nodes[0].home}
  {program} nodes
  {program} tap phys/proc
  {program} run --where 'lab == "bio"' -- uname -a
  kill {source.pid}; for n in {homes}; do {down}; done; rm -r {mesh.base}""")


def quickstart(mesh, options):
    start = time.monotonic()
    say("mesh")
    nodes = start_mesh(mesh, "--v6" in options)
    owner, publisher, victim = nodes
    say("live source")
    source, tap = start_source(publisher, owner)
    say("job")
    job = run_job(owner, victim if "--kill-one" in options else None)
    compare(mesh, job)
    wait_until("two seconds of frames", lambda: tap.frames >= 20)
    tap.stop()
    say(f"  meanwhile the tap read {tap.frames} frames, {tap.rate():.1f} a second, "
        f"{tap.gaps} gaps ({tap.lost} frames missed)")
    if tap.wrong:
        raise Failed(f"{tap.wrong} frames of the source were wrong or missing untold")
    say(f"done: all equal, {time.monotonic() - start:.1f} s")
    if "--keep" in options:
        print_next(mesh, nodes, source)


def on_signal(number, _):
    raise SystemExit(128 + number)


def main():
    words = sys.argv[1:]
    if "-h" in words or "--help" in words:
        print(__doc__)
        return 0
    options = [w for w in words if w.startswith("--")]
    known = ("--keep", "--kill-one", "--v6")
    if len(words) - len(options) != 1 or any(o not in known for o in options):
        print(f"quickstart: what is {shlex.join(w for w in words if w not in known)}? "
              "usage: quickstart [--keep] [--kill-one] [--v6]", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, on_signal)
    code, mesh, keeps = 1, None, False
    try:
        mesh = Mesh(next(w for w in words if not w.startswith("--")))
        quickstart(mesh, options)
        code, keeps = 0, "--keep" in options
    except Failed as e:
        print(f"quickstart: {e}", file=sys.stderr)
        if mesh:
            print(mesh.logs(), file=sys.stderr)
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        left = mesh.close() if mesh and not keeps else []
        for line in left:
            print(f"quickstart: {line}", file=sys.stderr)
    return 1 if left else code


if __name__ == "__main__":
    sys.exit(main())
