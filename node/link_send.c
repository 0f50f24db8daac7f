/* SPDX-License-Identifier: Apache-2.0 */
#include "node/link_core.h"

/* What a link writes: its handshake, then records of frames, then CLOSE. */

/* One record of frames, and REKEY before it when the key is used up; 0 if there is nothing. */
static size_t link_put_record(struct link *l, uint8_t *out, size_t max)
{
    if (max < 2 * RECORD_OVERHEAD + MUX_OUTPUT_MIN) {
        return 0;
    }
    size_t len = 0;
    if (record_sealer_wants_rekey(&l->sealer)) {
        len = record_seal(&l->sealer, RECORD_REKEY, out, 0);
    }
    size_t room = IPX_MIN(max - len - RECORD_OVERHEAD, RECORD_PLAIN_MAX);
    size_t n = mux_output(l->mux, l->now_us, out + len + RECORD_HEADER_LEN, room);
    return n == 0 ? len : len + record_seal(&l->sealer, RECORD_DATA, out + len, n);
}

/* The last words. */
static size_t link_put_close(struct link *l, uint8_t *out)
{
    size_t len = 0;
    bool is_local = link_is_local(l);
    if (is_local) {
        mux_farewell(l->mux, l->code, out);
        len = MUX_FAREWELL_LEN;
    } else {
        if (record_sealer_wants_rekey(&l->sealer)) {
            len = record_seal(&l->sealer, RECORD_REKEY, out, 0);
        }
        if (!l->is_peer_closed) {
            mux_farewell(l->mux, l->code, out + len + RECORD_HEADER_LEN);
            len += record_seal(&l->sealer, RECORD_DATA, out + len, MUX_FAREWELL_LEN);
        }
        if (record_sealer_wants_rekey(&l->sealer)) {
            len += record_seal(&l->sealer, RECORD_REKEY, out + len, 0);
        }
        len += record_seal(&l->sealer, RECORD_CLOSE, out + len, 0);
    }
    l->is_close_owed = false;
    if (is_local || l->is_peer_closed) {
        link_down(l, l->code, l->why);
    }
    return len;
}

static size_t link_put_frames(struct link *l, uint8_t *out, size_t max)
{
    if (link_is_local(l)) {
        return mux_output(l->mux, l->now_us, out, max);
    }
    size_t len = 0;
    for (;;) {
        size_t n = link_put_record(l, out + len, max - len);
        if (n == 0) {
            return len;
        }
        len += n;
    }
}

size_t link_output(struct link *l, uint64_t now_us, uint8_t *out, size_t max)
{
    assert(max >= LINK_OUTPUT_MIN);
    l->now_us = now_us;
    if (l->state == LINK_STATE_DOWN) {
        return 0;
    }
    size_t len = link_hello_output(l, out, max);
    if (l->is_refused) {
        if (len == 0 || buf_slice(&l->hello->out).len == 0) {
            link_down(l, l->code, l->why);
        }
        return len;
    }
    if (l->hello != NULL && l->state >= LINK_STATE_UP && l->hello->out.len == 0) {
        link_hello_free(l);
    }
    if (l->state == LINK_STATE_UP) {
        len += link_put_frames(l, out + len, max - len);
        link_look_at_streams(l);
    }
    if (l->is_close_owed && max - len >= MUX_OUTPUT_MIN) {
        len += link_put_close(l, out + len);
    }
    return len;
}
