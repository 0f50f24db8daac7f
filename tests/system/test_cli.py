#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against its own argument table: what is wrong is exit 2 with one helpful line,
what needs a node and has none is exit 4, --json is JSON. usage: test_cli.py BUILD_DIR"""
import json
import os
import queue
import signal
import subprocess
import threading

from cases import case, check, check_equal, check_in, main
from mesh import wait_until

# A value that is wrong for each type; types that take anything are not here.
WRONG = {"number": "many", "size": "8Hz", "time": "5GiB", "rate": "10s", "expr": "cpu.cores >",
         "fields": ".kind >",
         "label": "Bad Name=1", "env": "1X=2", "addr": "nowhere:x", "name": "Bad_Name",
         "lab": "Bad_Lab", "range": "1..9", "choice": "none-of-them", "key": "-none-of-them"}
RIGHT = {"text": "x", "number": "2", "size": "8MiB", "time": "5s", "rate": "10Hz",
         "expr": "cpu.cores > 1",
         "fields": '.kind == "x"', "label": "a=1", "env": "A=1", "addr": "127.0.0.1:7433",
         "name": "some", "lab": "lab", "range": "1-3"}
# Words that every command takes, beyond those it wants.
WORDS = {"map": ["echo", ":::", "a"], "match": ["true"], "why": ["abcd"], "label": [],
         "policy": [], "join": ["-"], "publish": ["src", "true"]}


def call(mesh, *words, stdin=b""):
    return subprocess.run([mesh.binary, *words], input=stdin, capture_output=True, timeout=20,
                          env=mesh.env({"IPX_HOME": os.path.join(mesh.base, "none")}))


def table(mesh):
    done = call(mesh, "help", "--json")
    check_equal(done.returncode, 0, "help --json")
    return json.loads(done.stdout)


def words_of(command):
    return WORDS.get(command["name"], ["x"] * command["min"])


def check_usage(mesh, *words):
    """Exit 2 and one line; with --json one object that says the same."""
    what = " ".join(words)
    done = call(mesh, *words)
    check_equal(done.returncode, 2, f"{what}: exit code ({done.stderr!r})")
    check_equal(done.stdout, b"", f"{what}: stdout")
    check_equal(done.stderr.count(b"\n"), 1, f"{what}: lines on stderr ({done.stderr!r})")
    check(len(done.stderr) > 20, f"{what}: its error says nothing: {done.stderr!r}")
    done = call(mesh, words[0], "--json", *words[1:])
    check_equal(done.returncode, 2, f"{what} --json: exit code")
    row = json.loads(done.stdout)
    check_equal((row["v"], row["exit"]), (1, 2), f"{what} --json")
    check(row["error"]["what"], f"{what} --json: no text")


@case
def a_wrong_flag_of_every_command(mesh):
    for command in table(mesh)["commands"]:
        check_usage(mesh, command["name"], "--no-such-flag", *words_of(command))
        check_usage(mesh, command["name"], "-Z", *words_of(command))


@case
def a_missing_argument(mesh):
    for command in table(mesh)["commands"]:
        if command["min"] > 0:
            check_usage(mesh, command["name"])


@case
def an_argument_too_many(mesh):
    for command in table(mesh)["commands"]:
        if command["max"] is not None:
            check_usage(mesh, command["name"], *["x"] * (command["max"] + 1))


@case
def a_wrong_value_for_every_typed_flag(mesh):
    n = 0
    whole = table(mesh)
    for command in whole["commands"]:
        for flag in command["flags"] + whole["global"]:
            if flag["type"] == "switch":
                check_usage(mesh, command["name"], f"--{flag['name']}=x", *words_of(command))
            elif flag["type"] in WRONG:
                wrong = WRONG[flag["type"]]
                check_usage(mesh, command["name"], f"--{flag['name']}={wrong}",
                            *words_of(command))
                check_usage(mesh, command["name"], f"--{flag['name']}", wrong,
                            *words_of(command))
                n += 1
            else:
                check_usage(mesh, command["name"], f"--{flag['name']}=", *words_of(command))
    check(n > 40, f"only {n} typed flags")


@case
def a_flag_without_its_value(mesh):
    for command in table(mesh)["commands"]:
        for flag in command["flags"]:
            if flag["type"] != "switch":
                check_usage(mesh, command["name"], f"--{flag['name']}")


@case
def without_a_node(mesh):
    """Every command that needs one says so, also with each of its flags given rightly."""
    special = {"frame": "lines", "ring": "10min", "from": "all", "policy": "drop-old"}
    n = 0
    for command in table(mesh)["commands"]:
        if not command["needs_node"]:
            continue
        n += 1
        for flag in [None, *command["flags"]]:
            if flag is not None and flag["name"] in ("range", "file"):
                continue  # clash with the words given
            if flag is not None and command["name"] == "why":
                words = ["--where", "true"]
            elif flag is None:
                words = words_of(command)
            elif flag["type"] == "switch":
                words = [f"--{flag['name']}", *words_of(command)]
            elif flag["type"] in ("choice", "key"):
                words = [f"--{flag['name']}", flag["value"].split("|")[0], *words_of(command)]
            else:
                value = special.get(flag["name"], RIGHT[flag["type"]])
                words = [f"--{flag['name']}", value, *words_of(command)]
            done = call(mesh, command["name"], *words)
            check_equal(done.returncode, 4, f"{command['name']} {words} ({done.stderr!r})")
            check_equal(done.stderr.count(b"\n"), 1, f"{command['name']} {words}: lines")
            check_in(b"no node is running", done.stderr, f"{command['name']} {words}")
        done = call(mesh, command["name"], "--json", *words_of(command))
        check_equal(json.loads(done.stdout)["error"]["name"], "UNREACHABLE", command["name"])
    check(n >= 20, f"only {n} commands need a node")


@case
def wrong_words_of_one_command(mesh):
    for words in (["label", "set"], ["label", "set", "novalue"], ["label", "unset"],
                  ["label", "unset", "Bad Name"], ["label", "a", "b"], ["policy", "set"],
                  ["policy", "set", "x"], ["policy", "set", "accept=1 >"], ["policy", "drop"],
                  ["map", "echo"], ["map", ":::", "a"], ["map", "echo", "::::"],
                  ["map", "--range", "1-2", "echo", ":::", "a"], ["run", "echo hello"],
                  ["run", "--retry", "101", "true"], ["run", "--cpu", "0", "true"],
                  ["why"], ["why", "--where", "true", "abcd"], ["tap", "x", "--from", "then"],
                  ["tap", "x", "--policy", "sample:0"], ["tap", "x", "--policy", "never"],
                  ["publish", "x", "--frame", "1GiB", "--", "true"],
                  ["publish", "x", "--ring", "often", "--", "true"],
                  ["publish", "x", "--file", "f", "--", "true"], ["new", "Bad_Name"],
                  ["new", "sky", "--label", "cpu.cores=9"], ["join"], ["match", "a >"],
                  ["help", "nothing"], ["nodez"], ["--hom", "x", "status"]):
        check_usage(mesh, *words)


@case
def did_you_mean(mesh):
    for wrong, right in (("nodez", b"nodes"), ("stats", b"status"), ("publsh", b"publish")):
        check_in(b"Did you mean " + right, call(mesh, wrong).stderr, wrong)
    check_in(b"Did you mean --where", call(mesh, "nodes", "--were", "true").stderr, "--were")
    done = call(mesh, "run", "echo hello")
    check_in(b"sh -c 'echo hello' _", done.stderr, "one word with blanks")


@case
def what_was_meant_by_labels_and_nodes(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    other = mesh.node("telescope", "bio")
    other.join(node.invite("bio"), listen="127.0.0.2")
    mesh.wait_all_see()
    for words, code in ((["ping", "telescop"], 3), (["label", "bio/teleskope"], 3),
                        (["run", "--on", "telesocpe", "--", "true"], 120)):
        done = node.try_(*words)
        check_equal(done.returncode, code, " ".join(words))
        check_in(b"telescope?", done.stderr, " ".join(words))
        check_equal(done.stderr.count(b"\n"), 1, " ".join(words))
    for where, meant in (("lab == bio", b'"bio"?'), ("cpu.coers > 0", b"cpu.cores?"),
                         ("cpu.cores > 0 and os.nam == \"x\"", b"os.name?")):
        for words in (["nodes"], ["run", "--no-wait"]):
            done = node.try_(*words, "--where", where, *(["--", "true"] * (words[0] == "run")))
            check_in(b"Did you mean " + meant, done.stderr, f"{words} --where {where}")
    check_in('did you mean "bio"?', node.do("why", "--where", "lab == bio"), "why")
    done = node.try_("nodes", "--where", "zzzz > 1")
    check_in(b"no node has the label zzzz", done.stderr, "nothing is near")
    done = node.try_("nodes", "--where", "has(zzzz) or true")
    check_equal(done.stderr, b"", "no warning where it matters not")


@case
def nodes_sorted_and_how_peers_are_reached(mesh):
    nodes = [mesh.node(name, lab) for name, lab in (("nb", "astro"), ("na", "bio"), ("nc", "bio"))]
    nodes[0].new()
    for i, node in enumerate(nodes[1:]):
        node.join(nodes[0].invite("bio"), listen=f"127.0.0.{i + 2}")
    mesh.wait_all_see()

    def order(key, *more):
        return [row["name"] for row in nodes[0].rows("nodes", "--sort", key, *more)]
    check_equal(order("name"), ["astro/nb", "bio/na", "bio/nc"], "by name")
    check_equal(order("-name"), ["bio/nc", "bio/na", "astro/nb"], "by -name")
    check_equal(order("-lab")[2], "astro/nb", "by -lab")
    wait_until("all are measured", lambda: all(r["rtt_ms"] is not None
                                               for r in nodes[0].rows("nodes")))
    check_equal(order("rtt")[0], "astro/nb", "nearest: itself")
    check_equal(order("-rtt")[2], "astro/nb", "farthest")
    nodes[2].do("policy", "set", "accept=true")
    nodes[2].do("run", "-d", "--on", "nc", "--", "sleep", "600")
    wait_until("it has a slot less", lambda: [r for r in nodes[0].rows("nodes", "--sort", "free")
                                              if r["name"] == "bio/nc"][0]["free"] <
               nodes[0].rows("nodes", "--sort", "-free")[1]["free"])
    check_equal(order("free")[2], "bio/nc", "by free")
    check_equal(order("-free")[0], "bio/nc", "by -free")
    check(isinstance(nodes[0].rows("nodes", "--sort", "cores")[0]["cores"], int), "numbers")
    for key in ("id", "state", "mem", "load", "seen", "addr", "-seen"):
        check_equal(len(order(key)), 3, f"by {key}")
    done = nodes[0].try_("nodes", "--sort", "cors")
    check_equal(done.returncode, 2, "--sort cors")
    check_in(b"name|lab|id|state|cores|free", done.stderr, "the keys are named")

    def reached():
        rows = nodes[0].rows("peers")
        return len(rows) == 2 and all(r["probes"] > 0 and "session" in r["path"] and r["rtt_ms"]
                                      for r in rows) and rows
    rows = wait_until("both are probed", reached)
    check_equal([(r["family"], r["wire"], r["version"]) for r in rows],
                [("v4", 1, "v" + nodes[0].rows("status")[0]["version"])] * 2, "peers")
    check(all(r["loss"] is not None and 0 <= r["loss"] <= 1 for r in rows), f"loss: {rows}")
    nodes[1].kill()

    def lossy():
        row = [r for r in nodes[0].rows("peers") if r["name"] == "bio/na"]
        return not row or row[0]["loss"] > 0
    wait_until("what is not answered is lost", lossy)


@case
def events_are_told_and_followed(mesh):
    node, other = mesh.node("n0", "astro"), mesh.node("b0", "bio")
    node.new()
    process = node.start("events", "-f", "--json")
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(json.loads(x)) for x in process.stdout],
                     daemon=True).start()
    rows = []

    def next_until(kind, **wanted):
        while True:
            row = lines.get(timeout=30)
            rows.append(row)
            if row["event"] == kind and all(wanted[k] in row[k] for k in wanted):
                return row
    check_equal(next_until("start")["seq"], 1, "the first one")
    other.join(node.invite("bio"), listen="127.0.0.2")
    next_until("admitted", text="bio/b0")
    next_until("member-up", node="bio/b0")
    node.do("label", "set", "battery=0.5")
    next_until("label", text="set battery=0.5")
    node.do("policy", "set", "accept=true")
    next_until("policy")
    other.do("policy", "set", "accept=true")
    publisher = other.start("publish", "wx", stdin=subprocess.PIPE)
    next_until("source-up", node="bio/b0", text="wx")
    publisher.terminate()
    publisher.wait(timeout=30)
    next_until("source-down", text="wx")
    node.do("map", "-q", "--", "true", ":::", "1", "2")
    next_until("job-begin", text="2 tasks")
    next_until("job-end", text="done")
    node.try_("join", "-", "--name", "x", stdin="ipxt1")  # a home with a node: nothing happens
    other.do("leave")
    next_until("member-left", node="bio/b0")
    check_equal([r["seq"] for r in rows], list(range(1, len(rows) + 1)), "numbers without a gap")
    check(all(r["v"] == 1 and r["time"] for r in rows), "each has a time")
    shown = node.rows("events")
    check_equal(shown[:len(rows)], rows, "events without -f prints the same")
    check_in("member-left\tbio/b0", node.do("events"), "for programs")
    node.down()
    check_equal(node.try_("events").returncode, 4, "no node")
    node.up()
    again = next_until("start")
    check_equal(again["seq"], 1, "the numbers begin anew")
    check(again["boot"] > rows[0]["boot"], "with another boot")
    process.send_signal(signal.SIGINT)
    check_equal(process.wait(timeout=30), 130, "Ctrl-C")


@case
def settings_in_files(mesh):
    """Flag, environment, the home's file, the user's, default; each told with its origin."""
    node = mesh.node("n0", "astro")
    user = os.path.join(mesh.base, "etc", "ipx")
    os.makedirs(user)
    env = {"XDG_CONFIG_HOME": os.path.join(mesh.base, "etc")}

    def write(folder, text):
        with open(os.path.join(folder, "node.conf"), "w", encoding="ascii") as file:
            file.write(text)

    def shown():
        return {r["key"]: (r["value"], r["origin"]) for r in node.rows("config", "show", env=env)}
    write(user, "listen = 127.0.0.9\nquiet = true\n[map]\nkeep-order = true\nretry = 1\n")
    rows = shown()
    check_equal(rows["listen"], ("127.0.0.9", f"{user}/node.conf:1"), "listen")
    check_equal(rows["home"], (node.home, "flag --home"), "home")
    check_equal(rows["color"], ("auto", "default"), "color")
    check_equal(rows["map.keep-order"], ("true", f"{user}/node.conf:4"), "a section")
    node.do("new", "sky", "--lab", "astro", "--name", "n0", "--root-out",
            os.path.join(mesh.base, "root"), env=env)
    check_in("127.0.0.9:", node.rows("status")[0]["listen"], "new uses it")
    write(node.home, "listen = 127.0.0.8\n")
    check_equal(shown()["listen"], ("127.0.0.8", f"{node.home}/node.conf:1"), "the home's")
    check_equal(node.do("map", "--", "echo", ":::", "3", "1", "2", env=env), "3\n1\n2\n",
                "map uses its section")
    node.down()
    node.do("up", env=env)
    check_in("127.0.0.8:", node.rows("status")[0]["listen"], "up uses the home's")
    node.down()
    node.do("up", "--listen", "127.0.0.7", env=env)
    check_in("127.0.0.7:", node.rows("status")[0]["listen"], "what is typed goes first")
    done = node.try_("config", env=dict(env, IPX_LOG="debug"))
    check_in(b"log\tdebug", done.stdout, "config, for programs")
    unknown = b'node.conf:2: unknown key "lisen". Did you mean listen?'
    for text, told in (("\nlisen = x\n", unknown), ("[runn]\n", b"Did you mean run?"),
                       ("color = red\n", b"auto|always|never")):
        write(node.home, text)
        for command in ("status", "config"):
            done = node.try_(command, env=env)
            check_equal((done.returncode, done.stdout), (2, b""), f"{text!r}")
            check_in(told, done.stderr, f"{text!r}")
            check_equal(done.stderr.count(b"\n"), 1, "one line")
    check_equal(node.try_("help", env=env).returncode, 0, "help works")
    os.unlink(os.path.join(node.home, "node.conf"))


@case
def what_the_doctor_finds(mesh):
    def found(node, code):
        done = node.try_("doctor", "--json")
        rows = {r["check"]: r for r in map(json.loads, done.stdout.splitlines())}
        check_equal(done.returncode, code, f"doctor: {[r for r in rows.values() if r['repair']]}")
        check(all(r["v"] == 1 and r["state"] in ("ok", "warn", "broken") and r["value"]
                  for r in rows.values()), "every row has all")
        check(all(bool(r["repair"]) == (r["state"] != "ok") for r in rows.values()),
              "what is not ok has a repair, and nothing else")
        return rows
    node, other = mesh.node("n0", "astro"), mesh.node("b0", "bio")
    rows = found(node, 1)
    check_equal(rows["home"]["state"], "broken", "no home")
    check_in("ipx-node new NAME", rows["home"]["repair"], "what to do")
    node.new()
    other.join(node.invite("bio"), listen="127.0.0.2")
    mesh.wait_all_see()
    rows = found(node, 0)
    names = ("home", "daemon", "ports", "members", "gossip", "certificate", "clock", "entropy",
             "spawner", "disk", "files", "processes", "namespaces", "libraries")
    check_equal(sorted(rows), sorted(names), "the tests")
    for name in ("home", "daemon", "ports", "members", "gossip", "certificate", "spawner"):
        check_equal(rows[name]["state"], "ok", name)
    check_in("1 of 1", rows["members"]["value"], "the other answers")
    os.chmod(node.home, 0o755)
    rows = found(node, 1)
    check_equal((rows["home"]["state"], rows["home"]["repair"]),
                ("broken", f"chmod 700 {node.home}"), "an open home")
    os.chmod(node.home, 0o700)
    node.do("policy", "set", "accept=false")
    check_equal(found(node, 0)["spawner"]["state"], "warn", "nobody may run anything here")
    other.kill()
    wait_until("it is known to be gone", lambda: node.rows("nodes")[1]["state"] == "dead")
    check_equal(found(node, 0)["members"]["state"], "warn", "nobody else is there")
    node.down()
    rows = found(node, 1)
    check_equal((rows["daemon"]["state"], rows["daemon"]["repair"]),
                ("broken", "ipx-node up"), "the daemon is down")
    check_in("port", rows["ports"]["value"], "the port to be")
    check_in("broken", node.do("doctor", code=1), "for people")


@case
def a_slow_follower_is_told_of_a_gap(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    process = node.start("events", "-f", "--json", bufsize=0)
    check_in(b'"start"', process.stdout.readline(), "it follows")
    process.send_signal(signal.SIGSTOP)
    n_rounds = 400
    for i in range(n_rounds):  # far more than the ring and all buffers on the way hold
        node.do("label", "set", *(f"a{k}={i}{'x' * 140}" for k in range(20)))
    process.send_signal(signal.SIGCONT)
    due, lost = 2, 0
    while due <= n_rounds * 20:
        row = json.loads(process.stdout.readline())
        if row["event"] == "gap":
            check_equal(row["gap"]["first"], due, "begin of the gap")
            lost += row["gap"]["last"] + 1 - due
            due = row["gap"]["last"] + 1
        else:
            check_equal(row["seq"], due, "the number")
            due += 1
    check(lost > 0, "some were no longer kept")
    check_equal(node.rows("events")[0]["event"], "label", "the oldest are gone")
    process.terminate()
    check_equal(process.wait(timeout=30), 143, "TERM")


@case
def help_and_version(mesh):
    whole = table(mesh)
    names = [c["name"] for c in whole["commands"]]
    check_equal(len(names), len(set(names)), "each command once")
    out = call(mesh, "help").stdout.decode()
    man = call(mesh, "help", "--man").stdout.decode()
    for command in whole["commands"]:
        check_in(f"  {command['name']}", out, "help")
        check_in(f".SS {command['name']}", man, "the man page")
        for form in (["help", command["name"]], [command["name"], "--help"]):
            done = call(mesh, *form)
            check_equal(done.returncode, 0, f"{form}")
            check_in(f"usage: ipx-node {command['name']}", done.stdout.decode(), f"{form}")
            for flag in command["flags"]:
                check_in(f"--{flag['name']}", done.stdout.decode(), f"{form}")
    check_equal(json.loads(call(mesh, "version", "--json").stdout)["v"], 1, "version --json")
    check(all(len(line) <= 80 for line in out.splitlines()), "help is wider than 80 columns")


@case
def called_by_its_other_name(mesh):
    link = os.path.join(mesh.base, "ipx")
    os.symlink(mesh.binary, link)
    done = subprocess.run([link], capture_output=True, timeout=20,
                          env=mesh.env({"IPX_HOME": os.path.join(mesh.base, "none")}))
    check_equal(done.returncode, 0, "ipx alone")
    check_in(b"  ipx new NAME", done.stdout, "what to type next")
    done = subprocess.run([link, "status"], capture_output=True, timeout=20,
                          env=mesh.env({"IPX_HOME": os.path.join(mesh.base, "none")}))
    check_in(b"ipx: no node is running", done.stderr, "errors too")


@case
def match_without_a_mesh(mesh):
    ads = "# big\ncpu.cores=64\nlab=\"phys\"\n---\n# small\ncpu.cores=2\n---\n# odd\nbattery=0.5\n"
    done = call(mesh, "match", "--ads", "-", "cpu.cores >= 4", stdin=ads.encode())
    check_equal(done.stdout.decode(), "big\ttrue\nsmall\tfalse\nodd\tunknown\tmissing: cpu.cores\n",
                "three ads")
    rows = [json.loads(line) for line in
            call(mesh, "match", "--json", "cpu.cores", stdin=ads.encode()).stdout.splitlines()]
    check_equal([(r["name"], r["result"], r["value"]) for r in rows],
                [("big", "value", "64"), ("small", "value", "2"), ("odd", "unknown", None)], "JSON")
    done = call(mesh, "match", "cpu.cores >= ", stdin=ads.encode())
    check_equal(done.returncode, 2, "malformed")
    check_in(b"at character", done.stderr, "the position")
    check_equal(call(mesh, "match", "--ads", "/nonexistent", "true").returncode, 3, "no file")
    check_equal(call(mesh, "match", "true", stdin=b"no ad at all\n").returncode, 1, "no ads")


@case
def home_of_a_node(mesh):
    """new makes it, down leaves it, up uses it, a second new is refused, leave removes it."""
    node = mesh.node("n0", "astro")
    node.new()
    files = os.listdir(node.home)
    for name in ("key", "mesh", "chain", "issuer.key", "lock", "sock", "node.log"):
        check_in(name, files, "files of the home")
    check_equal(os.stat(node.home).st_mode & 0o777, 0o700, "mode of the home")
    check_equal(os.stat(os.path.join(node.home, "key")).st_mode & 0o777, 0o600, "mode of the key")
    again = node.try_("new", "sky", "--root-out", os.path.join(mesh.base, "x"))
    check_equal(again.returncode, 1, "new over a node")
    check_in(b"lives in", again.stderr, "new over a node")
    check(not os.path.exists(os.path.join(mesh.base, "x")), "a root key of nothing")
    check_equal(node.try_("join", "-", stdin="ipxt1x").returncode, 1, "join over a node")
    second = node.try_("up")
    check_equal(second.returncode, 1, "up twice")
    check_in(b"runs already", second.stderr, "up twice")
    before = node.rows("status")[0]["node"]
    node.down()
    check_equal(node.try_("status").returncode, 4, "status when down")
    node.up()
    check_equal(node.rows("status")[0]["node"], before, "the same node again")
    node.do("leave")
    check(not os.path.exists(node.home), "leave removes the home")


@case
def new_without_a_terminal(mesh):
    done = call(mesh, "new", "sky")
    check_equal(done.returncode, 2, "new without a terminal")
    check_in(b"--root-out", done.stderr, "new without a terminal")
    check(not os.path.exists(os.path.join(mesh.base, "none")), "nothing left behind")


@case
def bad_tickets_leave_nothing(mesh):
    first = mesh.node("n0", "astro")
    first.new()
    ticket = first.invite("bio")
    home = os.path.join(mesh.base, "none")
    changed = ticket[:40] + ("q" if ticket[40] != "q" else "p") + ticket[41:]
    for text, word in ((changed, b"altered"), (ticket[:-9], b"altered"), ("ipxt1", b"altered"),
                       ("hello", b"not valid"), ("", b"no ticket")):
        done = call(mesh, "join", "-", "--name", "other", stdin=text.encode())
        check_equal(done.returncode, 1, f"join with {text[:20]!r}: {done.stderr!r}")
        check_in(word, done.stderr, f"join with {text[:20]!r}")
        check_equal(done.stderr.count(b"\n"), 1, "one line")
        check(not os.path.exists(home), "nothing left behind")
    path = os.path.join(mesh.base, "ticket")
    with open(path, "w", encoding="ascii") as file:
        file.write(ticket + "\n")
    other = mesh.node("other", "bio")
    other.do("join", "--name", "other", "--listen", "127.0.0.2", env={"IPX_TICKET_FILE": path})
    check_equal(other.rows("status")[0]["lab"], "bio", "by IPX_TICKET_FILE")


@case
def a_ticket_in_argv_is_not_seen(mesh):
    first = mesh.node("n0", "astro")
    first.new()
    ticket = first.invite("bio")
    other = mesh.node("other", "bio")
    other.do("join", ticket, "--name", "other", "--listen", "127.0.0.2")
    with open(f"/proc/{other.pid()}/cmdline", "rb") as file:
        check(ticket.encode() not in file.read(), "the ticket stands in the process list")


@case
def codes_and_streams_of_run(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    for command, code in (("exit 7", 7), ("kill -9 $$", 137), ("true", 0)):
        check_equal(node.try_("run", "--", "sh", "-c", command).returncode, code, command)
    check_equal(node.try_("run", "--", "no-such-program").returncode, 127, "not found")
    check_equal(node.try_("run", "--time", "200ms", "--", "sleep", "60").returncode, 124, "--time")
    none = node.try_("run", "--no-wait", "--where", "cpu.cores > 9999", "--", "true")
    check_equal(none.returncode, 120, "--no-wait")
    late = node.try_("run", "--wait-max", "200ms", "--where", "cpu.cores > 9999", "--", "true")
    check_equal(late.returncode, 122, "--wait-max")
    data = os.urandom(300000)
    done = node.try_("run", "--", "sh", "-c", "tee /dev/stderr", stdin=data)
    check(done.stdout == data and done.stderr == data, "stdin, stdout, stderr byte for byte")
    out = node.do("run", "--env", "A=1", "--", "sh", "-c", "echo $A $IPX_INDEX $IPX_COUNT")
    check_equal(out, "1 0 1\n", "--env")
    row = node.rows("run", "--", "echo", "hi")[0]
    check_equal((row["exit"], row["output"], row["node"]), (0, "hi\n", "n0"), "run --json")
    check_equal(len(node.rows("run", "--dry-run", "--", "true")), 1, "--dry-run")


@case
def items_of_map(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    path = os.path.join(mesh.base, "items")
    with open(path, "w", encoding="ascii") as file:
        file.write("a.txt\tx\nb\ty\n")
    for words, stdin, want in (
            (["echo", ":::", "a", "b c"], "", "a\nb c\n"),
            (["echo", "{2}-{1}", "{#}", "::::", path], "", "x-a.txt 0\ny-b 1\n"),
            (["echo", "{.}", ":::", "a.txt"], "", "a\n"),
            (["echo", "{}", "-"], "p\nq\n", "p\nq\n"),
            (["--range", "1-9:4", "echo"], "", "1\n5\n9\n"),
            (["echo", "{}", "--range", "3-1"], "", "3\n2\n1\n")):
        words = ["--keep-order", "--quiet"] + (["--"] if words[0] == "echo" else []) + words
        check_equal(node.do("map", *words, stdin=stdin), want, f"map {words}")
    failed = node.try_("map", "--", "sh", "-c", "exit {}", ":::", "0", "1", "2")
    check_equal(failed.returncode, 2, "number of failed tasks")
    rows = node.rows("map", "--", "sh", "-c", "echo {}; echo e >&2", ":::", "a", "b")
    check_equal(sorted((r["index"], r["input"], r["output"], r["stderr"], r["exit"])
                       for r in rows),
                [(0, "a", "a\n", "e\n", 0), (1, "b", "b\n", "e\n", 0)], "map --json")


@case
def jobs_seen_and_stopped(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    job = node.do("run", "-d", "--", "sleep", "600").strip()
    check_equal(node.rows("ps")[0]["job"][:len(job)], job, "ps")
    check_in("sleep 600", node.do("show", job), "show")
    check_in("in all: 1 of 1", node.do("why", job), "why")
    node.do("cancel", job)
    check_equal(node.try_("wait", job).returncode, 1, "wait of a cancelled job")
    check_equal(node.rows("ps"), [], "ps after it")
    job = node.do("map", "-q", "-d", "--", "echo", "{}", ":::", "1", "2").strip()
    node.do("wait", job)
    check_equal(node.do("logs", job), "1\n2\n", "logs")
    check_equal(node.do("logs", f"{job}.1"), "2\n", "logs of one task")
    for command in ("show", "why", "logs", "wait", "cancel"):
        check_equal(node.try_(command, "zzzzzz").returncode, 3, f"{command} of no job")
    rows = node.rows("why", "--where", 'cpu.cores > 9999 and lab == "astro"')
    check_equal([r.get("true") for r in rows], [0, 1, 0], "why --where")


@case
def sources_and_taps(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    path = os.path.join(mesh.base, "grows")
    with open(path, "w", encoding="ascii") as file:
        file.write("one\n")
    publisher = node.start("publish", "log", "--file", path, "--kind", "text", "--label", "a=1")
    tap = None
    try:
        for row in iter(lambda: node.rows("sources", "--where", '.kind == "text"'), None):
            if row:
                break
        check_equal(node.rows("sources", "--where", '.kind == "other"'), [], "--where")
        tap = node.start("tap", "log", "--from", "all", "--json")
        with open(path, "a", encoding="ascii") as file:
            file.write("two\n")
        rows = [json.loads(tap.stdout.readline()) for _ in range(2)]
        check_equal([(r["v"], r["seq"], r["data"]) for r in rows], [(1, 0, "one"), (1, 1, "two")],
                    "a growing file")
        check_equal(node.try_("tap", "nolog").returncode, 3, "no such source")
        check_equal(node.do("run", "--stream", "log", "--", "true"), "", "run --stream")
    finally:
        for process in (tap, publisher):
            if process is not None:
                process.terminate()
                process.wait(timeout=10)


@case
def labels_and_policy(mesh):
    node = mesh.node("n0", "astro")
    node.new(words=["--label", "battery=0.6"])
    check_in("battery=0.6", node.do("label"), "--label of new")
    node.do("label", "set", "site.power=solar", "n=8GiB")
    check_in("site.power=solar", node.do("label", "n0"), "label set")
    check_equal(len(node.rows("nodes", "--where", "n >= 8GiB")), 1, "nodes --where")
    check_equal(node.rows("nodes", "--where", "n > 8GiB"), [], "nodes --where")
    node.do("label", "unset", "battery")
    check("battery" not in node.do("label"), "label unset")
    check_equal(node.try_("label", "unset", "battery").returncode, 3, "unset twice")
    check_equal(node.try_("label", "set", "cpu.cores=9").returncode, 1, "a reserved one")
    node.do("policy", "set", 'accept=job.lab in ["astro", "bio"]')
    check_in('"bio"', node.rows("policy")[0]["accept"], "policy set")
    node.down()
    node.up()
    check_in('"bio"', node.rows("policy")[0]["accept"], "kept over a restart")
    check_in("site.power=solar", node.do("label"), "kept over a restart")
    check_equal(node.rows("ping", "n0")[0]["node"] != "", True, "ping of itself")
    check_equal(node.try_("ping", "nobody").returncode, 3, "ping of nobody")


main()
