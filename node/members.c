/* SPDX-License-Identifier: Apache-2.0 */
/* Who is there: carries messages between sessions and the cores dht, gossip and exec, and tells
 * each what the others learnt. */
#include "node/core.h"
#include "base/plant.h"
#include "node/session_wire.h"

#define JOIN_WIDTH 3 /* comparing views with so many of the first peers is enough */
#define CLONE_YOUNG_US (10 * US_PER_S) /* a higher boot heard so soon is our own older disk */
#define CLONE_JUMPS_MAX 3 /* higher boots than we jump over: the other one runs and jumps too */
#define CLOCK_ANSWER_MAX SESSION_BODY_MAX

const struct gossip_member *members_next(const struct node *n, const struct gossip_member *m)
{
    const struct gossip_member *self = gossip_self(&n->gossip);
    if (m == NULL) {
        return self;
    }
    return gossip_next(&n->gossip, m == self ? NULL : m);
}

/* --- out --- */

static struct addr best_addr(const struct node *n, const struct node_id *id)
{
    struct addr addrs[GOSSIP_ADDRS_MAX + 2];
    size_t count = members_addrs(n, id, addrs, ARRAY_LEN(addrs));
    return count > 0 ? addrs[0] : (struct addr){.family = ADDR_NONE};
}

size_t members_addrs(const struct node *n, const struct node_id *id, struct addr *ret, size_t max)
{
    size_t count = 0;
    struct session_info info;
    struct dht_contact contact;
    const struct gossip_member *m = n->has_cores ? gossip_find(&n->gossip, id) : NULL;
    for (size_t i = 0; m != NULL && i < m->n_addrs && count < max; i++) {
        ret[count++] = m->addrs[i];
    }
    if (m != NULL && m->addr.family != ADDR_NONE && count < max) {
        ret[count++] = m->addr;
    }
    if (session_find(n->sessions, id, &info) && count < max) {
        ret[count++] = info.addr;
    }
    if (count == 0 && n->has_cores && max > 0 && dht_find_contact(&n->dht, id, &contact)) {
        ret[count++] = contact.addr;
    }
    return count;
}

const struct addr *members_coat(const struct node *n, const struct node_id *id)
{
    const struct gossip_member *m = n->has_cores ? gossip_find(&n->gossip, id) : NULL;
    return m != NULL && m->coat.family != ADDR_NONE ? &m->coat : coats_find(&n->coats, id);
}

void members_send(struct node *n, const struct node_id *to, const struct addr *hint, uint8_t type,
                  uint32_t req_id, struct slice body)
{
    struct session_message m = {.peer = *to, .type = type, .request_id = req_id, .body = body};
    m.to = hint != NULL && hint->family != ADDR_NONE ? *hint : best_addr(n, to);
    if (tunnels_send(n, &m)) {
        return;
    }
    enum ipx_err err = session_send(n->sessions, n->now_us, &m);
    if (err == IPX_NOT_FOUND && n->has_cores) {
        dht_on_unreachable(&n->dht, n->now_us, to);
    }
}

void members_ping(struct node *n, const struct gossip_member *m)
{
    uint32_t request_id;
    struct addr to = best_addr(n, &m->facts.id);
    if (node_id_equal(&m->facts.id, &n->config.key.pk)) {
        control_on_pong(n, &m->facts.id, 0);
        return;
    }
    if (tunnels_ping(n, &m->facts.id)) {
        return;
    }
    err_ignore(session_ping(n->sessions, n->now_us, &m->facts.id, &to, &request_id),
               "no pong comes then, and the asker is told so after a while");
}

void members_path(struct node *n, const struct gossip_member *m, struct members_path *ret)
{
    struct session_info info;
    *ret = (struct members_path){.rtt_us = m->srtt_us, .addr = best_addr(n, &m->facts.id)};
    ret->has_session = session_find(n->sessions, &m->facts.id, &info);
    if (ret->has_session) {
        ret->addr = info.addr;
        ret->rtt_us = info.srtt_us > 0 ? info.srtt_us : m->srtt_us;
    }
    ret->has_link = conns_of_peer(n, &m->facts.id) != NULL;
    ret->has_tunnel = tunnels_is_up(n, &m->facts.id);
}

