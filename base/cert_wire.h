/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What certificates and tickets share on the wire, and what the files of the certificate
 * module share among themselves: cert.c, cert_rules.c, cert_chain.c, ticket.c, admit.c. Not for
 * others.
 *
 * A grant is keys 1 to 7 of the body of a certificate and of a ticket: mesh id, serial,
 * not_before, not_after, lab, caps, prefixes (absent when there is none).
 */
#include "base/cert.h"

enum {
    GRANT_KEY_MESH = 1,
    GRANT_KEY_SERIAL = 2,
    GRANT_KEY_NOT_BEFORE = 3,
    GRANT_KEY_NOT_AFTER = 4,
    GRANT_KEY_LAB = 5,
    GRANT_KEY_CAPS = 6,
    GRANT_KEY_PREFIXES = 7
};
#define GRANT_KEYS_NEEDED 0x7eu /* bits of keys 1..6 */
/* mesh, serial, two times, lab, caps, prefixes: key and head of each, every number at its longest
 */
#define GRANT_BYTES_MAX                                                                            \
    (18 + 10 + 10 + 10 + (2 + CERT_LAB_MAX) + 6 + (2 + CERT_PREFIX_TOTAL_MAX + 2 * CERT_PREFIX_MAX))

unsigned cert_grant_n_keys(const struct cert_grant *g);
void cert_grant_put(struct writer *w, const struct mesh_id *mesh, const struct cert_grant *g);
/* Reads the value of `key` if it is one of the grant's; false if it is not. */
bool cert_grant_get(struct cbor_reader *r, uint64_t key, struct mesh_id *mesh,
                    struct cert_grant *g);
/* Grammar of the lab (or "*"), order of the times. */
bool cert_grant_is_valid(const struct cert_grant *g);

/* A node's certificate below an issuer that was verified; times are the caller's. Conditions:
 * those of cert_chain_verify without the times. */
IPX_MUST_USE enum ipx_err cert_node_verify(struct slice in, const struct cert *issuer,
                                           struct cert *ret);
/* The certificate that carries `f` on: a new serial, CERT_NODE_LIFE_MS from now. */
void cert_of_facts(const struct cert_facts *f, uint64_t serial, int64_t wall_ms, struct cert *ret);
