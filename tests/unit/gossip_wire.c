/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, items and statements: golden bytes, and what is refused. */
#include "gossip/wire.h"

#include "gossip/outbox.h"
#include "tests/harness.h"

#define P11 "1111111111111111"
#define P11 "1111111111111111"
#define N11 "1111111111111111111111111111111111111111111111111111111111111111"
#define N22 "2222222222222222222222222222222222222222222222222222222222222222"
#define VITALS "0004000800fa010000004000000005dc0e00000000000009"
#define SIG64 N11 N22
#define BOOT "04050606" /* keys 4 and 6 */
#define ENTRY "0000000500000000000000060000000700000005000000000000000600000008"

/* Written by hand from docs/wire/gossip.md. */
static const struct {
    enum gossip_type type;
    const char *hex;
} golden[] = {
    {GOSSIP_TYPE_PING, "a3015818" VITALS "03070502"},
    {GOSSIP_TYPE_PING, "a0"},
    {GOSSIP_TYPE_ACK, "a1015818" VITALS},
    {GOSSIP_TYPE_PING_REQ, "a1025820" N11},
    {GOSSIP_TYPE_NACK, "a0"},
    {GOSSIP_TYPE_SPREAD, "a10781820843616263"},
    {GOSSIP_TYPE_SPREAD, "a10782830141aa5840" SIG64 "8409025820" N22 "42bbcc"},
    {GOSSIP_TYPE_SPREAD, "a10781840541aa5840" SIG64 "43ddeeff"},
    {GOSSIP_TYPE_DIFF, "a10200"},
    {GOSSIP_TYPE_DIFF, "a5020104f40600081bffffffffffffffff0a5828" P11 ENTRY},
    {GOSSIP_TYPE_DIFF, "a5020104f50601081bfffffffffffffffe0a48" P11},
    {GOSSIP_TYPE_PULL, "a10249" P11 "07"},
};

static size_t unhex(const char *hex, uint8_t out[static GOSSIP_BODY_MAX])
{
    size_t len = 0;
    CHECK_OK(hex_decode(slice_text(hex), out, GOSSIP_BODY_MAX, &len));
    return len;
}

static void check_again(enum gossip_type type, const struct gossip_msg *m, struct slice in)
{
    uint8_t again[GOSSIP_BODY_MAX];
    struct writer w = writer_of(again, sizeof(again));
    gossip_msg_encode(type, m, &w);
    CHECK(!w.failed);
    CHECK_EQ(w.len, in.len);
    CHECK_MEM(again, in.data, in.len);
}

/* Cut anywhere, one byte longer, an unknown odd key, an unknown even key. */
static void check_edges(enum gossip_type type, struct slice in)
{
    uint8_t bytes[GOSSIP_BODY_MAX + 8];
    struct gossip_msg m;
    for (size_t len = 0; len < in.len; len++) {
        CHECK_EQ(gossip_msg_decode(type, slice_of(in.data, len), &m), IPX_MALFORMED);
    }
    memcpy(bytes, in.data, in.len);
    memcpy(bytes + in.len, "\x18\x63\x00", 3);
    CHECK_EQ(gossip_msg_decode(type, slice_of(bytes, in.len + 1), &m), IPX_MALFORMED);
    bytes[0]++;
    CHECK_OK(gossip_msg_decode(type, slice_of(bytes, in.len + 3), &m));
    bytes[in.len + 1] = 0x62;
    CHECK_EQ(gossip_msg_decode(type, slice_of(bytes, in.len + 3), &m), IPX_MALFORMED);
}

TEST(gossip_wire, messages)
{
    uint8_t bytes[GOSSIP_BODY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        struct gossip_msg m;
        struct slice in = slice_of(bytes, unhex(golden[i].hex, bytes));
        CHECK_OK(gossip_msg_decode(golden[i].type, in, &m));
        check_again(golden[i].type, &m, in);
        check_edges(golden[i].type, in);
    }
}

