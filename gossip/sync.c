/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

/* When to compare, and what a comparison says. What is sent for it is in sync_push.c. */

void gossip_sync_init(struct gossip *g)
{
    g->sync = (struct gossip_sync){.next_us = NEVER_US};
    for (unsigned i = 0; i < GOSSIP_SYNC_ASKED; i++) {
        g->sync.asked[i].due_us = NEVER_US;
    }
}

void gossip_sync_done(struct gossip *g)
{
    mem_free(g->mem, g->sync.pushes);
    g->sync.pushes = NULL;
}

/* --- digest --- */

static void digest_add(uint64_t *bucket, const uint8_t salt[static GOSSIP_SALT_LEN],
                       const uint8_t *hash, size_t len)
{
    *bucket ^= crypt_short(salt, slice_of(hash, len));
}

static void digest_write(const uint64_t *buckets, unsigned n, uint8_t *ret)
{
    for (unsigned i = 0; i < n; i++) {
        store_be64(ret + (size_t)8 * i, buckets[i]);
    }
}

void gossip_version_of(const struct gossip_member *m, struct gossip_version *ret)
{
    *ret = (struct gossip_version){.prefix = gossip_prefix(&m->facts.id),
                                   .boot = m->boot,
                                   .incarnation = m->incarnation,
                                   .ad_boot = m->ad_boot,
                                   .ad_version = m->ad_version};
}

static void mark_make(const struct gossip_member *m, struct gossip_mark *ret)
{
    uint8_t bytes[sizeof(struct node_id) + GOSSIP_DIFF_ENTRY_LEN];
    struct gossip_version v;
    struct writer w = writer_of(bytes, sizeof(bytes));
    gossip_version_of(m, &v);
    writer_bytes(&w, slice_of(m->facts.id.bytes, sizeof(m->facts.id.bytes)));
    gossip_version_put(&w, &v);
    struct hash h = crypt_hash(writer_slice(&w));
    memcpy(ret->hash, h.bytes, sizeof(ret->hash));
    ret->is_stale = false;
}

void gossip_sync_digest(const struct gossip *g, const uint8_t salt[static GOSSIP_SALT_LEN],
                        uint8_t ret[static GOSSIP_DIGEST_LEN])
{
    uint64_t buckets[GOSSIP_BUCKETS] = {0};
    for (uint32_t slot = 0; slot < g->members.capacity; slot++) {
        struct gossip_mark *mark = &g->members.marks[slot];
        if (mark->is_live) {
            if (mark->is_stale) {
                mark_make(g->members.slots[slot], mark);
            }
            digest_add(&buckets[mark->bucket], salt, mark->hash, sizeof(mark->hash));
        }
    }
    digest_write(buckets, GOSSIP_BUCKETS, ret);
}

void gossip_sync_doc_digest(const struct gossip *g, const uint8_t salt[static GOSSIP_SALT_LEN],
                            uint8_t ret[static GOSSIP_DOC_DIGEST_LEN])
{
    uint64_t buckets[GOSSIP_DOC_BUCKETS] = {0};
    for (uint32_t i = 0; i < g->docs.n; i++) {
        const struct gossip_doc *doc = g->docs.slots[i];
        if (doc->is_accepted) {
            digest_add(&buckets[gossip_doc_prefix(doc) >> 61], salt, doc->key.bytes,
                       sizeof(doc->key.bytes));
        }
    }
    digest_write(buckets, GOSSIP_DOC_BUCKETS, ret);
}

void gossip_sync_marks_check(const struct gossip *g)
{
    for (const struct gossip_member *m = gossip_members_next(&g->members, NULL); m != NULL;
         m = gossip_members_next(&g->members, m)) {
        const struct gossip_mark *mark = &g->members.marks[m->slot];
        struct gossip_mark right;
        mark_make(m, &right);
        assert(mark->is_stale || memcmp(mark->hash, right.hash, sizeof(right.hash)) == 0);
        assert(mark->name == gossip_member_name(&m->facts));
        assert(mark->bucket == gossip_prefix(&m->facts.id) >> 58);
    }
}

static uint64_t digest_mask(const uint8_t *a, const uint8_t *b, unsigned n_buckets)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < n_buckets; i++) {
        if (memcmp(a + (size_t)8 * i, b + (size_t)8 * i, 8) != 0) {
            mask |= UINT64_C(1) << i;
        }
    }
    return mask;
}

