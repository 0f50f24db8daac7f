/* SPDX-License-Identifier: Apache-2.0 */
#include "node/handshake_payload.h"

#include "node/clocks.h"

enum {
    INIT_PK = 1,
    INIT_T = 2,
    INIT_VERSIONS = 3,
    INIT_CHAIN = 4,
    INIT_CHAIN_HASH = 5,
    INIT_TICKET = 6,
    INIT_SUITES = 7,
    INIT_EARLY = 8,
    INIT_ADMITTER = 9
};
enum {
    RESP_CHAIN = 1,
    RESP_VERSION = 2,
    RESP_SUITE = 3,
    RESP_STATUS = 4,
    RESP_OBSERVED = 5,
    RESP_ANSWER = 6,
    RESP_ADMITTER = 7
};
#define SUITES_MAX 8 /* entries read; more than exist, for those to come */

static void message_put(struct writer *w, const struct handshake_message *m)
{
    cbor_put_array(w, 3);
    cbor_put_u64(w, m->type);
    cbor_put_u64(w, m->request_id);
    cbor_put_bytes(w, m->body);
}

static void message_get(struct cbor_reader *r, size_t body_max, struct handshake_message *ret)
{
    r->failed = r->failed || cbor_array_begin(r, 3) != 3;
    ret->type = (uint8_t)cbor_uint_max(r, UINT8_MAX);
    ret->request_id = (uint32_t)cbor_uint_max(r, UINT32_MAX);
    ret->body = cbor_bytes(r, body_max);
    ret->is_set = !r->failed;
    cbor_array_end(r);
}

/* INIT */

static void suites_put(struct writer *w, uint32_t suites)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 32; i++) {
        n += (suites >> i) & 1;
    }
    cbor_put_array(w, n);
    for (unsigned i = 0; i < 32; i++) {
        if (((suites >> i) & 1) != 0) {
            cbor_put_u64(w, i);
        }
    }
}

void handshake_init_encode(const struct handshake_init *init, size_t len_padded, struct writer *w)
{
    size_t start = w->len;
    bool has_identity = init->chain.len > 0 || init->has_hash || init->ticket.len > 0;
    cbor_put_map(w, 4 + (has_identity ? 1u : 0u) + (init->early.is_set ? 1u : 0u) +
                        (init->admitter_chain.len > 0 ? 1u : 0u));
    cbor_put_u64(w, INIT_PK);
    cbor_put_bytes(w, slice_of(init->pk.bytes, sizeof(init->pk.bytes)));
    cbor_put_u64(w, INIT_T);
    cbor_put_u64(w, (uint64_t)init->t_ms);
    cbor_put_u64(w, INIT_VERSIONS);
    cbor_put_array(w, 2);
    cbor_put_u64(w, init->version_min);
    cbor_put_u64(w, init->version_max);
    if (init->chain.len > 0) {
        cbor_put_u64(w, INIT_CHAIN);
        cbor_put_bytes(w, init->chain);
    } else if (init->has_hash) {
        cbor_put_u64(w, INIT_CHAIN_HASH);
        cbor_put_bytes(w, slice_of(init->chain_hash.bytes, sizeof(init->chain_hash.bytes)));
    } else if (init->ticket.len > 0) {
        cbor_put_u64(w, INIT_TICKET);
        cbor_put_bytes(w, init->ticket);
    }
    cbor_put_u64(w, INIT_SUITES);
    suites_put(w, init->suites);
    if (init->early.is_set) {
        cbor_put_u64(w, INIT_EARLY);
        message_put(w, &init->early);
    }
    if (init->admitter_chain.len > 0) {
        cbor_put_u64(w, INIT_ADMITTER);
        cbor_put_bytes(w, init->admitter_chain);
    }
    if (!w->failed && len_padded > 0) {
        if (w->len - start > len_padded) {
            w->failed = true;
            return;
        }
        size_t n = len_padded - (w->len - start);
        uint8_t *zeros = writer_reserve(w, n);
        if (zeros != NULL) {
            memset(zeros, 0, n);
        }
    }
}

/* Unknown suites are skipped: a later version may have more. */
static uint32_t suites_get(struct cbor_reader *r)
{
    uint32_t suites = 0;
    uint64_t n = cbor_array_begin(r, SUITES_MAX);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t suite = cbor_u64(r);
        suites |= suite < 32 ? UINT32_C(1) << suite : 0;
    }
    cbor_array_end(r);
    return suites;
}