TEST(gossip_wire, fields)
{
    uint8_t bytes[GOSSIP_BODY_MAX];
    struct gossip_msg m;
    struct gossip_version v;
    CHECK_OK(gossip_msg_decode(GOSSIP_TYPE_PING, slice_of(bytes, unhex(golden[0].hex, bytes)), &m));
    CHECK(m.has_vitals && m.has_known && m.items.len == 0);
    CHECK_EQ(m.known_generation, 7);
    CHECK_EQ(m.known_incarnation, 2);
    CHECK_EQ(m.vitals.free_slots, 4);
    CHECK_EQ(m.vitals.free_cores, 8);
    CHECK_EQ(m.vitals.load_permille, 250);
    CHECK_EQ(m.vitals.flags, GOSSIP_VITALS_DRAINING);
    CHECK_EQ(m.vitals.mem_free_mib, 16384);
    CHECK_EQ(m.vitals.queue_wait_ms, 1500);
    CHECK_EQ(m.vitals.gpu_free[0], 14);
    CHECK_EQ(m.vitals.epoch, 9);
    size_t len = unhex("a5020104f40600081bffffffffffffffff0a5828" P11 ENTRY, bytes);
    CHECK_OK(gossip_msg_decode(GOSSIP_TYPE_DIFF, slice_of(bytes, len), &m));
    check_again(GOSSIP_TYPE_DIFF, &m, slice_of(bytes, len));
    check_edges(GOSSIP_TYPE_DIFF, slice_of(bytes, len));
    CHECK(m.mask == 1 && m.low == 0 && m.high == UINT64_MAX && !m.is_docs);
    struct reader r = reader_of(m.entries);
    gossip_version_read(&r, &v);
    CHECK(reader_done(&r));
    CHECK(v.prefix == UINT64_C(0x1111111111111111) && v.boot.generation == 5);
    CHECK(v.boot.nonce == 6 && v.incarnation == 7 && v.ad_version == 8 && v.ad_boot.nonce == 6);
}

TEST(gossip_wire, digest)
{
    uint8_t bytes[GOSSIP_BODY_MAX];
    uint8_t digest[GOSSIP_DIGEST_LEN] = {[0] = 1, [GOSSIP_DIGEST_LEN - 1] = 2};
    uint8_t docs[GOSSIP_DOC_DIGEST_LEN] = {[0] = 3};
    struct gossip_msg m = {.digest = slice_of(digest, sizeof(digest)),
                           .doc_digest = slice_of(docs, sizeof(docs))};
    struct gossip_msg back;
    memset(m.salt, 0x44, sizeof(m.salt));
    struct writer w = writer_of(bytes, sizeof(bytes));
    gossip_msg_encode(GOSSIP_TYPE_DIGEST, &m, &w);
    CHECK(!w.failed);
    CHECK_EQ(w.len, 1 + 2 + 16 + 1 + 3 + 512 + 1 + 2 + 64);
    CHECK_MEM(bytes, "\xa3\x02\x50\x44", 4);
    CHECK_MEM(bytes + 19, "\x04\x59\x02\x00\x01", 5);
    CHECK_MEM(bytes + 19 + 4 + 512, "\x06\x58\x40\x03", 4);
    CHECK_OK(gossip_msg_decode(GOSSIP_TYPE_DIGEST, writer_slice(&w), &back));
    CHECK(slice_equal(back.digest, m.digest) && slice_equal(back.doc_digest, m.doc_digest));
    check_edges(GOSSIP_TYPE_DIGEST, writer_slice(&w));
}

TEST(gossip_wire, refused)
{
    static const struct {
        enum gossip_type type;
        const char *hex;
    } bad[] = {
        {GOSSIP_TYPE_PING, "a20307"},     /* a pair short */
        {GOSSIP_TYPE_PING, "a205020307"}, /* keys not in order */
        {GOSSIP_TYPE_PING, "a203070307"}, /* a key twice */
        {GOSSIP_TYPE_PING, "a1031807"},   /* not the shortest form */
        {GOSSIP_TYPE_DIFF, "a5021a0000000104f40600081bffffffffffffffff0a5828" P11 ENTRY},
        {GOSSIP_TYPE_PING_REQ, "a0"},                     /* no target */
        {GOSSIP_TYPE_SPREAD, "a10780"},                   /* no items means no key */
        {GOSSIP_TYPE_SPREAD, "a107818208"},               /* chain missing */
        {GOSSIP_TYPE_SPREAD, "a107818308416100"},         /* chain of three parts */
        {GOSSIP_TYPE_SPREAD, "a10781820041aa"},           /* kind 0 */
        {GOSSIP_TYPE_SPREAD, "a10781820a41aa"},           /* kind 10 */
        {GOSSIP_TYPE_SPREAD, "a10781830141aa4111"},       /* signature of one byte */
        {GOSSIP_TYPE_DIFF, "a10201"},                     /* a difference without a list */
        {GOSSIP_TYPE_DIFF, "a5020104f5060208010a48" P11}, /* low above high */
        {GOSSIP_TYPE_DIFF, "a5020104f4060008010a48" P11}, /* half an entry */
        {GOSSIP_TYPE_PULL, "a10240"},
        {GOSSIP_TYPE_PULL, "a10248" P11},
    };
    uint8_t bytes[GOSSIP_BODY_MAX];
    struct gossip_msg m;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t len = unhex(bad[i].hex, bytes);
        if (gossip_msg_decode(bad[i].type, slice_of(bytes, len), &m) != IPX_MALFORMED) {
            CHECK_FAIL("row %zu was taken", i);
        }
    }
    /* 24 items, one more than a message holds */
    bytes[0] = 0xa1;
    bytes[1] = 0x07;
    bytes[2] = 0x98;
    bytes[3] = 24;
    for (unsigned i = 0; i < 24; i++) {
        memcpy(bytes + 4 + 4 * (size_t)i, "\x82\x08\x41\x61", 4);
    }
    CHECK_EQ(gossip_msg_decode(GOSSIP_TYPE_SPREAD, slice_of(bytes, 100), &m), IPX_MALFORMED);
}

