/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The inside of a node, shared by the files that make it up; private to node/.
 *
 *   node.c       life, time, the loop that drains every part
 *   members.c    sessions <-> dht, gossip: who is there
 *   cores.c      life of dht, gossip and exec
 *   conns.c      connections and links
 *   dials.c      links being made
 *   streams.c    streams of links and local clients as numbered handles; streams_own.c: to itself
 *   tunnels.c    datagram messages over links, where UDP does not pass
 *   jobs.c       exec's actions; what the node addresses to itself
 *   join.c       becoming a member by a ticket
 *   admission.c  admitting others; our own certificate
 *   issuers.c    certificates of issuers that tickets name
 *   revoking.c   revocations: what they end here
 *   control*.c   what the command line asks
 *   fetch.c      documents over links
 *
 * Rule: inputs call into the parts and never emit; whatever is to be done waits in the part's
 * own queue until node_poll drains it.
 */
#include "base/admit_book.h"
#include "base/keys.h"
#include "base/query.h"
#include "dht/dht.h"
#include "exec/exec.h"
#include "gossip/gossip.h"
#include "node/chains.h"
#include "node/coats.h"
#include "node/control_wire.h"
#include "node/events.h"
#include "node/link.h"
#include "node/node.h"
#include "node/flows.h"
#include "node/own_ad.h"
#include "node/session.h"

#define NODE_BOOK_ENTRIES 1024 /* tickets remembered; 0.4 KiB each, touched only when used */
#define ADMISSION_DAY_MAX 512  /* by one issuer in a day: more is told to people (overlay 2.5) */
#define NODE_SCRATCH_LEN 65536 /* the longest thing saved or answered at once */
#define NODE_MESSAGE_MAX (EXEC_BODY_MAX + 64) /* longest framed message of a stream */
#define NODE_ACCEPT_DEFAULT "job.lab == lab"

enum node_state { NODE_STATE_JOINING, NODE_STATE_MEMBER, NODE_STATE_STOPPING, NODE_STATE_STOPPED };

/* --- admission.c --- */

#define JOIN_DETAIL_SIZE (TICKET_CONTACTS_MAX * ADDR_TEXT_SIZE + 64)

struct join {
    bool is_active, is_asked;
    struct ticket ticket;
    unsigned contact; /* tried last */
    uint64_t next_us; /* the next contact, or the question again */
    uint64_t give_up_us;
    struct node_id asked; /* whom */
    bool is_failed;
    enum ipx_err why; /* of the failure */
    unsigned silent;  /* contacts that answer neither by session nor by link: bits */
    char detail[JOIN_DETAIL_SIZE];
    uint64_t began_us, took_us;
};

/* --- issuers.c --- */

#define NODE_ISSUERS_MAX 16         /* labs and their issuers in one mesh are few; 0.5 KiB each */
#define NODE_ISSUER_QUESTIONS_MAX 4 /* issuers asked for at once */

struct issuer {
    struct hash hash;
    uint16_t len;
    uint8_t bytes[CERT_BYTES_MAX];
};

struct issuer_question {
    struct hash hash;
    uint64_t due_us; /* end of the round; is_over: until then it is refused; 0: no question */
    uint32_t n_asked;
    bool is_over; /* nobody had it */
};

struct issuers {
    struct issuer known[NODE_ISSUERS_MAX];
    unsigned n, next;
    struct issuer_question questions[NODE_ISSUER_QUESTIONS_MAX];
};

/* --- revoking.c --- */

#define NODE_REVOKING_MAX 8 /* whose revoker is being asked for; 0.25 KiB each */
#define REVOKING_WAIT_US (10 * US_PER_S)

struct revoking_wait {
    struct hash key, issuer_cert;
    uint64_t since_us;
    uint8_t len; /* 0: free */
    uint8_t bytes[REVOKE_MAX];
};

struct revoking {
    struct revoking_wait waits[NODE_REVOKING_MAX];
    unsigned next;
};

struct node_buffers {
    uint8_t scratch[NODE_SCRATCH_LEN];
    uint8_t body[SESSION_BODY_MAX];
    uint8_t write[NODE_WRITE_MAX];
    struct exec_scratch exec;
};

struct node {
    struct node_config config; /* slices in it are not used after node_new */
    struct mem *mem;
    struct rng rng;
    enum node_state state;
    uint64_t now_us;
    int64_t wall_ms; /* at wall_at_us; 0: not known */
    uint64_t wall_at_us;
    uint64_t started_us;
    uint32_t n_jumps;       /* of our generation, since: an older disk needs one */
    struct cert_facts self; /* of the chain; while joining only id and name */
    uint8_t chain[CERT_CHAIN_MAX];
    size_t chain_len;
    struct cert_signer signer; /* if config.has_issuer */
    struct chains chains;
    struct session_plane *sessions;
    bool has_cores; /* dht, gossip and exec live: a member */
    struct dht dht;
    struct gossip gossip;
    struct exec *exec;
    struct own_ad own_ad;
    struct ad *ad; /* as told to others now */
    struct query *accept;
    struct node_vitals measured;
    uint32_t told_free; /* free slots as told last */
    struct admit_book book;
    struct issuers issuers;
    struct revoking revoking;
    struct join join;
    uint64_t renew_us; /* next look at our own certificate */
    struct handshake_self handshakes;
    struct clocks link_clocks;
    struct link_context links;
    uint32_t refused[NODE_REFUSED_MAX], n_refused;
    struct list conns; /* struct conn */
    struct list ready; /* those that may have events or output */
    struct timers conn_timers;
    struct list dials;
    struct coats coats;
    uint32_t n_conns, next_conn;
    struct streams streams;
    struct tunnels tunnels;
    bool save_due[NODE_SAVE_N];
    enum node_save saving; /* told to the shell, not yet looked at again; NODE_SAVE_N: none */
    uint64_t seq_to_save;
    struct {
        bool is_due;
        int code;
        char text[160];
    } stop;
    uint64_t stop_us; /* leaving: links get until then to say goodbye */
    bool is_ad_due, is_vitals_due;
    struct events events;
    uint64_t events_shown; /* to those who follow: all before this number */
    struct node_buffers *buffers, *own_buffers;
    struct exec_action exec_action;
};

#include "node/parts.h"
