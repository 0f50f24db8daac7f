/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes through the CBOR reader: skipping an item, taking it raw and reading it
 * piece by piece must agree, and writing what was read must give the same bytes,
 * for there is one encoding of a value only.
 */
#include "base/cbor.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is open while an item is copied: its own count, since the reader's is private. */
struct open {
    uint64_t left;
    bool is_map;
};

static void copy_scalar(struct cbor_reader *r, enum cbor_type type, struct writer *w)
{
    switch (type) {
    case CBOR_UINT:
        cbor_put_u64(w, cbor_u64(r));
        break;
    case CBOR_BYTES:
        cbor_put_bytes(w, cbor_bytes(r, SIZE_MAX));
        break;
    case CBOR_TEXT:
        cbor_put_text(w, cbor_text(r, SIZE_MAX));
        break;
    case CBOR_BOOL:
        cbor_put_bool(w, cbor_bool(r));
        break;
    case CBOR_NULL:
        cbor_null(r);
        cbor_put_null(w);
        break;
    case CBOR_DOUBLE:
        cbor_put_double(w, cbor_double(r));
        break;
    case CBOR_NINT: /* the lower half of the negatives has no int64_t: taken raw */
        cbor_put_raw(w, cbor_raw(r));
        break;
    case CBOR_ARRAY:
    case CBOR_MAP:
    case CBOR_END:
    default:
        r->failed = true;
        break;
    }
}

/* Copies the item that begins here, up to and with its end. */
static void copy_item(struct cbor_reader *r, struct writer *w)
{
    struct open opens[CBOR_DEPTH_MAX];
    size_t n = 0;
    do {
        enum cbor_type type = cbor_peek(r);
        if (type == CBOR_ARRAY) {
            uint64_t count = cbor_array_begin(r, UINT64_MAX);
            if (r->failed) {
                return;
            }
            cbor_put_array(w, count);
            opens[n++] = (struct open){.left = count};
        } else if (type == CBOR_MAP) {
            cbor_map_begin(r);
            if (r->failed) {
                return;
            }
            cbor_put_map(w, r->levels[r->depth - 1].left);
            opens[n++] = (struct open){.is_map = true};
        } else {
            copy_scalar(r, type, w);
        }
        while (n > 0 && !r->failed) { /* to the next place where an item is wanted */
            uint64_t key;
            if (opens[n - 1].is_map && cbor_map_next(r, &key)) {
                cbor_put_u64(w, key);
                break;
            }
            if (!opens[n - 1].is_map && opens[n - 1].left > 0) {
                opens[n - 1].left--;
                break;
            }
            if (!opens[n - 1].is_map) {
                cbor_array_end(r);
            }
            n--;
        }
    } while (n > 0 && !r->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    struct slice in = slice_of(data, size);
    struct cbor_reader skipping = cbor_reader_of(in);
    struct cbor_reader taking = cbor_reader_of(in);
    struct cbor_reader copying = cbor_reader_of(in);
    cbor_skip(&skipping);
    struct slice raw = cbor_raw(&taking);
    assert(taking.failed == skipping.failed);
    assert(skipping.failed || (raw.data == data && raw.len == skipping.pos && raw.len > 0));

    uint8_t *out = mem_alloc(&mem, size);
    assert(out != NULL);
    struct writer w = writer_of(out, size);
    copy_item(&copying, &w);
    /* Reading knows unsigned keys only, skipping knows others too: the one difference. */
    assert(copying.failed || !skipping.failed);
    if (!copying.failed) {
        assert(slice_equal(writer_slice(&w), raw));
        assert(copying.pos == raw.len && copying.depth == 0);
        assert(cbor_done(&copying) == cbor_done(&skipping));
    }
    mem_free(&mem, out);
    assert(mem.used == 0);
    return 0;
}
