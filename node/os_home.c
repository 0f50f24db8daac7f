/* SPDX-License-Identifier: Apache-2.0 */
/* The home of a node: its files, read at start and replaced one by one. */
#include "node/os_home.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/keys.h"
#include "node/os_entropy.h"

#define FILE_MAX 65536 /* the longest file a node saves */
#define PATH_SIZE (HOME_PATH_MAX + 32)

static const char *const save_names[NODE_SAVE_N] = {
    [NODE_SAVE_CHAIN] = "chain",     [NODE_SAVE_CONTACTS] = "contacts",
    [NODE_SAVE_SEQ] = "seq",         [NODE_SAVE_BOOK] = "book",
    [NODE_SAVE_ISSUERS] = "issuers", [NODE_SAVE_LABELS] = "labels",
    [NODE_SAVE_POLICY] = "policy",   [NODE_SAVE_GENERATION] = "generation",
    [NODE_SAVE_COATS] = "coats",     [NODE_SAVE_REVOKED] = "revoked"};
static const char *const other_names[] = {
    "coat.tls", "key",    "mesh",     "name",       "ticket", "issuer.key", "issuer.cert",
    "listen",   "accept", "node.log", "node.log.1", "lock",   "sock",       "root.key"};

static void join_path(const char *home, const char *name, char out[static PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/%s", home, name);
}

/* --- files --- */

enum ipx_err os_file_read(const char *path, size_t max, struct mem *mem, struct slice *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? IPX_NOT_FOUND : IPX_IO;
    }
    size_t len = 0, cap = 4096;
    uint8_t *data = mem_alloc(mem, cap + 1);
    enum ipx_err err = data == NULL ? IPX_NO_MEMORY : IPX_OK;
    while (err == IPX_OK) {
        ssize_t n = read(fd, data + len, cap - len);
        if (n <= 0) {
            err = n < 0 ? IPX_IO : IPX_OK;
            break;
        }
        len += (size_t)n;
        if (len > max) {
            err = IPX_LIMIT;
        } else if (len == cap) {
            uint8_t *more = mem_realloc(mem, data, 2 * cap + 1);
            err = more == NULL ? IPX_NO_MEMORY : IPX_OK;
            data = more == NULL ? data : more;
            cap = more == NULL ? cap : 2 * cap;
        }
    }
    close(fd);
    if (err != IPX_OK) {
        mem_free(mem, data);
        return err;
    }
    *ret = slice_of(data, len);
    return IPX_OK;
}

static bool write_all(int fd, struct slice bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.data + done, bytes.len - done);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The rename itself is on disk only when the folder is. */
static void sync_folder_of(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof(folder), ".");
    } else {
        slash[slash == folder] = '\0';
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

enum ipx_err os_file_replace(const char *path, struct slice bytes)
{
    char temp[4096];
    int len = snprintf(temp, sizeof(temp), "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof(temp)) {
        errno = ENAMETOOLONG;
        return IPX_IO;
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return IPX_IO;
    }
    bool is_ok = write_all(fd, bytes) && fsync(fd) == 0;
    is_ok = close(fd) == 0 && is_ok;
    if (!is_ok || rename(temp, path) != 0) {
        int why = errno;
        unlink(temp);
        errno = why;
        return IPX_IO;
    }
    sync_folder_of(path);
    return IPX_OK;
}

static enum ipx_err put(const char *home, const char *name, struct slice bytes)
{
    char path[PATH_SIZE];
    join_path(home, name, path);
    return os_file_replace(path, bytes);
}

enum ipx_err os_home_save(const char *path, enum node_save what, struct slice bytes)
{
    enum ipx_err err = put(path, save_names[what], bytes);
    if (err == IPX_OK && what == NODE_SAVE_CHAIN) {
        char ticket[PATH_SIZE]; /* it has done its work */
        join_path(path, "ticket", ticket);
        unlink(ticket);
    }
    return err;
}

/* --- where --- */

enum ipx_err os_home_path(const char *given, char ret_path[static HOME_PATH_MAX + 1])
{
    char path[4096];
    const char *env = getenv("IPX_HOME");
    const char *state = getenv("XDG_STATE_HOME");
    const char *user = getenv("HOME");
    if (given != NULL && given[0] != '\0') {
        snprintf(path, sizeof(path), "%s", given);
    } else if (env != NULL && env[0] != '\0') {
        snprintf(path, sizeof(path), "%s", env);
    } else if (geteuid() == 0) {
        snprintf(path, sizeof(path), "/var/lib/ipx");
    } else if (state != NULL && state[0] == '/') {
        snprintf(path, sizeof(path), "%s/ipx", state);
    } else {
        snprintf(path, sizeof(path), "%s/.local/state/ipx", user != NULL ? user : "");
    }
    char whole[4096];
    char cwd[2048];
    if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) != NULL) {
        int n = snprintf(whole, sizeof(whole), "%s/%.2000s", cwd, path);
        assert(n > 0);
    } else {
        snprintf(whole, sizeof(whole), "%s", path);
    }
    size_t len = strlen(whole);
    while (len > 1 && whole[len - 1] == '/') {
        whole[--len] = '\0';
    }
    if (len > HOME_PATH_MAX) {
        return IPX_LIMIT;
    }
    memcpy(ret_path, whole, len + 1);
    return IPX_OK;
}

