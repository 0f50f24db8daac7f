/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the command line and its node say to each other on a control stream
 * (protocol id NODE_PROTOCOL_CONTROL on the mux of the local socket).
 *
 * The client sends one REQUEST; the node answers any number of ROWs and NOTEs and
 * then exactly one END or ERROR. A ROW is a flat CBOR array of key, value, key,
 * value, ..: its keys are the field names of the JSON that `--json` prints, so a
 * new field needs no new code in the client. Values: uint, negative int, double,
 * bool, null, text, bytes (never shown), array of text. docs/wire.md number 1.x.
 */
#include "base/cbor.h"

enum node_protocol {                                /* protocol id of a stream's OPEN */
                     NODE_PROTOCOL_CONTROL = 1,     /* local client: what is in this file */
                     NODE_PROTOCOL_JOB = 2,         /* owner to place */
                     NODE_PROTOCOL_TAP = 3,         /* reader to source */
                     NODE_PROTOCOL_FETCH = 4,       /* documents: ads, chains */
                     NODE_PROTOCOL_TUNNEL = 5,      /* the datagram plane's messages over a link */
                     NODE_PROTOCOL_EXEC_CLIENT = 6, /* local client: jobs (exec/wire.h) */
                     NODE_PROTOCOL_SOURCE_CLIENT =
                         7 /* local client: publish and tap (exec/source_wire.h) */
};

enum control_type { CONTROL_REQUEST = 1, CONTROL_ROW, CONTROL_NOTE, CONTROL_END, CONTROL_ERROR };

enum control_command { /* arguments in the order of the request's texts; "" = not given */
                       CONTROL_STATUS = 1,  /* - : one row */
                       CONTROL_NODES,       /* where */
                       CONTROL_PEERS,       /* none */
                       CONTROL_PING,        /* node */
                       CONTROL_SOURCES,     /* where (over the fields of a source) */
                       CONTROL_LABEL_SHOW,  /* node or "" for this one */
                       CONTROL_LABEL_SET,   /* k=v, k=v, .. */
                       CONTROL_LABEL_UNSET, /* k, k, .. */
                       CONTROL_POLICY_SHOW, /* none */
                       CONTROL_POLICY_SET,  /* accept=EXPR */
                       CONTROL_INVITE,      /* role, expires in ms (decimal), lab */
                       CONTROL_LEAVE, /* no argument: answered when others have been told; the node
                                         then stops */
                       CONTROL_DOWN,  /* - : the node stops; it stays a member */
                       CONTROL_WAIT_JOIN, /* no argument: answered when the join in progress has
                                            succeeded or failed */
                       CONTROL_EVENTS /* follow ("" or 1), boot and number of the first one wanted
                                         ("": all) */
};

#define CONTROL_ARGS_MAX 64
#define CONTROL_ARG_LEN_MAX 2048 /* an expression is at most 1,024 bytes */
#define CONTROL_BODY_MAX 16384   /* a row: at most an ad and its names */

struct control_request {
    uint8_t command; /* enum control_command; unknown ones are answered with an error */
    size_t n_args;
    struct slice args[CONTROL_ARGS_MAX];
};

void control_request_encode(const struct control_request *request, struct writer *w);
/* Borrows from `in`. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err control_request_decode(struct slice in, struct control_request *ret);

/* An error as a person reads it: what happened, why, what to do. Also of the exec streams. */
struct control_error {
    uint8_t exit_code;            /* 1 failed, 2 usage, 3 no such thing; run has its own (cli.md) */
    struct slice name;            /* err_name(): for --json */
    struct slice what, why, hint; /* `why` and `hint` may be empty */
};
void control_error_encode(const struct control_error *e, struct writer *w);
IPX_MUST_USE enum ipx_err control_error_decode(struct slice in, struct control_error *ret);

/* END {1 exit code}. */
void control_end_encode(uint8_t exit_code, struct writer *w);
IPX_MUST_USE enum ipx_err control_end_decode(struct slice in, uint8_t *ret_exit_code);

/* Building a row: begin with the number of fields, then put them in the order shown to people. */
void control_row_begin(struct writer *w, size_t n_fields);
void control_row_text(struct writer *w, const char *key, const char *value);
void control_row_slice(struct writer *w, const char *key, struct slice value);
void control_row_u64(struct writer *w, const char *key, uint64_t value);
void control_row_double(struct writer *w, const char *key, double value);
void control_row_bool(struct writer *w, const char *key, bool value);
void control_row_null(struct writer *w, const char *key);
