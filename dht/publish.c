/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/publish.h"

#include "base/sm.h"
#include "dht/core.h"

/* A holder may tell us of a higher seq of ours (our disk is older than we are), but not drive us
 * to the end of the numbers. */
#define SEQ_JUMP_MAX (UINT64_C(1) << 32)

static const struct sm_state publish_states[] = {
    [DHT_PUBLISH_NOTHING] = {"nothing", SM_TO(DHT_PUBLISH_DUE), false},
    [DHT_PUBLISH_DUE] = {"due",
                         SM_TO(DHT_PUBLISH_DUE) | SM_TO(DHT_PUBLISH_SAVING) |
                             SM_TO(DHT_PUBLISH_NOTHING),
                         false},
    [DHT_PUBLISH_SAVING] = {"saving", SM_TO(DHT_PUBLISH_SEEKING) | SM_TO(DHT_PUBLISH_DUE), false},
    [DHT_PUBLISH_SEEKING] = {"seeking",
                             SM_TO(DHT_PUBLISH_STORING) | SM_TO(DHT_PUBLISH_DUE) |
                                 SM_TO(DHT_PUBLISH_NOTHING),
                             false},
    [DHT_PUBLISH_STORING] = {"storing", SM_TO(DHT_PUBLISH_DUE) | SM_TO(DHT_PUBLISH_NOTHING), false},
};
const struct sm_table dht_publish_table = {"dht publish", publish_states,
                                           ARRAY_LEN(publish_states)};

void dht_publish_init(struct dht *d, uint64_t record_seq)
{
    d->publish = (struct dht_publish){.state = DHT_PUBLISH_NOTHING, .due_us = NEVER_US};
    d->publish.content.seq = record_seq;
}

void dht_publish_done(struct dht *d)
{
    dht_search_free(d, d->publish.holders);
    d->publish.holders = NULL;
}

static void move(struct dht *d, enum dht_publish_state to)
{
    sm_move(&dht_publish_table, &d->publish.state, to);
}

/* Due at `when`, but never sooner than 10 s after the last; nobody there: when somebody is. */
static void schedule(struct dht *d, uint64_t when_us)
{
    struct dht_publish *p = &d->publish;
    uint64_t soonest = p->last_us > 0 ? p->last_us + DHT_PUBLISH_GAP_US : 0;
    p->due_us = IPX_MAX(when_us, soonest);
    if (!p->has_wish || dht_table_n_members(&d->table) == 0) {
        p->due_us = NEVER_US;
        if (p->state != DHT_PUBLISH_NOTHING) {
            move(d, DHT_PUBLISH_NOTHING);
        }
        return;
    }
    move(d, DHT_PUBLISH_DUE);
}

static bool is_idle(const struct dht_publish *p)
{
    return p->state == DHT_PUBLISH_NOTHING || p->state == DHT_PUBLISH_DUE;
}

static bool is_same_content(const struct dht_record *a, const struct dht_record *b)
{
    bool is_same = hash_equal(&a->chain_hash, &b->chain_hash) && a->features == b->features &&
                   a->n_addrs == b->n_addrs;
    for (size_t i = 0; is_same && i < a->n_addrs; i++) {
        is_same = addr_equal(&a->addrs[i], &b->addrs[i]);
    }
    return is_same;
}

void dht_publish_set(struct dht *d, const struct dht_record *content)
{
    struct dht_publish *p = &d->publish;
    assert(content->n_addrs <= DHT_RECORD_ADDRS_MAX);
    if (p->has_wish && is_same_content(&p->content, content)) {
        return;
    }
    uint64_t seq = p->content.seq;
    p->content = *content;
    p->content.seq = seq;
    p->content.id = d->config.key->pk;
    memcpy(p->content.nonce, d->config.nonce, sizeof(p->content.nonce));
    p->has_wish = true;
    p->is_changed = true;
    if (is_idle(p)) {
        schedule(d, d->now_us);
    }
}

void dht_publish_on_joined(struct dht *d)
{
    if (is_idle(&d->publish)) {
        schedule(d, d->now_us);
    }
}

void dht_publish_tick(struct dht *d)
{
    struct dht_publish *p = &d->publish;
    if (p->state == DHT_PUBLISH_DUE && d->now_us >= p->due_us) {
        p->content.seq++;
        p->is_seq_told = false;
        p->due_us = NEVER_US;
        move(d, DHT_PUBLISH_SAVING);
    }
}

