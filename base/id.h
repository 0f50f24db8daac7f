/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names of things: nodes, meshes, hashes, and the text form of raw bytes.
 *
 * A node *is* its Ed25519 public key (`struct node_id`). Its fingerprint is a
 * hash of that key and only orders and names nodes for people. Its place in the
 * DHT (`struct dht_pos`) also depends on the mesh and on a nonce it did not
 * choose. Source: overlay 1.1.
 */
#include "base/base.h"
#include "base/slice.h"

#define ID_SHORT_LEN 10 /* characters of a fingerprint shown to people */
/* "ipx1" + base32 of 32 bytes (52) + checksum (4) + NUL */
#define ID_TEXT_SIZE 61

struct node_id { /* Ed25519 public key */
    uint8_t bytes[32];
};
struct hash {
    uint8_t bytes[32];
};
struct mesh_id {
    uint8_t bytes[16];
};
struct dht_pos { /* position in the 256-bit key space of the DHT; also record keys */
    uint8_t bytes[32];
};

bool node_id_equal(const struct node_id *a, const struct node_id *b);
int node_id_compare(const struct node_id *a, const struct node_id *b);
bool node_id_is_zero(const struct node_id *a);
bool hash_equal(const struct hash *a, const struct hash *b);

/* Compares |a - target| with |b - target| in the XOR metric: -1 if a is nearer. */
int dht_pos_compare(const struct dht_pos *target, const struct dht_pos *a, const struct dht_pos *b);
/* Leading bits that a and b share: 0..256. */
unsigned dht_pos_common_bits(const struct dht_pos *a, const struct dht_pos *b);

/* Base32 with the BIP 173 alphabet, no padding. Returns the length without NUL, 0 if `out` is
 * too small. */
size_t base32_encode(struct slice in, char *out, size_t out_size);
/* Case and white space are ignored; trailing bits must be zero. Conditions: IPX_MALFORMED,
 * IPX_LIMIT (does not fit). */
IPX_MUST_USE enum ipx_err base32_decode(struct slice text, uint8_t *out, size_t out_cap,
                                        size_t *ret_len);
/* Lower-case hex with NUL; `out` has room for 2 * in.len + 1. Decoding takes both cases and has the
 * conditions of base32_decode. */
void hex_encode(struct slice in, char *out);
IPX_MUST_USE enum ipx_err hex_decode(struct slice text, uint8_t *out, size_t out_cap,
                                     size_t *ret_len);

/* BLAKE2b-256("ipx-id1" || pk): orders nodes ("the lower fingerprint"). */
struct hash node_fingerprint(const struct node_id *id);
/* Full text form of the fingerprint ("ipx1", base32, checksum over prefix and fingerprint), and the
 * first ID_SHORT_LEN characters after the prefix. */
void node_id_text(const struct node_id *id, char out[static ID_TEXT_SIZE]);
void node_id_short(const struct node_id *id, char out[static ID_SHORT_LEN + 1]);
/* The full text form back. Case and white space are ignored. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err node_fingerprint_parse(struct slice text, struct hash *ret);
/* First 16 bytes of BLAKE2b-256("ipx-mesh1" || root pk). */
struct mesh_id mesh_id_of(const struct node_id *root);
/* BLAKE2b-256("ipx-pos1" || mesh id || placement nonce || pk). */
struct dht_pos dht_pos_of(const struct mesh_id *mesh, const uint8_t nonce[static 16],
                          const struct node_id *id);
/* First 20 bits of H(prefix || bytes) as 4 base32 characters + NUL: guards typed text. */
void text_checksum(const char *prefix, struct slice bytes, char out[static 5]);
