/* SPDX-License-Identifier: Apache-2.0 */
/* The NODE record as bytes. */
#include "base/signed.h"
#include "dht/wire.h"

#define SIGN_TYPE "node" /* domain of its signature */

/* NODE record: [{1 kind, 2 pk, 4 nonce, 6 seq, 8 chain hash, 10 [address..], 11 features},
 * signature]; the signature covers the map as it stands. */
static void encode_record_body(const struct dht_record *r, struct writer *w)
{
    cbor_put_map(w, 7);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, DHT_KIND_NODE);
    cbor_put_u64(w, 2);
    cbor_put_bytes(w, slice_of(r->id.bytes, 32));
    cbor_put_u64(w, 4);
    cbor_put_bytes(w, slice_of(r->nonce, 16));
    cbor_put_u64(w, 6);
    cbor_put_u64(w, r->seq);
    cbor_put_u64(w, 8);
    cbor_put_bytes(w, slice_of(r->chain_hash.bytes, 32));
    cbor_put_u64(w, 10);
    cbor_put_array(w, r->n_addrs);
    for (size_t i = 0; i < r->n_addrs; i++) {
        dht_addr_put(w, &r->addrs[i]);
    }
    cbor_put_u64(w, 11);
    cbor_put_u64(w, r->features);
}

void dht_record_encode(const struct dht_record *r, const struct crypt_keypair *key,
                       const struct mesh_id *mesh, struct writer *w)
{
    uint8_t body[DHT_RECORD_MAX];
    struct writer bw = writer_of(body, sizeof(body));
    assert(r->n_addrs <= DHT_RECORD_ADDRS_MAX && node_id_equal(&r->id, &key->pk));
    encode_record_body(r, &bw);
    assert(!bw.failed);
    signed_write(w, writer_slice(&bw), key, SIGN_TYPE, mesh);
}

static void decode_record_addrs(struct cbor_reader *r, struct dht_record *rec)
{
    uint64_t n = cbor_array_begin(r, DHT_RECORD_ADDRS_MAX);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        rec->addrs[i] = dht_addr_get(r);
    }
    cbor_array_end(r);
    rec->n_addrs = (uint8_t)(r->failed ? 0 : n);
}

static bool decode_record_body(struct slice body, struct dht_record *rec)
{
    struct cbor_reader r = cbor_reader_of(body);
    uint64_t key = 0, kind = 0;
    uint32_t seen = 0, required = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 6 | 1u << 8 | 1u << 10;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        seen |= key < 32 ? UINT32_C(1) << key : 0;
        switch (key) {
        case 1:
            kind = cbor_uint_max(&r, 0xff);
            break;
        case 2:
            cbor_bytes_fixed(&r, rec->id.bytes, 32);
            break;
        case 4:
            cbor_bytes_fixed(&r, rec->nonce, 16);
            break;
        case 6:
            rec->seq = cbor_u64(&r);
            break;
        case 8:
            cbor_bytes_fixed(&r, rec->chain_hash.bytes, 32);
            break;
        case 10:
            decode_record_addrs(&r, rec);
            break;
        case 11:
            rec->features = cbor_u64(&r);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    return cbor_done(&r) && (seen & required) == required && kind == DHT_KIND_NODE;
}

enum ipx_err dht_record_decode(struct slice bytes, const struct mesh_id *mesh,
                               struct dht_record *ret)
{
    struct dht_record rec = {.seq = 0};
    struct signed_item item;
    if (bytes.len > DHT_RECORD_MAX) {
        return IPX_LIMIT;
    }
    if (signed_read(bytes, &item) != IPX_OK || !decode_record_body(item.body, &rec)) {
        return IPX_MALFORMED;
    }
    /* A mixed-order or sign-flipped key would verify, and give one node two names (1.1). */
    if (!crypt_key_is_valid(&rec.id) || !signed_verify(&item, &rec.id, SIGN_TYPE, mesh)) {
        return IPX_BAD_SIGNATURE;
    }
    *ret = rec;
    return IPX_OK;
}
