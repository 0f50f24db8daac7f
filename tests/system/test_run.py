#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run, map and the commands about jobs, on real nodes. usage: test_run.py BUILD_DIR"""
import json
import os
import random
import signal
import subprocess
import time

from cases import case, check, check_equal, check_error, check_in, main
from mesh import DEADLINE, is_alive, process_ids, read_proc, wait_until

MIB = 1 << 20


def pair(mesh):
    """Two nodes of lab astro."""
    first, second = mesh.node("n0", "astro"), mesh.node("n1", "astro")
    first.new()
    second.join(first.invite("astro"))
    mesh.wait_all_see()
    return first, second


def single(mesh):
    node = mesh.node("n0", "astro")
    node.new()
    return node


def shell(script, *words):
    return ["--", "sh", "-c", script, "sh", *words]


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


def processes_with(mark):
    return [p for p in process_ids() if p != os.getpid()
            and mark.encode() in read_proc(p, "cmdline").split(b"\0") and is_alive(p)]


# --- exit codes ---


@case
def run_exit_codes(mesh):
    first, _ = pair(mesh)
    table = [
        (0, ["--", "true"]),
        (7, shell("exit 7")),
        (255, shell("exit 255")),
        (128 + 15, shell("kill -TERM $$")),
        (128 + 9, shell("kill -KILL $$")),
        (127, ["--", "no-such-program"]),
        (126, ["--", "/etc/passwd"]),
        (124, ["--time", "300ms", "--", "sleep", "60"]),
        (120, ["--no-wait", "--where", "cpu.cores > 4096", "--", "true"]),
        (122, ["--wait-max", "300ms", "--where", "cpu.cores > 4096", "--", "true"]),
        (120, ["--on", "nobody", "--", "true"]),
        (2, ["--where", "cpu.cores >", "--", "true"]),
        (2, ["--", "echo a b"]),
        (2, []),
    ]
    for code, words in table:
        done = first.try_("run", *words)
        check_equal(done.returncode, code, f"run {words}: {done.stderr!r}")
        if code in (120, 122, 2):
            check(len(done.stderr.splitlines()) >= 1, f"run {words} says nothing")
            check_equal(done.stdout, b"", f"stdout of run {words}")


@case
def run_refused_by_policy(mesh):
    nodes = pair(mesh)
    for node in nodes:
        node.do("policy", "set", "accept=false")
    done = nodes[0].try_("run", "--no-wait", "--", "true")
    check_equal(done.returncode, 121, f"exit code ({done.stderr!r})")
    nodes[1].do("policy", "set", "accept=job.lab == lab")
    check_equal(nodes[0].do("run", "--", "sh", "-c", "echo $IPX_NODE", ), "n1\n", "where it ran")


@case
def foreign_lab_only_where_accepted(mesh):
    """The default runs the own lab's tasks alone; who holds the issuer key never runs others'."""
    first = single(mesh)
    other = mesh.node("b0", "bio")
    other.join(first.invite("bio"))
    mesh.wait_all_see()
    done = first.try_("run", "--no-wait", "--on", "bio/b0", "--", "true")
    check_equal(done.returncode, 121, f"bio does not accept astro yet ({done.stderr!r})")
    other.do("policy", "set", 'accept=job.lab in ["astro", "bio"]')
    check_equal(first.do("run", "--on", "bio/b0", *shell("echo $IPX_LAB")), "bio\n", "now it does")
    first.do("policy", "set", 'accept=job.lab in ["astro", "bio"]')
    done = other.try_("run", "--no-wait", "--on", "astro/n0", "--", "true")
    check_equal(done.returncode, 121, f"the holder of the issuer key runs none ({done.stderr!r})")


@case
def run_without_a_node(mesh):
    node = mesh.node("n0", "astro")
    for words in (["run", "--", "true"], ["map", "--", "true", ":::", "a"], ["ps"], ["nodes"],
                  ["status"], ["sources"], ["tap", "x"], ["why", "--where", "true"]):
        done = node.try_(*words)
        check_error(done, 4, "ipx-node", what=words[0])