bool os_home_exists(const char *path)
{
    char mesh[PATH_SIZE];
    join_path(path, "mesh", mesh);
    return access(mesh, F_OK) == 0;
}

static enum ipx_err make_folders(const char *path)
{
    char part[HOME_PATH_MAX + 1];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            return IPX_IO;
        }
        *slash = '/';
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST) {
        return IPX_IO;
    }
    /* It may have been there: keys lie in it, so nobody else looks in. */
    return chmod(part, 0700) == 0 ? IPX_OK : IPX_IO;
}

/* --- lock --- */

/* A lock of the process, not of the descriptor: what it forks does not hold it on. */
enum ipx_err os_home_lock(struct home *h, const char *path, struct mem *mem)
{
    char name[PATH_SIZE];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    memset(h, 0, sizeof(*h));
    h->lock_fd = -1;
    h->mem = mem;
    snprintf(h->path, sizeof(h->path), "%s", path);
    join_path(path, "lock", name);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno == ENOENT ? IPX_NOT_FOUND : IPX_IO;
    }
    if (fcntl(fd, F_SETLK, &lock) != 0) {
        enum ipx_err err = errno == EACCES || errno == EAGAIN ? IPX_BUSY : IPX_IO;
        close(fd);
        return err;
    }
    h->lock_fd = fd;
    join_path(path, "sock", name);
    unlink(name);
    return IPX_OK;
}

int os_home_pid(const char *path)
{
    char name[PATH_SIZE];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    join_path(path, "lock", name);
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    bool is_held = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return is_held ? (int)lock.l_pid : 0;
}

/* --- reading --- */

static enum ipx_err get(const struct home *h, const char *name, struct slice *ret)
{
    char path[PATH_SIZE];
    join_path(h->path, name, path);
    return os_file_read(path, FILE_MAX, h->mem, ret);
}

/* Missing files leave `ret` empty. */
static enum ipx_err get_if_there(const struct home *h, const char *name, struct slice *ret)
{
    *ret = SLICE_EMPTY;
    enum ipx_err err = get(h, name, ret);
    return err == IPX_NOT_FOUND ? IPX_OK : err == IPX_LIMIT ? IPX_MALFORMED : err;
}

static void drop(const struct home *h, struct slice *s)
{
    mem_free(h->mem, (void *)(uintptr_t)s->data);
    *s = SLICE_EMPTY;
}

static enum ipx_err get_key(const struct home *h, const char *name, enum keys_kind kind,
                            struct crypt_keypair *ret)
{
    struct slice file;
    enum ipx_err err = get(h, name, &file);
    if (err != IPX_OK) {
        return err;
    }
    err = keys_file_get(file, kind, SLICE_EMPTY, ret);
    crypt_wipe((void *)(uintptr_t)file.data, file.len);
    drop(h, &file);
    return err == IPX_OK || err_is_fault(err) ? err : IPX_MALFORMED;
}

