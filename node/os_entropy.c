/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_entropy.h"

#include <errno.h>
#include <sys/random.h>

void os_entropy(void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        assert(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

void os_entropy_key(uint8_t ret_seed[static 32], struct crypt_keypair *ret_key)
{
    enum ipx_err err;
    do { /* every second seed gives a key with its sign bit set */
        os_entropy(ret_seed, 32);
        err = crypt_keypair_from_seed(ret_seed, ret_key);
    } while (err == IPX_REFUSED);
    assert(err == IPX_OK);
}
