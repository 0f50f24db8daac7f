/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One face for two test runners. By default TEST() is Criterion's Test(). With
 * -DIPX_TEST_PLAIN the file becomes a plain program that runs its tests in order
 * in one process: for sanitizers, valgrind, gcov and machines without Criterion.
 * Both print the same "Synthesis" line; a run of no test fails in both.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(IPX_TEST_CHECKS)
/* Only the checks: for a program with its own main that uses a test's helpers. */
#define CHECK_FAIL(...)                                                                            \
    do {                                                                                           \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        abort();                                                                                   \
    } while (0)

#elif defined(IPX_TEST_PLAIN)

struct plain_test {
    const char *suite, *name;
    void (*run)(void);
    struct plain_test *next;
};
extern struct plain_test *plain_tests;

#define TEST(suite_, name_)                                                                        \
    static void test_##suite_##_##name_(void);                                                     \
    __attribute__((constructor)) static void reg_##suite_##_##name_(void)                          \
    {                                                                                              \
        static struct plain_test self_ = {#suite_, #name_, test_##suite_##_##name_, NULL};         \
        self_.next = plain_tests;                                                                  \
        plain_tests = &self_;                                                                      \
    }                                                                                              \
    static void test_##suite_##_##name_(void)

#define CHECK_FAIL(...)                                                                            \
    do {                                                                                           \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                            \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        abort();                                                                                   \
    } while (0)

struct plain_test *plain_tests;

#ifndef IPX_TEST_NO_MAIN /* a program that uses what tests share, and is none */
int main(int argc, char **argv)
{
    int n = 0;
    for (struct plain_test *t = plain_tests; t != NULL; t = t->next) {
        if (argc < 2 || strcmp(argv[1], t->name) == 0) {
            t->run();
            n++;
        }
    }
    fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: 0 | Crashing: 0\n", n,
            n);
    return n > 0 ? 0 : 1;
}
#endif

#else
#include <criterion/criterion.h>
#define TEST(suite_, name_) Test(suite_, name_)
#define CHECK_FAIL(...) cr_assert_fail(__VA_ARGS__)
#endif

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            CHECK_FAIL("%s:%d: not true: %s", __FILE__, __LINE__, #cond);                          \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long check_a_ = (long long)(a), check_b_ = (long long)(b);                            \
        if (check_a_ != check_b_) {                                                                \
            CHECK_FAIL("%s:%d: %s = %lld, wanted %s = %lld", __FILE__, __LINE__, #a, check_a_, #b, \
                       check_b_);                                                                  \
        }                                                                                          \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *check_a_ = (a), *check_b_ = (b);                                               \
        if (strcmp(check_a_, check_b_) != 0) {                                                     \
            CHECK_FAIL("%s:%d: %s = \"%s\", wanted \"%s\"", __FILE__, __LINE__, #a, check_a_,      \
                       check_b_);                                                                  \
        }                                                                                          \
    } while (0)
#define CHECK_MEM(a, b, len)                                                                       \
    do {                                                                                           \
        if (memcmp((a), (b), (len)) != 0) {                                                        \
            CHECK_FAIL("%s:%d: %s and %s differ", __FILE__, __LINE__, #a, #b);                     \
        }                                                                                          \
    } while (0)
#define CHECK_OK(err) CHECK_EQ((err), IPX_OK)
