/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

static const struct sm_state probe_states[] = {
    [GOSSIP_PROBE_IDLE] = {"idle", SM_TO(GOSSIP_PROBE_DIRECT), false},
    [GOSSIP_PROBE_DIRECT] = {"direct", SM_TO(GOSSIP_PROBE_INDIRECT) | SM_TO(GOSSIP_PROBE_IDLE),
                             false},
    [GOSSIP_PROBE_INDIRECT] = {"indirect", SM_TO(GOSSIP_PROBE_IDLE), false},
};
const struct sm_table gossip_probe_table = {"gossip probe", probe_states, ARRAY_LEN(probe_states)};

void gossip_probe_init(struct gossip *g)
{
    g->prober = (struct gossip_prober){
        .next_us = NEVER_US, .req_id = rng_u32(&g->rng), .urgent = GOSSIP_NO_SLOT};
}

void gossip_probe_wake(struct gossip *g, uint64_t now_us)
{
    if (g->prober.next_us == NEVER_US) {
        /* a random part of the interval: nodes that started together do not probe together */
        g->prober.next_us = now_us + rng_below(&g->rng, GOSSIP_PROBE_INTERVAL_US);
    }
}

void gossip_probe_health(struct gossip *g, int change)
{
    int health = (int)g->prober.health + change;
    g->prober.health = (uint8_t)IPX_MIN(IPX_MAX(health, 0), GOSSIP_PROBE_HEALTH_MAX);
}

uint64_t gossip_probe_timeout_us(const struct gossip *g, const struct gossip_member *m)
{
    uint64_t us = GOSSIP_PROBE_TIMEOUT_MAX_US;
    if (m->srtt_us != 0) {
        us = (uint64_t)m->srtt_us + 4 * (uint64_t)m->rttvar_us;
    } else if (g->prober.srtt_us != 0) {
        /* not measured yet: as the others, twice, for a handshake may come first */
        us = 2 * ((uint64_t)g->prober.srtt_us + 4 * (uint64_t)g->prober.rttvar_us);
    }
    us = IPX_MIN(IPX_MAX(us, GOSSIP_PROBE_TIMEOUT_MIN_US), GOSSIP_PROBE_TIMEOUT_MAX_US);
    return us * (g->prober.health + 1U);
}

uint64_t gossip_probe_final_us(const struct gossip *g, const struct gossip_member *m)
{
    return IPX_MIN(gossip_probe_timeout_us(g, m), GOSSIP_PROBE_FINAL_US * (g->prober.health + 1U));
}

/* How long the witnesses have: what is left of the interval at most. */
static uint64_t indirect_wait_us(const struct gossip *g, const struct gossip_member *m)
{
    uint64_t timeout_us = gossip_probe_timeout_us(g, m);
    uint64_t interval_us = GOSSIP_PROBE_INTERVAL_US * (g->prober.health + 1U);
    uint64_t wait_us = 2 * timeout_us + 200 * US_PER_MS;
    return IPX_MIN(wait_us, interval_us - timeout_us);
}

static void rtt_update(uint32_t *srtt_us, uint32_t *rttvar_us, uint64_t rtt_us)
{
    uint32_t rtt = (uint32_t)IPX_MIN(IPX_MAX(rtt_us, (uint64_t)1), 10 * US_PER_S);
    if (*srtt_us == 0) {
        *srtt_us = rtt;
        *rttvar_us = rtt / 2;
        return;
    }
    if (*srtt_us - IPX_MIN(*rttvar_us, *srtt_us) > rtt) {
        /* far quicker than expected: what made the earlier ones slow (a handshake, a crowded
         * start) is over, and says nothing of how much answers vary now */
        *rttvar_us /= 2;
        *srtt_us = IPX_MAX((*srtt_us + rtt) / 2, 1U);
        return;
    }
    uint32_t off = rtt > *srtt_us ? rtt - *srtt_us : *srtt_us - rtt;
    *rttvar_us = (3 * *rttvar_us + off) / 4;
    *srtt_us = IPX_MAX((7 * *srtt_us + rtt) / 8, 1U);
}

