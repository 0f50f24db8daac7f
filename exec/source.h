/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Live sources: those that local clients publish here, the readers of other nodes (and
 * of this one: streams to oneself are looped back), and the taps that local clients and
 * tasks have open. Private to exec/; driven by exec.c. Messages: exec/source_wire.h.
 *
 * A tap is always a stream of protocol 3 from the node that reads to the one that
 * publishes; when it breaks, it is opened again and goes on behind the last frame.
 */
#include "exec/core.h"
#include "exec/source_wire.h"

#define SOURCES_MAX 24u               /* published here: an ad has room for 32 resources */
#define SOURCE_READERS_MAX 256u       /* streams of protocol 3 that came in */
#define SOURCE_TAPS_MAX 128u          /* open here */
#define SOURCE_RINGS_MAX (256u << 20) /* bytes of all rings of a node */

struct sources;

IPX_MUST_USE enum ipx_err sources_new(struct exec_core *core, struct sources **ret);
void sources_free(struct sources *s); /* NULL allowed */

/* Clients of protocol 7. The other two: false if no client of ours has this handle. */
void sources_on_client(struct sources *s, uint64_t now_us, uint32_t handle, const char *user,
                       uint32_t rights);
bool sources_on_client_message(struct sources *s, uint64_t now_us, uint32_t handle, uint8_t type,
                               struct slice body);
bool sources_on_client_closed(struct sources *s, uint64_t now_us, uint32_t handle);

/* Streams of protocol 3 that came in. The other two: false if it is none of ours. */
void sources_on_stream(struct sources *s, uint64_t now_us, const struct cert_facts *from,
                       uint32_t handle);
bool sources_on_stream_message(struct sources *s, uint64_t now_us, uint32_t handle, uint8_t type,
                               struct slice body);
bool sources_on_stream_closed(struct sources *s, uint64_t now_us, uint32_t handle);
/* Streams of kind CORE_STREAM_SOURCE; `user` as given to core_stream_take. */
void sources_on_tap_message(struct sources *s, uint64_t now_us, void *user, uint8_t type,
                            struct slice body);
void sources_on_tap_closed(struct sources *s, uint64_t now_us, void *user, enum ipx_err err);

void sources_tick(struct sources *s, uint64_t now_us);
uint64_t sources_deadline(const struct sources *s);
bool sources_flush(struct sources *s, uint64_t now_us); /* true if it queued anything */
/* What is published here, as resources of the own ad; valid until the next call. */
size_t sources_list(const struct sources *s, struct resource *ret, size_t max);
void sources_check(const struct sources *s);

/* --- for the place: a source as the stdin of a task --- */
struct source_tap_in;
/* `name` bare or as the owner resolved it; the frames get back what framed them: a newline or
 * their length. NULL: no room. Policy block, from new. */
struct source_tap_in *sources_task_open(struct sources *s, uint64_t now_us,
                                        const struct node_id *node, struct slice name);
/* Bytes that came and are not consumed yet; IPX_OK: more may come, IPX_END: the source ended,
 * else why it cannot be had. */
enum ipx_err sources_task_bytes(const struct source_tap_in *t, struct slice *ret);
void sources_task_consume(struct sources *s, struct source_tap_in *t, size_t len);
void sources_task_close(struct sources *s, struct source_tap_in *t);
/* True once after something came for a task. */
bool sources_task_take_news(struct sources *s);
