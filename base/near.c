/* SPDX-License-Identifier: Apache-2.0 */
#include "base/near.h"

/* The last three rows of the table are enough for swapped neighbours. */
struct rows {
    uint8_t row[3][NEAR_WORD_MAX + 1];
};

static uint8_t cell(const struct rows *r, const uint8_t *a, const uint8_t *b, size_t i, size_t j)
{
    const uint8_t *now = r->row[i % 3], *above = r->row[(i + 2) % 3], *two = r->row[(i + 1) % 3];
    unsigned best = above[j - 1] + (unsigned)(a[i - 1] != b[j - 1]);
    best = IPX_MIN(best, above[j] + 1u);
    best = IPX_MIN(best, now[j - 1] + 1u);
    if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        best = IPX_MIN(best, two[j - 2] + 1u);
    }
    return (uint8_t)best;
}

static size_t distance(struct slice a, struct slice b)
{
    struct rows r;
    for (size_t j = 0; j <= b.len; j++) {
        r.row[0][j] = (uint8_t)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        r.row[i % 3][0] = (uint8_t)i;
        for (size_t j = 1; j <= b.len; j++) {
            r.row[i % 3][j] = cell(&r, a.data, b.data, i, j);
        }
    }
    return r.row[a.len % 3][b.len];
}

void near_begin(struct near *n, struct slice word)
{
    *n = (struct near){.word = word, .distance = word.len <= 3 ? 2 : 3};
}

void near_offer(struct near *n, struct slice candidate)
{
    struct slice w = n->word;
    if (w.len == 0 || w.len > NEAR_WORD_MAX || candidate.len == 0 ||
        candidate.len > NEAR_WORD_MAX || slice_equal(w, candidate)) {
        return;
    }
    bool is_begin =
        w.len >= 2 && w.len < candidate.len && memcmp(w.data, candidate.data, w.len) == 0;
    size_t d = is_begin ? 1 : distance(w, candidate);
    /* a word of which nothing is left is another word */
    if (d < n->distance && d < IPX_MAX(w.len, candidate.len)) {
        n->distance = d;
        memcpy(n->best, candidate.data, candidate.len);
        n->best[candidate.len] = '\0';
    }
}

const char *near_found(const struct near *n)
{
    return n->best[0] != '\0' ? n->best : NULL;
}
