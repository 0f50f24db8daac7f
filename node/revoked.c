/* SPDX-License-Identifier: Apache-2.0 */
#include "node/revoked.h"

#define STEP 8 /* first size of the table; it doubles */

void revoked_init(struct revoked *t, struct mem *mem)
{
    *t = (struct revoked){.mem = mem};
    buf_init(&t->bytes, mem, (size_t)REVOKED_MAX * REVOKE_MAX);
}

void revoked_done(struct revoked *t)
{
    mem_free(t->mem, t->all);
    buf_done(&t->bytes);
    *t = (struct revoked){.n = 0};
}

bool revoked_drop_over(struct revoked *t, int64_t wall_ms)
{
    size_t at = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        size_t len = t->all[i].len;
        if (revoke_is_over(&t->all[i].r, wall_ms)) {
            uint8_t *bytes = t->bytes.data + at;
            memmove(bytes, bytes + len, t->bytes.len - at - len);
            buf_shrink(&t->bytes, len);
            memmove(&t->all[i], &t->all[i + 1], (t->n - i - 1) * sizeof(*t->all));
            t->n--;
            return true;
        }
        at += len;
    }
    return false;
}

static bool is_here(const struct revoked *t, struct slice bytes)
{
    size_t at = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        if (slice_equal(slice_of(t->bytes.data + at, t->all[i].len), bytes)) {
            return true;
        }
        at += t->all[i].len;
    }
    return false;
}

static uint32_t count_by(const struct revoked *t, const struct node_id *revoker)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        n += node_id_equal(&t->all[i].r.revoker, revoker) ? 1 : 0;
    }
    return n;
}

static enum ipx_err make_room(struct revoked *t, const struct revoke *r, int64_t wall_ms)
{
    bool is_full =
        t->n == REVOKED_MAX || (!r->is_by_root && count_by(t, &r->revoker) >= REVOKED_ISSUER_MAX);
    if (is_full && !revoked_drop_over(t, wall_ms)) {
        return IPX_FULL;
    }
    if (t->n < t->capacity) {
        return IPX_OK;
    }
    uint32_t capacity = t->capacity == 0 ? STEP : t->capacity * 2;
    void *all = mem_realloc(t->mem, t->all, capacity * sizeof(*t->all));
    if (all == NULL) {
        return IPX_NO_MEMORY;
    }
    t->all = all;
    t->capacity = capacity;
    return IPX_OK;
}

enum ipx_err revoked_add(struct revoked *t, const struct revoke *r, struct slice bytes,
                         int64_t wall_ms)
{
    assert(bytes.len > 0 && bytes.len <= REVOKE_MAX);
    if (is_here(t, bytes)) {
        return IPX_EXISTS;
    }
    enum ipx_err err = make_room(t, r, wall_ms);
    if (err == IPX_OK) {
        err = buf_append(&t->bytes, bytes);
    }
    if (err == IPX_OK) {
        t->all[t->n++] = (struct revoked_entry){.r = *r, .len = (uint8_t)bytes.len};
    }
    return err;
}

const struct revoke *revoked_find(const struct revoked *t, const struct cert_facts *facts)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (revoke_strikes(&t->all[i].r, facts)) {
            return &t->all[i].r;
        }
    }
    return NULL;
}

bool revoked_has_ticket(const struct revoked *t, const struct node_id *issuer, uint64_t serial,
                        const struct node_id *redeemer)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (revoke_strikes_ticket(&t->all[i].r, issuer, serial, redeemer)) {
            return true;
        }
    }
    return false;
}

bool revoked_has_issuer(const struct revoked *t, const struct node_id *issuer)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (revoke_strikes_issuer(&t->all[i].r, issuer)) {
            return true;
        }
    }
    return false;
}

void revoked_check(const struct revoked *t)
{
    size_t len = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        assert(t->all[i].len > 0);
        len += t->all[i].len;
    }
    assert(t->n <= t->capacity && t->n <= REVOKED_MAX && len == t->bytes.len);
}
