/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a stream, and the frame heads below them: cut into pieces as the first bytes say,
 * the messages are the same as in one piece, and so is the first error. */
#include "base/crypt.h"
#include "node/framing.h"
#include "node/mux_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 2000

struct seen {
    uint32_t n;
    struct hash all; /* of the types and bodies, in their order */
    enum ipx_err end;
    bool is_between;
};

static void note(struct seen *s, uint8_t type, struct slice body)
{
    uint8_t bytes[sizeof(struct hash) + 1 + BODY_MAX];
    assert(body.len <= BODY_MAX);
    memcpy(bytes, &s->all, sizeof(s->all));
    bytes[sizeof(s->all)] = type;
    if (body.len > 0) {
        memcpy(bytes + sizeof(s->all) + 1, body.data, body.len);
    }
    s->all = crypt_hash(slice_of(bytes, sizeof(s->all) + 1 + body.len));
    s->n++;
}

/* In pieces of `piece` bytes. */
static struct seen take(struct slice in, size_t piece)
{
    struct seen s = {.end = IPX_AGAIN};
    struct framing f;
    struct mem mem;
    mem_init(&mem, 4 * BODY_MAX);
    framing_init(&f, &mem, BODY_MAX);
    for (size_t at = 0; at < in.len && s.end == IPX_AGAIN; at += piece) {
        struct slice bytes = slice_of(in.data + at, IPX_MIN(piece, in.len - at));
        uint8_t type;
        struct slice body;
        while ((s.end = framing_next(&f, &bytes, &type, &body)) == IPX_OK) {
            note(&s, type, body);
        }
    }
    s.is_between = framing_is_between(&f);
    framing_done(&f);
    assert(mem.used == 0);
    return s;
}

static void heads(struct slice in)
{
    for (size_t at = 0; at + MUX_HEADER_LEN <= in.len; at += MUX_HEADER_LEN) {
        struct mux_frame f;
        uint8_t again[MUX_HEADER_LEN];
        if (mux_frame_decode(in.data + at, &f) == IPX_OK) {
            mux_frame_encode(&f, again);
            assert(memcmp(in.data + at, again, sizeof(again)) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || crypt_init() != IPX_OK) {
        return 0;
    }
    struct slice in = slice_of(data + 1, size - 1);
    struct seen whole = take(in, IPX_MAX(in.len, 1u)), cut = take(in, 1u + data[0] % 37);
    assert(whole.n == cut.n && whole.end == cut.end);
    assert(whole.end != IPX_AGAIN || whole.is_between == cut.is_between);
    assert(memcmp(&whole.all, &cut.all, sizeof(whole.all)) == 0);
    heads(in);
    return 0;
}
