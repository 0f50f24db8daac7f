/* SPDX-License-Identifier: Apache-2.0 */
/* Help and the man page, from the argument table. */
#include "node/args.h"

#define WRAP 78    /* columns of a help text */
#define HELP_AT 32 /* column where the text of a flag or command begins */

static void put(struct writer *w, const char *text)
{
    writer_bytes(w, slice_text(text));
}

static void pad(struct writer *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put(w, " ");
    }
}

/* Text broken at blanks, each line indented; the first one stands at `at` already. */
static void put_wrapped(struct writer *w, const char *text, size_t at, size_t indent)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (at > indent && at + len + 1 > WRAP) {
            put(w, "\n");
            pad(w, indent);
            at = indent;
        } else if (at > indent) {
            put(w, " ");
            at++;
        }
        writer_bytes(w, slice_of(text, len));
        at += len;
        text += len + (text[len] == ' ');
    }
    put(w, "\n");
}

/* What stands left of a flag's text; returns its length. */
static size_t put_flag_name(struct writer *w, const struct arg_flag *f)
{
    size_t before = w->len;
    if (f->letter != 0) {
        put(w, "-");
        writer_u8(w, (uint8_t)f->letter);
        put(w, ", ");
    }
    put(w, "--");
    put(w, f->name);
    if (f->type != ARG_SWITCH) {
        put(w, " ");
        put(w, f->value);
    }
    return w->len - before;
}

static void put_flag(struct writer *w, const struct arg_flag *f)
{
    put(w, "  ");
    size_t at = 2 + put_flag_name(w, f);
    if (at + 2 > HELP_AT) {
        put(w, "\n");
        at = 0;
    }
    pad(w, HELP_AT - at);
    put_wrapped(w, f->help, HELP_AT, HELP_AT);
}

static void put_flags(struct writer *w, const char *title, const enum flag_id *ids)
{
    if (*ids == FLAG_NONE) {
        return;
    }
    put(w, "\n");
    put(w, title);
    put(w, "\n");
    for (; *ids != FLAG_NONE; ids++) {
        put_flag(w, &args_flags[*ids]);
    }
}

static void put_usage(struct writer *w, const char *program, const struct arg_command *c)
{
    put(w, program);
    put(w, " ");
    put(w, c->name);
    if (*c->flags != FLAG_NONE) {
        put(w, " [flags]");
    }
    put(w, c->words[0] != '\0' ? " " : "");
    put(w, c->words);
}

void args_help_all(const char *program, struct writer *w)
{
    const char *group = "";
    put(w, "usage: ");
    put(w, program);
    put(w, " COMMAND [flags] ..\n");
    for (unsigned i = 0; i < COMMAND_N; i++) {
        const struct arg_command *c = &args_commands[i];
        if (strcmp(group, c->group) != 0) {
            group = c->group;
            put(w, "\n");
            put(w, group);
            put(w, "\n");
        }
        size_t before = w->len;
        put(w, "  ");
        put(w, c->name);
        put(w, c->words[0] != '\0' ? " " : "");
        put(w, c->words);
        size_t at = w->len - before;
        if (at + 2 > HELP_AT) {
            put(w, "\n");
            at = 0;
        }
        pad(w, HELP_AT - at);
        put_wrapped(w, c->help, HELP_AT, HELP_AT);
    }
    put_flags(w, "EVERYWHERE", args_global_flags);
    put(w, "\nMore on one: ");
    put(w, program);
    put(w, " help COMMAND\n");
}

static void put_examples(struct writer *w, const char *program, const char *examples)
{
    put(w, "\nexamples\n");
    while (*examples != '\0') {
        size_t len = strcspn(examples, "\n");
        put(w, "  ");
        if (strchr(examples, '|') == NULL || strchr(examples, '|') > examples + len) {
            put(w, program);
            put(w, " ");
        }
        writer_bytes(w, slice_of(examples, len));
        put(w, "\n");
        examples += len + 1;
    }
}

