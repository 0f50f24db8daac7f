/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put and get in a DHT of N processes, each one DHT object on a UDP socket of its own on loopback:
 * the figures of goals.md beside OpenDHT. A datagram is sealed and opened as a session's is; who
 * it is from is known to all beforehand, so no handshake is measured. usage: dht_bench [N [OPS]]
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crypt.h"
#include "dht/dht.h"
#include "dht/values.h"

#define NODES_MAX 256
#define VALUE_LEN 200
#define HEAD_LEN 10 /* from u16, type u8, 0 u8, request id u32, answer room u16 */
#define SETTLE_US (3 * US_PER_S)
#define LIMIT_US (20 * US_PER_S)

struct peer {
    struct crypt_keypair key;
    struct cert_facts facts;
    struct addr addr;
};

static struct peer peers[NODES_MAX];
static int sockets[NODES_MAX];
static unsigned n_nodes;
static struct mesh_id mesh = {{5}};
static const uint8_t session_key[32] = {6};

struct node {
    unsigned i;
    struct dht d;
    struct mem mem;
    uint64_t counter;
    bool is_strange[NODES_MAX]; /* no datagram of it yet */
    uint32_t handle;            /* of the last answer */
    enum ipx_err status;
    size_t value_len;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000;
}

static void peer_make(unsigned i)
{
    struct peer *p = &peers[i];
    uint8_t seed[32] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
    while (crypt_keypair_from_seed(seed, &p->key) != IPX_OK) {
        seed[3]++;
    }
    p->facts = (struct cert_facts){.id = p->key.pk,
                                   .nonce = {(uint8_t)i, (uint8_t)(i >> 8)},
                                   .caps = CERT_ROLE_NODE,
                                   .not_after_ms = INT64_C(1) << 50,
                                   .is_plain = true};
    p->facts.pos = dht_pos_of(&mesh, p->facts.nonce, &p->facts.id);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sockets[i] < 0 || bind(sockets[i], (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        getsockname(sockets[i], (struct sockaddr *)&sa, &len) != 0) {
        perror("dht_bench: socket");
        exit(1);
    }
    p->addr = (struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = ntohs(sa.sin_port)};
}

static void send_to(struct node *n, const struct dht_action *a)
{
    uint8_t plain[HEAD_LEN + DHT_BODY_MAX], sealed[8 + sizeof(plain) + CRYPT_TAG_LEN];
    unsigned to = 0;
    while (to < n_nodes && !node_id_equal(&peers[to].key.pk, &a->send.to)) {
        to++;
    }
    if (to == n_nodes) {
        return;
    }
    store_be16(plain, (uint16_t)n->i);
    plain[2] = a->send.type;
    plain[3] = 0;
    store_be32(plain + 4, a->send.req_id);
    store_be16(plain + 8, 0);
    memcpy(plain + HEAD_LEN, a->send.body.data, a->send.body.len);
    size_t len = HEAD_LEN + a->send.body.len;
    uint8_t nonce[12] = {0};
    store_be64(nonce, (uint64_t)n->i << 32 | n->counter++);
    memcpy(sealed, nonce, 8);
    crypt_seal(CRYPT_SUITE_CHACHA20, session_key, nonce, SLICE_EMPTY, slice_of(plain, len),
               sealed + 8);
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(peers[to].addr.port)};
    (void)!sendto(sockets[n->i], sealed, 8 + len + CRYPT_TAG_LEN, 0, (struct sockaddr *)&sa,
                  sizeof(sa));
}

static void drain(struct node *n)
{
    struct dht_action a;
    while (dht_poll(&n->d, &a)) {
        if (a.kind == DHT_ACTION_SEND) {
            send_to(n, &a);
        } else if (a.kind == DHT_ACTION_FOUND) {
            n->handle = a.found.handle;
            n->status = a.found.status;
            n->value_len = a.found.record.len;
        } else if (a.kind == DHT_ACTION_STORED) {
            n->handle = a.stored.handle;
            n->status = a.stored.status;
        } else if (a.kind == DHT_ACTION_PERSIST_SEQ) {
            dht_on_seq_stored(&n->d, now_us(), a.seq);
        }
    }
}

static void receive(struct node *n)
{
    uint8_t sealed[2048], plain[2048];
    ssize_t len = recv(sockets[n->i], sealed, sizeof(sealed), MSG_DONTWAIT);
    uint8_t nonce[12] = {0};
    if (len < 8 + HEAD_LEN + CRYPT_TAG_LEN) {
        return;
    }
    memcpy(nonce, sealed, 8);
    if (crypt_open(CRYPT_SUITE_CHACHA20, session_key, nonce, SLICE_EMPTY,
                   slice_of(sealed + 8, (size_t)len - 8), plain) != IPX_OK) {
        return;
    }
    unsigned from = load_be16(plain);
    uint64_t now = now_us();
    if (n->is_strange[from]) {
        n->is_strange[from] = false;
        dht_on_session(&n->d, now, &peers[from].facts, &peers[from].addr);
    }
    struct dht_msg msg = {
        .facts = &peers[from].facts,
        .addr = &peers[from].addr,
        .req_id = load_be32(plain + 4),
        .type = plain[2],
        .body = slice_of(plain + HEAD_LEN, (size_t)len - 8 - HEAD_LEN - CRYPT_TAG_LEN)};
    dht_recv(&n->d, now, &msg);
}

