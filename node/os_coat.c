/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_coat.h"

#include <stdio.h>

#include "node/os_entropy.h"
#include "node/os_home.h"

static enum ipx_err parse(struct slice file, struct tls_identity *ret)
{
    struct reader r = reader_of(file);
    size_t cert_len = reader_u16(&r);
    ret->cert_len = IPX_MIN(cert_len, sizeof(ret->cert));
    reader_copy(&r, ret->cert, ret->cert_len);
    size_t key_len = reader_u16(&r);
    ret->key_len = IPX_MIN(key_len, sizeof(ret->key));
    reader_copy(&r, ret->key, ret->key_len);
    return reader_done(&r) ? IPX_OK : IPX_MALFORMED;
}

enum ipx_err os_coat_identity(const char *home, struct mem *mem, struct tls_identity *ret)
{
    char path[HOME_PATH_MAX + 16];
    uint8_t bytes[TLS_CERT_MAX + TLS_KEY_MAX + 4];
    struct slice file;
    struct rng rng;
    snprintf(path, sizeof(path), "%s/coat.tls", home);
    enum ipx_err err = os_file_read(path, sizeof(bytes), mem, &file);
    if (err == IPX_OK) {
        err = parse(file, ret);
        mem_free(mem, (void *)(uintptr_t)file.data);
        return err;
    }
    if (err != IPX_NOT_FOUND) {
        return err;
    }
    os_entropy(bytes, 32);
    rng_init(&rng, bytes);
    err = tls_identity_make(&rng, ret);
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_u16(&w, (uint16_t)ret->cert_len);
    writer_bytes(&w, slice_of(ret->cert, ret->cert_len));
    writer_u16(&w, (uint16_t)ret->key_len);
    writer_bytes(&w, slice_of(ret->key, ret->key_len));
    err = err == IPX_OK ? os_file_replace(path, writer_slice(&w)) : err;
    crypt_wipe(&rng, sizeof(rng));
    crypt_wipe(bytes, sizeof(bytes));
    return err;
}
