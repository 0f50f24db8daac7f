/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one handshake of ipx: INIT, RESP and COOKIE as bytes, for sessions (plane 'd',
 * UDP) and links (plane 's', TCP). Overlay 1.3; layouts in docs/wire/datagrams.md.
 *
 * Pure and without memory of its own: randomness, indices, chains and last values are
 * the caller's. The payloads are in node/handshake_payload.h, the judgement of an
 * INIT or a RESP (chain, t, version) in node/handshake_judge.h.
 *
 *   dialler                                  answerer
 *   handshake_init_write     -- INIT -->     handshake_gate_find (mac1), handshake_init_read,
 *                                            handshake_judge_init
 *   handshake_resp_read      <-- RESP --     handshake_resp_write
 *   handshake_judge_resp
 *
 * Invariant: nothing is computed with Curve25519 before mac1 was right; a failed read
 * changes nothing. On links: indices, cookie and padding are absent (zero).
 */
#include "base/addr.h"
#include "base/noise.h"
#include "node/handshake_payload.h"

#define HANDSHAKE_GATES_MAX 8 /* gate keys accepted; sent with is the first */
#define HANDSHAKE_MAC_LEN 16
#define HANDSHAKE_HEADER_LEN 4      /* version/type, gate id, zone */
#define HANDSHAKE_DATAGRAM_MAX 1200 /* largest UDP payload; also the size of a padded INIT */
#define HANDSHAKE_LINK_MAX 4096     /* on links; the u16 length before it is not counted */
#define HANDSHAKE_COOKIE_LEN 16
#define HANDSHAKE_COOKIE_PACKET_LEN 64
#define HANDSHAKE_WIRE_VERSION 1 /* of the packet layouts */
/* Around the payload: header, index, Noise, macs */
#define HANDSHAKE_INIT_OVERHEAD (HANDSHAKE_HEADER_LEN + 4 + NOISE_FIRST_OVERHEAD + 32)
#define HANDSHAKE_RESP_OVERHEAD (HANDSHAKE_HEADER_LEN + 8 + NOISE_SECOND_OVERHEAD + 32)
#define HANDSHAKE_INIT_PAYLOAD_MAX (HANDSHAKE_DATAGRAM_MAX - HANDSHAKE_INIT_OVERHEAD)

static_assert(HANDSHAKE_INIT_PAYLOAD_MAX == 1064, "what a ticket, a redemption and a chain fit in");
static_assert(HANDSHAKE_LINK_MAX - HANDSHAKE_RESP_OVERHEAD <= NOISE_PAYLOAD_MAX, "Noise limit");

enum packet_type { PACKET_INIT = 1, PACKET_RESP = 2, PACKET_COOKIE = 3, PACKET_DATA = 4 };
enum handshake_plane { HANDSHAKE_DATAGRAM = 'd', HANDSHAKE_LINK = 's' };

/* What of a node handshakes need, made once. */
struct handshake_self {
    struct crypt_keypair key;
    struct noise_static dh; /* converted from the key */
    struct mesh_id mesh;
    size_t n_gates;                             /* 1.. */
    uint8_t gates[HANDSHAKE_GATES_MAX][32];     /* newest first */
    uint8_t gate_ids[HANDSHAKE_GATES_MAX];      /* first byte of the hash of each */
    uint8_t mac1_keys[HANDSHAKE_GATES_MAX][32]; /* for what is sent to us */
    uint32_t suites;                            /* bit (1 << enum crypt_suite) each */
};

struct handshake_self_options {
    const struct crypt_keypair *key;
    const struct mesh_id *mesh;
    const uint8_t (*gates)[32];
    size_t n_gates; /* 1..HANDSHAKE_GATES_MAX */
};
void handshake_self_init(struct handshake_self *s, const struct handshake_self_options *options);
void handshake_self_done(struct handshake_self *s); /* wipes the keys */

/* The dialler between INIT and RESP. */
struct handshake_dial {
    struct noise noise;
    struct node_id peer;
    uint32_t index; /* ours */
    uint8_t gate;   /* index into gates */
    uint8_t plane;  /* enum handshake_plane */
    uint8_t header[HANDSHAKE_HEADER_LEN];
    uint8_t mac1[HANDSHAKE_MAC_LEN];
    uint16_t sent_len; /* of the INIT: no RESP is longer */
};

