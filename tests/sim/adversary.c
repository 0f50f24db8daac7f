/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/adversary.h"

#include <stdio.h>

#include "dht/core.h"

static bool silent(struct world_node *n, struct dht_action *a, uint8_t *body)
{
    (void)n;
    (void)a;
    (void)body;
    return false;
}

static bool slow(struct world_node *n, struct dht_action *a, uint8_t *body)
{
    (void)a;
    (void)body;
    return ++n->n_altered % 3 == 0;
}

/* Nearest to the target first, as honest answers are. */
static void sort(const struct world *w, struct dht_wire_msg *m, const struct dht_pos *target)
{
    for (unsigned i = 1; i < m->n_contacts; i++) {
        for (unsigned j = i; j > 0; j--) {
            struct dht_contact *x = &m->contacts[j - 1], *y = &m->contacts[j], swap = *x;
            struct dht_pos px = dht_pos_of(&w->made.mesh, x->nonce, &x->id);
            struct dht_pos py = dht_pos_of(&w->made.mesh, y->nonce, &y->id);
            if (dht_pos_compare(target, &px, &py) > 0) {
                *x = *y;
                *y = swap;
            }
        }
    }
}

static bool rewrite(struct world_node *n, struct dht_action *a, uint8_t *body,
                    void (*each)(struct world_node *n, struct dht_wire_msg *m))
{
    struct dht_wire_msg m = {0};
    struct writer w = writer_of(body, DHT_BODY_MAX);
    if (dht_wire_decode(a->send.type, a->send.body, &m) != IPX_OK || m.n_contacts == 0) {
        return true;
    }
    m.type = a->send.type;
    each(n, &m);
    dht_wire_encode(&m, &w);
    a->send.body = writer_slice(&w);
    return true;
}

static void forget_all(struct world_node *n, struct dht_wire_msg *m)
{
    (void)n;
    m->n_contacts = 0;
}

/* The order is that of the positions it claims: towards the first of the true ones. */
static void turn_nonces(struct world_node *n, struct dht_wire_msg *m)
{
    struct dht_pos target = dht_pos_of(&n->w->made.mesh, m->contacts[0].nonce, &m->contacts[0].id);
    for (unsigned i = 0; i < m->n_contacts; i++) {
        if ((m->contacts[i].flags & DHT_FLAG_NO_NONCE) == 0) {
            m->contacts[i].nonce[n->n_altered++ % 16] ^= 0x55;
        }
    }
    sort(n->w, m, &target);
}

static void invent(struct world_node *n, struct dht_wire_msg *m)
{
    struct dht_pos target = dht_pos_of(&n->w->made.mesh, m->contacts[0].nonce, &m->contacts[0].id);
    for (unsigned i = 0; i < m->n_contacts; i += 2) {
        struct crypt_keypair key;
        uint8_t seed[32] = {0};
        store_be64(seed, ++n->n_altered);
        store_be64(seed + 8, n->index);
        if (crypt_keypair_from_seed(seed, &key) == IPX_OK) {
            m->contacts[i].id = key.pk;
        }
    }
    sort(n->w, m, &target);
}

static void tell_own_kind(struct world_node *n, struct dht_wire_msg *m)
{
    m->n_contacts = 0;
    for (unsigned i = 2; i < n->w->n_nodes && m->n_contacts < DHT_CONTACTS_MAX; i++) {
        const struct world_node *other = &n->w->nodes[i];
        if (other != n && other->adversary != 0 && other->node != NULL && other->node->has_cores) {
            struct dht_contact *c = &m->contacts[m->n_contacts++];
            *c = (struct dht_contact){.id = other->key.pk, .addr = other->addr};
            memcpy(c->nonce, other->node->self.nonce, sizeof(c->nonce));
        }
    }
}

static bool empty(struct world_node *n, struct dht_action *a, uint8_t *body)
{
    return rewrite(n, a, body, forget_all);
}

static bool nonce_liar(struct world_node *n, struct dht_action *a, uint8_t *body)
{
    return rewrite(n, a, body, turn_nonces);
}

