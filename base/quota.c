/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quota.h"

void quota_init(struct quota *q, struct quota *parent, const uint64_t limit[static QUOTA_N_KINDS])
{
    *q = (struct quota){.parent = parent};
    memcpy(q->limit, limit, sizeof(q->limit));
    unsigned depth = 1;
    for (const struct quota *up = parent; up != NULL; up = up->parent) {
        depth++;
        assert(depth <= QUOTA_DEPTH_MAX);
    }
    if (parent != NULL) {
        parent->n_users++;
    }
}

void quota_done(struct quota *q)
{
    assert(q->n_users == 0);
    for (int k = 0; k < QUOTA_N_KINDS; k++) {
        assert(q->used[k] == 0);
    }
    if (q->parent != NULL) {
        assert(q->parent->n_users > 0);
        q->parent->n_users--;
    }
    *q = (struct quota){.parent = NULL};
}

void quota_set_limit(struct quota *q, enum quota_kind kind, uint64_t limit)
{
    assert(kind < QUOTA_N_KINDS);
    q->limit[kind] = limit;
}

uint64_t quota_left(const struct quota *q, enum quota_kind kind)
{
    assert(kind < QUOTA_N_KINDS);
    uint64_t left = UINT64_MAX;
    for (; q != NULL; q = q->parent) {
        uint64_t here = q->limit[kind] > q->used[kind] ? q->limit[kind] - q->used[kind] : 0;
        left = IPX_MIN(left, here);
    }
    return left;
}

/* Counts up here and in all parents, or nowhere. */
static enum ipx_err quota_add(struct quota *q, enum quota_kind kind, uint64_t amount)
{
    if (amount > quota_left(q, kind)) {
        return IPX_LIMIT;
    }
    for (; q != NULL; q = q->parent) {
        q->used[kind] += amount;
    }
    return IPX_OK;
}

static void quota_sub(struct quota *q, enum quota_kind kind, uint64_t amount)
{
    for (; q != NULL; q = q->parent) {
        assert(q->used[kind] >= amount);
        q->used[kind] -= amount;
    }
}

enum ipx_err quota_charge(struct quota *q, struct quota_charge *charge, enum quota_kind kind,
                          uint64_t amount)
{
    assert(kind < QUOTA_N_KINDS);
    assert(charge->quota == NULL);
    enum ipx_err err = quota_add(q, kind, amount);
    if (err != IPX_OK) {
        return err;
    }
    q->n_users++;
    *charge = (struct quota_charge){.quota = q, .kind = kind, .amount = amount};
    return IPX_OK;
}

enum ipx_err quota_charge_resize(struct quota_charge *charge, uint64_t amount)
{
    assert(charge->quota != NULL);
    if (amount > charge->amount) {
        enum ipx_err err = quota_add(charge->quota, charge->kind, amount - charge->amount);
        if (err != IPX_OK) {
            return err;
        }
    } else {
        quota_sub(charge->quota, charge->kind, charge->amount - amount);
    }
    charge->amount = amount;
    return IPX_OK;
}

void quota_charge_return(struct quota_charge *charge)
{
    struct quota *q = charge->quota;
    if (q == NULL) {
        return;
    }
    assert(q->n_users > 0);
    quota_sub(q, charge->kind, charge->amount);
    q->n_users--;
    *charge = QUOTA_CHARGE_INIT;
}
