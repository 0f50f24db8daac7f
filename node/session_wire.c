/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_wire.h"

/* Enters the map and goes to key 1, which all of these have; false if it is not there. */
static bool first_key(struct cbor_reader *r)
{
    uint64_t key = 0;
    cbor_map_begin(r);
    return cbor_map_next(r, &key) && key == 1;
}

/* Skips what later versions add behind key 1; true if all was well-formed. */
static bool rest_done(struct cbor_reader *r)
{
    uint64_t key;
    while (cbor_map_next(r, &key)) {
        cbor_skip_unknown(r, key);
    }
    return cbor_done(r);
}

static void first_key_put(struct writer *w)
{
    cbor_put_map(w, 1);
    cbor_put_u64(w, 1);
}

void session_ping_encode(struct writer *w)
{
    cbor_put_map(w, 0);
}

enum ipx_err session_ping_decode(struct slice body)
{
    struct cbor_reader r = cbor_reader_of(body);
    cbor_map_begin(&r);
    return rest_done(&r) ? IPX_OK : IPX_MALFORMED;
}

void session_pong_encode(const struct addr *observed, struct writer *w)
{
    uint8_t addr[ADDR_WIRE_MAX];
    first_key_put(w);
    cbor_put_bytes(w, slice_of(addr, addr_encode(observed, addr)));
}

enum ipx_err session_pong_decode(struct slice body, struct addr *ret_observed)
{
    struct cbor_reader r = cbor_reader_of(body);
    struct addr addr = {0};
    if (!first_key(&r) || addr_decode(cbor_bytes(&r, ADDR_WIRE_MAX), &addr) != IPX_OK ||
        !rest_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret_observed = addr;
    return IPX_OK;
}

void session_path_encode(const uint8_t nonce[static SESSION_NONCE_LEN], struct writer *w)
{
    first_key_put(w);
    cbor_put_bytes(w, slice_of(nonce, SESSION_NONCE_LEN));
}

enum ipx_err session_path_decode(struct slice body, uint8_t ret[static SESSION_NONCE_LEN])
{
    struct cbor_reader r = cbor_reader_of(body);
    uint8_t nonce[SESSION_NONCE_LEN];
    if (!first_key(&r)) {
        return IPX_MALFORMED;
    }
    cbor_bytes_fixed(&r, nonce, sizeof(nonce));
    if (!rest_done(&r)) {
        return IPX_MALFORMED;
    }
    memcpy(ret, nonce, sizeof(nonce));
    return IPX_OK;
}

void session_get_chain_encode(const struct hash *hash, struct writer *w)
{
    first_key_put(w);
    cbor_put_bytes(w, slice_of(hash->bytes, sizeof(hash->bytes)));
}

enum ipx_err session_get_chain_decode(struct slice body, struct hash *ret)
{
    struct cbor_reader r = cbor_reader_of(body);
    struct hash hash;
    if (!first_key(&r)) {
        return IPX_MALFORMED;
    }
    cbor_bytes_fixed(&r, hash.bytes, sizeof(hash.bytes));
    if (!rest_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = hash;
    return IPX_OK;
}

void session_chain_encode(struct slice chain, struct writer *w)
{
    first_key_put(w);
    cbor_put_bytes(w, chain);
}

enum ipx_err session_chain_decode(struct slice body, struct slice *ret)
{
    struct cbor_reader r = cbor_reader_of(body);
    if (!first_key(&r)) {
        return IPX_MALFORMED;
    }
    struct slice chain = cbor_bytes(&r, CERT_CHAIN_MAX);
    if (!rest_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = chain;
    return IPX_OK;
}

void session_reverse_encode(const struct session_reverse *m, struct writer *w)
{
    assert(m->n <= SESSION_REVERSE_MAX);
    first_key_put(w);
    cbor_put_array(w, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        uint8_t addr[ADDR_WIRE_MAX];
        cbor_put_bytes(w, slice_of(addr, addr_encode(&m->addrs[i], addr)));
    }
}

enum ipx_err session_reverse_decode(struct slice body, struct session_reverse *ret)
{
    struct cbor_reader r = cbor_reader_of(body);
    struct session_reverse m = {0};
    if (!first_key(&r)) {
        return IPX_MALFORMED;
    }
    uint64_t n = cbor_array_begin(&r, SESSION_REVERSE_MAX);
    for (m.n = 0; m.n < n && !r.failed; m.n++) {
        struct slice addr = cbor_bytes(&r, ADDR_WIRE_MAX);
        if (r.failed || addr_decode(addr, &m.addrs[m.n]) != IPX_OK) {
            return IPX_MALFORMED;
        }
    }
    cbor_array_end(&r);
    if (!rest_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = m;
    return IPX_OK;
}

void session_close_encode(enum ipx_err why, struct writer *w)
{
    assert(why > 0);
    first_key_put(w);
    cbor_put_u64(w, (uint64_t)why);
}

enum ipx_err session_close_decode(struct slice body, enum ipx_err *ret_why)
{
    struct cbor_reader r = cbor_reader_of(body);
    if (!first_key(&r)) {
        return IPX_MALFORMED;
    }
    uint64_t why = cbor_uint_max(&r, 255);
    if (!rest_done(&r) || why == 0) {
        return IPX_MALFORMED;
    }
    *ret_why = (enum ipx_err)why;
    return IPX_OK;
}
