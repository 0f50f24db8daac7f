/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of one DHT object: the input is a program of sessions, messages (well
 * formed, bent and raw), losses, commands and steps of time, with twelve peers that
 * answer truly or not. After each step the full invariant is asserted; at the end all
 * memory is back.
 */
#include "dht/dht.h"

#define PEERS 12
#define STEPS_MAX 400
#define SENT_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypt_keypair keys[PEERS + 1];
static struct cert_facts facts[PEERS + 1];
static struct mesh_id mesh = {{3}};

struct run {
    struct reader in;
    struct mem mem;
    struct dht d;
    uint64_t now_us;
    uint32_t handle;
    uint64_t seq; /* asked to be stored */
    struct {
        uint8_t peer, type;
        uint32_t req_id;
    } sent[SENT_MAX];
    size_t n_sent;
};

static void setup_once(void)
{
    static bool is_done = false;
    if (is_done) {
        return;
    }
    is_done = crypt_init() == IPX_OK;
    for (uint8_t i = 0; i <= PEERS; i++) {
        uint8_t seed[32] = {i, 1};
        while (crypt_keypair_from_seed(seed, &keys[i]) != IPX_OK) {
            seed[2]++;
        }
        facts[i] = (struct cert_facts){.id = keys[i].pk,
                                       .nonce = {i},
                                       .caps = CERT_ROLE_NODE,
                                       .not_after_ms = INT64_C(1) << 50};
        facts[i].pos = dht_pos_of(&mesh, facts[i].nonce, &facts[i].id);
    }
}

static struct addr addr_of(uint8_t i)
{
    static const uint8_t first[] = {10, 127, 8};
    return (struct addr){.family = ADDR_V4, .ip = {first[i % 3], 0, 0, i}, .port = 7433};
}

static struct dht_contact contact(struct run *r)
{
    uint8_t i = reader_u8(&r->in) % (PEERS + 1), bend = reader_u8(&r->in);
    struct dht_contact c = {.id = keys[i].pk, .addr = addr_of(i), .flags = bend & 1};
    memcpy(c.nonce, facts[i].nonce, 16);
    c.nonce[3] ^= (bend & 2) != 0 ? bend : 0;
    c.id.bytes[4] ^= (bend & 4) != 0 ? bend : 0;
    return c;
}

/* A message whose form is right and whose content is the input's choice. */
static struct slice make_body(struct run *r, uint8_t type, uint8_t peer, struct writer *w)
{
    struct dht_wire_msg m = {.type = type, .want = 3};
    uint8_t record[DHT_RECORD_MAX];
    struct writer rw = writer_of(record, sizeof(record));
    struct dht_record rec = {.id = keys[peer].pk, .seq = reader_u8(&r->in)};
    rec.features = reader_u8(&r->in) % 2;
    memcpy(rec.nonce, facts[peer].nonce, 16);
    m.kind = reader_u8(&r->in) % (DHT_KIND_END + 1);
    m.has_cas = (m.kind & 1) != 0 && type == DHT_STORE;
    m.observed = addr_of(peer);
    m.target = facts[reader_u8(&r->in) % (PEERS + 1)].pos;
    m.status = reader_u8(&r->in) % 8;
    m.seq = reader_u8(&r->in);
    m.n_contacts = reader_u8(&r->in) % (DHT_CONTACTS_MAX + 1);
    for (size_t i = 0; i < m.n_contacts; i++) {
        m.contacts[i] = contact(r);
    }
    if (type == DHT_VALUE || type == DHT_STORE) {
        struct dht_item item = {.kind = m.kind, .key = m.target, .seq = rec.seq};
        item.value = slice_of(&record[sizeof(record) - 8], rec.seq % 8);
        memset(record, (int)rec.features, sizeof(record));
        if (m.kind == DHT_KIND_MUTABLE || m.kind == DHT_KIND_PROVIDER) {
            dht_item_encode(&item, &keys[peer], &mesh, &rw);
        } else if (m.kind == DHT_KIND_NODE) {
            dht_record_encode(&rec, &keys[peer], &mesh, &rw);
        } else {
            writer_bytes(&rw, item.value);
        }
        m.record = writer_slice(&rw);
    }
    dht_wire_encode(&m, w);
    return writer_slice(w);
}

