/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static size_t ip_len(const struct addr *a)
{
    switch (a->family) {
    case ADDR_V4:
        return 4;
    case ADDR_V6:
        return 16;
    default:
        return 0;
    }
}

bool addr_same_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return addr_same_ip(a, b) && a->port == b->port;
}

static enum addr_scope scope_v4(const uint8_t ip[static 4])
{
    uint32_t v = load_be32(ip);
    static const struct {
        uint32_t net;
        uint32_t mask;
        enum addr_scope scope;
    } nets[] = {
        {0x00000000, 0xff000000, ADDR_SCOPE_NONE},     /* 0/8: this host */
        {0x7f000000, 0xff000000, ADDR_SCOPE_LOOPBACK}, /* 127/8 */
        {0x0a000000, 0xff000000, ADDR_SCOPE_PRIVATE},  /* 10/8 */
        {0xac100000, 0xfff00000, ADDR_SCOPE_PRIVATE},  /* 172.16/12 */
        {0xc0a80000, 0xffff0000, ADDR_SCOPE_PRIVATE},  /* 192.168/16 */
        {0xa9fe0000, 0xffff0000, ADDR_SCOPE_PRIVATE},  /* 169.254/16: link-local */
        {0x64400000, 0xffc00000, ADDR_SCOPE_PRIVATE},  /* 100.64/10: behind a carrier's NAT */
        {0xe0000000, 0xe0000000, ADDR_SCOPE_NONE},     /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
        if ((v & nets[i].mask) == nets[i].net) {
            return nets[i].scope;
        }
    }
    return ADDR_SCOPE_GLOBAL;
}

static enum addr_scope scope_v6(const uint8_t ip[static 16])
{
    static const uint8_t zero[15] = {0};
    if (memcmp(ip, zero, sizeof(zero)) == 0 && ip[15] <= 1) {
        return ip[15] == 1 ? ADDR_SCOPE_LOOPBACK : ADDR_SCOPE_NONE;
    }
    bool is_mapped = memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
    bool is_link_local = ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80; /* needs a scope id to dial */
    if (ip[0] == 0xff || is_mapped || is_link_local) {
        return ADDR_SCOPE_NONE;
    }
    return (ip[0] & 0xfe) == 0xfc ? ADDR_SCOPE_PRIVATE : ADDR_SCOPE_GLOBAL;
}

enum addr_scope addr_scope(const struct addr *a)
{
    if (a->port == 0) {
        return ADDR_SCOPE_NONE;
    }
    switch (a->family) {
    case ADDR_V4:
        return scope_v4(a->ip);
    case ADDR_V6:
        return scope_v6(a->ip);
    default:
        return ADDR_SCOPE_NONE;
    }
}

size_t addr_encode(const struct addr *a, uint8_t out[static ADDR_WIRE_MAX])
{
    size_t len = ip_len(a);
    if (len == 0) {
        return 0;
    }
    memcpy(out, a->ip, len);
    store_be16(out + len, a->port);
    return len + 2;
}

enum ipx_err addr_decode(struct slice in, struct addr *ret)
{
    bool is_v6 = in.len == 18;
    if (in.len != 6 && !is_v6) {
        return IPX_MALFORMED;
    }
    if (is_v6 && memcmp(in.data, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        return IPX_MALFORMED; /* v4 in disguise would be a second form of the same endpoint */
    }
    memset(ret, 0, sizeof(*ret));
    ret->family = is_v6 ? ADDR_V6 : ADDR_V4;
    memcpy(ret->ip, in.data, in.len - 2);
    ret->port = load_be16(in.data + in.len - 2);
    return IPX_OK;
}
