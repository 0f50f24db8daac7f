/* SPDX-License-Identifier: Apache-2.0 */
/* Taps into sessions, links and the world, and mutation of what they hear. */
#include "node/link_core.h"
#include "node/session_parts.h"
#include "tests/sim/hostile.h"

#define TRAFFIC_PERMILLE 50 /* of what mad members say by themselves is altered */

void pool_put(struct pool *p, uint8_t type, struct slice bytes)
{
    if (bytes.len > HOSTILE_BYTES_MAX) {
        return;
    }
    size_t i = p->n < HOSTILE_POOL ? p->n++ : (size_t)rng_below(&hostile.rng, HOSTILE_POOL);
    p->samples[i].type = type;
    p->samples[i].len = bytes.len;
    if (bytes.len > 0) {
        memcpy(p->samples[i].bytes, bytes.data, bytes.len);
    }
}

const struct sample *pool_get(const struct pool *p)
{
    return p->n == 0 ? NULL : &p->samples[rng_below(&hostile.rng, p->n)];
}

bool is_mad(const struct world_node *n)
{
    return n->index >= HOSTILE_MAD_FIRST && n->index < HOSTILE_LATE;
}

/* --- mutation --- */

static const uint8_t edges[] = {0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x3b, 0x40, 0x5b,
                                0x5f, 0x7f, 0x80, 0x9b, 0x9f, 0xa0, 0xbb, 0xbf, 0xfb, 0xff};

static size_t mutate_length(uint8_t *bytes, size_t len, size_t max)
{
    struct rng *r = &hostile.rng;
    size_t at = (size_t)rng_below(r, len + 1);
    size_t n = 1 + (size_t)rng_below(r, 16);
    switch (rng_below(r, 4)) {
    case 0: /* truncated */
        return at;
    case 1: /* a piece cut out */
        n = IPX_MIN(n, len - at);
        memmove(bytes + at, bytes + at + n, len - at - n);
        return len - n;
    case 2: /* a piece doubled */
        n = IPX_MIN(IPX_MIN(n, len - at), max - len);
        memmove(bytes + at + n, bytes + at, len - at);
        return len + n;
    default: /* longer */
        n = IPX_MIN(n, max - len);
        rng_fill(r, bytes + len, n);
        return len + n;
    }
}

size_t mutate(uint8_t *bytes, size_t len, size_t max)
{
    struct rng *r = &hostile.rng;
    unsigned n_changes = 1 + (unsigned)rng_below(r, 3);
    for (unsigned i = 0; i < n_changes; i++) {
        size_t at = len > 0 ? (size_t)rng_below(r, len) : 0;
        uint64_t how = rng_below(r, 8);
        if (len == 0 || how == 0) {
            len = mutate_length(bytes, len, max);
        } else if (how <= 2) {
            bytes[at] ^= (uint8_t)(1u << rng_below(r, 8));
        } else if (how == 3) {
            bytes[at] = edges[rng_below(r, ARRAY_LEN(edges))];
        } else if (how == 4) { /* structure is at the front */
            bytes[rng_below(r, IPX_MIN(len, (size_t)12))] = edges[rng_below(r, ARRAY_LEN(edges))];
        } else if (how == 5) {
            bytes[at] = (uint8_t)rng_u32(r);
        } else if (how == 6) {
            memset(bytes + at, rng_chance(r, 500) ? 0xff : 0, IPX_MIN(len - at, (size_t)8));
        } else {
            bytes[at] = (uint8_t)(bytes[at] + (rng_chance(r, 500) ? 1 : -1));
        }
    }
    return len;
}

/* --- taps: __real_x is the function, __wrap_x is what others now call --- */

enum ipx_err __real_session_append(struct session_plane *p, struct session_peer *peer,
                                   const struct handshake_message *m);
enum ipx_err __wrap_session_append(struct session_plane *p, struct session_peer *peer,
                                   const struct handshake_message *m);
bool __real_framing_send(struct mux *m, uint32_t stream, uint8_t type, struct slice body);
bool __wrap_framing_send(struct mux *m, uint32_t stream, uint8_t type, struct slice body);
size_t __real_record_seal(struct record_sealer *s, enum record_type type, uint8_t *record,
                          size_t plain_len);
size_t __wrap_record_seal(struct record_sealer *s, enum record_type type, uint8_t *record,
                          size_t plain_len);
void __real_world_udp(struct world *w, struct world_node *from, const struct addr *to,
                      struct slice s);
void __wrap_world_udp(struct world *w, struct world_node *from, const struct addr *to,
                      struct slice s);
