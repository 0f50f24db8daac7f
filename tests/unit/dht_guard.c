/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/guard.h"

#include "tests/harness.h"

static struct addr parse(const char *text)
{
    struct addr a = {.family = ADDR_NONE};
    if (strcmp(text, "multicast") == 0) {
        return (struct addr){.family = ADDR_V4, .ip = {224, 0, 0, 1}, .port = 5};
    }
    if (strcmp(text, "port 0") == 0) {
        return (struct addr){.family = ADDR_V4, .ip = {8, 8, 8, 8}};
    }
    CHECK_OK(addr_parse(slice_text(text), 7433, &a));
    return a;
}

TEST(dht_guard, contacts)
{
    static const struct {
        const char *contact, *sender;
        enum dht_verdict want;
    } cases[] = {
        {"8.8.8.8", "9.9.9.9", DHT_VERDICT_OK},
        {"8.8.8.8", "10.0.0.1", DHT_VERDICT_OK},
        {"10.0.0.2", "10.0.0.1", DHT_VERDICT_OK},
        {"10.0.0.2", "127.0.0.1", DHT_VERDICT_OK},
        {"10.0.0.2", "9.9.9.9", DHT_VERDICT_SCOPE},
        {"127.0.0.2", "127.0.0.1", DHT_VERDICT_OK},
        {"127.0.0.2", "10.0.0.1", DHT_VERDICT_SCOPE},
        {"127.0.0.2", "9.9.9.9", DHT_VERDICT_SCOPE},
        {"[::1]:1", "[::1]:2", DHT_VERDICT_OK},
        {"[::1]:1", "[2600::1]:2", DHT_VERDICT_SCOPE},
        {"[fd00::1]:1", "[2600::1]:2", DHT_VERDICT_SCOPE},
        {"[2600::2]:1", "[2600::1]:2", DHT_VERDICT_OK},
        {"multicast", "9.9.9.9", DHT_VERDICT_ENDPOINT},
        {"port 0", "9.9.9.9", DHT_VERDICT_ENDPOINT},
        {"multicast", "127.0.0.1", DHT_VERDICT_ENDPOINT},
    };
    struct node_id self = {{7}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct addr from = parse(cases[i].sender);
        struct dht_contact c = {.id = {{1}}, .addr = parse(cases[i].contact)};
        enum dht_verdict v = dht_guard_judge(&c, &self, &from);
        if (v != cases[i].want) {
            CHECK_FAIL("%s from %s: %d", cases[i].contact, cases[i].sender, (int)v);
        }
        /* What may be taken from somebody may be told to him: one rule both ways. */
        if (v == DHT_VERDICT_OK || v == DHT_VERDICT_SCOPE) {
            CHECK_EQ(dht_guard_may_tell(&c.addr, &from, DHT_WANT_V4 | DHT_WANT_V6),
                     v == DHT_VERDICT_OK);
        }
    }
    struct addr near = parse("9.9.9.9");
    struct dht_contact c = {.id = self, .addr = parse("8.8.8.8")};
    CHECK_EQ(dht_guard_judge(&c, &self, &near), DHT_VERDICT_SELF);
    c.id.bytes[0] = 8;
    c.flags = DHT_FLAG_CLIENT;
    CHECK_EQ(dht_guard_judge(&c, &self, &near), DHT_VERDICT_CLIENT);
    c.flags = 0;
    c.id.bytes[31] = 0x80;
    CHECK_EQ(dht_guard_judge(&c, &self, &near), DHT_VERDICT_KEY);
    CHECK(!dht_guard_may_tell(&c.addr, &near, DHT_WANT_V6));
    CHECK(dht_guard_may_tell(&c.addr, &near, DHT_WANT_V4));
}

TEST(dht_guard, strikes)
{
    struct dht_guard g;
    struct node_id liar = {{1}}, other = {{2}};
    uint64_t now = 0; /* a time of zero is a time */
    dht_guard_init(&g);
    CHECK(!dht_guard_strike(&g, now, &liar));
    CHECK(!dht_guard_strike(&g, now + 1, &liar));
    CHECK(!dht_guard_is_muted(&g, now + 1, &liar));
    CHECK(dht_guard_strike(&g, now + 2, &liar));
    CHECK(dht_guard_is_muted(&g, now + 2, &liar));
    CHECK(!dht_guard_is_muted(&g, now + 2, &other));
    CHECK(!dht_guard_strike(&g, now + 3, &liar)); /* muted already */
    now += 3;
    CHECK(dht_guard_is_muted(&g, now + DHT_STRIKES_MUTE_US - 1, &liar));
    CHECK(!dht_guard_is_muted(&g, now + DHT_STRIKES_MUTE_US, &liar));

    now += 2 * DHT_STRIKES_FORGET_US; /* old strikes are no pattern */
    for (int i = 0; i < 10; i++) {
        CHECK(!dht_guard_strike(&g, now, &liar));
        CHECK(!dht_guard_is_muted(&g, now, &liar));
        now += DHT_STRIKES_FORGET_US;
    }

    /* More liars than places: the oldest is forgotten, the table holds. */
    dht_guard_init(&g);
    for (unsigned i = 0; i < 100; i++) {
        struct node_id id = {{(uint8_t)i, 1}};
        for (unsigned k = 0; k < DHT_STRIKES_MAX; k++) {
            CHECK_EQ(dht_guard_strike(&g, now + i, &id), k == DHT_STRIKES_MAX - 1);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        struct node_id id = {{(uint8_t)i, 1}};
        CHECK_EQ(dht_guard_is_muted(&g, now + 100, &id), i >= 100 - DHT_GUARD_PEERS);
    }
}
