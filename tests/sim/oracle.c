/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/oracle.h"

#include "node/session_core.h"
#include "node/session_parts.h"
#include "tests/sim/world_fault.h"

#define LOOK_US US_PER_S /* a node of 20 is looked at as often as this, of more more seldom */

void oracle_begin(struct oracle *o, struct world *w)
{
    *o = (struct oracle){.w = w, .period_us = LOOK_US * IPX_MAX(1u, w->n_nodes / 20)};
    struct tally *all[] = {&o->sealed, &o->credit, &o->attempts, &o->nonces, &o->view_at, &o->seqs};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        tally_init(all[i], &w->mem);
    }
    o->nodes = mem_alloc_array(&w->mem, w->n_slots, sizeof(*o->nodes));
    assert(o->nodes != NULL);
    w->oracle = o;
}

void oracle_done(struct oracle *o)
{
    struct tally *all[] = {&o->sealed, &o->credit, &o->attempts, &o->nonces, &o->view_at, &o->seqs};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        tally_done(all[i]);
    }
    mem_free(&o->w->mem, o->nodes);
    mem_free(&o->w->mem, o->views);
    o->w->oracle = NULL;
}

static int boot_compare(const struct gossip_boot *a, const struct gossip_boot *b)
{
    if (a->generation != b->generation) {
        return a->generation < b->generation ? -1 : 1;
    }
    return a->nonce == b->nonce ? 0 : a->nonce < b->nonce ? -1 : 1;
}

/* --- what a node says of itself --- */

/* Generation and record seq are on the disk before they are used, and higher than all before them
 * under this key, unless a disk was older than what had been said. */
static void look_self(struct oracle *o, struct world_node *n)
{
    struct oracle_node *s = &o->nodes[n->index];
    const struct gossip_member *self = gossip_self(&n->node->gossip);
    if (!node_id_equal(&s->key, &n->key.pk) || s->n_old_disks != n->n_old_disks) {
        *s = (struct oracle_node){.checked_us = s->checked_us,
                                  .learnt_run = s->learnt_run,
                                  .key = n->key.pk,
                                  .n_old_disks = n->n_old_disks};
    }
    uint64_t seq = n->node->dht.publish.record_seq;
    bool is_disk_true = n->n_old_disks == 0;
    uint64_t on_disk =
        n->disk.len[NODE_SAVE_SEQ] == 8 ? load_be64(n->disk.files[NODE_SAVE_SEQ]) : 0;
    if (self->boot.generation < s->told_generation || (seq != 0 && seq < s->told_seq)) {
        world_fail(o->w, "n%u goes back: generation %u after %llu, record %llu after %llu",
                   n->index, self->boot.generation, (unsigned long long)s->told_generation,
                   (unsigned long long)seq, (unsigned long long)s->told_seq);
    }
    bool is_stored = n->n_lost_saves > 0 || self->boot.generation <= n->disk.generation;
    if (!is_stored || (is_disk_true && seq > on_disk)) {
        world_fail(o->w, "n%u says generation %u, record %llu; its disk has %u, %llu", n->index,
                   self->boot.generation, (unsigned long long)seq, n->disk.generation,
                   (unsigned long long)on_disk);
    }
    s->told_generation = self->boot.generation;
    s->told_seq = IPX_MAX(seq, s->told_seq);
}

/* A revocation is never forgotten, and nothing is left of whom one strikes. */
static void look_revoked(struct oracle *o, struct world_node *n)
{
    struct oracle_node *s = &o->nodes[n->index];
    const struct chains *c = &n->node->chains;
    const struct faults *f = o->w->faults_on;
    struct session_info info;
    if (s->revoked_run != n->run && n->n_old_disks > 0) {
        s->n_revoked = 0;
    }
    s->revoked_run = n->run;
    if (c->revoked.n < s->n_revoked) {
        world_fail(o->w, "n%u had %u revocations and has %u", n->index, s->n_revoked, c->revoked.n);
    }
    s->n_revoked = c->revoked.n;
    for (const struct gossip_member *m = gossip_next(&n->node->gossip, NULL);
         c->revoked.n > 0 && m != NULL; m = gossip_next(&n->node->gossip, m)) {
        if (gossip_member_is_live(m) && chains_is_revoked(c, &m->facts)) {
            world_fail(o->w, "n%u has %s as a member, which it knows to be revoked", n->index,
                       m->facts.name);
        }
    }
    /* by a ticket one may ask for admission, and is refused */
    bool has_session = f != NULL && f->has_thief &&
                       session_find(n->node->sessions, &f->thief, &info) && !info.is_ticket;
    if (c->revoked.n > 0 && f != NULL && f->has_thief && n->index <= o->w->n_nodes &&
        (has_session || dht_table_find(&n->node->dht.table, &f->thief) != NULL)) {
        world_fail(o->w, "n%u has a %s of one that is revoked", n->index,
                   has_session ? "session" : "table entry");
    }
}

