/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link under attack. The first byte of the input chooses how: 0 the rest is what a stranger
 * sends to the answerer; 1 the dialler is a member gone mad, and the rest is what it puts inside
 * its sealed records; 2 somebody on the way alters bytes of a link in use.
 */
#include <stdlib.h>

#include "tests/link_fixture.h"

static struct lf f;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    lf_init(&f, 1);
    return 0;
}

static void stranger(struct slice in)
{
    while (in.len > 0 && f.ends[1].n_down == 0) {
        size_t n = IPX_MIN(in.len, (size_t)in.data[0] + 1);
        link_recv(f.ends[1].link, f.now_us, slice_of(in.data, n));
        lf_drain(&f, 1);
        in = slice_of(in.data + n, in.len - n);
    }
    assert(f.ends[1].n_up == 0);
}

/* Seals pieces of the input with the dialler's own key. */
static void member(struct slice in)
{
    static uint8_t record[RECORD_MAX];
    uint32_t id;
    lf_run(&f, 0);
    enum ipx_err err = mux_open(link_mux(f.ends[1].link), 2, MUX_CLASS_RPC, 0, &id);
    assert(err == IPX_OK && f.ends[1].n_up == 1);
    struct record_sealer *sealer = &f.ends[0].link->sealer;
    while (in.len > 0 && f.ends[1].n_down == 0) {
        size_t n = IPX_MIN(in.len, (size_t)in.data[0] * 4 + 1);
        memcpy(record + RECORD_HEADER_LEN, in.data, n);
        size_t len = record_seal(sealer, RECORD_DATA, record, n);
        link_recv(f.ends[1].link, f.now_us, slice_of(record, len));
        lf_drain(&f, 1);
        f.ends[0].in_len = 0;
        lf_write(&f, 1, LINK_OUTPUT_MIN);
        f.now_us += 10 * US_PER_MS;
        in = slice_of(in.data + n, in.len - n);
    }
}

/* Each pair of bytes of the input: how far into what is under way, and what is changed there. */
static void on_the_way(struct slice in)
{
    static const uint8_t zeros[1000];
    lf_run(&f, 0);
    uint32_t id;
    enum ipx_err err = mux_open(link_mux(f.ends[0].link), 2, MUX_CLASS_RPC, 0, &id);
    assert(err == IPX_OK);
    size_t n_sent = 0;
    while (in.len >= 2 && f.ends[1].n_down == 0 && f.ends[0].n_down == 0) {
        n_sent += mux_send(link_mux(f.ends[0].link), id, slice_of(zeros, in.data[0] + 1));
        lf_write(&f, 0, LINK_OUTPUT_MIN);
        struct lf_end *to = &f.ends[1];
        if (to->in_len > 0) {
            to->in[in.data[0] % to->in_len] ^= in.data[1];
        }
        lf_read(&f, 1, SIZE_MAX);
        in = slice_of(in.data + 2, in.len - 2);
    }
    assert(f.ends[1].n_data <= n_sent && f.ends[1].n_finished == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct slice rest = slice_of(data + 1, size - 1);
    lf_connect(&f, &f.fx.ada.pk);
    if (data[0] % 3 == 0) {
        stranger(rest);
    } else if (data[0] % 3 == 1) {
        member(rest);
    } else {
        on_the_way(rest);
    }
    for (int i = 0; i < 2; i++) {
        struct lf_end *end = &f.ends[i];
        link_tick(end->link, f.now_us);
        lf_drain(&f, i);
        link_on_eof(end->link, f.now_us, IPX_END);
        lf_drain(&f, i);
        assert(end->n_down == 1);
        link_free(end->link);
        uint8_t *in = end->in;
        *end = (struct lf_end){.in = in};
    }
    assert(f.hosts[1].mem.peak < (size_t)64 << 20);
    f.now_us += US_PER_S;
    return 0;
}
