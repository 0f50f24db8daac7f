/* SPDX-License-Identifier: Apache-2.0 */
/* help and version. */
#include <stdio.h>

#include "node/cmd.h"

#define HELP_MAX 65536

static const char *flag_value(const struct arg_flag *f)
{
    return f->type == ARG_SWITCH ? "" : f->value;
}

static json_t *flags_json(const enum flag_id *ids)
{
    json_t *list = json_array();
    for (; *ids != FLAG_NONE; ids++) {
        const struct arg_flag *f = &args_flags[*ids];
        char letter[2] = {f->letter, '\0'};
        json_t *flag = json_object();
        json_object_set_new(flag, "name", json_string(f->name));
        json_object_set_new(flag, "letter", json_string(letter));
        json_object_set_new(flag, "type", json_string(arg_type_name(f->type)));
        json_object_set_new(flag, "value", json_string(flag_value(f)));
        json_object_set_new(flag, "repeats", json_boolean(f->may_repeat));
        json_object_set_new(flag, "help", json_string(f->help));
        json_array_append_new(list, flag);
    }
    return list;
}

static json_t *command_json(const struct arg_command *a)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(a->name));
    json_object_set_new(object, "group", json_string(a->group));
    json_object_set_new(object, "words", json_string(a->words));
    json_object_set_new(object, "min", json_integer(a->n_min));
    json_object_set_new(object, "max",
                        a->n_max == ARGS_MANY ? json_null() : json_integer(a->n_max));
    json_object_set_new(object, "needs_node", json_boolean(a->needs_node));
    json_object_set_new(object, "help", json_string(a->help));
    json_object_set_new(object, "flags", flags_json(a->flags));
    return object;
}

/* The whole table as one object, or one command of it. */
static void help_json(struct cmd *c, bool is_one, enum command_id id)
{
    json_t *object = out_object();
    json_t *list = json_array();
    for (unsigned i = 0; i < COMMAND_N; i++) {
        if (!is_one || i == id) {
            json_array_append_new(list, command_json(&args_commands[i]));
        }
    }
    json_object_set_new(object, "commands", list);
    json_object_set_new(object, "global", flags_json(args_global_flags));
    out_json(&c->out, object);
}

int cmd_help(struct cmd *c)
{
    static char text[HELP_MAX];
    struct writer w = writer_of(text, sizeof(text));
    enum command_id id = c->args.command;
    /* `CMD --help` comes here too, with that command. */
    bool is_one = c->args.has_command && (id != COMMAND_HELP || args_has(&c->args, FLAG_HELP));
    if (!is_one && c->args.has_command && c->args.n_words > 0) {
        is_one = args_command_find(c->args.words[0], &id) == IPX_OK;
        if (!is_one) {
            return cmd_fail(c, OUT_USAGE, IPX_NOT_FOUND, "there is no such command",
                            c->args.words[0], "See them: ipx-node help");
        }
    }
    if (args_has(&c->args, FLAG_MAN)) {
        args_help_man(IPX_PROGRAM_VERSION, &w);
    } else if (c->out.json) {
        help_json(c, is_one, id);
        return OUT_OK;
    } else if (is_one) {
        args_help_command(c->out.program, id, &w);
    } else {
        args_help_all(c->out.program, &w);
    }
    assert(!w.failed);
    fwrite(text, 1, w.len, stdout);
    return OUT_OK;
}

int cmd_version(struct cmd *c)
{
    if (c->out.json) {
        json_t *object = out_object();
        json_object_set_new(object, "version", json_string(IPX_PROGRAM_VERSION));
        out_json(&c->out, object);
    } else {
        printf("ipx-node %s\n", IPX_PROGRAM_VERSION);
    }
    return OUT_OK;
}