/* --- when --- */

static uint64_t follow_us(const struct gossip *g)
{
    uint64_t n = gossip_members_live(&g->members);
    return GOSSIP_SYNC_FOLLOW_US * IPX_MAX(n / GOSSIP_SYNC_CALM_N, (uint64_t)1);
}

static bool sync_is_quick(const struct gossip_sync *s)
{
    return s->n_follows > 0 || s->n_join > 0 ||
           (s->n_quick > 0 && s->n_quick <= GOSSIP_SYNC_QUICK_MAX);
}

void gossip_sync_news(struct gossip *g, uint64_t now_us)
{
    uint64_t due_us = now_us + rng_jitter(&g->rng, follow_us(g), 25);
    g->sync.n_follows = GOSSIP_SYNC_FOLLOWS;
    g->sync.n_follow = 0;
    g->sync.next_us = IPX_MIN(g->sync.next_us, due_us);
}

static void sync_schedule(struct gossip *g, uint64_t now_us)
{
    struct gossip_sync *s = &g->sync;
    uint64_t wait_us = GOSSIP_SYNC_INTERVAL_US;
    if (s->n_quick > 0 && s->n_quick <= GOSSIP_SYNC_QUICK_MAX) {
        wait_us = GOSSIP_SYNC_AGAIN_US;
    } else if (s->n_follows > 0) {
        wait_us = follow_us(g);
    }
    if (s->n_join > 0) {
        wait_us = IPX_MIN(wait_us, GOSSIP_SYNC_ANSWER_US);
    }
    s->next_us = now_us + rng_jitter(&g->rng, wait_us, 20);
}

void gossip_sync_start(struct gossip *g, uint64_t now_us, const struct gossip_peer *to)
{
    struct gossip_sync *s = &g->sync;
    uint8_t digest[GOSSIP_DIGEST_LEN];
    uint8_t doc_digest[GOSSIP_DOC_DIGEST_LEN];
    struct gossip_msg msg = {.digest = slice_of(digest, sizeof(digest)),
                             .doc_digest = slice_of(doc_digest, sizeof(doc_digest))};
    rng_fill(&g->rng, msg.salt, sizeof(msg.salt));
    gossip_sync_digest(g, msg.salt, digest);
    gossip_sync_doc_digest(g, msg.salt, doc_digest);
    uint32_t req_id = ++g->prober.req_id;
    s->asked[s->next_asked] = (struct gossip_asked){
        .id = to->id, .req_id = req_id, .due_us = now_us + GOSSIP_SYNC_ANSWER_US};
    s->next_asked = (uint8_t)((s->next_asked + 1) % GOSSIP_SYNC_ASKED);
    s->last_us = now_us;
    s->next_us = now_us + GOSSIP_SYNC_ANSWER_US; /* until the answer says better */
    gossip_send(g, to, GOSSIP_TYPE_DIGEST, req_id, &msg);
}

void gossip_sync_join(struct gossip *g, uint64_t now_us, const struct gossip_peer *to)
{
    struct gossip_sync *s = &g->sync;
    s->join = *to;
    if (g->members.n > 1) {
        s->n_join--; /* alone there is nothing else to try */
    }
    gossip_sync_push(g, to, GOSSIP_SELF_SLOT,
                     GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN | GOSSIP_WANT_AD);
    gossip_sync_start(g, now_us, to);
    s->n_quick = 1;
}

static struct gossip_member *random_member(struct gossip *g)
{
    const struct gossip_members *t = &g->members;
    uint32_t start = (uint32_t)rng_below(&g->rng, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        struct gossip_member *m = t->slots[t->sorted[(start + i) % t->n]];
        if (m != g->self && m->state == GOSSIP_STATE_ALIVE) {
            return m;
        }
    }
    return NULL;
}

/* No answer within a second: that one is as good as a difference. */
static void sync_expire(struct gossip *g, uint64_t now_us)
{
    struct gossip_sync *s = &g->sync;
    for (unsigned i = 0; i < GOSSIP_SYNC_ASKED; i++) {
        if (s->asked[i].due_us <= now_us) {
            s->asked[i].due_us = NEVER_US;
            s->n_quick = IPX_MAX(s->n_quick, (uint8_t)1);
        }
    }
}

