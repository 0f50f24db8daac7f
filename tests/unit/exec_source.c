/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/source_world.h"

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