static void sign(struct dht *d)
{
    struct dht_publish *p = &d->publish;
    struct writer w = writer_of(p->record, sizeof(p->record));
    dht_record_encode(&p->content, d->config.key, &d->config.mesh, &w);
    struct slice bytes = writer_slice(&w);
    assert(bytes.len > 0); /* 8 addresses fit: the limits are ours */
    p->record_len = (uint16_t)bytes.len;
    p->record_seq = p->content.seq;
    p->is_changed = false;
}

void dht_publish_on_seq_stored(struct dht *d, uint64_t seq)
{
    struct dht_publish *p = &d->publish;
    struct dht_search *s = NULL;
    struct dht_search_spec spec = {
        .use = DHT_USE_PUBLISH, .mode = LOOKUP_CLOSEST, .target = d->self};
    if (p->state != DHT_PUBLISH_SAVING || !p->is_seq_told || seq != p->content.seq) {
        return; /* of an earlier attempt */
    }
    sign(d);
    if (dht_search_start(d, &spec, &s) != IPX_OK) {
        move(d, DHT_PUBLISH_DUE);
        p->due_us = d->now_us + DHT_AGAIN_US;
        return;
    }
    move(d, DHT_PUBLISH_SEEKING);
    p->last_us = d->now_us;
}

void dht_publish_on_search(struct dht *d, struct dht_search *s)
{
    struct dht_publish *p = &d->publish;
    uint8_t n = 0;
    while (n < s->n_found && n < DHT_REPLICAS && s->found[n].is_verified) {
        n++;
    }
    assert(p->state == DHT_PUBLISH_SEEKING && p->holders == NULL);
    if (n == 0) {
        dht_search_free(d, s);
        schedule(d, d->now_us + DHT_PUBLISH_RETRY_US);
        return;
    }
    move(d, DHT_PUBLISH_STORING);
    p->holders = s;
    p->n_targets = n;
    p->next_target = p->n_waiting = p->n_acks = 0;
}

static void finish(struct dht *d)
{
    struct dht_publish *p = &d->publish;
    dht_search_free(d, p->holders);
    p->holders = NULL;
    dht_emit(d, "published", NULL, p->content.seq, p->n_acks);
    if (p->is_changed) {
        schedule(d, d->now_us);
    } else if (p->n_acks == 0) {
        schedule(d, d->now_us + DHT_PUBLISH_RETRY_US);
    } else {
        schedule(d, d->now_us + rng_jitter(&d->rng, DHT_REPUBLISH_US, 2));
    }
}

void dht_publish_on_stored(struct dht *d, uint8_t status, uint64_t seq)
{
    struct dht_publish *p = &d->publish;
    assert(p->state == DHT_PUBLISH_STORING && p->n_waiting > 0);
    p->n_waiting--;
    p->n_acks = (uint8_t)(p->n_acks + (status == DHT_STATUS_OK));
    bool is_behind = status == DHT_STATUS_STALE || status == DHT_STATUS_CONFLICT;
    if (is_behind && seq >= p->content.seq && seq - p->content.seq < SEQ_JUMP_MAX) {
        p->content.seq = seq;
        p->is_changed = true;
    }
    if (p->n_waiting == 0 && p->next_target == p->n_targets) {
        finish(d);
    }
}

bool dht_publish_poll(struct dht *d, struct dht_action *ret)
{
    struct dht_publish *p = &d->publish;
    if (p->state == DHT_PUBLISH_SAVING && !p->is_seq_told) {
        p->is_seq_told = true;
        *ret = (struct dht_action){.kind = DHT_ACTION_PERSIST_SEQ, .seq = p->content.seq};
        return true;
    }
    if (p->state != DHT_PUBLISH_STORING || p->next_target == p->n_targets ||
        !dht_rpc_has_room(&d->rpc)) {
        return false;
    }
    const struct dht_contact *to = &p->holders->found[p->next_target].contact;
    struct dht_wire_msg m = {
        .type = DHT_STORE, .kind = DHT_KIND_NODE, .record = slice_of(p->record, p->record_len)};
    struct dht_call call = {.to = to->id, .type = DHT_STORE};
    p->next_target++;
    p->n_waiting++;
    dht_send_request(d, &m, &call, &to->addr, ret);
    return true;
}

uint64_t dht_publish_deadline(const struct dht *d)
{
    return d->publish.state == DHT_PUBLISH_DUE ? d->publish.due_us : NEVER_US;
}
