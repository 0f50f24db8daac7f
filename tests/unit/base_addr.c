/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"
#include "base/rng.h"
#include "tests/harness.h"

#include <arpa/inet.h>

#define DEFAULT_PORT 7433
#define TEXT_SIZE 128

static const struct parse_case {
    const char *in, *out; /* NULL: refused */
} parse_cases[] = {
    {"127.0.0.1:7433", "127.0.0.1:7433"},
    {"127.0.0.1", "127.0.0.1:7433"},
    {"10.0.0.1:1", "10.0.0.1:1"},
    {"255.255.255.255:65535", "255.255.255.255:65535"},
    {"0.0.0.0:0", "0.0.0.0:0"},
    {"[::1]:80", "[::1]:80"},
    {"[::1]", "[::1]:7433"},
    {"::1", "[::1]:7433"},
    {"::", "[::]:7433"},
    {"[2001:DB8:0:0::5]:9", "[2001:db8::5]:9"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:7433"},
    {"[::ffff:1.2.3.4]:5", "1.2.3.4:5"},
    {"::ffff:1.2.3.4", "1.2.3.4:7433"},
    {"", NULL},
    {":", NULL},
    {":80", NULL},
    {"1.2.3", NULL},
    {"1.2.3.4.5", NULL},
    {"1.2.3.256", NULL},
    {"01.2.3.4", NULL},
    {"1.2.3.4:", NULL},
    {"1.2.3.4:65536", NULL},
    {"1.2.3.4:080", NULL},
    {"1.2.3.4:00", NULL},
    {"1.2.3.4:+8", NULL},
    {"1.2.3.4: 8", NULL},
    {"1.2.3.4:8 ", NULL},
    {" 1.2.3.4:8", NULL},
    {"1.2.3.4:99999999999", NULL},
    {"1.2.3.4:0x10", NULL},
    {"[::1", NULL},
    {"[::1]:", NULL},
    {"[::1]x", NULL},
    {"[::1]80", NULL},
    {"[]:80", NULL},
    {"[1.2.3.4]:80", NULL},
    {"[fe80::1%eth0]:80", NULL},
    {"::1]:80", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"1::2::3", NULL},
    {"localhost:80", NULL},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
};

TEST(base_addr, parse)
{
    for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
        struct addr a, again;
        char text[ADDR_TEXT_SIZE];
        memset(&a, 0xee, sizeof(a));
        enum ipx_err err = addr_parse(slice_text(parse_cases[i].in), DEFAULT_PORT, &a);
        if (parse_cases[i].out == NULL) {
            CHECK_EQ(err, IPX_MALFORMED);
            CHECK_EQ(a.family, 0xee); /* untouched */
            continue;
        }
        CHECK_OK(err);
        addr_text(&a, text);
        CHECK_STR(text, parse_cases[i].out);
        memset(&again, 0x11, sizeof(again));
        CHECK_OK(addr_parse(slice_text(text), 1, &again));
        CHECK(addr_equal(&a, &again));
        CHECK_MEM(&a, &again, sizeof(a));
    }
    CHECK_EQ(addr_parse(slice_of("1.2.3.4\0:5", 10), 1, &(struct addr){0}), IPX_MALFORMED);
    struct addr none = {0};
    char text[ADDR_TEXT_SIZE];
    addr_text(&none, text);
    CHECK_STR(text, "-");
}

