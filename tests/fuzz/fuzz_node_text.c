/* SPDX-License-Identifier: Apache-2.0 */
/* What people type: a command line, one word a line, and the small texts inside it. What is
 * printed of what was read reads again as the same. */
#include "base/addr.h"
#include "base/cert.h"
#include "exec/exec.h"
#include "node/args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64
#define TEXT_MAX 4096

static void command_line(struct slice in)
{
    char line[TEXT_MAX + 1], program[] = "ipx-node", error[ARGS_ERROR_SIZE] = "";
    char *argv[WORDS_MAX + 1] = {program}, *words[WORDS_MAX];
    int argc = 1;
    struct args a;
    struct mem mem;
    memcpy(line, in.data, in.len);
    line[in.len] = '\0';
    for (char *at = line; at != NULL && argc < WORDS_MAX;) {
        argv[argc++] = at;
        at = strchr(at, '\n');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    mem_init(&mem, 1 << 20);
    enum ipx_err err = args_parse(argc, argv, words, &mem, &a, error);
    assert(err == IPX_OK || err == IPX_MALFORMED);
    assert((err == IPX_OK) == (error[0] == '\0') && strlen(error) < sizeof(error));
    assert(a.n_values <= ARGS_VALUES_MAX && a.n_words < (size_t)argc);
    assert(mem.used == 0);
}

static void address(struct slice in)
{
    struct addr a, again;
    char text[ADDR_TEXT_SIZE];
    if (addr_parse(in, 7433, &a) == IPX_OK) {
        addr_text(&a, text);
        enum ipx_err err = addr_parse(slice_text(text), 1, &again);
        assert(err == IPX_OK && addr_equal(&a, &again));
    }
}

static void digits(struct slice in)
{
    uint8_t bytes[64];
    char text[2 * sizeof(bytes) + 1];
    size_t len = 0, again = 0;
    if (hex_decode(in, bytes, sizeof(bytes), &len) == IPX_OK) {
        hex_encode(slice_of(bytes, len), text);
        assert(strlen(text) == in.len);
    }
    if (base32_decode(in, bytes, sizeof(bytes), &len) == IPX_OK) {
        size_t n = base32_encode(slice_of(bytes, len), text, sizeof(text));
        uint8_t back[sizeof(bytes)];
        enum ipx_err err = base32_decode(slice_of(text, n), back, sizeof(back), &again);
        assert(err == IPX_OK && again == len && memcmp(back, bytes, len) == 0);
    }
}

static void names(struct slice in)
{
    struct hash h;
    uint32_t caps;
    struct job_range r;
    char item[24];
    if (cert_role_parse(in, &caps) == IPX_OK) {
        assert(slice_equal(slice_text(cert_role_text(caps)), in));
    }
    if (job_range_parse(in, &r) == IPX_OK) {
        assert(r.count >= 1 && job_range_item(&r, r.count - 1, item) < sizeof(item));
    }
    err_ignore(node_fingerprint_parse(in, &h), "any text will do");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > TEXT_MAX) {
        return 0;
    }
    struct slice in = slice_of(data, size);
    command_line(in);
    address(in);
    digits(in);
    names(in);
    return 0;
}
