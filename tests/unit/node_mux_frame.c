/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "node/mux_frame.h"

TEST(node_mux_frame, every_header_decodes_by_its_shape_or_not_at_all)
{
    /* by type: lengths from, to; flags; stream 0, other streams */
    static const struct {
        unsigned from, to, flags;
        bool zero, other;
    } shapes[16] = {
        [MUX_TYPE_OPEN] = {8, 8, 0, false, true},   [MUX_TYPE_DATA] = {1, 65528, 0, false, true},
        [MUX_TYPE_WINDOW] = {4, 4, 1, true, true},  [MUX_TYPE_FIN] = {0, 0, 0, false, true},
        [MUX_TYPE_RESET] = {4, 4, 0, false, true},  [MUX_TYPE_PING] = {8, 8, 1, true, false},
        [MUX_TYPE_GOAWAY] = {8, 8, 0, true, false}, [MUX_TYPE_SETTINGS] = {0, 96, 0, true, false},
    };
    static const uint16_t lengths[] = {0, 1, 4, 7, 8, 9, 96, 97, 65527, 65528, 65529, 65535};
    unsigned n_good = 0;
    for (unsigned type = 0; type < 256; type++) {
        for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
            for (unsigned flags = 0; flags < 4; flags++) {
                for (uint32_t stream = 0; stream < 2; stream++) {
                    struct mux_frame f = {(uint8_t)type, (uint8_t)flags, lengths[k], stream}, got;
                    uint8_t bytes[MUX_HEADER_LEN];
                    mux_frame_encode(&f, bytes);
                    bool is_good = type >= 1 && type <= 8 && lengths[k] >= shapes[type].from &&
                                   lengths[k] <= shapes[type].to &&
                                   (flags & ~shapes[type].flags) == 0 &&
                                   (stream == 0 ? shapes[type].zero : shapes[type].other);
                    CHECK_EQ(mux_frame_decode(bytes, &got), is_good ? IPX_OK : IPX_MALFORMED);
                    if (is_good) {
                        n_good++;
                        CHECK(got.type == type && got.flags == flags && got.length == lengths[k] &&
                              got.stream == stream);
                    }
                }
            }
        }
    }
    CHECK(n_good > 20);
}

TEST(node_mux_frame, golden_header)
{
    const struct mux_frame f = {MUX_TYPE_DATA, 0, 0x1234, 0x56789abc};
    const uint8_t want[] = {2, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc};
    uint8_t bytes[MUX_HEADER_LEN];
    mux_frame_encode(&f, bytes);
    CHECK_MEM(bytes, want, sizeof(want));
}