void args_help_command(const char *program, enum command_id id, struct writer *w)
{
    const struct arg_command *c = &args_commands[id];
    put(w, "usage: ");
    put_usage(w, program, c);
    put(w, "\n\n");
    put_wrapped(w, c->help, 0, 0);
    if (c->more != NULL) {
        put(w, "\n");
        put_wrapped(w, c->more, 0, 0);
    }
    put_flags(w, "flags", c->flags);
    put_flags(w, "everywhere", args_global_flags);
    if (c->examples != NULL) {
        put_examples(w, program, c->examples);
    }
}

/* --- roff --- */

/* A dash is a minus sign in roff unless it is escaped; so is the backslash. */
static void put_roff(struct writer *w, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\') {
            put(w, "\\");
        }
        if (*text == '.' || *text == '\'') {
            put(w, "\\&");
        }
        writer_u8(w, (uint8_t)*text);
    }
}

static void man_flags(struct writer *w, const enum flag_id *ids)
{
    for (; *ids != FLAG_NONE; ids++) {
        uint8_t name[96];
        struct writer n = writer_of(name, sizeof(name) - 1);
        put_flag_name(&n, &args_flags[*ids]);
        name[n.len] = '\0';
        put(w, ".TP\n.B ");
        put_roff(w, (const char *)name);
        put(w, "\n");
        put_roff(w, args_flags[*ids].help);
        put(w, "\n");
    }
}

static void man_command(struct writer *w, const struct arg_command *c)
{
    put(w, ".SS ");
    put_roff(w, c->name);
    put(w, c->words[0] != '\0' ? " " : "");
    put_roff(w, c->words);
    put(w, "\n");
    put_roff(w, c->help);
    put(w, ".\n");
    if (c->more != NULL) {
        put(w, ".PP\n");
        put_roff(w, c->more);
        put(w, "\n");
    }
    man_flags(w, c->flags);
    if (c->examples != NULL) {
        put(w, ".PP\n.nf\n");
        for (const char *at = c->examples; *at != '\0';) {
            char line[128];
            size_t len = strcspn(at, "\n");
            bool is_cut = !slice_to_text(slice_of(at, len), line, sizeof(line));
            assert(!is_cut);
            put(w, memchr(at, '|', len) == NULL ? "ipx\\-node " : "");
            put_roff(w, line);
            put(w, "\n");
            at += len + 1;
        }
        put(w, ".fi\n");
    }
}

static const char man_end[] =
    ".SH EXIT STATUS\n"
    "0 ok, 1 failed, 2 usage, 3 no such thing, 4 no node is running\\&. Those of run and map stand "
    "with them\\&.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B IPX_HOME\nhome of the node, as \\-\\-home\n"
    ".TP\n.B IPX_TICKET_FILE\nwhere join finds its ticket\n"
    ".TP\n.B IPX_LOG\ndebug makes the node's log say more\n"
    ".TP\n.B NO_COLOR\nno colours\n"
    ".SH FILES\n"
    "$XDG_STATE_HOME/ipx, else ~/\\&.local/state/ipx, as root /var/lib/ipx: the home; node\\&.log "
    "in it is the log\\&.\n";

void args_help_man(const char *version, struct writer *w)
{
    put(w, ".TH IPX\\-NODE 1 \"\" \"ipx ");
    put_roff(w, version);
    put(w, "\"\n.SH NAME\nipx\\-node, ipx \\- a peer\\-to\\-peer compute mesh for labs\n"
           ".SH SYNOPSIS\n.B ipx\\-node\nCOMMAND [flags] \\&.\\&.\n"
           ".SH DESCRIPTION\nEvery machine runs the same program; there is no head\\&. Nodes find "
           "each other, tell each other what they have, and run each other's tasks\\&.\n"
           ".SH OPTIONS\nUnderstood by every command:\n");
    man_flags(w, args_global_flags);
    put(w, ".SH COMMANDS\n");
    for (unsigned i = 0; i < COMMAND_N; i++) {
        man_command(w, &args_commands[i]);
    }
    writer_bytes(w, slice_of(man_end, sizeof(man_end) - 1));
}