static void versions_get(struct cbor_reader *r, struct handshake_init *ret)
{
    r->failed = r->failed || cbor_array_begin(r, 2) != 2;
    ret->version_min = (uint8_t)cbor_uint_max(r, 255);
    ret->version_max = (uint8_t)cbor_uint_max(r, 255);
    r->failed = r->failed || ret->version_min == 0 || ret->version_min > ret->version_max;
    cbor_array_end(r);
}

static uint32_t init_fields_get(struct cbor_reader *r, struct handshake_init *ret)
{
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        seen |= key < 32 ? UINT32_C(1) << key : 0;
        switch (key) {
        case INIT_PK:
            cbor_bytes_fixed(r, ret->pk.bytes, sizeof(ret->pk.bytes));
            break;
        case INIT_T:
            ret->t_ms = (int64_t)cbor_uint_max(r, (uint64_t)CLOCKS_T_MAX);
            break;
        case INIT_VERSIONS:
            versions_get(r, ret);
            break;
        case INIT_CHAIN:
            ret->chain = cbor_bytes(r, CERT_CHAIN_MAX);
            break;
        case INIT_CHAIN_HASH:
            cbor_bytes_fixed(r, ret->chain_hash.bytes, sizeof(ret->chain_hash.bytes));
            ret->has_hash = true;
            break;
        case INIT_TICKET:
            ret->ticket = cbor_bytes(r, HANDSHAKE_TICKET_MAX);
            break;
        case INIT_SUITES:
            ret->suites = suites_get(r);
            break;
        case INIT_EARLY:
            message_get(r, HANDSHAKE_EARLY_MAX, &ret->early);
            break;
        case INIT_ADMITTER:
            ret->admitter_chain = cbor_bytes(r, CERT_CHAIN_MAX);
            break;
        default:
            cbor_skip_unknown(r, key);
            break;
        }
    }
    return seen;
}

enum ipx_err handshake_init_decode(struct slice in, bool is_padding_allowed,
                                   struct handshake_init *ret)
{
    struct cbor_reader whole = cbor_reader_of(in);
    struct slice map = cbor_raw(&whole);
    if (whole.failed || (map.len < in.len && !is_padding_allowed)) {
        return IPX_MALFORMED;
    }
    for (size_t i = map.len; i < in.len; i++) {
        if (in.data[i] != 0) {
            return IPX_MALFORMED;
        }
    }
    struct handshake_init init = {0};
    struct cbor_reader r = cbor_reader_of(map);
    uint32_t seen = init_fields_get(&r, &init);
    const uint32_t needed = 1u << INIT_PK | 1u << INIT_T | 1u << INIT_VERSIONS | 1u << INIT_SUITES;
    unsigned n_identities = (init.chain.len > 0 ? 1u : 0u) + (init.has_hash ? 1u : 0u) +
                            (init.ticket.len > 0 ? 1u : 0u);
    if (!cbor_done(&r) || (seen & needed) != needed || n_identities != 1 || init.t_ms <= 0) {
        return IPX_MALFORMED;
    }
    *ret = init;
    return IPX_OK;
}

/* RESP */

static void status_put(struct writer *w, const struct handshake_resp *resp)
{
    switch (resp->status) {
    case HANDSHAKE_CLOCK:
        cbor_put_array(w, 3);
        cbor_put_u64(w, HANDSHAKE_CLOCK);
        cbor_put_u64(w, (uint64_t)resp->clock_ms);
        cbor_put_u64(w, (uint64_t)resp->last_ms);
        break;
    case HANDSHAKE_REFUSED:
        assert(resp->why > 0);
        cbor_put_array(w, 2);
        cbor_put_u64(w, HANDSHAKE_REFUSED);
        cbor_put_u64(w, (uint64_t)resp->why);
        break;
    case HANDSHAKE_OK:
    case HANDSHAKE_NEED_CHAIN:
    case HANDSHAKE_REVOKED:
    case HANDSHAKE_BUSY:
        cbor_put_array(w, 1);
        cbor_put_u64(w, resp->status);
        break;
    }
}

