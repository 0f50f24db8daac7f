/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the command line against the table. */
#include "node/args.h"

#include <stdio.h>

#include "base/addr.h"
#include "base/cert.h"
#include "base/label.h"
#include "base/near.h"
#include "base/query.h"
#include "exec/exec.h"
#include "node/node.h"

#define NUMBER_MAX 1000000

/* --- values --- */

static const char *const type_names[] = {
    [ARG_SWITCH] = "switch", [ARG_TEXT] = "text",     [ARG_NUMBER] = "number",
    [ARG_SIZE] = "size",     [ARG_TIME] = "time",     [ARG_RATE] = "rate",
    [ARG_EXPR] = "expr",     [ARG_FIELDS] = "fields", [ARG_LABEL] = "label",
    [ARG_ENV] = "env",       [ARG_ADDR] = "addr",     [ARG_NAME] = "name",
    [ARG_LAB] = "lab",       [ARG_RANGE] = "range",   [ARG_CHOICE] = "choice",
    [ARG_KEY] = "key"};

const char *arg_type_name(enum arg_type type)
{
    return type_names[type];
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0')) {
            return len > 0;
        }
    }
    return false;
}

static bool is_env(const char *text)
{
    size_t i = 0;
    while ((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z') ||
           text[i] == '_' || (i > 0 && text[i] >= '0' && text[i] <= '9')) {
        i++;
    }
    return i > 0 && (text[i] == '=' || text[i] == '\0');
}

static bool is_number(const char *text, double *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && v <= NUMBER_MAX; i++) {
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = (double)v;
    return i > 0 && text[i] == '\0' && v <= NUMBER_MAX;
}

/* A number above zero with its unit, of the given dimension. */
static bool is_quantity(const char *text, struct label_dim dim, double *ret)
{
    struct label_scratch scratch;
    struct label_value v;
    if (label_value_parse(slice_text(text), &scratch, &v) != IPX_OK || v.type != LABEL_NUMBER ||
        v.dim.bytes != dim.bytes || v.dim.seconds != dim.seconds || v.number <= 0) {
        return false;
    }
    *ret = v.number;
    return true;
}

static bool is_label(const char *text)
{
    struct label_scratch scratch;
    struct label_value v;
    const char *eq = strchr(text, '=');
    return eq != NULL && label_name_is_valid(slice_of(text, (size_t)(eq - text))) &&
           label_value_parse(slice_text(eq + 1), &scratch, &v) == IPX_OK;
}

/* An address to listen on; behind `tls:` for links in a coat. */
static bool is_addr(const char *text)
{
    struct addr addr;
    text += strncmp(text, "tls:", 4) == 0 ? 4 : 0;
    return addr_parse(slice_text(text), NODE_PORT_DEFAULT, &addr) == IPX_OK;
}

static bool is_range(const char *text)
{
    struct job_range range;
    return job_range_parse(slice_text(text), &range) == IPX_OK;
}

static bool is_expr(const char *text, bool is_fields, struct mem *mem, char *why, size_t why_size)
{
    struct query *q = NULL;
    struct query_error error = {0, "too long"};
    enum ipx_err err = is_fields ? query_compile_need(slice_text(text), mem, &q, &error)
                                 : query_compile(slice_text(text), mem, &q, &error);
    query_unref(q);
    if (err != IPX_OK) {
        snprintf(why, why_size, "at character %u: %s", error.position + 1, error.message);
    }
    return err == IPX_OK;
}

/* What is said of a value that is wrong; expressions say it themselves. */
static const char *const value_wanted[] = {
    [ARG_SWITCH] = "it takes no value",
    [ARG_TEXT] = "it is empty",
    [ARG_NUMBER] = "a whole number is wanted, at most 1000000",
    [ARG_SIZE] = "a size is typed like 512MiB or 8GiB",
    [ARG_TIME] = "a time is typed like 500ms, 90s, 5min, 24h or 7d",
    [ARG_RATE] = "a rate is typed like 0.1Hz or 25Hz",
    [ARG_EXPR] = "",
    [ARG_FIELDS] = "",
    [ARG_LABEL] = "a label is typed name=value, names are a-z 0-9 _ with dots between",
    [ARG_ENV] = "it is typed NAME or NAME=value",
    [ARG_ADDR] = ("an address is typed 192.0.2.1, 192.0.2.1:7433, [2001:db8::1]:7433 or "
                  "tls:192.0.2.1:443"),
    [ARG_NAME] = "a name is a-z 0-9 and -, begins with a letter, at most 24 characters",
    [ARG_LAB] = "a lab is a-z 0-9 and -, begins with a letter, at most 16 characters",
    [ARG_RANGE] = "a range is typed 1-100 or 0-90:10",
    [ARG_CHOICE] = "",
    [ARG_KEY] = ""};

enum ipx_err args_value_check(enum arg_type type, const char *choices, const char *text,
                              struct mem *mem, double *ret_number, char *ret_why, size_t why_size)
{
    static const struct label_dim sizes = {1, 0}, times = {0, 1}, rates = {0, -1};
    bool is_ok = false;
    double number = 0;
    snprintf(ret_why, why_size, "%s%s", value_wanted[type],
             type == ARG_CHOICE || type == ARG_KEY ? choices : "");
    switch (type) {
    case ARG_SWITCH:
        break;
    case ARG_TEXT:
        is_ok = text[0] != '\0';
        break;
    case ARG_NUMBER:
        is_ok = is_number(text, &number);
        break;
    case ARG_SIZE:
        is_ok = is_quantity(text, sizes, &number);
        break;
    case ARG_TIME:
        is_ok = is_quantity(text, times, &number);
        break;
    case ARG_RATE:
        is_ok = is_quantity(text, rates, &number);
        break;
    case ARG_EXPR:
    case ARG_FIELDS:
        is_ok = is_expr(text, type == ARG_FIELDS, mem, ret_why, why_size);
        break;
    case ARG_LABEL:
        is_ok = is_label(text);
        break;
    case ARG_ENV:
        is_ok = is_env(text);
        break;
    case ARG_ADDR:
        is_ok = is_addr(text);
        break;
    case ARG_NAME:
        is_ok = cert_name_is_valid(slice_text(text));
        break;
    case ARG_LAB:
        is_ok = cert_lab_is_valid(slice_text(text));
        break;
    case ARG_RANGE:
        is_ok = is_range(text);
        break;
    case ARG_CHOICE:
        is_ok = is_choice(choices, text);
        break;
    case ARG_KEY:
        is_ok = is_choice(choices, text + (text[0] == '-'));
        break;
    }
    if (is_ok) {
        *ret_number = number;
    }
    return is_ok ? IPX_OK : IPX_MALFORMED;
}

/* --- words --- */

struct parse {
    struct args *out;
    struct mem *mem;
    char *error;
    int argc;
    char **argv;
    int next; /* index of the word looked at next */
};

/* "ipx-node CMD --help" or "ipx-node help": where to read on. */
static enum ipx_err fail(struct parse *p, const char *what, const char *why, const char *meant)
{
    const char *command = p->out->has_command ? args_commands[p->out->command].name : NULL;
    char help[64];
    snprintf(help, sizeof(help), "%s%s", command == NULL ? "help" : command,
             command == NULL ? "" : " --help");
    if (meant != NULL) {
        snprintf(p->error, ARGS_ERROR_SIZE, "%s. Did you mean %s? See: ipx-node %s", what, meant,
                 help);
    } else {
        snprintf(p->error, ARGS_ERROR_SIZE, "%s%s%s. See: ipx-node %s", what,
                 why[0] != '\0' ? ": " : "", why, help);
    }
    return IPX_MALFORMED;
}

static bool is_flag_allowed(const struct parse *p, enum flag_id id)
{
    for (const enum flag_id *f = args_global_flags; *f != FLAG_NONE; f++) {
        if (*f == id) {
            return true;
        }
    }
    if (p->out->has_command) {
        for (const enum flag_id *f = args_commands[p->out->command].flags; *f != FLAG_NONE; f++) {
            if (*f == id) {
                return true;
            }
        }
    }
    return false;
}

static enum ipx_err unknown_flag(struct parse *p, const char *word)
{
    char what[160], meant[NEAR_WORD_MAX + 3];
    struct near near;
    size_t len = strcspn(word, "=");
    near_begin(&near, len > 2 && word[1] == '-' ? slice_of(word + 2, len - 2) : SLICE_EMPTY);
    for (unsigned id = FLAG_NONE + 1; id < FLAG_N; id++) {
        if (is_flag_allowed(p, (enum flag_id)id)) {
            near_offer(&near, slice_text(args_flags[id].name));
        }
    }
    snprintf(meant, sizeof(meant), "--%s", near_found(&near) != NULL ? near_found(&near) : "");
    snprintf(what, sizeof(what), "%s%sno flag %.40s",
             p->out->has_command ? args_commands[p->out->command].name : "",
             p->out->has_command ? " has " : "there is ", word);
    return fail(p, what, "", near_found(&near) != NULL ? meant : NULL);
}

static enum flag_id find_flag(const struct parse *p, const char *name, size_t len)
{
    for (unsigned id = FLAG_NONE + 1; id < FLAG_N; id++) {
        const struct arg_flag *f = &args_flags[id];
        if (strlen(f->name) == len && strncmp(f->name, name, len) == 0 &&
            is_flag_allowed(p, (enum flag_id)id)) {
            return (enum flag_id)id;
        }
    }
    return FLAG_NONE;
}

static enum flag_id find_letter(const struct parse *p, char letter)
{
    for (unsigned id = FLAG_NONE + 1; id < FLAG_N; id++) {
        if (args_flags[id].letter == letter && is_flag_allowed(p, (enum flag_id)id)) {
            return (enum flag_id)id;
        }
    }
    return FLAG_NONE;
}

static enum ipx_err add_value(struct parse *p, enum flag_id id, const char *text)
{
    const struct arg_flag *f = &args_flags[id];
    struct args_value v = {.id = id, .text = text};
    char what[200], why[200];
    if (p->out->n_values == ARGS_VALUES_MAX) {
        return fail(p, "too many flags", "", NULL);
    }
    if (f->type != ARG_SWITCH &&
        args_value_check(f->type, f->value, text, p->mem, &v.number, why, sizeof(why)) != IPX_OK) {
        snprintf(what, sizeof(what), "--%s \"%.64s\" is not valid", f->name, text);
        if (f->type == ARG_CHOICE) {
            snprintf(why, sizeof(why), "it is one of %s", f->value);
        } else if (f->type == ARG_KEY) {
            snprintf(why, sizeof(why), "it is one of %s, or -KEY for the reverse", f->value);
        }
        return fail(p, what, why, NULL);
    }
    p->out->values[p->out->n_values++] = v;
    return IPX_OK;
}

/* One word that begins with a dash. */
static enum ipx_err read_flag(struct parse *p)
{
    char *word = p->argv[p->next++];
    const char *eq = strchr(word, '=');
    bool is_long = word[1] == '-';
    char what[160];
    enum flag_id id;
    if (is_long) {
        id = find_flag(p, word + 2, eq != NULL ? (size_t)(eq - word) - 2 : strlen(word + 2));
    } else {
        eq = NULL;
        id = word[2] == '\0' ? find_letter(p, word[1]) : FLAG_NONE;
    }
    if (id == FLAG_NONE) {
        return unknown_flag(p, word);
    }
    const struct arg_flag *f = &args_flags[id];
    if (f->type == ARG_SWITCH) {
        if (eq != NULL) {
            snprintf(what, sizeof(what), "--%s takes no value", f->name);
            return fail(p, what, "", NULL);
        }
        return add_value(p, id, "");
    }
    if (eq == NULL && p->next == p->argc) {
        snprintf(what, sizeof(what), "--%s wants a value: --%s %s", f->name, f->name, f->value);
        return fail(p, what, "", NULL);
    }
    return add_value(p, id, eq != NULL ? eq + 1 : p->argv[p->next++]);
}

enum ipx_err args_command_find(const char *name, enum command_id *ret)
{
    for (unsigned i = 0; i < COMMAND_N; i++) {
        if (strcmp(args_commands[i].name, name) == 0) {
            *ret = (enum command_id)i;
            return IPX_OK;
        }
    }
    return IPX_NOT_FOUND;
}

static enum ipx_err read_command(struct parse *p, const char *word)
{
    char what[96];
    struct near near;
    if (args_command_find(word, &p->out->command) == IPX_OK) {
        p->out->has_command = true;
        return IPX_OK;
    }
    near_begin(&near, slice_text(word));
    for (unsigned i = 0; i < COMMAND_N; i++) {
        near_offer(&near, slice_text(args_commands[i].name));
    }
    snprintf(what, sizeof(what), "there is no command \"%.40s\"", word);
    return fail(p, what, "", near_found(&near));
}

static enum ipx_err check_words(struct parse *p)
{
    struct args *a = p->out;
    const struct arg_command *c = &args_commands[a->command];
    char what[160], why[160];
    if (args_has(a, FLAG_HELP)) {
        return IPX_OK;
    }
    snprintf(why, sizeof(why), "it is typed %s%s%s", c->name, c->words[0] != '\0' ? " " : "",
             c->words);
    if (a->n_words < c->n_min) {
        snprintf(what, sizeof(what), "%s wants %s", c->name,
                 a->n_words == 0 ? "an argument" : "another argument");
        return fail(p, what, why, NULL);
    }
    if (c->n_max != ARGS_MANY && a->n_words > c->n_max) {
        snprintf(what, sizeof(what), "%s does not take \"%.40s\"", c->name, a->words[c->n_max]);
        return fail(p, what, why, NULL);
    }
    return IPX_OK;
}

static void take_rest(struct parse *p)
{
    while (p->next < p->argc) {
        p->out->words[p->out->n_words++] = p->argv[p->next++];
    }
}

/* True if the words from here on belong to a CMD and hold no flags of ours. */
static bool begins_cmd(const struct parse *p)
{
    const struct args *a = p->out;
    return a->has_command && args_commands[a->command].is_verbatim &&
           a->n_words >= args_commands[a->command].n_before;
}

enum ipx_err args_parse(int argc, char **argv, char **words, struct mem *mem, struct args *ret,
                        char ret_error[static ARGS_ERROR_SIZE])
{
    struct parse p = {
        .out = ret, .mem = mem, .error = ret_error, .argc = argc, .argv = argv, .next = 1};
    memset(ret, 0, sizeof(*ret));
    ret->words = words;
    while (p.next < argc) {
        char *word = argv[p.next];
        enum ipx_err err = IPX_OK;
        if (strcmp(word, "--") == 0 && ret->has_command) {
            p.next++;
            take_rest(&p);
        } else if (word[0] == '-' && word[1] != '\0') {
            err = read_flag(&p);
        } else if (!ret->has_command) {
            p.next++;
            err = read_command(&p, word);
        } else if (begins_cmd(&p)) {
            take_rest(&p);
        } else {
            ret->words[ret->n_words++] = argv[p.next++];
        }
        if (err != IPX_OK) {
            return err;
        }
    }
    return ret->has_command ? check_words(&p) : IPX_OK;
}

bool args_has(const struct args *a, enum flag_id id)
{
    return args_text(a, id) != NULL;
}

const char *args_text(const struct args *a, enum flag_id id)
{
    const char *text = NULL;
    for (size_t i = 0; i < a->n_values; i++) {
        text = a->values[i].id == id ? a->values[i].text : text;
    }
    return text;
}

double args_number(const struct args *a, enum flag_id id, double otherwise)
{
    for (size_t i = 0; i < a->n_values; i++) {
        otherwise = a->values[i].id == id ? a->values[i].number : otherwise;
    }
    return otherwise;
}

const char *args_nth(const struct args *a, enum flag_id id, size_t nth)
{
    for (size_t i = 0; i < a->n_values; i++) {
        if (a->values[i].id == id && nth-- == 0) {
            return a->values[i].text;
        }
    }
    return NULL;
}
