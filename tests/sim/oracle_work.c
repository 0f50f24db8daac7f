/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts: each is started once in the whole world, runs within its claim by the clock of its
 * place, and no more run than there are slots. */
#include "tests/sim/oracle.h"

#include "exec/core.h"
#include "exec/place_core.h"

#define KILL_SLACK_US (PLACE_GRACE_US + US_PER_S) /* TERM, grace, KILL, and the turn after it */

static const struct place_claim *claim_of(const struct place *p, uint64_t number)
{
    const struct place_claim *c = p->claims[number % PLACE_CLAIMS_MAX];
    return c != NULL && c->number == number ? c : NULL;
}

void oracle_on_spawn(struct world *w, struct world_node *n, uint64_t attempt)
{
    struct oracle *o = w->oracle;
    if (o == NULL) {
        return;
    }
    const struct place_claim *c = claim_of(node_exec(n->node, world_local_us(n))->place, attempt);
    if (c == NULL) {
        world_fail(w, "n%u starts what nobody has claimed", n->index);
        return;
    }
    uint64_t key = tally_key(3, &c->job->id, sizeof(c->job->id));
    uint64_t *n_started = tally_at(&o->attempts, tally_key(key, &c->id, sizeof(c->id)));
    if (++*n_started > 1) {
        world_fail(w, "n%u starts attempt %u of task %u which was started before", n->index,
                   c->id.attempt, c->id.task);
    }
}

void oracle_look_work(struct oracle *o, struct world_node *n)
{
    const struct exec *x = n->node->exec;
    uint64_t now = world_local_us(n);
    unsigned n_running = 0;
    struct world_process *p;
    struct list *next;
    LIST_EACH(p, next, &o->w->processes, struct world_process, list)
    {
        if (p->node != n->index || p->is_absent || p->is_over) {
            continue;
        }
        const struct place_claim *c = claim_of(x->place, p->attempt);
        n_running++;
        if (c == NULL) {
            world_fail(o->w, "n%u runs what nobody has claimed", n->index);
            return;
        }
        uint64_t end = IPX_MAX(c->claimed_us, c->job->renewed_us) + c->job->duration_us;
        if (now > end + KILL_SLACK_US) {
            world_fail(o->w, "n%u runs task %u %llu us past its claim", n->index, c->id.task,
                       (unsigned long long)(now - end));
        }
    }
    if (n_running > x->core.n_slots || x->place->used + x->place->reserved > x->core.n_slots) {
        world_fail(o->w, "n%u runs %u on %u slots", n->index, n_running, x->core.n_slots);
    }
}
