/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/exec.h"
#include "exec/source_wire.h"

/* Two nodes, a (publishes) and b (reads), streams between them that can be cut, and local
 * clients whose messages are kept. */

#define LOG_MAX 20000
#define PIPES_MAX 64

struct entry {
    uint32_t handle;
    uint8_t type;
    uint8_t *bytes;
    struct slice body;
};

struct pipe {
    uint32_t at[2]; /* handles at both nodes; 0: closed there */
    int from;       /* who opened it */
};

static struct mem mem;
static struct exec *node[2];
static struct cert_facts facts[2];
static struct crypt_keypair keys[2];
static struct rng rng;
static uint64_t now_us;
static struct entry entries[LOG_MAX];
static uint32_t n_entries, next_handle;
static struct pipe pipes[PIPES_MAX];
static uint32_t n_pipes;
static uint32_t n_changed;
static bool is_cut;

static uint8_t scratch[300000];

static struct pipe *pipe_at(int n, uint32_t handle, int *ret_side)
{
    for (uint32_t i = 0; i < n_pipes; i++) {
        for (int side = 0; side < 2; side++) {
            int owner = side == 0 ? pipes[i].from : 1 - pipes[i].from;
            /* a stream to oneself: both ends are at one node */
            if (pipes[i].at[side] == handle && (owner == n || node[0] == node[1])) {
                *ret_side = side;
                return &pipes[i];
            }
        }
    }
    return NULL;
}

static void note(uint32_t handle, uint8_t type, struct slice body)
{
    CHECK(n_entries < LOG_MAX);
    struct entry *e = &entries[n_entries++];
    *e = (struct entry){.handle = handle, .type = type, .bytes = malloc(body.len + 1)};
    if (body.len > 0) {
        memcpy(e->bytes, body.data, body.len);
    }
    e->body = slice_of(e->bytes, body.len);
}

static void act_open(int n, const struct exec_action_open *a)
{
    int to = node_id_equal(&a->to, &facts[n].id) ? n : 1 - n;
    if (is_cut) {
        exec_on_stream_closed(node[n], now_us, a->handle, IPX_UNREACHABLE);
        return;
    }
    CHECK(n_pipes < PIPES_MAX && to != n);
    pipes[n_pipes++] = (struct pipe){{a->handle, ++next_handle}, n};
    exec_on_stream(node[to], now_us, &facts[n], next_handle, a->protocol);
}

static void act(int n, const struct exec_action *a)
{
    int side;
    struct pipe *p;
    if (a->kind == EXEC_STREAM_OPEN) {
        act_open(n, &a->open);
    } else if (a->kind == EXEC_STREAM_SEND) {
        p = pipe_at(n, a->send.handle, &side);
        if (p != NULL && p->at[1 - side] != 0) {
            exec_on_stream_message(node[1 - n], now_us, p->at[1 - side], a->send.type,
                                   a->send.body);
        } else if (p == NULL) {
            note(a->send.handle, a->send.type, a->send.body);
        }
    } else if (a->kind == EXEC_STREAM_CLOSE) {
        p = pipe_at(n, a->close.handle, &side);
        if (p != NULL) {
            uint32_t other = p->at[1 - side];
            p->at[0] = p->at[1] = 0;
            if (other != 0) {
                exec_on_stream_closed(node[1 - n], now_us, other, a->close.err);
            }
        } else {
            note(a->close.handle, 0, SLICE_EMPTY);
        }
    } else if (a->kind == EXEC_SOURCES_CHANGED) {
        n_changed++;
    }
}

static void turn(void)
{
    struct exec_action a;
    bool did = true;
    while (did) {
        did = false;
        for (int n = 0; n < 2; n++) {
            exec_tick(node[n], now_us);
            while (exec_poll(node[n], now_us, &a)) {
                act(n, &a);
                did = true;
            }
            exec_check(node[n]);
        }
    }
}

static void until(uint64_t until_us)
{
    turn();
    for (;;) {
        uint64_t due_us = IPX_MIN(exec_deadline(node[0]), exec_deadline(node[1]));
        if (due_us > until_us) {
            break;
        }
        now_us = IPX_MAX(now_us, due_us);
        turn();
    }
    now_us = until_us;
    turn();
}

