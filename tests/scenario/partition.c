/* SPDX-License-Identifier: Apache-2.0 */
/* A mesh of four falls into halves and heals: nobody who lives stays dead to anybody. */
#include "tests/scenario/scenario.h"

/* Node i sees exactly the `n` nodes of its side. */
static bool halves_know(struct world *w, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        if (gossip_n_live(&w->nodes[i].node->gossip) != w->n_nodes / 2) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct scenario s;
    assert(argc == 2);
    (void)argc;
    scenario_init(&s, 4, argv[1]);
    scenario_phase(&s, "four nodes");
    world_make_mesh(&s.w, 200 * US_PER_MS);
    world_run(&s.w, s.w.now_us + 650 * US_PER_MS);
    scenario_expect(&s, 2 * US_PER_S, "all know all", world_is_converged, NULL);
    scenario_phase(&s, "n2 and n3 are cut off");
    world_partition(&s.w, 2, 1);
    world_partition(&s.w, 3, 1);
    scenario_expect(&s, 30 * US_PER_S, "each half sees itself alone", halves_know, NULL);
    world_run(&s.w, s.w.now_us + 60 * US_PER_S);
    scenario_phase(&s, "n2 maps 6 tasks on its own side");
    struct world_client *c = world_submit(&s.w, 2, "echo x", 6, true);
    scenario_expect(&s, 10 * US_PER_S, "the job ends", world_client_is_over, c);
    scenario_say(&s, "%u done, %u failed", c->n_done, c->n_failed);
    scenario_phase(&s, "the cut is healed");
    world_partition(&s.w, 2, 0);
    world_partition(&s.w, 3, 0);
    scenario_expect(&s, 30 * US_PER_S, "all know all within 30 s", world_is_converged, NULL);
    return scenario_done(&s);
}
