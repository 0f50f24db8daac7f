/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Replay window of a session key: counters arrive in any order, each once. Asked
 * only after the tag was checked (RFC 6479's ring of words).
 *
 * Invariant: a counter below top - REPLAY_BITS, or whose bit is set, is refused.
 */
#include "base/base.h"

#define REPLAY_BITS 1024                    /* reordering that is tolerated */
#define REPLAY_WORDS (REPLAY_BITS / 64 + 1) /* one word more: it is cleared as top moves on */

struct replay {
    uint64_t top; /* highest counter seen + 1; 0: none */
    uint64_t words[REPLAY_WORDS];
};

/* True if the counter is new; it is then marked. */
static inline bool replay_mark(struct replay *r, uint64_t counter)
{
    uint64_t word = counter / 64;
    if (counter >= r->top) {
        uint64_t top_word = r->top == 0 ? 0 : (r->top - 1) / 64;
        uint64_t n = IPX_MIN(word - top_word, REPLAY_WORDS);
        for (uint64_t i = 1; i <= n; i++) {
            r->words[(top_word + i) % REPLAY_WORDS] = 0;
        }
        r->top = counter + 1;
    } else if (r->top - counter > REPLAY_BITS) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << (counter % 64);
    bool is_new = (r->words[word % REPLAY_WORDS] & bit) == 0;
    r->words[word % REPLAY_WORDS] |= bit;
    return is_new;
}
