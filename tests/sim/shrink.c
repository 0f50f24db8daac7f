/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a failing run smaller, a step at a time, as long as it fails. */
#include "tests/sim/plan.h"

#define RUNS_MAX 100

struct shrinking {
    struct plan *best;
    struct outcome *last;
    unsigned n_runs;
};

static bool try_plan(struct shrinking *s, const struct plan *p)
{
    struct outcome o;
    if (s->n_runs == RUNS_MAX) {
        return false;
    }
    s->n_runs++;
    plan_run_apart(p, true, &o);
    if (o.is_failure) {
        char text[PLAN_TEXT_SIZE];
        *s->best = *p;
        *s->last = o;
        plan_print(p, text);
        printf("  fails too: %s: %s\n", text, o.failure);
    }
    return o.is_failure;
}

static void fewer_nodes(struct shrinking *s)
{
    for (unsigned low = 2; low < s->best->n_nodes;) { /* low - 1 is not known to fail */
        struct plan p = *s->best;
        p.n_nodes = low + (s->best->n_nodes - low) / 2;
        if (!try_plan(s, &p)) {
            low = p.n_nodes + 1;
        }
    }
}

static void shorter(struct shrinking *s)
{
    for (unsigned low = 0; low < s->best->until_s;) {
        struct plan p = *s->best;
        p.until_s = low + (s->best->until_s - low) / 2;
        if (!try_plan(s, &p)) {
            low = p.until_s + 1;
        }
    }
}

/* Without `n` classes from the first on that is left; then without the next `n`. */
static void fewer_faults(struct shrinking *s)
{
    for (unsigned n = FAULT_N / 2; n > 0; n /= 2) {
        for (unsigned first = 0; first < FAULT_N; first += n) {
            struct plan p = *s->best;
            for (unsigned i = first; i < first + n && i < FAULT_N; i++) {
                p.faults &= ~FAULT_BIT(i);
            }
            if (p.faults != s->best->faults) {
                try_plan(s, &p);
            }
        }
    }
}

void plan_shrink(struct plan *p, struct outcome *last)
{
    struct shrinking s = {.best = p, .last = last};
    fewer_nodes(&s);
    shorter(&s);
    fewer_faults(&s);
    fewer_nodes(&s); /* what is left may need fewer */
}
