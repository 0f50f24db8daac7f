/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/lookup.h"

#include "base/plant.h"
#include "base/sm.h"

static const struct sm_state candidate_states[] = {
    [LOOKUP_NEW] = {"new", SM_TO(LOOKUP_WAITING) | SM_TO(LOOKUP_FAILED), false},
    [LOOKUP_WAITING] = {"waiting",
                        SM_TO(LOOKUP_STALLED) | SM_TO(LOOKUP_ANSWERED) | SM_TO(LOOKUP_FAILED),
                        false},
    [LOOKUP_STALLED] = {"stalled",
                        SM_TO(LOOKUP_WAITING) | SM_TO(LOOKUP_ANSWERED) | SM_TO(LOOKUP_FAILED),
                        false},
    [LOOKUP_ANSWERED] = {"answered", 0, true},
    [LOOKUP_FAILED] = {"failed", 0, true},
};
const struct sm_table dht_lookup_candidate_table = {"dht lookup candidate", candidate_states,
                                                    ARRAY_LEN(candidate_states)};

void lookup_init(struct lookup *l, uint64_t now_us, const struct lookup_config *config)
{
    assert(config->k > 0 && config->r > 0 && config->r <= config->k && config->alpha > 0);
    assert(config->paths > 0 && config->paths <= LOOKUP_PATHS_MAX);
    *l = (struct lookup){.config = *config, .now_us = now_us, .started_us = now_us};
}

static void move(struct lookup_candidate *c, enum lookup_state to)
{
    sm_move(&dht_lookup_candidate_table, &c->state, to);
}

static bool is_live(const struct lookup_candidate *c)
{
    return c->state != LOOKUP_FAILED && c->state != LOOKUP_STALLED;
}

/* Those of unknown position come first, in the order in which they were given. */
static int compare(const struct lookup *l, size_t a, size_t b)
{
    const struct lookup_candidate *ca = &l->candidates[a], *cb = &l->candidates[b];
    if (lookup_is_pos_known(ca) != lookup_is_pos_known(cb)) {
        return lookup_is_pos_known(cb) ? -1 : 1;
    }
    return lookup_is_pos_known(ca) ? dht_pos_compare(&l->config.target, &ca->pos, &cb->pos) : 0;
}

/* Puts candidate `index` at its place among the first `n` of the order. */
static void order_insert(struct lookup *l, size_t index, size_t n)
{
    size_t at = n;
    while (at > 0 && compare(l, index, l->order[at - 1]) < 0) {
        at--;
    }
    memmove(l->order + at + 1, l->order + at, n - at);
    l->order[at] = (uint8_t)index;
}

static size_t order_remove(struct lookup *l, size_t index)
{
    size_t at = 0;
    while (l->order[at] != index) {
        at++;
        assert(at < l->n);
    }
    memmove(l->order + at, l->order + at + 1, l->n - at - 1u);
    return at;
}

static void strike(struct lookup *l, uint16_t index)
{
    if (index != LOOKUP_NONE && !l->candidates[index].is_struck) {
        l->candidates[index].is_struck = true;
        l->n_struck++;
    }
}

/* Has this claim been heard? One key under two nonces is two claims: a liar must not keep the true
 * one out. What contradicts a certificate that we saw in this search is a lie at once. */
static bool is_seen(struct lookup *l, const struct dht_contact *contact, uint16_t referrer)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct lookup_candidate *c = &l->candidates[i];
        if (!node_id_equal(&c->contact.id, &contact->id)) {
            continue;
        }
        bool is_same = memcmp(c->contact.nonce, contact->nonce, sizeof(contact->nonce)) == 0;
        if (is_same || !lookup_is_pos_known(c)) {
            return true;
        }
        if (c->state == LOOKUP_ANSWERED) {
            strike(l, referrer);
            return true;
        }
    }
    return false;
}