void gossip_sync_tick(struct gossip *g, uint64_t now_us, bool is_slow)
{
    struct gossip_sync *s = &g->sync;
    if (s->next_us > now_us || (!is_slow && !sync_is_quick(s))) {
        return;
    }
    sync_expire(g, now_us);
    const struct gossip_member *contact = gossip_members_find(&g->members, &s->join.id);
    if (contact != NULL && gossip_member_is_live(contact)) {
        s->n_join = 0; /* it is one of us now: the usual exchanges do the rest */
    }
    if (s->n_join > 0) {
        struct gossip_peer to = s->join;
        gossip_sync_join(g, now_us, &to);
        return;
    }
    struct gossip_member *m = s->n_follows > 0
                                  ? gossip_members_successor(&g->members, g->self, s->n_follow + 1U)
                                  : random_member(g);
    if (m == NULL) {
        s->n_follows = s->n_quick = 0;
        s->next_us = g->members.n < 2 ? NEVER_US : now_us + GOSSIP_SYNC_INTERVAL_US;
        return;
    }
    if (s->n_follows > 0) {
        s->n_follow = (uint8_t)((s->n_follow + 1) % GOSSIP_SYNC_FOLLOWS);
    }
    struct gossip_peer to = gossip_peer_of(m);
    gossip_sync_start(g, now_us, &to);
}

uint64_t gossip_sync_deadline(const struct gossip *g)
{
    uint64_t due_us = sync_is_quick(&g->sync) ? g->sync.next_us : NEVER_US;
    if (g->sync.n_pushes > 0) { /* paced */
        due_us = IPX_MIN(due_us, g->sync.push_bucket.filled_us + GOSSIP_SYNC_PUSH_REFILL_US);
    }
    return due_us;
}

/* --- messages --- */

void gossip_sync_recv_digest(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                             uint32_t req_id, const struct gossip_msg *m)
{
    uint8_t digest[GOSSIP_DIGEST_LEN];
    uint8_t doc_digest[GOSSIP_DOC_DIGEST_LEN];
    (void)now_us;
    gossip_sync_digest(g, m->salt, digest);
    gossip_sync_doc_digest(g, m->salt, doc_digest);
    uint64_t mask = digest_mask(digest, m->digest.data, GOSSIP_BUCKETS);
    uint64_t doc_mask = digest_mask(doc_digest, m->doc_digest.data, GOSSIP_DOC_BUCKETS);
    if (mask == 0 && doc_mask == 0) {
        struct gossip_msg same = {0};
        gossip_send(g, from, GOSSIP_TYPE_DIFF, req_id, &same);
        return;
    }
    gossip_sync_answer(g, from, req_id, doc_mask, true); /* revocations go before what they end */
    gossip_sync_answer(g, from, req_id, mask, false);
}

static bool diff_is_ours(struct gossip *g, const struct gossip_peer *from, uint32_t req_id,
                         bool *ret_is_first)
{
    for (unsigned i = 0; i < GOSSIP_SYNC_ASKED; i++) {
        struct gossip_asked *a = &g->sync.asked[i];
        if (a->req_id == req_id && node_id_equal(&a->id, &from->id)) {
            *ret_is_first = a->due_us != NEVER_US;
            a->due_us = NEVER_US;
            return true;
        }
    }
    return false;
}

/* One line of theirs against ours: what we want of them. */
static unsigned diff_member(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                            const struct gossip_version *v)
{
    struct gossip_member *m = gossip_members_prefix(&g->members, v->prefix);
    if (m == NULL) {
        return GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN | GOSSIP_WANT_AD;
    }
    int order = gossip_member_compare(m, &v->boot, v->incarnation);
    if (!gossip_member_is_live(m) && order <= 0) {
        if (m->state == GOSSIP_STATE_LEFT || gossip_member_died_lately(g, m)) {
            gossip_sync_push(g, from, m->slot, GOSSIP_WANT_STATE);
        } else {
            gossip_probe_doubt(g, m);
        }
        return 0;
    }
    unsigned want = 0;
    unsigned push = 0;
    if (order > 0) { /* of ourselves: what was told of an earlier boot */
        want |= GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN;
    } else if (order < 0) {
        push |= GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN;
    }
    int ad_order = gossip_boot_compare(&v->ad_boot, &m->ad_boot);
    if (ad_order == 0 && v->ad_version != m->ad_version) {
        ad_order = v->ad_version < m->ad_version ? -1 : 1;
    }
    if (ad_order > 0) {
        want |= GOSSIP_WANT_AD;
    } else if (ad_order < 0) {
        push |= GOSSIP_WANT_AD;
    }
    if (push != 0) {
        gossip_sync_push(g, from, m->slot, push);
    }
    (void)now_us;
    return want;
}

