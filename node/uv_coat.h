/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the coats of the shell share; for uv_coat.c and uv_coat_listen.c alone. Made when the first
 * coat is listened for or dialled: a node without coats has neither the memory nor the thread.
 */
#include "base/list.h"
#include "node/bucket.h"
#include "node/tls.h"
#include "node/uv_conn.h"

#define COATS_MAX_LIVE 512 /* 26 MiB of TLS objects at most */
#define COATS_HANDSHAKES_MAX                                                                       \
    32 /* strangers' included: 5 s each at most, some 300 a second in all */

struct shell_coats {
    struct tls_context *context;
    struct rng rng;
    struct buckets strangers; /* accepted handshakes by address, as datagrams of strangers */
    uv_tcp_t listener;
    uv_timer_t timer; /* of the oldest handshake */
    bool is_stepping;
    uint32_t n_live, n_handshakes;
    struct list handshakes; /* struct shell_coat, oldest first */
    struct list steps;      /* those whose next step waits for the pool */
};

/* `identity` NULL: only to dial. Conditions and faults: as tls_context_new. */
IPX_MUST_USE enum ipx_err shell_coats_make(struct shell *s, const struct tls_identity *identity);