/* Where a new candidate may stand: a free place, or that of the farthest one not yet asked if that
 * is farther than `pos`. LOOKUP_CANDIDATES_MAX: nowhere. */
static size_t find_place(const struct lookup *l, const struct dht_pos *pos)
{
    if (l->n < LOOKUP_CANDIDATES_MAX) {
        return l->n;
    }
    for (size_t i = l->n; i-- > 0;) {
        const struct lookup_candidate *c = &l->candidates[l->order[i]];
        if (c->state == LOOKUP_NEW && lookup_is_pos_known(c)) {
            bool is_nearer = dht_pos_compare(&l->config.target, pos, &c->pos) < 0;
            return is_nearer ? l->order[i] : LOOKUP_CANDIDATES_MAX;
        }
    }
    return LOOKUP_CANDIDATES_MAX;
}

static void add(struct lookup *l, const struct dht_contact *contact, uint16_t referrer,
                uint8_t path)
{
    struct dht_pos pos = {{0}};
    if (node_id_equal(&contact->id, &l->config.self) || is_seen(l, contact, referrer)) {
        return;
    }
    if ((contact->flags & DHT_FLAG_NO_NONCE) == 0) {
        pos = dht_pos_of(&l->config.mesh, contact->nonce, &contact->id);
    }
    size_t at = find_place(l, &pos);
    if (at == LOOKUP_CANDIDATES_MAX) {
        return;
    }
    if (at < l->n) {
        (void)order_remove(l, at);
    }
    l->candidates[at] = (struct lookup_candidate){.contact = *contact,
                                                  .pos = pos,
                                                  .soft_us = LOOKUP_SOFT_US,
                                                  .referrer = referrer,
                                                  .state = LOOKUP_NEW,
                                                  .path = path};
    size_t n_ordered = at < l->n ? l->n - 1u : l->n;
    order_insert(l, at, n_ordered);
    l->n = (uint16_t)(n_ordered + 1);
}

void lookup_seed(struct lookup *l, const struct dht_contact *contacts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t before = l->n;
        add(l, &contacts[i], LOOKUP_NONE, l->next_path);
        if (l->n > before) {
            l->next_path = (uint8_t)((l->next_path + 1) % l->config.paths);
        }
    }
}

void lookup_set_soft(struct lookup *l, uint16_t tx, uint64_t soft_us)
{
    assert(tx < l->n);
    l->candidates[tx].soft_us = (uint32_t)IPX_MIN(soft_us, LOOKUP_HARD_US);
}

/* Its contacts do not answer, and none did. */
static bool is_discredited(const struct lookup *l, uint16_t referrer)
{
    if (referrer == LOOKUP_NONE) {
        return false;
    }
    const struct lookup_candidate *c = &l->candidates[referrer];
    return c->n_silent >= LOOKUP_LIES_MAX && c->n_true == 0;
}

static void fail(struct lookup *l, struct lookup_candidate *c)
{
    bool was_silent = c->state == LOOKUP_STALLED || c->n_asked > 1; /* counted when it stalled */
    uint16_t referrer = c->referrer;
    move(c, LOOKUP_FAILED);
    if (referrer == LOOKUP_NONE) {
        return;
    }
    struct lookup_candidate *by = &l->candidates[referrer];
    by->n_silent = (uint8_t)(by->n_silent + (was_silent ? 0 : 1));
    if (!is_discredited(l, referrer)) {
        return;
    }
    /* Three failed for good and none answered: the rest of its contacts are not asked at all. */
    unsigned n_failed = 0;
    for (size_t i = 0; i < l->n; i++) {
        n_failed +=
            l->candidates[i].referrer == referrer && l->candidates[i].state == LOOKUP_FAILED;
    }
    for (size_t i = 0; n_failed >= LOOKUP_LIES_MAX && i < l->n; i++) {
        if (l->candidates[i].referrer == referrer && l->candidates[i].state == LOOKUP_NEW) {
            move(&l->candidates[i], LOOKUP_FAILED);
        }
    }
    if (n_failed >= LOOKUP_LIES_MAX) {
        strike(l, referrer);
    }
}