/* --- messages --- */

static void send_probe(struct gossip *g, const struct gossip_peer *to, enum gossip_type type,
                       uint32_t req_id, const struct node_id *target, struct slice first)
{
    struct gossip_packer p;
    struct gossip_member *m = gossip_members_find(&g->members, &to->id);
    gossip_packer_init(&p, GOSSIP_BODY_MAX - 64);
    if (first.len > 0) {
        gossip_packer_add(&p, first);
    }
    gossip_spread_begin(&g->spread);
    gossip_spread_pack(g, m == NULL ? GOSSIP_NO_SLOT : m->slot, &p);
    struct gossip_msg msg = {.has_vitals = g->self->vitals_us != 0,
                             .vitals = g->self->vitals,
                             .items = gossip_packer_items(&p)};
    if (type == GOSSIP_TYPE_PING && m != NULL) {
        msg.has_known = true;
        msg.known_generation = m->boot.generation;
        msg.known_incarnation = m->incarnation;
    }
    if (target != NULL) {
        msg.target = *target;
    }
    gossip_send(g, to, type, req_id, &msg);
}

static void send_ping(struct gossip *g, const struct gossip_member *m, uint32_t req_id)
{
    struct gossip_peer to = gossip_peer_of(m);
    struct slice accusation =
        m->n_accusers > 0 ? gossip_bytes_slice(&m->accusers[0].item) : SLICE_EMPTY;
    send_probe(g, &to, GOSSIP_TYPE_PING, req_id, NULL, accusation);
}

/* Up to three others that are alive, each once. */
static void ask_witnesses(struct gossip *g, struct gossip_probe *p, const struct gossip_member *m)
{
    const struct gossip_members *t = &g->members;
    uint32_t start = (uint32_t)rng_below(&g->rng, t->n);
    p->n_asked = 0;
    for (uint32_t i = 0; i < t->n && p->n_asked < GOSSIP_PROBE_WITNESSES; i++) {
        const struct gossip_member *w = t->slots[t->ring[(start + i) % t->n]];
        if (w == m || w == g->self || w->state != GOSSIP_STATE_ALIVE) {
            continue;
        }
        p->witnesses[p->n_asked++] = w->slot;
        struct gossip_peer to = gossip_peer_of(w);
        send_probe(g, &to, GOSSIP_TYPE_PING_REQ, p->req_id, &m->facts.id, SLICE_EMPTY);
    }
}

/* --- probes in flight --- */

static struct gossip_probe *probe_new(struct gossip *g, enum gossip_probe_why why)
{
    struct gossip_probe *found = NULL;
    unsigned n_relays = 0;
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        struct gossip_probe *p = &g->prober.probes[i];
        n_relays += p->state != GOSSIP_PROBE_IDLE && p->why == GOSSIP_PROBE_RELAY ? 1 : 0;
        if (p->state == GOSSIP_PROBE_IDLE && found == NULL) {
            found = p;
        }
    }
    if (found == NULL || (why == GOSSIP_PROBE_RELAY && n_relays == GOSSIP_PROBE_RELAYS_MAX)) {
        return NULL;
    }
    *found = (struct gossip_probe){.why = (uint8_t)why, .req_id = ++g->prober.req_id};
    sm_move(&gossip_probe_table, &found->state, GOSSIP_PROBE_DIRECT);
    return found;
}

static struct gossip_probe *probe_by_req(struct gossip *g, uint32_t req_id)
{
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        struct gossip_probe *p = &g->prober.probes[i];
        if (p->state != GOSSIP_PROBE_IDLE && p->req_id == req_id) {
            return p;
        }
    }
    return NULL;
}

static bool probe_is_running(const struct gossip *g, const struct gossip_member *m,
                             enum gossip_probe_why why)
{
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        const struct gossip_probe *p = &g->prober.probes[i];
        if (p->state != GOSSIP_PROBE_IDLE && p->why == why &&
            node_id_equal(&p->target, &m->facts.id)) {
            return true;
        }
    }
    return false;
}