static void cut(void)
{
    is_cut = true;
    for (uint32_t i = 0; i < n_pipes; i++) {
        struct pipe p = pipes[i];
        pipes[i].at[0] = pipes[i].at[1] = 0;
        if (p.at[0] != 0) {
            exec_on_stream_closed(node[p.from], now_us, p.at[0], IPX_CLOSED);
        }
        if (p.at[1] != 0) {
            exec_on_stream_closed(node[1 - p.from], now_us, p.at[1], IPX_CLOSED);
        }
    }
    n_pipes = 0;
    turn();
}

static struct ad *ad_of(struct exec *x)
{
    struct resource list[32];
    struct ad_builder *b = ad_builder_new(&mem);
    struct ad *ad;
    size_t n = exec_sources(x, list, ARRAY_LEN(list));
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(ad_builder_resource(b, list[i].kind));
        for (uint16_t k = 0; k < list[i].n_labels; k++) {
            CHECK_OK(ad_builder_field(b, list[i].labels[k].name, &list[i].labels[k].value));
        }
    }
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    return ad;
}

/* The ads of all, to all. */
static void gossip(void)
{
    const struct exec_vitals vitals = {.is_known = true, .n_slots = 2, .n_free = 2};
    for (int of = 0; of < 2; of++) {
        struct ad *ad = ad_of(node[of]);
        for (int to = 0; to < 2; to++) {
            exec_on_peer(node[to], now_us, &facts[of], ad, &vitals, 0);
        }
        ad_unref(ad);
    }
}

static struct exec *node_make(int n)
{
    struct exec *x;
    const struct exec_config config = {
        .key = &keys[n], .self = facts[n], .rng = &rng, .n_slots = 2};
    CHECK_OK(exec_new(&config, &mem, &x));
    return x;
}

static void begin(void)
{
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 7);
    CHECK_OK(crypt_init());
    now_us = 50 * US_PER_S;
    next_handle = 0x80000000u;
    n_pipes = n_entries = n_changed = 0;
    is_cut = false;
    for (int n = 0; n < 2; n++) {
        uint8_t seed[32] = {(uint8_t)(n + 1)};
        while (crypt_keypair_from_seed(seed, &keys[n]) != IPX_OK) {
            seed[1]++;
        }
        facts[n] = (struct cert_facts){.id = keys[n].pk, .caps = CERT_ROLE_NODE};
        snprintf(facts[n].name, sizeof(facts[n].name), n == 0 ? "scope" : "desk");
        snprintf(facts[n].lab, sizeof(facts[n].lab), n == 0 ? "astro" : "bio");
        node[n] = node_make(n);
    }
    gossip();
}

static void forget(void)
{
    for (uint32_t i = 0; i < n_entries; i++) {
        free(entries[i].bytes);
    }
    n_entries = 0;
}

static void finish(void)
{
    forget();
    exec_free(node[0]);
    exec_free(node[1]);
    CHECK_EQ(mem.used, 0);
}

/* The next message to that client: taken out of the log. */
static struct entry *take(uint32_t handle)
{
    static struct entry none;
    turn();
    for (uint32_t i = 0; i < n_entries; i++) {
        if (entries[i].handle == handle) {
            entries[i].handle = 0;
            return &entries[i];
        }
    }
    return &none;
}

static uint32_t client(int n)
{
    exec_on_source_client(node[n], now_us, ++next_handle, "ann", EXEC_RIGHT_SUBMIT);
    return next_handle;
}

static void tell(int n, uint32_t handle, uint8_t type, const struct writer *w)
{
    CHECK(!w->failed);
    exec_on_client_message(node[n], now_us, handle, type, writer_slice(w));
}

static struct exec_list list_of(const char *a, const char *b, uint8_t *bytes, size_t size)
{
    struct writer w = writer_of(bytes, size);
    cbor_put_array(&w, b != NULL ? 2 : 1);
    cbor_put_bytes(&w, slice_text(a));
    if (b != NULL) {
        cbor_put_bytes(&w, slice_text(b));
    }
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    return exec_list_read(&r, 8, 1024);
}

static uint32_t publish_with(struct source_publish m)
{
    uint32_t h = client(0);
    struct writer w = writer_of(scratch, sizeof(scratch));
    m.framing = m.framing != 0 ? m.framing : SOURCE_FRAMING_LINES;
    source_publish_encode(&m, &w);
    tell(0, h, SOURCE_MSG_PUBLISH, &w);
    turn();
    gossip();
    return h;
}

static uint32_t publish(const char *name)
{
    return publish_with((struct source_publish){.name = slice_text(name)});
}

