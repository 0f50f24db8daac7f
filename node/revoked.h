/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The revocations this node has verified, with their bytes as they are saved and handed on
 * (base/revoke.h says what one is). Part of node/chains.h, which asks here before anything is
 * accepted from anybody.
 *
 * Invariant: all were verified; none is here twice; n <= REVOKED_MAX; `bytes` is all of them end to
 * end in the order they came, which is also the saved form. It only grows: one that is over goes
 * when a full table needs its place, never sooner, so that no wrong clock brings back who was
 * struck.
 */
#include "base/buf.h"
#include "base/revoke.h"

#define REVOKED_MAX 4096        /* of 0.3 KiB each; a year's of a mesh of 1,024 four times over */
#define REVOKED_ISSUER_MAX 1024 /* by one issuer: a stolen key leaves room for the root's */

struct revoked {
    struct mem *mem;
    struct revoked_entry {
        struct revoke r;
        uint8_t len; /* of its bytes */
    } * all;
    uint32_t n, capacity;
    struct buf bytes;
};
_Static_assert(REVOKE_MAX <= UINT8_MAX, "lengths of one byte");

void revoked_init(struct revoked *t, struct mem *mem);
void revoked_done(struct revoked *t);
/* `r` is what revoke_verify made of `bytes`. Conditions: IPX_EXISTS, IPX_FULL (in all, or of this
 * issuer). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err revoked_add(struct revoked *t, const struct revoke *r, struct slice bytes,
                                      int64_t wall_ms);
/* The first that strikes them; NULL: none. Valid until the next revoked_add. */
const struct revoke *revoked_find(const struct revoked *t, const struct cert_facts *facts);
bool revoked_has_ticket(const struct revoked *t, const struct node_id *issuer, uint64_t serial,
                        const struct node_id *redeemer);
bool revoked_has_issuer(const struct revoked *t, const struct node_id *issuer);
/* Drops one that is over; false: there is none. */
bool revoked_drop_over(struct revoked *t, int64_t wall_ms);
void revoked_check(const struct revoked *t);
