# SPDX-License-Identifier: Apache-2.0
"""A small mesh of real nodes on this machine: used by the quickstart, the system tests and the
benchmarks. Python's standard library only.

Every node has a home below one short temporary folder. close() stops all that was started, by
`down`, then by process id, and says what was still alive."""
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

DEADLINE = 30  # seconds: far more than anything here takes


class Failed(Exception):
    """A command or a condition that did not end as it has to."""


def wait_until(what, condition, timeout=DEADLINE, every=0.02):
    """Returns what `condition` returns once it is true; fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"after {timeout} s still not: {what}")
        time.sleep(every)


def text(data):
    return data if isinstance(data, str) else (data or b"").decode(errors="replace")


def process_ids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_proc(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_alive(pid):
    """A zombie counts as gone."""
    stat = read_proc(pid, "stat")
    return bool(stat) and stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def parent_of(pid):
    stat = read_proc(pid, "stat")
    return int(stat.rpartition(b")")[2].split()[1]) if stat else 0


def tree_of(pid):
    """The process and all that descend from it."""
    parents = {p: parent_of(p) for p in process_ids()}
    found = [pid]
    for one in found:
        found += [p for p, parent in parents.items() if parent == one and p not in found]
    return found


def find_binary(build):
    for path in ("ipx-node", "node/ipx-node"):
        path = os.path.abspath(os.path.join(build, path))
        if os.access(path, os.X_OK):
            return path
    raise Failed(f"no ipx-node in {build}: build it first (ninja -C {build})")


class Node:
    """One node: its home and the commands that are given to it."""

    def __init__(self, mesh, name, lab):
        self.mesh, self.name, self.lab = mesh, name, lab
        self.home = os.path.join(mesh.base, name)
        self.pids = set()  # of every daemon that was seen
        self.inside = []  # a command that its commands run under: another network namespace

    @property
    def shown(self):
        return f"{self.lab}/{self.name}"

    @property
    def scratch(self):
        """Where its tasks have their directories, as root (node/os_scratch.c)."""
        number = 14695981039346656037
        for byte in self.home.encode():
            number = (number ^ byte) * 1099511628211 % (1 << 64)
        return f"/var/tmp/ipx-{number:016x}"

    def argv(self, *words):
        return [*self.inside, self.mesh.binary, words[0], "--home", self.home, *words[1:]]

    def try_(self, *words, stdin=b"", timeout=DEADLINE, env=None):
        """The finished command, whatever its exit code; stdout and stderr are bytes."""
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = None
        try:
            done = subprocess.run(self.argv(*words), input=stdin, capture_output=True,
                                  timeout=timeout, env=self.mesh.env(env))
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{' '.join(words)}: no end after {timeout} s; stderr: "
                         f"{text(e.stderr)[-2000:]}") from None
        finally:
            self.pid()
        return done

    def do(self, *words, code=0, **more):
        """stdout of a command that has to end with `code`."""
        done = self.try_(*words, **more)
        if done.returncode != code:
            raise Failed(f"{' '.join(words)}: exit {done.returncode}, not {code}\n"
                         f"{text(done.stdout)[-2000:]}{text(done.stderr)[-2000:]}")
        return text(done.stdout)

    def rows(self, *words, **more):
        """The objects of a command with --json."""
        out = self.do(words[0], "--json", *words[1:], **more)
        rows = [json.loads(line) for line in out.splitlines()]
        for row in rows:
            if row.get("v") != 1:
                raise Failed(f"{' '.join(words)} --json: no \"v\":1 in {row}")
        return rows

    def start(self, *words, new_session=False, **more):
        """A command that goes on; ended by the mesh's close() if need be."""
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(self.argv(*words), env=self.mesh.env(more.pop("env", None)),
                                   start_new_session=new_session, **more)
        self.mesh.children.append(process)
        return process

    def pid(self):
        """Process id of the daemon: who holds the home's lock; 0 if none does."""
        try:
            with open(os.path.join(self.home, "lock"), "r+b") as file:
                ask = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                got = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, ask))
        except OSError:
            return 0
        if got[0] == fcntl.F_UNLCK:
            return 0
        self.pids.add(got[4])
        return got[4]

    def new(self, mesh_name="sky", listen="127.0.0.1", accept=None, words=()):
        accept = ["--accept", accept] if accept else []
        return self.do("new", mesh_name, "--lab", self.lab, "--name", self.name, "--listen",
                       listen, "--root-out", os.path.join(self.mesh.base, mesh_name + ".root"),
                       *accept, *words)

    def invite(self, lab, *words):
        row = self.rows("invite", "--lab", lab, *words)[0]
        return row["ticket"]

    def join(self, ticket, listen="127.0.0.1", accept=None, words=(), **more):
        """Joins; returns how long the command took in seconds."""
        accept = ["--accept", accept] if accept else []
        start = time.monotonic()
        self.do("join", "-", "--name", self.name, "--listen", listen, *accept, *words,
                stdin=ticket + "\n", **more)
        return time.monotonic() - start

    def up(self):
        return self.do("up")

    def down(self):
        self.do("down")
        wait_until(f"{self.shown} is down", lambda: not self.pid())

    def kill(self):
        """SIGKILL for the daemon."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_until(f"{self.shown} is gone", lambda: not is_alive(pid))

    def sees(self):
        """Names of all living members, as this node sees them."""
        done = self.try_("nodes", "--json")
        if done.returncode != 0:
            return set()
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {f"{r['lab']}/{r['name'].rpartition('/')[2]}" for r in rows
                if r.get("state") == "alive"}


class Mesh:
    def __init__(self, build):
        self.binary = find_binary(build)
        # short: a socket's address has room for 108 bytes
        self.base = tempfile.mkdtemp(prefix="ipx-", dir=os.environ.get("IPX_TEST_TMP", "/tmp"))
        os.chmod(self.base, 0o755)  # as root, tasks run as users of their own
        self.nodes, self.children = [], []

    def env(self, more=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("IPX_")}
        env.update({"NO_COLOR": "1", "HOME": self.base}, **(more or {}))
        return env

    def node(self, name, lab):
        node = Node(self, name, lab)
        self.nodes.append(node)
        return node

    def wait_all_see(self, nodes=None, timeout=DEADLINE):
        nodes = nodes or self.nodes
        want = {n.shown for n in nodes}
        for node in nodes:
            wait_until(f"{node.shown} sees {sorted(want)}; it sees {sorted(node.sees())}",
                       lambda node=node: want <= node.sees(), timeout)

    def processes(self):
        """Every live process that belongs to this mesh: it names the folder, or was started
        there, or descends from one that does."""
        mark = self.base.encode()
        found = set()
        for pid in process_ids():
            if pid == os.getpid():
                continue
            try:
                where = os.readlink(f"/proc/{pid}/cwd").encode()
            except OSError:
                where = b""
            if (mark in read_proc(pid, "cmdline") or mark in read_proc(pid, "environ")
                    or where.startswith(mark)):
                found |= set(tree_of(pid))
        for node in self.nodes:
            node.pid()
            for pid in node.pids:
                if mark in read_proc(pid, "cmdline"):
                    found |= set(tree_of(pid))
        return {pid for pid in found if is_alive(pid) and pid != os.getpid()}

    def logs(self):
        """The ends of the nodes' logs, to be shown where something failed."""
        shown = []
        for node in self.nodes:
            try:
                with open(os.path.join(node.home, "node.log"), errors="replace") as file:
                    shown.append(f"--- log of {node.shown}\n" + "".join(file.readlines()[-15:]))
            except OSError:
                continue
        return "".join(shown)

    def close(self):
        """Stops everything; returns lines about what had to be killed."""
        for process in self.children:
            if process.poll() is None:
                process.terminate()
        for node in self.nodes:
            if node.pid():
                try:
                    node.try_("down", timeout=10)
                except Failed:
                    pass  # killed below, and told
        for process in self.children:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    try:
                        pipe.close()
                    except OSError:
                        pass  # its reader is gone
        end = time.monotonic() + 5
        left = self.processes()
        while left and time.monotonic() < end:
            time.sleep(0.02)
            left = self.processes()
        told = [f"process {pid} was still alive: "
                f"{text(read_proc(pid, 'cmdline')).replace(chr(0), ' ')[:200]}" for pid in left]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # gone in between
        for node in self.nodes:
            if os.path.exists(node.scratch):
                told.append(f"{node.scratch} was left behind")
                shutil.rmtree(node.scratch, ignore_errors=True)
        shutil.rmtree(self.base, ignore_errors=True)
        return told