/* Frames "first", "first+1" ..; `len` > 0: padded to that. */
static void frames(uint32_t h, uint64_t first, uint32_t n, size_t len)
{
    static uint8_t raw[260000], pad[200000];
    struct writer rw = writer_of(raw, sizeof(raw)), w = writer_of(scratch, sizeof(scratch));
    for (uint32_t i = 0; i < n; i++) {
        int digits = snprintf((char *)pad, sizeof(pad), "%llu", (unsigned long long)(first + i));
        source_frame_encode(&(struct source_frame){(int64_t)(first + i) * 1000,
                                                   slice_of(pad, len > 0 ? len : (size_t)digits)},
                            &rw);
    }
    source_frames_encode(&(struct source_frames){.first = first, .n = n, .raw = writer_slice(&rw)},
                         &w);
    tell(0, h, SOURCE_MSG_FRAMES, &w);
}

/* As many, in pieces that a small ring gives credit for. */
static void frames_in_turns(uint32_t h, uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 5) {
        frames(h, first + i, IPX_MIN(n - i, 5), 0);
        turn();
    }
}

static uint32_t tap(struct source_tap m, const char *name)
{
    uint32_t h = client(1);
    struct writer w = writer_of(scratch, sizeof(scratch));
    m.name = slice_text(name);
    m.from = m.from != 0 ? m.from : SOURCE_FROM_ALL;
    m.policy = m.policy != 0 ? m.policy : SOURCE_POLICY_BLOCK;
    m.credit.bytes = m.credit.bytes != 0 ? m.credit.bytes : 1 << 30;
    m.credit.frames = m.credit.frames != 0 ? m.credit.frames : 1 << 30;
    source_tap_encode(&m, &w);
    tell(1, h, SOURCE_MSG_TAP, &w);
    turn();
    return h;
}

static void credit(uint32_t h, uint64_t bytes, uint64_t n)
{
    struct writer w = writer_of(scratch, sizeof(scratch));
    source_credit_encode(&(struct source_credit){bytes, n}, &w);
    tell(1, h, SOURCE_MSG_TAP_CREDIT, &w);
    turn();
}

/* All that came for a tap, as text: "O" opened, "3-5" frames, "g1-2e" a gap, "h" a heartbeat,
 * "E12" the end, "!3" an error with its exit code, "." closed. */
static const char *heard(uint32_t h)
{
    static char text[100000];
    size_t at = 0;
    text[0] = 0;
    for (struct entry *e = take(h); e->bytes != NULL; e = take(h)) {
        struct source_frames f;
        struct source_gap g;
        struct source_opened o;
        struct source_end end;
        struct exec_error err;
        char *to = text + at;
        size_t left = sizeof(text) - at;
        CHECK(left > 100);
        if (e->type == SOURCE_MSG_OPENED) {
            CHECK_OK(source_opened_decode(e->body, &o));
            snprintf(to, left, "O ");
        } else if (e->type == SOURCE_MSG_FRAMES) {
            CHECK_OK(source_frames_decode(e->body, &f));
            snprintf(to, left, "%llu-%llu ", (unsigned long long)f.first,
                     (unsigned long long)(f.first + f.n - 1));
            struct cbor_reader it = source_frames_begin(&f);
            for (uint32_t i = 0; i < f.n; i++) {
                struct source_frame frame = source_frame_next(&it);
                char want[24];
                int n = snprintf(want, sizeof(want), "%llu", (unsigned long long)(f.first + i));
                CHECK(frame.bytes.len >= (size_t)n);
                CHECK_MEM(frame.bytes.data, want, (size_t)n);
                CHECK_EQ(frame.time_us, (int64_t)(f.first + i) * 1000);
            }
        } else if (e->type == SOURCE_MSG_GAP) {
            CHECK_OK(source_gap_decode(e->body, &g));
            snprintf(to, left, "g%llu-%llu%c ", (unsigned long long)g.first,
                     (unsigned long long)g.last, source_gap_name(g.reason)[1]);
        } else if (e->type == SOURCE_MSG_HEARTBEAT) {
            snprintf(to, left, "h ");
        } else if (e->type == SOURCE_MSG_END) {
            CHECK_OK(source_end_decode(e->body, &end));
            snprintf(to, left, "E%u ", end.err);
        } else if (e->type == SOURCE_MSG_ERROR) {
            CHECK_OK(exec_error_decode(e->body, &err));
            snprintf(to, left, "!%u ", err.exit_code);
        } else {
            CHECK_EQ(e->type, 0);
            snprintf(to, left, ".");
        }
        at += strlen(to);
    }
    return text;
}

