/* SPDX-License-Identifier: Apache-2.0 */
#include "node/args.h"
#include "tests/harness.h"

#include <stdio.h>

#define ARGC_MAX 16

struct parsed {
    struct args args;
    char *argv[ARGC_MAX], *words[ARGC_MAX];
    char line[512];
    char error[ARGS_ERROR_SIZE];
    enum ipx_err err;
};

/* The words of a line, separated by |. */
static void parse(struct parsed *p, const char *line)
{
    struct mem mem;
    int argc = 0;
    mem_init(&mem, SIZE_MAX);
    snprintf(p->line, sizeof(p->line), "ipx-node|%s", line);
    for (char *at = p->line; at != NULL && argc < ARGC_MAX;) {
        p->argv[argc++] = at;
        at = strchr(at, '|');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    p->error[0] = '\0';
    p->err = args_parse(argc, p->argv, p->words, &mem, &p->args, p->error);
    CHECK_EQ(mem.used, 0);
}

TEST(node_args, flags_stand_anywhere_and_a_command_line_is_left_alone)
{
    struct parsed p;
    parse(&p, "--json|nodes|--where|cpu.cores > 1|--sort=name|--where=true");
    CHECK_OK(p.err);
    CHECK_EQ(p.args.command, COMMAND_NODES);
    CHECK(args_has(&p.args, FLAG_JSON));
    CHECK_STR(args_nth(&p.args, FLAG_WHERE, 0), "cpu.cores > 1");
    CHECK_STR(args_nth(&p.args, FLAG_WHERE, 1), "true");
    CHECK(args_nth(&p.args, FLAG_WHERE, 2) == NULL);
    CHECK_STR(args_text(&p.args, FLAG_SORT), "name");
    parse(&p, "run|--cpu|2|-d|ls|-l|--where|--");
    CHECK_OK(p.err);
    CHECK_EQ(p.args.n_words, 4);
    CHECK_STR(p.args.words[0], "ls");
    CHECK_STR(p.args.words[3], "--");
    CHECK(args_has(&p.args, FLAG_DETACH) && !args_has(&p.args, FLAG_WHERE));
    parse(&p, "publish|src|--rate|25Hz|--|cmd|--rate|x");
    CHECK_OK(p.err);
    CHECK_EQ(p.args.n_words, 4);
    CHECK_EQ((int)args_number(&p.args, FLAG_RATE, 0), 25);
    parse(&p, "run|--mem|2KiB|--time|1500ms|--|--odd");
    CHECK_OK(p.err);
    CHECK_STR(p.args.words[0], "--odd");
    CHECK_EQ((int)args_number(&p.args, FLAG_MEM, 0), 2048);
    CHECK_EQ((int)(args_number(&p.args, FLAG_TIME, 0) * 1000), 1500);
    CHECK_EQ((int)args_number(&p.args, FLAG_RETRY, 7), 7);
}

TEST(node_args, what_is_wrong_is_named)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"nodez", "Did you mean nodes?"},
        {"frobnicate", "there is no command \"frobnicate\""},
        {"nodes|--were|true", "Did you mean --where?"},
        {"nodes|--cpu|2", "nodes has no flag --cpu"},
        {"nodes|-x", "no flag -x"},
        {"nodes|extra", "nodes does not take \"extra\""},
        {"ping", "ping wants an argument"},
        {"run|--cpu", "--cpu wants a value"},
        {"run|--cpu|two|ls", "a whole number is wanted"},
        {"run|--mem|5s|ls", "a size is typed like"},
        {"run|--time|5|ls", "a time is typed like"},
        {"run|--where|a >|ls", "at character"},
        {"run|--env|1A=x|ls", "NAME or NAME=value"},
        {"run|--pure=x|ls", "--pure takes no value"},
        {"map|--range|x|ls", "a range is typed"},
        {"new|sky|--lab|Lab", "a lab is a-z"},
        {"new|sky|--listen|here", "an address is typed"},
        {"join|--label|=1", "a label is typed"},
        {"invite|--role|king", "it is one of user|node|operator"},
        {"--color|pink|status", "it is one of auto|always|never"},
        {"run|--on=|ls", "it is empty"},
    };
    struct parsed p;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        parse(&p, cases[i].line);
        CHECK_EQ(p.err, IPX_MALFORMED);
        CHECK(strstr(p.error, cases[i].part) != NULL);
        CHECK(strchr(p.error, '\n') == NULL);
        CHECK(strstr(p.error, "See: ipx-node ") != NULL);
    }
}

TEST(node_args, help_of_every_command_wants_no_arguments)
{
    struct parsed p;
    char line[64];
    for (unsigned i = 0; i < COMMAND_N; i++) {
        snprintf(line, sizeof(line), "%s|--help", args_commands[i].name);
        parse(&p, line);
        CHECK_OK(p.err);
        CHECK_EQ(p.args.command, i);
        CHECK(args_has(&p.args, FLAG_HELP));
    }
    parse(&p, "");
    CHECK_EQ(p.err, IPX_MALFORMED);
}

/* Every command and flag of the table is in the texts made from it, and nothing overruns. */
TEST(node_args, texts_are_made_from_the_table)
{
    static char text[65536];
    for (unsigned i = 0; i < COMMAND_N; i++) {
        const struct arg_command *c = &args_commands[i];
        struct writer w = writer_of(text, sizeof(text) - 1);
        CHECK(c->name != NULL && c->help != NULL && c->flags != NULL && c->words != NULL);
        args_help_command("ipx", (enum command_id)i, &w);
        CHECK(!w.failed);
        text[w.len] = '\0';
        for (const enum flag_id *f = c->flags; *f != FLAG_NONE; f++) {
            CHECK(strstr(text, args_flags[*f].name) != NULL);
            CHECK(args_flags[*f].type == ARG_SWITCH || args_flags[*f].value != NULL);
        }
    }
    struct writer w = writer_of(text, sizeof(text) - 1);
    args_help_all("ipx", &w);
    CHECK(!w.failed);
    text[w.len] = '\0';
    for (unsigned i = 0; i < COMMAND_N; i++) {
        CHECK(strstr(text, args_commands[i].name) != NULL);
    }
    w = writer_of(text, sizeof(text));
    args_help_man("0.1.0", &w);
    CHECK(!w.failed);
    w = writer_of(text, 100);
    args_help_man("0.1.0", &w);
    CHECK(w.failed);
}
