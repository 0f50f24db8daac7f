/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bodies of the messages 1 to 10 of the datagram plane, each a CBOR map
 * (docs/wire/datagrams.md); ADMIT and ADMITTED are in base/admit.h. Decoders borrow
 * from their input. Conditions of all of them: IPX_MALFORMED.
 */
#include "base/addr.h"
#include "base/cert.h"

#define SESSION_NONCE_LEN 8       /* of PATH_CHALLENGE */
#define SESSION_REVERSE_MAX 4     /* addresses in REVERSE */
#define SESSION_WIRE_SMALL_MAX 96 /* longest of PING, PONG, PATH_*, CLOSE, GET_CHAIN, REVERSE */

/* 1 PING {} */
void session_ping_encode(struct writer *w);
IPX_MUST_USE enum ipx_err session_ping_decode(struct slice body);
/* 2 PONG {1 the asker's address as seen} */
void session_pong_encode(const struct addr *observed, struct writer *w);
IPX_MUST_USE enum ipx_err session_pong_decode(struct slice body, struct addr *ret_observed);
/* 3 PATH_CHALLENGE, 4 PATH_RESPONSE {1 nonce} */
void session_path_encode(const uint8_t nonce[static SESSION_NONCE_LEN], struct writer *w);
IPX_MUST_USE enum ipx_err session_path_decode(struct slice body,
                                              uint8_t ret[static SESSION_NONCE_LEN]);
/* 7 GET_CHAIN {1 hash} */
void session_get_chain_encode(const struct hash *hash, struct writer *w);
IPX_MUST_USE enum ipx_err session_get_chain_decode(struct slice body, struct hash *ret);
/* 8 CHAIN {1 the chain or certificate whose hash was asked for}; empty: not held */
void session_chain_encode(struct slice chain, struct writer *w);
IPX_MUST_USE enum ipx_err session_chain_decode(struct slice body, struct slice *ret);
/* 9 REVERSE {1 [addresses]}: dial me a link, at one of these, I cannot dial you */
struct session_reverse {
    unsigned n;
    struct addr addrs[SESSION_REVERSE_MAX];
};
void session_reverse_encode(const struct session_reverse *m, struct writer *w);
IPX_MUST_USE enum ipx_err session_reverse_decode(struct slice body, struct session_reverse *ret);
/* 10 CLOSE {1 reason: a positive condition} */
void session_close_encode(enum ipx_err why, struct writer *w);
IPX_MUST_USE enum ipx_err session_close_decode(struct slice body, enum ipx_err *ret_why);
