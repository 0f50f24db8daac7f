/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One gossip object under a sequence of inputs taken from the fuzzer's bytes: messages of four
 * peers with raw bodies, properly signed statements with any fields, time steps, commands. The
 * invariant holds after each, actions alternate as promised, nothing is leaked.
 */
#include "gossip/gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS 5 /* number 0 is the object itself */
#define STEPS_MAX 64

static struct crypt_keypair keys[PEERS];
static uint8_t chains[PEERS][80];
static struct cert_facts facts[PEERS];
static const struct mesh_id mesh = {{7}};
static const struct addr addr = {.family = ADDR_V4, .ip = {10, 0, 0, 1}, .port = 7433};

static void set_up(void)
{
    if (facts[0].caps != 0) {
        return;
    }
    bool is_ready = crypt_init() == IPX_OK;
    assert(is_ready);
    for (unsigned i = 0; i < PEERS; i++) {
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        while (crypt_keypair_from_seed(seed, &keys[i]) != IPX_OK) {
            seed[31]++;
        }
        memset(chains[i], (int)i, sizeof(chains[i]));
        memcpy(chains[i], keys[i].pk.bytes, 32);
        facts[i].id = keys[i].pk;
        facts[i].caps = CERT_ROLE_NODE;
        facts[i].not_after_ms = INT64_MAX / 2;
        facts[i].chain_hash = crypt_hash(slice_of(chains[i], sizeof(chains[i])));
    }
}

/* What the fuzzer reads from; 0 at the end. */
struct source {
    struct reader r;
};

static unsigned take(struct source *s, unsigned n)
{
    return reader_u8(&s->r) % n;
}

static struct slice sign(struct source *s, unsigned by, unsigned about, uint8_t out[static 700])
{
    uint8_t body[512];
    struct writer b = writer_of(body, sizeof(body));
    struct writer w = writer_of(out, 700);
    struct gossip_boot boot = {take(s, 4), take(s, 2)};
    uint32_t incarnation = take(s, 4);
    enum gossip_kind kind = (enum gossip_kind)(1 + take(s, 7));
    struct slice content = SLICE_EMPTY;
    if (kind == GOSSIP_KIND_ALIVE) {
        struct gossip_alive a = {.pk = keys[about].pk, .boot = boot, .incarnation = incarnation};
        a.chain_hash = facts[about].chain_hash;
        gossip_alive_encode(&a, &b);
    } else if (kind == GOSSIP_KIND_AD || kind == GOSSIP_KIND_AD_NOTE) {
        content = slice_of("\xa0", 1);
        struct gossip_ad_note n = {
            .pk = keys[about].pk, .boot = boot, .version = 1 + incarnation, .len = 1};
        n.hash = crypt_hash(content);
        gossip_ad_note_encode(&n, &b);
    } else if (kind == GOSSIP_KIND_VITALS) {
        struct gossip_vitals_note n = {.prefix = gossip_prefix(&keys[about].pk), .boot = boot};
        n.vitals.epoch = incarnation;
        gossip_vitals_note_encode(&n, &b);
    } else {
        struct gossip_claim c = {
            .by = keys[by].pk, .about = keys[about].pk, .boot = boot, .incarnation = incarnation};
        gossip_claim_encode(kind, &c, &b);
    }
    gossip_item_sign(&w, kind, &keys[by], &mesh, writer_slice(&b), content);
    return writer_slice(&w);
}

static void give_items(struct gossip *g, uint64_t now_us, struct source *s)
{
    struct gossip_packer p;
    uint8_t body[GOSSIP_BODY_MAX];
    uint8_t item[700];
    unsigned from = 1 + take(s, PEERS - 1);
    unsigned n = 1 + take(s, 3);
    gossip_packer_init(&p, GOSSIP_ITEMS_LEN_MAX);
    for (unsigned i = 0; i < n; i++) {
        unsigned about = take(s, PEERS);
        unsigned by = take(s, 2) == 0 ? about : take(s, PEERS);
        gossip_packer_add(&p, sign(s, by, about, item));
        if (take(s, 2) == 0) {
            struct gossip_item chain = {.kind = GOSSIP_KIND_CHAIN,
                                        .body = slice_of(chains[about], sizeof(chains[about]))};
            gossip_packer_add_item(&p, &chain);
        }
    }
    enum gossip_type type = take(s, 2) == 0 ? GOSSIP_TYPE_SPREAD : GOSSIP_TYPE_PING;
    struct gossip_msg m = {.items = gossip_packer_items(&p)};
    struct writer w = writer_of(body, sizeof(body));
    gossip_msg_encode(type, &m, &w);
    gossip_recv(g, now_us, &facts[from], &addr, (uint8_t)type, 1, writer_slice(&w));
}

