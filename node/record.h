/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sealed records: how a link carries mux frames over TCP (overlay 1.4).
 *
 *     type u8, length u24 (tag counted), sealed bytes, tag 16
 *
 * The first four bytes are the associated data. One key a direction, made from a
 * key of the handshake and the suite; the nonce is a counter that never repeats
 * under a key (asserted). The last record under a key is REKEY: both ends then
 * take the next key and count from 0 again. CLOSE is the last record of all.
 *
 * Invariant: nothing of a record is used before its tag was checked, and nothing
 * is stored beyond one record. Pure; driven by node/link.c. Docs: docs/wire/links.md.
 */
#include "base/buf.h"
#include "base/crypt.h"

#define RECORD_HEADER_LEN 4
#define RECORD_OVERHEAD (RECORD_HEADER_LEN + CRYPT_TAG_LEN)
#define RECORD_PLAIN_MAX 65536                               /* one mux frame of the largest size */
#define RECORD_LENGTH_MAX (RECORD_PLAIN_MAX + CRYPT_TAG_LEN) /* of the length field */
#define RECORD_MAX (RECORD_HEADER_LEN + RECORD_LENGTH_MAX)   /* whole, on the wire */
#define RECORD_KEY_RECORDS_MAX (UINT64_C(1) << 24)           /* records under one key */
#define RECORD_KEY_BYTES_MAX (UINT64_C(64) << 30)            /* plaintext under one key */

enum record_type { RECORD_DATA = 1, RECORD_REKEY = 2, RECORD_CLOSE = 3 };

struct record_key { /* one direction's key and how far it is used up */
    enum crypt_suite suite;
    uint8_t key[32];
    uint64_t counter; /* records sealed or opened under it */
    uint64_t n_bytes; /* plaintext sealed or opened under it */
    uint64_t counter_max, bytes_max;
};

struct record_sealer {
    struct record_key key;
    bool is_closed; /* CLOSE was sealed: nothing may follow */
};

struct record_opener {
    struct record_key key;
    struct slice in;     /* borrowed input that is not yet opened */
    struct buf partial;  /* the start of a record whose rest has not come */
    struct buf plain;    /* the record that was opened last */
    bool is_partial_out; /* the last record lies in `partial` and leaves at the next call */
    bool is_closed;      /* CLOSE was opened: what follows is dropped */
};

/* `split_key` is what Noise gave for this direction; the suite must be available. */
void record_sealer_init(struct record_sealer *s, enum crypt_suite suite,
                        const uint8_t split_key[static 32]);
void record_sealer_done(struct record_sealer *s);

/* Seals `plain_len` bytes that the caller has put at `record` + RECORD_HEADER_LEN, in place;
 * `record` has room for RECORD_OVERHEAD more. Returns the length of the whole record. REKEY and
 * CLOSE are empty. Not when record_sealer_wants_rekey() (but for REKEY) or after CLOSE. */
size_t record_seal(struct record_sealer *s, enum record_type type, uint8_t *record,
                   size_t plain_len);
/* The next record must be REKEY: the key is used up. */
bool record_sealer_wants_rekey(const struct record_sealer *s);

void record_opener_init(struct record_opener *o, enum crypt_suite suite,
                        const uint8_t split_key[static 32], struct mem *mem);
void record_opener_done(struct record_opener *o);

/* Brings the next bytes of the pipe, in pieces of any size. They are borrowed until
 * record_open() says IPX_AGAIN, which must come before the next call. */
void record_opener_feed(struct record_opener *o, struct slice bytes);

/* The next record; REKEY is handled inside. `ret_plain` is valid until the next call.
 * Conditions: IPX_AGAIN (needs more bytes), IPX_END (CLOSE came; from now on always),
 * IPX_MALFORMED (type or length), IPX_BAD_SIGNATURE (tag), IPX_LIMIT (the peer did not rekey in
 * time): after these three the pipe is broken for good. Fault: IPX_NO_MEMORY, broken likewise. */
IPX_MUST_USE enum ipx_err record_open(struct record_opener *o, struct slice *ret_plain);
/* True if the pipe may end here without cutting a record. */
bool record_opener_is_between(const struct record_opener *o);