struct slice members_chain_of(struct node *n, const struct node_id *id)
{
    const struct chain *c = chains_find_id(&n->chains, id);
    if (node_id_equal(id, &n->config.key.pk)) {
        return slice_of(n->chain, n->chain_len);
    }
    return c != NULL ? slice_of(c->bytes, c->len) : SLICE_EMPTY;
}

/* --- what exec knows of a member --- */

void members_vitals(struct node *n, const struct gossip_member *m, struct exec_vitals *ret)
{
    bool is_self = m == gossip_self(&n->gossip);
    *ret = (struct exec_vitals){.is_known = is_self || m->vitals_us > 0};
    if (is_self) {
        exec_vitals(n->exec, ret);
        ret->load_milli = (uint32_t)(n->measured.load * 1000);
        ret->mem_free = n->measured.mem_free;
    } else {
        ret->n_slots = m->vitals.free_cores;
        ret->n_free = m->vitals.free_slots;
        ret->wait_ms = m->vitals.queue_wait_ms;
        ret->load_milli = m->vitals.load_permille;
        ret->mem_free = (uint64_t)m->vitals.mem_free_mib << 20;
        ret->ad_age_us = m->ad_us > 0 && n->now_us > m->ad_us ? n->now_us - m->ad_us : 0;
    }
}

void members_tell_exec(struct node *n, const struct gossip_member *m)
{
    bool is_self = m == gossip_self(&n->gossip);
    struct exec_vitals v;
    members_vitals(n, m, &v);
    exec_on_peer(n->exec, n->now_us, is_self ? &n->self : &m->facts, is_self ? n->ad : m->ad, &v,
                 is_self ? 0 : m->srtt_us);
}

void members_update_ad(struct node *n)
{
    struct ad *ad;
    struct resource sources[LABEL_AD_RESOURCES_MAX];
    size_t n_sources = n->has_cores ? exec_sources(n->exec, sources, ARRAY_LEN(sources)) : 0;
    if (own_ad_build(&n->own_ad, sources, n_sources, &ad) != IPX_OK) {
        trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "ad too large", NULL, n_sources, 0);
        return; /* the old one stays; labels were checked when they were set */
    }
    events_tell_sources(n, &n->config.key.pk, n->ad, ad);
    ad_unref(n->ad);
    n->ad = ad;
    if (n->has_cores) {
        gossip_set_ad(&n->gossip, n->now_us, ad);
        members_tell_exec(n, gossip_self(&n->gossip));
    }
}

void members_update_vitals(struct node *n)
{
    struct exec_vitals v;
    exec_vitals(n->exec, &v);
    struct gossip_vitals g = {
        .free_slots = (uint16_t)IPX_MIN(v.n_free, UINT16_MAX),
        .free_cores = (uint16_t)IPX_MIN(v.n_slots, UINT16_MAX),
        .load_permille = (uint16_t)IPX_MIN(n->measured.load * 1000, 65535.0),
        .mem_free_mib = (uint32_t)IPX_MIN(n->measured.mem_free >> 20, UINT32_MAX),
        .queue_wait_ms = v.wait_ms,
    };
    gossip_set_vitals(&n->gossip, n->now_us, &g);
}

/* --- from the sessions --- */

static void answer_chain(struct node *n, const struct session_action *a)
{
    struct hash want;
    struct slice bytes;
    struct writer w = writer_of(n->buffers->body, sizeof(n->buffers->body));
    if (session_get_chain_decode(a->body, &want) != IPX_OK) {
        return;
    }
    const struct chain *c = chains_find(&n->chains, &want);
    if (n->chain_len > 0 && hash_equal(&want, &n->self.chain_hash)) {
        bytes = slice_of(n->chain, n->chain_len);
    } else if (c != NULL) {
        bytes = slice_of(c->bytes, c->len);
    } else {
        bytes = issuers_find(n, &want);
    }
    session_chain_encode(bytes, &w);
    members_send(n, &a->peer, &a->addr, SESSION_CHAIN, a->request_id, writer_slice(&w));
}

