/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

/* What a comparison makes us send: lists of versions, members, documents; written one packet
 * at a time when poll asks. */

/* --- lists of versions --- */

void gossip_sync_answer(struct gossip *g, const struct gossip_peer *to, uint32_t req_id,
                        uint64_t mask, bool is_docs)
{
    if (mask == 0) {
        return;
    }
    for (unsigned i = 0; i < GOSSIP_SYNC_JOBS; i++) {
        struct gossip_diff_job *job = &g->sync.jobs[i];
        if (!job->is_used) {
            *job = (struct gossip_diff_job){
                .to = *to, .req_id = req_id, .mask = mask, .is_docs = is_docs, .is_used = true};
            return;
        }
    }
    g->out.n_dropped++; /* it asks another after a second */
}

static void diff_fill_members(const struct gossip *g, const struct gossip_diff_job *job,
                              struct writer *w, uint64_t *ret_next)
{
    const struct gossip_members *t = &g->members;
    unsigned n = 0;
    *ret_next = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct gossip_member *m = t->slots[t->sorted[i]];
        struct gossip_version v;
        gossip_version_of(m, &v);
        if (v.prefix < job->low || !gossip_member_is_live(m) ||
            (job->mask >> (v.prefix >> 58) & 1) == 0) {
            continue;
        }
        if (n == GOSSIP_DIFF_ENTRIES_MAX) {
            *ret_next = v.prefix;
            return;
        }
        gossip_version_put(w, &v);
        n++;
    }
}

static void diff_fill_docs(const struct gossip *g, const struct gossip_diff_job *job,
                           struct writer *w, uint64_t *ret_next)
{
    unsigned n = 0;
    *ret_next = 0;
    for (uint32_t i = gossip_docs_lower(&g->docs, job->low); i < g->docs.n; i++) {
        const struct gossip_doc *doc = g->docs.slots[i];
        uint64_t prefix = gossip_doc_prefix(doc);
        if (!doc->is_accepted || (job->mask >> (prefix >> 61) & 1) == 0) {
            continue;
        }
        if (n == GOSSIP_DIFF_DOCS_MAX) {
            *ret_next = prefix;
            return;
        }
        writer_u64(w, prefix);
        n++;
    }
}

static void diff_write(struct gossip *g, struct gossip_diff_job *job, struct slice *ret_body)
{
    uint8_t entries[GOSSIP_BODY_MAX];
    uint64_t next = 0;
    struct writer e = writer_of(entries, sizeof(entries));
    struct gossip_msg msg = {.mask = job->mask, .is_docs = job->is_docs, .low = job->low};
    if (job->is_docs) {
        diff_fill_docs(g, job, &e, &next);
    } else {
        diff_fill_members(g, job, &e, &next);
    }
    msg.high = next == 0 ? UINT64_MAX : next - 1;
    msg.entries = slice_of(entries, e.len);
    struct writer w = writer_of(g->out.body, sizeof(g->out.body));
    gossip_msg_encode(GOSSIP_TYPE_DIFF, &msg, &w);
    assert(!e.failed && !w.failed);
    *ret_body = writer_slice(&w);
    job->low = next;
    job->n_packets++;
    if (next == 0 || job->n_packets == GOSSIP_SYNC_DIFFS_MAX) {
        job->is_used = false;
    }
}

/* --- pushes --- */

/* Index of the receiver; GOSSIP_SYNC_PEERS if there is no room. */
static unsigned push_peer(struct gossip *g, const struct gossip_peer *to)
{
    unsigned found = GOSSIP_SYNC_PEERS;
    for (unsigned i = 0; i < GOSSIP_SYNC_PEERS; i++) {
        struct gossip_push_peer *p = &g->sync.peers[i];
        if (p->n > 0 && node_id_equal(&p->peer.id, &to->id)) {
            return i;
        }
        if (p->n == 0 && found == GOSSIP_SYNC_PEERS) {
            found = i;
        }
    }
    if (found < GOSSIP_SYNC_PEERS) {
        g->sync.peers[found].peer = *to;
    }
    return found;
}

static bool push_room(struct gossip *g)
{
    struct gossip_sync *s = &g->sync;
    if (s->n_pushes < s->pushes_cap) {
        return true;
    }
    uint32_t cap = s->pushes_cap == 0 ? GOSSIP_SYNC_PUSHES_STEP : s->pushes_cap * 2;
    void *pushes = cap > GOSSIP_SYNC_PUSHES_MAX
                       ? NULL
                       : mem_realloc(g->mem, s->pushes, cap * sizeof(struct gossip_push));
    if (pushes == NULL) {
        return false;
    }
    s->pushes = pushes;
    s->pushes_cap = cap;
    return true;
}

