/* SPDX-License-Identifier: Apache-2.0 */
#include "node/events.h"
#include "tests/harness.h"

#include <stdio.h>

TEST(node_events, numbered_and_read)
{
    struct mem mem;
    struct events e = {.mem = NULL};
    struct events_one v;
    events_done(&e); /* one that never was */
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(events_init(&e, &mem));
    CHECK_EQ(events_get(&e, 1, &v), IPX_NOT_FOUND);
    CHECK(events_add(&e, 5, EVENTS_MEMBER_UP, slice_text("bio/n1"), slice_text("")));
    CHECK(!events_add(&e, 6, EVENTS_MEMBER_UP, slice_text("bio/n1"), slice_text("")));
    CHECK(events_add(&e, 7, EVENTS_LABEL, slice_text(""), slice_text("a=1")));
    CHECK(events_add(&e, 8, EVENTS_MEMBER_UP, slice_text("bio/n1"), slice_text("")));
    CHECK_OK(events_get(&e, 1, &v));
    CHECK_EQ(v.wall_ms, 5);
    CHECK_EQ(v.kind, EVENTS_MEMBER_UP);
    CHECK(slice_equal(v.who, slice_text("bio/n1")) && v.text.len == 0);
    CHECK_OK(events_get(&e, 2, &v));
    CHECK(v.who.len == 0 && slice_equal(v.text, slice_text("a=1")));
    CHECK_OK(events_get(&e, 3, &v));
    CHECK_EQ(v.seq, 3);
    CHECK_EQ(events_get(&e, 0, &v), IPX_NOT_FOUND);
    CHECK_EQ(events_get(&e, 4, &v), IPX_NOT_FOUND);
    events_check(&e);
    events_done(&e);
    CHECK_EQ(mem.used, 0);
}

TEST(node_events, the_oldest_go)
{
    struct mem mem;
    struct events e;
    struct events_one v;
    char text[300];
    memset(text, 'x', sizeof(text));
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(events_init(&e, &mem));
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "%d", i);
        text[len] = 'x';
        CHECK(events_add(&e, i, (enum events_kind)(i % EVENTS_N), slice_of(text, (size_t)i % 90),
                         slice_of(text, 4 + (size_t)i % 290)));
        events_check(&e);
    }
    CHECK_EQ(e.next, 3001);
    CHECK(e.first > 2900 && e.first < 2990);
    for (uint64_t seq = e.first; seq < e.next; seq++) {
        CHECK_OK(events_get(&e, seq, &v));
        CHECK_EQ(v.wall_ms, (int64_t)seq - 1);
        CHECK(v.who.len <= EVENTS_WHO_MAX && v.text.len <= EVENTS_TEXT_MAX);
    }
    CHECK_EQ(events_get(&e, e.first - 1, &v), IPX_NOT_FOUND);
    events_done(&e);
    CHECK_EQ(mem.used, 0);
    for (int i = 0; i < EVENTS_N; i++) {
        CHECK(strlen(events_kind_name((enum events_kind)i)) > 3);
    }
}
