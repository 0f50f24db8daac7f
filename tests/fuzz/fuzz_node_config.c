/* SPDX-License-Identifier: Apache-2.0 */
/* By the first byte: a file of settings, applied to every command; a time as people type it; the
 * file of the coats that were told. */
#include "node/coats.h"
#include "node/config.h"
#include "node/when.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void settings(struct slice in)
{
    static struct config c;
    static char text[CONFIG_FILE_MAX + 1];
    char error[ARGS_ERROR_SIZE] = "";
    struct mem mem;
    if (in.len > CONFIG_FILE_MAX) {
        return;
    }
    memcpy(text, in.data, in.len);
    text[in.len] = '\0';
    mem_init(&mem, 1 << 20);
    c.n = 0;
    enum ipx_err err = config_parse(&c, "node.conf", text, &mem, error);
    assert(err == IPX_OK || err == IPX_MALFORMED);
    assert((err == IPX_OK) == (error[0] == '\0') && strlen(error) < sizeof(error));
    assert(c.n <= CONFIG_ENTRIES_MAX && mem.used == 0);
    for (unsigned i = 0; err == IPX_OK && i < COMMAND_N; i++) {
        static struct args a;
        a = (struct args){.has_command = true, .command = (enum command_id)i};
        enum ipx_err applied = config_apply(&c, &a, &mem, error);
        assert(applied == IPX_OK || (applied == IPX_MALFORMED && error[0] != '\0'));
        assert(a.n_values <= ARGS_VALUES_MAX && mem.used == 0);
    }
}

static void point_in_time(struct slice in)
{
    static const struct when_here here = {.now_us = INT64_C(1795478400000000), .offset_s = 3600};
    int64_t us = 0;
    if (when_parse(in, &here, &us) == IPX_OK) {
        assert(us >= 0 && us < INT64_C(253402300800000000)); /* year 10000 */
    }
}

static void coats(struct slice in)
{
    static struct coats c, again;
    uint8_t bytes[COATS_SAVE_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    if (coats_decode(in, &c) != IPX_OK) {
        return;
    }
    coats_encode(&c, &w);
    enum ipx_err err = coats_decode(writer_slice(&w), &again);
    assert(!w.failed && err == IPX_OK && again.n == c.n);
    for (unsigned i = 0; i < c.n; i++) {
        assert(node_id_equal(&c.all[i].id, &again.all[i].id));
        assert(addr_equal(&c.all[i].addr, &again.all[i].addr));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        static void (*const uses[])(struct slice) = {settings, point_in_time, coats};
        uses[data[0] % ARRAY_LEN(uses)](slice_of(data + 1, size - 1));
    }
    return 0;
}