TEST(exec_source, published_in_the_ad)
{
    uint8_t list[128];
    struct resource found[4];
    begin();
    uint32_t h = publish_with((struct source_publish){
        .name = slice_text("cam0"),
        .kind = slice_text("camera"),
        .rate_milli = 25000,
        .size = 8 << 20,
        .labels = list_of("site=\"roof top\"", "gain=1.5", list, sizeof(list))});
    CHECK_EQ(take(h)->type, SOURCE_MSG_PUBLISHED);
    CHECK_EQ(take(h)->type, SOURCE_MSG_CREDIT);
    CHECK_EQ(n_changed, 1);
    CHECK_EQ(exec_sources(node[0], found, 4), 1);
    struct ad *ad = ad_of(node[0]);
    char text[512] = {0};
    struct writer w = writer_of(text, sizeof(text) - 1);
    ad_text_print(ad, &w);
    ad_unref(ad);
    CHECK_STR(text, "+source gain=1.5; kind=\"camera\"; live=true; name=\"cam0\"; rate=25Hz; "
                    "replay=10min; site=\"roof top\"; size=8MiB\n");
    exec_on_client_closed(node[0], now_us, h);
    turn();
    CHECK_EQ(n_changed, 2);
    CHECK_EQ(exec_sources(node[0], found, 4), 0);
    finish();
}

