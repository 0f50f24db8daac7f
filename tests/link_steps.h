/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What tests of links do again and again with the two ends of tests/link_fixture.h.
 */
#include "tests/link_fixture.h"

static inline void lf_send(struct lf *f, int i, uint32_t stream, size_t len)
{
    static const uint8_t zeros[200000];
    assert(len <= sizeof(zeros));
    size_t n = mux_send(link_mux(f->ends[i].link), stream, slice_of(zeros, len));
    assert(n == len);
}

static inline void lf_up(struct lf *f, uint64_t seed)
{
    lf_init(f, seed);
    lf_connect(f, &f->fx.ada.pk);
    lf_run(f, 0);
    assert(f->ends[0].n_up == 1);
    assert(f->ends[1].n_up == 1);
}

static inline uint32_t lf_open(struct lf *f, int i)
{
    uint32_t id = 0;
    enum ipx_err err = mux_open(link_mux(f->ends[i].link), 2, MUX_CLASS_RPC, 0, &id);
    assert(err == IPX_OK);
    return id;
}

/* Advances time in steps as the owner would: to each deadline. */
static inline void lf_pass(struct lf *f, uint64_t us, bool is_connected)
{
    uint64_t until_us = f->now_us + us;
    for (;;) {
        uint64_t due_us = until_us;
        for (int i = 0; i < 2; i++) {
            due_us = IPX_MIN(due_us, link_deadline(f->ends[i].link));
        }
        f->now_us = IPX_MAX(due_us, f->now_us);
        for (int i = 0; i < 2; i++) {
            link_tick(f->ends[i].link, f->now_us);
            lf_drain(f, i);
        }
        if (is_connected) {
            lf_run(f, 0);
        } else {
            lf_write(f, 0, LINK_OUTPUT_MIN);
            lf_write(f, 1, LINK_OUTPUT_MIN);
            f->ends[0].in_len = f->ends[1].in_len = 0;
        }
        if (due_us >= until_us) {
            return;
        }
    }
}
