/* SPDX-License-Identifier: Apache-2.0 */
/* Three nodes: one makes the mesh, two join with tickets; then the middle one runs a job on all. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv)
{
    static struct scenario s;
    assert(argc == 2);
    (void)argc;
    scenario_init(&s, 3, argv[1]);
    scenario_phase(&s, "n0 makes the mesh, n1 and n2 join");
    world_make_mesh(&s.w, 200 * US_PER_MS);
    world_run(&s.w, s.w.now_us + 450 * US_PER_MS); /* all are started */
    scenario_expect(&s, US_PER_S, "all know all within a second", world_is_converged, NULL);
    scenario_phase(&s, "n1 maps 12 tasks");
    struct world_client *c = world_submit(&s.w, 1, "sleep 200", 12, true);
    scenario_expect(&s, 10 * US_PER_S, "the job ends", world_client_is_over, c);
    scenario_say(&s, "%u done, %u failed", c->n_done, c->n_failed);
    scenario_phase(&s, "quiet for two minutes");
    world_run(&s.w, s.w.now_us + 120 * US_PER_S);
    return scenario_done(&s);
}