TEST(exec_source, what_cannot_be_published)
{
    static const struct {
        const char *name, *label;
        enum source_framing framing;
        bool no_cap;
    } cases[] = {
        {"", NULL, 0, false},         {"a/b", NULL, 0, false},
        {"a b", NULL, 0, false},      {"there", NULL, 0, false},
        {"x", "name=3", 0, false},    {"x", "noequals", 0, false},
        {"x", "s=[\"a\"]", 0, false}, {"x", "A=3", 0, false},
        {"x", NULL, 0, true},         {"x", NULL, SOURCE_FRAMING_SIZE, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t list[128];
        begin();
        publish("there");
        if (cases[i].no_cap) {
            struct cert_facts f = facts[0];
            f.caps = CERT_ROLE_USER;
            exec_set_self(node[0], &f);
        }
        struct source_publish m = {.name = slice_text(cases[i].name), .framing = cases[i].framing};
        if (cases[i].label != NULL) {
            m.labels = list_of(cases[i].label, NULL, list, sizeof(list));
        }
        uint32_t h = publish_with(m);
        CHECK_STR(heard(h), "!1 .");
        CHECK_EQ(n_changed, 1);
        finish();
    }
}

TEST(exec_source, names)
{
    begin();
    publish("cam0");
    CHECK_STR(heard(tap((struct source_tap){0}, "cam0")), "O ");
    CHECK_STR(heard(tap((struct source_tap){0}, "astro/cam0")), "O ");
    CHECK_STR(heard(tap((struct source_tap){0}, "astro/cam0@scope")), "O ");
    CHECK_STR(heard(tap((struct source_tap){0}, "bio/cam0")), "!3 .");
    CHECK_STR(heard(tap((struct source_tap){0}, "cam0@desk")), "!3 .");
    CHECK_STR(heard(tap((struct source_tap){0}, "cam1")), "!3 .");
    finish();
}

TEST(exec_source, where_to_begin)
{
    static const struct {
        struct source_tap m;
        const char *want;
    } cases[] = {
        {{.from = SOURCE_FROM_ALL}, "O 0-9 "},
        {{.from = SOURCE_FROM_LAST}, "O 9-9 "},
        {{.from = SOURCE_FROM_NEW}, "O "},
        {{.from = SOURCE_FROM_SEQ, .value = 7}, "O 7-9 "},
        {{.from = SOURCE_FROM_SEQ, .value = 70}, "O "},
        {{.from = SOURCE_FROM_AGO, .value = 4500000}, "O 6-9 "},
        {{.from = SOURCE_FROM_AGO, .value = INT64_MAX}, "O 0-9 "},
        {{.from = SOURCE_FROM_TIME, .value = 8000}, "O 8-9 "},
    };
    begin();
    uint32_t h = publish("wx");
    for (uint64_t i = 0; i < 10; i++) {
        frames(h, i, 1, 0);
        until(now_us + US_PER_S);
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(heard(tap(cases[i].m, "wx")), cases[i].want);
    }
    finish();
}

TEST(exec_source, frames_come_as_queued_and_then_the_end)
{
    begin();
    uint32_t h = publish("wx"), t = tap((struct source_tap){0}, "wx");
    frames(h, 0, 100, 64);
    frames(h, 100, 100, 64);
    CHECK_STR(heard(t), "O 0-199 "); /* what was there at once is one message */
    until(now_us + 5 * US_PER_S);
    CHECK_STR(heard(t), "h h "); /* each 2 s while idle */
    frames(h, 200, 1, 0);
    exec_on_client_closed(node[0], now_us, h);
    CHECK_STR(heard(t), "200-200 E12 .");
    CHECK_STR(heard(tap((struct source_tap){0}, "wx")), "!3 ."); /* not any more */
    finish();
}

TEST(exec_source, credit_and_the_three_policies)
{
    begin();
    uint32_t h = publish("wx");
    uint32_t all = tap((struct source_tap){0}, "wx");
    uint32_t few = tap((struct source_tap){.credit = {1 << 20, 3}}, "wx");
    uint32_t old =
        tap((struct source_tap){.policy = SOURCE_POLICY_DROP_OLD, .credit = {1, 1}}, "wx");
    uint32_t two = tap((struct source_tap){.policy = SOURCE_POLICY_SAMPLE, .sample = 2}, "wx");
    frames(h, 0, 1000, 0);
    CHECK_STR(heard(all), "O 0-999 ");
    CHECK_STR(heard(few), "O 0-2 ");
    CHECK_STR(heard(old), "O 0-0 ");
    CHECK_STR(heard(two), "O g0-998a 999-999 ");
    credit(few, 1 << 20, 5);
    CHECK_STR(heard(few), "3-4 ");
    frames(h, 1000, 10, 0);
    CHECK_STR(heard(two), "");
    until(now_us + US_PER_S / 2);
    CHECK_STR(heard(two), "g1000-1008a 1009-1009 ");
    credit(old, 1 << 20, 1 << 20);
    CHECK_STR(heard(old), "g1-753l 754-1009 "); /* the newest 256 */
    finish();
}

TEST(exec_source, block_holds_the_publisher_and_loses_nothing)
{
    uint64_t next = 0, told = 0, taken = 0;
    struct source_credit c;
    begin();
    uint32_t h =
        publish_with((struct source_publish){.name = slice_text("wx"), .ring_bytes = 1 << 20});
    uint32_t t = tap((struct source_tap){.credit = {1, 1}}, "wx");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) { /* a publisher sends while it has credit */
            for (struct entry *e = take(h); e->bytes != NULL; e = take(h)) {
                if (e->type == SOURCE_MSG_CREDIT) {
                    CHECK_OK(source_credit_decode(e->body, &c));
                    CHECK(c.bytes >= told);
                    told = c.bytes;
                }
            }
            if (taken >= told) {
                break;
            }
            frames(h, next, 10, 1000);
            next += 10;
            taken += 10 * 1008;
        }
        CHECK(taken >= told); /* held */
        CHECK(next * 1000 < (1 << 20) && next >= 500);
        if (round == 0) {
            credit(t, UINT64_MAX / 2, UINT64_MAX / 2);
            struct entry *e = take(t);
            uint64_t want = 0;
            for (; e->bytes != NULL; e = take(t)) {
                struct source_frames f;
                CHECK(e->type != SOURCE_MSG_GAP);
                if (e->type == SOURCE_MSG_FRAMES) {
                    CHECK_OK(source_frames_decode(e->body, &f));
                    CHECK_EQ(f.first, want);
                    want += f.n;
                }
            }
            CHECK_EQ(want, next);
            break;
        }
    }
    finish();
}

TEST(exec_source, evicted_frames_are_a_gap)
{
    begin();
    uint32_t h =
        publish_with((struct source_publish){.name = slice_text("wx"), .ring_frames = 100});
    frames_in_turns(h, 0, 250);
    CHECK_STR(heard(tap((struct source_tap){.from = SOURCE_FROM_SEQ, .value = 20}, "wx")),
              "O g20-149v 150-249 ");
    finish();
}