TEST(gossip_wire, alive_with_a_coat)
{
    uint8_t in[GOSSIP_BODY_MAX];
    uint8_t out[GOSSIP_BODY_MAX];
    struct gossip_alive alive;
    struct slice s = slice_of(
        in,
        unhex("a8025820" N11 BOOT "08070a090c81460a0000011d090e5820" N22 "0f460a00000201bb", in));
    CHECK_OK(gossip_alive_decode(s, &alive));
    CHECK(alive.coat.family == ADDR_V4 && alive.coat.ip[3] == 2 && alive.coat.port == 443);
    struct writer w = writer_of(out, sizeof(out));
    gossip_alive_encode(&alive, &w);
    CHECK(slice_equal(writer_slice(&w), s));
    for (size_t len = 0; len < s.len; len++) {
        CHECK_EQ(gossip_alive_decode(slice_of(in, len), &alive), IPX_MALFORMED);
    }
}

TEST(gossip_wire, statements)
{
    uint8_t in[GOSSIP_BODY_MAX];
    uint8_t out[GOSSIP_BODY_MAX];
    struct gossip_alive alive;
    struct gossip_claim claim;
    struct gossip_ad_note note;
    struct gossip_vitals_note vitals;

    struct slice s =
        slice_of(in, unhex("a7025820" N11 BOOT "08070a090c81460a0000011d090e5820" N22, in));
    CHECK_OK(gossip_alive_decode(s, &alive));
    CHECK(alive.pk.bytes[31] == 0x11 && alive.boot.generation == 5 && alive.boot.nonce == 6);
    CHECK(alive.incarnation == 7 && alive.record_seq == 9 && alive.n_addrs == 1);
    CHECK(alive.addrs[0].port == 7433 && alive.chain_hash.bytes[0] == 0x22);
    struct writer w = writer_of(out, sizeof(out));
    gossip_alive_encode(&alive, &w);
    CHECK(slice_equal(writer_slice(&w), s));
    for (size_t len = 0; len < s.len; len++) {
        CHECK_EQ(gossip_alive_decode(slice_of(in, len), &alive), IPX_MALFORMED);
    }

    s = slice_of(in, unhex("a5025820" N22 BOOT "08070a5820" N11, in));
    CHECK_OK(gossip_claim_decode(GOSSIP_KIND_SUSPECT, s, &claim));
    CHECK(claim.about.bytes[0] == 0x22 && claim.by.bytes[0] == 0x11 && claim.incarnation == 7);
    w = writer_of(out, sizeof(out));
    gossip_claim_encode(GOSSIP_KIND_DEAD, &claim, &w);
    CHECK(slice_equal(writer_slice(&w), s));
    CHECK_EQ(gossip_claim_decode(GOSSIP_KIND_LEAVE, s, &claim), IPX_MALFORMED);

    s = slice_of(in, unhex("a4025820" N11 BOOT "0807", in));
    CHECK_OK(gossip_claim_decode(GOSSIP_KIND_LEAVE, s, &claim));
    CHECK(node_id_equal(&claim.by, &claim.about));
    CHECK_EQ(gossip_claim_decode(GOSSIP_KIND_DEAD, s, &claim), IPX_MALFORMED);
    w = writer_of(out, sizeof(out));
    gossip_claim_encode(GOSSIP_KIND_LEAVE, &claim, &w);
    CHECK(slice_equal(writer_slice(&w), s));

    s = slice_of(in, unhex("a6025820" N11 BOOT "08030a5820" N22 "0c190100", in));
    CHECK_OK(gossip_ad_note_decode(s, &note));
    CHECK(note.version == 3 && note.len == 256 && note.hash.bytes[0] == 0x22);
    w = writer_of(out, sizeof(out));
    gossip_ad_note_encode(&note, &w);
    CHECK(slice_equal(writer_slice(&w), s));
    s = slice_of(in, unhex("a6025820" N11 BOOT "08030a5820" N22 "0c191001", in));
    CHECK_EQ(gossip_ad_note_decode(s, &note), IPX_MALFORMED); /* over 4 KiB */

    s = slice_of(in, unhex("a4021b" P11 BOOT "085818" VITALS, in));
    CHECK_OK(gossip_vitals_note_decode(s, &vitals));
    CHECK_EQ(vitals.vitals.mem_free_mib, 16384);
    CHECK(vitals.prefix == UINT64_C(0x1111111111111111));
    w = writer_of(out, sizeof(out));
    gossip_vitals_note_encode(&vitals, &w);
    CHECK(slice_equal(writer_slice(&w), s));
    /* an unknown even key refuses, an unknown odd one does not */
    s = slice_of(in, unhex("a5021b" P11 BOOT "085818" VITALS "0a00", in));
    CHECK_EQ(gossip_vitals_note_decode(s, &vitals), IPX_MALFORMED);
    s = slice_of(in, unhex("a5021b" P11 BOOT "085818" VITALS "0b00", in));
    CHECK_OK(gossip_vitals_note_decode(s, &vitals));
}