/* One turn: until something comes or is due, at most until `end_us`. */
static void turn(struct node *n, uint64_t end_us)
{
    uint64_t now = now_us(), due = IPX_MIN(dht_deadline(&n->d), end_us);
    struct pollfd p = {.fd = sockets[n->i], .events = POLLIN};
    struct timespec wait = {0};
    if (due > now) {
        wait.tv_sec = (time_t)((due - now) / US_PER_S);
        wait.tv_nsec = (long)((due - now) % US_PER_S * 1000);
    }
    if (ppoll(&p, 1, &wait, NULL) > 0) {
        receive(n);
    }
    now = now_us();
    if (dht_deadline(&n->d) <= now) {
        dht_tick(&n->d, now);
    }
    drain(n);
}

static void start(struct node *n, unsigned i)
{
    struct dht_config config = {.mesh = mesh, .key = &peers[i].key, .mem = &n->mem};
    n->i = i;
    mem_init(&n->mem, SIZE_MAX);
    memset(n->is_strange, true, sizeof(n->is_strange));
    memcpy(config.nonce, peers[i].facts.nonce, sizeof(config.nonce));
    config.seed[0] = (uint8_t)i;
    enum ipx_err err = dht_init(&n->d, now_us(), &config);
    assert(err == IPX_OK);
    dht_on_clock(&n->d, now_us(), wall_ms());
    struct dht_contact first = {.id = peers[0].key.pk, .addr = peers[0].addr};
    memcpy(first.nonce, peers[0].facts.nonce, sizeof(first.nonce));
    if (i > 0) {
        err = dht_bootstrap(&n->d, now_us(), &first, 1);
        assert(err == IPX_OK);
    }
    dht_join(&n->d, now_us());
    drain(n);
}

static void serve(unsigned i)
{
    static struct node n;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start(&n, i);
    for (;;) {
        turn(&n, UINT64_MAX);
    }
}

static void run_for(struct node *a, struct node *b, uint64_t us)
{
    for (uint64_t end = now_us() + us; now_us() < end;) {
        turn(a, now_us() + 1000);
        turn(b, now_us() + 1000);
    }
}

/* Until the answer to `handle`; microseconds since `begin`, 0: it failed. */
static uint64_t wait_for(struct node *n, uint32_t handle, uint64_t begin)
{
    while (n->handle != handle && now_us() < begin + LIMIT_US) {
        turn(n, begin + LIMIT_US);
    }
    return n->handle == handle && n->status == IPX_OK ? now_us() - begin : 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *what, uint64_t *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    if (n > 0) {
        uint64_t p50_us = v[n / 2], p99_us = v[n * 99 / 100];
        printf("ipx DHT, %u processes, %s p50: %.3f ms\n", n_nodes, what, (double)p50_us / 1e3);
        printf("ipx DHT, %u processes, %s p99: %.3f ms\n", n_nodes, what, (double)p99_us / 1e3);
    }
}

/* Values of 200 bytes: put by one, got by the other. Returns how many operations failed. */
static unsigned measure(struct node *putter, struct node *getter, unsigned n_ops)
{
    uint64_t *puts = calloc(n_ops, sizeof(*puts)), *gets = calloc(n_ops, sizeof(*gets));
    unsigned n_puts = 0, n_gets = 0;
    for (unsigned i = 0; puts != NULL && gets != NULL && i < n_ops; i++) {
        uint8_t value[VALUE_LEN] = {(uint8_t)i, (uint8_t)(i >> 8)};
        struct slice bytes = slice_of(value, sizeof(value));
        struct dht_get_spec spec = {.kind = DHT_KIND_IMMUTABLE, .key = dht_immutable_key(bytes)};
        uint32_t handle;
        uint64_t begin = now_us();
        if (dht_put_immutable(&putter->d, begin, bytes, false, &handle) == IPX_OK) {
            drain(putter);
            puts[n_puts] = wait_for(putter, handle, begin);
            n_puts += puts[n_puts] > 0;
        }
        begin = now_us();
        if (dht_get(&getter->d, begin, &spec, &handle) == IPX_OK) {
            drain(getter);
            gets[n_gets] = wait_for(getter, handle, begin);
            n_gets += gets[n_gets] > 0 && getter->value_len >= VALUE_LEN;
        }
        run_for(putter, getter, 2000);
    }
    print("put done", puts, n_puts);
    print("get done", gets, n_gets);
    free(puts);
    free(gets);
    return 2 * n_ops - n_puts - n_gets;
}

int main(int argc, char **argv)
{
    static struct node a, b;
    n_nodes = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 32;
    unsigned n_ops = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 200;
    if (n_nodes < 4 || n_nodes > NODES_MAX || n_ops < 1 || crypt_init() != IPX_OK) {
        fprintf(stderr, "usage: dht_bench [NODES (4 to %d) [OPERATIONS]]\n", NODES_MAX);
        return 2;
    }
    for (unsigned i = 0; i < n_nodes; i++) {
        peer_make(i);
    }
    for (unsigned i = 0; i < n_nodes - 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            serve(i);
        } else if (pid < 0) {
            perror("dht_bench: fork");
            return 1;
        }
    }
    start(&a, n_nodes - 2);
    start(&b, n_nodes - 1);
    run_for(&a, &b, SETTLE_US);
    printf("ipx DHT, %u processes, members in the putter's table: %zu nodes\n", n_nodes,
           dht_n_members(&a.d));
    unsigned n_failed = measure(&a, &b, n_ops);
    printf("ipx DHT, %u processes, operations failed: %u ops\n", n_nodes, n_failed);
    return n_failed == 0 ? 0 : 1; /* the processes end with this one */
}
