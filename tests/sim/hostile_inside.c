/* SPDX-License-Identifier: Apache-2.0 */
/* Members gone mad: messages of any type and body in their sessions, frames and framed messages of
 * any kind on their links. All of it is sealed with their own, valid keys. */
#include "node/link_core.h"
#include "node/mux_frame.h"
#include "tests/sim/hostile.h"

#define TYPES_MAX 64
#define STREAMS_OPEN_MAX                                                                           \
    24 /* opened by us on one link at a time; the limits are tested elsewhere */

static struct world_node *pick(void)
{
    struct world_node *n =
        &hostile.w.nodes[HOSTILE_MAD_FIRST + rng_below(&hostile.rng, HOSTILE_MAD)];
    return n->node != NULL && n->node->has_cores ? n : NULL;
}

/* A body: one really said, altered nine times of ten; else noise. */
static uint8_t make_body(const struct pool *p, uint8_t *bytes, size_t max, size_t *ret_len)
{
    const struct sample *s = pool_get(p);
    struct rng *r = &hostile.rng;
    if (s == NULL || s->len > max || rng_chance(r, 50)) {
        *ret_len = (size_t)rng_below(r, rng_chance(r, 900) ? 64 : max);
        rng_fill(r, bytes, *ret_len);
        return s == NULL ? (uint8_t)rng_below(r, TYPES_MAX) : s->type;
    }
    memcpy(bytes, s->bytes, s->len);
    *ret_len = rng_chance(r, 900) ? mutate(bytes, s->len, max) : s->len;
    return s->type;
}

static void say(struct world_node *n)
{
    struct rng *r = &hostile.rng;
    uint8_t bytes[SESSION_BODY_MAX];
    size_t len;
    uint8_t type = make_body(&hostile.bodies, bytes, sizeof(bytes), &len);
    if (rng_chance(r, 100)) {
        type = (uint8_t)(1 + rng_below(r, TYPES_MAX - 1));
    }
    if (type == SESSION_CLOSE && !rng_chance(r, 20)) {
        type = SESSION_PING; /* each costs a handshake */
    }
    const struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    struct session_message m = {.peer = v->key.pk,
                                .to = v->addr,
                                .type = type,
                                .request_id = rng_chance(r, 500) ? rng_u32(r) : 7,
                                .body = slice_of(bytes, len)};
    hostile.is_direct = true;
    enum ipx_err err = session_send(n->node->sessions, hostile.w.now_us, &m);
    hostile.is_direct = false;
    hostile.n_inside_session += err == IPX_OK;
    world_drain(&hostile.w, n);
    if (type == SESSION_CLOSE) {
        session_drop_all(n->node->sessions, hostile.w.now_us);
        world_drain(&hostile.w, n);
    }
}

/* --- links --- */

static struct conn *link_to_victim(struct world_node *n)
{
    const struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    struct conn *c = conns_of_peer(n->node, &v->key.pk);
    if (c == NULL || mux_is_closing(link_mux(c->link))) {
        conns_reach(n->node, &v->key.pk, &v->addr);
        node_tick(n->node, hostile.w.now_us);
        world_drain(&hostile.w, n);
        return NULL;
    }
    return c;
}

static uint16_t any_protocol(void)
{
    static const uint16_t known[] = {
        NODE_PROTOCOL_JOB,    NODE_PROTOCOL_JOB,     NODE_PROTOCOL_TAP,        NODE_PROTOCOL_FETCH,
        NODE_PROTOCOL_TUNNEL, NODE_PROTOCOL_CONTROL, NODE_PROTOCOL_EXEC_CLIENT};
    return rng_chance(&hostile.rng, 20) ? (uint16_t)rng_u32(&hostile.rng)
                                        : known[rng_below(&hostile.rng, ARRAY_LEN(known))];
}

/* A message on a stream of its own or on the one opened last, sometimes in two pieces. */
static void frame(struct world_node *n, struct conn *c)
{
    static uint32_t last[HOSTILE_NODES];
    struct rng *r = &hostile.rng;
    struct mux *m = link_mux(c->link);
    uint8_t bytes[FRAMING_HEAD_LEN + HOSTILE_BYTES_MAX];
    size_t len;
    uint32_t *stream = &last[n->index];
    uint8_t type = make_body(&hostile.messages, bytes + FRAMING_HEAD_LEN, HOSTILE_BYTES_MAX, &len);
    framing_head(type, len, bytes);
    if (rng_chance(r, 20)) { /* another length than what follows */
        mutate(bytes, FRAMING_HEAD_LEN, FRAMING_HEAD_LEN);
    }
    if (*stream == 0 || mux_send_room(m, *stream) == 0 || rng_chance(r, 100)) {
        if (*stream != 0 && rng_chance(r, 500)) {
            mux_finish(m, *stream);
        } else if (*stream != 0) {
            mux_reset(m, *stream, IPX_CLOSED);
        }
        *stream = 0;
        if (mux_n_streams(m) >= STREAMS_OPEN_MAX ||
            mux_open(m, any_protocol(), MUX_CLASS_RPC, 0, stream) != IPX_OK) {
            link_close(c->link, hostile.w.now_us, IPX_END);
            *stream = 0;
        }
    }
    if (*stream != 0) {
        hostile.n_inside_link += mux_send(m, *stream, slice_of(bytes, FRAMING_HEAD_LEN + len)) > 0;
    }
    conns_wake(n->node, c);
}

/* Frames as bytes, sealed right: types, flags, lengths, streams, payloads at will. */
static void raw_frames(struct world_node *n, struct conn *c)
{
    struct rng *r = &hostile.rng;
    uint8_t record[RECORD_OVERHEAD + 512];
    size_t len = 0;
    unsigned n_frames = 1 + (unsigned)rng_below(r, 3);
    for (unsigned i = 0; i < n_frames; i++) {
        struct mux_frame f = {.type = (uint8_t)rng_below(r, 10),
                              .flags = rng_chance(r, 100),
                              .length = (uint16_t)rng_below(r, 32),
                              .stream = (uint32_t)rng_below(r, 64)};
        if (rng_chance(r, 500)) { /* of a right shape */
            f.type = MUX_TYPE_DATA;
        }
        mux_frame_encode(&f, record + RECORD_HEADER_LEN + len);
        len += MUX_HEADER_LEN;
        rng_fill(r, record + RECORD_HEADER_LEN + len, f.length);
        len += f.length;
    }
    if (rng_chance(r, 200)) {
        len = 1 + (size_t)rng_below(r, len);
    }
    if (record_sealer_wants_rekey(&c->link->sealer) || c->link->sealer.is_closed) {
        return;
    }
    hostile.is_direct = true;
    len = record_seal(&c->link->sealer, RECORD_DATA, record, len);
    hostile.is_direct = false;
    hostile.n_inside_link++;
    world_write(&hostile.w, n, c->id, slice_of(record, len));
}

void inside_step(void)
{
    struct world_node *n = pick();
    if (n == NULL) {
        return;
    }
    if (rng_chance(&hostile.rng, 550)) {
        say(n);
        return;
    }
    struct conn *c = link_to_victim(n);
    if (c == NULL) {
        return;
    }
    if (rng_chance(&hostile.rng, 20)) {
        raw_frames(n, c);
    } else {
        hostile.is_direct = true;
        frame(n, c);
        hostile.is_direct = false;
    }
    world_drain(&hostile.w, n);
}
