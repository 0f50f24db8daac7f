/* SPDX-License-Identifier: Apache-2.0 */
#include "node/link_core.h"

#define HELLO_LENGTH_LEN 2 /* before INIT and RESP */
#define HELLO_MAX (HELLO_LENGTH_LEN + HANDSHAKE_LINK_MAX)

static_assert(LINK_OUTPUT_MIN >= HELLO_MAX, "a handshake message fits one write");

static struct handshake_judge link_judge(const struct link *l)
{
    const struct link_context *c = l->context;
    return (struct handshake_judge){.self = c->self,
                                    .chains = c->chains,
                                    .clocks = c->clocks,
                                    .wall_ms =
                                        (int64_t)(l->now_us / US_PER_MS) + c->wall_offset_ms};
}

static struct handshake_random link_random(const struct link *l)
{
    struct handshake_random random = {.index = 0};
    rng_fill(l->context->rng, random.e_sk, sizeof(random.e_sk));
    return random;
}

/* Puts a message with its length in the way out. */
static enum ipx_err hello_send(struct link *l, struct slice message)
{
    uint8_t length[HELLO_LENGTH_LEN];
    store_be16(length, (uint16_t)message.len);
    enum ipx_err err = buf_append(&l->hello->out, slice_of(length, sizeof(length)));
    if (err == IPX_OK) {
        err = buf_append(&l->hello->out, message);
    }
    return err == IPX_OK ? IPX_OK : IPX_NO_MEMORY;
}

/* mac2, the last field: TCP has proved the address already, so on links it is zero. */
static bool hello_has_mac2(struct slice packet)
{
    static const uint8_t none[HANDSHAKE_MAC_LEN];
    return packet.len < sizeof(none) ||
           memcmp(packet.data + packet.len - sizeof(none), none, sizeof(none)) != 0;
}

/* Dialling */