TEST(exec_source, a_tap_survives_a_broken_link)
{
    begin();
    uint32_t h =
        publish_with((struct source_publish){.name = slice_text("wx"), .ring_frames = 100});
    uint32_t t = tap((struct source_tap){.credit = {1 << 20, 400}}, "wx");
    frames(h, 0, 10, 0);
    CHECK_STR(heard(t), "O 0-9 ");
    cut();
    frames(h, 10, 5, 0);
    until(now_us + 3 * US_PER_S);
    CHECK_STR(heard(t), "");
    is_cut = false;
    until(now_us + 3 * US_PER_S);
    CHECK_STR(heard(t), "10-14 h ");
    cut(); /* longer than the ring can bridge */
    frames_in_turns(h, 15, 200);
    is_cut = false;
    until(now_us + US_PER_S);
    CHECK_STR(heard(t), "g15-114v 115-214 ");
    frames_in_turns(h, 215, 300); /* the credit is the client's, whatever the streams did */
    const char *text = heard(t);
    CHECK(strlen(text) > 0 && strstr(text, "g") == NULL);
    CHECK_STR(text + strlen(text) - 8, "495-499 "); /* of 400 in all 115 had come */
    finish();
}

TEST(exec_source, a_publisher_that_comes_back_is_another_epoch)
{
    struct source_opened o;
    begin();
    uint32_t h = publish("wx"), t = tap((struct source_tap){0}, "wx");
    frames(h, 0, 10, 0);
    turn();
    CHECK_OK(source_opened_decode(take(t)->body, &o));
    uint64_t epoch = o.epoch;
    CHECK_STR(heard(t), "0-9 ");
    cut(); /* the node of the publisher dies and is started again, without the source at first */
    exec_free(node[0]);
    node[0] = node_make(0);
    gossip();
    is_cut = false;
    until(now_us + 5 * US_PER_S);
    CHECK_STR(heard(t), "");
    h = publish("wx");
    frames(h, 0, 3, 0);
    until(now_us + 3 * US_PER_S);
    CHECK_OK(source_opened_decode(take(t)->body, &o));
    CHECK(o.epoch > epoch);
    CHECK_EQ(o.next, 0);
    CHECK_STR(heard(t), "0-2 h ");
    cut();
    until(now_us + 40 * US_PER_S); /* and once more, for good */
    CHECK_STR(heard(t), "E27 .");
    finish();
}

TEST(exec_source, a_reader_that_goes_lets_the_publisher_go_on)
{
    begin();
    uint32_t h =
        publish_with((struct source_publish){.name = slice_text("wx"), .ring_bytes = 100000});
    uint32_t t = tap((struct source_tap){.credit = {1, 1}}, "wx");
    frames(h, 0, 20, 1000);
    turn();
    while (take(h)->bytes != NULL) {
    }
    frames(h, 20, 30, 1000);
    turn();
    exec_on_client_closed(node[1], now_us, t);
    turn();
    struct entry *e = take(h);
    CHECK_EQ(e->type, SOURCE_MSG_CREDIT);
    /* too much from a publisher ends it */
    for (uint64_t i = 0; i < 60; i++) {
        frames(h, 50 + i * 100, 100, 1000);
    }
    bool was_ended = false;
    for (e = take(h); e->bytes != NULL; e = take(h)) {
        was_ended = was_ended || e->type == SOURCE_MSG_ERROR;
    }
    CHECK(was_ended);
    finish();
}

TEST(exec_source, hostile_bytes)
{
    begin();
    uint32_t h = client(1);
    struct writer w = writer_of(scratch, sizeof(scratch));
    writer_u8(&w, 0xff);
    tell(1, h, SOURCE_MSG_TAP, &w);
    CHECK_STR(heard(h), "!1 .");
    h = client(1);
    tell(1, h, 5, &w);
    CHECK_STR(heard(h), "!1 .");
    exec_on_source_client(node[1], now_us, ++next_handle, "bob", 0);
    h = next_handle;
    tell(1, h, SOURCE_MSG_TAP, &w);
    CHECK_STR(heard(h), "!1 .");
    exec_on_stream(node[0], now_us, &facts[1], ++next_handle, 3);
    h = next_handle;
    exec_on_stream_message(node[0], now_us, h, SOURCE_MSG_TAP, writer_slice(&w));
    turn();
    struct entry *e = take(h);
    CHECK_EQ(e->type, SOURCE_MSG_END);
    CHECK_EQ(take(h)->type, 0);
    finish();
}