/* NULL if the member was removed since. */
static struct gossip_member *probe_target(const struct gossip *g, const struct gossip_probe *p)
{
    struct gossip_member *m = g->members.slots[p->slot];
    return m != NULL && node_id_equal(&m->facts.id, &p->target) ? m : NULL;
}

static void probe_begin(struct gossip *g, uint64_t now_us, struct gossip_probe *p,
                        const struct gossip_member *m)
{
    p->slot = m->slot;
    p->target = m->facts.id;
    p->sent_us = now_us;
    p->n_tries++;
    p->due_us = now_us + (p->why == GOSSIP_PROBE_FINAL ? gossip_probe_final_us(g, m)
                                                       : gossip_probe_timeout_us(g, m));
    send_ping(g, m, p->req_id);
}

bool gossip_probe_start(struct gossip *g, uint64_t now_us, struct gossip_member *m,
                        enum gossip_probe_why why)
{
    assert(m != g->self && why != GOSSIP_PROBE_RELAY);
    if (probe_is_running(g, m, why)) {
        return true;
    }
    struct gossip_probe *p = probe_new(g, why);
    if (p == NULL) {
        return false;
    }
    probe_begin(g, now_us, p, m);
    if (why == GOSSIP_PROBE_WITNESS) { /* all at once: something is known to be wrong */
        ask_witnesses(g, p, m);
        sm_move(&gossip_probe_table, &p->state, GOSSIP_PROBE_INDIRECT);
        p->due_us += indirect_wait_us(g, m);
    }
    return true;
}

/* How a direct probe went: for people, who read a share of the last 32. */
static void probe_note(struct gossip_member *m, bool is_lost)
{
    m->probes_lost = m->probes_lost << 1 | is_lost;
    m->n_probes = (uint8_t)IPX_MIN(m->n_probes + 1, 32);
}

static void probe_end(struct gossip_probe *p)
{
    sm_move(&gossip_probe_table, &p->state, GOSSIP_PROBE_IDLE);
}

/* Witnesses that did not answer and that nobody has accused since. */
static int n_silent(const struct gossip *g, const struct gossip_probe *p)
{
    int n_alive = 0;
    for (unsigned i = 0; i < p->n_asked; i++) {
        const struct gossip_member *w = g->members.slots[p->witnesses[i]];
        n_alive += w != NULL && w->state == GOSSIP_STATE_ALIVE ? 1 : 0;
    }
    return IPX_MAX(n_alive - p->n_nacks, 0);
}

/* Answers of witnesses that are missing make us doubt ourselves, as many as there are if we heard
 * nobody at all in that time; if we heard others it is they or the network. */
static void probe_blame(struct gossip *g, const struct gossip_probe *p)
{
    int n_missing = n_silent(g, p);
    bool is_deaf = g->heard_us <= p->sent_us;
    if (p->n_asked == 0 || n_missing > 0) {
        gossip_probe_health(g, is_deaf && n_missing > 0 ? n_missing : 1);
    }
}

/* Neither the target nor a witness answered. */
static void probe_failed(struct gossip *g, uint64_t now_us, struct gossip_probe *p,
                         struct gossip_member *m)
{
    bool is_silence = p->n_asked >= 2 && p->n_nacks == 0;
    if (m->heard_us > p->sent_us) { /* answers were lost, but it lives: it wrote to us since */
        gossip_probe_health(g, 1);
        probe_end(p);
        return;
    }
    probe_blame(g, p);
    probe_end(p);
    gossip_event(g, "probe failed", &m->facts.id, p->n_nacks);
    if (is_silence && !m->is_excused) {
        m->is_excused = true; /* not even the witnesses spoke: once, we blame ourselves */
        g->prober.urgent = m->slot;
        return;
    }
    gossip_verdict_suspect(g, now_us, m);
}

