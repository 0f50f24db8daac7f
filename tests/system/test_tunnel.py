#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real nodes between which no UDP packet passes. usage: test_tunnel.py BUILD_DIR

The packets are dropped by nftables in the test's own network namespace; without nft the test
fails."""
import shutil
import subprocess
import sys
import time

from cases import case, check, check_equal, main
from mesh import Failed

QUIET_S = 8  # longer than a suspicion lasts

RULES = """
table inet ipx_test {
    chain in {
        type filter hook input priority 0;
        meta l4proto udp counter drop
    }
}
"""


def nft(*words, stdin=""):
    done = subprocess.run(["nft", *words], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"nft {' '.join(words)}: {done.stderr}")
    return done.stdout


class NoUdp:
    def __enter__(self):
        nft("-f", "-", stdin=RULES)

    def __exit__(self, *_):
        nft("delete", "table", "inet", "ipx_test")


def check_each_runs_on_each(nodes):
    for node in nodes:
        for other in nodes:
            check_equal(node.do("run", "--on", other.name, "--", "echo", "here"), "here\n",
                        f"run --on {other.name} at {node.name}")


def stay_together(mesh, nodes, *also):
    """For a while nobody loses anybody; `also`: what a member may be besides alive."""
    until = time.monotonic() + QUIET_S
    while time.monotonic() < until:
        for node in nodes:
            states = {r["state"] for r in node.rows("nodes")}
            check(states <= {"alive", *also}, f"{node.name} sees {sorted(states)}")
        time.sleep(0.2)
    mesh.wait_all_see()


@case
def join_see_and_run_without_udp(mesh):
    with NoUdp():
        first = mesh.node("n0", "astro")
        first.new()
        for name in ("n1", "n2"):
            mesh.node(name, "astro").join(first.invite("astro"))
        mesh.wait_all_see()
        check_each_runs_on_each(mesh.nodes)
        stay_together(mesh, mesh.nodes)
        check("counter packets 0 " not in nft("list", "table", "inet", "ipx_test"),
              "no packet was dropped: the test tested nothing")


@case
def udp_dies_under_a_mesh(mesh):
    first = mesh.node("n0", "astro")
    first.new()
    for name in ("n1", "n2"):
        mesh.node(name, "astro").join(first.invite("astro"))
    mesh.wait_all_see()
    with NoUdp():
        stay_together(mesh, mesh.nodes, "suspect")
        check_each_runs_on_each(mesh.nodes)


if __name__ == "__main__":
    if shutil.which("nft") is None:
        sys.exit("test_tunnel: nft is not installed (package nftables)")
    main()