/* --- what it thinks of others --- */

static struct oracle_view *view_of(struct oracle *o, const struct world_node *n,
                                   const struct node_id *id)
{
    uint64_t *at = tally_at(&o->view_at, tally_key(n->index + 1, id, sizeof(*id)));
    if (*at == 0) {
        if (o->n_views == o->views_capacity) {
            o->views_capacity = o->views_capacity == 0 ? 256 : 2 * o->views_capacity;
            o->views = mem_realloc(&o->w->mem, o->views, o->views_capacity * sizeof(*o->views));
            assert(o->views != NULL);
        }
        *at = ++o->n_views;
    }
    return &o->views[*at - 1];
}

static void look_member(struct oracle *o, struct world_node *n, const struct gossip_member *m)
{
    struct oracle_view *v = view_of(o, n, &m->facts.id);
    int boots = boot_compare(&m->boot, &v->boot), ads = boot_compare(&m->ad_boot, &v->ad_boot);
    if (v->run == n->run && (boots < 0 || (boots == 0 && (m->incarnation < v->incarnation)) ||
                             ads < 0 || (ads == 0 && m->ad_version < v->ad_version))) {
        world_fail(o->w,
                   "what n%u knows of %s goes back: generation %u after %u, incarnation %u "
                   "after %u, ad %u after %u",
                   n->index, m->facts.name, m->boot.generation, v->boot.generation, m->incarnation,
                   v->incarnation, m->ad_version, v->ad_version);
    }
    *v = (struct oracle_view){.run = n->run,
                              .boot = m->boot,
                              .ad_boot = m->ad_boot,
                              .incarnation = m->incarnation,
                              .ad_version = m->ad_version};
}

/* Has this key ever had a certificate with this nonce? An admission that was lost on the way is
 * repeated with another one; who has seen the first goes by it until the second is heard. */
static uint64_t *nonce_of(struct oracle *o, const struct node_id *id, const uint8_t nonce[16])
{
    return tally_at(&o->nonces, tally_key(tally_key(1, id, sizeof(*id)), nonce, 16));
}

bool oracle_knows_nonce(struct world *w, const struct node_id *id, const uint8_t nonce[16])
{
    return w->oracle == NULL || *nonce_of(w->oracle, id, nonce) != 0;
}

/* Before it says anything as a member. */
static void learn_nonce(struct oracle *o, const struct world_node *n)
{
    struct oracle_node *s = &o->nodes[n->index];
    if (s->learnt_run != n->run && n->node->has_cores) {
        s->learnt_run = n->run;
        *nonce_of(o, &n->key.pk, n->node->self.nonce) = 1;
    }
}

/* Table position = position in the certificate; only members are in it. */
static void look_table(struct oracle *o, struct world_node *n)
{
    const struct dht_table *t = &n->node->dht.table;
    for (unsigned i = 0; i < t->n; i++) {
        const struct dht_entry *e = &t->entries[i];
        if (e->state == DHT_ENTRY_CANDIDATE || *nonce_of(o, &e->id, e->nonce) == 0) {
            world_fail(o->w, "n%u has one in its table that no certificate puts there", n->index);
        }
    }
}

