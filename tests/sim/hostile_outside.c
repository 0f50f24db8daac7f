/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers: datagrams and connections without a certificate; and local clients that do not keep
 * to the control protocol. */
#include "node/control_wire.h"
#include "node/link_core.h"
#include "tests/sim/hostile.h"

#define DATAGRAM_MAX 1500
#define MAC_LEN 32                  /* mac1 and mac2, at the end of INIT and RESP */
#define CONN_LIFE_US (5 * US_PER_S) /* of a local one; the node ends the others */

/* --- datagrams --- */

void outside_init(void)
{
    for (unsigned i = 0; i < HOSTILE_STRANGERS; i++) {
        struct stranger *s = &hostile.strangers[i];
        s->addr = (struct addr){.family = ADDR_V4, .ip = {192, 0, 2, (uint8_t)i}, .port = 5000};
        s->is_without_gate = i < HOSTILE_STRANGERS / 2;
    }
    mem_init(&hostile.local_mem, SIZE_MAX);
    hostile.local_context = (struct link_context){.mem = &hostile.local_mem};
}

bool outside_on_udp(const struct addr *to, struct slice bytes)
{
    for (unsigned i = 0; i < HOSTILE_STRANGERS; i++) {
        struct stranger *s = &hostile.strangers[i];
        if (addr_equal(to, &s->addr)) {
            s->out += bytes.len;
            hostile.n_stranger_answers++;
            hostile.n_answers_without_gate += s->is_without_gate;
            hostile.n_amplified += s->out > s->in;
            return true;
        }
    }
    return false;
}

/* In memory of exactly its size: an overrun is seen by the sanitizers. */
static void deliver(const struct addr *from, struct slice s)
{
    struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    uint8_t *exact = mem_alloc(&hostile.local_mem, s.len + 1);
    if (s.len > 0) {
        memcpy(exact, s.data, s.len);
    }
    node_on_datagram(v->node, hostile.w.now_us, from, slice_of(exact, s.len));
    mem_free(&hostile.local_mem, exact);
    hostile.n_outside_datagram++;
    world_drain(&hostile.w, v);
}

static struct stranger *pick_stranger(bool is_without_gate)
{
    uint64_t half = HOSTILE_STRANGERS / 2;
    return &hostile.strangers[rng_below(&hostile.rng, half) + (is_without_gate ? 0 : half)];
}

static void noise(void)
{
    struct rng *r = &hostile.rng;
    uint8_t bytes[DATAGRAM_MAX];
    size_t len = (size_t)rng_below(r, rng_chance(r, 700) ? 300 : DATAGRAM_MAX);
    struct stranger *s = pick_stranger(true);
    rng_fill(r, bytes, len);
    if (len > 4 && rng_chance(r, 800)) { /* a right head */
        const struct sample *k = pool_get(&hostile.packets);
        memcpy(bytes, k != NULL ? k->bytes : bytes, 4);
    }
    s->in += len;
    deliver(&s->addr, slice_of(bytes, len));
}

/* One really sent, altered or not, from its sender's address or another. */
static void again(void)
{
    struct rng *r = &hostile.rng;
    uint8_t bytes[HOSTILE_BYTES_MAX];
    const struct sample *k = pool_get(rng_chance(r, 300) ? &hostile.inits : &hostile.packets);
    if (k == NULL || k->len < 2 * MAC_LEN) {
        noise();
        return;
    }
    size_t len = k->len;
    memcpy(bytes, k->bytes, len);
    bool is_altered = rng_chance(r, 800);
    if (is_altered) {
        len = mutate(bytes, len, sizeof(bytes));
    }
    if (rng_chance(r, 300)) {
        deliver(&hostile.w.nodes[k->type].addr, slice_of(bytes, len));
        return;
    }
    /* Without gate: so altered that neither mac1 nor the tag can be right. A sealed packet that
     * overtakes its original is a member's that has moved: its path is tried. */
    if (is_altered && len > 2 * MAC_LEN) {
        bytes[8 + rng_below(r, len - MAC_LEN - 8)] ^= (uint8_t)(1u << rng_below(r, 8));
    }
    bool is_without_gate =
        is_altered && (len != k->len || memcmp(bytes, k->bytes, len - MAC_LEN) != 0);
    struct stranger *s = pick_stranger(is_without_gate);
    s->in += len;
    deliver(&s->addr, slice_of(bytes, len));
}

