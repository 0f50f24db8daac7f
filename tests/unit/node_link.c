/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "tests/link_steps.h"

static struct lf f;

TEST(node_link, comes_up_and_carries_streams_at_any_segmentation)
{
    static const size_t segments[] = {1, 2, 7, 0, 4096, LF_PIPE_MAX};
    for (size_t k = 0; k < ARRAY_LEN(segments); k++) {
        lf_init(&f, k);
        lf_connect(&f, &f.fx.ada.pk);
        CHECK(link_mux(f.ends[1].link) == NULL);
        uint32_t early = lf_open(&f, 0); /* waits for the handshake */
        lf_send(&f, 0, early, 5000);
        lf_run(&f, segments[k]);
        CHECK_EQ(f.ends[0].n_up, 1);
        CHECK_EQ(f.ends[1].n_up, 1);
        CHECK_STR(link_facts(f.ends[0].link)->name, "ada");
        CHECK_STR(link_facts(f.ends[1].link)->name, "bob");
        CHECK(node_id_equal(link_peer(f.ends[1].link), &f.fx.bob.pk));
        CHECK_EQ(link_observed(f.ends[0].link)->port, 4000);
        CHECK_EQ(f.ends[1].n_data, 5000);
        bool has_aes = crypt_suite_available(CRYPT_SUITE_AES256GCM);
        CHECK_EQ(link_suite(f.ends[0].link),
                 has_aes ? CRYPT_SUITE_AES256GCM : CRYPT_SUITE_CHACHA20);
        CHECK_EQ(link_suite(f.ends[1].link), link_suite(f.ends[0].link));
        uint32_t back = lf_open(&f, 1);
        lf_send(&f, 1, back, 150000);
        mux_finish(link_mux(f.ends[1].link), back);
        mux_finish(link_mux(f.ends[0].link), early);
        lf_run(&f, segments[k]);
        CHECK_EQ(f.ends[0].n_data, 150000);
        CHECK_EQ(f.ends[0].n_finished, 1);
        CHECK_EQ(f.ends[1].n_finished, 1);
        lf_done(&f);
    }
}

TEST(node_link, suite_is_chacha_where_one_has_no_aes)
{
    for (int i = 0; i < 2; i++) {
        lf_init(&f, 1);
        f.hosts[i].self.suites = UINT32_C(1) << CRYPT_SUITE_CHACHA20;
        lf_connect(&f, &f.fx.ada.pk);
        lf_run(&f, 0);
        CHECK_EQ(f.ends[0].n_up, 1);
        CHECK_EQ(link_suite(f.ends[0].link), CRYPT_SUITE_CHACHA20);
        CHECK_EQ(link_suite(f.ends[1].link), CRYPT_SUITE_CHACHA20);
        lf_done(&f);
    }
}

/* Handshakes that must not come up; each says what both ends learn. */

static void dial_other(void)
{
    lf_connect(&f, &f.fx.eve.pk); /* dialled eve, ada answers */
}
static void other_gate(void)
{
    static const uint8_t gate[1][32] = {{8}};
    struct handshake_self_options options = {
        .key = &f.fx.bob, .mesh = &f.fx.mesh.mesh, .gates = gate, .n_gates = 1};
    handshake_self_init(&f.hosts[0].self, &options);
    lf_connect(&f, &f.fx.ada.pk);
}
static void revoked(void)
{
    const struct revoke what = {.what = REVOKE_KEY, .is_by_root = true, .key = f.fx.bob.pk};
    CHECK_OK(chains_revoke(&f.hosts[1].chains, &what, slice_text("r"), 0));
    lf_connect(&f, &f.fx.ada.pk);
}
static void revoked_answerer(void)
{
    const struct revoke what = {.what = REVOKE_KEY, .is_by_root = true, .key = f.fx.ada.pk};
    CHECK_OK(chains_revoke(&f.hosts[0].chains, &what, slice_text("r"), 0));
    lf_connect(&f, &f.fx.ada.pk);
}
static void other_chain(void)
{
    f.hosts[0].context.chain = f.fx.ada_chain; /* bob shows ada's */
    f.hosts[0].context.admitter_chain = SLICE_EMPTY;
    lf_connect(&f, &f.fx.ada.pk);
}
static void no_admitter(void)
{
    f.hosts[0].context.admitter_chain = SLICE_EMPTY;
    lf_connect(&f, &f.fx.ada.pk);
}
static void expired(void)
{
    f.hosts[0].context.wall_offset_ms += 60 * FX_DAY;
    f.hosts[1].context.wall_offset_ms += 60 * FX_DAY;
    lf_connect(&f, &f.fx.ada.pk);
}
static void clock_off(void)
{
    f.hosts[0].context.wall_offset_ms -= FX_HOUR;
    lf_connect(&f, &f.fx.ada.pk);
}
static void answer_by_other_chain(void)
{
    f.hosts[1].context.chain = f.fx.bob_chain;
    f.hosts[1].context.admitter_chain = f.fx.ada_chain;
    lf_connect(&f, &f.fx.ada.pk);
}