static enum ipx_err hello_send_init(struct link *l)
{
    const struct link_context *c = l->context;
    struct handshake_judge judge = link_judge(l);
    struct handshake_init init = {.pk = c->self->key.pk,
                                  .t_ms = clocks_next(c->clocks, judge.wall_ms, &l->peer),
                                  .version_min = HANDSHAKE_VERSION_MIN,
                                  .version_max = HANDSHAKE_VERSION_MAX,
                                  .chain = c->chain,
                                  .admitter_chain = c->admitter_chain,
                                  .suites = c->self->suites};
    if (init.chain.len == 0) {
        init.ticket = c->ticket;
    }
    uint8_t bytes[HANDSHAKE_LINK_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct handshake_random random = link_random(l);
    handshake_dial_init(&l->hello->dial, HANDSHAKE_LINK, &l->peer);
    enum ipx_err err = handshake_init_write(c->self, &l->hello->dial, &init, &random, &w);
    crypt_wipe(&random, sizeof(random));
    return err == IPX_OK ? hello_send(l, writer_slice(&w)) : err;
}

enum ipx_err link_hello_new(struct link *l)
{
    l->hello = mem_alloc(l->mem, sizeof(*l->hello));
    if (l->hello == NULL) {
        return IPX_NO_MEMORY;
    }
    buf_init(&l->hello->in, l->mem, HELLO_MAX);
    buf_init(&l->hello->out, l->mem, HELLO_MAX);
    return l->role == LINK_DIALLER ? hello_send_init(l) : IPX_OK;
}

void link_hello_free(struct link *l)
{
    if (l->hello != NULL) {
        buf_done(&l->hello->in);
        buf_done(&l->hello->out);
        crypt_wipe(l->hello, sizeof(*l->hello));
        mem_free(l->mem, l->hello);
        l->hello = NULL;
    }
}

/* Both ends have the keys: from here on everything is in records. */
static void hello_use_keys(struct link *l, struct noise_keys *keys, uint8_t suite)
{
    l->suite = (enum crypt_suite)suite;
    record_sealer_init(&l->sealer, l->suite, keys->send);
    record_opener_init(&l->opener, l->suite, keys->recv, l->mem);
    crypt_wipe(keys, sizeof(*keys));
    record_opener_feed(&l->opener, l->in);
    l->in = SLICE_EMPTY;
}

static void hello_on_resp(struct link *l, struct slice packet)
{
    const struct link_context *c = l->context;
    struct handshake_reply reply;
    enum ipx_err err = hello_has_mac2(packet)
                           ? IPX_MALFORMED
                           : handshake_resp_read(c->self, &l->hello->dial, packet, &reply);
    if (err != IPX_OK) {
        link_down(l, err, "the answer to the handshake is not the dialled node's");
        return;
    }
    const struct handshake_judge judge = link_judge(l);
    err = handshake_judge_resp(&judge, &l->hello->dial, &reply, &l->facts);
    if (err != IPX_OK) {
        link_down(l, err, "the handshake was refused");
    } else {
        assert(node_id_equal(&l->facts.id, &l->peer));
        l->has_facts = true;
        l->observed = reply.resp.observed;
        hello_use_keys(l, &reply.keys, reply.resp.suite);
        link_become_up(l);
    }
    crypt_wipe(&reply, sizeof(reply));
}

/* Answering */

/* Keeps what the INIT has proved and says so; a refusal ends the link when it is written. */
static enum ipx_err hello_answer(struct link *l, const struct handshake_call *call)
{
    const struct link_context *c = l->context;
    const struct handshake_judge judge = link_judge(l);
    struct handshake_resp resp;
    struct handshake_verdict verdict;
    handshake_judge_init(&judge, call, &resp, &verdict);
    resp.observed = l->observed;
    if (resp.status == HANDSHAKE_OK) {
        resp.chain = c->chain;
        resp.admitter_chain = c->admitter_chain;
    }
    uint8_t bytes[HANDSHAKE_LINK_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct handshake_random random = link_random(l);
    struct noise_keys keys;
    enum ipx_err err = handshake_resp_write(c->self, call, &resp, &random, &w, &keys);
    crypt_wipe(&random, sizeof(random));
    if (err == IPX_OK) {
        err = hello_send(l, writer_slice(&w));
    }
    if (err != IPX_OK) {
        return err;
    }
    if (resp.status != HANDSHAKE_OK) {
        crypt_wipe(&keys, sizeof(keys));
        l->is_refused = true;
        l->code = resp.status == HANDSHAKE_CLOCK ? IPX_CLOCK : IPX_REFUSED;
        l->why = "the dialler was refused";
        return IPX_OK;
    }
    l->peer = call->init.pk;
    l->has_peer = true;
    l->has_facts = verdict.has_facts;
    l->facts = verdict.facts;
    l->ticket_len = (uint16_t)call->init.ticket.len;
    if (l->ticket_len > 0) {
        memcpy(l->ticket, call->init.ticket.data, l->ticket_len);
    }
    hello_use_keys(l, &keys, resp.suite);
    return IPX_OK;
}

static void hello_on_init(struct link *l, struct slice packet)
{
    const struct handshake_self *self = l->context->self;
    uint8_t gate;
    if (packet_type_of(packet) != PACKET_INIT || hello_has_mac2(packet) ||
        !handshake_gate_find(self, packet, &gate)) {
        link_down(l, IPX_BAD_SIGNATURE, "a stranger, or one who dialled another node");
        return;
    }
    struct handshake_call call;
    enum ipx_err err = handshake_init_read(self, HANDSHAKE_LINK, packet, gate, &call);
    if (err == IPX_OK) {
        err = hello_answer(l, &call);
    }
    crypt_wipe(&call, sizeof(call));
    if (err != IPX_OK) {
        link_down(l, err, "the dialler's handshake is not valid");
        return;
    }
    sm_move(&link_state_table, &l->state, LINK_STATE_UNCONFIRMED);
}

/* Bytes */

/* Moves input to the message until it holds `want` bytes; false if the input ran out, or the link
 * went down for want of memory. */
static bool hello_gather(struct link *l, size_t want)
{
    struct buf *in = &l->hello->in;
    size_t n = IPX_MIN(want - IPX_MIN(want, in->len), l->in.len);
    if (buf_append(in, slice_of(l->in.data, n)) != IPX_OK) {
        link_down(l, IPX_NO_MEMORY, "no memory for a handshake");
        return false;
    }
    l->in = slice_of(l->in.data + n, l->in.len - n);
    return in->len >= want;
}

bool link_hello_advance(struct link *l)
{
    if (l->in.len == 0 || !hello_gather(l, HELLO_LENGTH_LEN)) {
        return false;
    }
    size_t length = load_be16(buf_slice(&l->hello->in).data);
    if (length == 0 || length > HANDSHAKE_LINK_MAX) {
        link_down(l, IPX_MALFORMED, "a handshake of impossible length");
        return true;
    }
    if (!hello_gather(l, HELLO_LENGTH_LEN + length)) {
        return false;
    }
    struct slice packet = slice_of(buf_slice(&l->hello->in).data + HELLO_LENGTH_LEN, length);
    if (l->state == LINK_STATE_DIALLING) {
        hello_on_resp(l, packet);
    } else {
        hello_on_init(l, packet);
    }
    return true;
}

size_t link_hello_output(struct link *l, uint8_t *out, size_t max)
{
    if (l->hello == NULL) {
        return 0;
    }
    struct slice s = buf_slice(&l->hello->out);
    size_t n = IPX_MIN(s.len, max);
    if (n > 0) {
        memcpy(out, s.data, n);
        buf_consume(&l->hello->out, n);
    }
    return n;
}
