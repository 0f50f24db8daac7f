/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as each message of gossip and as each signed statement (the first byte chooses). What
 * decodes must encode, and what was encoded must decode to the same bytes again: there is one
 * encoding of what we understand. Items of a message that decoded all read.
 */
#include "gossip/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void items(struct slice in)
{
    struct gossip_items it;
    struct gossip_item item;
    unsigned n = 0;
    size_t len = 0;
    gossip_items_begin(&it, in);
    while (gossip_items_next(&it, &item)) {
        uint8_t again[GOSSIP_BODY_MAX];
        struct writer w = writer_of(again, sizeof(again));
        gossip_item_put(&w, &item);
        assert(!w.failed && slice_equal(writer_slice(&w), item.raw));
        len += item.raw.len;
        n++;
    }
    assert(it.left == 0 && !it.r.failed && n <= GOSSIP_ITEMS_MAX);
    assert(n == 0 || len + 1 == in.len);
}

static void message(enum gossip_type type, struct slice body)
{
    struct gossip_msg m;
    struct gossip_msg back;
    uint8_t first[GOSSIP_BODY_MAX];
    uint8_t second[GOSSIP_BODY_MAX];
    if (body.len > GOSSIP_BODY_MAX || gossip_msg_decode(type, body, &m) != IPX_OK) {
        return;
    }
    items(m.items);
    struct writer w = writer_of(first, sizeof(first));
    gossip_msg_encode(type, &m, &w);
    assert(!w.failed);
    enum ipx_err err = gossip_msg_decode(type, writer_slice(&w), &back);
    assert(err == IPX_OK);
    struct writer v = writer_of(second, sizeof(second));
    gossip_msg_encode(type, &back, &v);
    assert(slice_equal(writer_slice(&w), writer_slice(&v)));
}

/* Decodes into `out` as the n-th kind of statement and writes it again. False: refused. */
static bool statement(unsigned kind, struct slice body, struct writer *out)
{
    static const enum gossip_kind claims[] = {GOSSIP_KIND_SUSPECT, GOSSIP_KIND_LEAVE};
    struct gossip_alive alive;
    struct gossip_claim claim;
    struct gossip_ad_note note;
    struct gossip_vitals_note vitals;
    switch (kind) {
    case 0:
        if (gossip_alive_decode(body, &alive) != IPX_OK) {
            return false;
        }
        gossip_alive_encode(&alive, out);
        return true;
    case 1:
    case 2:
        if (gossip_claim_decode(claims[kind - 1], body, &claim) != IPX_OK) {
            return false;
        }
        gossip_claim_encode(claims[kind - 1], &claim, out);
        return true;
    case 3:
        if (gossip_ad_note_decode(body, &note) != IPX_OK) {
            return false;
        }
        gossip_ad_note_encode(&note, out);
        return true;
    default:
        if (gossip_vitals_note_decode(body, &vitals) != IPX_OK) {
            return false;
        }
        gossip_vitals_note_encode(&vitals, out);
        return true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t first[GOSSIP_BODY_MAX];
    uint8_t second[GOSSIP_BODY_MAX];
    if (size == 0) {
        return 0;
    }
    struct slice body = slice_of(data + 1, size - 1);
    unsigned choice = data[0] % 13;
    if (choice < 8) {
        message((enum gossip_type)(GOSSIP_TYPE_PING + choice), body);
        return 0;
    }
    struct writer w = writer_of(first, sizeof(first));
    if (statement(choice - 8, body, &w)) {
        struct writer v = writer_of(second, sizeof(second));
        bool is_read = statement(choice - 8, writer_slice(&w), &v);
        assert(!w.failed && is_read && slice_equal(writer_slice(&w), writer_slice(&v)));
    }
    return 0;
}