static const struct {
    const char *name;
    void (*set_up)(void);
    enum ipx_err dialler; /* IPX_OK: hears nothing, and the connection ends */
    enum ipx_err answerer;
} refusals[] = {
    {"dialled A, answered B", dial_other, IPX_OK, IPX_BAD_SIGNATURE},
    {"other gate key", other_gate, IPX_OK, IPX_BAD_SIGNATURE},
    {"revoked", revoked, IPX_REVOKED, IPX_REFUSED},
    {"revoked answerer", revoked_answerer, IPX_REVOKED, IPX_OK},
    {"somebody else's chain", other_chain, IPX_CONFLICT, IPX_REFUSED},
    {"admitter not shown", no_admitter, IPX_NEED_CHAIN, IPX_REFUSED},
    {"expired", expired, IPX_EXPIRED, IPX_REFUSED},
    {"clock", clock_off, IPX_CLOCK, IPX_CLOCK},
    {"answer with somebody else's chain", answer_by_other_chain, IPX_CONFLICT, IPX_OK},
};

TEST(node_link, refusals)
{
    for (size_t k = 0; k < ARRAY_LEN(refusals); k++) {
        lf_init(&f, k);
        refusals[k].set_up();
        uint32_t id = lf_open(&f, 0);
        (void)id;
        lf_run(&f, 0);
        for (int i = 0; i < 2; i++) {
            enum ipx_err want = i == 0 ? refusals[k].dialler : refusals[k].answerer;
            if (f.ends[i].n_up != 0 || f.ends[i].n_down != (want == IPX_OK ? 0 : 1) ||
                (want != IPX_OK && f.ends[i].down.code != want)) {
                CHECK_FAIL("%s, end %d: %s", refusals[k].name, i,
                           f.ends[i].n_down > 0 ? err_name(f.ends[i].down.code) : "no end");
            }
            if (want == IPX_OK) {
                link_on_eof(f.ends[i].link, f.now_us, IPX_END);
                lf_drain(&f, i);
                CHECK_EQ(f.ends[i].down.code, IPX_CLOSED);
            }
        }
        CHECK_EQ(f.ends[0].n_reset, 1); /* the stream that waited ends in an error */
        lf_done(&f);
    }
    /* after CLOCK the second try succeeds: the clock's answer was noted */
    lf_init(&f, 0);
    clock_off();
    lf_run(&f, 0);
    CHECK_EQ(f.ends[0].down.code, IPX_CLOCK);
    link_free(f.ends[0].link);
    link_free(f.ends[1].link);
    f.ends[0].n_down = f.ends[1].n_down = 0;
    lf_connect(&f, &f.fx.ada.pk);
    lf_run(&f, 0);
    CHECK_EQ(f.ends[0].n_up, 1);
    struct link_config self = {
        .context = &f.hosts[0].context, .role = LINK_DIALLER, .peer = f.fx.bob.pk};
    struct link *none = NULL;
    CHECK_EQ(link_new(&self, f.now_us, &none), IPX_SELF);
    CHECK(none == NULL);
    lf_done(&f);
}

TEST(node_link, joiner_shows_its_ticket)
{
    lf_init(&f, 3);
    f.hosts[0].context.chain = f.hosts[0].context.admitter_chain = SLICE_EMPTY;
    f.hosts[0].context.ticket = f.fx.pub;
    lf_connect(&f, &f.fx.ada.pk);
    lf_run(&f, 0);
    CHECK_EQ(f.ends[1].n_up, 1);
    CHECK(link_facts(f.ends[1].link) == NULL);
    CHECK(slice_equal(link_ticket(f.ends[1].link), f.fx.pub));
    CHECK(link_facts(f.ends[0].link) != NULL);
    lf_done(&f);
}

