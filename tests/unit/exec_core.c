/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/core.h"

/* Handles are never 0, below 2^31, and one that was given back is not found again. */
TEST(exec_core, stream_handles)
{
    static struct exec_core c;
    static uint32_t handles[EXEC_STREAMS_MAX];
    int user;
    uint32_t handle;
    for (uint32_t i = 0; i < EXEC_STREAMS_MAX; i++) {
        CHECK_OK(core_stream_take(&c, CORE_STREAM_OWNER, &user, &handles[i]));
        CHECK(handles[i] != 0 && handles[i] <= INT32_MAX);
        CHECK(core_stream_find(&c, handles[i])->user == &user);
    }
    CHECK_EQ(core_stream_take(&c, CORE_STREAM_OWNER, &user, &handle), IPX_FULL);
    core_stream_free(&c, handles[7]);
    CHECK(core_stream_find(&c, handles[7]) == NULL);
    CHECK_OK(core_stream_take(&c, CORE_STREAM_SOURCE, &user, &handle));
    CHECK(handle != handles[7]);
    CHECK(core_stream_find(&c, handles[7]) == NULL);
    CHECK_EQ(core_stream_find(&c, handle)->kind, CORE_STREAM_SOURCE);
    core_stream_free(&c, handle);
    c.stream_next = INT32_MAX - 1; /* round the end of the numbers */
    core_stream_free(&c, handles[0]);
    CHECK_OK(core_stream_take(&c, CORE_STREAM_OWNER, &user, &handle));
    CHECK(handle != 0 && handle <= INT32_MAX);
    CHECK_EQ(c.n_streams, EXEC_STREAMS_MAX - 1);
}

TEST(exec_core, wall_clock)
{
    static struct exec_core c = {.wall_minus_now_ms = 1000};
    CHECK_EQ(core_wall_ms(&c, 5 * US_PER_MS + 999), 1005);
}
