/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulation of whole nodes: seeds, faults, invariants. Safety and liveness are apart: while faults
 * happen only the invariants are checked; then faults stop, and the mesh must come together and
 * the job must end.
 *
 * usage: sim [--seed S] [--count C] [--nodes N] [--trace]     prints one line a seed; at a failure
 *        the seed, with which the same binary replays it byte for byte
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/world.h"

#define TASKS 60

struct plan {
    uint64_t seed;
    unsigned n_nodes;
    bool traces;
};

struct outcome {
    uint64_t trace_hash, n_events;
    double join_s;
    uint32_t n_done;
    const char *failure; /* NULL: none */
};

/* One step of trouble: a crash, a restart, a cut or its end. Node 0 holds the tickets and node 1
 * owns the job: they stay up, so that what is asked of the end is well defined. */
static void trouble(struct world *w)
{
    unsigned victim = 2 + (unsigned)rng_below(&w->faults, w->n_nodes - 2);
    struct world_node *n = &w->nodes[victim];
    switch (rng_below(&w->faults, 4)) {
    case 0:
        world_crash(w, victim);
        break;
    case 1:
        if (n->node == NULL) {
            world_start(w, victim);
        }
        break;
    case 2:
        world_partition(w, victim, 1);
        break;
    default:
        world_partition(w, victim, 0);
        break;
    }
}

static void end_trouble(struct world *w)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        world_partition(w, i, 0);
        if (w->nodes[i].node == NULL) {
            world_start(w, i);
        }
    }
    w->options.loss_permille = 0;
    w->options.dup_permille = 0;
}

/* What each node sees, at a failure: the seed says the rest. */
static void report(struct world *w)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        const struct node *n = w->nodes[i].node;
        unsigned n_ads = 0;
        if (n == NULL) {
            printf("  n%u down: %s\n", i, w->nodes[i].stop_text);
            continue;
        }
        for (const struct gossip_member *m = n->has_cores ? members_next(n, NULL) : NULL; m != NULL;
             m = members_next(n, m)) {
            n_ads += gossip_member_is_live(m) && m->ad != NULL;
        }
        printf("  n%u state %d join %s sees %u live, %u ads\n", i, (int)n->state,
               n->join.is_failed ? err_name(n->join.why) : "ok",
               n->has_cores ? (unsigned)gossip_n_live(&n->gossip) : 0, n_ads);
    }
}

static struct outcome run(const struct plan *p)
{
    static struct world w;
    struct outcome o = {0};
    struct world_options options = {.seed = p->seed,
                                    .n_nodes = p->n_nodes,
                                    .loss_permille = 20,
                                    .dup_permille = 5,
                                    .delay_us = 5000,
                                    .jitter_us = 20000,
                                    .traces = p->traces,
                                    .n_labs = 3};
    world_init(&w, &options);
    world_make_mesh(&w, 20 * US_PER_MS);
    uint64_t all_started = w.now_us + p->n_nodes * 20 * US_PER_MS;
    if (!world_run_until(&w, all_started + 30 * US_PER_S, world_is_converged, NULL)) {
        o.failure = "not all know all 30 s after the last start";
    }
    o.join_s = w.now_us > all_started ? (double)(w.now_us - all_started) / 1e6 : 0;
    struct world_client *c = NULL;
    if (o.failure == NULL) {
        c = world_submit(&w, 1, rng_chance(&w.work, 500) ? "echo x" : "sleep 700", TASKS, true);
        for (int i = 0; i < 12 && p->n_nodes > 2; i++) {
            world_run(&w, w.now_us + 500 * US_PER_MS + rng_below(&w.faults, 2 * US_PER_S));
            trouble(&w);
            world_check(&w);
        }
        end_trouble(&w);
        if (!world_run_until(&w, w.now_us + 180 * US_PER_S, world_client_is_over, c)) {
            o.failure = "the job has not ended 180 s after the faults";
        } else if (c->is_error || c->n_done != TASKS) {
            o.failure = c->is_error ? c->error : "not every task is done";
        } else if (!world_run_until(&w, w.now_us + 60 * US_PER_S, world_is_converged, NULL)) {
            o.failure = "not all know all 60 s after the faults";
        }
        o.n_done = c->n_done;
    }
    world_check(&w);
    if (o.failure != NULL) {
        printf("\n");
        report(&w);
    }
    o.trace_hash = w.trace_hash;
    o.n_events = w.n_events;
    world_done(&w);
    return o;
}

static bool one_seed(const struct plan *p)
{
    printf("seed %llu nodes %u: ", (unsigned long long)p->seed, p->n_nodes);
    fflush(stdout); /* an assert that fires below leaves the seed behind */
    struct outcome o = run(p);
    printf("%s trace %016llx events %llu join %.2f s done %u%s%s\n",
           o.failure == NULL ? "ok" : "FAIL", (unsigned long long)o.trace_hash,
           (unsigned long long)o.n_events, o.join_s, o.n_done, o.failure != NULL ? ": " : "",
           o.failure != NULL ? o.failure : "");
    return o.failure == NULL;
}

int main(int argc, char **argv)
{
    struct plan p = {.seed = 1, .n_nodes = 3};
    unsigned long count = 1;
    bool is_twice = false, is_good = true;
    for (int i = 1; i < argc; i++) {
        unsigned long value = i + 1 < argc ? strtoul(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--trace") == 0) {
            p.traces = true;
            continue;
        } else if (strcmp(argv[i], "--twice") == 0) {
            is_twice = true;
            continue;
        } else if (strcmp(argv[i], "--seed") == 0) {
            p.seed = value;
        } else if (strcmp(argv[i], "--count") == 0) {
            count = value;
        } else if (strcmp(argv[i], "--nodes") == 0) {
            p.n_nodes = (unsigned)value;
        } else {
            fprintf(stderr, "usage: sim [--seed S] [--count C] [--nodes N] [--trace] [--twice]\n");
            return 2;
        }
        i++;
    }
    if (crypt_init() != IPX_OK || p.n_nodes < 1 || p.n_nodes > WORLD_NODES_MAX || count == 0) {
        return 2;
    }
    for (unsigned long i = 0; i < count; i++, p.seed++) {
        is_good = one_seed(&p) && is_good;
        if (is_twice) {
            struct outcome a = run(&p), b = run(&p);
            if (a.trace_hash != b.trace_hash || a.n_events != b.n_events) {
                printf("seed %llu: two runs differ\n", (unsigned long long)p.seed);
                is_good = false;
            }
        }
    }
    return is_good ? 0 : 1;
}