TEST(node_link, half_open_slots_are_short_lived)
{
    /* a stranger says nothing; one says half an INIT; one never confirms */
    for (int k = 0; k < 3; k++) {
        lf_init(&f, 5);
        lf_connect(&f, &f.fx.ada.pk);
        size_t before = f.hosts[1].mem.used;
        lf_write(&f, 0, LINK_OUTPUT_MIN);
        if (k > 0) {
            lf_read(&f, 1, k == 1 ? 100 : SIZE_MAX);
        }
        f.ends[1].in_len = 0;
        uint64_t due_us = link_deadline(f.ends[1].link);
        CHECK_EQ(due_us, f.now_us + LINK_ACCEPT_US);
        CHECK(f.hosts[1].mem.used <= before + 8192);
        link_tick(f.ends[1].link, due_us - 1);
        lf_drain(&f, 1);
        CHECK_EQ(f.ends[1].n_down, 0);
        link_tick(f.ends[1].link, due_us);
        lf_drain(&f, 1);
        CHECK_EQ(f.ends[1].n_down, 1);
        CHECK_EQ(f.ends[1].n_up, 0);
        CHECK_EQ(f.ends[1].down.code, IPX_TIMEOUT);
        lf_done(&f);
    }
}

TEST(node_link, any_altered_or_cut_byte_ends_it)
{
    /* the answerer after the handshake: a record with a flipped bit, twice the same record, a
     * record left out, one cut short */
    enum { FLIP, REPLAY, SKIP, CUT, CASES };
    for (int k = 0; k < CASES; k++) {
        for (size_t at = 0; at < 60; at += 3) {
            lf_up(&f, 9);
            uint32_t id = lf_open(&f, 0);
            lf_send(&f, 0, id, 100);
            lf_run(&f, 0);
            size_t before = f.ends[1].n_data;
            lf_send(&f, 0, id, 30);
            lf_write(&f, 0, LINK_OUTPUT_MIN);
            struct lf_end *to = &f.ends[1];
            size_t len = to->in_len;
            size_t got = 0;
            if (k == FLIP) {
                to->in[at % len] ^= (uint8_t)(1u << at % 8);
            } else if (k == REPLAY) {
                memcpy(to->in + len, to->in, len);
                to->in_len = 2 * len;
                got = 30;
            } else if (k == SKIP) {
                to->in_len = 0;
                lf_send(&f, 0, id, 30);
                lf_write(&f, 0, LINK_OUTPUT_MIN);
            } else {
                to->in_len = at % len;
            }
            while (to->in_len > 0 && to->n_down == 0) {
                lf_read(&f, 1, 1 + at);
            }
            if (to->n_down == 0) { /* a length that grew, or a cut: it waits for more */
                CHECK(k == CUT || at < 4);
                link_on_eof(to->link, f.now_us, IPX_END);
                lf_drain(&f, 1);
            }
            CHECK_EQ(to->n_down, 1);
            CHECK_EQ(to->n_data, before + got);
            CHECK_EQ(to->n_finished, 0);
            CHECK_EQ(to->n_reset, 1); /* the stream ends in an error */
            CHECK(to->down.code == IPX_BAD_SIGNATURE || to->down.code == IPX_MALFORMED ||
                  to->down.code == IPX_CLOSED);
            CHECK(k != CUT || to->down.code == IPX_CLOSED);
            lf_done(&f);
        }
    }
}

TEST(node_link, altered_handshakes_fail)
{
    for (int who = 0; who < 2; who++) {
        for (size_t at = 0; at < 1400; at += 37) {
            lf_init(&f, 4);
            lf_connect(&f, &f.fx.ada.pk);
            lf_write(&f, 0, LINK_OUTPUT_MIN);
            if (who == 1) {
                lf_read(&f, 1, SIZE_MAX);
                lf_write(&f, 1, LINK_OUTPUT_MIN);
            }
            struct lf_end *to = &f.ends[1 - who];
            to->in[at % to->in_len] ^= 0x10;
            lf_run(&f, 0);
            CHECK_EQ(f.ends[1].n_up, 0);
            CHECK_EQ(to->n_up, 0);
            lf_pass(&f, LINK_DIAL_US, true);
            CHECK_EQ(f.ends[0].n_down, 1);
            CHECK_EQ(f.ends[1].n_down, 1);
            lf_done(&f);
        }
    }
}

