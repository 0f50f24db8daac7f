/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "exec/source_wire.h"

/* The first byte chooses a decoder; what it accepts must encode, and decode to the same again. */

static uint8_t first[EXEC_BODY_MAX], second[EXEC_BODY_MAX];

#define TRY(n, x)                                                                                  \
    case n: {                                                                                      \
        struct source_##x m, again;                                                                \
        if (source_##x##_decode(in, &m) == IPX_OK) {                                               \
            struct writer w = writer_of(first, sizeof(first));                                     \
            source_##x##_encode(&m, &w);                                                           \
            assert(!w.failed);                                                                     \
            enum ipx_err err = source_##x##_decode(writer_slice(&w), &again);                      \
            assert(err == IPX_OK);                                                                 \
            struct writer w2 = writer_of(second, sizeof(second));                                  \
            source_##x##_encode(&again, &w2);                                                      \
            assert(slice_equal(writer_slice(&w), writer_slice(&w2)));                              \
        }                                                                                          \
        break;                                                                                     \
    }

/* Frames that were accepted can be walked, and cost what they say. */
static void walk(struct slice in)
{
    struct source_frames m;
    uint64_t cost = 0;
    if (source_frames_decode(in, &m) != IPX_OK) {
        return;
    }
    struct cbor_reader it = source_frames_begin(&m);
    for (uint32_t i = 0; i < m.n; i++) {
        cost += source_frame_next(&it).bytes.len + SOURCE_FRAME_COST;
    }
    assert(cost == m.cost);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > EXEC_BODY_MAX / 2) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    switch (data[0] % 9) {
        TRY(0, publish)
        TRY(1, published)
        TRY(2, credit)
        TRY(3, tap)
        TRY(4, opened)
        TRY(5, gap)
        TRY(6, heartbeat)
        TRY(7, end)
        TRY(8, frames)
    default:
        break;
    }
    walk(in);
    return 0;
}
