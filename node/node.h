/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One node, whole and pure: joins the cores (dht, gossip, exec) with sessions,
 * links and the control protocol. It reads no clock, opens no socket, starts no
 * process; the uv shell and the simulator drive the very same object.
 *
 * Use: node_init, node_start, then for every event of the outside world one
 * input with the time, after each input drain node_poll until it says false, and
 * call node_tick at node_deadline. Slices in an action are valid until the next
 * call on the node. An input never calls out.
 *
 * Connections ("conn") are TCP or local sockets, named by a u32. The node chooses
 * the ids of those it dials (below NODE_CONN_ACCEPTED), the shell the ids of those
 * it accepts. Writing is pulled: the node emits CONN_WRITE only while the last
 * one has been reported out by node_on_writable, so a slow socket holds its bytes
 * in the node's bounded buffers and nowhere else.
 */
#include "base/addr.h"
#include "base/cert.h"
#include "base/label.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/trace.h"
#include "exec/exec.h"

#define NODE_CONN_ACCEPTED UINT32_C(0x80000000)
#define NODE_CONNS_MAX 4096  /* accepted and dialled; a stranger's slot lives 2 s */
#define NODE_WRITE_MAX 65536 /* bytes of one CONN_WRITE */
#define NODE_LISTEN_MAX 8    /* own addresses told to others */
#define NODE_GATES_MAX 8
#define NODE_PORT_DEFAULT 7433
#define NODE_COAT_PORT_DEFAULT 443 /* what strict firewalls let pass */

enum node_save {                  /* what is kept in the home; one file each, replaced atomically */
                 NODE_SAVE_CHAIN, /* own chain, own name (join, renewal) */
                 NODE_SAVE_CONTACTS,   /* dht contacts for the next start */
                 NODE_SAVE_SEQ,        /* record sequence: written before it is used */
                 NODE_SAVE_BOOK,       /* known redemptions */
                 NODE_SAVE_ISSUERS,    /* issuer certificates met, for admission of their tickets */
                 NODE_SAVE_LABELS,     /* labels set by the user */
                 NODE_SAVE_POLICY,     /* accept expression */
                 NODE_SAVE_GENERATION, /* u32 big-endian: a higher boot of this key was heard at
                                          start */
                 NODE_SAVE_COATS,      /* of peers, for a start behind a firewall (coats.h) */
                 NODE_SAVE_REVOKED,    /* revocations: they hold before the first packet */
                 NODE_SAVE_N
};

struct node_local { /* who is at the other end of a local socket */
    uint32_t uid, pid;
    bool is_owner;         /* same uid as the node, or root */
    bool is_below_spawner; /* a task: only what its token allows */
    char user[33];
};

/* Where a node makes what it hands out within one call; nodes of one process may share one, then
 * what one hands out is valid until the next call on any of them. */
struct node_buffers;
IPX_MUST_USE struct node_buffers *node_buffers_new(struct mem *mem); /* NULL: no memory */
void node_buffers_free(struct node_buffers *b, struct mem *mem);

struct node_config {
    struct mem *mem;
    struct node_buffers *buffers; /* outlives the node; NULL: its own */
    struct trace trace;
    uint8_t seed[32];
    const char *version; /* of the program */
    struct crypt_keypair key;
    struct mesh_id mesh;
    struct slice chain;           /* own chain; empty while joining */
    struct slice ticket;          /* ticket text; empty unless joining */
    char name[CERT_NAME_MAX + 1]; /* wanted name while joining */
    bool has_issuer;
    struct crypt_keypair issuer_key;   /* if has_issuer */
    struct slice issuer_cert;          /* if has_issuer */
    uint8_t gates[NODE_GATES_MAX][32]; /* newest first */
    size_t n_gates;
    uint32_t generation; /* of this boot; on disk before node_init */
    uint64_t boot_nonce;
    struct slice saved[NODE_SAVE_N];     /* what was saved last; empty if never */
    struct addr listen[NODE_LISTEN_MAX]; /* own addresses as others may dial them */
    size_t n_listen;
    struct addr coat; /* where our links wear a coat, as others may dial it; ADDR_NONE: nowhere */
    struct ad *ad;    /* labels and resources found at start (takes a reference) */
    struct slice accept; /* --accept; empty = saved one, else `job.lab == lab` */
    uint32_t slots;      /* cores offered */
    bool offers;         /* false: runs no tasks at all */
};

enum node_action_type {
    NODE_ACTION_UDP_SEND,
    NODE_ACTION_CONN_DIAL,
    NODE_ACTION_CONN_WRITE,
    NODE_ACTION_CONN_CLOSE, /* graceful: what was written goes out first */
    NODE_ACTION_EXEC,       /* processes and storage: see exec/exec.h, answered by node_exec() */
    NODE_ACTION_SAVE,
    NODE_ACTION_STOP /* the node is done: exit with `code` and say `text` */
};

struct node_action {
    enum node_action_type type;
    union {
        struct {
            struct addr to;
            struct slice bytes;
        } udp;
        struct {
            uint32_t conn;
            struct addr to;
            struct slice bytes;
            bool is_coat; /* CONN_DIAL: TLS first, connected means within it */
        } conn;
        const struct exec_action *exec;
        struct {
            enum node_save what;
            struct slice bytes;
        } save;
        struct {
            int code;
            const char *text;
        } stop;
    } u;
};

struct node;

/* Faults: IPX_NO_MEMORY. Conditions: IPX_MALFORMED (chain, ticket, accept). */
IPX_MUST_USE enum ipx_err node_new(const struct node_config *config, struct node **ret);
void node_free(struct node *n);
void node_start(struct node *n, uint64_t now_us, int64_t wall_ms);

bool node_poll(struct node *n, struct node_action *ret);
uint64_t node_deadline(const struct node *n);
void node_tick(struct node *n, uint64_t now_us);

/* The wall clock, at start and about each minute; after a gap in time at once. */
void node_on_clock(struct node *n, uint64_t now_us, int64_t wall_ms);
void node_on_datagram(struct node *n, uint64_t now_us, const struct addr *from, struct slice bytes);
void node_on_accept(struct node *n, uint64_t now_us, uint32_t conn, const struct addr *from);
void node_on_local(struct node *n, uint64_t now_us, uint32_t conn, const struct node_local *who);
void node_on_connected(struct node *n, uint64_t now_us, uint32_t conn, enum ipx_err err);
void node_on_bytes(struct node *n, uint64_t now_us, uint32_t conn, struct slice bytes);
void node_on_writable(struct node *n, uint64_t now_us, uint32_t conn);
/* `err` IPX_END for an orderly end of file. */
void node_on_closed(struct node *n, uint64_t now_us, uint32_t conn, enum ipx_err err);
/* The exec core, for answers about processes and storage (exec_on_started, exec_on_stored ..). */
struct exec *node_exec(struct node *n, uint64_t now_us);
/* Measured by the shell now and then: feeds vitals. */
struct node_vitals {
    double load;
    uint64_t mem_free, disk_free;
};
void node_on_vitals(struct node *n, uint64_t now_us, const struct node_vitals *v);
/* Takes a signed revocation (base/revoke.h) and spreads it to every member. Conditions: those of
 * revoke_verify; IPX_AGAIN (not a member yet), IPX_EXISTS, IPX_FULL. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err node_revoke(struct node *n, uint64_t now_us, struct slice bytes);
/* A clean stop: LEAVE is gossiped, links close, then ACTION_STOP comes. */
void node_stop(struct node *n, uint64_t now_us);

void node_check(const struct node *n);
