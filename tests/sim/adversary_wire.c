/* SPDX-License-Identifier: Apache-2.0 */
/* Adversaries below the DHT: what their sessions are given to seal, and when it arrives. The linker
 * puts us there (--wrap); the node is the one that ships. */
#include "gossip/wire.h"
#include "node/session_parts.h"
#include "tests/sim/adversary.h"
#include "tests/sim/world_fault.h"

#define FLOOD 10

static struct world *watching; /* sessions do not know their world; NULL: all are honest */

void adversary_wire_begin(struct world *w)
{
    watching = w;
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
