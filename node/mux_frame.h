/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Frames of the stream mux as bytes (overlay 1.4, docs/wire/links.md):
 *
 *     type u8, flags u8, length u16 (payload only), stream u32, payload
 *
 * Invariant: what decodes has a known type, only flags of that type, a payload
 * length of that type, and a stream number exactly where the type wants one. So
 * an oversized OPEN is refused before anything is made of it. Used by node/mux*.c.
 */
#include "base/slice.h"

#define MUX_HEADER_LEN 8
#define MUX_PAYLOAD_MAX 65528    /* the largest frame fills a record of 65,536 */
#define MUX_BODY_MAX 96          /* longest payload but DATA's: 16 settings */
#define MUX_CREDIT_MAX INT32_MAX /* more credit than this at once is an error */

enum mux_type {                      /* number on the wire */
                MUX_TYPE_OPEN = 1,   /* protocol u16, class u8, 0 u8, window u32 */
                MUX_TYPE_DATA = 2,   /* 1 to 65,528 bytes */
                MUX_TYPE_WINDOW = 3, /* credit u32; on stream 0 for the connection */
                MUX_TYPE_FIN = 4,    /* no more DATA from the sender */
                MUX_TYPE_RESET = 5,  /* code u32: number of enum ipx_err; both directions end */
                MUX_TYPE_PING = 6,   /* u64, sent back with MUX_FLAG_ACK */
                MUX_TYPE_GOAWAY =
                    7, /* last stream u32, code u32: later streams were not looked at */
                MUX_TYPE_SETTINGS =
                    8, /* {id u16, value u32}..; unknown odd ids are skipped, even refused */
};

#define MUX_FLAG_ACK 0x01 /* WINDOW: the OPEN is taken; PING: this is the answer */

enum mux_setting { MUX_SETTING_STREAMS = 2 /* streams that the receiver may have open */ };

struct mux_frame {
    uint8_t type; /* enum mux_type */
    uint8_t flags;
    uint16_t length;
    uint32_t stream;
};

void mux_frame_encode(const struct mux_frame *f, uint8_t ret[static MUX_HEADER_LEN]);
/* Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err mux_frame_decode(const uint8_t in[static MUX_HEADER_LEN],
                                           struct mux_frame *ret);