static void probe_timed_out(struct gossip *g, uint64_t now_us, struct gossip_probe *p)
{
    struct gossip_member *m = probe_target(g, p);
    struct gossip_msg empty = {0};
    if (m == NULL) {
        probe_end(p);
        return;
    }
    if (p->state == GOSSIP_PROBE_DIRECT) {
        probe_note(m, true);
    }
    switch ((enum gossip_probe_why)p->why) {
    case GOSSIP_PROBE_RELAY:
        if (p->state == GOSSIP_PROBE_INDIRECT) {
            probe_end(p);
            return;
        }
        gossip_send(g, &p->origin, GOSSIP_TYPE_NACK, p->origin_req, &empty);
        sm_move(&gossip_probe_table, &p->state, GOSSIP_PROBE_INDIRECT);
        p->due_us = now_us + GOSSIP_PROBE_TIMEOUT_MAX_US;
        return;
    case GOSSIP_PROBE_FINAL:
        if (p->n_tries < GOSSIP_PROBE_FINAL_TRIES) {
            probe_begin(g, now_us, p, m);
            return;
        }
        probe_end(p);
        gossip_verdict_final(g, now_us, m, false);
        return;
    case GOSSIP_PROBE_REVISIT:
        probe_end(p);
        return;
    case GOSSIP_PROBE_ROUND:
    case GOSSIP_PROBE_WITNESS:
        break;
    }
    if (p->state == GOSSIP_PROBE_DIRECT) {
        send_ping(g, m, p->req_id); /* the first may be lost */
        ask_witnesses(g, p, m);
        if (p->n_asked > 0) {
            sm_move(&gossip_probe_table, &p->state, GOSSIP_PROBE_INDIRECT);
            p->due_us = now_us + indirect_wait_us(g, m);
            return;
        }
    }
    probe_failed(g, now_us, p, m);
}

/* --- inputs --- */

void gossip_probe_recv_ping(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                            uint32_t req_id, const struct gossip_msg *m)
{
    (void)now_us;
    struct slice first = SLICE_EMPTY;
    bool is_behind = m->has_known && (m->known_generation != g->self->boot.generation ||
                                      m->known_incarnation != g->self->incarnation);
    if (is_behind) { /* the sender holds an older statement of ours */
        first = gossip_bytes_slice(g->self->state == GOSSIP_STATE_LEFT ? &g->self->leave
                                                                       : &g->self->alive);
    }
    send_probe(g, from, GOSSIP_TYPE_ACK, req_id, NULL, first);
}

static bool is_witness(const struct gossip *g, const struct gossip_probe *p,
                       const struct node_id *id)
{
    for (unsigned i = 0; i < p->n_asked; i++) {
        const struct gossip_member *w = g->members.slots[p->witnesses[i]];
        if (w != NULL && node_id_equal(&w->facts.id, id)) {
            return true;
        }
    }
    return false;
}

void gossip_probe_recv_ack(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                           uint32_t req_id)
{
    struct gossip_msg empty = {0};
    struct gossip_probe *p = probe_by_req(g, req_id);
    if (p == NULL) {
        return;
    }
    struct gossip_member *m = probe_target(g, p);
    bool is_direct = node_id_equal(&p->target, &from->id);
    if (m == NULL || (!is_direct && !is_witness(g, p, &from->id))) {
        return;
    }
    if (is_direct) {
        rtt_update(&m->srtt_us, &m->rttvar_us, now_us - p->sent_us);
        rtt_update(&g->prober.srtt_us, &g->prober.rttvar_us, now_us - p->sent_us);
        if (p->state == GOSSIP_PROBE_DIRECT) {
            probe_note(m, false);
        } else {
            m->probes_lost &= ~UINT32_C(1); /* late is not lost */
        }
    }
    probe_end(p);
    m->is_excused = false;
    m->is_accused_by_self = false; /* what we saw ourselves is seen otherwise now */
    if (p->why == GOSSIP_PROBE_RELAY) {
        gossip_send(g, &p->origin, GOSSIP_TYPE_ACK, p->origin_req, &empty);
    } else if (p->why == GOSSIP_PROBE_FINAL) {
        gossip_verdict_final(g, now_us, m, true);
    } else if (p->why == GOSSIP_PROBE_ROUND) {
        gossip_probe_health(g, -1);
    }
}

