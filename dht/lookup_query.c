/* SPDX-License-Identifier: Apache-2.0 */
/* The questions asked of a search: when to wake it, what it found, is all well. */
#include "dht/lookup.h"

uint64_t lookup_deadline(const struct lookup *l)
{
    uint64_t due = l->started_us + LOOKUP_CAP_US;
    if (l->is_over) {
        return l->is_told ? NEVER_US : l->now_us;
    }
    for (size_t i = 0; i < l->n; i++) {
        const struct lookup_candidate *c = &l->candidates[i];
        if (c->state == LOOKUP_WAITING) {
            due = IPX_MIN(due, c->sent_us + IPX_MIN(c->soft_us, LOOKUP_HARD_US));
        } else if (c->state == LOOKUP_STALLED) {
            due = IPX_MIN(due, c->sent_us + LOOKUP_HARD_US);
        }
    }
    return l->value_us != 0 ? IPX_MIN(due, l->value_us + LOOKUP_GRACE_US) : due;
}

bool lookup_counts(struct lookup_variety *v, const struct lookup_candidate *c)
{
    uint8_t i = 0;
    if (c->lab == 0) {
        return true;
    }
    while (i < v->n && v->labs[i].lab != c->lab) {
        i++;
    }
    i = IPX_MIN(i, LOOKUP_LABS_MAX - 1u);
    v->labs[i].lab = c->lab;
    v->n = (uint8_t)IPX_MAX(v->n, i + 1);
    v->labs[i].n = (uint8_t)(v->labs[i].n + 1);
    return v->labs[i].n <= LOOKUP_LAB_MAX;
}

static size_t nearest_of(const struct lookup *l, bool answered, uint16_t *ret, size_t max)
{
    size_t n = 0;
    struct lookup_variety v = {.n = 0};
    for (size_t i = 0; i < l->n && n < max; i++) {
        const struct lookup_candidate *c = &l->candidates[l->order[i]];
        if (answered ? c->state == LOOKUP_ANSWERED && lookup_counts(&v, c)
                     : c->state != LOOKUP_FAILED && c->state != LOOKUP_STALLED &&
                           c->state != LOOKUP_ANSWERED && lookup_is_pos_known(c)) {
            ret[n++] = l->order[i];
        }
    }
    return n;
}

size_t lookup_closest(const struct lookup *l, uint16_t *ret, size_t max)
{
    return nearest_of(l, true, ret, max);
}

size_t lookup_claims(const struct lookup *l, uint16_t *ret, size_t max)
{
    return nearest_of(l, false, ret, max);
}

void lookup_check(const struct lookup *l)
{
    bool seen[LOOKUP_CANDIDATES_MAX] = {false};
    unsigned n_struck = 0, n_asked = 0;
    assert(l->n <= LOOKUP_CANDIDATES_MAX && l->n_sent <= LOOKUP_MESSAGES_MAX);
    for (size_t i = 0; i < l->n; i++) {
        const struct lookup_candidate *c = &l->candidates[i];
        assert(!seen[l->order[i]] && l->order[i] < l->n);
        seen[l->order[i]] = true;
        const struct lookup_candidate *before = &l->candidates[l->order[i == 0 ? 0 : i - 1]];
        assert(!lookup_is_pos_known(before) || lookup_is_pos_known(&l->candidates[l->order[i]]));
        assert(!lookup_is_pos_known(before) ||
               dht_pos_compare(&l->config.target, &before->pos, &l->candidates[l->order[i]].pos) <=
                   0);
        assert(c->path < l->config.paths);
        assert(c->referrer == LOOKUP_NONE || l->candidates[c->referrer].state == LOOKUP_ANSWERED);
        assert(!node_id_equal(&c->contact.id, &l->config.self));
        n_struck += c->is_struck;
        n_asked += c->n_asked;
        assert(c->n_asked <= LOOKUP_ASKS_MAX && c->n_open <= c->n_asked);
        assert((c->state != LOOKUP_WAITING && c->state != LOOKUP_STALLED) || c->n_open > 0);
    }
    assert(n_struck == l->n_struck && n_asked <= l->n_sent);
}
