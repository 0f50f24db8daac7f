/* SPDX-License-Identifier: Apache-2.0 */
/* Ads as text: whatever parses prints to the text of the same ad; a refusal names a line. */
#include <stdlib.h>

#include "base/label.h"

#define TEXT_MAX (64 * 1024)

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

static void print_again(void *user, struct slice name, struct ad *ad)
{
    static uint8_t text[TEXT_MAX];
    struct mem *mem = user;
    struct writer w = writer_of(text, sizeof(text));
    const struct ad *wanted = ad;
    uint32_t line = 0;
    (void)name;
    ad_text_print(ad, &w);
    if (!w.failed && w.len > 0) {
        need(ad_text_parse(writer_slice(&w), mem, compare, &wanted, &line) == IPX_OK);
        need(wanted == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    uint32_t line = 0;
    mem_init(&mem, SIZE_MAX);
    enum ipx_err err = ad_text_parse(slice_of(data, size), &mem, print_again, &mem, &line);
    need(err == IPX_OK || (err == IPX_MALFORMED && line > 0));
    need(mem.used == 0);
    return 0;
}