/* --- connections --- */

static struct hostile_conn *find_conn(uint32_t id)
{
    for (unsigned i = 0; i < HOSTILE_CONNS; i++) {
        if (hostile.conns[i].id == id) {
            return &hostile.conns[i];
        }
    }
    return NULL;
}

static void forget(struct hostile_conn *c)
{
    if (c->is_malformed) {
        hostile.n_local_malformed++;
        hostile.n_local_answered += c->out > 0;
    }
    link_free(c->link);
    *c = (struct hostile_conn){.id = 0};
}

bool outside_on_write(uint32_t conn, struct slice bytes)
{
    struct hostile_conn *c = find_conn(conn);
    if (conn == 0 || c == NULL) {
        return false;
    }
    c->out += bytes.len;
    c->is_writable = true;
    hostile.n_answers_without_gate += c->kind == HOSTILE_CONN_STRANGER;
    return true;
}

bool outside_on_close(uint32_t conn)
{
    struct hostile_conn *c = find_conn(conn);
    if (conn == 0 || c == NULL) {
        return false;
    }
    hostile.n_local_closed += c->is_malformed;
    forget(c);
    return true;
}

static void lose(struct hostile_conn *c)
{
    struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    uint32_t id = c->id;
    forget(c);
    node_on_closed(v->node, hostile.w.now_us, id, rng_chance(&hostile.rng, 500) ? IPX_END : IPX_IO);
    world_drain(&hostile.w, v);
}

static struct hostile_conn *open_conn(enum hostile_conn_kind kind)
{
    struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    struct hostile_conn *c = &hostile.conns[rng_below(&hostile.rng, HOSTILE_CONNS)];
    struct addr from = {.family = ADDR_V4, .ip = {192, 0, 2, 200}, .port = 6000};
    struct node_local who = {.uid = 1000, .is_owner = rng_chance(&hostile.rng, 500), .user = "eve"};
    if (c->id != 0) {
        lose(c);
    }
    *c = (struct hostile_conn){.kind = kind, .id = v->next_conn++, .since_us = hostile.w.now_us};
    if (kind == HOSTILE_CONN_LOCAL) {
        who.is_below_spawner = rng_chance(&hostile.rng, 200);
        node_on_local(v->node, hostile.w.now_us, c->id, &who);
    } else {
        node_on_accept(v->node, hostile.w.now_us, c->id, &from);
    }
    uint32_t id = c->id;
    world_drain(&hostile.w, v);
    return find_conn(id);
}

static bool bring(struct hostile_conn *c, struct slice s)
{
    struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    uint32_t id = c->id;
    uint8_t *exact = mem_alloc(&hostile.local_mem, s.len + 1);
    memcpy(exact, s.data, s.len);
    c->in += s.len;
    node_on_bytes(v->node, hostile.w.now_us, id, slice_of(exact, s.len));
    mem_free(&hostile.local_mem, exact);
    world_drain(&hostile.w, v);
    return find_conn(id) != NULL;
}

/* The start of a link: noise, or one really sent, altered where mac1 sees it. */
static void knock(void)
{
    struct rng *r = &hostile.rng;
    uint8_t bytes[HOSTILE_BYTES_MAX];
    size_t len = 1 + (size_t)rng_below(r, 600);
    const struct sample *k = pool_get(&hostile.hellos);
    bool is_replay = k != NULL && k->len > 4 * MAC_LEN && rng_chance(r, 20);
    rng_fill(r, bytes, len);
    if (k != NULL && k->len > 4 * MAC_LEN && (is_replay || rng_chance(r, 600))) {
        len = k->len;
        memcpy(bytes, k->bytes, len);
        if (!is_replay) {
            bytes[2 + rng_below(r, len / 2)] ^= (uint8_t)(1u << rng_below(r, 8));
            len = rng_chance(r, 300) ? 1 + (size_t)rng_below(r, len) : len;
        }
    }
    struct hostile_conn *c = open_conn(is_replay ? HOSTILE_CONN_REPLAY : HOSTILE_CONN_STRANGER);
    if (c == NULL) {
        return;
    }
    hostile.n_outside_conn++;
    size_t first = rng_chance(r, 300) ? 1 + (size_t)rng_below(r, len) : len;
    if (bring(c, slice_of(bytes, first)) && first < len) {
        bring(c, slice_of(bytes + first, len - first));
    }
}

/* --- local clients --- */