static bool take_mesh_line(struct home *h, struct slice key, struct slice value)
{
    struct node_config *c = &h->config;
    size_t len = 0;
    if (slice_equal(key, slice_text("id"))) {
        return hex_decode(value, c->mesh.bytes, sizeof(c->mesh.bytes), &len) == IPX_OK &&
               len == sizeof(c->mesh.bytes);
    }
    if (slice_equal(key, slice_text("gate")) && c->n_gates < NODE_GATES_MAX) {
        return hex_decode(value, c->gates[c->n_gates++], 32, &len) == IPX_OK && len == 32;
    }
    if (slice_equal(key, slice_text("name"))) {
        return slice_to_text(value, h->mesh_name, sizeof(h->mesh_name));
    }
    return true; /* of a later version */
}

static enum ipx_err load_mesh(struct home *h)
{
    struct slice file;
    enum ipx_err err = get(h, "mesh", &file);
    if (err != IPX_OK) {
        return err;
    }
    bool is_ok = true;
    for (size_t at = 0; at < file.len && is_ok;) {
        const uint8_t *end = memchr(file.data + at, '\n', file.len - at);
        size_t len = end != NULL ? (size_t)(end - file.data) - at : file.len - at;
        const uint8_t *blank = memchr(file.data + at, ' ', len);
        if (blank != NULL) {
            size_t key_len = (size_t)(blank - file.data) - at;
            is_ok = take_mesh_line(h, slice_of(file.data + at, key_len),
                                   slice_of(blank + 1, len - key_len - 1));
        }
        at += len + 1;
    }
    crypt_wipe((void *)(uintptr_t)file.data, file.len);
    drop(h, &file);
    return is_ok && h->config.n_gates > 0 ? IPX_OK : IPX_MALFORMED;
}

static enum ipx_err load_issuer(struct home *h)
{
    enum ipx_err err = get_if_there(h, "issuer.cert", &h->config.issuer_cert);
    if (err == IPX_OK && h->config.issuer_cert.len > 0) {
        err = get_key(h, "issuer.key", KEYS_ISSUER, &h->config.issuer_key);
        h->config.has_issuer = err == IPX_OK;
    }
    return err;
}

/* The generation of this boot is on disk before anybody can hear of it. */
static enum ipx_err next_generation(struct home *h)
{
    struct slice s = h->config.saved[NODE_SAVE_GENERATION];
    uint8_t bytes[4];
    h->config.generation = (s.len == 4 ? load_be32(s.data) : 0) + 1;
    store_be32(bytes, h->config.generation);
    return os_home_save(h->path, NODE_SAVE_GENERATION, slice_of(bytes, 4));
}

static enum ipx_err load_name(struct home *h)
{
    struct slice s;
    enum ipx_err err = get_if_there(h, "name", &s);
    if (err == IPX_OK && !slice_to_text(s, h->config.name, sizeof(h->config.name))) {
        err = IPX_MALFORMED;
    }
    drop(h, &s);
    return err;
}

enum ipx_err os_home_load(struct home *h)
{
    struct node_config *c = &h->config;
    c->mem = h->mem;
    os_entropy(c->seed, sizeof(c->seed));
    os_entropy(&c->boot_nonce, sizeof(c->boot_nonce));
    enum ipx_err err = load_mesh(h);
    err = err == IPX_OK ? get_key(h, "key", KEYS_NODE, &c->key) : err;
    err = err == IPX_OK ? load_name(h) : err;
    err = err == IPX_OK ? get_if_there(h, "ticket", &c->ticket) : err;
    err = err == IPX_OK ? load_issuer(h) : err;
    for (unsigned i = 0; err == IPX_OK && i < NODE_SAVE_N; i++) {
        err = get_if_there(h, save_names[i], &c->saved[i]);
    }
    if (err != IPX_OK) {
        return err;
    }
    c->chain = c->saved[NODE_SAVE_CHAIN];
    if (c->chain.len > 0) {
        drop(h, &c->ticket);
    }
    if (c->saved[NODE_SAVE_POLICY].len == 0) {
        err = get_if_there(h, "accept", &c->accept);
    }
    return err == IPX_OK ? next_generation(h) : err;
}

