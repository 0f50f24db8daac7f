/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The certificate chains this node has seen and verified, so that a peer met again
 * shows a hash instead of half a packet of certificates (overlay 1.3). One cache a
 * node, shared by sessions and links; also answers GET_CHAIN.
 *
 * Also holds what was revoked: the handshake asks here, so that nothing is accepted
 * from a revoked key (1.2).
 *
 * Invariant: every entry passed cert_chain_verify when it was put in; validity in
 * time is checked again at each use. At most `max` entries, least recently used out
 * first; one entry a key.
 */
#include "base/cert.h"
#include "base/list.h"
#include "node/index.h"
#include "node/revoked.h"

#define CHAINS_MAX 2048 /* of 1.6 KiB at most */

struct chain { /* one entry; borrowed by callers until the next call that changes the cache */
    struct list lru;
    struct cert_facts facts; /* .id and .chain_hash are the keys */
    uint8_t *bytes;
    size_t len;
};

struct chains {
    struct mem *mem;
    struct mesh_id mesh;
    struct index by_hash, by_id;
    struct list lru; /* most recently used first */
    struct revoked revoked;
};

IPX_MUST_USE enum ipx_err chains_init(struct chains *c, struct mem *mem, const struct mesh_id *mesh,
                                      uint32_t max, const uint8_t secret[static 16]);
void chains_done(struct chains *c);

/* Verifies and keeps a chain shown by `subject` (NULL: by nobody, the key is taken from it).
 * `admitter` is the admitter's chain, empty if it was not shown with it; then the cache is asked.
 * `*ret` is valid until the next call that changes the cache. Conditions: those of
 * cert_chain_verify_with; IPX_REVOKED. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err chains_put(struct chains *c, int64_t wall_ms, struct slice chain,
                                     struct slice admitter, const struct node_id *subject,
                                     const struct chain **ret);
/* NULL if we do not hold it. Moves it to the front. */
const struct chain *chains_find(struct chains *c, const struct hash *hash);
const struct chain *chains_find_id(struct chains *c, const struct node_id *id);
/* A held chain, named by its hash by `subject`. Conditions: IPX_NEED_CHAIN (not held, or no longer
 * valid), IPX_CONFLICT (it is somebody else's), IPX_REVOKED. */
IPX_MUST_USE enum ipx_err chains_named(struct chains *c, int64_t wall_ms, const struct hash *hash,
                                       const struct node_id *subject, const struct chain **ret);
void chains_forget(struct chains *c, const struct node_id *id);

/* Takes effect at once here; sessions and links must be told too. Conditions and fault: those of
 * revoked_add. */
IPX_MUST_USE enum ipx_err chains_revoke(struct chains *c, const struct revoke *r,
                                        struct slice bytes, int64_t wall_ms);
bool chains_is_revoked(const struct chains *c, const struct cert_facts *facts);

void chains_check(const struct chains *c);
