/* SPDX-License-Identifier: Apache-2.0 */
#include "node/os_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct object {
    struct list list;
    uint64_t number, len;
    int fd; /* -1: in memory */
    struct buf buf;
};

static void object_path(const struct store *s, uint64_t number, char *out, size_t size)
{
    snprintf(out, size, "%s/%llx", s->dir, (unsigned long long)number);
}

static void empty_dir(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    closedir(dir);
}

enum ipx_err store_init(struct store *s, struct mem *mem, const char *home, uint64_t limit)
{
    memset(s, 0, sizeof(*s));
    s->mem = mem;
    s->limit = limit;
    for (size_t i = 0; i < STORE_BUCKETS; i++) {
        list_init(&s->buckets[i]);
    }
    snprintf(s->dir, sizeof(s->dir), "%s/spool", home);
    if (mkdir(s->dir, 0700) != 0 && errno != EEXIST) {
        return IPX_IO;
    }
    empty_dir(s->dir);
    return IPX_OK;
}

static struct object *find(struct store *s, uint64_t number)
{
    struct object *o;
    struct list *next;
    LIST_EACH(o, next, &s->buckets[number % STORE_BUCKETS], struct object, list)
    {
        if (o->number == number) {
            return o;
        }
    }
    return NULL;
}

static struct object *make(struct store *s, uint64_t number)
{
    struct object *o = mem_alloc(s->mem, sizeof(*o));
    if (o != NULL) {
        o->number = number;
        o->fd = -1;
        buf_init(&o->buf, s->mem, STORE_OBJECT_MEMORY_MAX);
        list_push_front(&s->buckets[number % STORE_BUCKETS], &o->list);
    }
    return o;
}

static void drop(struct store *s, struct object *o)
{
    char path[160];
    s->used -= o->len;
    s->memory_used -= o->buf.len;
    if (o->fd >= 0) {
        object_path(s, o->number, path, sizeof(path));
        close(o->fd);
        unlink(path);
    }
    buf_done(&o->buf);
    list_unlink(&o->list);
    mem_free(s->mem, o);
}

static bool write_all(int fd, struct slice bytes, uint64_t offset)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.data, bytes.len, (off_t)offset);
        if (n <= 0 && errno != EINTR) {
            return false;
        }
        size_t done = n > 0 ? (size_t)n : 0;
        bytes = slice_of(bytes.data + done, bytes.len - done);
        offset += done;
    }
    return true;
}

static enum ipx_err to_file(struct store *s, struct object *o)
{
    char path[160];
    object_path(s, o->number, path, sizeof(path));
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return IPX_IO;
    }
    if (!write_all(fd, buf_slice(&o->buf), 0)) {
        close(fd);
        unlink(path);
        return IPX_IO;
    }
    s->memory_used -= o->buf.len;
    buf_done(&o->buf);
    o->fd = fd;
    return IPX_OK;
}

enum ipx_err store_append(struct store *s, uint64_t object, struct slice bytes)
{
    struct object *o = find(s, object);
    enum ipx_err err = IPX_OK;
    bool is_new = o == NULL;
    if (bytes.len > s->limit - s->used) {
        return IPX_FULL;
    }
    if (is_new && (o = make(s, object)) == NULL) {
        return IPX_NO_MEMORY;
    }
    if (o->fd < 0 && (o->len + bytes.len > STORE_OBJECT_MEMORY_MAX ||
                      s->memory_used + bytes.len > STORE_MEMORY_MAX)) {
        err = to_file(s, o);
    }
    if (err == IPX_OK && o->fd >= 0) {
        err = write_all(o->fd, bytes, o->len) ? IPX_OK : errno == ENOSPC ? IPX_FULL : IPX_IO;
    } else if (err == IPX_OK) {
        err = buf_append(&o->buf, bytes);
        s->memory_used += err == IPX_OK ? bytes.len : 0;
    }
    if (err == IPX_OK) {
        o->len += bytes.len;
        s->used += bytes.len;
    } else if (is_new) {
        drop(s, o);
    }
    return err;
}

enum ipx_err store_load(struct store *s, uint64_t object, uint64_t offset, uint8_t *out, size_t len,
                        size_t *ret_len)
{
    struct object *o = find(s, object);
    if (o == NULL) {
        return IPX_NOT_FOUND;
    }
    size_t want = offset >= o->len ? 0 : (size_t)IPX_MIN((uint64_t)len, o->len - offset);
    if (o->fd < 0) {
        if (want > 0) {
            memcpy(out, buf_slice(&o->buf).data + offset, want);
        }
    } else if (want > 0 && pread(o->fd, out, want, (off_t)offset) != (ssize_t)want) {
        return IPX_IO;
    }
    *ret_len = want;
    return IPX_OK;
}

void store_drop(struct store *s, uint64_t object)
{
    struct object *o = find(s, object);
    if (o != NULL) {
        drop(s, o);
    }
}

void store_done(struct store *s)
{
    for (size_t i = 0; s->mem != NULL && i < STORE_BUCKETS; i++) {
        struct object *o;
        struct list *next;
        LIST_EACH(o, next, &s->buckets[i], struct object, list)
        {
            drop(s, o);
        }
    }
}
