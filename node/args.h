/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The argument table of the command line, and what reads words against it. One
 * table (args_table.c) describes every command and flag; help, the man page and
 * `help --json` are made from it. Pure: words in, values or one error out.
 *
 * Flags may stand anywhere before `--`; where a command takes a CMD, only before its
 * first word. `--flag value` and `--flag=value` are the same. A flag that is given
 * twice keeps the last value, unless it repeats.
 */
#include "base/mem.h"
#include "base/slice.h"

#define ARGS_VALUES_MAX 128 /* flags given in one call: far more than a person types */
#define ARGS_ERROR_SIZE 512
#define ARGS_MANY 255 /* no upper limit of words */

enum arg_type {
    ARG_SWITCH, /* takes no value */
    ARG_TEXT,   /* anything, paths too */
    ARG_NUMBER, /* 0 .. 1,000,000 */
    ARG_SIZE,   /* bytes: 8GiB */
    ARG_TIME,   /* 90s, 24h */
    ARG_RATE,   /* 25Hz */
    ARG_EXPR,   /* the label language */
    ARG_FIELDS, /* the same over the fields of one resource */
    ARG_LABEL,  /* name=value */
    ARG_ENV,    /* NAME or NAME=value */
    ARG_ADDR,   /* IP, IP:PORT, [IP]:PORT */
    ARG_NAME,   /* of a node, a mesh, a source */
    ARG_LAB,
    ARG_RANGE,  /* A-B or A-B:S */
    ARG_CHOICE, /* one of the words in `value`, with | between */
    ARG_KEY     /* the same, perhaps with a - before it */
};

enum flag_id {
    FLAG_NONE, /* ends a list */
    FLAG_HOME,
    FLAG_JSON,
    FLAG_QUIET,
    FLAG_VERBOSE,
    FLAG_COLOR,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_LAB,
    FLAG_ROOT_OUT,
    FLAG_ROLE,
    FLAG_EXPIRES,
    FLAG_OUTPUT,
    FLAG_LABEL,
    FLAG_ACCEPT,
    FLAG_LISTEN,
    FLAG_NAME,
    FLAG_FG,
    FLAG_WHERE,
    FLAG_WHERE_FIELDS,
    FLAG_SORT,
    FLAG_ADS,
    FLAG_PREFER,
    FLAG_ON,
    FLAG_CPU,
    FLAG_MEM,
    FLAG_TIME,
    FLAG_RETRY,
    FLAG_LIMIT,
    FLAG_ENV,
    FLAG_NO_WAIT,
    FLAG_WAIT_MAX,
    FLAG_DETACH,
    FLAG_KEEP_ORDER,
    FLAG_PURE,
    FLAG_DRY_RUN,
    FLAG_STREAM,
    FLAG_RANGE,
    FLAG_ALL,
    FLAG_FOLLOW,
    FLAG_FOLLOW_EVENTS,
    FLAG_ORIGIN,
    FLAG_MAN,
    FLAG_KIND,
    FLAG_SCHEMA,
    FLAG_TOPIC,
    FLAG_RATE,
    FLAG_FRAME,
    FLAG_RING,
    FLAG_FILE,
    FLAG_FROM,
    FLAG_POLICY,
    FLAG_N
};

enum command_id {
    COMMAND_NEW,
    COMMAND_INVITE,
    COMMAND_JOIN,
    COMMAND_UP,
    COMMAND_DOWN,
    COMMAND_LEAVE,
    COMMAND_STATUS,
    COMMAND_NODES,
    COMMAND_PEERS,
    COMMAND_PING,
    COMMAND_LABEL,
    COMMAND_MATCH,
    COMMAND_POLICY,
    COMMAND_RUN,
    COMMAND_MAP,
    COMMAND_PS,
    COMMAND_SHOW,
    COMMAND_WHY,
    COMMAND_LOGS,
    COMMAND_WAIT,
    COMMAND_CANCEL,
    COMMAND_PUBLISH,
    COMMAND_SOURCES,
    COMMAND_TAP,
    COMMAND_CONFIG,
    COMMAND_DOCTOR,
    COMMAND_EVENTS,
    COMMAND_HELP,
    COMMAND_VERSION,
    COMMAND_N
};

struct arg_flag {
    const char *name; /* without its dashes */
    char letter;      /* 0: none */
    enum arg_type type;
    bool may_repeat;
    const char *value; /* as shown: SIZE; of a CHOICE its words; NULL of a switch */
    const char *help;
};

struct arg_command {
    const char *name, *group;
    const char *words;         /* as shown behind the name: "NAME" */
    uint8_t n_min, n_max;      /* words that are no flags; ARGS_MANY */
    bool is_verbatim;          /* its first word ends the flags: what follows is a CMD */
    uint8_t n_before;          /* words before that CMD (publish NAME -- CMD) */
    bool needs_node;           /* exit 4 without a running one */
    const enum flag_id *flags; /* beside the global ones */
    const char *help;          /* one line */
    const char *more;          /* paragraphs, or NULL */
    const char *examples;      /* lines without the program's name, or NULL */
};

extern const struct arg_flag args_flags[FLAG_N];
extern const struct arg_command args_commands[COMMAND_N];
extern const enum flag_id args_global_flags[];

struct args_value {
    enum flag_id id;
    const char *text;
    double number; /* of NUMBER, SIZE (bytes), TIME (seconds), RATE (per second) */
};

struct args {
    bool has_command;
    enum command_id command;
    struct args_value values[ARGS_VALUES_MAX];
    size_t n_values;
    char **words; /* what is no flag; given by the caller, as long as argv */
    size_t n_words;
};

/* Reads argv[1..]. `words` has room for argc pointers. Conditions: IPX_MALFORMED; `ret_error` is
 * then one line: what is wrong and what to type. The flags read until then are in `ret`. */
IPX_MUST_USE enum ipx_err args_parse(int argc, char **argv, char **words, struct mem *mem,
                                     struct args *ret, char ret_error[static ARGS_ERROR_SIZE]);
bool args_has(const struct args *a, enum flag_id id);
/* The last value given; NULL if none. */
const char *args_text(const struct args *a, enum flag_id id);
double args_number(const struct args *a, enum flag_id id, double otherwise);
/* The i-th value of a flag that repeats; NULL behind the last. */
const char *args_nth(const struct args *a, enum flag_id id, size_t nth);
/* Conditions: IPX_NOT_FOUND. */
IPX_MUST_USE enum ipx_err args_command_find(const char *name, enum command_id *ret);
/* One typed value. Conditions: IPX_MALFORMED; `ret_why` says why, at most `why_size` bytes. */
IPX_MUST_USE enum ipx_err args_value_check(enum arg_type type, const char *choices,
                                           const char *text, struct mem *mem, double *ret_number,
                                           char *ret_why, size_t why_size);
const char *arg_type_name(enum arg_type type);

/* args_help.c: text for people; `program` is the name the program was called by. */
void args_help_all(const char *program, struct writer *w);
void args_help_command(const char *program, enum command_id id, struct writer *w);
void args_help_man(const char *version, struct writer *w); /* roff */
