/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The statistics mode: figures of the design measured on virtual time, each beside its
 * goal. One function a file measures and adds its rows; stats_main.c lists the functions,
 * prints what they added and fails if a figure left its bound.
 *
 * A goal is what we want and is never edited to fit; a bound is what a later change must
 * not fall behind. They are the same where the goal is met. Where it is not, the bound
 * lies near the figure as it stands, and the note says what is in the way.
 *
 * Figures are integers in thousandths of their unit and come from seeds alone: a run
 * gives the same ones under every compiler.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define STATS_ROWS_MAX 160
#define STATS_ANY INT64_MAX /* as a maximum: none */
#define STATS_MILLI(x) ((int64_t)(x)*1000)

struct stats_range {
    int64_t min, max; /* both count as inside */
};

struct stats_row {
    const char *table; /* of the goals: "dht", "gossip" */
    const char *what;
    const char *goal_text; /* as the design says it */
    const char *unit;
    const char *note;         /* NULL: none; must be there if the goal is not met */
    struct stats_range goal;  /* thousandths */
    struct stats_range bound; /* 0, 0: the goal's */
    int64_t value;            /* thousandths */
};

struct stats {
    struct stats_row rows[STATS_ROWS_MAX];
    size_t n;
    bool is_quick; /* fewer seeds, smaller networks: what each commit can pay */
};

/* Adds a copy; the strings live as long as `s`. */
void stats_add(struct stats *s, const struct stats_row *row);
bool stats_is_met(const struct stats_row *row);
bool stats_is_held(const struct stats_row *row); /* inside its bound */
size_t stats_print(const struct stats *s);       /* an aligned table; returns rows not held */
size_t stats_print_json(const struct stats *s);  /* the same as one array of objects */

/* Of `n` figures, sorted here: the one below which `permille` of them lie. */
uint64_t stats_quantile(uint64_t *values, size_t n, unsigned permille);

/* Each in its own file. */
void stats_dht_size(struct stats *s);
void stats_gossip_failures(struct stats *s);
void stats_gossip_news(struct stats *s);
void stats_dht_lookup(struct stats *s);
void stats_dht_churn(struct stats *s);
void stats_dht_idle(struct stats *s);