void handshake_resp_encode(const struct handshake_resp *resp, struct writer *w)
{
    uint8_t addr[ADDR_WIRE_MAX];
    bool has_chain = resp->chain.len > 0 || resp->has_hash;
    cbor_put_map(w, 3 + (has_chain ? 1u : 0u) + (resp->observed.family != ADDR_NONE ? 1u : 0u) +
                        (resp->answer.is_set ? 1u : 0u) + (resp->admitter_chain.len > 0 ? 1u : 0u));
    if (has_chain) {
        cbor_put_u64(w, RESP_CHAIN);
        cbor_put_bytes(w, resp->chain.len > 0 ? resp->chain : slice_of(&resp->chain_hash, 32));
    }
    cbor_put_u64(w, RESP_VERSION);
    cbor_put_u64(w, resp->version);
    cbor_put_u64(w, RESP_SUITE);
    cbor_put_u64(w, resp->suite);
    cbor_put_u64(w, RESP_STATUS);
    status_put(w, resp);
    if (resp->observed.family != ADDR_NONE) {
        cbor_put_u64(w, RESP_OBSERVED);
        cbor_put_bytes(w, slice_of(addr, addr_encode(&resp->observed, addr)));
    }
    if (resp->answer.is_set) {
        cbor_put_u64(w, RESP_ANSWER);
        message_put(w, &resp->answer);
    }
    if (resp->admitter_chain.len > 0) {
        cbor_put_u64(w, RESP_ADMITTER);
        cbor_put_bytes(w, resp->admitter_chain);
    }
}

static void status_get(struct cbor_reader *r, struct handshake_resp *ret)
{
    uint64_t n = cbor_array_begin(r, 3);
    ret->status = (enum handshake_status)cbor_uint_max(r, HANDSHAKE_BUSY);
    uint64_t wanted = ret->status == HANDSHAKE_CLOCK ? 3 : ret->status == HANDSHAKE_REFUSED ? 2 : 1;
    if (n != wanted) {
        r->failed = true;
        return;
    }
    if (ret->status == HANDSHAKE_CLOCK) {
        ret->clock_ms = (int64_t)cbor_uint_max(r, (uint64_t)CLOCKS_T_MAX);
        ret->last_ms = (int64_t)cbor_uint_max(r, (uint64_t)CLOCKS_T_MAX);
    } else if (ret->status == HANDSHAKE_REFUSED) {
        /* a reason of a later version is still a refusal */
        uint64_t why = cbor_uint_max(r, 255);
        ret->why = why == 0 || strcmp(err_name((enum ipx_err)why), "UNKNOWN") == 0
                       ? IPX_REFUSED
                       : (enum ipx_err)why;
    }
    cbor_array_end(r);
}

static void chain_or_hash_get(struct cbor_reader *r, struct handshake_resp *ret)
{
    struct slice bytes = cbor_bytes(r, CERT_CHAIN_MAX);
    if (bytes.len == sizeof(ret->chain_hash.bytes)) { /* no chain is that short */
        memcpy(ret->chain_hash.bytes, bytes.data, bytes.len);
        ret->has_hash = true;
    } else {
        ret->chain = bytes;
    }
}

static uint32_t resp_fields_get(struct cbor_reader *r, struct handshake_resp *ret)
{
    uint32_t seen = 0;
    uint64_t key;
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        seen |= key < 32 ? UINT32_C(1) << key : 0;
        switch (key) {
        case RESP_CHAIN:
            chain_or_hash_get(r, ret);
            break;
        case RESP_VERSION:
            ret->version = (uint8_t)cbor_uint_max(r, 255);
            break;
        case RESP_SUITE:
            ret->suite = (uint8_t)cbor_uint_max(r, 255);
            break;
        case RESP_STATUS:
            status_get(r, ret);
            break;
        case RESP_OBSERVED:
            r->failed =
                r->failed || addr_decode(cbor_bytes(r, ADDR_WIRE_MAX), &ret->observed) != IPX_OK;
            break;
        case RESP_ANSWER:
            message_get(r, HANDSHAKE_ANSWER_MAX, &ret->answer);
            break;
        case RESP_ADMITTER:
            ret->admitter_chain = cbor_bytes(r, CERT_CHAIN_MAX);
            break;
        default:
            cbor_skip_unknown(r, key);
            break;
        }
    }
    return seen;
}

enum ipx_err handshake_resp_decode(struct slice in, struct handshake_resp *ret)
{
    struct handshake_resp resp = {0};
    struct cbor_reader r = cbor_reader_of(in);
    uint32_t seen = resp_fields_get(&r, &resp);
    const uint32_t needed = 1u << RESP_VERSION | 1u << RESP_SUITE | 1u << RESP_STATUS;
    if (!cbor_done(&r) || (seen & needed) != needed) {
        return IPX_MALFORMED;
    }
    *ret = resp;
    return IPX_OK;
}