static void receive(struct run *r, uint8_t peer, uint8_t type, uint32_t req_id, uint8_t how)
{
    uint8_t bytes[DHT_BODY_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct addr from = addr_of(peer);
    struct dht_msg msg = {.facts = &facts[peer],
                          .addr = &from,
                          .req_id = req_id,
                          .type = type,
                          .is_early = (how & 1) != 0 && (type & 1) == 0,
                          .answer_max = (how & 2) != 0 ? how : 0};
    if ((how & 0x70) == 0x70 || type < DHT_PING || type > DHT_STORED) {
        size_t len = reader_u8(&r->in);
        msg.body = reader_bytes(&r->in, IPX_MIN(len, reader_left(&r->in)));
    } else {
        msg.body = make_body(r, type, peer, &w);
        if ((how & 0x70) == 0x60 && w.len > 0) {
            bytes[reader_u16(&r->in) % w.len] ^= reader_u8(&r->in);
        }
    }
    dht_recv(&r->d, r->now_us, &msg);
}

static void drain(struct run *r, unsigned max)
{
    struct dht_action a;
    for (unsigned i = 0; i < max && dht_poll(&r->d, &a); i++) {
        if (a.kind == DHT_ACTION_PERSIST_SEQ) {
            r->seq = a.seq;
        } else if (a.kind == DHT_ACTION_FOUND) {
            assert(a.found.n_nodes <= DHT_K && a.found.record.len <= DHT_VALUE_MAX);
        }
        if (a.kind != DHT_ACTION_SEND) {
            continue;
        }
        assert(a.send.body.len <= DHT_BODY_MAX);
        for (uint8_t p = 0; dht_type_is_request(a.send.type) && p < PEERS; p++) {
            if (node_id_equal(&keys[p].pk, &a.send.to)) {
                size_t at = r->n_sent++ % SENT_MAX;
                r->sent[at].peer = p;
                r->sent[at].type = a.send.type;
                r->sent[at].req_id = a.send.req_id;
            }
        }
    }
}

static void put_or_get(struct run *r, uint8_t peer)
{
    static const uint8_t value[DHT_IMMUTABLE_MAX + 1] = {1};
    uint8_t how = reader_u8(&r->in);
    struct dht_mutable_spec m = {.value = slice_of(value, how),
                                 .seq = how,
                                 .has_cas = (how & 1) != 0,
                                 .keep = (how & 2) != 0};
    struct dht_provide_spec p = {.key = facts[peer].pos, .seq = how, .keep = (how & 2) != 0};
    struct dht_get_spec g = {
        .kind = (uint8_t)(1 + how % 4), .n_wanted = how % 8, .key = facts[peer].pos};
    switch (how % 5) {
    case 0:
        err_ignore(dht_put_mutable(&r->d, r->now_us, &m, &r->handle), "may be full");
        break;
    case 1:
        err_ignore(
            dht_put_immutable(&r->d, r->now_us, slice_of(value, how * 5u), how > 99, &r->handle),
            "may be full");
        break;
    case 2:
        err_ignore(dht_provide(&r->d, r->now_us, &p, &r->handle), "may be full");
        break;
    case 3:
        (void)dht_withdraw(&r->d, r->now_us, DHT_KIND_PROVIDER, &p.key);
        break;
    default:
        err_ignore(dht_get(&r->d, r->now_us, &g, &r->handle), "may be full");
        break;
    }
}

static void command(struct run *r, uint8_t peer)
{
    struct dht_contact c;
    struct dht_record rec = {.features = peer};
    switch (reader_u8(&r->in) % 7) {
    case 0:
        err_ignore(dht_find(&r->d, r->now_us, &facts[peer].pos,
                            (enum lookup_mode)(reader_u8(&r->in) % 3), &r->handle),
                   "may be full");
        break;
    case 1:
        dht_find_cancel(&r->d, r->now_us, r->handle);
        break;
    case 2:
        dht_publish_self(&r->d, r->now_us, &rec);
        break;
    case 3:
        dht_on_seq_stored(&r->d, r->now_us, r->seq);
        break;
    case 4:
        c = contact(r);
        c.flags = (peer & 1) != 0 ? DHT_FLAG_NO_NONCE : 0;
        err_ignore(dht_bootstrap(&r->d, r->now_us, &c, 1), "without memory it is forgotten");
        break;
    case 5:
        put_or_get(r, peer);
        break;
    default:
        dht_join(&r->d, r->now_us);
        break;
    }
}

static void step(struct run *r)
{
    static const uint64_t times_us[] = {1000, 50000, 500000, 2500000, 400000000, 5000000000};
    uint8_t op = reader_u8(&r->in), peer = reader_u8(&r->in) % PEERS;
    struct addr a = addr_of(peer);
    size_t at = r->n_sent > 0 ? reader_u8(&r->in) % IPX_MIN(r->n_sent, SENT_MAX) : 0;
    switch (op % 9) {
    case 0:
        r->now_us += times_us[reader_u8(&r->in) % ARRAY_LEN(times_us)];
        dht_tick(&r->d, r->now_us);
        break;
    case 1:
        dht_on_session(&r->d, r->now_us, &facts[peer], &a);
        break;
    case 2:
        receive(r, peer, (uint8_t)(14 + reader_u8(&r->in) % 12), reader_u8(&r->in), op);
        break;
    case 3:
    case 4:
        if (r->n_sent > 0) {
            receive(r, r->sent[at].peer, (uint8_t)(r->sent[at].type + 1), r->sent[at].req_id, op);
        }
        break;
    case 5:
        command(r, peer);
        break;
    case 6:
        dht_on_unreachable(&r->d, r->now_us, &keys[peer].pk);
        break;
    case 7:
        dht_on_peer_gone(&r->d, r->now_us, &keys[peer].pk, (enum dht_gone)(op / 9 % 3));
        break;
    default:
        r->mem.fail_after = (op & 0x80) != 0 ? op & 3 : UINT64_MAX;
        dht_on_heard(&r->d, r->now_us, &keys[peer].pk);
        break;
    }
    if (op < 200) {
        drain(r, 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run r;
    setup_once();
    memset(&r, 0, sizeof(r));
    r.in = reader_of(slice_of(data, size));
    r.now_us = US_PER_S;
    mem_init(&r.mem, SIZE_MAX);
    struct dht_config config = {.mesh = mesh,
                                .key = &keys[PEERS],
                                .nonce = {PEERS},
                                .mem = &r.mem,
                                .table_capacity = 8,
                                .store_records_max = 4};
    if (dht_init(&r.d, r.now_us, &config) != IPX_OK) {
        return 0;
    }
    for (int i = 0; i < STEPS_MAX && reader_left(&r.in) > 0; i++) {
        step(&r);
        dht_check(&r.d);
    }
    assert(r.mem.used < 512 * 1024); /* whatever the peers did */
    dht_done(&r.d);
    assert(r.mem.used == 0);
    return 0;
}
