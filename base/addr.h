/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An endpoint (address and port) as a value: v4 and v6, no names, no scope ids.
 * Two equal endpoints are equal byte by byte (unused bytes are zero).
 */
#include "base/slice.h"

#define ADDR_TEXT_SIZE 56 /* "[v6]:port" and NUL */

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

struct addr {
    uint8_t family; /* enum addr_family */
    uint8_t ip[16]; /* network order; v4 in the first four bytes, rest zero */
    uint16_t port;  /* host order */
};

/* How far an address can be seen from; contacts are only handed on within their scope. */
enum addr_scope { ADDR_SCOPE_NONE, ADDR_SCOPE_LOOPBACK, ADDR_SCOPE_PRIVATE, ADDR_SCOPE_GLOBAL };

bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_same_ip(const struct addr *a, const struct addr *b);
/* NONE for unspecified, multicast, broadcast, v6 link-local (no scope ids here) and port 0. */
enum addr_scope addr_scope(const struct addr *a);
/* "127.0.0.1:7433" or "[::1]:7433"; "-" for ADDR_NONE. */
void addr_text(const struct addr *a, char out[static ADDR_TEXT_SIZE]);
/* IP:PORT, [IP]:PORT, IP (port = default_port). No look-up. A mapped v4
 * (::ffff:1.2.3.4) becomes v4. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err addr_parse(struct slice text, uint16_t default_port, struct addr *ret);

/* Wire form: 6 bytes (v4 4 + port 2) or 18 (v6 16 + port 2); the length tells the family.
 * ADDR_NONE has no wire form (length 0). Conditions: IPX_MALFORMED (also a mapped v4). */
#define ADDR_WIRE_MAX 18
size_t addr_encode(const struct addr *a, uint8_t out[static ADDR_WIRE_MAX]);
IPX_MUST_USE enum ipx_err addr_decode(struct slice in, struct addr *ret);
