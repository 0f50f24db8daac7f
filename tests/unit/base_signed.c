/* SPDX-License-Identifier: Apache-2.0 */
/* Signed items: the form, and what a signature is bound to. */
#include "tests/harness.h"

#include "tests/cert_fixture.h"

TEST(signed_item, golden_and_bound)
{
    uint8_t seed[32], bytes[128];
    char hex[2 * sizeof bytes + 1];
    CHECK_OK(crypt_init());
    struct crypt_keypair key = fx_key(1, seed), other = fx_key(2, seed);
    struct mesh_id mesh = {{1}}, mesh2 = {{2}};
    struct signed_item item;
    struct writer w = writer_of(bytes, sizeof bytes);
    signed_write(&w, slice_of("\xa1\x01\x02", 3), &key, "cert", &mesh);
    CHECK_EQ(w.len, 3 + SIGNED_OVERHEAD);
    hex_encode(writer_slice(&w), hex);
    CHECK_STR(hex, "82a10102584001013db17fe4af934b8baa19cba849b30ad56cd29921c733c33ada8a4f"
                   "f373cba4bcb9b9caf6ceb51dcb161c26cd417a3c72b74d7968a6ef10e131abb549df05");
    CHECK_OK(signed_read(writer_slice(&w), &item));
    CHECK(slice_equal(item.body, slice_of("\xa1\x01\x02", 3)));
    CHECK(slice_equal(item.bytes, writer_slice(&w)));
    CHECK(signed_verify(&item, &key.pk, "cert", &mesh));
    CHECK(!signed_verify(&item, &other.pk, "cert", &mesh));
    CHECK(!signed_verify(&item, &key.pk, "cer", &mesh));
    CHECK(!signed_verify(&item, &key.pk, "ticket", &mesh));
    CHECK(!signed_verify(&item, &key.pk, "cert", &mesh2));
    uint8_t again[sizeof bytes];
    struct writer v = writer_of(again, sizeof again);
    signed_put(&v, item.body, item.sig);
    CHECK(slice_equal(writer_slice(&v), writer_slice(&w)));
    w = writer_of(bytes, 20); /* a full writer */
    signed_write(&w, slice_of("\xa1\x01\x02", 3), &key, "cert", &mesh);
    CHECK(w.failed && writer_slice(&w).len == 0);
}

TEST(signed_item, malformed)
{
    uint8_t bytes[128];
    uint8_t sig[CRYPT_SIG_LEN] = {0};
    struct signed_item item;
    struct writer w = writer_of(bytes, sizeof bytes);
    signed_put(&w, slice_of("\x01", 1), sig);
    CHECK_OK(signed_read(writer_slice(&w), &item));
    for (size_t i = 0; i < w.len; i++) {
        CHECK_EQ(signed_read(slice_of(bytes, i), &item), IPX_MALFORMED);
    }
    CHECK_EQ(signed_read(slice_of(bytes, w.len + 1), &item), IPX_MALFORMED);
    static const struct {
        const char *what;
        size_t n_items, sig_len;
    } cases[] = {{"short signature", 2, 63}, {"no signature", 1, 0}, {"two signatures", 3, 64}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t more[256];
        w = writer_of(more, sizeof more);
        cbor_put_array(&w, cases[i].n_items);
        cbor_put_u64(&w, 1);
        for (size_t k = 1; k < cases[i].n_items; k++) {
            cbor_put_bytes(&w, slice_of(sig, cases[i].sig_len));
        }
        CHECK_EQ(signed_read(writer_slice(&w), &item), IPX_MALFORMED);
    }
}
