/* SPDX-License-Identifier: Apache-2.0 */
/* A place that dies and comes back denies the claims of its earlier life: the owner runs the tasks
 * again as soon as it is there, without waiting for the claims' end. */
#include <stdio.h>

#include "tests/sim/world.h"

#define PLACE 2

static bool is_busy(struct world *w, void *unused)
{
    struct exec_vitals v;
    const struct node *n = w->nodes[PLACE].node;
    (void)unused;
    if (n == NULL || !n->has_cores) {
        return false;
    }
    exec_vitals(n->exec, &v);
    return v.n_free == 0;
}

/* Two tasks that are not pure run there when it dies; `down_us` later it is back. */
static bool is_run_again(uint64_t seed, uint64_t down_us)
{
    static struct world w;
    world_init(&w, &(struct world_options){.seed = seed, .n_nodes = 3, .delay_us = 5000});
    world_make_mesh(&w, 200 * US_PER_MS);
    world_run(&w, w.now_us + 5 * US_PER_S);
    struct world_client *c = world_submit(&w, 0, "sleep 60000", 6, false);
    bool is_good = world_run_until(&w, w.now_us + 3 * US_PER_S, is_busy, NULL);
    world_crash(&w, PLACE);
    world_run(&w, w.now_us + down_us);
    world_start(&w, PLACE);
    uint64_t began_us = w.now_us;
    is_good = is_good && world_run_until(&w, w.now_us + 4 * US_PER_S, is_busy, NULL);
    printf("down %.1f s: busy again after %.2f s\n", (double)down_us / 1e6,
           (double)(w.now_us - began_us) / 1e6);
    is_good = is_good && world_run_until(&w, w.now_us + 90 * US_PER_S, world_client_is_over, c);
    is_good = is_good && c->n_done == 6 && c->n_failed == 0; /* each once: the client asserts it */
    world_check(&w);
    world_done(&w);
    return is_good;
}

int main(void)
{
    bool is_good = true;
    for (uint64_t down_us = US_PER_S; down_us <= 10 * US_PER_S; down_us += 3 * US_PER_S) {
        is_good &= is_run_again(90 + down_us / US_PER_S, down_us);
    }
    return is_good ? 0 : 1;
}
