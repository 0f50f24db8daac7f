/* SPDX-License-Identifier: Apache-2.0 */
/* A node dies in the middle of a job: it is found dead by all, and its tasks run elsewhere. */
#include "tests/scenario/scenario.h"

#define TASKS 24

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
    scenario_phase(&s, "n1 maps 24 tasks of a second each");
    struct world_client *c = world_submit(&s.w, 1, "sleep 1000", TASKS, true);
    world_run(&s.w, s.w.now_us + 1500 * US_PER_MS);
    scenario_phase(&s, "n3 crashes in the middle");
    world_crash(&s.w, 3);
    scenario_expect(&s, 10 * US_PER_S, "the others know within 10 s", world_is_converged, NULL);
    scenario_expect(&s, 60 * US_PER_S, "the job ends", world_client_is_over, c);
    scenario_say(&s, "%u done, %u failed", c->n_done, c->n_failed);
    scenario_phase(&s, "n3 comes back");
    world_start(&s.w, 3);
    scenario_expect(&s, 10 * US_PER_S, "all know all", world_is_converged, NULL);
    return scenario_done(&s);
}
