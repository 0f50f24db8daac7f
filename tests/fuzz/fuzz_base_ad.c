/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of an ad: what is taken encodes to the same bytes, and its text form is the same ad. */
#include <stdlib.h>

#include "base/label.h"

#define TEXT_MAX (64 * 1024) /* numbers far from 1 are long as text */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool is_true)
{
    if (!is_true) {
        abort();
    }
}

static void compare(void *user, struct slice name, struct ad *ad)
{
    const struct ad **wanted = user;
    need(name.len == 0 && *wanted != NULL && slice_equal((*wanted)->encoded, ad->encoded));
    *wanted = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t text[TEXT_MAX];
    uint8_t bytes[LABEL_AD_BYTES_MAX];
    struct mem mem;
    struct ad *ad = NULL;
    mem_init(&mem, SIZE_MAX);
    if (ad_decode(slice_of(data, size), &mem, &ad) == IPX_OK) {
        struct writer w = writer_of(bytes, sizeof(bytes));
        ad_encode(ad, &w);
        need(!w.failed && slice_equal(writer_slice(&w), slice_of(data, size)));

        w = writer_of(text, sizeof(text));
        ad_text_print(ad, &w);
        const struct ad *wanted = ad;
        uint32_t line = 0;
        if (!w.failed && w.len > 0) { /* an ad of nothing is no text */
            need(ad_text_parse(writer_slice(&w), &mem, compare, &wanted, &line) == IPX_OK);
            need(wanted == NULL);
        }
    }
    ad_unref(ad);
    need(mem.used == 0);
    return 0;
}
