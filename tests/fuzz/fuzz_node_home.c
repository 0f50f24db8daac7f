/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a home: one of them, by the first byte, holds the rest of the input. It is read or
 * refused; what stands in memory afterwards is given back. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypt.h"
#include "node/os_home.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {
    "mesh",   "key",    "name",   "ticket", "chain",   "seq",    "contacts",   "issuer.cert",
    "labels", "policy", "accept", "book",   "issuers", "listen", "issuer.key", "generation"};
static char home[HOME_PATH_MAX + 1];

static void remove_home(void)
{
    os_home_remove(home);
    (void)rmdir(home);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    /* in memory where there is such a folder: every load syncs a file */
    snprintf(home, sizeof(home), "%s/ipx-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(home) != NULL && atexit(remove_home) == 0 && crypt_init() == IPX_OK ? 0 : 1;
}

/* Every second seed gives a key with its sign bit set, which is refused. */
static void key_seed(uint8_t ret[static 32])
{
    struct crypt_keypair key;
    while (crypt_keypair_from_seed(ret, &key) != IPX_OK) {
        ret[1]++;
    }
}

static void create(void)
{
    struct home_seed seed = {.key_seed = {1},
                             .mesh = {{2}},
                             .mesh_name = "sky",
                             .name = "n0",
                             .n_gates = 1,
                             .has_issuer = true,
                             .issuer_seed = {3},
                             .issuer_cert = slice_of("x", 1),
                             .listen = "127.0.0.1:7433",
                             .accept = "true"};
    key_seed(seed.key_seed);
    key_seed(seed.issuer_seed);
    enum ipx_err err = os_home_create(home, &seed);
    assert(err == IPX_OK);
}

/* Not synced, as os_file_replace would. */
static void put(const char *name, struct slice bytes)
{
    char path[HOME_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    FILE *f = fopen(path, "wb");
    assert(f != NULL);
    size_t n = bytes.len > 0 ? fwrite(bytes.data, 1, bytes.len, f) : 0;
    assert(n == bytes.len);
    fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct home h;
    struct mem mem;
    char listen[300];
    if (size == 0) {
        return 0;
    }
    create();
    put(files[data[0] % ARRAY_LEN(files)], slice_of(data + 1, size - 1));
    mem_init(&mem, 4 << 20);
    enum ipx_err err = os_home_lock(&h, home, &mem);
    assert(err == IPX_OK);
    err = os_home_load(&h);
    assert(err == IPX_OK || err == IPX_NOT_FOUND || err == IPX_MALFORMED || err == IPX_LIMIT);
    assert(err != IPX_OK || (h.config.n_gates > 0 && h.config.n_gates <= NODE_GATES_MAX));
    (void)os_home_listen(home, listen, sizeof(listen));
    os_home_done(&h);
    assert(mem.used == 0);
    os_home_remove(home);
    return 0;
}