/* A chain that we asked for; it is verified like any other, whoever brings it. */
static void take_chain(struct node *n, const struct session_action *a)
{
    const struct chain *c;
    struct slice chain;
    if (session_chain_decode(a->body, &chain) == IPX_OK && chain.len > 0) {
        issuers_on_answer(n, chain);
        revoking_on_issuer(n, chain);
        err_ignore(chains_put(&n->chains, node_wall_ms(n), chain, SLICE_EMPTY, NULL, &c),
                   "an invalid chain is no chain");
    }
}

/* Dialled where its session is: the addresses it names may be those of somebody else. */
static void take_reverse(struct node *n, const struct session_action *a)
{
    struct session_reverse m;
    if (session_reverse_decode(a->body, &m) == IPX_OK) {
        conns_on_reverse(n, &a->peer, &a->addr);
    }
}

void members_dispatch(struct node *n, const struct session_action *a, bool is_early)
{
    uint8_t type = a->message_type;
    if (type >= SESSION_TYPES_OWN && (!n->has_cores || a->facts == NULL)) {
        return;
    }
    if (type < SESSION_TYPES_OWN) {
        if (type == SESSION_GET_CHAIN) {
            answer_chain(n, a);
        } else if (type == SESSION_CHAIN) {
            take_chain(n, a);
        } else if (type == SESSION_REVERSE && a->facts != NULL) {
            take_reverse(n, a);
        } else {
            admission_recv(n, a);
        }
    } else if (type < 32) {
        dht_recv(&n->dht, n->now_us,
                 &(struct dht_msg){.facts = a->facts,
                                   .addr = &a->addr,
                                   .req_id = a->request_id,
                                   .answer_max = is_early ? a->room_max : CLOCK_ANSWER_MAX,
                                   .type = type,
                                   .is_early = is_early,
                                   .body = a->body});
    } else if (type < 48) {
        gossip_recv(&n->gossip, n->now_us, a->facts, &a->addr, type, a->request_id, a->body);
    } else {
        exec_recv(n->exec, n->now_us, a->facts, type, a->request_id, a->body);
    }
}

/* The first peers are told who we are, and views are compared; later ones meet by probes. */
static void greet(struct node *n, const struct node_id *id, const struct addr *addr)
{
    const struct gossip_member *m = gossip_find(&n->gossip, id);
    if (m == NULL || !gossip_member_is_live(m) || gossip_n_live(&n->gossip) <= JOIN_WIDTH) {
        struct gossip_peer peer = {.id = *id, .addr = *addr};
        gossip_on_join(&n->gossip, n->now_us, &peer);
    }
}

void members_on_up(struct node *n, const struct session_action *a)
{
    if (n->has_cores && a->facts != NULL) {
        dht_on_session(&n->dht, n->now_us, a->facts, &a->addr);
        if (a->is_first) {
            greet(n, &a->peer, &a->addr);
        }
    }
    join_on_up(n, &a->peer);
}

void members_on_unreachable(struct node *n, const struct node_id *peer, enum ipx_err err)
{
    if (n->has_cores) {
        dht_on_unreachable(&n->dht, n->now_us, peer);
        gossip_on_unreachable(&n->gossip, n->now_us, peer);
    }
    join_on_failed(n, peer, err);
}

static void on_failed(struct node *n, const struct session_action *a)
{
    if (a->err == IPX_TIMEOUT && tunnels_on_session_failed(n, &a->peer)) {
        return;
    }
    members_on_unreachable(n, &a->peer, a->err);
    if (n->has_cores && a->err == IPX_NEED_CHAIN) {
        conns_reach(n, &a->peer, &a->addr); /* links show whole chains, the admitter's too */
    }
}

static bool on_session(struct node *n, const struct session_action *a, struct node_action *ret)
{
    switch (a->type) {
    case SESSION_ACTION_SEND:
        ret->type = NODE_ACTION_UDP_SEND;
        ret->u.udp.to = a->addr;
        ret->u.udp.bytes = a->bytes;
        return true;
    case SESSION_ACTION_MESSAGE:
    case SESSION_ACTION_EARLY:
        tunnels_on_heard(n);
        members_dispatch(n, a, a->type == SESSION_ACTION_EARLY);
        break;
    case SESSION_ACTION_UP:
        tunnels_on_heard(n);
        tunnels_on_session(n, &a->peer);
        members_on_up(n, a);
        break;
    case SESSION_ACTION_DOWN:
        break; /* the next message opens a new one; who is alive is gossip's to say */
    case SESSION_ACTION_FAILED:
        on_failed(n, a);
        break;
    case SESSION_ACTION_PONG:
        control_on_pong(n, &a->peer, a->rtt_us);
        break;
    }
    return false;
}

