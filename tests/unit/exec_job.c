/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness.h"

#include "exec/job.h"

struct words {
    uint8_t bytes[4096];
    struct exec_list list;
};

/* A list of the words of `text`, which are separated by '|'. */
static void words_make(struct words *l, const char *text)
{
    struct writer w = writer_of(l->bytes, sizeof(l->bytes));
    uint64_t n = text[0] != 0;
    for (const char *p = text; *p != 0; p++) {
        n += *p == '|';
    }
    cbor_put_array(&w, n);
    for (const char *p = text; n > 0; n--) {
        size_t len = strcspn(p, "|");
        cbor_put_bytes(&w, slice_of(p, len));
        p += len + (p[len] != 0);
    }
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    l->list = exec_list_read(&r, EXEC_ARGV_MAX, EXEC_ARGV_BYTES_MAX);
    CHECK(cbor_done(&r));
}

TEST(exec_job, placeholders)
{
    static const struct {
        const char *template, *item;
        uint32_t index;
        const char *want; /* words behind one another, '|' for each NUL */
    } cases[] = {
        {"echo|{}", "a b", 0, "echo|a b|"},
        {"echo", "a", 0, "echo|a|"},
        {"echo|-x", "a\tb", 7, "echo|-x|a|b|"},
        {"{}", "a\tb\tc", 0, "a b c|"},
        {"cp|{1}|{2}|{3}", "a\tb", 0, "cp|a|b||"},
        {"x{2}y{1}", "a\tb", 0, "xbya|"},
        {"{.}.png", "dir.d/im.jpg", 3, "dir.d/im.png|"},
        {"{.}", "dir.d/im", 3, "dir.d/im|"},
        {"{.}", ".profile", 3, ".profile|"},
        {"{.}", "a/.profile", 3, "a/.profile|"},
        {"{.}", "a.tar.gz", 3, "a.tar|"},
        {"{#}|{}", "v", 12, "12|v|"},
        {"{16}|{17}|{0}|{01}|{x}|{", "v", 1, "|{17}|{0}|{01}|{x}|{|"},
        {"{}{}", "ab", 1, "abab|"},
        {"{{}}", "ab", 1, "{ab}|"},
        {"echo", "", 1, "echo||"},
        {"a|{", "", 1, "a|{||"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct words l;
        uint8_t out[256];
        uint32_t n = 0, nuls = 0;
        words_make(&l, cases[i].template);
        struct exec_spec spec = {.mode = EXEC_MODE_MAP, .argv = l.list};
        struct writer w = writer_of(out, sizeof(out));
        job_argv_write(&spec, slice_text(cases[i].item), cases[i].index, &w, &n);
        struct slice got = writer_slice(&w);
        for (size_t k = 0; k < got.len; k++) {
            if (out[k] == 0) {
                out[k] = '|';
                nuls++;
            }
        }
        out[got.len] = 0;
        CHECK_STR((const char *)out, cases[i].want);
        CHECK_EQ(n, nuls);
    }
}

TEST(exec_job, run_is_not_expanded_and_overflow_fails)
{
    struct words l;
    uint8_t out[16];
    uint32_t n;
    words_make(&l, "awk|{}");
    struct exec_spec spec = {.mode = EXEC_MODE_RUN, .argv = l.list};
    struct writer w = writer_of(out, sizeof(out));
    job_argv_write(&spec, SLICE_EMPTY, 0, &w, &n);
    CHECK_EQ(n, 2);
    CHECK_MEM(writer_slice(&w).data, "awk\0{}", 7);
    spec.mode = EXEC_MODE_MAP;
    w = writer_of(out, sizeof(out));
    job_argv_write(&spec, slice_text("longer than sixteen"), 0, &w, &n);
    CHECK(w.failed);
}

TEST(exec_job, ranges)
{
    static const struct {
        const char *text;
        enum ipx_err err;
        uint32_t count;
        const char *first, *last;
    } cases[] = {
        {"1-3", IPX_OK, 3, "1", "3"},
        {"0-0", IPX_OK, 1, "0", "0"},
        {"1-10:3", IPX_OK, 4, "1", "10"},
        {"1-9:3", IPX_OK, 3, "1", "7"},
        {"5-1", IPX_OK, 5, "5", "1"},
        {"5-1:2", IPX_OK, 3, "5", "1"},
        {"5-1:-2", IPX_OK, 3, "5", "1"},
        {"-3--1", IPX_OK, 3, "-3", "-1"},
        {"1-1000000", IPX_OK, 1000000, "1", "1000000"},
        {"0-1000000", IPX_LIMIT, 0, NULL, NULL},
        {"0-999999999999999999", IPX_LIMIT, 0, NULL, NULL},
        {"0-9999999999999999999", IPX_MALFORMED, 0, NULL, NULL},
        {"-999999999999999999-999999999999999999", IPX_LIMIT, 0, NULL, NULL},
        {"", IPX_MALFORMED, 0, NULL, NULL},
        {"1", IPX_MALFORMED, 0, NULL, NULL},
        {"1-", IPX_MALFORMED, 0, NULL, NULL},
        {"1-2:", IPX_MALFORMED, 0, NULL, NULL},
        {"1-2:0", IPX_MALFORMED, 0, NULL, NULL},
        {"1-2x", IPX_MALFORMED, 0, NULL, NULL},
        {"a-b", IPX_MALFORMED, 0, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job_range r = {.count = 77};
        char text[24];
        CHECK_EQ(job_range_parse(slice_text(cases[i].text), &r), cases[i].err);
        CHECK_EQ(r.count, cases[i].err == IPX_OK ? cases[i].count : 77);
        if (cases[i].err == IPX_OK) {
            CHECK_EQ(job_range_item(&r, 0, text), strlen(cases[i].first));
            CHECK_STR(text, cases[i].first);
            job_range_item(&r, r.count - 1, text);
            CHECK_STR(text, cases[i].last);
        }
    }
}

TEST(exec_job, environment_and_seed)
{
    struct exec_job_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
    char text[EXEC_JOB_TEXT_SIZE];
    uint8_t out[512];
    uint32_t n = 0, nuls = 0;
    job_id_text(&id, text);
    CHECK_EQ(strlen(text), EXEC_JOB_TEXT_SIZE - 1);
    CHECK(job_seed(&id, 3) == job_seed(&id, 3));
    CHECK(job_seed(&id, 3) != job_seed(&id, 4));
    struct job_env e = {&id, 3, 10, 2, 0, "gpu", "phys"};
    struct writer w = writer_of(out, sizeof(out));
    job_env_write(&e, &w, &n);
    for (size_t i = 0; i < w.len; i++) {
        nuls += out[i] == 0;
    }
    CHECK_EQ(n, 7);
    CHECK_EQ(nuls, 7);
    CHECK_STR((char *)out + strlen((char *)out) + 1, "IPX_INDEX=3");
    e.deadline_ms = 1700000000123;
    w = writer_of(out, sizeof(out));
    job_env_write(&e, &w, &n);
    CHECK_EQ(n, 8);
    CHECK(memmem(out, w.len, "IPX_DEADLINE=1700000000", 24) != NULL);
    CHECK(memmem(out, w.len, "IPX_NODE=gpu", 13) != NULL);
}

/* A spec is refused when a word or a pair of the environment could not be given to a process. */
TEST(exec_job, specs)
{
    static const struct {
        const char *argv, *env, *stream;
        enum exec_mode mode;
        enum exec_stdin in;
        uint32_t count, cpu;
        enum ipx_err err;
    } cases[] = {
        {"a|b", "K=V|L=", "", EXEC_MODE_RUN, EXEC_STDIN_CLIENT, 1, 1, IPX_OK},
        {"a", "", "cam0", EXEC_MODE_MAP, EXEC_STDIN_SOURCE, 9, 4, IPX_OK},
        {"", "", "", EXEC_MODE_RUN, EXEC_STDIN_NONE, 1, 1, IPX_MALFORMED},
        {"a", "K", "", EXEC_MODE_RUN, EXEC_STDIN_NONE, 1, 1, IPX_MALFORMED},
        {"a", "=V", "", EXEC_MODE_RUN, EXEC_STDIN_NONE, 1, 1, IPX_MALFORMED},
        {"a", "", "cam0", EXEC_MODE_RUN, EXEC_STDIN_NONE, 1, 1, IPX_MALFORMED},
        {"a", "", "", EXEC_MODE_RUN, EXEC_STDIN_SOURCE, 1, 1, IPX_MALFORMED},
        {"a", "", "", EXEC_MODE_RUN, EXEC_STDIN_NONE, 2, 1, IPX_MALFORMED},
        {"a", "", "", EXEC_MODE_MAP, EXEC_STDIN_NONE, 0, 1, IPX_MALFORMED},
        {"a", "", "", EXEC_MODE_MAP, EXEC_STDIN_NONE, 1000001, 1, IPX_MALFORMED},
        {"a", "", "", EXEC_MODE_MAP, EXEC_STDIN_NONE, 1, 0, IPX_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct words argv, env;
        uint8_t out[512], again[512];
        words_make(&argv, cases[i].argv);
        words_make(&env, cases[i].env);
        struct exec_spec s = {.mode = cases[i].mode,
                              .output = EXEC_OUTPUT_CAPTURE,
                              .stdin_kind = cases[i].in,
                              .count = cases[i].count,
                              .needs = {.cpu = cases[i].cpu, .mem = 5},
                              .argv = argv.list,
                              .env = env.list,
                              .where = slice_text("lab == \"a\""),
                              .stream = slice_text(cases[i].stream)};
        struct exec_spec got = {.count = 77};
        struct writer w = writer_of(out, sizeof(out)), w2 = writer_of(again, sizeof(again));
        exec_spec_encode(&s, &w);
        CHECK_EQ(exec_spec_decode(writer_slice(&w), &got), cases[i].err);
        if (cases[i].err == IPX_OK) {
            exec_spec_encode(&got, &w2);
            CHECK(slice_equal(writer_slice(&w), writer_slice(&w2)));
            CHECK_EQ(got.argv.n, argv.list.n);
        } else {
            CHECK_EQ(got.count, 77);
        }
    }
    struct words argv;
    uint8_t out[64];
    struct writer w = writer_of(argv.bytes, sizeof(argv.bytes));
    cbor_put_array(&w, 1);
    cbor_put_bytes(&w, slice_of("a\0b", 3));
    struct cbor_reader r = cbor_reader_of(writer_slice(&w));
    struct exec_spec s = {.mode = EXEC_MODE_RUN, .output = 1, .count = 1, .needs = {.cpu = 1}};
    s.argv = exec_list_read(&r, 4, 100);
    w = writer_of(out, sizeof(out));
    exec_spec_encode(&s, &w);
    CHECK_EQ(exec_spec_decode(writer_slice(&w), &s), IPX_MALFORMED);
}