static void diff_members(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                         const struct gossip_msg *m, struct writer *wants)
{
    struct reader r = reader_of(m->entries);
    while (reader_left(&r) > 0) {
        struct gossip_version v;
        gossip_version_read(&r, &v);
        unsigned want = diff_member(g, now_us, from, &v);
        if (want != 0) {
            writer_u64(wants, v.prefix);
            writer_u8(wants, (uint8_t)want);
        }
    }
    /* entries stand in order, as `sorted` does: both are walked once */
    size_t at = 0;
    for (uint32_t i = gossip_members_lower(&g->members, m->low); i < g->members.n; i++) {
        uint16_t slot = g->members.sorted[i];
        uint64_t prefix = gossip_prefix(&g->members.slots[slot]->facts.id);
        if (prefix > m->high) {
            break;
        }
        if (!g->members.marks[slot].is_live || (m->mask >> (prefix >> 58) & 1) == 0) {
            continue;
        }
        while (at < m->entries.len && load_be64(m->entries.data + at) < prefix) {
            at += GOSSIP_DIFF_ENTRY_LEN;
        }
        if (at == m->entries.len || load_be64(m->entries.data + at) != prefix) {
            gossip_sync_push(g, from, slot, GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN | GOSSIP_WANT_AD);
        }
    }
}

static bool entries_have(struct slice entries, uint64_t prefix)
{
    for (size_t at = 0; at < entries.len; at += 8) {
        if (load_be64(entries.data + at) == prefix) {
            return true;
        }
    }
    return false;
}

static void diff_docs(struct gossip *g, const struct gossip_peer *from, const struct gossip_msg *m,
                      struct writer *wants)
{
    unsigned n = 0;
    for (size_t at = 0; at < m->entries.len; at += 8) {
        uint64_t prefix = load_be64(m->entries.data + at);
        if (gossip_docs_prefix(&g->docs, prefix) == NULL && n < GOSSIP_PULLS_MAX) {
            writer_u64(wants, prefix);
            writer_u8(wants, GOSSIP_WANT_DOC);
            n++;
        }
    }
    for (uint32_t i = gossip_docs_lower(&g->docs, m->low); i < g->docs.n; i++) {
        const struct gossip_doc *doc = g->docs.slots[i];
        uint64_t prefix = gossip_doc_prefix(doc);
        if (prefix > m->high) {
            break;
        }
        if (doc->is_accepted && (m->mask >> (prefix >> 61) & 1) != 0 &&
            !entries_have(m->entries, prefix)) {
            gossip_sync_push_doc(g, from, prefix);
        }
    }
}

void gossip_sync_recv_diff(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                           uint32_t req_id, const struct gossip_msg *m)
{
    struct gossip_sync *s = &g->sync;
    uint8_t bytes[GOSSIP_PULLS_MAX * GOSSIP_PULL_ENTRY_LEN];
    struct writer wants = writer_of(bytes, sizeof(bytes));
    bool is_first = false;
    if (!diff_is_ours(g, from, req_id, &is_first)) {
        g->stats.n_refused++;
        return;
    }
    if (m->mask == 0) {
        s->n_quick = 0;
        s->n_follows = (uint8_t)(s->n_follows > 0 ? s->n_follows - 1 : 0);
        sync_schedule(g, now_us);
        return;
    }
    if (is_first) {
        s->n_quick = (uint8_t)IPX_MIN(s->n_quick + 1, UINT8_MAX);
        sync_schedule(g, now_us);
    }
    if (m->is_docs) {
        diff_docs(g, from, m, &wants);
    } else {
        diff_members(g, now_us, from, m, &wants);
    }
    if (wants.len > 0) {
        struct gossip_msg pull = {.entries = slice_of(bytes, wants.len)};
        gossip_send(g, from, GOSSIP_TYPE_PULL, 0, &pull);
    }
}