/* --- from the dht --- */

static void on_dht(struct node *n, const struct dht_action *a)
{
    switch (a->kind) {
    case DHT_ACTION_SEND:
        members_send(n, &a->send.to, &a->send.addr, a->send.type, a->send.req_id, a->send.body);
        break;
    case DHT_ACTION_LEARNED:
        if (gossip_n_live(&n->gossip) <= JOIN_WIDTH) {
            greet(n, &a->learned.id, &a->learned.addr);
        }
        break;
    case DHT_ACTION_SAVE:
        node_save_later(n, NODE_SAVE_CONTACTS);
        break;
    case DHT_ACTION_PERSIST_SEQ:
        n->seq_to_save = a->seq;
        node_save_later(n, NODE_SAVE_SEQ);
        break;
    case DHT_ACTION_FOUND:
    case DHT_ACTION_STORED:
    case DHT_ACTION_JOINED:
        break; /* members are told by LEARNED and by gossip */
    }
}

/* --- from gossip --- */

static void need_chain(struct node *n, const struct gossip_action *a)
{
    const struct chain *c;
    struct cert_chain_parts parts;
    const struct node_id *id = &a->u.chain.id;
    enum ipx_err err =
        chains_put(&n->chains, node_wall_ms(n), a->u.chain.chain, SLICE_EMPTY, id, &c);
    struct cert_facts facts = {0};
    if (err == IPX_OK) {
        facts = c->facts;
        issuers_on_chain(n, a->u.chain.chain);
    }
    if (err == IPX_OK && admission_on_chain(n, &facts)) {
        gossip_on_chain(&n->gossip, n->now_us, &facts, a->u.chain.chain);
        return;
    }
    if (err == IPX_NEED_CHAIN && cert_chain_split(a->u.chain.chain, &parts) == IPX_OK) {
        /* who told us of it also knows who admitted it; the next comparison brings it again */
        struct writer w = writer_of(n->buffers->body, sizeof(n->buffers->body));
        session_get_chain_encode(&parts.admitter_chain, &w);
        members_send(n, &a->u.chain.from.id, &a->u.chain.from.addr, SESSION_GET_CHAIN, 0,
                     writer_slice(&w));
    }
    gossip_on_chain_failed(&n->gossip, n->now_us, id);
}

static void on_clone(struct node *n, const struct gossip_boot *boot)
{
    events_tell(n, EVENTS_CLONE, &n->config.key.pk,
                slice_text("a higher boot of our own key was heard"));
    bool is_young = n->now_us - n->started_us < CLONE_YOUNG_US;
    if (is_young && n->n_jumps < CLONE_JUMPS_MAX && boot->generation < UINT32_MAX) {
        n->n_jumps++;
        n->config.generation = boot->generation + 1;
        if (IPX_PLANT(GENERATION)) {
            struct gossip_boot own = {n->config.generation, n->config.boot_nonce};
            gossip_set_boot(&n->gossip, n->now_us, &own);
            return;
        }
        node_save_later(n, NODE_SAVE_GENERATION);
    } else {
        node_fail_stop(n, 1, "another node runs with this node's key: one of the two is a copy");
    }
}

