/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three planes that talk, steered by the input: each step is an operation byte and its arguments.
 * Half of the operations are mutations of packets on their way, also of packets that were sealed by
 * a real session: an altered plaintext with a right tag included.
 */
#include "tests/session_world.h"

struct input {
    const uint8_t *data;
    size_t left;
};

static uint8_t next(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static void say(struct sw *w, struct input *in)
{
    static const uint8_t types[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 40, 63};
    uint8_t a = next(in), len = next(in), body[256];
    int from = a % 3, to = (from + 1 + (a >> 4) % 2) % 3;
    uint8_t type = types[next(in) % ARRAY_LEN(types)];
    for (size_t i = 0; i < len; i++) {
        body[i] = next(in);
    }
    struct session_message m = {.peer = w->nodes[to].key.pk,
                                .to = w->nodes[to].addr,
                                .type = type,
                                .request_id = 7,
                                .body = slice_of(body, len)};
    /* a message with any body is sealed as it is: the other end must cope with it */
    err_ignore(session_send(w->nodes[from].plane, w->now_us, &m), "may be refused");
}

static void mutate(struct sw *w, struct input *in)
{
    if (w->n_flight == 0) {
        return;
    }
    struct sw_packet *k = &w->flight[next(in) % w->n_flight];
    size_t at = (size_t)(next(in) << 8 | next(in)) % IPX_MAX(k->len, 1);
    switch (next(in) % 4) {
    case 0:
        k->bytes[at] ^= (uint8_t)(next(in) | 1);
        break;
    case 1:
        k->len = at;
        break;
    case 2:
        k->from.port ^= next(in); /* as if a NAT had moved it */
        break;
    default:
        if (w->n_flight < SW_FLIGHT / 2) { /* twice, the copy from elsewhere */
            struct sw_packet copy = *k;
            copy.from.ip[1] ^= next(in);
            sw_post(w, &copy.from, &copy.to, slice_of(copy.bytes, copy.len));
        }
        break;
    }
}

static void raw(struct sw *w, struct input *in)
{
    uint8_t bytes[128], a = next(in);
    size_t len = next(in) % sizeof bytes;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = next(in);
    }
    sw_post(w, &w->nodes[a % 3].addr, &w->nodes[(a >> 4) % 3].addr, slice_of(bytes, len));
}

static void command(struct sw *w, struct input *in)
{
    uint8_t a = next(in);
    int i = a % 3, j = (i + 1) % 3;
    uint32_t id;
    switch ((a >> 4) % 6) {
    case 0:
        session_forget(w->nodes[i].plane, w->now_us, &w->nodes[j].key.pk, IPX_CLOSED);
        break;
    case 1:
        err_ignore(
            session_ping(w->nodes[i].plane, w->now_us, &w->nodes[j].key.pk, &w->nodes[j].addr, &id),
            "may be refused");
        break;
    case 2:
        session_drop_all(w->nodes[i].plane, w->now_us);
        break;
    case 3:
        sw_start(w, i, a >= 0xd0 ? w->fx.pub : SLICE_EMPTY);
        break;
    case 4:
        w->nodes[i].addr.port = (uint16_t)(7433 + next(in) % 4);
        break;
    default:
        chains_forget(&w->nodes[i].chains, &w->nodes[j].key.pk);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sw w;
    struct input in = {data, size};
    sw_init(&w, 1);
    for (int step = 0; step < 200 && in.left > 0; step++) {
        uint8_t op = next(&in);
        switch (op % 8) {
        case 0:
        case 1:
            say(&w, &in);
            break;
        case 2:
        case 3:
        case 4:
            mutate(&w, &in);
            break;
        case 5:
            raw(&w, &in);
            break;
        case 6:
            command(&w, &in);
            break;
        default:
            sw_run(&w, (uint64_t)next(&in) * next(&in) * US_PER_MS);
            break;
        }
        for (int i = 0; i < SW_NODES; i++) {
            sw_drain(&w, i);
        }
        sw_forget(&w);
        if (w.n_flight > SW_FLIGHT / 4) {
            w.n_flight = 0;
        }
    }
    sw_done(&w);
    return 0;
}