/* Both ends of a session name each other and have the same keys. */
static void look_session(struct oracle *o, struct world_node *n, const struct node_id *id)
{
    const struct session_peer *peer = session_peer_find(n->node->sessions, id);
    for (unsigned i = 0; peer != NULL && peer->cur != NULL && i < o->w->n_slots; i++) {
        const struct world_node *other = &o->w->nodes[i];
        if (other->node == NULL || !node_id_equal(&other->key.pk, id)) {
            continue;
        }
        const struct session_slot *slot =
            index_find(&other->node->sessions->by_index, &peer->cur->peer_index);
        if (slot == NULL || slot->is_dial) {
            continue; /* it has forgotten, or was another run: packets find nothing there */
        }
        const struct session_key *key = (const struct session_key *)(const void *)slot;
        if (memcmp(key->recv, peer->cur->send, sizeof(key->recv)) != 0) {
            continue;
        }
        if (!node_id_equal(&slot->peer->id, &n->key.pk)) {
            world_fail(o->w, "n%u and n%u have a session in which they do not name each other",
                       n->index, i);
        }
        if (key->replay.top > peer->cur->sent) {
            world_fail(o->w, "n%u has taken counter %llu of n%u, which has sealed %llu packets", i,
                       (unsigned long long)key->replay.top - 1, n->index,
                       (unsigned long long)peer->cur->sent);
        }
    }
}

/* A record that is held gives way to a later one only. */
static void look_store(struct oracle *o, struct world_node *n)
{
    const struct dht_store *s = &n->node->dht.store;
    for (uint32_t i = 0; s->index != NULL && i < s->n_lists; i++) {
        const struct list *l;
        for (l = s->index[i].next; l != &s->index[i]; l = l->next) {
            const struct dht_held *h = CONTAINER_OF_CONST(l, struct dht_held, link);
            uint64_t key = tally_key(n->run * WORLD_NODES_MAX + n->index, &h->key, sizeof(h->key));
            uint64_t *seq = tally_at(&o->seqs, tally_key(key, &h->publisher, sizeof(h->publisher)));
            if (h->seq < *seq) {
                world_fail(o->w, "n%u held record %llu and now holds %llu of the same key",
                           n->index, (unsigned long long)*seq, (unsigned long long)h->seq);
            }
            *seq = h->seq;
        }
    }
}

static void look_sessions(struct oracle *o, struct world_node *n)
{
    struct session_info info;
    for (uint32_t i = 0; i < session_places(n->node->sessions); i++) {
        if (session_at(n->node->sessions, i, &info)) {
            look_session(o, n, &info.peer);
        }
    }
}

static void look(struct oracle *o, struct world_node *n)
{
    o->n_looks++;
    node_check(n->node);
    if (n->mem.used > ORACLE_NODE_BYTES) {
        world_fail(o->w, "n%u holds %zu bytes", n->index, n->mem.used);
    }
    if (!n->node->has_cores) {
        return;
    }
    look_self(o, n);
    look_revoked(o, n);
    for (const struct gossip_member *m = gossip_next(&n->node->gossip, NULL); m != NULL;
         m = gossip_next(&n->node->gossip, m)) {
        look_member(o, n, m);
    }
    look_table(o, n);
    look_store(o, n);
    look_sessions(o, n);
    oracle_look_work(o, n);
}

/* A deadline that is due again and again is a loop that takes the whole processor. */
static void count_turn(struct oracle *o, const struct world_node *n)
{
    struct oracle_node *s = &o->nodes[n->index];
    if (s->turns_second != o->w->now_us / US_PER_S) {
        s->turns_second = o->w->now_us / US_PER_S;
        s->n_turns = 0;
    }
    if (++s->n_turns > ORACLE_TURNS_S) {
        const struct node *x = n->node;
        uint64_t now = world_local_us(n);
        world_fail(o->w,
                   "n%u turns without end: deadline %lld us away, sessions %lld, dht %lld, "
                   "gossip %lld, exec %lld",
                   n->index, (long long)(node_deadline(x) - now),
                   (long long)(session_deadline(x->sessions) - now),
                   (long long)(x->has_cores ? dht_deadline(&x->dht) - now : 0),
                   (long long)(x->has_cores ? gossip_deadline(&x->gossip) - now : 0),
                   (long long)(x->has_cores ? exec_deadline(x->exec) - now : 0));
    }
}

/* --- for the world --- */

void oracle_on_start(struct world *w, struct world_node *n)
{
    if (w->oracle != NULL) {
        w->oracle->nodes[n->index].checked_us = w->now_us;
    }
}

void oracle_on_turn(struct world *w, struct world_node *n)
{
    struct oracle *o = w->oracle;
    if (o != NULL) {
        learn_nonce(o, n);
        count_turn(o, n);
    }
    if (o != NULL && w->now_us - o->nodes[n->index].checked_us >= o->period_us) {
        o->nodes[n->index].checked_us = w->now_us;
        look(o, n);
    }
}
