#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""publish, sources, tap, and tasks on live sources, on real nodes. usage: test_sources.py
BUILD_DIR"""
import datetime
import json
import os
import re
import signal
import struct
import subprocess
import threading
import time

from cases import Failed, case, check, check_equal, check_error, main
from mesh import DEADLINE, wait_until

MIB = 1 << 20


def labs(mesh):
    """A node of astro and one of bio."""
    first, second = mesh.node("n0", "astro"), mesh.node("b0", "bio")
    first.new()
    second.join(first.invite("bio"), listen="127.0.0.2")
    mesh.wait_all_see()
    return first, second


def publish(node, name, *words, **more):
    """Returns when the node has it; what it says goes to a pipe that is read away."""
    process = node.start("publish", name, *words, stdout=subprocess.DEVNULL, **more)
    check(b"published" in process.stderr.readline(), "publish says so")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process


def seen_by(node, name):
    wait_until(f"{node.shown} knows {name}",
               lambda: any(r["name"] == name for r in node.rows("sources")))


class Tap:
    """A reader with --json; `rows` grows as they come."""

    def __init__(self, node, *words):
        self.rows = []
        self.process = node.start("tap", *words, "--json")
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def frames(self):
        return [r for r in self.rows if "seq" in r]

    def gaps(self):
        return [(r["gap"]["first"], r["gap"]["last"]) for r in self.rows if "gap" in r]

    def data(self):
        return [r["data"] for r in self.frames()]

    def wait_frames(self, n):
        wait_until(f"{n} frames; there are {len(self.frames())}", lambda: len(self.frames()) >= n)

    def check_account(self, first=0):
        """Every number from `first` on is a frame or lies in a gap, once, in order."""
        due = first
        for row in self.rows:
            if "seq" in row:
                check_equal(row["seq"], due, "seq of a frame")
                due += 1
            elif "gap" in row:
                check_equal(row["gap"]["first"], due, "begin of a gap")
                due = row["gap"]["last"] + 1
        return due

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=DEADLINE)
        self.thread.join(timeout=DEADLINE)


def feed(process, data):
    process.stdin.write(data)
    process.stdin.flush()


@case
def publish_from_stdin_and_end(mesh):
    first, second = labs(mesh)
    process = publish(first, "temp", "--kind", "sensor", "--schema", "text/line",
                      stdin=subprocess.PIPE)
    seen_by(second, "temp")
    row = second.rows("sources", "--where", '.kind == "sensor"')[0]
    check_equal((row["name"], row["lab"], row["schema"]), ("temp", "astro", "text/line"), "its ad")
    check_equal(second.rows("sources", "--where", '.kind == "camera"'), [], "no camera")
    feed(process, b"one\ntwo\n")
    whole = second.start("tap", "astro/temp", "--from", "all")
    check_equal(whole.stdout.readline() + whole.stdout.readline(), b"one\ntwo\n", "from the ring")
    feed(process, b"three\nlast without end")
    process.stdin.close()
    out, _ = whole.communicate(timeout=DEADLINE)
    check_equal((whole.returncode, out), (0, b"three\nlast without end\n"), "to its end")
    check_equal(process.wait(timeout=DEADLINE), 0, "exit code of publish")
    wait_until("it is gone from the ads", lambda: not second.rows("sources"))
    check_error(second.try_("tap", "astro/temp"), 3, "sources", what="tap of no source")


@case
def frames_by_length_and_size(mesh):
    first, second = labs(mesh)
    parts = [b"", b"\n\0a", bytes(range(256)) * 300, b"end"]
    packed = b"".join(struct.pack(">I", len(p)) + p for p in parts)
    process = publish(first, "len", "--frame", "len", stdin=subprocess.PIPE)
    feed(process, packed)
    seen_by(second, "len")
    reader = second.start("tap", "astro/len", "--from", "all")
    check(reader.stdout.read(len(packed)) == packed, "length-prefixed frames byte for byte")
    process = publish(first, "size", "--frame", "1000", stdin=subprocess.PIPE)
    data = os.urandom(5000)
    feed(process, data)
    seen_by(second, "size")
    reader = second.start("tap", "astro/size", "--from", "all")
    check(reader.stdout.read(5000) == data, "frames of a fixed size byte for byte")


@case
def child_is_started_again(mesh):
    first, second = labs(mesh)
    mark = os.path.join(mesh.base, "count")
    script = 'echo x >>"$1"; echo run $(wc -l <"$1"); [ $(wc -l <"$1") -ge 3 ] && exec sleep 600'
    publish(first, "child", "--", "sh", "-c", script, "sh", mark)
    seen_by(second, "child")
    tap = Tap(second, "astro/child", "--from", "all")
    tap.wait_frames(3)
    check_equal(tap.data()[:3], ["run 1", "run 2", "run 3"], "one line a start")
    tap.check_account()


@case
def growing_file(mesh):
    first, second = labs(mesh)
    path = os.path.join(mesh.base, "log.txt")
    with open(path, "w") as file:
        file.write("old\n")
    publish(first, "log", "--file", path)
    seen_by(second, "log")
    tap = Tap(second, "astro/log", "--from", "all")

    def add(line, mode="a"):
        with open(path, mode) as file:
            file.write(line + "\n")
        wait_until(f"{line} comes; there is {tap.data()}", lambda: line in tap.data())

    def add_until_seen(line):
        """A reader that has not opened yet begins behind what is there."""
        wait_until("the source is open", lambda: tap.process.poll() is None)
        add(line)

    add_until_seen("new")
    add("newer")
    os.rename(path, path + ".1")  # rotation
    add("rotated")
    add("cut", mode="w")  # truncation
    check_equal(len(tap.data()), len(set(tap.data())), "no line twice")
    tap.check_account(tap.frames()[0]["seq"])


@case
def many_readers_see_the_same(mesh):
    first, second = labs(mesh)
    process = publish(first, "many", stdin=subprocess.PIPE)
    seen_by(second, "many")
    taps = [Tap(node, "astro/many", "--from", "all", "--policy", "block")
            for node in (first, second) for _ in range(4)]
    lines = [f"line {i}" for i in range(2000)]
    feed(process, ("\n".join(lines) + "\n").encode())
    for tap in taps:
        tap.wait_frames(2000)
        check_equal(tap.data(), lines, "frames")
        check_equal(tap.gaps(), [], "gaps")
    last = Tap(second, "astro/many", "--from", "last")
    last.wait_frames(1)
    check_equal(last.data(), ["line 1999"], "--from last")
    late = Tap(second, "astro/many", "--from", "seq:1990")
    late.wait_frames(10)
    check_equal(late.data(), lines[1990:], "--from seq:N")


def slow_reader(node, *words):
    """A tap whose output is not read until it is asked for."""
    return node.start("tap", *words, "--json", stderr=subprocess.DEVNULL)


def rows_until(process, last_seq):
    rows = []
    for line in process.stdout:
        rows.append(json.loads(line))
        if rows[-1].get("seq") == last_seq:
            return rows
    raise Failed(f"the tap ended before frame {last_seq}")


def account(rows):
    due = 0
    lost = 0
    for row in rows:
        if "gap" in row:
            check_equal(row["gap"]["first"], due, "begin of a gap")
            lost += row["gap"]["last"] - row["gap"]["first"] + 1
            due = row["gap"]["last"] + 1
        elif "seq" in row:
            check_equal(row["seq"], due, "seq of a frame")
            due += 1
    return lost


@case
def drop_old_tells_what_a_slow_reader_missed(mesh):
    first, second = labs(mesh)
    process = publish(first, "fast", "--frame", "64KiB", "--ring", "4MiB", stdin=subprocess.PIPE)
    seen_by(second, "fast")
    reader = slow_reader(second, "astro/fast", "--from", "all", "--policy", "drop-old")
    quick = Tap(second, "astro/fast", "--from", "new", "--policy", "drop-old")
    frame = b"x" * 65536
    feed(process, frame)
    rows = [json.loads(reader.stdout.readline())]  # from here on it is not read
    n = 512
    for _ in range(n):
        feed(process, frame)
    quick_end = wait_until("the quick reader has the end", lambda: [
        r for r in quick.frames() if r["seq"] == n])
    check(quick_end, "the last frame")
    rows += rows_until(reader, n)
    lost = account(rows)
    check(lost > 0, "the slow one missed some")
    check(all(r["gap"]["reason"] for r in rows if "gap" in r), "gaps have reasons")


@case
def block_waits_for_a_slow_reader(mesh):
    first, second = labs(mesh)
    process = publish(first, "file", "--frame", "64KiB", "--ring", "1MiB", stdin=subprocess.PIPE)
    seen_by(second, "file")
    reader = slow_reader(second, "astro/file", "--from", "all", "--policy", "block")
    check(reader.poll() is None, "it reads")
    feed(process, b"0" * 65536)
    rows = [json.loads(reader.stdout.readline())]
    n = 400
    writer = threading.Thread(target=lambda: [feed(process, b"x" * 65536) for _ in range(n)])
    writer.start()
    rows += rows_until(reader, n)
    writer.join(timeout=DEADLINE)
    check_equal(account(rows), 0, "frames missed")
    check_equal(len(rows), n + 1, "frames")


@case
def sample_gives_few_and_tells_the_rest(mesh):
    first, second = labs(mesh)
    publish(first, "quick", "--", "sh", "-c",
            "i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done")
    seen_by(second, "quick")
    tap = Tap(second, "astro/quick", "--policy", "sample:5")
    start = time.monotonic()
    tap.wait_frames(10)
    took = time.monotonic() - start
    check(took > 1.5, f"10 frames at 5 a second took {took:.2f} s")
    check(tap.gaps(), "what was left out is told")
    tap.stop()
    tap.check_account(tap.rows[0].get("seq", tap.rows[0].get("gap", {}).get("first")))


@case
def tasks_at_and_on_a_source(mesh):
    first, second = labs(mesh)
    second.do("policy", "set", 'accept=job.lab in ["astro", "bio"]')
    process = publish(second, "nums", stdin=subprocess.PIPE)
    seen_by(first, "nums")
    wait_until("bio takes astro's tasks", lambda: first.try_(
        "run", "--no-wait", "--on", "bio/b0", "--", "true").returncode == 0)
    check_equal(first.do("run", "--on", "source:nums", "--", "sh", "-c", "echo $IPX_NODE"),
                "b0\n", "run --on source:NAME")
    for where in ("n0", "b0"):
        task = first.start("run", "--on", where, "--stream", "bio/nums", "--", "sh", "-c",
                           "echo ready; head -n 3")
        check_equal(task.stdout.readline(), b"ready\n", "the task runs")
        got = threading.Thread(target=lambda task=task: task.wait(timeout=DEADLINE))
        got.start()
        number = 0
        while got.is_alive():  # a live source: it goes on until the task has enough
            number += 1
            feed(process, b"%d\n" % number)
            got.join(timeout=0.02)
        lines = [int(v) for v in task.stdout.read().split()]
        check_equal(task.returncode, 0, "exit code")
        check(len(lines) == 3 and lines == list(range(lines[0], lines[0] + 3)),
              f"three numbers in a row: {lines}")


@case
def a_tap_survives_a_lost_link(mesh):
    first, second = labs(mesh)
    publish(first, "ticks", "--", "sh", "-c",
            "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done")
    seen_by(second, "ticks")
    tap = Tap(second, "astro/ticks", "--policy", "block")
    for round_ in range(3):
        tap.wait_frames(len(tap.frames()) + 20)
        killed = subprocess.run(["ss", "-KtnH", "state", "established", "dst", "127.0.0.0/8"],
                                capture_output=True, text=True, timeout=DEADLINE, check=True)
        check(re.search(r"127\.", killed.stdout), f"no link was cut in round {round_}: "
              f"{killed.stderr} (wants root and a kernel with INET_DIAG_DESTROY)")
    tap.wait_frames(len(tap.frames()) + 50)
    check(tap.process.poll() is None, "it still reads")
    tap.stop()
    tap.check_account(tap.frames()[0]["seq"])
    check_equal(tap.gaps(), [], "the ring holds what was missed while the link was down")


@case
def a_tap_sees_the_publisher_again(mesh):
    """The publisher starts anew under the same name: a new epoch, and the tap goes on."""
    first, second = labs(mesh)
    process = publish(first, "again", stdin=subprocess.PIPE)
    seen_by(second, "again")
    feed(process, b"a\n")
    tap = Tap(second, "astro/again", "--from", "all")
    tap.wait_frames(1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until("the tap ends or waits", lambda: tap.process.poll() is not None
               or not second.rows("sources"))
    process = publish(first, "again", stdin=subprocess.PIPE)
    seen_by(second, "again")
    feed(process, b"b\n")
    newer = Tap(second, "astro/again", "--from", "all")
    newer.wait_frames(1)
    check_equal(newer.data(), ["b"], "what the new one published")
    check(newer.frames()[0]["epoch"] != tap.frames()[0]["epoch"], "epochs differ")


@case
def from_a_time_of_the_source(mesh):
    first, second = labs(mesh)
    process = publish(first, "timed", stdin=subprocess.PIPE)
    seen_by(second, "timed")
    whole = Tap(second, "astro/timed", "--from", "all")
    for i in range(3):
        feed(process, b"%d\n" % i)
        whole.wait_frames(i + 1)
        start = time.time()
        wait_until("the clock went on", lambda start=start: time.time() > start + 0.03)
    second_time = whole.frames()[1]["time"]
    moment = datetime.datetime.fromisoformat(second_time.replace("Z", "+00:00"))
    east = moment.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    later = moment.timestamp() + 0.01
    for text, want in ((second_time, ["1", "2"]), (east.isoformat(), ["1", "2"]),
                       (f"{later:.3f}", ["2"]), ("1970-01-01", ["0", "1", "2"]),
                       ("-1h", ["0", "1", "2"])):
        tap = Tap(second, "astro/timed", "--from", f"time:{text}")
        tap.wait_frames(len(want))
        check_equal(tap.data(), want, f"--from time:{text}")
        tap.stop()
    for text in ("", "noon", "2026-02-30", "-5GiB"):
        check_error(second.try_("tap", "astro/timed", "--from", f"time:{text}"), 2, "time:T",
                    what=f"--from time:{text}")


@case
def a_misspelt_source(mesh):
    first, second = labs(mesh)
    publish(first, "weather", stdin=subprocess.PIPE)
    seen_by(second, "weather")
    for words, code, meant in ((["tap", "weathr"], 3, "weather?"),
                               (["tap", "astro/waether"], 3, "astro/weather?"),
                               (["run", "--stream", "wether", "--", "true"], 120, "weather?"),
                               (["run", "--on", "source:weatherr", "--", "true"], 120,
                                "weather?")):
        check_error(second.try_(*words), code, "Did you mean " + meant, "ipx-node sources",
                    what=" ".join(words))
    done = second.try_("sources", "--where", '.nam == "weather"')
    check_equal((done.returncode, done.stdout), (0, b""), "a field nobody has")
    check(b"Did you mean .name?" in done.stderr, f"the field is named: {done.stderr!r}")


@case
def names_that_several_publish(mesh):
    first, second = labs(mesh)
    third = mesh.node("b1", "bio")
    third.join(first.invite("bio"), listen="127.0.0.3")
    mesh.wait_all_see()
    for node, line in ((second, b"from b0\n"), (third, b"from b1\n")):
        feed(publish(node, "wx", stdin=subprocess.PIPE), line)
    wait_until("both are known", lambda: len(first.rows("sources")) == 2)
    done = first.try_("tap", "wx")
    check(done.returncode != 0 and b"wx@b0" in done.stderr and b"wx@b1" in done.stderr,
          f"the error lists both: {done.stderr!r}")
    tap = Tap(first, "bio/wx@b1", "--from", "all")
    tap.wait_frames(1)
    check_equal(tap.data(), ["from b1"], "the one that was named")
    done = second.try_("publish", "wx", "--", "true")
    check(done.returncode == 1 and done.stderr, f"one name twice on a node: {done.stderr!r}")


if __name__ == "__main__":
    main()