# --- streams ---


@case
def run_streams_byte_for_byte(mesh):
    first, second = pair(mesh)
    data = noise(MIB)
    for node in (first, second):
        done = first.try_("run", "--on", node.name, "--", "cat", stdin=data)
        check_equal((done.returncode, done.stderr), (0, b""), "cat")
        check(done.stdout == data, f"stdout of cat on {node.name}: {len(done.stdout)} bytes")
        done = first.try_("run", "--on", node.name, *shell("cat >&2; exit 3"), stdin=data)
        check_equal((done.returncode, done.stdout), (3, b""), "cat >&2")
        check(done.stderr == data, f"stderr on {node.name}: {len(done.stderr)} bytes")
        done = first.try_("run", "--on", node.name, *shell("head -c 1000 | tee /dev/stderr"),
                          stdin=data)
        check_equal(done.returncode, 0, f"head of a long stdin ({done.stderr[-200:]!r})")
        check(done.stdout == data[:1000] == done.stderr, "head of a long stdin")
        done = first.try_("run", "--on", node.name, *shell(f"head -c {8 * MIB} /dev/zero"))
        check(done.stdout == bytes(8 * MIB), "8 MiB of zeros")


@case
def run_is_live(mesh):
    """What the task has said is shown before it ends, and stdin reaches it one line at a time."""
    first, second = pair(mesh)
    process = first.start("run", "--on", second.name, "--", "cat", stdin=subprocess.PIPE)
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        process.stdin.flush()
        check_equal(process.stdout.readline(), line, "the echo of a line")
    process.stdin.close()
    check_equal(process.wait(timeout=DEADLINE), 0, "exit code at the end of stdin")


@case
def environment_and_scratch(mesh):
    first, _ = pair(mesh)
    script = 'echo "$A,$B,$IPX_JOB,$IPX_INDEX,$IPX_COUNT,$IPX_ATTEMPT,$IPX_NODE,$IPX_LAB"; pwd; ' \
             'echo "$IPX_SCRATCH"; touch here; ls'
    done = first.do("run", "--env", "A=a b", "--env", "B", *shell(script), env={"B": "from here"})
    line, where, scratch, listing = done.splitlines()
    a, b, job, index, count, attempt, node, lab = line.split(",")
    check_equal((a, b, index, count, attempt, lab),
                ("a b", "from here", "0", "1", "1", "astro"), "environment")
    check(len(job) == 16 and node in ("n0", "n1"), f"job {job}, node {node}")
    check_equal((where, listing), (scratch, "here"), "its directory")
    wait_until("the directory is gone", lambda: not os.path.exists(scratch))


@case
def interrupt_stops_the_task(mesh):
    first, second = pair(mesh)
    process = first.start("run", "--on", second.name, *shell(
        "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.05; done", "mark-int"))
    check_equal(process.stdout.readline(), b"ready\n", "it runs")
    process.send_signal(signal.SIGINT)
    check_equal(process.stdout.readline(), b"got TERM\n", "the first is TERM")
    process.wait(timeout=DEADLINE)
    wait_until("the task is gone", lambda: not processes_with("mark-int"))
    process = first.start("run", "--on", second.name, *shell(
        "trap '' TERM INT; echo ready; while :; do sleep 0.05; done", "mark-kill"))
    check_equal(process.stdout.readline(), b"ready\n", "it runs")
    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    check(processes_with("mark-kill"), "it ignores TERM")
    process.send_signal(signal.SIGINT)
    check(process.wait(timeout=DEADLINE) != 0, "exit code of a killed task")
    wait_until("the task is gone", lambda: not processes_with("mark-kill"))