/* 0: ours. Labs are named by certificates: nobody picks one to share another's number. */
static uint16_t foreign_lab(const struct lookup *l, const struct cert_facts *facts)
{
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
    if (l->config.lab[0] == 0 || strcmp(l->config.lab, facts->lab) == 0) {
        return 0;
    }
    for (const char *p = facts->lab; *p != 0; p++) {
        hash = (hash ^ (uint8_t)*p) * UINT32_C(16777619);
    }
    return (uint16_t)IPX_MAX((hash ^ hash >> 16) & 0xffff, 1u);
}

enum ipx_err lookup_on_reply(struct lookup *l, uint64_t now_us, uint16_t tx,
                             const struct cert_facts *facts, const struct dht_contact *contacts,
                             size_t n)
{
    assert(tx < l->n && node_id_equal(&facts->id, &l->candidates[tx].contact.id));
    struct lookup_candidate *c = &l->candidates[tx];
    l->now_us = now_us;
    if (l->is_over || (c->state != LOOKUP_WAITING && c->state != LOOKUP_STALLED)) {
        return IPX_STALE;
    }
    if (!lookup_is_pos_known(c)) {
        size_t n_ordered = l->n - 1u;
        (void)order_remove(l, tx);
        c->contact.flags &= (uint8_t)~DHT_FLAG_NO_NONCE;
        memcpy(c->contact.nonce, facts->nonce, sizeof(c->contact.nonce));
        c->pos = facts->pos;
        order_insert(l, tx, n_ordered);
    }
    if (memcmp(c->contact.nonce, facts->nonce, sizeof(facts->nonce)) != 0 && !IPX_PLANT(NONCE)) {
        strike(l, c->referrer);
        fail(l, c);
        return IPX_REFUSED;
    }
    if (c->referrer != LOOKUP_NONE) {
        struct lookup_candidate *by = &l->candidates[c->referrer];
        by->n_true = (uint8_t)(by->n_true + 1);
    }
    move(c, LOOKUP_ANSWERED);
    c->lab = foreign_lab(l, facts);
    for (size_t i = 0; i < n; i++) {
        add(l, &contacts[i], tx, c->path);
    }
    return IPX_OK;
}

bool lookup_on_value(struct lookup *l, uint64_t now_us, uint16_t tx, uint64_t seq)
{
    assert(tx < l->n && l->candidates[tx].state == LOOKUP_ANSWERED);
    bool is_first = l->value_us == 0;
    l->now_us = now_us;
    if (l->is_over || l->candidates[tx].has_value || (!is_first && seq < l->value_seq)) {
        return false;
    }
    bool is_better = is_first || seq > l->value_seq;
    if (is_first) {
        l->value_us = IPX_MAX(now_us, 1u);
    }
    if (is_better) {
        l->value_seq = seq;
        l->n_agree = 0;
        for (size_t i = 0; i < l->n; i++) {
            l->candidates[i].has_value = false;
        }
    }
    l->candidates[tx].has_value = true;
    l->n_agree++;
    return is_better;
}

void lookup_on_fail(struct lookup *l, uint64_t now_us, uint16_t tx)
{
    assert(tx < l->n);
    struct lookup_candidate *c = &l->candidates[tx];
    l->now_us = now_us;
    if (l->is_over || (c->state != LOOKUP_WAITING && c->state != LOOKUP_STALLED)) {
        return;
    }
    c->n_open--;
    if (c->n_open == 0) {
        fail(l, c);
    }
}

