/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/wire.h"

/* The signed statements inside items: docs/wire/gossip.md "Statements". */

int gossip_boot_compare(const struct gossip_boot *a, const struct gossip_boot *b)
{
    if (a->generation != b->generation) {
        return a->generation < b->generation ? -1 : 1;
    }
    if (a->nonce != b->nonce) {
        return a->nonce < b->nonce ? -1 : 1;
    }
    return 0;
}

const char *gossip_kind_sign_type(enum gossip_kind kind)
{
    switch (kind) {
    case GOSSIP_KIND_ALIVE:
        return "alive";
    case GOSSIP_KIND_SUSPECT:
        return "suspect";
    case GOSSIP_KIND_DEAD:
        return "dead";
    case GOSSIP_KIND_LEAVE:
        return "leave";
    case GOSSIP_KIND_AD:
    case GOSSIP_KIND_AD_NOTE:
        return "ad"; /* the note is what is signed of an ad, alone or with its content */
    case GOSSIP_KIND_VITALS:
        return "vitals";
    case GOSSIP_KIND_CHAIN:
    case GOSSIP_KIND_DOC:
        return NULL;
    }
    return NULL;
}

static void put_id(struct writer *w, uint64_t key, const struct node_id *id)
{
    cbor_put_u64(w, key);
    cbor_put_bytes(w, slice_of(id->bytes, sizeof(id->bytes)));
}

static void put_uint(struct writer *w, uint64_t key, uint64_t value)
{
    cbor_put_u64(w, key);
    cbor_put_u64(w, value);
}

/* Every statement starts with who it is about and in which boot. */
static void put_head(struct writer *w, unsigned n_pairs, const struct node_id *pk,
                     const struct gossip_boot *boot)
{
    cbor_put_map(w, n_pairs);
    put_id(w, 2, pk);
    put_uint(w, 4, boot->generation);
    put_uint(w, 6, boot->nonce);
}

static bool read_head(struct cbor_reader *r, uint64_t key, struct node_id *pk,
                      struct gossip_boot *boot)
{
    switch (key) {
    case 2:
        cbor_bytes_fixed(r, pk->bytes, sizeof(pk->bytes));
        return true;
    case 4:
        boot->generation = (uint32_t)cbor_uint_max(r, UINT32_MAX);
        return true;
    case 6:
        boot->nonce = cbor_u64(r);
        return true;
    default:
        return false;
    }
}

/* Bit n/2 for each even key up to 14 that was read: all of `wanted` must have been there. */
static bool read_finish(const struct cbor_reader *r, unsigned seen, unsigned wanted)
{
    return cbor_done(r) && (seen & wanted) == wanted;
}

static unsigned key_bit(uint64_t key)
{
    return key <= 14 && key % 2 == 0 ? 1U << (key / 2) : 0;
}

void gossip_alive_encode(const struct gossip_alive *a, struct writer *w)
{
    uint8_t addr[ADDR_WIRE_MAX];
    assert(a->n_addrs <= GOSSIP_ADDRS_MAX);
    bool has_coat = a->coat.family != ADDR_NONE;
    put_head(w, 7 + has_coat, &a->pk, &a->boot);
    put_uint(w, 8, a->incarnation);
    put_uint(w, 10, a->record_seq);
    cbor_put_u64(w, 12);
    cbor_put_array(w, a->n_addrs);
    for (unsigned i = 0; i < a->n_addrs; i++) {
        cbor_put_bytes(w, slice_of(addr, addr_encode(&a->addrs[i], addr)));
    }
    cbor_put_u64(w, 14);
    cbor_put_bytes(w, slice_of(a->chain_hash.bytes, sizeof(a->chain_hash.bytes)));
    if (has_coat) {
        cbor_put_u64(w, 15);
        cbor_put_bytes(w, slice_of(addr, addr_encode(&a->coat, addr)));
    }
}

static void read_coat(struct cbor_reader *r, struct gossip_alive *a)
{
    struct slice addr = cbor_bytes(r, ADDR_WIRE_MAX);
    r->failed = r->failed || addr_decode(addr, &a->coat) != IPX_OK;
}

static void read_addrs(struct cbor_reader *r, struct gossip_alive *a)
{
    uint64_t n = cbor_array_begin(r, GOSSIP_ADDRS_MAX);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        struct slice addr = cbor_bytes(r, ADDR_WIRE_MAX);
        if (!r->failed && addr_decode(addr, &a->addrs[i]) != IPX_OK) {
            r->failed = true;
        }
    }
    cbor_array_end(r);
    a->n_addrs = r->failed ? 0 : (uint8_t)n;
}

enum ipx_err gossip_alive_decode(struct slice in, struct gossip_alive *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    struct gossip_alive a = {0};
    uint64_t key;
    unsigned seen = 0;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key_bit(key);
        if (read_head(&r, key, &a.pk, &a.boot)) {
            continue;
        }
        switch (key) {
        case 8:
            a.incarnation = (uint32_t)cbor_uint_max(&r, UINT32_MAX);
            break;
        case 10:
            a.record_seq = cbor_u64(&r);
            break;
        case 12:
            read_addrs(&r, &a);
            break;
        case 14:
            cbor_bytes_fixed(&r, a.chain_hash.bytes, sizeof(a.chain_hash.bytes));
            break;
        case 15:
            read_coat(&r, &a);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!read_finish(&r, seen, 0xfe)) {
        return IPX_MALFORMED;
    }
    *ret = a;
    return IPX_OK;
}

