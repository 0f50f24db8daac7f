/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads inside a handshake, without the cryptography around them: what is accepted is in
 * its limits, and says the same when it is written and read again. */
#include "node/handshake_payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t bytes[65536];

static void check_message(const struct handshake_message *m, const struct handshake_message *again,
                          size_t max)
{
    assert(m->is_set == again->is_set);
    if (m->is_set) {
        assert(m->body.len <= max && m->type == again->type);
        assert(m->request_id == again->request_id && slice_equal(m->body, again->body));
    }
}

static void init(struct slice in, bool is_padding_allowed)
{
    struct handshake_init i, again;
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (handshake_init_decode(in, is_padding_allowed, &i) != IPX_OK) {
        return;
    }
    assert((i.chain.len > 0) + i.has_hash + (i.ticket.len > 0) == 1);
    assert(i.ticket.len <= HANDSHAKE_TICKET_MAX);
    handshake_init_encode(&i, 0, &w);
    enum ipx_err err = handshake_init_decode(writer_slice(&w), false, &again);
    assert(!w.failed && err == IPX_OK && again.t_ms == i.t_ms && again.suites == i.suites);
    assert(node_id_equal(&again.pk, &i.pk) && slice_equal(again.chain, i.chain));
    assert(slice_equal(again.ticket, i.ticket));
    assert(slice_equal(again.admitter_chain, i.admitter_chain));
    assert(again.version_min == i.version_min && again.version_max == i.version_max);
    check_message(&i.early, &again.early, HANDSHAKE_EARLY_MAX);
}

static void resp(struct slice in)
{
    struct handshake_resp r, again;
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (handshake_resp_decode(in, &r) != IPX_OK) {
        return;
    }
    assert(r.chain.len == 0 || !r.has_hash);
    handshake_resp_encode(&r, &w);
    enum ipx_err err = handshake_resp_decode(writer_slice(&w), &again);
    assert(!w.failed && err == IPX_OK && again.status == r.status && again.suite == r.suite);
    assert(slice_equal(again.chain, r.chain) && again.version == r.version);
    assert(slice_equal(again.admitter_chain, r.admitter_chain));
    check_message(&r.answer, &again.answer, HANDSHAKE_ANSWER_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        struct slice in = slice_of(data + 1, size - 1);
        if ((data[0] & 1) != 0) {
            resp(in);
        } else {
            init(in, (data[0] & 2) != 0);
        }
    }
    return 0;
}
