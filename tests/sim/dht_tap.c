/* SPDX-License-Identifier: Apache-2.0 */
/* Where the linker lets us look at what a DHT hands out (--wrap=dht_poll): searches that are over,
 * adversaries that alter what they say, and what an honest node says of others. */
#include "dht/core.h"
#include "tests/sim/adversary.h"
#include "tests/sim/oracle.h"
#include "tests/sim/plan.h"

bool __real_dht_poll(struct dht *d, struct dht_action *ret);
bool __wrap_dht_poll(struct dht *d, struct dht_action *ret);

/* A contact is handed on only by who has verified it, as it verified it. */
static void look_answer(struct world_node *n, const struct dht *d, const struct dht_action *a)
{
    struct dht_wire_msg m = {0};
    if (n->w->oracle == NULL || !dht_type_is_reply(a->send.type) ||
        dht_wire_decode(a->send.type, a->send.body, &m) != IPX_OK) {
        return;
    }
    for (unsigned i = 0; i < m.n_contacts; i++) {
        const struct dht_entry *e = dht_table_find(&d->table, &m.contacts[i].id);
        if (e == NULL || memcmp(e->nonce, m.contacts[i].nonce, sizeof(e->nonce)) != 0) {
            world_fail(n->w, "n%u hands on a contact that it has not verified", n->index);
        }
    }
}

/* What a search has found stands where its certificate puts it. */
static void look_found(struct world_node *n, const struct dht_action *a)
{
    for (size_t i = 0; i < a->found.n_nodes; i++) {
        const struct dht_found *f = &a->found.nodes[i];
        if (f->is_verified && !oracle_knows_nonce(n->w, &f->contact.id, f->contact.nonce)) {
            world_fail(n->w, "n%u has found one at a position that is not its certificate's",
                       n->index);
        }
    }
}

bool __wrap_dht_poll(struct dht *d, struct dht_action *ret)
{
    struct world_node *n = CONTAINER_OF(d, struct node, dht)->config.trace.user;
    while (__real_dht_poll(d, ret)) {
        if (ret->kind == DHT_ACTION_FOUND) {
            look_found(n, ret);
            lookups_on_found(d, ret);
        } else if (ret->kind == DHT_ACTION_SEND && n->adversary == ADVERSARY_NONE) {
            look_answer(n, d, ret);
        } else if (ret->kind == DHT_ACTION_SEND && !adversary_alters(n, ret)) {
            continue;
        }
        return true;
    }
    return false;
}