TEST(base_addr, scope)
{
    static const struct {
        const char *text;
        enum addr_scope scope;
    } cases[] = {
        {"0.0.0.0:1", ADDR_SCOPE_NONE},           {"0.1.2.3:1", ADDR_SCOPE_NONE},
        {"127.0.0.1:1", ADDR_SCOPE_LOOPBACK},     {"127.255.0.9:1", ADDR_SCOPE_LOOPBACK},
        {"10.1.2.3:1", ADDR_SCOPE_PRIVATE},       {"11.1.2.3:1", ADDR_SCOPE_GLOBAL},
        {"172.15.0.1:1", ADDR_SCOPE_GLOBAL},      {"172.16.0.1:1", ADDR_SCOPE_PRIVATE},
        {"172.31.255.255:1", ADDR_SCOPE_PRIVATE}, {"172.32.0.1:1", ADDR_SCOPE_GLOBAL},
        {"192.168.7.7:1", ADDR_SCOPE_PRIVATE},    {"192.169.7.7:1", ADDR_SCOPE_GLOBAL},
        {"169.254.1.1:1", ADDR_SCOPE_PRIVATE},    {"100.63.0.1:1", ADDR_SCOPE_GLOBAL},
        {"100.64.0.1:1", ADDR_SCOPE_PRIVATE},     {"100.127.255.1:1", ADDR_SCOPE_PRIVATE},
        {"100.128.0.1:1", ADDR_SCOPE_GLOBAL},     {"223.255.255.1:1", ADDR_SCOPE_GLOBAL},
        {"224.0.0.1:1", ADDR_SCOPE_NONE},         {"255.255.255.255:1", ADDR_SCOPE_NONE},
        {"8.8.8.8:0", ADDR_SCOPE_NONE},           {"[::]:1", ADDR_SCOPE_NONE},
        {"[::1]:1", ADDR_SCOPE_LOOPBACK},         {"[::2]:1", ADDR_SCOPE_GLOBAL},
        {"[fc00::1]:1", ADDR_SCOPE_PRIVATE},      {"[fdff::1]:1", ADDR_SCOPE_PRIVATE},
        {"[fe00::1]:1", ADDR_SCOPE_GLOBAL},       {"[fe80::1]:1", ADDR_SCOPE_NONE},
        {"[febf::1]:1", ADDR_SCOPE_NONE},         {"[ff02::1]:1", ADDR_SCOPE_NONE},
        {"[2001:db8::1]:1", ADDR_SCOPE_GLOBAL},   {"[::1]:0", ADDR_SCOPE_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct addr a;
        CHECK_OK(addr_parse(slice_text(cases[i].text), 1, &a));
        CHECK_EQ(addr_scope(&a), cases[i].scope);
    }
    CHECK_EQ(addr_scope(&(struct addr){.port = 1}), ADDR_SCOPE_NONE);
    CHECK_EQ(addr_scope(&(struct addr){
                 .family = ADDR_V6, .ip = {[10] = 0xff, [11] = 0xff, [12] = 8}, .port = 1}),
             ADDR_SCOPE_NONE);
}

TEST(base_addr, wire)
{
    static const char *const texts[] = {"1.2.3.4:5", "[2001:db8::9]:65535", "[::1]:1"};
    uint8_t wire[ADDR_WIRE_MAX];
    struct addr a, b;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CHECK_OK(addr_parse(slice_text(texts[i]), 1, &a));
        size_t len = addr_encode(&a, wire);
        CHECK_EQ(len, a.family == ADDR_V4 ? 6 : 18);
        memset(&b, 0xff, sizeof(b));
        CHECK_OK(addr_decode(slice_of(wire, len), &b));
        CHECK_MEM(&a, &b, sizeof(a));
        CHECK(addr_same_ip(&a, &b));
        b.port++;
        CHECK(addr_same_ip(&a, &b) && !addr_equal(&a, &b));
    }
    CHECK_EQ(addr_encode(&(struct addr){0}, wire), 0);
    uint8_t bytes[20] = {0};
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        enum ipx_err want = len == 6 || len == 18 ? IPX_OK : IPX_MALFORMED;
        CHECK_EQ(addr_decode(slice_of(bytes, len), &b), want);
    }
    bytes[10] = bytes[11] = 0xff; /* a mapped v4 is a second form of an endpoint */
    CHECK_EQ(addr_decode(slice_of(bytes, 18), &b), IPX_MALFORMED);
}

/* What an address may be made of, so that random texts often are one, or nearly. */
static void make_text(struct rng *r, char *out)
{
    static const char *const parts[] = {"0",  "1",     ":", ":",    "::",  "ffff", "a",
                                        "Bc", ".",     ".", "255",  "7",   "256",  "12345",
                                        "00", "1:2:3", "g", "1.2.", "3.4", ":0"};
    size_t n = 1 + (size_t)rng_below(r, 11);
    struct writer w = writer_of(out, TEXT_SIZE - 1);
    for (size_t i = 0; i < n; i++) {
        writer_bytes(&w, slice_text(parts[rng_below(r, ARRAY_LEN(parts))]));
    }
    CHECK(!w.failed);
    out[w.len] = '\0';
}

static bool is_mapped(const uint8_t ip[static 16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

/* The C library's parser and printer as the model. */
TEST(base_addr, against_the_c_library)
{
    struct rng r;
    size_t n_v4 = 0;
    size_t n_v6 = 0;
    rng_init_int(&r, 1);
    for (int i = 0; i < 200000; i++) {
        char text[TEXT_SIZE], bracketed[TEXT_SIZE + 2];
        uint8_t want[16];
        struct addr a;
        make_text(&r, text);
        if (inet_pton(AF_INET6, text, want) == 1) {
            n_v6++;
            CHECK_OK(addr_parse(slice_text(text), 1, &a));
            CHECK_EQ(a.family, is_mapped(want) ? ADDR_V4 : ADDR_V6);
            CHECK_MEM(a.ip, is_mapped(want) ? want + 12 : want, is_mapped(want) ? 4 : 16);
        } else {
            snprintf(bracketed, sizeof(bracketed), "[%s]", text);
            CHECK_EQ(addr_parse(slice_text(bracketed), 1, &a), IPX_MALFORMED);
            bool is_v4 = inet_pton(AF_INET, text, want) == 1;
            n_v4 += is_v4;
            if (strchr(text, ':') == NULL) {
                CHECK_EQ(addr_parse(slice_text(text), 1, &a), is_v4 ? IPX_OK : IPX_MALFORMED);
            }
            if (is_v4) {
                CHECK_MEM(a.ip, want, 4);
            }
        }
    }
    CHECK(n_v4 > 20 && n_v6 > 1000);
    for (int i = 0; i < 20000; i++) {
        struct addr a = {.family = ADDR_V6, .port = 9};
        char ip[INET6_ADDRSTRLEN], want[ADDR_TEXT_SIZE], text[ADDR_TEXT_SIZE];
        a.ip[0] = 0x20; /* the library writes ::a.b.c.d with dots */
        for (size_t k = 1; k < 16; k++) {
            a.ip[k] = rng_chance(&r, 400) ? (uint8_t)rng_below(&r, 256) : 0;
        }
        CHECK(inet_ntop(AF_INET6, a.ip, ip, sizeof(ip)) != NULL);
        snprintf(want, sizeof(want), "[%s]:9", ip);
        addr_text(&a, text);
        CHECK_STR(text, want);
    }
}
