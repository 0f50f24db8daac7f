/* SPDX-License-Identifier: Apache-2.0 */
/* Whether all see all, looked at from outside. What adversaries see, and what others think of them,
 * is their own affair. */
#include "tests/sim/world.h"

static bool is_honest(const struct world *w, const struct node_id *id)
{
    for (unsigned i = 0; i < w->n_nodes && w->n_evil > 0; i++) {
        if (w->nodes[i].adversary != 0 && node_id_equal(&w->nodes[i].key.pk, id)) {
            return false;
        }
    }
    return true;
}

/* Of those who are up: keys are random, so that equal sums are the same nodes. */
static uint64_t sum_of_up(const struct world *w)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        bool counts = w->nodes[i].node != NULL && w->nodes[i].adversary == 0;
        sum += counts ? load_be64(w->nodes[i].key.pk.bytes) : 0;
    }
    return sum;
}

/* With their ads. */
static bool sees(const struct world *w, const struct node *n, uint64_t sum)
{
    uint64_t seen = 0;
    for (const struct gossip_member *m = members_next(n, NULL); m != NULL; m = members_next(n, m)) {
        if (gossip_member_is_live(m) && is_honest(w, &m->facts.id)) {
            if (m->ad == NULL) {
                return false;
            }
            seen += load_be64(m->facts.id.bytes);
        }
    }
    return seen == sum;
}

static bool sees_so_many(const struct world *w, const struct node *n)
{
    return n->has_cores && (w->n_evil > 0 || gossip_n_live(&n->gossip) == w->n_up);
}

/* Asked after each event: whoever did not see all the last time is asked first. */
bool world_is_converged(struct world *w, void *unused)
{
    uint64_t sum = 0;
    (void)unused;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        unsigned at = (w->doubtful + i) % w->n_nodes;
        const struct world_node *n = &w->nodes[at];
        if (n->node == NULL || n->adversary != 0) {
            continue;
        }
        sum = sum == 0 && sees_so_many(w, n->node) ? sum_of_up(w) : sum;
        if (!sees_so_many(w, n->node) || !sees(w, n->node, sum)) {
            w->doubtful = at;
            return false;
        }
    }
    return true;
}

/* Of those that play by the rules. */
bool world_is_somebody_missed(struct world *w)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        const struct node *n = w->nodes[i].node;
        if (n == NULL || w->nodes[i].adversary != 0 || !n->has_cores) {
            continue;
        }
        for (unsigned j = 0; j < w->n_nodes; j++) {
            const struct gossip_member *m = gossip_find(&n->gossip, &w->nodes[j].key.pk);
            bool counts = w->nodes[j].node != NULL && w->nodes[j].adversary == 0;
            if (counts && (m == NULL || !gossip_member_is_live(m))) {
                return true;
            }
        }
    }
    return false;
}
