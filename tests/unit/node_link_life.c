/* SPDX-License-Identifier: Apache-2.0 */
/* Links beside each other, local links, memory. */
#include "tests/harness.h"

#include "tests/link_steps.h"

static struct lf f;

TEST(node_link_life, of_two_links_to_one_peer_both_ends_choose_the_same)
{
    lf_init(&f, 1);
    struct link *of[2][2]; /* [end][who dialled] */
    for (int end = 0; end < 2; end++) {
        const struct crypt_keypair *peer = end == 0 ? &f.fx.ada : &f.fx.bob;
        for (int dialled = 0; dialled < 2; dialled++) {
            bool is_dialler = end == dialled;
            struct link_config config = {.context = &f.hosts[end].context,
                                         .role = is_dialler ? LINK_DIALLER : LINK_ANSWERER,
                                         .peer = peer->pk};
            CHECK_OK(link_new(&config, f.now_us + (uint64_t)dialled, &of[end][dialled]));
        }
    }
    struct hash a = node_fingerprint(&f.fx.bob.pk), b = node_fingerprint(&f.fx.ada.pk);
    int stays = memcmp(a.bytes, b.bytes, 32) < 0 ? 0 : 1;
    CHECK(link_duplicate(of[0][0], of[0][1], &f.fx.bob.pk) == of[0][1 - stays]);
    CHECK(link_duplicate(of[0][1], of[0][0], &f.fx.bob.pk) == of[0][1 - stays]);
    CHECK(link_duplicate(of[1][0], of[1][1], &f.fx.ada.pk) == of[1][1 - stays]);
    /* two of the same dialler: it keeps the newer, the other end leaves it to it */
    of[0][1]->role = LINK_DIALLER;
    CHECK(link_duplicate(of[0][0], of[0][1], &f.fx.bob.pk) == of[0][0]);
    CHECK(link_duplicate(of[0][1], of[0][0], &f.fx.bob.pk) == of[0][0]);
    of[0][0]->role = of[0][1]->role = LINK_ANSWERER;
    CHECK(link_duplicate(of[0][0], of[0][1], &f.fx.bob.pk) == NULL);
    for (int end = 0; end < 2; end++) {
        link_free(of[end][0]);
        link_free(of[end][1]);
    }
    lf_done(&f);
}

TEST(node_link_life, local_links_are_the_bare_mux)
{
    lf_init(&f, 1);
    lf_local(&f);
    uint32_t id = lf_open(&f, 0);
    lf_send(&f, 0, id, 4000);
    lf_run(&f, 1);
    CHECK_EQ(f.ends[0].n_up, 1);
    CHECK_EQ(f.ends[1].n_up, 1);
    CHECK_EQ(f.ends[1].n_data, 4000);
    CHECK(link_facts(f.ends[1].link) == NULL && link_peer(f.ends[1].link) == NULL);
    lf_pass(&f, 7200 * US_PER_S, true);
    CHECK_EQ(f.ends[0].n_down + f.ends[1].n_down, 0);
    /* the client is killed: its stream ends in an error */
    link_on_eof(f.ends[1].link, f.now_us, IPX_END);
    lf_drain(&f, 1);
    CHECK_EQ(f.ends[1].n_reset, 1);
    CHECK_EQ(f.ends[1].down.code, IPX_END);
    link_close(f.ends[0].link, f.now_us, IPX_END);
    lf_write(&f, 0, LINK_OUTPUT_MIN);
    CHECK_EQ(f.ends[0].n_down, 1);
    lf_done(&f);
}

TEST(node_link_life, every_lack_of_memory_ends_cleanly)
{
    for (uint64_t after = 0; after < 60; after++) {
        lf_init(&f, 1);
        lf_connect(&f, &f.fx.ada.pk);
        f.hosts[after % 2].mem.fail_after = after / 2;
        uint32_t id;
        f.is_leaving = true;
        if (mux_open(link_mux(f.ends[0].link), 2, MUX_CLASS_RPC, 0, &id) == IPX_OK) {
            static const uint8_t zeros[9000];
            size_t n = mux_send(link_mux(f.ends[0].link), id, slice_of(zeros, sizeof(zeros)));
            CHECK(n == 0 || n == sizeof(zeros));
        }
        lf_run(&f, 0);
        f.hosts[after % 2].mem.fail_after = UINT64_MAX;
        for (int i = 0; i < 2; i++) {
            link_on_eof(f.ends[i].link, f.now_us, IPX_END);
            lf_drain(&f, i);
            CHECK_EQ(f.ends[i].n_down, 1);
        }
        f.is_leaving = false;
        lf_done(&f);
    }
}

TEST(node_link_life, an_idle_link_is_small)
{
    lf_up(&f, 20);
    for (int i = 0; i < 2; i++) {
        size_t chains = f.hosts[i].mem.used;
        link_free(f.ends[i].link);
        f.ends[i].link = NULL;
        CHECK(chains - f.hosts[i].mem.used <= 8192);
    }
    lf_done(&f);
}
