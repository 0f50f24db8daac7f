/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A run, as the words that repeat it: `--seed 7 --nodes 20 --until 15 --faults crash,loss`. The
 * same words stand in a seed file (tests/sim/seeds), on one line, under a comment of what it shows.
 */
#include <stdio.h>

#include "tests/sim/world_fault.h"

#define PLAN_TEXT_SIZE 512
#define PLAN_SHOWS_SIZE 200

struct plan {
    uint64_t seed;
    unsigned n_nodes;
    unsigned until_s;     /* how long faults happen */
    uint32_t faults;      /* bits */
    uint32_t adversaries; /* bits (adversary.h): the last nodes, one of each */
    bool traces;
};

struct outcome {
    uint64_t trace_hash, n_events;
    uint64_t join_us;
    uint64_t most_bytes; /* datagrams of one node within 10 s */
    uint32_t n_done;
    bool is_failure;
    char failure[240];
};

void plan_default(struct plan *p);
/* One option and its value. False: no such option, or no such value. */
bool plan_option(struct plan *p, const char *option, const char *value);
/* All words of a line. False: not understood. */
bool plan_parse(struct plan *p, const char *line);
void plan_print(const struct plan *p, char text[static PLAN_TEXT_SIZE]);
/* A seed file: `shows` is its comment. */
bool plan_read(const char *path, struct plan *p, char shows[static PLAN_SHOWS_SIZE]);
bool plan_write(const char *path, const struct plan *p, const char *shows);

/* run.c: in this process. */
void plan_run(const struct plan *p, struct outcome *ret);

/* child.c: in a process of its own: a failed assertion is a failure as well. `is_quiet`: nothing
 * is printed. */
void plan_run_apart(const struct plan *p, bool is_quiet, struct outcome *ret);

/* shrink.c: the smallest run found that fails too (not always in the same way): fewer nodes, a
 * shorter time, fewer classes of faults. */
void plan_shrink(struct plan *p, struct outcome *last);

/* lookups.c: a search is over. For dht_tap.c. */
void lookups_on_found(const struct dht *d, const struct dht_action *a);

/* lookups.c: searches of the DHT and what they found. */
struct lookups;
struct lookups *lookups_begin(struct world *w, struct rng *r, unsigned n);
bool lookups_are_over(struct world *w, void *lookups);
/* False: a search did not end, or missed the true closest; what to say. */
bool lookups_judge(const struct lookups *l, char *ret_text, size_t size);
void lookups_free(struct lookups *l);
