/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What INIT and RESP say inside the sealing (docs/wire/datagrams.md): deterministic
 * CBOR maps. Unknown odd keys are skipped, unknown even keys refuse the message.
 */
#include "base/addr.h"
#include "base/cert.h"

#define HANDSHAKE_VERSION_MIN 1 /* wire versions we speak */
#define HANDSHAKE_VERSION_MAX 1
#define HANDSHAKE_EARLY_MAX 512 /* body of an early request */
#define HANDSHAKE_ANSWER_MAX 1100
#define HANDSHAKE_TICKET_MAX 288 /* a ticket's public part (TICKET_PUBLIC_MAX) */

enum handshake_status { /* anything but OK makes no session */
                        HANDSHAKE_OK = 0,
                        HANDSHAKE_NEED_CHAIN =
                            1, /* show the chain, not its hash; or the admitter's, on a link */
                        HANDSHAKE_CLOCK = 2, /* your t is old: mine and your last one are with it */
                        HANDSHAKE_REFUSED = 3, /* `why` says more */
                        HANDSHAKE_REVOKED = 4,
                        HANDSHAKE_BUSY = 5
};

struct handshake_message { /* one request or answer within a handshake */
    bool is_set;
    uint8_t type;
    uint32_t request_id;
    struct slice body;
};

struct handshake_init {
    struct node_id pk;
    int64_t t_ms;
    uint8_t version_min, version_max;
    struct slice chain; /* exactly one of chain, chain_hash, ticket */
    bool has_hash;
    struct hash chain_hash;
    struct slice ticket;
    uint32_t suites; /* bit (1 << enum crypt_suite) each */
    struct handshake_message early;
    struct slice admitter_chain; /* links: of an admitted chain */
    bool is_padded;        /* sessions: to HANDSHAKE_DATAGRAM_MAX; asks for the peer's chain */
    const uint8_t *cookie; /* NULL: none; not part of the payload */
};

struct handshake_resp {
    struct slice chain; /* one of both, or neither (a joiner has none) */
    bool has_hash;
    struct hash chain_hash;
    uint8_t version;
    uint8_t suite; /* enum crypt_suite */
    enum handshake_status status;
    enum ipx_err why;          /* REFUSED: a positive condition */
    int64_t clock_ms, last_ms; /* CLOCK */
    struct addr observed;      /* the dialler's address as seen; ADDR_NONE: not said */
    struct handshake_message answer;
    struct slice admitter_chain; /* links */
};

/* The map, then zeros up to `len_padded` (0: no padding). A full writer fails stickily. */
void handshake_init_encode(const struct handshake_init *init, size_t len_padded, struct writer *w);
/* Borrows from `in`. `is_padding_allowed`: zeros may follow the map, nothing else may. Conditions:
 * IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err handshake_init_decode(struct slice in, bool is_padding_allowed,
                                                struct handshake_init *ret);
void handshake_resp_encode(const struct handshake_resp *resp, struct writer *w);
IPX_MUST_USE enum ipx_err handshake_resp_decode(struct slice in, struct handshake_resp *ret);
