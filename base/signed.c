/* SPDX-License-Identifier: Apache-2.0 */
#include "base/signed.h"

enum ipx_err signed_read(struct slice in, struct signed_item *ret)
{
    struct cbor_reader r = cbor_reader_of(in);
    if (cbor_array_begin(&r, 2) != 2) {
        return IPX_MALFORMED;
    }
    struct slice body = cbor_raw(&r);
    struct slice sig = cbor_bytes(&r, CRYPT_SIG_LEN);
    cbor_array_end(&r);
    if (!cbor_done(&r) || sig.len != CRYPT_SIG_LEN || body.len > CRYPT_SIGNED_MAX) {
        return IPX_MALFORMED;
    }
    *ret = (struct signed_item){.bytes = in, .body = body, .sig = sig.data};
    return IPX_OK;
}

bool signed_verify(const struct signed_item *item, const struct node_id *pk, const char *type,
                   const struct mesh_id *mesh)
{
    return crypt_verify(pk, type, mesh, item->body, item->sig);
}

void signed_put(struct writer *w, struct slice body, const uint8_t sig[static CRYPT_SIG_LEN])
{
    cbor_put_array(w, 2);
    cbor_put_raw(w, body);
    cbor_put_bytes(w, slice_of(sig, CRYPT_SIG_LEN));
}

void signed_write(struct writer *w, struct slice body, const struct crypt_keypair *key,
                  const char *type, const struct mesh_id *mesh)
{
    uint8_t sig[CRYPT_SIG_LEN];
    crypt_sign(key, type, mesh, body, sig);
    signed_put(w, body, sig);
}