static void push_add(struct gossip *g, const struct gossip_peer *to, uint16_t slot, uint64_t prefix,
                     unsigned want)
{
    struct gossip_sync *s = &g->sync;
    unsigned peer = push_peer(g, to);
    if (peer == GOSSIP_SYNC_PEERS) {
        g->out.n_dropped++;
        return;
    }
    for (uint32_t i = 0; i < s->n_pushes && s->peers[peer].n > 0; i++) {
        struct gossip_push *p = &s->pushes[i];
        if (p->peer == peer && p->slot == slot && p->prefix == prefix) {
            p->want = (uint8_t)(p->want | want);
            return;
        }
    }
    if (!push_room(g)) {
        g->out.n_dropped++;
        return;
    }
    s->pushes[s->n_pushes++] = (struct gossip_push){
        .prefix = prefix, .slot = slot, .want = (uint8_t)want, .peer = (uint8_t)peer};
    s->peers[peer].n++;
}

void gossip_sync_push(struct gossip *g, const struct gossip_peer *to, uint16_t slot, unsigned want)
{
    assert(g->members.slots[slot] != NULL && want != 0);
    push_add(g, to, slot, 0, want);
}

void gossip_sync_push_doc(struct gossip *g, const struct gossip_peer *to, uint64_t prefix)
{
    push_add(g, to, GOSSIP_NO_SLOT, prefix, GOSSIP_WANT_DOC);
}

static void push_remove(struct gossip *g, uint32_t i)
{
    struct gossip_sync *s = &g->sync;
    assert(s->peers[s->pushes[i].peer].n > 0);
    s->peers[s->pushes[i].peer].n--;
    memmove(&s->pushes[i], &s->pushes[i + 1], (s->n_pushes - i - 1) * sizeof(s->pushes[0]));
    s->n_pushes--;
    if (s->n_pushes == 0 && s->pushes_cap > GOSSIP_SYNC_PUSHES_STEP) {
        mem_free(g->mem, s->pushes); /* a storm is over */
        s->pushes = NULL;
        s->pushes_cap = 0;
    }
}

void gossip_sync_forget(struct gossip *g, uint16_t slot)
{
    for (uint32_t i = g->sync.n_pushes; i > 0; i--) {
        if (g->sync.pushes[i - 1].slot == slot) {
            push_remove(g, i - 1);
        }
    }
}

void gossip_sync_recv_pull(struct gossip *g, const struct gossip_peer *from,
                           const struct gossip_msg *m)
{
    struct reader r = reader_of(m->entries);
    while (reader_left(&r) > 0) {
        uint64_t prefix = reader_u64(&r);
        unsigned want = reader_u8(&r);
        if ((want & GOSSIP_WANT_DOC) != 0) {
            gossip_sync_push_doc(g, from, prefix);
            continue;
        }
        const struct gossip_member *own = gossip_members_prefix(&g->members, prefix);
        want &= GOSSIP_WANT_STATE | GOSSIP_WANT_CHAIN | GOSSIP_WANT_AD;
        if (own != NULL && want != 0) {
            gossip_sync_push(g, from, own->slot, want);
        }
    }
}

/* The last word on a member: its own, or of the dead the verdict. */
static struct slice state_bytes(const struct gossip_member *m)
{
    if (gossip_member_is_live(m)) {
        return gossip_bytes_slice(&m->alive);
    }
    if (m->state == GOSSIP_STATE_LEFT) {
        return gossip_bytes_slice(&m->leave);
    }
    for (unsigned i = 0; i < m->n_accusers; i++) {
        if (m->accusers[i].is_dead) {
            return gossip_bytes_slice(&m->accusers[i].item);
        }
    }
    return SLICE_EMPTY;
}