void gossip_claim_encode(enum gossip_kind kind, const struct gossip_claim *c, struct writer *w)
{
    bool has_by = kind != GOSSIP_KIND_LEAVE;
    put_head(w, has_by ? 5 : 4, &c->about, &c->boot);
    put_uint(w, 8, c->incarnation);
    if (has_by) {
        put_id(w, 10, &c->by);
    }
}

enum ipx_err gossip_claim_decode(enum gossip_kind kind, struct slice in, struct gossip_claim *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    struct gossip_claim c = {0};
    uint64_t key;
    unsigned seen = 0;
    bool has_by = kind != GOSSIP_KIND_LEAVE;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key_bit(key);
        if (read_head(&r, key, &c.about, &c.boot)) {
            continue;
        }
        if (key == 8) {
            c.incarnation = (uint32_t)cbor_uint_max(&r, UINT32_MAX);
        } else if (key == 10 && has_by) {
            cbor_bytes_fixed(&r, c.by.bytes, sizeof(c.by.bytes));
        } else {
            cbor_skip_unknown(&r, key);
        }
    }
    if (!read_finish(&r, seen, has_by ? 0x3e : 0x1e)) {
        return IPX_MALFORMED;
    }
    if (!has_by) {
        c.by = c.about;
    }
    *ret = c;
    return IPX_OK;
}

void gossip_ad_note_encode(const struct gossip_ad_note *n, struct writer *w)
{
    put_head(w, 6, &n->pk, &n->boot);
    put_uint(w, 8, n->version);
    cbor_put_u64(w, 10);
    cbor_put_bytes(w, slice_of(n->hash.bytes, sizeof(n->hash.bytes)));
    put_uint(w, 12, n->len);
}

enum ipx_err gossip_ad_note_decode(struct slice in, struct gossip_ad_note *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    struct gossip_ad_note n = {0};
    uint64_t key;
    unsigned seen = 0;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key_bit(key);
        if (read_head(&r, key, &n.pk, &n.boot)) {
            continue;
        }
        switch (key) {
        case 8:
            n.version = (uint32_t)cbor_uint_max(&r, UINT32_MAX);
            break;
        case 10:
            cbor_bytes_fixed(&r, n.hash.bytes, sizeof(n.hash.bytes));
            break;
        case 12:
            n.len = (uint16_t)cbor_uint_max(&r, GOSSIP_AD_MAX);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!read_finish(&r, seen, 0x7e) || n.version == 0 || n.len == 0) {
        return IPX_MALFORMED;
    }
    *ret = n;
    return IPX_OK;
}

void gossip_vitals_note_encode(const struct gossip_vitals_note *n, struct writer *w)
{
    uint8_t vitals[GOSSIP_VITALS_LEN];
    gossip_vitals_encode(&n->vitals, vitals);
    cbor_put_map(w, 4);
    put_uint(w, 2, n->prefix);
    put_uint(w, 4, n->boot.generation);
    put_uint(w, 6, n->boot.nonce);
    cbor_put_u64(w, 8);
    cbor_put_bytes(w, slice_of(vitals, sizeof(vitals)));
}

enum ipx_err gossip_vitals_note_decode(struct slice in, struct gossip_vitals_note *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    struct gossip_vitals_note n = {0};
    uint8_t vitals[GOSSIP_VITALS_LEN] = {0};
    uint64_t key;
    unsigned seen = 0;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key_bit(key);
        switch (key) {
        case 2:
            n.prefix = cbor_u64(&r);
            break;
        case 4:
            n.boot.generation = (uint32_t)cbor_uint_max(&r, UINT32_MAX);
            break;
        case 6:
            n.boot.nonce = cbor_u64(&r);
            break;
        case 8:
            cbor_bytes_fixed(&r, vitals, sizeof(vitals));
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!read_finish(&r, seen, 0x1e)) {
        return IPX_MALFORMED;
    }
    gossip_vitals_decode(vitals, &n.vitals);
    *ret = n;
    return IPX_OK;
}

/* --- the fixed layout inside DIFF --- */

void gossip_version_put(struct writer *w, const struct gossip_version *v)
{
    writer_u64(w, v->prefix);
    writer_u32(w, v->boot.generation);
    writer_u64(w, v->boot.nonce);
    writer_u32(w, v->incarnation);
    writer_u32(w, v->ad_boot.generation);
    writer_u64(w, v->ad_boot.nonce);
    writer_u32(w, v->ad_version);
}

void gossip_version_read(struct reader *r, struct gossip_version *ret)
{
    ret->prefix = reader_u64(r);
    ret->boot.generation = reader_u32(r);
    ret->boot.nonce = reader_u64(r);
    ret->incarnation = reader_u32(r);
    ret->ad_boot.generation = reader_u32(r);
    ret->ad_boot.nonce = reader_u64(r);
    ret->ad_version = reader_u32(r);
}