@case
def a_lost_place_ends_a_run_with_125_unless_pure(mesh):
    first, second = pair(mesh)
    process = first.start("run", "--where", 'node.name == "n1"', *shell("echo shown; sleep 60"))
    check_equal(process.stdout.readline(), b"shown\n", "its output")
    second.kill()
    out, err = process.communicate(timeout=60)
    check_equal((process.returncode, out), (125, b""), f"exit code ({err!r})")
    check(err, "it says why")
    # a pure one goes on elsewhere
    second.up()
    mesh.wait_all_see()
    process = first.start("run", "--pure", "--prefer", 'node.name == "n1"', *shell(
        'echo first; [ "$IPX_NODE" = n0 ] || sleep 60; echo $IPX_NODE'))
    check_equal(process.stdout.readline(), b"first\n", "it begins")
    check_equal(first.rows("status")[0]["running"], 0, "what runs on the own node")
    second.kill()
    out, err = process.communicate(timeout=60)
    check_equal((process.returncode, out), (0, b"n0\n"), f"a pure run, nothing twice ({err!r})")


# --- map ---


@case
def map_takes_items_from_everywhere(mesh):
    first, _ = pair(mesh)
    lines = os.path.join(mesh.base, "lines.txt")
    with open(lines, "w") as file:
        file.write("x\ny 1\tz\n\nlast")
    table = [
        (["echo", "{}", ":::", "a", "b c", ""], "a\nb c\n\n", b""),
        (["echo", ":::", "a", "b"], "a\nb\n", b""),
        (["echo", "<{1}|{2}>", "::::", lines], "<x|>\n<y 1|z>\n<|>\n<last|>\n", b""),
        (["echo", "{#}:{.}", ":::", "a.txt", "d.e/f", ".g"], None, b""),
        (["echo", "{}", "-"], "p\nq\n", b"p\nq\n"),
        (["echo", "{}", "--range", "1-3"], "1\n2\n3\n", b""),
        (["echo", "{}", "--range", "2-9:3"], "2\n5\n8\n", b""),
    ]
    for words, want, stdin in table:
        out = first.do("map", "--keep-order", "-q", "--", *words, stdin=stdin)
        if want is None:
            check_equal([line.partition(":")[0] for line in out.splitlines()], ["0", "1", "2"],
                        "{#}")
            check_equal(out.splitlines()[0], "0:a", "{.}")
        else:
            check_equal(out, want, f"map {words}")
    check_equal(first.do("map", "--keep-order", "--range", "1-3", "--", "echo", "n{}"),
                "n1\nn2\nn3\n", "--range before the command")
    for words in (["--", "echo"], ["--", "echo", "::::", "/no/such/file"],
                  ["--range", "5", "--", "echo"]):
        done = first.try_("map", *words)
        check(done.returncode in (2, 3, 125) and done.stderr and not done.stdout, f"map {words}")


@case
def map_is_whole_and_once(mesh):
    first, _ = pair(mesh)
    n = 400
    out = first.do("map", "-q", "--range", f"1-{n}", *shell(
        "echo begin $1; echo end $1", "{}"))
    lines = out.splitlines()
    check_equal(len(lines), 2 * n, "lines")
    for begin, end in zip(lines[::2], lines[1::2]):
        check_equal(begin.split()[1], end.split()[1], "a task's output is in one piece")
    check_equal(sorted(int(line.split()[1]) for line in lines[::2]), list(range(1, n + 1)), "items")
    big = first.try_("map", "-q", "--keep-order", *shell(f"head -c {MIB} /dev/zero | tr '\\0' $1"),
                     "{}", ":::", "a", "b", "c")
    check(big.stdout == b"a" * MIB + b"b" * MIB + b"c" * MIB,
          f"1 MiB a task in order: {len(big.stdout)} bytes, {big.stderr!r}")


@case
def map_json_and_failures(mesh):
    first, _ = pair(mesh)
    done = first.try_("map", "--json", *shell("echo out $1; echo err $1 >&2; exit $1"), "{}", ":::",
                      "0", "1", "2", "3")
    check_equal(done.returncode, 3, "the number of failed tasks")
    rows = sorted((json.loads(line) for line in done.stdout.splitlines()),
                  key=lambda row: row["index"])
    check_equal([(r["v"], r["index"], r["input"], r["exit"], r["output"], r["stderr"])
                 for r in rows],
                [(1, i, str(i), i, f"out {i}\n", f"err {i}\n") for i in range(4)], "rows")
    check(all(r["node"].rpartition("/")[2] in ("n0", "n1") for r in rows), "nodes")
    done = first.try_("map", "-q", "--range", "1-150", "--", "false")
    check_equal(done.returncode, 101, "at most 101")