TEST(node_link, close_says_why_to_both_ends)
{
    for (int who = 0; who < 2; who++) {
        lf_up(&f, 11);
        (void)lf_open(&f, 0);
        lf_run(&f, 0);
        link_close(f.ends[who].link, f.now_us, IPX_REVOKED);
        lf_run(&f, 0);
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(f.ends[i].n_down, 1);
            CHECK_EQ(f.ends[i].down.code, IPX_REVOKED);
            CHECK_EQ(f.ends[i].n_reset, 1);
            CHECK_EQ(f.ends[i].n_finished, 0);
            CHECK_EQ(f.ends[i].last_reset, IPX_REVOKED);
        }
        lf_done(&f);
    }
    /* both at once; and one whose other end never answers */
    lf_up(&f, 12);
    link_close(f.ends[0].link, f.now_us, IPX_END);
    link_close(f.ends[1].link, f.now_us, IPX_END);
    lf_run(&f, 0);
    CHECK_EQ(f.ends[0].down.code, IPX_END);
    CHECK_EQ(f.ends[1].down.code, IPX_END);
    lf_done(&f);
    lf_up(&f, 13);
    link_close(f.ends[0].link, f.now_us, IPX_END);
    lf_write(&f, 0, LINK_OUTPUT_MIN);
    f.ends[1].in_len = 0;
    CHECK_EQ(f.ends[0].n_down, 0);
    lf_pass(&f, LINK_CLOSE_US, false);
    CHECK_EQ(f.ends[0].down.code, IPX_END);
    lf_done(&f);
}

TEST(node_link, drain_lets_streams_end)
{
    lf_up(&f, 14);
    uint32_t id = lf_open(&f, 0);
    lf_send(&f, 0, id, 1000);
    lf_run(&f, 0);
    link_drain(f.ends[1].link, f.now_us, IPX_EXISTS);
    lf_run(&f, 0);
    uint32_t refused;
    CHECK_EQ(mux_open(link_mux(f.ends[0].link), 2, MUX_CLASS_RPC, 0, &refused), IPX_CLOSED);
    CHECK_EQ(f.ends[0].n_down, 0);
    lf_send(&f, 0, id, 1000);
    mux_finish(link_mux(f.ends[0].link), id);
    lf_run(&f, 0);
    CHECK_EQ(f.ends[1].n_finished, 1);
    mux_finish(link_mux(f.ends[1].link), id);
    lf_run(&f, 0);
    CHECK_EQ(f.ends[1].n_data, 2000);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(f.ends[i].n_finished, 1);
        CHECK_EQ(f.ends[i].n_reset, 0);
        CHECK_EQ(f.ends[i].down.code, IPX_EXISTS);
    }
    lf_done(&f);
}

TEST(node_link, idle_links_close_and_silent_ones_are_dead)
{
    lf_up(&f, 15);
    lf_pass(&f, LINK_IDLE_US - 1, true);
    CHECK(link_is_idle(f.ends[0].link));
    CHECK_EQ(f.ends[0].n_down + f.ends[1].n_down, 0);
    lf_pass(&f, 1, true);
    CHECK_EQ(f.ends[0].down.code, IPX_END);
    CHECK_EQ(f.ends[1].down.code, IPX_END);
    lf_done(&f);
    /* with a stream open PINGs keep it for hours */
    lf_up(&f, 16);
    (void)lf_open(&f, 0);
    lf_run(&f, 0);
    lf_pass(&f, 7200 * US_PER_S, true);
    CHECK_EQ(f.ends[0].n_down + f.ends[1].n_down, 0);
    /* then the other end falls silent: three losses, each after 15 s */
    uint64_t silent_us = f.now_us;
    while (f.ends[0].n_down == 0) {
        lf_pass(&f, US_PER_S, false);
        CHECK(f.now_us < silent_us + 100 * US_PER_S);
    }
    CHECK_EQ(f.ends[0].down.code, IPX_TIMEOUT);
    CHECK(f.now_us >= silent_us + 3 * LINK_PING_US && f.now_us <= silent_us + 4 * LINK_PING_US);
    CHECK_EQ(f.ends[0].n_reset, 1);
    lf_done(&f);
    /* a stream that begins after a long pause is not taken for dead */
    lf_up(&f, 17);
    lf_pass(&f, LINK_IDLE_US - 2, true);
    (void)lf_open(&f, 0);
    lf_run(&f, 0);
    lf_pass(&f, LINK_PING_US, true);
    CHECK_EQ(f.ends[0].n_down + f.ends[1].n_down, 0);
    lf_done(&f);
}