void gossip_probe_recv_nack(struct gossip *g, const struct gossip_peer *from, uint32_t req_id)
{
    struct gossip_probe *p = probe_by_req(g, req_id);
    if (p != NULL && p->state == GOSSIP_PROBE_INDIRECT && p->n_nacks < p->n_asked &&
        is_witness(g, p, &from->id)) {
        p->n_nacks++;
    }
}

void gossip_probe_recv_ping_req(struct gossip *g, uint64_t now_us, const struct gossip_peer *from,
                                uint32_t req_id, const struct gossip_msg *msg)
{
    struct gossip_msg empty = {0};
    struct gossip_member *m = gossip_members_find(&g->members, &msg->target);
    bool is_known = m != NULL && m != g->self && !node_id_equal(&msg->target, &from->id);
    struct gossip_probe *p = is_known ? probe_new(g, GOSSIP_PROBE_RELAY) : NULL;
    if (p == NULL) { /* we live, but cannot tell: only members are probed, never an address */
        gossip_send(g, from, GOSSIP_TYPE_NACK, req_id, &empty);
        return;
    }
    p->origin = *from;
    p->origin_req = req_id;
    probe_begin(g, now_us, p, m);
    p->due_us = IPX_MIN(p->due_us, now_us + GOSSIP_PROBE_NACK_US);
}

void gossip_probe_hearsay(struct gossip *g, uint64_t now_us, struct gossip_member *m)
{
    uint32_t n_live = gossip_members_live(&g->members);
    if (m->is_accused_by_self) {
        return;
    }
    /* whose keys follow may be chosen by an enemy; whom chance picks is not */
    if (gossip_members_follows(&g->members, g->self, m, GOSSIP_PROBE_CONFIRMERS) ||
        rng_below(&g->rng, n_live) < GOSSIP_PROBE_CONFIRMERS) {
        gossip_probe_start(g, now_us, m, GOSSIP_PROBE_WITNESS);
    }
}

void gossip_probe_doubt(struct gossip *g, struct gossip_member *m)
{
    if (!m->is_doubted && m->state == GOSSIP_STATE_DEAD && m->reason == GOSSIP_REASON_DEAD) {
        m->is_doubted = true;
        g->prober.n_doubted++;
    }
}

void gossip_probe_undoubt(struct gossip *g, struct gossip_member *m)
{
    if (m->is_doubted) {
        m->is_doubted = false;
        g->prober.n_doubted--;
    }
}

void gossip_probe_check(const struct gossip *g)
{
    unsigned n_round = 0;
    uint32_t n_doubted = 0;
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        const struct gossip_probe *p = &g->prober.probes[i];
        if (p->state != GOSSIP_PROBE_IDLE) {
            n_round += p->why == GOSSIP_PROBE_ROUND ? 1 : 0;
            assert(p->due_us != NEVER_US && p->n_nacks <= p->n_asked);
        }
    }
    for (const struct gossip_member *m = gossip_members_next(&g->members, NULL); m != NULL;
         m = gossip_members_next(&g->members, m)) {
        n_doubted += m->is_doubted ? 1 : 0;
    }
    assert(n_round <= 1);
    assert(n_doubted == g->prober.n_doubted);
    assert(g->prober.health <= GOSSIP_PROBE_HEALTH_MAX);
}

/* --- the tick --- */

void gossip_probe_expire(struct gossip *g, uint64_t now_us)
{
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        struct gossip_probe *p = &g->prober.probes[i];
        if (p->state != GOSSIP_PROBE_IDLE && p->due_us <= now_us) {
            probe_timed_out(g, now_us, p);
        }
    }
}