bool os_home_listen(const char *path, char *out, size_t size)
{
    char name[PATH_SIZE];
    join_path(path, "listen", name);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

void os_home_done(struct home *h)
{
    struct node_config *c = &h->config;
    drop(h, &c->ticket);
    drop(h, &c->issuer_cert);
    drop(h, &c->accept);
    for (unsigned i = 0; i < NODE_SAVE_N; i++) {
        drop(h, &c->saved[i]);
    }
    c->chain = SLICE_EMPTY;
    crypt_wipe(c->seed, sizeof(c->seed));
    crypt_wipe(&c->key, sizeof(c->key));
    crypt_wipe(&c->issuer_key, sizeof(c->issuer_key));
    if (h->lock_fd >= 0) {
        close(h->lock_fd);
        h->lock_fd = -1;
    }
}

/* --- making and removing --- */

static enum ipx_err put_key(const char *home, const char *name, enum keys_kind kind,
                            const uint8_t seed[static 32])
{
    uint8_t bytes[KEYS_FILE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    keys_file_put(&w, kind, seed);
    enum ipx_err err = put(home, name, writer_slice(&w));
    crypt_wipe(bytes, sizeof(bytes));
    return err;
}

static enum ipx_err put_mesh(const char *home, const struct home_seed *seed)
{
    char text[NODE_GATES_MAX * 72 + 128], hex[65];
    hex_encode(slice_of(seed->mesh.bytes, sizeof(seed->mesh.bytes)), hex);
    int len = snprintf(text, sizeof(text), "id %s\nname %s\n", hex, seed->mesh_name);
    for (size_t i = 0; i < seed->n_gates; i++) {
        hex_encode(slice_of(seed->gates[i], 32), hex);
        len += snprintf(text + len, sizeof(text) - (size_t)len, "gate %s\n", hex);
    }
    enum ipx_err err = put(home, "mesh", slice_of(text, (size_t)len));
    crypt_wipe(text, sizeof(text));
    return err;
}

static enum ipx_err put_if(const char *home, const char *name, struct slice bytes)
{
    return bytes.len > 0 ? put(home, name, bytes) : IPX_OK;
}

/* The file `mesh` comes last: a home without it is none (os_home_exists). */
enum ipx_err os_home_create(const char *path, const struct home_seed *s)
{
    enum ipx_err err = make_folders(path);
    err = err == IPX_OK ? put_key(path, "key", KEYS_NODE, s->key_seed) : err;
    err = err == IPX_OK ? put_if(path, "name", slice_text(s->name)) : err;
    err = err == IPX_OK ? put_if(path, "ticket", s->ticket) : err;
    err = err == IPX_OK ? put_if(path, "chain", s->chain) : err;
    err = err == IPX_OK ? put_if(path, "labels", s->labels) : err;
    err = err == IPX_OK ? put_if(path, "root.key", s->root_key) : err;
    err = err == IPX_OK && s->listen != NULL ? put(path, "listen", slice_text(s->listen)) : err;
    err = err == IPX_OK && s->accept != NULL ? put(path, "accept", slice_text(s->accept)) : err;
    if (err == IPX_OK && s->has_issuer) {
        err = put_key(path, "issuer.key", KEYS_ISSUER, s->issuer_seed);
        err = err == IPX_OK ? put(path, "issuer.cert", s->issuer_cert) : err;
    }
    return err == IPX_OK ? put_mesh(path, s) : err;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void os_home_remove(const char *path)
{
    char name[PATH_SIZE];
    for (unsigned i = 0; i < NODE_SAVE_N; i++) {
        join_path(path, save_names[i], name);
        unlink(name);
    }
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++) {
        join_path(path, other_names[i], name);
        unlink(name);
    }
    join_path(path, "spool", name);
    (void)nftw(name, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    join_path(path, "scratch", name);
    (void)nftw(name, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    (void)rmdir(path); /* stays if something of the user's lies in it */
}