struct handshake_random { /* what one message needs, drawn by the caller */
    uint32_t index;
    uint8_t e_sk[32];
};

/* Writes an INIT. `cookie` NULL: none. Conditions: IPX_REFUSED (not a key), IPX_LIMIT (the payload
 * does not fit). */
IPX_MUST_USE enum ipx_err handshake_init_write(const struct handshake_self *self,
                                               struct handshake_dial *d,
                                               const struct handshake_init *init,
                                               const struct handshake_random *random,
                                               struct writer *w);
/* Sets who is dialled and how, before the first handshake_init_write. */
void handshake_dial_init(struct handshake_dial *d, enum handshake_plane plane,
                         const struct node_id *peer);

/* Type of a packet, 0 if it is none of ours (length, version). */
enum packet_type packet_type_of(struct slice packet);
/* Which of our gate keys made the mac1 of an INIT or RESP; false: a stranger. */
bool handshake_gate_find(const struct handshake_self *self, struct slice packet, uint8_t *ret_gate);

/* The answerer's view of an INIT: slices point into `payload`. */
struct handshake_call {
    struct noise noise;
    uint32_t peer_index;
    uint8_t gate;
    uint8_t plane;
    uint8_t header[HANDSHAKE_HEADER_LEN];
    uint16_t packet_len;
    struct handshake_init init;
    uint8_t payload[HANDSHAKE_LINK_MAX];
};

/* After handshake_gate_find. Checks that the static key belongs to the Ed25519 key in the payload.
 * Conditions: IPX_MALFORMED, IPX_BAD_SIGNATURE, IPX_REFUSED (low order key), IPX_CONFLICT (key and
 * static key differ), IPX_SELF. All of them mean silence. */
IPX_MUST_USE enum ipx_err handshake_init_read(const struct handshake_self *self,
                                              enum handshake_plane plane, struct slice packet,
                                              uint8_t gate, struct handshake_call *ret);
/* Writes the RESP; with status ok `ret_keys` are the keys of a session that is not yet confirmed.
 * Conditions: IPX_LIMIT (longer than the INIT), IPX_REFUSED. */
IPX_MUST_USE enum ipx_err handshake_resp_write(const struct handshake_self *self,
                                               const struct handshake_call *call,
                                               const struct handshake_resp *resp,
                                               const struct handshake_random *random,
                                               struct writer *w, struct noise_keys *ret_keys);

/* Bytes that the RESP's answer may have beside the rest of `resp`. */
size_t handshake_answer_room(const struct handshake_call *call, const struct handshake_resp *resp);

/* The dialler's view of a RESP: slices point into `payload`. */
struct handshake_reply {
    uint32_t peer_index;
    struct handshake_resp resp;
    struct noise_keys keys;
    uint8_t payload[HANDSHAKE_LINK_MAX];
};
/* `d` stays as it is. Conditions: IPX_MALFORMED, IPX_BAD_SIGNATURE, IPX_REFUSED: drop it, the true
 * RESP may still come. */
IPX_MUST_USE enum ipx_err handshake_resp_read(const struct handshake_self *self,
                                              const struct handshake_dial *d, struct slice packet,
                                              struct handshake_reply *ret);
/* Receiver index of a RESP, COOKIE or DATA: finds the dial or session. */
uint32_t packet_receiver_index(struct slice packet);

/* Cookies. `secret` is the answerer's and changes each 120 s. */
void handshake_cookie_make(const uint8_t secret[static 32], const struct addr *from,
                           uint8_t ret[static HANDSHAKE_COOKIE_LEN]);
bool handshake_cookie_check(const uint8_t cookie[static HANDSHAKE_COOKIE_LEN], struct slice packet);
struct handshake_cookie_options {
    uint8_t gate;
    const uint8_t *cookie; /* HANDSHAKE_COOKIE_LEN bytes */
    const uint8_t *nonce;  /* 24 random bytes */
};
void handshake_cookie_write(const struct handshake_self *self, struct slice init_packet,
                            const struct handshake_cookie_options *options, struct writer *w);
/* Conditions: IPX_MALFORMED, IPX_BAD_SIGNATURE. */
IPX_MUST_USE enum ipx_err handshake_cookie_read(const struct handshake_self *self,
                                                const struct handshake_dial *d, struct slice packet,
                                                uint8_t ret[static HANDSHAKE_COOKIE_LEN]);