static void local_noise(void)
{
    uint8_t bytes[256];
    struct hostile_conn *c = open_conn(HOSTILE_CONN_LOCAL);
    if (c != NULL) {
        size_t len = 64 + (size_t)rng_below(&hostile.rng, sizeof(bytes) - 64);
        rng_fill(&hostile.rng, bytes, len);
        bytes[0] = (uint8_t)(bytes[0] | 0x10); /* no type of a frame: malformed for certain */
        c->is_malformed = true;
        hostile.n_local++;
        bring(c, slice_of(bytes, len));
    }
}

/* Commands that would end the node are its owner's right. */
static bool ends_node(uint8_t type, struct slice body)
{
    struct control_request request;
    return type == CONTROL_REQUEST && control_request_decode(body, &request) == IPX_OK &&
           (request.command == CONTROL_LEAVE || request.command == CONTROL_DOWN);
}

static size_t make_request(uint8_t *bytes, size_t max)
{
    struct rng *r = &hostile.rng;
    struct control_request request = {.command = (uint8_t)rng_below(r, 16),
                                      .n_args = (size_t)rng_below(r, 3)};
    static const char *const words[] = {"", "n1", "cores >= 1", "a=b", "role", "accept=true", "(("};
    for (size_t i = 0; i < request.n_args; i++) {
        request.args[i] = slice_text(words[rng_below(r, ARRAY_LEN(words))]);
    }
    struct writer w = writer_of(bytes, max);
    control_request_encode(&request, &w);
    return rng_chance(r, 700) ? mutate(bytes, w.len, max) : w.len;
}

static void local_request(void)
{
    struct rng *r = &hostile.rng;
    uint8_t body[HOSTILE_BYTES_MAX], out[LINK_OUTPUT_MIN];
    struct hostile_conn *c = open_conn(HOSTILE_CONN_LOCAL);
    struct link_config config = {.context = &hostile.local_context, .role = LINK_LOCAL_CLIENT};
    if (c == NULL || link_new(&config, hostile.w.now_us, &c->link) != IPX_OK) {
        return;
    }
    uint8_t type = CONTROL_REQUEST;
    size_t len = make_request(body, sizeof(body));
    const struct sample *k = pool_get(&hostile.messages);
    uint16_t protocol = NODE_PROTOCOL_CONTROL;
    if (k != NULL && rng_chance(r, 500)) {
        type = k->type;
        len = k->len;
        memcpy(body, k->bytes, len);
        len = mutate(body, len, sizeof(body));
        protocol = (uint16_t)(1 + rng_below(r, 8));
    }
    if (protocol == NODE_PROTOCOL_CONTROL && ends_node(type, slice_of(body, len))) {
        return;
    }
    uint32_t stream;
    hostile.is_direct = true;
    if (mux_open(link_mux(c->link), protocol, MUX_CLASS_RPC, 0, &stream) == IPX_OK &&
        framing_send(link_mux(c->link), stream, type, slice_of(body, len))) {
        size_t n = link_output(c->link, hostile.w.now_us, out, sizeof(out));
        hostile.n_local++;
        bring(c, slice_of(out, n));
    }
    hostile.is_direct = false;
}

/* --- time --- */

void outside_turn(void)
{
    struct world_node *v = &hostile.w.nodes[HOSTILE_VICTIM];
    for (unsigned i = 0; i < HOSTILE_CONNS; i++) {
        struct hostile_conn *c = &hostile.conns[i];
        if (c->id != 0 && c->is_writable) {
            c->is_writable = false;
            node_on_writable(v->node, hostile.w.now_us, c->id);
            world_drain(&hostile.w, v);
        }
        if (c->id != 0 && c->kind == HOSTILE_CONN_LOCAL &&
            hostile.w.now_us > c->since_us + CONN_LIFE_US) {
            lose(c);
        }
    }
}

void outside_step(void)
{
    uint64_t how = rng_below(&hostile.rng, 100);
    if (how < 35) {
        noise();
    } else if (how < 85) {
        again();
    } else if (how < 94) {
        knock();
    } else if (how < 97) {
        local_noise();
    } else {
        local_request();
    }
    outside_turn();
}

void outside_done(void)
{
    outside_turn();
    for (unsigned i = 0; i < HOSTILE_CONNS; i++) {
        if (hostile.conns[i].id != 0) {
            lose(&hostile.conns[i]);
        }
    }
}