@case
def map_survives_a_killed_node(mesh):
    first, second = pair(mesh)
    third = mesh.node("n2", "astro")
    third.join(first.invite("astro"))
    mesh.wait_all_see()
    process = first.start("map", "--json", "--pure", "--range", "1-300", *shell(
        "sleep 0.02; echo $1", "{}"), stderr=subprocess.DEVNULL)
    rows = []
    for line in process.stdout:
        rows.append(json.loads(line))
        if len(rows) == 60:
            third.kill()
    check_equal(process.wait(timeout=DEADLINE), 0, "exit code")
    check_equal(sorted(r["index"] for r in rows), list(range(300)), "each result once")
    check(all(r["output"] == f"{r['input']}\n" for r in rows), "none wrong")
    check(second.name in {r["node"].rpartition("/")[2] for r in rows}, "others worked, too")


@case
def retry_runs_failed_tasks_again(mesh):
    first, _ = pair(mesh)
    script = '[ "$IPX_ATTEMPT" -ge 3 ] && echo "attempt $IPX_ATTEMPT"'
    done = first.try_("map", "-q", "--retry", "2", *shell(script), ":::", "a")
    check_equal((done.returncode, done.stdout), (0, b"attempt 3\n"), "two retries")
    done = first.try_("map", "-q", "--retry", "1", *shell(script), ":::", "a")
    check_equal(done.returncode, 1, "one retry is not enough")


@case
def limit_and_cpu_bound_how_many_run(mesh):
    first, _ = pair(mesh)
    log = os.path.join(mesh.base, "log")
    with open(log, "w"):
        pass
    os.chmod(log, 0o666)
    script = 'echo + >>"$1"; sleep 0.05; echo - >>"$1"'
    first.do("map", "-q", "--limit", "1", "--range", "1-8", "--", "sh", "-c", script, "sh", log)
    running = worst = 0
    with open(log) as file:
        for line in file:
            running += 1 if line.startswith("+") else -1
            worst = max(worst, running)
    check_equal(worst, 1, "tasks at once with --limit 1")
    done = first.try_("run", "--no-wait", "--cpu", "4096", "--", "true")
    check_equal(done.returncode, 120, "--cpu beyond every node")
    done = first.try_("run", "--no-wait", "--mem", "900TiB", "--", "true")
    check_equal(done.returncode, 120, "--mem beyond every node")


# --- where ---


@case
def where_prefer_and_on(mesh):
    first, second = pair(mesh)
    second.do("label", "set", "colour=blue", "rank=7")
    wait_until("the label is seen", lambda: first.rows("nodes", "--where", 'colour == "blue"'))
    name = shell("echo $IPX_NODE")
    check_equal(first.do("run", "--where", 'colour == "blue"', *name), "n1\n", "--where")
    check_equal(first.do("run", "--where", "rank > 5", "--where", "rank < 9", *name), "n1\n",
                "--where twice is and")
    check_equal(first.do("run", "--on", "astro/n1", *name), "n1\n", "--on")
    check_equal(first.do("run", "--on", "n0", *name), "n0\n", "--on the own node")
    check_equal(first.do("run", "--prefer", "rank", *name), "n1\n", "--prefer")
    check_equal(first.do("run", "--prefer", "0 - rank", "--where", "rank > 5", *name), "n1\n",
                "--where is above --prefer")
    rows = first.rows("run", "--dry-run", "--where", 'colour == "blue"', "--", "true")
    check_equal([r["node"] for r in rows if r.get("match") == "true"], ["n1"], "--dry-run")
    start = time.monotonic()
    second.do("label", "set", "colour=red")
    wait_until("the new value is seen", lambda: first.rows("nodes", "--where", 'colour == "red"'))
    check(time.monotonic() - start < 2, "a label is seen in less than 2 s")