/* The items of one member; what does not fit stays wanted. `push->want` 0 when all is in. */
static void push_pack_member(struct gossip *g, struct gossip_push *push, struct gossip_packer *p)
{
    const struct gossip_member *m = g->members.slots[push->slot];
    struct slice state = state_bytes(m);
    struct gossip_item chain = {.kind = GOSSIP_KIND_CHAIN, .body = gossip_bytes_slice(&m->chain)};
    struct gossip_item note;
    bool is_gone = !gossip_member_is_live(m);
    if (state.len == 0) { /* shut out: nothing is said of it */
        push->want = 0;
        return;
    }
    if ((push->want & GOSSIP_WANT_STATE) != 0) {
        /* a statement and its chain go together where that is possible */
        size_t both = state.len + ((push->want & GOSSIP_WANT_CHAIN) != 0 ? chain.body.len + 8 : 0);
        bool may_wait = p->n > 0 && p->len + both > p->room;
        if (may_wait || !gossip_packer_add(p, state)) {
            return;
        }
        push->want &= (uint8_t)~GOSSIP_WANT_STATE;
    }
    if ((push->want & GOSSIP_WANT_CHAIN) != 0) {
        if (!is_gone && !gossip_packer_add_item(p, &chain)) {
            return;
        }
        push->want &= (uint8_t)~GOSSIP_WANT_CHAIN;
    }
    if ((push->want & GOSSIP_WANT_AD) != 0) {
        bool is_in = is_gone || m->ad_item.len == 0;
        if (!is_in && m->ad_item.len > GOSSIP_ADS_INLINE_MAX) {
            is_in = !gossip_ads_note_item(gossip_bytes_slice(&m->ad_item), &note) ||
                    gossip_packer_add_item(p, &note);
        } else if (!is_in) {
            is_in = gossip_packer_add(p, gossip_bytes_slice(&m->ad_item));
        }
        if (!is_in) {
            return;
        }
        if (!is_gone && m->vitals_item.len > 0) { /* a newcomer wants to know whom to ask */
            gossip_packer_add(p, gossip_bytes_slice(&m->vitals_item));
        }
        push->want = 0;
    }
}

static void push_pack(struct gossip *g, struct gossip_push *push, struct gossip_packer *p)
{
    if ((push->want & GOSSIP_WANT_DOC) == 0) {
        push_pack_member(g, push, p);
        return;
    }
    const struct gossip_doc *doc = gossip_docs_prefix(&g->docs, push->prefix);
    if (doc == NULL || !doc->is_accepted || gossip_packer_add(p, gossip_bytes_slice(&doc->item))) {
        push->want = 0;
    }
}

static bool push_write(struct gossip *g, struct gossip_peer *ret_to, struct slice *ret_body)
{
    struct gossip_sync *s = &g->sync;
    struct gossip_packer p;
    gossip_packer_init(&p, GOSSIP_ITEMS_LEN_MAX);
    unsigned peer = s->pushes[0].peer;
    *ret_to = s->peers[peer].peer;
    for (uint32_t i = 0; i < s->n_pushes && p.n < GOSSIP_ITEMS_MAX;) {
        if (s->pushes[i].peer != peer) {
            i++;
            continue;
        }
        push_pack(g, &s->pushes[i], &p);
        if (s->pushes[i].want != 0 && p.n > 0) {
            break; /* in order: the rest in the next packet */
        }
        push_remove(g, i); /* done, or too long for any packet */
    }
    if (p.n == 0) {
        return false;
    }
    struct gossip_msg msg = {.items = gossip_packer_items(&p)};
    struct writer w = writer_of(g->out.body, sizeof(g->out.body));
    gossip_msg_encode(GOSSIP_TYPE_SPREAD, &msg, &w);
    assert(!w.failed);
    *ret_body = writer_slice(&w);
    return true;
}

bool gossip_sync_poll(struct gossip *g, struct gossip_peer *ret_to, uint8_t *ret_type,
                      uint32_t *ret_req_id, struct slice *ret_body)
{
    struct gossip_sync *s = &g->sync;
    for (unsigned i = 0; i < GOSSIP_SYNC_JOBS; i++) {
        struct gossip_diff_job *job = &s->jobs[i];
        if (job->is_used) {
            *ret_to = job->to;
            *ret_type = GOSSIP_TYPE_DIFF;
            *ret_req_id = job->req_id;
            diff_write(g, job, ret_body);
            return true;
        }
    }
    while (s->n_pushes > 0 && gossip_bucket_take(&s->push_bucket, g->now_us, GOSSIP_SYNC_PUSH_BURST,
                                                 GOSSIP_SYNC_PUSH_REFILL_US)) {
        if (push_write(g, ret_to, ret_body)) {
            *ret_type = GOSSIP_TYPE_SPREAD;
            *ret_req_id = 0;
            return true;
        }
    }
    return false;
}

void gossip_sync_check(const struct gossip *g)
{
    const struct gossip_sync *s = &g->sync;
    uint32_t counts[GOSSIP_SYNC_PEERS] = {0};
    assert(s->n_pushes <= s->pushes_cap && s->pushes_cap <= GOSSIP_SYNC_PUSHES_MAX);
    for (uint32_t i = 0; i < s->n_pushes; i++) {
        assert(s->pushes[i].want != 0 && s->pushes[i].peer < GOSSIP_SYNC_PEERS);
        assert((s->pushes[i].want & GOSSIP_WANT_DOC) != 0 ||
               g->members.slots[s->pushes[i].slot] != NULL);
        counts[s->pushes[i].peer]++;
    }
    for (unsigned i = 0; i < GOSSIP_SYNC_PEERS; i++) {
        assert(counts[i] == s->peers[i].n);
    }
}
