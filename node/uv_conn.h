/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One connection of the shell, shared by uv_conn.c (bare ones) and uv_coat.c (within TLS). Nobody
 * else includes it.
 *
 * A coat is told apart by `coat`: its bytes pass through TLS on the way to the node and back, and
 * the node hears of an accepted one only when its handshake is done.
 */
#include "node/uv_shell.h"

struct shell_conn {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    uv_write_t write;
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct shell *shell;
    struct list list;
    uint32_t id;
    bool is_writing, is_closing;
    bool wants_coat;         /* dialled: TLS begins when it is connected */
    struct shell_coat *coat; /* NULL: bare */
    uint8_t *pending; /* what the kernel did not take at once; NODE_WRITE_MAX bytes when there */
};

/* uv_conn.c */
struct shell_conn *shell_conn_new(struct shell *s, uint32_t id, bool is_local); /* NULL: memory */
struct shell_conn *shell_conn_accepted(struct shell *s, uv_stream_t *listener,
                                       struct addr *ret_from); /* NULL: it is gone */
void shell_conn_destroy(struct shell_conn *c);                 /* nobody is told */
void shell_conn_fail(struct shell_conn *c, enum ipx_err err);
void shell_conn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret);
void shell_conn_on_shutdown(uv_shutdown_t *req, int status); /* destroys it */

/* uv_coat.c */
/* TLS begins on a connection that is there; `from` NULL: it was dialled. */
void shell_coat_begin(struct shell_conn *c, const struct addr *from);
void shell_coat_write(struct shell_conn *c, struct slice bytes);
void shell_coat_close(struct shell_conn *c); /* graceful */
void shell_coat_drop(struct shell_conn *c);  /* the connection is closed */
