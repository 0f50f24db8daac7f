#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A live source: this machine's own counters from /proc, one JSON object a line, ten a second.
usage: counters.py [PER_SECOND]"""
import json
import sys
import time


def counters():
    values = {}
    with open("/proc/stat") as file:
        for line in file:
            word, _, rest = line.partition(" ")
            if word == "cpu":
                values["cpu_busy"] = sum(int(v) for v in rest.split()[:3])
            elif word in ("ctxt", "processes", "procs_running"):
                values[word] = int(rest.split()[0])
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                values["mem_available_kib"] = int(line.split()[1])
    with open("/proc/loadavg") as file:
        values["load"] = float(file.read().split()[0])
    return values


def main():
    period = 1 / float(sys.argv[1] if len(sys.argv) > 1 else 10)
    due = time.monotonic()
    while True:
        print(json.dumps({"time": round(time.time(), 3), **counters()}), flush=True)
        due += period
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
