/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Noise_IKpsk2_25519_ChaChaPoly_SHA256 (Noise revision 34), without I/O and without
 * entropy: ephemeral keys are parameters. Two messages, then two transport keys:
 *
 *     -> e, es, s, ss, payload      initiator: noise_write_first, responder: noise_read_first
 *     <- e, ee, se, psk, payload    responder: noise_write_second, initiator: noise_read_second
 *
 * Invariant: a failed read leaves the state as it was, so that a forged message cannot
 * spoil a handshake under way. The pre-shared key enters at the end of the second message
 * only: the first is guarded by the responder's static key alone. Called by node/handshake.
 *
 * Conditions of all steps: IPX_REFUSED (a key of low order), IPX_BAD_SIGNATURE (a tag does
 * not match), IPX_MALFORMED (too short), IPX_LIMIT (`ret` has no room).
 */
#include "base/crypt.h"

#define NOISE_KEY_LEN 32
#define NOISE_FIRST_OVERHEAD (32 + 32 + 16 + 16) /* e, sealed s, tag of the payload */
#define NOISE_SECOND_OVERHEAD (32 + 16)          /* e, tag of the payload */
#define NOISE_PAYLOAD_MAX 4096                   /* longest payload; links' INITs are the longest */

struct noise_static { /* X25519 key pair */
    uint8_t sk[NOISE_KEY_LEN];
    uint8_t pk[NOISE_KEY_LEN];
};

struct noise {
    uint8_t ck[32]; /* chaining key */
    uint8_t h[32];  /* hash of all that was said */
    uint8_t k[32];
    uint64_t n;                    /* counter under k */
    uint8_t e_sk[NOISE_KEY_LEN];   /* own ephemeral key */
    uint8_t peer_e[NOISE_KEY_LEN]; /* the peer's ephemeral key */
    uint8_t peer_s[NOISE_KEY_LEN]; /* the peer's static key */
};

struct noise_keys { /* what both ends share after the second message */
    uint8_t send[NOISE_KEY_LEN];
    uint8_t recv[NOISE_KEY_LEN];
    uint8_t hash[32]; /* handshake hash: names this handshake */
};

/* Starts either side: `responder` is the responder's static public key. */
void noise_init(struct noise *n, struct slice prologue, const uint8_t responder[static 32]);
void noise_wipe(struct noise *n);

/* Appends payload.len + NOISE_FIRST_OVERHEAD bytes to `w`. */
IPX_MUST_USE enum ipx_err noise_write_first(struct noise *n, const struct noise_static *own,
                                            const uint8_t e_sk[static 32], struct slice payload,
                                            struct writer *w);
/* The payload goes to `ret_payload`; then n->peer_s is the initiator's static key, proved only
 * to somebody who trusts the responder's own key (KCI: overlay 1.6). */
IPX_MUST_USE enum ipx_err noise_read_first(struct noise *n, const struct noise_static *own,
                                           struct slice message, struct writer *ret_payload);
IPX_MUST_USE enum ipx_err noise_write_second(struct noise *n, const uint8_t e_sk[static 32],
                                             const uint8_t psk[static 32], struct slice payload,
                                             struct writer *w);
IPX_MUST_USE enum ipx_err noise_read_second(struct noise *n, const struct noise_static *own,
                                            const uint8_t psk[static 32], struct slice message,
                                            struct writer *ret_payload);
/* After the second message. */
void noise_split(const struct noise *n, bool is_initiator, struct noise_keys *ret);

/* The 96-bit nonce of a counter: 4 zero bytes, then little-endian (ChaCha20) or big-endian
 * (AES-GCM). */
void noise_nonce(enum crypt_suite suite, uint64_t counter, uint8_t ret[static 12]);
/* REKEY(k) of the Noise specification, section 4.2. */
void noise_rekey(enum crypt_suite suite, uint8_t key[static 32]);