static void give_raw(struct gossip *g, uint64_t now_us, struct source *s)
{
    unsigned from = take(s, PEERS);
    uint8_t type = (uint8_t)(GOSSIP_TYPE_PING + take(s, 8));
    /* near the ids in use, so that answers are found */
    uint32_t req_id = g->prober.req_id - take(s, 4);
    size_t len = IPX_MIN((size_t)take(s, 256), reader_left(&s->r));
    gossip_recv(g, now_us, &facts[from], &addr, type, req_id, reader_bytes(&s->r, len));
}

static void command(struct gossip *g, uint64_t now_us, struct source *s)
{
    unsigned peer = 1 + take(s, PEERS - 1);
    struct gossip_peer p = {.id = keys[peer].pk, .addr = addr};
    struct gossip_vitals v = {.free_slots = (uint16_t)take(s, 4)};
    struct hash key = {{(uint8_t)take(s, 8)}};
    switch (take(s, 8)) {
    case 0:
        gossip_on_join(g, now_us, &p);
        return;
    case 1:
        gossip_on_link_broken(g, now_us, &p.id);
        return;
    case 2:
        gossip_set_vitals(g, now_us, &v);
        return;
    case 3:
        gossip_set_addrs(g, now_us, &addr, 1, 1);
        return;
    case 4:
        err_ignore(gossip_spread_doc(g, now_us, GOSSIP_DOC_REVOCATION, &key, slice_of("x", 1)),
                   "it may be there");
        return;
    case 5:
        gossip_bar(g, now_us, &p.id);
        return;
    case 6:
        gossip_on_clock(g, now_us, 1000000);
        return;
    default:
        gossip_leave(g, now_us);
        return;
    }
}

static void drain(struct gossip *g, uint64_t now_us, bool *is_up)
{
    struct gossip_action a;
    unsigned n = 0;
    while (gossip_poll(g, &a)) {
        unsigned i = 0;
        assert(n++ < 10000);
        switch (a.type) {
        case GOSSIP_ACTION_SEND:
            assert(a.u.send.body.len <= GOSSIP_BODY_MAX);
            assert(!node_id_equal(&a.u.send.to.id, &keys[0].pk));
            break;
        case GOSSIP_ACTION_MEMBER_UP:
        case GOSSIP_ACTION_MEMBER_SUSPECT:
        case GOSSIP_ACTION_MEMBER_DOWN:
        case GOSSIP_ACTION_AD_CHANGED:
        case GOSSIP_ACTION_VITALS_CHANGED:
            while (!node_id_equal(&keys[i].pk, &a.u.member->facts.id)) {
                i++;
            }
            assert(a.type == GOSSIP_ACTION_MEMBER_UP || is_up[i]);
            is_up[i] = a.type != GOSSIP_ACTION_MEMBER_DOWN;
            break;
        case GOSSIP_ACTION_NEED_CHAIN:
            while (!node_id_equal(&keys[i].pk, &a.u.chain.id)) {
                i++;
            }
            gossip_on_chain(g, now_us, &facts[i], a.u.chain.chain);
            break;
        case GOSSIP_ACTION_DOC:
            gossip_accept_doc(g, now_us, &a.u.doc.key, (a.u.doc.key.bytes[0] & 1) == 0);
            break;
        case GOSSIP_ACTION_FETCH_AD:
        case GOSSIP_ACTION_CLONE:
            break;
        }
    }
    gossip_check(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gossip g;
    struct mem mem;
    struct rng rng;
    bool is_up[PEERS] = {false};
    uint64_t now_us = US_PER_S;
    struct source s = {.r = reader_of(slice_of(data, size))};
    set_up();
    mem_init(&mem, 4 << 20);
    rng_init_int(&rng, 1);
    struct gossip_config config = {.self = &facts[0],
                                   .chain = slice_of(chains[0], sizeof(chains[0])),
                                   .key = &keys[0],
                                   .mesh = mesh,
                                   .boot = {1, 1},
                                   .capacity = 4,
                                   .mem = &mem,
                                   .rng = &rng,
                                   .now_us = now_us};
    enum ipx_err err = gossip_init(&g, &config);
    assert(err == IPX_OK);
    for (unsigned step = 0; step < STEPS_MAX && reader_left(&s.r) > 0; step++) {
        switch (take(&s, 4)) {
        case 0:
            give_items(&g, now_us, &s);
            break;
        case 1:
            give_raw(&g, now_us, &s);
            break;
        case 2:
            command(&g, now_us, &s);
            break;
        default:
            if (take(&s, 2) == 0 && gossip_deadline(&g) != NEVER_US) {
                now_us = IPX_MAX(now_us, gossip_deadline(&g));
            } else {
                now_us += take(&s, 64) * (US_PER_S / 4);
            }
            gossip_tick(&g, now_us);
            break;
        }
        drain(&g, now_us, is_up);
    }
    gossip_done(&g);
    assert(mem.used == 0);
    return 0;
}