void lookup_tick(struct lookup *l, uint64_t now_us)
{
    l->now_us = now_us;
    for (size_t i = 0; i < l->n && !l->is_over; i++) {
        struct lookup_candidate *c = &l->candidates[i];
        bool is_asked = c->state == LOOKUP_WAITING || c->state == LOOKUP_STALLED;
        if (is_asked && now_us >= c->sent_us + LOOKUP_HARD_US) {
            fail(l, c);
        } else if (c->state == LOOKUP_WAITING && now_us >= c->sent_us + c->soft_us) {
            move(c, LOOKUP_STALLED);
            if (c->referrer != LOOKUP_NONE && c->n_asked == 1) {
                l->candidates[c->referrer].n_silent++;
            }
        }
    }
}

void lookup_cancel(struct lookup *l)
{
    if (!l->is_over) {
        l->is_over = true;
        l->status = IPX_CLOSED;
    }
}

void lookup_finish(struct lookup *l)
{
    if (!l->is_over) {
        l->is_over = true;
        l->status = IPX_OK;
    }
}

/* Silent so far, so near that a record may lie there, and asked only once. `n_nearer`: those of its
 * path that are nearer and not silent. */
static bool is_to_ask_again(const struct lookup *l, const struct lookup_candidate *c,
                            unsigned n_nearer)
{
    return c->state == LOOKUP_STALLED && c->n_asked < LOOKUP_ASKS_MAX &&
           l->config.mode != LOOKUP_LOCATE && n_nearer < LOOKUP_ASK_AGAIN &&
           l->n_sent < LOOKUP_MESSAGES_MAX && !is_discredited(l, c->referrer);
}

/* Each that is silent gives room for one more, up to a limit: to wait for several in turn is what
 * makes a search slow. Disjoint paths have each other. */
static unsigned n_slots(const struct lookup *l, unsigned n_silent)
{
    unsigned max = l->config.mode == LOOKUP_LOCATE ? LOOKUP_ALPHA_LOCATE : LOOKUP_ALPHA_MAX;
    unsigned alpha = l->config.alpha;
    return l->config.paths > 1 ? alpha : IPX_MAX(alpha, IPX_MIN(alpha + n_silent, max));
}

/* The one of this path that is to be asked now; l->n if none. A second question waits for no slot
 * and takes none: it is of the nearest, and else the search would wait for it at its end. */
static size_t next_to_ask(const struct lookup *l, uint8_t path, bool with_discredited)
{
    unsigned n_live = 0, n_waiting = 0, n_silent = 0;
    struct lookup_variety v = {.n = 0};
    size_t next = l->n, again = l->n;
    for (size_t i = 0; i < l->n; i++) {
        const struct lookup_candidate *c = &l->candidates[l->order[i]];
        if (c->path != path) {
            continue;
        }
        n_silent += c->state == LOOKUP_STALLED || c->n_asked > 1;
        if (again == l->n && is_to_ask_again(l, c, n_live)) {
            again = l->order[i];
        }
        if (!is_live(c)) {
            continue;
        }
        n_waiting += c->state == LOOKUP_WAITING && c->n_asked == 1;
        if (c->state == LOOKUP_NEW && !with_discredited && is_discredited(l, c->referrer)) {
            continue;
        }
        n_live += c->state != LOOKUP_ANSWERED || lookup_counts(&v, c);
        if (c->state == LOOKUP_NEW && n_live <= l->config.k && next == l->n) {
            next = l->order[i];
        }
    }
    if (again != l->n) {
        return again;
    }
    return n_waiting < n_slots(l, n_silent) ? next : l->n;
}

/* Has this path found what the mode asks of it? */
static bool is_path_done(const struct lookup *l, uint8_t path)
{
    unsigned need = l->config.mode == LOOKUP_LOCATE ? l->config.r : l->config.k;
    unsigned n_answered = 0, n_stalled = 0;
    struct lookup_variety v = {.n = 0};
    for (size_t i = 0; i < l->n; i++) {
        const struct lookup_candidate *c = &l->candidates[l->order[i]];
        if (c->path != path || c->state == LOOKUP_FAILED) {
            continue;
        }
        if (c->state == LOOKUP_STALLED && !is_to_ask_again(l, c, n_answered)) {
            n_stalled++;
            continue;
        }
        if (c->state != LOOKUP_ANSWERED) {
            return false;
        }
        n_answered += lookup_counts(&v, c);
        if (n_answered == need) {
            return true;
        }
    }
    /* All have been asked. The silent are waited for only while too few answered. */
    return n_stalled == 0 || n_answered >= l->config.r;
}

