/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A signed item: the CBOR array [ body, signature ], where the signature covers the raw
 * bytes of the body as received, under a type and a mesh (overlay, reading rules).
 *
 * Used by everything of this folder that is signed and travels: certificates, tickets,
 * redemptions, notices. Nothing is copied: a read item borrows from its input.
 */
#include "base/cbor.h"
#include "base/crypt.h"

#define SIGNED_OVERHEAD (1 + 2 + CRYPT_SIG_LEN) /* bytes around the body */

struct signed_item {
    struct slice bytes; /* the whole item, as hashed and handed on */
    struct slice body;  /* one CBOR item */
    const uint8_t *sig; /* CRYPT_SIG_LEN bytes */
};

/* Splits; checks the form, not the signature. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err signed_read(struct slice in, struct signed_item *ret);
bool signed_verify(const struct signed_item *item, const struct node_id *pk, const char *type,
                   const struct mesh_id *mesh);
/* Signs `body` (one CBOR item) and writes the item; a full writer fails stickily. */
void signed_write(struct writer *w, struct slice body, const struct crypt_keypair *key,
                  const char *type, const struct mesh_id *mesh);
/* An existing signature around its body. */
void signed_put(struct writer *w, struct slice body, const uint8_t sig[static CRYPT_SIG_LEN]);
