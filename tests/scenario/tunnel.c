/* SPDX-License-Identifier: Apache-2.0 */
/* A mesh of four in which no datagram of n2 passes: it joins, is seen and works over links. */
#include "tests/scenario/scenario.h"

/* Members that n2 reaches, or that reach it, by a tunnel; each of the others needs one. */
static unsigned n_tunnels(struct world *w)
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        count += i != 2 && tunnels_is_up(w->nodes[2].node, &w->nodes[i].key.pk);
    }
    return count;
}

static bool has_no_tunnel(struct world *w, void *unused)
{
    (void)unused;
    return n_tunnels(w) == 0;
}

int main(int argc, char **argv)
{
    static struct scenario s;
    assert(argc == 2);
    (void)argc;
    scenario_init(&s, 4, argv[1]);
    scenario_phase(&s, "n2 joins without datagrams");
    s.w.nodes[2].is_udp_blocked = true;
    world_make_mesh(&s.w, 200 * US_PER_MS);
    world_run(&s.w, s.w.now_us + 650 * US_PER_MS);
    scenario_expect(&s, 5 * US_PER_S, "all know all within 5 s", world_is_converged, NULL);
    scenario_phase(&s, "n2 maps 12 tasks");
    struct world_client *c = world_submit(&s.w, 2, "sleep 200", 12, true);
    scenario_expect(&s, 10 * US_PER_S, "the job ends", world_client_is_over, c);
    scenario_say(&s, "%u done, %u failed", c->n_done, c->n_failed);
    scenario_phase(&s, "a minute");
    world_run(&s.w, s.w.now_us + 60 * US_PER_S);
    scenario_say(&s, "n2 has %u tunnels", n_tunnels(&s.w));
    scenario_phase(&s, "datagrams pass again");
    s.w.nodes[2].is_udp_blocked = false;
    scenario_expect(&s, 600 * US_PER_S, "n2 needs no tunnel", has_no_tunnel, NULL);
    scenario_phase(&s, "and are blocked again, in the middle of it");
    s.w.nodes[2].is_udp_blocked = true;
    world_run(&s.w, s.w.now_us + 120 * US_PER_S);
    scenario_expect(&s, US_PER_S, "all know all", world_is_converged, NULL);
    return scenario_done(&s);
}
