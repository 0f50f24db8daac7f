/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/core.h"

int64_t core_wall_ms(const struct exec_core *c, uint64_t now_us)
{
    return c->wall_minus_now_ms + (int64_t)(now_us / US_PER_MS);
}

enum ipx_err core_stream_take(struct exec_core *c, enum core_stream_kind kind, void *user,
                              uint32_t *ret_handle)
{
    assert(kind != CORE_STREAM_NONE && user != NULL);
    if (c->n_streams == EXEC_STREAMS_MAX) {
        return IPX_FULL;
    }
    for (;;) {
        /* every number below 2^31 in turn: a handle comes back after two thousand million */
        c->stream_next = (c->stream_next + 1) & INT32_MAX;
        struct core_stream *s = &c->streams[c->stream_next % EXEC_STREAMS_MAX];
        if (s->kind == CORE_STREAM_NONE && c->stream_next != 0) {
            *s = (struct core_stream){c->stream_next, kind, user};
            c->n_streams++;
            *ret_handle = s->handle;
            return IPX_OK;
        }
    }
}

struct core_stream *core_stream_find(struct exec_core *c, uint32_t handle)
{
    struct core_stream *s = &c->streams[handle % EXEC_STREAMS_MAX];
    return s->kind != CORE_STREAM_NONE && s->handle == handle ? s : NULL;
}

void core_stream_free(struct exec_core *c, uint32_t handle)
{
    struct core_stream *s = core_stream_find(c, handle);
    assert(s != NULL);
    *s = (struct core_stream){0};
    c->n_streams--;
}
