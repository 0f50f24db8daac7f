/* SPDX-License-Identifier: Apache-2.0 */
#include "node/record.h"

#include "base/noise.h"

static_assert(RECORD_LENGTH_MAX == 65552, "overlay 1.4");

/* Keys */

static void record_key_init(struct record_key *k, enum crypt_suite suite,
                            const uint8_t split_key[static 32])
{
    assert(crypt_suite_available(suite));
    const uint8_t suite_byte = (uint8_t)suite;
    struct hash derived = crypt_hash2(slice_of(split_key, 32), slice_of(&suite_byte, 1));
    *k = (struct record_key){
        .suite = suite, .counter_max = RECORD_KEY_RECORDS_MAX, .bytes_max = RECORD_KEY_BYTES_MAX};
    memcpy(k->key, derived.bytes, sizeof(k->key));
    crypt_wipe(&derived, sizeof(derived));
}

static void record_key_next(struct record_key *k)
{
    noise_rekey(k->suite, k->key);
    k->counter = 0;
    k->n_bytes = 0;
}

/* Takes the next nonce for `len` bytes of plaintext. The counter starts anew with a new key only.
 */
static void record_key_nonce(struct record_key *k, size_t len, uint8_t ret[static 12])
{
    assert(k->counter < k->counter_max);
    noise_nonce(k->suite, k->counter, ret);
    k->counter++;
    k->n_bytes += len;
}

/* Sealing */

void record_sealer_init(struct record_sealer *s, enum crypt_suite suite,
                        const uint8_t split_key[static 32])
{
    *s = (struct record_sealer){.is_closed = false};
    record_key_init(&s->key, suite, split_key);
}

void record_sealer_done(struct record_sealer *s)
{
    crypt_wipe(s, sizeof(*s));
}

bool record_sealer_wants_rekey(const struct record_sealer *s)
{
    /* the last number is kept for REKEY itself */
    return s->key.counter + 1 >= s->key.counter_max || s->key.n_bytes >= s->key.bytes_max;
}

size_t record_seal(struct record_sealer *s, enum record_type type, uint8_t *record,
                   size_t plain_len)
{
    assert(!s->is_closed);
    assert(plain_len <= RECORD_PLAIN_MAX && (type == RECORD_DATA || plain_len == 0));
    assert(type == RECORD_REKEY || !record_sealer_wants_rekey(s));
    size_t length = plain_len + CRYPT_TAG_LEN;
    store_be32(record, (uint32_t)type << 24 | (uint32_t)length);
    uint8_t nonce[12];
    record_key_nonce(&s->key, plain_len, nonce);
    uint8_t *body = record + RECORD_HEADER_LEN;
    crypt_seal(s->key.suite, s->key.key, nonce, slice_of(record, RECORD_HEADER_LEN),
               slice_of(body, plain_len), body);
    if (type == RECORD_REKEY) {
        record_key_next(&s->key);
    }
    s->is_closed = type == RECORD_CLOSE;
    return RECORD_HEADER_LEN + length;
}

/* Opening */

void record_opener_init(struct record_opener *o, enum crypt_suite suite,
                        const uint8_t split_key[static 32], struct mem *mem)
{
    *o = (struct record_opener){.is_closed = false};
    record_key_init(&o->key, suite, split_key);
    buf_init(&o->partial, mem, RECORD_MAX);
    buf_init(&o->plain, mem, RECORD_PLAIN_MAX);
}

void record_opener_done(struct record_opener *o)
{
    if (o->partial.mem != NULL) {
        buf_done(&o->partial);
        buf_done(&o->plain);
    }
    crypt_wipe(o, sizeof(*o));
}

void record_opener_feed(struct record_opener *o, struct slice bytes)
{
    assert(o->in.len == 0);
    o->in = bytes;
}

/* Checks type and length before a byte of the record is stored. */
static enum ipx_err record_length(const uint8_t header[static RECORD_HEADER_LEN],
                                  size_t *ret_length)
{
    uint32_t word = load_be32(header);
    size_t length = word & 0xffffff;
    uint32_t type = word >> 24;
    if (type < RECORD_DATA || type > RECORD_CLOSE || length < CRYPT_TAG_LEN ||
        length > RECORD_LENGTH_MAX || (type != RECORD_DATA && length != CRYPT_TAG_LEN)) {
        return IPX_MALFORMED;
    }
    *ret_length = length;
    return IPX_OK;
}

