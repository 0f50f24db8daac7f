/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config.h"
#include "tests/harness.h"

#include <stdio.h>

static struct config c;
static struct args a;

static enum ipx_err parse(const char *file, const char *text, char *buf, size_t size, char *error)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    snprintf(buf, size, "%s", text);
    enum ipx_err err = config_parse(&c, file, buf, &mem, error);
    CHECK_EQ(mem.used, 0);
    return err;
}

TEST(node_config, flags_then_sections_then_files)
{
    char one[512], two[512], error[ARGS_ERROR_SIZE];
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    c.n = 0;
    CHECK_OK(parse("home",
                   "# mine\n\n  retry = 2 \r\nquiet=true\nverbose = false\n[map]\n"
                   "retry = 5\nenv = A=1\nenv = B=2\n",
                   one, sizeof(one), error));
    CHECK_OK(parse("etc", "retry = 7\nlimit = 3\n[map]\nenv = C=3\n[ run ]\ntime = 5s\n", two,
                   sizeof(two), error));
    a = (struct args){.has_command = true, .command = COMMAND_MAP};
    CHECK_OK(config_apply(&c, &a, &mem, error));
    CHECK_EQ((int)args_number(&a, FLAG_RETRY, 0), 5);
    CHECK_EQ((int)args_number(&a, FLAG_LIMIT, 0), 3);
    CHECK(args_has(&a, FLAG_QUIET) && !args_has(&a, FLAG_VERBOSE));
    CHECK(!args_has(&a, FLAG_TIME)); /* of run */
    CHECK_STR(args_nth(&a, FLAG_ENV, 0), "A=1");
    CHECK_STR(args_nth(&a, FLAG_ENV, 1), "B=2");
    CHECK(args_nth(&a, FLAG_ENV, 2) == NULL);
    a = (struct args){.has_command = true, .command = COMMAND_RUN, .n_values = 1};
    a.values[0] = (struct args_value){.id = FLAG_RETRY, .text = "9", .number = 9};
    CHECK_OK(config_apply(&c, &a, &mem, error));
    CHECK_EQ((int)args_number(&a, FLAG_RETRY, 0), 9); /* as typed */
    CHECK_EQ((int)args_number(&a, FLAG_TIME, 0), 5);
    CHECK_EQ(config_find(&c, COMMAND_RUN, "retry")->line, 3);
    CHECK_STR(config_find(&c, COMMAND_RUN, "limit")->file, "etc");
    CHECK(config_find(&c, COMMAND_RUN, "accept") == NULL);
}

TEST(node_config, what_is_wrong_is_told_with_its_line)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"retyr = 2", "f:1: unknown key \"retyr\". Did you mean retry?"},
        {"\n\nlisten = nowhere:x", "f:3: listen is not valid"},
        {"retry", "f:1: a line is typed key = value"},
        {"[mpa]", "f:1: there is no command \"mpa\". Did you mean map?"},
        {"[map", "a section is typed [command]"},
        {"[nodes]\nretry = 2", "f:2: unknown key \"retry\""},
        {"quiet = yes", "true or false is wanted"},
        {"color = blue", "one of auto|always|never"},
        {"help = true", "unknown key \"help\""},
        {"retry = 2\nretry = 3", "f:2: it stands here twice"},
        {"= 2", "unknown key \"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char buf[256], error[ARGS_ERROR_SIZE] = "";
        c.n = 0;
        CHECK_EQ(parse("f", cases[i].text, buf, sizeof(buf), error), IPX_MALFORMED);
        CHECK(strstr(error, cases[i].told) != NULL);
    }
    char many[2048], error[ARGS_ERROR_SIZE] = "";
    size_t len = 0;
    for (int i = 0; i <= CONFIG_ENTRIES_MAX; i++) {
        len += (size_t)snprintf(many + len, sizeof(many) - len, "label = a=%d\n", i);
    }
    c.n = 0;
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    CHECK_EQ(config_parse(&c, "f", many, &mem, error), IPX_MALFORMED);
    CHECK(strstr(error, "f:65:") != NULL);
}
