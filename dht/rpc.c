/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/rpc.h"

void dht_rpc_init(struct dht_rpc *r)
{
    *r = (struct dht_rpc){.n = 0};
}

bool dht_rpc_has_room(const struct dht_rpc *r)
{
    return r->n < DHT_CALLS_MAX;
}

static bool is_id_used(const struct dht_rpc *r, uint32_t req_id)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->calls[i].req_id == req_id) {
            return true;
        }
    }
    return false;
}

uint32_t dht_rpc_start(struct dht_rpc *r, struct rng *rng, uint64_t now_us,
                       const struct dht_call *call)
{
    assert(dht_rpc_has_room(r) && dht_type_is_request(call->type));
    uint32_t req_id = rng_u32(rng); /* not to be guessed */
    while (is_id_used(r, req_id)) {
        req_id++;
    }
    r->calls[r->n] = *call;
    r->calls[r->n].req_id = req_id;
    r->calls[r->n].sent_us = now_us;
    r->n++;
    return req_id;
}

/* Order is kept: the calls are sorted by the time they were sent. */
static void remove_at(struct dht_rpc *r, size_t i, struct dht_call *ret)
{
    assert(i < r->n);
    *ret = r->calls[i];
    r->n--;
    memmove(&r->calls[i], &r->calls[i + 1], (r->n - i) * sizeof(r->calls[0]));
}

static void remember(struct dht_rpc *r, bool is_timeout)
{
    r->history = r->history << 1 | (is_timeout ? 1u : 0u);
    r->n_history = (uint8_t)IPX_MIN(r->n_history + 1, DHT_HISTORY);
}

enum ipx_err dht_rpc_take(struct dht_rpc *r, const struct node_id *from, uint8_t reply_type,
                          uint32_t req_id, struct dht_call *ret)
{
    assert(dht_type_is_reply(reply_type));
    for (size_t i = 0; i < r->n; i++) {
        const struct dht_call *c = &r->calls[i];
        if (c->req_id == req_id && c->type + 1 == reply_type && node_id_equal(&c->to, from)) {
            remove_at(r, i, ret);
            remember(r, false);
            return IPX_OK;
        }
    }
    return IPX_NOT_FOUND;
}

bool dht_rpc_expire(struct dht_rpc *r, uint64_t now_us, struct dht_call *ret)
{
    if (r->n == 0 || now_us < r->calls[0].sent_us + DHT_CALL_HARD_US) {
        return false;
    }
    remove_at(r, 0, ret);
    remember(r, true);
    return true;
}

bool dht_rpc_drop_peer(struct dht_rpc *r, const struct node_id *to, struct dht_call *ret)
{
    for (size_t i = 0; i < r->n; i++) {
        if (node_id_equal(&r->calls[i].to, to)) {
            remove_at(r, i, ret);
            remember(r, true);
            return true;
        }
    }
    return false;
}

void dht_rpc_forget(struct dht_rpc *r, uint32_t handle)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->calls[i].handle == handle && r->calls[i].type != DHT_STORE) {
            r->calls[i].handle = 0;
        }
    }
}

uint64_t dht_rpc_deadline(const struct dht_rpc *r)
{
    return r->n == 0 ? NEVER_US : r->calls[0].sent_us + DHT_CALL_HARD_US;
}

void dht_rpc_on_rtt(struct dht_rpc *r, uint64_t rtt_us)
{
    uint32_t rtt = (uint32_t)IPX_MIN(IPX_MAX(rtt_us, 1u), DHT_CALL_HARD_US);
    if (r->srtt_us == 0) {
        r->srtt_us = rtt;
        r->rttvar_us = rtt / 2;
        return;
    }
    /* Slower gains than for one peer (RFC 6298): this follows many at once. */
    uint32_t delta = rtt > r->srtt_us ? rtt - r->srtt_us : r->srtt_us - rtt;
    r->rttvar_us = (uint32_t)(((uint64_t)r->rttvar_us * 15 + delta) / 16);
    r->srtt_us = (uint32_t)(((uint64_t)r->srtt_us * 31 + rtt) / 32);
}

uint64_t dht_rpc_soft_us(const struct dht_rpc *r, unsigned n_vars)
{
    uint64_t soft_us = (uint64_t)r->srtt_us + n_vars * (uint64_t)r->rttvar_us;
    return r->srtt_us == 0 ? DHT_SOFT_UNKNOWN_US
                           : IPX_MIN(IPX_MAX(soft_us, DHT_SOFT_MIN_US), DHT_SOFT_UNKNOWN_US);
}

bool dht_rpc_is_lossy(const struct dht_rpc *r)
{
    unsigned lost = (unsigned)__builtin_popcount(r->history);
    return r->n_history == DHT_HISTORY && lost * 5 > DHT_HISTORY;
}

void dht_rpc_check(const struct dht_rpc *r)
{
    assert(r->n <= DHT_CALLS_MAX);
    for (size_t i = 0; i < r->n; i++) {
        assert(dht_type_is_request(r->calls[i].type));
        assert(i == 0 || r->calls[i - 1].sent_us <= r->calls[i].sent_us);
    }
}
