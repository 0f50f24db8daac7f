/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes in pieces against the opener of records. The first byte of the input is the size of the
 * pieces; the second says where true records lie among the rest: what opens must be these.
 */
#include "node/record.h"

#define TRUE_MAX 8 /* true records */

static const uint8_t split_key[32] = {5};
static const uint8_t plain[300] = {1, 2, 3};

/* True records first, one by a nibble of its length; then the input's own bytes. */
static size_t make(uint8_t *out, const uint8_t *data, size_t size, unsigned *ret_n)
{
    struct record_sealer sealer;
    size_t len = 0;
    unsigned n = data[1] % TRUE_MAX;
    record_sealer_init(&sealer, CRYPT_SUITE_CHACHA20, split_key);
    for (unsigned i = 0; i < n; i++) {
        memcpy(out + len + RECORD_HEADER_LEN, plain, sizeof(plain));
        len += record_seal(&sealer, i == 3 ? RECORD_REKEY : RECORD_DATA, out + len,
                           i == 3 ? 0 : sizeof(plain));
    }
    record_sealer_done(&sealer);
    memcpy(out + len, data + 2, size - 2);
    *ret_n = n > 3 ? n - 1 : n;
    return len + size - 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[TRUE_MAX * 400 + 100000];
    if (size < 2 || size > 100000 || crypt_init() != IPX_OK) {
        return 0;
    }
    struct mem mem;
    struct record_opener opener;
    unsigned n_true, n_opened = 0;
    size_t len = make(bytes, data, size, &n_true), at = 0;
    enum ipx_err err = IPX_AGAIN;
    mem_init(&mem, SIZE_MAX);
    record_opener_init(&opener, CRYPT_SUITE_CHACHA20, split_key, &mem);
    while (at < len && err == IPX_AGAIN) {
        size_t n = IPX_MIN((size_t)data[0] + 1, len - at);
        struct slice got;
        record_opener_feed(&opener, slice_of(bytes + at, n));
        while ((err = record_open(&opener, &got)) == IPX_OK) {
            n_opened++;
            assert(got.len == sizeof(plain) && memcmp(got.data, plain, sizeof(plain)) == 0);
        }
        at += n;
    }
    assert(n_opened == n_true); /* all that were true, and none that anybody else made */
    assert(mem.peak <= 2 * RECORD_MAX);
    record_opener_done(&opener);
    assert(mem.used == 0);
    return 0;
}