static bool is_target_found(const struct lookup *l)
{
    if (l->config.mode != LOOKUP_LOCATE || l->n == 0) {
        return false;
    }
    const struct lookup_candidate *c = &l->candidates[l->order[0]];
    return c->state == LOOKUP_ANSWERED &&
           memcmp(c->pos.bytes, l->config.target.bytes, sizeof(c->pos.bytes)) == 0;
}

static bool is_value_done(const struct lookup *l)
{
    return l->value_us != 0 &&
           (l->n_agree >= LOOKUP_AGREE || l->now_us >= l->value_us + LOOKUP_GRACE_US);
}

static bool is_nothing_asked(const struct lookup *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->candidates[i].state == LOOKUP_WAITING) {
            return false;
        }
    }
    return true;
}

static void end(struct lookup *l, enum ipx_err status)
{
    uint16_t nearest;
    bool is_empty =
        l->config.mode == LOOKUP_VALUE ? l->value_us == 0 : lookup_closest(l, &nearest, 1) == 0;
    l->is_over = true;
    l->status = status == IPX_OK && is_empty ? IPX_NOT_FOUND : status;
}

static void try_end(struct lookup *l)
{
    bool is_done = true;
    for (uint8_t p = 0; p < l->config.paths; p++) {
        is_done = is_done && is_path_done(l, p);
    }
    if (is_done || is_target_found(l) || is_value_done(l)) {
        end(l, IPX_OK);
    } else if (l->now_us >= l->started_us + LOOKUP_CAP_US) {
        end(l, IPX_TIMEOUT);
    } else if (l->n_sent >= LOOKUP_MESSAGES_MAX && is_nothing_asked(l)) {
        end(l, IPX_LIMIT);
    }
}

static bool poll_strike(struct lookup *l, struct lookup_action *ret)
{
    for (size_t i = 0; l->n_struck > 0 && i < l->n; i++) {
        if (l->candidates[i].is_struck) {
            l->candidates[i].is_struck = false;
            l->n_struck--;
            *ret =
                (struct lookup_action){.kind = LOOKUP_STRIKE, .contact = &l->candidates[i].contact};
            return true;
        }
    }
    return false;
}

static bool poll_send(struct lookup *l, struct lookup_action *ret)
{
    size_t at = l->n;
    for (unsigned pass = 0; pass < 2 && at == l->n; pass++) {
        for (uint8_t p = 0; p < l->config.paths && at == l->n; p++) {
            at = next_to_ask(l, p, pass == 1);
        }
    }
    if (at == l->n || l->n_sent >= LOOKUP_MESSAGES_MAX) {
        return false;
    }
    move(&l->candidates[at], LOOKUP_WAITING);
    l->candidates[at].sent_us = l->now_us;
    l->candidates[at].n_asked++;
    l->candidates[at].n_open++;
    l->n_sent++;
    *ret = (struct lookup_action){
        .kind = LOOKUP_SEND, .tx = (uint16_t)at, .contact = &l->candidates[at].contact};
    return true;
}

bool lookup_poll(struct lookup *l, bool may_send, struct lookup_action *ret)
{
    if (poll_strike(l, ret)) {
        return true;
    }
    if (!l->is_over) {
        try_end(l);
    }
    if (l->is_over) {
        bool is_new = !l->is_told;
        l->is_told = true;
        *ret = (struct lookup_action){.kind = LOOKUP_DONE, .status = l->status};
        return is_new;
    }
    return may_send && poll_send(l, ret);
}