@case
def why_says_what_is_missing(mesh):
    first, second = pair(mesh)
    second.do("label", "set", "rank=7")
    wait_until("the label is seen", lambda: first.rows("nodes", "--where", "rank == 7"))
    out = first.do("why", "--where", "rank > 10 and cpu.cores >= 1")
    check_in("rank > 10", out, "the clause")
    check_in("7", out, "the nearest miss")
    check(first.rows("why", "--where", "rank > 10"), "rows")
    job = first.do("run", "-d", "--where", "rank > 10", "--", "true").strip()
    check_in("rank > 10", first.do("why", job), "why of a job that waits")
    second.do("label", "set", "rank=11")
    first.do("wait", job, timeout=DEADLINE)


# --- jobs ---


@case
def detached_jobs(mesh):
    first, _ = pair(mesh)
    job = first.do("run", "-d", *shell("echo out; echo err >&2; exit 5")).strip()
    check(4 <= len(job) <= 16, f"an id: {job!r}")
    first.try_("wait", job)
    logs = first.try_("logs", job)
    check_equal((logs.returncode, logs.stdout, logs.stderr), (0, b"out\n", b"err\n"), "logs")
    row = first.rows("show", job)[0]
    check_equal((row["state"], row["failed"], row["detached"]), ("failed", 1, True), "show")
    check(any(r["job"].startswith(job) for r in first.rows("ps", "-a")), "ps -a")
    many = first.do("map", "-d", "--range", "1-20", "--", "echo").strip()
    first.do("wait", many)
    check_equal(sorted(int(v) for v in first.do("logs", many).split()), list(range(1, 21)),
                "logs of a map")
    check_equal(first.do("logs", many + ".4"), "5\n", "logs of one task")
    check_error(first.try_("show", "zzzzzz"), 3, "ps", what="show of no job")


@case
def cancel_stops_a_job(mesh):
    first, _ = pair(mesh)
    job = first.do("map", "-d", "--range", "1-50", *shell("sleep 600", "mark-cancel"),
                   ).strip()
    wait_until("tasks run", lambda: processes_with("mark-cancel"))
    waiting = first.start("wait", job)
    first.do("cancel", job)
    waiting.wait(timeout=DEADLINE)
    wait_until("no task is left", lambda: not processes_with("mark-cancel"))
    row = first.rows("show", job)[0]
    check_equal((row["state"], row["running"], row["waiting"]), ("cancelled", 0, 0), "its state")


@case
def time_limit_of_a_map(mesh):
    first, _ = pair(mesh)
    start = time.monotonic()
    done = first.try_("map", "--json", "--time", "300ms", "--", "sleep", "{}", ":::", "0", "60")
    check_equal(done.returncode, 1, "one failed")
    rows = {r["input"]: r["exit"] for r in map(json.loads, done.stdout.splitlines())}
    check_equal(rows, {"0": 0, "60": 124}, "exits")
    check(time.monotonic() - start < 20, "it was not waited for")


@case
def json_everywhere(mesh):
    first, second = pair(mesh)
    job = first.rows("run", "-d", "--", "true")[0]["job"]
    first.do("wait", job)
    for words in (["status"], ["nodes"], ["peers"], ["ping", second.name], ["label"],
                  ["label", second.name], ["policy"], ["ps", "-a"], ["show", job],
                  ["why", "--where", "true"], ["wait", job], ["invite"], ["version"],
                  ["run", "--", "echo", "a"], ["map", "--", "echo", ":::", "a"]):
        check(first.rows(*words), f"{words[0]} --json gives no row")
    for words in (["sources"], ["logs", job]):
        first.rows(*words)
    for words, code in ((["show", "zzzzzz"], 3), (["ping", "nobody"], 3), (["nodes", "--huh"], 2)):
        done = first.try_(words[0], "--json", *words[1:])
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        check_equal(done.returncode, code, f"{words}: exit code")
        check(len(rows) == 1 and rows[0]["v"] == 1 and rows[0]["exit"] == code
              and rows[0]["error"]["what"], f"{words}: {rows}")


if __name__ == "__main__":
    main()
