/* SPDX-License-Identifier: Apache-2.0 */
/* Searches of the DHT, asked of nodes from outside; dht_tap.c tells when one is over. */
#include "tests/sim/plan.h"

#define LOOKUPS_MAX 32

struct lookup_asked {
    unsigned node;
    uint32_t handle; /* 0: could not begin */
    struct dht_pos target;
    bool is_over;
    struct node_id nearest;
    bool has_nearest;
};

struct lookups {
    struct world *w;
    unsigned n, n_over;
    struct lookup_asked asked[LOOKUPS_MAX];
};

static struct lookups *watching; /* dht_poll has no argument for it */

static bool is_honest(const struct lookups *l, const struct node_id *id)
{
    for (unsigned i = 0; i < l->w->n_nodes; i++) {
        if (node_id_equal(&l->w->nodes[i].key.pk, id)) {
            return l->w->nodes[i].adversary == 0;
        }
    }
    return true;
}

/* The nearest that it found of those that play by the rules. */
static void take(const struct lookups *l, struct lookup_asked *q, const struct dht_action *a)
{
    q->is_over = true;
    for (size_t i = 0; i < a->found.n_nodes && !q->has_nearest; i++) {
        if (is_honest(l, &a->found.nodes[i].contact.id)) {
            q->nearest = a->found.nodes[i].contact.id;
            q->has_nearest = true;
        }
    }
}

void lookups_on_found(const struct dht *d, const struct dht_action *a)
{
    struct lookups *l = watching;
    for (unsigned i = 0; l != NULL && i < l->n; i++) {
        struct lookup_asked *q = &l->asked[i];
        const struct world_node *n = &l->w->nodes[q->node];
        if (n->node != NULL && &n->node->dht == d && q->handle == a->found.handle) {
            take(l, q, a);
            l->n_over++;
        }
    }
}

struct lookups *lookups_begin(struct world *w, struct rng *r, unsigned n)
{
    struct lookups *l = mem_alloc(&w->mem, sizeof(*l));
    unsigned first = (unsigned)rng_below(r, w->n_nodes);
    assert(l != NULL && n <= LOOKUPS_MAX);
    l->w = w;
    watching = l;
    for (; l->n < n; l->n++) {
        struct lookup_asked *q = &l->asked[l->n];
        q->node = (first + l->n) % w->n_nodes;
        while (w->nodes[q->node].adversary != 0) { /* theirs is their own affair */
            q->node = (q->node + 1) % w->n_nodes;
        }
        rng_fill(r, &q->target, sizeof(q->target));
        struct world_node *node = &w->nodes[q->node];
        assert(node->node != NULL);
        if (dht_find(&node->node->dht, world_local_us(node), &q->target, LOOKUP_CLOSEST,
                     &q->handle) != IPX_OK) {
            q->handle = 0; /* it knows nobody at the moment */
            q->is_over = true;
            l->n_over++;
        }
        world_drain(w, node);
    }
    return l;
}

bool lookups_are_over(struct world *w, void *lookups)
{
    const struct lookups *l = lookups;
    (void)w;
    return l->n_over == l->n;
}

static const struct world_node *true_closest(const struct lookups *l, const struct lookup_asked *q)
{
    const struct world_node *best = NULL;
    struct dht_pos best_pos = {0};
    for (unsigned i = 0; i < l->w->n_nodes; i++) {
        const struct world_node *n = &l->w->nodes[i];
        if (n->node == NULL || i == q->node || n->adversary != 0) {
            continue;
        }
        struct dht_pos pos = dht_pos_of(&l->w->made.mesh, n->node->self.nonce, &n->key.pk);
        if (best == NULL || dht_pos_compare(&q->target, &pos, &best_pos) < 0) {
            best = n;
            best_pos = pos;
        }
    }
    return best;
}

bool lookups_judge(const struct lookups *l, char *ret_text, size_t size)
{
    for (unsigned i = 0; i < l->n; i++) {
        const struct lookup_asked *q = &l->asked[i];
        const struct world_node *best = true_closest(l, q);
        if (q->handle == 0) {
            snprintf(ret_text, size, "n%u cannot begin a search", q->node);
            return false;
        }
        if (!q->is_over) {
            snprintf(ret_text, size, "a search of n%u does not end", q->node);
            return false;
        }
        if (best != NULL && (!q->has_nearest || !node_id_equal(&q->nearest, &best->key.pk))) {
            snprintf(ret_text, size, "a search of n%u misses n%u, the closest", q->node,
                     best->index);
            return false;
        }
    }
    return true;
}

void lookups_free(struct lookups *l)
{
    watching = NULL;
    mem_free(&l->w->mem, l);
}
