/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One TLS connection over memory: bytes in, bytes out (overlay 1.5). It is the coat round a link,
 * for firewalls that let nothing but TLS pass. Pure: no socket, no entropy of its own; the one
 * thing it cannot be kept from is that mbedTLS writes the wall clock into its hello.
 *
 * The coat authenticates nobody and is trusted with nothing: each end takes any certificate, and
 * the link inside makes its Noise handshake as on a bare connection. What it must do is bound: a
 * stranger can make a node spend one handshake and TLS_COAT_BYTES, for TLS_HANDSHAKE_US.
 *
 * Use: tls_new(); whenever bytes came tls_recv(), then tls_advance() while it is in the handshake,
 * else tls_read() until it gives 0; whenever the connection takes bytes, tls_output() and
 * tls_sent(). tls_tick() at tls_deadline(). tls_advance() costs milliseconds of arithmetic: the
 * shell calls it from another thread (uv_coat.c), and nothing else of that object meanwhile.
 * Of objects of one context only one may be in tls_advance() at a time: they share its key.
 *
 * Invariant: TLS 1.2 with ECDHE and an AEAD, ALPN "ipx/1" agreed, before a byte is handed out; an
 * end of the connection without the other's close_notify is IPX_CLOSED, never IPX_END. (mbedTLS
 * 2.28 tells a truncation by a read of 0.)
 */
#include "base/crypt.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/slice.h"
#include "base/sm.h"

#define TLS_ALPN "ipx/1"
#define TLS_HANDSHAKE_US (5 * US_PER_S) /* from the start to OPEN */
#define TLS_CLOSE_US (2 * US_PER_S)     /* for our close_notify to get out */
#define TLS_IN_MAX 4096  /* sealed bytes not looked at yet: a flight of the handshake and more */
#define TLS_OUT_MAX 8192 /* sealed bytes not sent yet: one record; a flight is about 1 KiB */
#define TLS_RECORD_OVERHEAD 64 /* header 5, nonce 8, tag 16; never more than this */
/* What mbedTLS takes for an object, from its own allocator, where we can only count it: two record
 * buffers of 16 KiB and, in the handshake, some KiB more (tests/unit/node_tls.c measures). */
#define TLS_LIBRARY_BYTES (40 * 1024)
#define TLS_CERT_MAX 512 /* DER, self-signed P-256 */
#define TLS_KEY_MAX 160  /* DER */

enum tls_role { TLS_CLIENT, TLS_SERVER };
enum tls_state { TLS_STATE_HANDSHAKE, TLS_STATE_OPEN, TLS_STATE_CLOSING, TLS_STATE_CLOSED };
extern const struct sm_table tls_state_table;

/* --- the certificate of a node's coats --- */

struct tls_identity {
    uint8_t cert[TLS_CERT_MAX], key[TLS_KEY_MAX];
    size_t cert_len, key_len;
};

/* A new P-256 key and a certificate signed by itself; 3 ms. Fault: IPX_CRYPTO. */
IPX_MUST_USE enum ipx_err tls_identity_make(struct rng *rng, struct tls_identity *ret);

/* --- what the coats of a node share --- */

struct tls_context;
/* Without `identity` (NULL) only clients can be made. The memory outlives the context.
 * Conditions: IPX_MALFORMED (identity). Faults: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err tls_context_new(struct mem *mem, const struct tls_identity *identity,
                                          struct tls_context **ret);
void tls_context_free(struct tls_context *x); /* after all of its objects; NULL is allowed */

/* --- one connection --- */

struct tls;
/* `rng` is only drawn from here: each object has a stream of its own. Conditions: IPX_REFUSED (a
 * server without an identity). Faults: IPX_NO_MEMORY, IPX_CRYPTO. */
IPX_MUST_USE enum ipx_err tls_new(struct tls_context *x, enum tls_role role, uint64_t now_us,
                                  struct rng *rng, struct tls **ret);
void tls_free(struct tls *t); /* NULL is allowed */

/* Inputs. How many of the sealed bytes were taken: tls_room() of them at most. */
size_t tls_recv(struct tls *t, struct slice sealed);
size_t tls_room(const struct tls *t);
/* The connection has ended; what was received before it can still be read. */
void tls_on_eof(struct tls *t);
void tls_tick(struct tls *t, uint64_t now_us);
uint64_t tls_deadline(const struct tls *t);

/* Goes on with the handshake as far as the bytes reach; also when there are none yet, at first. */
void tls_advance(struct tls *t);

/* Plain bytes of the other end, up to `max`; 0: none now, tls_state_of() says whether ever. */
size_t tls_read(struct tls *t, uint8_t *out, size_t max);
/* Seals and says how many of the bytes were taken; fewer than all: call again after tls_sent(). */
size_t tls_write(struct tls *t, struct slice plain);
/* Says close_notify and no more; what was taken by tls_write() still goes out. */
void tls_close(struct tls *t, uint64_t now_us);

/* Outputs. Sealed bytes for the connection, valid until the next call; also of a closed one,
 * whose last words may be an alert. */
struct slice tls_output(const struct tls *t);
void tls_sent(struct tls *t, size_t len);

/* Queries. */
enum tls_state tls_state_of(const struct tls *t);
/* Once CLOSED: IPX_END (close_notify), IPX_CLOSED (cut off), IPX_TIMEOUT, IPX_REFUSED (no ALPN in
 * common), IPX_MALFORMED (all else that is not TLS as we take it). */
enum ipx_err tls_why(const struct tls *t);
void tls_check(const struct tls *t); /* asserts the invariant */