static void on_member_down(struct node *n, const struct gossip_member *m)
{
    enum dht_gone why = m->reason == GOSSIP_REASON_LEFT     ? DHT_GONE_LEFT
                        : m->reason == GOSSIP_REASON_BARRED ? DHT_GONE_REVOKED
                                                            : DHT_GONE_DEAD;
    struct conn *c = conns_of_peer(n, &m->facts.id);
    if (m->reason == GOSSIP_REASON_LEFT) {
        events_tell(n, EVENTS_MEMBER_LEFT, &m->facts.id, SLICE_EMPTY);
    } else {
        events_tell(n, EVENTS_MEMBER_DOWN, &m->facts.id,
                    slice_text(m->reason == GOSSIP_REASON_BARRED    ? "shut out"
                               : m->reason == GOSSIP_REASON_EXPIRED ? "its certificate has ended"
                                                                    : "no answer"));
    }
    dht_on_peer_gone(&n->dht, n->now_us, &m->facts.id, why);
    exec_on_peer_gone(n->exec, n->now_us, &m->facts.id);
    if (c != NULL) {
        conns_close(n, c, IPX_UNREACHABLE);
    }
    if (m->reason == GOSSIP_REASON_EXPIRED || m->reason == GOSSIP_REASON_BARRED) {
        enum ipx_err err = m->reason == GOSSIP_REASON_EXPIRED ? IPX_EXPIRED : IPX_REVOKED;
        session_forget(n->sessions, n->now_us, &m->facts.id, err); /* a key outlives no right */
    }
}

/* The key is the hash, or one document could come under many keys. */
static void on_doc(struct node *n, const struct gossip_action *a)
{
    struct hash h = crypt_hash(a->u.doc.bytes);
    if (a->u.doc.kind == GOSSIP_DOC_REVOCATION) {
        revoking_on_doc(n, a);
        return;
    }
    bool is_good = a->u.doc.kind == GOSSIP_DOC_REDEMPTION && hash_equal(&h, &a->u.doc.key) &&
                   admission_on_doc(n, a->u.doc.bytes);
    gossip_accept_doc(&n->gossip, n->now_us, &a->u.doc.key, is_good);
}

static void on_gossip(struct node *n, const struct gossip_action *a)
{
    switch (a->type) {
    case GOSSIP_ACTION_SEND:
        members_send(n, &a->u.send.to.id, &a->u.send.to.addr, a->u.send.type, a->u.send.req_id,
                     a->u.send.body);
        break;
    case GOSSIP_ACTION_MEMBER_UP:
        admission_on_member(n, &a->u.member->facts);
        events_tell(n, EVENTS_MEMBER_UP, &a->u.member->facts.id, SLICE_EMPTY);
        tunnels_on_member(n, &a->u.member->facts.id);
        members_tell_exec(n, a->u.member);
        break;
    case GOSSIP_ACTION_AD_CHANGED:
        events_tell_sources(n, &a->u.member->facts.id, exec_ad_of(n->exec, &a->u.member->facts.id),
                            a->u.member->ad);
        members_tell_exec(n, a->u.member);
        break;
    case GOSSIP_ACTION_VITALS_CHANGED:
        members_tell_exec(n, a->u.member);
        break;
    case GOSSIP_ACTION_MEMBER_SUSPECT:
        events_tell(n, EVENTS_MEMBER_SUSPECT, &a->u.member->facts.id, SLICE_EMPTY);
        tunnels_doubt(n, &a->u.member->facts.id); /* its tasks go on: it is no verdict */
        break;
    case GOSSIP_ACTION_MEMBER_DOWN:
        on_member_down(n, a->u.member);
        break;
    case GOSSIP_ACTION_NEED_CHAIN:
        need_chain(n, a);
        break;
    case GOSSIP_ACTION_FETCH_AD:
        fetch_ad(n, a);
        break;
    case GOSSIP_ACTION_DOC:
        on_doc(n, a);
        break;
    case GOSSIP_ACTION_CLONE:
        on_clone(n, &a->u.clone);
        break;
    }
}

bool members_drain(struct node *n, struct node_action *ret)
{
    for (;;) {
        struct dht_action d;
        struct gossip_action g;
        struct session_action s;
        /* Cores first: the answer to an early request rides in the RESP only if it is given
         * before the sessions are asked again. */
        while (n->has_cores && dht_poll(&n->dht, &d)) {
            on_dht(n, &d);
        }
        while (n->has_cores && gossip_poll(&n->gossip, &g)) {
            on_gossip(n, &g);
        }
        if (!session_poll(n->sessions, &s)) {
            return false;
        }
        if (on_session(n, &s, ret)) {
            return true;
        }
    }
}