static bool inventor(struct world_node *n, struct dht_action *a, uint8_t *body)
{
    return rewrite(n, a, body, invent);
}

static bool colluder(struct world_node *n, struct dht_action *a, uint8_t *body)
{
    return rewrite(n, a, body, tell_own_kind);
}

#define LATE_US (400 * US_PER_MS)
const struct adversary_class adversary_classes[] = {
    [ADVERSARY_NONE] = {"none", "plays by the rules", NULL, NULL, 0},
    [ADVERSARY_SILENT] = {"silent", "never answers the DHT", silent, NULL, 0},
    [ADVERSARY_SLOW] = {"slow", "answers every third question only", slow, NULL, 0},
    [ADVERSARY_EMPTY] = {"empty", "answers that it knows nobody", empty, NULL, 0},
    [ADVERSARY_NONCE_LIAR] = {"nonce-liar", "tells contacts with nonces not theirs", nonce_liar,
                              NULL, 0},
    [ADVERSARY_INVENTOR] = {"inventor", "tells of nodes that do not exist", inventor, NULL, 0},
    [ADVERSARY_COLLUDER] = {"colluder", "tells of other adversaries only", colluder, NULL, 0},
    [ADVERSARY_GARBAGE] = {"garbage", "stores broken records", NULL, adversary_garbage, 0},
    [ADVERSARY_ACCUSER] = {"accuser", "probes nobody, accuses all", NULL, adversary_accuse, 0},
    [ADVERSARY_FLOODER] = {"flooder", "says all of the DHT ten times", NULL, adversary_flood, 0},
    [ADVERSARY_LATE] = {"late", "each packet of it is 400 ms late", NULL, NULL, LATE_US},
    [ADVERSARY_REPLAYER] = {"replayer", "says again, to whomever, what it said before", NULL,
                            adversary_replay, 0},
};

bool adversaries_parse(const char *text, uint32_t *ret_bits)
{
    uint32_t bits = 0;
    if (strcmp(text, "all") == 0) {
        *ret_bits = ADVERSARY_BIT(ADVERSARY_N) - 1 - ADVERSARY_BIT(ADVERSARY_NONE);
        return true;
    }
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        unsigned i = 0;
        while (i < ADVERSARY_N && (strlen(adversary_classes[i].name) != len ||
                                   strncmp(adversary_classes[i].name, text, len) != 0)) {
            i++;
        }
        if (i == ADVERSARY_N) {
            return false;
        }
        bits |= i == ADVERSARY_NONE ? 0 : ADVERSARY_BIT(i);
        text += len + (text[len] == ',');
    }
    *ret_bits = bits;
    return true;
}

void adversaries_print(uint32_t bits, char *text, size_t size)
{
    size_t len = 0;
    for (unsigned i = 1; i < ADVERSARY_N; i++) {
        if ((bits & ADVERSARY_BIT(i)) != 0 && len < size) {
            len += (size_t)snprintf(text + len, size - len, "%s%s", len > 0 ? "," : "",
                                    adversary_classes[i].name);
        }
    }
    if (len == 0) {
        snprintf(text, size, "none");
    }
}

void adversaries_begin(struct world *w, uint32_t bits)
{
    unsigned at = w->n_nodes;
    if (bits != 0) {
        adversary_wire_begin(w);
    }
    for (unsigned k = 0; k + 1 < ADVERSARY_N; k++) {
        /* where not all find a place, the seed says which do */
        unsigned i = 1 + (unsigned)((k + w->options.seed) % (ADVERSARY_N - 1));
        if ((bits & ADVERSARY_BIT(i)) != 0 && at > 2 && 2 * (at - 1) > w->n_nodes) {
            w->nodes[--at].adversary = (uint8_t)i;
            w->n_evil++;
        }
    }
}

bool adversary_alters(struct world_node *n, struct dht_action *a)
{
    static uint8_t body[DHT_BODY_MAX]; /* until the next poll: as long as an action lives */
    const struct adversary_class *c = &adversary_classes[n->adversary];
    return c->alter == NULL || !dht_type_is_reply(a->send.type) || c->alter(n, a, body);
}