void __real_world_write(struct world *w, struct world_node *from, uint32_t conn, struct slice s);
void __wrap_world_write(struct world *w, struct world_node *from, uint32_t conn, struct slice s);
void __real_world_close(struct world *w, struct world_node *from, uint32_t conn);
void __wrap_world_close(struct world *w, struct world_node *from, uint32_t conn);

static bool is_plane_of_mad(const struct session_plane *p)
{
    for (unsigned i = HOSTILE_MAD_FIRST; i < HOSTILE_LATE; i++) {
        const struct node *n = hostile.w.nodes[i].node;
        if (n != NULL && n->sessions == p) {
            return true;
        }
    }
    return false;
}

static bool is_sealer_of_mad(const struct record_sealer *s)
{
    for (unsigned i = HOSTILE_MAD_FIRST; i < HOSTILE_LATE; i++) {
        struct node *n = hostile.w.nodes[i].node;
        const struct conn *c =
            n != NULL ? conns_of_peer(n, &hostile.w.nodes[HOSTILE_VICTIM].key.pk) : NULL;
        if (c != NULL && &c->link->sealer == s) {
            return true;
        }
    }
    return false;
}

enum ipx_err __wrap_session_append(struct session_plane *p, struct session_peer *peer,
                                   const struct handshake_message *m)
{
    uint8_t bytes[SESSION_BODY_MAX];
    struct handshake_message altered = *m;
    bool is_to_victim = node_id_equal(&peer->id, &hostile.w.nodes[HOSTILE_VICTIM].key.pk);
    if (hostile.is_direct) {
        return __real_session_append(p, peer, m);
    }
    pool_put(&hostile.bodies, m->type, m->body);
    if (hostile.is_mutating && is_to_victim && is_plane_of_mad(p) &&
        rng_chance(&hostile.rng, TRAFFIC_PERMILLE)) {
        if (m->body.len > 0) {
            memcpy(bytes, m->body.data, m->body.len);
        }
        altered.body = slice_of(bytes, mutate(bytes, m->body.len, sizeof(bytes)));
        hostile.n_inside_traffic++;
    }
    return __real_session_append(p, peer, &altered);
}

bool __wrap_framing_send(struct mux *m, uint32_t stream, uint8_t type, struct slice body)
{
    if (!hostile.is_direct) {
        pool_put(&hostile.messages, type, body);
    }
    return __real_framing_send(m, stream, type, body);
}

/* Mostly what frames carry, seldom the frames themselves: those end the link. */
static void alter_record(uint8_t *plain, size_t len)
{
    size_t from = len > 16 && !rng_chance(&hostile.rng, 100) ? 13 : 0;
    size_t at = from + (size_t)rng_below(&hostile.rng, len - from);
    plain[at] ^= (uint8_t)(1u << rng_below(&hostile.rng, 8));
    hostile.n_inside_traffic++;
}

size_t __wrap_record_seal(struct record_sealer *s, enum record_type type, uint8_t *record,
                          size_t plain_len)
{
    if (!hostile.is_direct && hostile.is_mutating && plain_len > 0 &&
        rng_chance(&hostile.rng, TRAFFIC_PERMILLE) && is_sealer_of_mad(s)) {
        alter_record(record + RECORD_HEADER_LEN, plain_len);
    }
    return __real_record_seal(s, type, record, plain_len);
}

void __wrap_world_udp(struct world *w, struct world_node *from, const struct addr *to,
                      struct slice s)
{
    if (from->index == HOSTILE_VICTIM && outside_on_udp(to, s)) {
        return;
    }
    if (addr_equal(to, &w->nodes[HOSTILE_VICTIM].addr)) {
        bool is_init = s.len > 0 && (s.data[0] & 15) == PACKET_INIT;
        if (is_init || rng_chance(&hostile.rng, 50)) {
            pool_put(is_init ? &hostile.inits : &hostile.packets, (uint8_t)from->index, s);
        }
    }
    __real_world_udp(w, from, to, s);
}

void __wrap_world_write(struct world *w, struct world_node *from, uint32_t conn, struct slice s)
{
    if (from->index == HOSTILE_VICTIM && outside_on_write(conn, s)) {
        return;
    }
    const struct conn *c = conns_find(from->node, conn);
    if (c != NULL && c->is_dialled && !c->is_up &&
        node_id_equal(&c->peer, &w->nodes[HOSTILE_VICTIM].key.pk)) {
        pool_put(&hostile.hellos, (uint8_t)from->index, s);
    }
    __real_world_write(w, from, conn, s);
}

void __wrap_world_close(struct world *w, struct world_node *from, uint32_t conn)
{
    if (from->index != HOSTILE_VICTIM || !outside_on_close(conn)) {
        __real_world_close(w, from, conn);
    }
}