/* Moves up to `want` bytes of the input to `partial`, so that it holds `want` in all. */
static enum ipx_err record_gather(struct record_opener *o, size_t want)
{
    if (o->partial.len >= want) {
        return IPX_OK;
    }
    if (o->in.len == 0) {
        return IPX_AGAIN; /* asked again without new bytes: there may be no pointer to add to */
    }
    size_t n = IPX_MIN(want - o->partial.len, o->in.len);
    enum ipx_err err = buf_append(&o->partial, slice_of(o->in.data, n));
    if (err != IPX_OK) {
        return IPX_NO_MEMORY;
    }
    o->in = slice_of(o->in.data + n, o->in.len - n);
    return o->partial.len >= want ? IPX_OK : IPX_AGAIN;
}

/* Finds the next whole record, in the input itself where it is in one piece. */
static enum ipx_err record_next(struct record_opener *o, struct slice *ret_record)
{
    size_t length = 0;
    if (o->partial.len == 0 && o->in.len >= RECORD_HEADER_LEN) {
        enum ipx_err err = record_length(o->in.data, &length);
        if (err != IPX_OK) {
            return err;
        }
        size_t total = RECORD_HEADER_LEN + length;
        if (o->in.len >= total) {
            *ret_record = slice_of(o->in.data, total);
            o->in = slice_of(o->in.data + total, o->in.len - total);
            return IPX_OK;
        }
    }
    enum ipx_err err =
        o->in.len == 0 && o->partial.len == 0 ? IPX_AGAIN : record_gather(o, RECORD_HEADER_LEN);
    if (err == IPX_OK) {
        err = record_length(buf_slice(&o->partial).data, &length);
    }
    if (err == IPX_OK) {
        err = record_gather(o, RECORD_HEADER_LEN + length);
    }
    if (err == IPX_OK) {
        *ret_record = buf_slice(&o->partial);
        o->is_partial_out = true;
    }
    return err;
}

/* Checks the tag and opens into `plain`. */
static enum ipx_err record_decrypt(struct record_opener *o, struct slice record)
{
    size_t plain_len = record.len - RECORD_OVERHEAD;
    if (o->key.counter >= o->key.counter_max ||
        (record.data[0] != RECORD_REKEY &&
         (o->key.counter + 1 >= o->key.counter_max || o->key.n_bytes >= o->key.bytes_max))) {
        return IPX_LIMIT;
    }
    uint8_t empty[1];
    uint8_t *out = plain_len == 0 ? empty : buf_extend(&o->plain, plain_len);
    if (out == NULL) {
        return IPX_NO_MEMORY;
    }
    uint8_t nonce[12];
    record_key_nonce(&o->key, plain_len, nonce);
    struct slice sealed = slice_of(record.data + RECORD_HEADER_LEN, record.len - RECORD_HEADER_LEN);
    return crypt_open(o->key.suite, o->key.key, nonce, slice_of(record.data, RECORD_HEADER_LEN),
                      sealed, out);
}

/* Lets go of the record that the last call gave out; large buffers go when the input is used up,
 * so that a burst of records allocates once and an idle link holds nothing. */
static void record_release(struct record_opener *o)
{
    if (o->is_partial_out) {
        o->is_partial_out = false;
        buf_clear(&o->partial);
    }
    buf_shrink(&o->plain, o->plain.len);
    if (o->in.len == 0) {
        buf_clear(&o->plain);
    }
}

enum ipx_err record_open(struct record_opener *o, struct slice *ret_plain)
{
    record_release(o);
    for (;;) {
        if (o->is_closed) {
            o->in = SLICE_EMPTY;
            return IPX_END;
        }
        struct slice record;
        enum ipx_err err = record_next(o, &record);
        if (err == IPX_OK) {
            err = record_decrypt(o, record);
        }
        if (err != IPX_OK) {
            if (err != IPX_AGAIN) {
                buf_clear(&o->plain);
                o->in = SLICE_EMPTY;
            }
            return err;
        }
        if (record.data[0] == RECORD_DATA) {
            *ret_plain = buf_slice(&o->plain);
            return IPX_OK;
        }
        o->is_closed = record.data[0] == RECORD_CLOSE;
        if (!o->is_closed) {
            record_key_next(&o->key);
        }
        record_release(o);
    }
}

bool record_opener_is_between(const struct record_opener *o)
{
    return o->in.len == 0 && (o->partial.len == 0 || o->is_partial_out);
}
