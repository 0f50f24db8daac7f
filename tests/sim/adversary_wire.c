/* SPDX-License-Identifier: Apache-2.0 */
/* Adversaries below the DHT: what their sessions are given to seal, and when it arrives. The linker
 * puts us there (--wrap); the node is the one that ships. */
#include "gossip/wire.h"
#include "node/session_parts.h"
#include "tests/sim/adversary.h"
#include "tests/sim/world_fault.h"

#define FLOOD 10
#define SAID_MAX 64   /* messages of the replayer: some seconds to a minute of them */
#define REPLAY_EACH 4 /* of so many one is an old one */

static struct world *watching; /* sessions do not know their world; NULL: all are honest */

static struct said {
    struct handshake_message message; /* its body is below */
    uint8_t body[SESSION_BODY_MAX];
} said[SAID_MAX]; /* by the replayer: a world has one at most */

void adversary_wire_begin(struct world *w)
{
    watching = w;
    memset(said, 0, sizeof(said));
}

void adversary_wire_end(void)
{
    watching = NULL;
}

unsigned adversary_garbage(struct world_node *n, struct handshake_message *m, uint8_t *body)
{
    if (m->type != DHT_STORE || m->body.len == 0) {
        return 1;
    }
    size_t at = (size_t)(++n->n_altered * 7 % m->body.len);
    memcpy(body, m->body.data, m->body.len);
    body[at] ^= (uint8_t)(1u << n->n_altered % 8);
    m->body = slice_of(body, m->body.len);
    return FLOOD;
}

/* Nobody answers what was never sent: to its own gossip all are gone. */
unsigned adversary_accuse(struct world_node *n, struct handshake_message *m, uint8_t *body)
{
    (void)n;
    (void)body;
    return m->type == GOSSIP_TYPE_PING || m->type == GOSSIP_TYPE_PING_REQ ? 0 : 1;
}

/* Old questions, answers, statements and records, sealed anew and mostly for another ear. */
unsigned adversary_replay(struct world_node *n, struct handshake_message *m, uint8_t *body)
{
    uint64_t number = n->n_altered++;
    const struct said *old = &said[number * 7 % SAID_MAX];
    if (number % REPLAY_EACH == 0 && old->message.type != 0) {
        memcpy(body, old->body, old->message.body.len);
        *m = old->message;
        m->body = slice_of(body, old->message.body.len);
        return 1;
    }
    struct said *now = &said[number % SAID_MAX];
    assert(m->body.len <= sizeof(now->body));
    now->message = *m;
    memcpy(now->body, m->body.data, m->body.len);
    return 1;
}

unsigned adversary_flood(struct world_node *n, struct handshake_message *m, uint8_t *body)
{
    (void)n;
    (void)body;
    return m->type >= DHT_PING && m->type <= DHT_STORED ? FLOOD : 1;
}

enum ipx_err __real_session_append(struct session_plane *p, struct session_peer *peer,
                                   const struct handshake_message *m);
enum ipx_err __wrap_session_append(struct session_plane *p, struct session_peer *peer,
                                   const struct handshake_message *m);
uint64_t __real_faults_delay(struct world_node *from, struct world_node *to, uint64_t usual_us);
uint64_t __wrap_faults_delay(struct world_node *from, struct world_node *to, uint64_t usual_us);

static struct world_node *adversary_of(const struct session_plane *p)
{
    for (unsigned i = 0; watching != NULL && i < watching->n_nodes; i++) {
        struct world_node *n = &watching->nodes[i];
        if (n->adversary != 0 && n->node != NULL && n->node->sessions == p) {
            return n;
        }
    }
    return NULL;
}

enum ipx_err __wrap_session_append(struct session_plane *p, struct session_peer *peer,
                                   const struct handshake_message *m)
{
    uint8_t body[SESSION_BODY_MAX];
    struct handshake_message altered = *m;
    struct world_node *n = adversary_of(p);
    enum ipx_err err = IPX_OK;
    if (n == NULL || adversary_classes[n->adversary].say == NULL) {
        return __real_session_append(p, peer, m);
    }
    unsigned times = adversary_classes[n->adversary].say(n, &altered, body);
    for (; times > 0 && err == IPX_OK; times--) {
        err = __real_session_append(p, peer, &altered);
    }
    return err;
}

uint64_t __wrap_faults_delay(struct world_node *from, struct world_node *to, uint64_t usual_us)
{
    return __real_faults_delay(from, to, usual_us) + adversary_classes[from->adversary].late_us;
}
