/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/exec_owner.h"

static struct bench b; /* large; its owner is not used here */

TEST(exec_meant, labels)
{
    static const struct {
        const char *query, *name, *meant; /* name NULL: all are known */
    } cases[] = {
        {"cpu.cores > 1", NULL, NULL},
        {"lab == \"bio\" and rtt < 1s and job.cpu == 1 and load < 1", NULL, NULL},
        {"any source (.name == \"cam1\" and .free)", NULL, NULL},
        {"cpu.coers > 1", "cpu.coers", "cpu.cores"},
        {"cpu.cors > 1 and lab == bio", "cpu.cors", "cpu.cores"},
        {"lab == bio", "bio", "\"bio\""},
        {"node.name == n2", "n2", "\"n2\""},
        {"labb == \"bio\"", "labb", "lab"},
        {"xyzzy > 1", "xyzzy", ""},
        {"xyzzy > 1 and cpu.core > 1", "cpu.core", "cpu.cores"}, /* an idea goes first */
        {"any source (.nam == \"x\")", ".nam", ".name"},
        {"any source (.cpu == 1)", ".cpu", ""}, /* a node's label is no field */
    };
    bench_init(&b);
    struct query *q;
    struct exec_meant m = {.name = "untouched"};
    CHECK_OK(query_compile(slice_text("xyzzy"), &b.mem, &q, NULL));
    CHECK(!meant_label(&b.core->match, q, &m)); /* where no ad is known, none lacks a label */
    CHECK_STR(m.name, "untouched");
    query_unref(q);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 2, 4);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_OK(query_compile(slice_text(cases[i].query), &b.mem, &q, NULL));
        bool is_found = meant_label(&b.core->match, q, &m);
        CHECK_EQ(is_found, cases[i].name != NULL);
        if (is_found && cases[i].name != NULL) {
            CHECK_STR(m.name, cases[i].name);
            CHECK_STR(m.meant, cases[i].meant);
        }
        query_unref(q);
    }
    bench_done(&b);
}

TEST(exec_meant, names)
{
    char meant[MEANT_SIZE];
    bench_init(&b);
    bench_peer(&b, 1, 4);
    bench_peer(&b, 12, 4);
    static const struct {
        const char *text, *node, *source;
    } cases[] = {{"n13", "n1", ""},           {"phys/n21", "phys/n12", ""},
                 {"cam", "", "cam1"},         {"phys/cam2", "", "phys/cam12"},
                 {"nobody", "", ""},          {"", "", ""},
                 {"bio/cma1", "", "bio/cam1"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        meant_node(&b.core->match, slice_text(cases[i].text), meant);
        CHECK_STR(meant, cases[i].node);
        meant_source(&b.core->match, slice_text(cases[i].text), meant);
        CHECK_STR(meant, cases[i].source);
    }
    bench_done(&b);
}