/* A signature holds for its kind, its mesh and its signer only. */
TEST(gossip_wire, signatures)
{
    uint8_t seed[32] = {1};
    uint8_t out[GOSSIP_BODY_MAX];
    struct crypt_keypair key;
    struct mesh_id mesh = {{1}};
    struct mesh_id other = {{2}};
    struct gossip_item item;
    CHECK_OK(crypt_init());
    while (crypt_keypair_from_seed(seed, &key) != IPX_OK) {
        seed[1]++;
    }
    struct writer w = writer_of(out, sizeof(out));
    gossip_item_sign(&w, GOSSIP_KIND_SUSPECT, &key, &mesh, slice_text("x"), SLICE_EMPTY);
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    gossip_item_read(&r, &item);
    CHECK(cbor_done(&r) && slice_equal(item.raw, writer_slice(&w)));
    CHECK(gossip_item_verify(&item, &key.pk, &mesh));
    CHECK(!gossip_item_verify(&item, &key.pk, &other));
    item.kind = GOSSIP_KIND_DEAD;
    CHECK(!gossip_item_verify(&item, &key.pk, &mesh));
    item.kind = GOSSIP_KIND_DOC;
    CHECK(!gossip_item_verify(&item, &key.pk, &mesh));
}

/* What one input may leave behind is bounded; what does not fit is counted. */
TEST(gossip_wire, outbox)
{
    struct mem mem;
    struct gossip_outbox o;
    struct gossip_peer to = {.id = {{9}}};
    struct gossip_peer back;
    struct gossip_msg m = {.has_known = true, .known_generation = 1};
    struct slice body;
    uint8_t type;
    uint32_t req_id;
    unsigned n = 0;
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(gossip_outbox_init(&o, &mem));
    CHECK(!gossip_outbox_take(&o, &back, &type, &req_id, &body));
    while (o.n_dropped == 0) {
        gossip_outbox_put(&o, &to, GOSSIP_TYPE_PING, n++, &m);
        CHECK(n < 1000);
    }
    for (unsigned i = 0; i < n - 1; i++) {
        CHECK(gossip_outbox_take(&o, &back, &type, &req_id, &body));
        CHECK(type == GOSSIP_TYPE_PING && req_id == i && body.len == 5);
        CHECK(node_id_equal(&back.id, &to.id));
    }
    CHECK(!gossip_outbox_take(&o, &back, &type, &req_id, &body));
    gossip_outbox_put(&o, &to, GOSSIP_TYPE_ACK, 7, &m);
    CHECK(gossip_outbox_take(&o, &back, &type, &req_id, &body));
    CHECK_EQ(req_id, 7);
    gossip_outbox_done(&o, &mem);
    CHECK_EQ(mem.used, 0);
}
