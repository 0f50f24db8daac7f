/* SPDX-License-Identifier: Apache-2.0 */
#include "node/handshake_judge.h"

#include "base/ticket.h"

static_assert(HANDSHAKE_TICKET_MAX == TICKET_PUBLIC_MAX, "the longest ticket");

static bool version_pick(const struct handshake_init *init, uint8_t *ret)
{
    uint8_t version = IPX_MIN(init->version_max, HANDSHAKE_VERSION_MAX);
    if (version < init->version_min || version < HANDSHAKE_VERSION_MIN) {
        return false;
    }
    *ret = version;
    return true;
}

/* Sessions use ChaCha20 alone; links AES-256-GCM where both have it: it is the faster there. */
static bool suite_pick(const struct handshake_self *self, enum handshake_plane plane,
                       uint32_t suites, uint8_t *ret)
{
    uint32_t both = self->suites & suites;
    if (plane == HANDSHAKE_LINK && (both & UINT32_C(1) << CRYPT_SUITE_AES256GCM) != 0) {
        *ret = CRYPT_SUITE_AES256GCM;
        return true;
    }
    *ret = CRYPT_SUITE_CHACHA20;
    return (both & UINT32_C(1) << CRYPT_SUITE_CHACHA20) != 0;
}

static enum ipx_err ticket_look(const struct handshake_judge *j, struct slice pub)
{
    struct ticket_body body;
    enum ipx_err err = ticket_body_decode(pub, &body);
    if (err != IPX_OK) {
        return err;
    }
    if (memcmp(body.mesh.bytes, j->self->mesh.bytes, sizeof(body.mesh.bytes)) != 0) {
        return IPX_OTHER_MESH;
    }
    return cert_time_check(body.grant.not_before_ms, body.grant.not_after_ms, j->wall_ms);
}

static enum ipx_err identity_judge(const struct handshake_judge *j,
                                   const struct handshake_init *init, struct handshake_verdict *ret)
{
    const struct chain *chain = NULL;
    enum ipx_err err;
    if (init->ticket.len > 0) {
        return ticket_look(j, init->ticket);
    }
    if (init->has_hash) {
        err = chains_named(j->chains, j->wall_ms, &init->chain_hash, &init->pk, &chain);
    } else {
        err =
            chains_put(j->chains, j->wall_ms, init->chain, init->admitter_chain, &init->pk, &chain);
    }
    if (err == IPX_OK) {
        ret->has_facts = true;
        ret->facts = chain->facts;
    }
    return err;
}

static void refuse(struct handshake_resp *resp, enum ipx_err err)
{
    switch ((int)err) {
    case IPX_NEED_CHAIN:
        resp->status = HANDSHAKE_NEED_CHAIN;
        break;
    case IPX_REVOKED:
        resp->status = HANDSHAKE_REVOKED;
        break;
    case IPX_NO_MEMORY:
        resp->status = HANDSHAKE_BUSY;
        break;
    default:
        resp->status = HANDSHAKE_REFUSED;
        resp->why = err > 0 ? err : IPX_REFUSED;
        break;
    }
}

void handshake_judge_init(const struct handshake_judge *j, const struct handshake_call *call,
                          struct handshake_resp *ret_resp, struct handshake_verdict *ret)
{
    const struct handshake_init *init = &call->init;
    *ret = (struct handshake_verdict){0};
    *ret_resp = (struct handshake_resp){
        .version = HANDSHAKE_VERSION_MAX, .suite = CRYPT_SUITE_CHACHA20, .status = HANDSHAKE_OK};
    if (!version_pick(init, &ret_resp->version)) {
        refuse(ret_resp, IPX_VERSION);
        return;
    }
    if (!suite_pick(j->self, (enum handshake_plane)call->plane, init->suites, &ret_resp->suite)) {
        refuse(ret_resp, IPX_REFUSED);
        return;
    }
    enum ipx_err err = identity_judge(j, init, ret);
    if (err != IPX_OK) {
        refuse(ret_resp, err);
        return;
    }
    int64_t last = 0;
    if (clocks_judge(j->clocks, j->wall_ms, &init->pk, init->t_ms, &last) != IPX_OK) {
        ret_resp->status = HANDSHAKE_CLOCK;
        ret_resp->clock_ms = IPX_MAX(j->wall_ms, 1);
        ret_resp->last_ms = last;
        return;
    }
    if (ret->has_facts) {
        clocks_on_seen(j->clocks, &init->pk, init->t_ms);
    }
}

static enum ipx_err status_judge(const struct handshake_judge *j, const struct handshake_dial *d,
                                 const struct handshake_resp *resp)
{
    switch (resp->status) {
    case HANDSHAKE_OK:
        return IPX_OK;
    case HANDSHAKE_NEED_CHAIN:
        return IPX_NEED_CHAIN;
    case HANDSHAKE_CLOCK:
        clocks_on_answer(j->clocks, &d->peer, resp->clock_ms, resp->last_ms);
        return IPX_CLOCK;
    case HANDSHAKE_REFUSED:
        return resp->why;
    case HANDSHAKE_REVOKED:
        return IPX_REVOKED;
    case HANDSHAKE_BUSY:
        return IPX_BUSY;
    }
    return IPX_REFUSED;
}

enum ipx_err handshake_judge_resp(const struct handshake_judge *j, const struct handshake_dial *d,
                                  const struct handshake_reply *reply, struct cert_facts *ret)
{
    const struct handshake_resp *resp = &reply->resp;
    const struct chain *chain = NULL;
    enum ipx_err err = status_judge(j, d, resp);
    if (err != IPX_OK) {
        return err;
    }
    /* we offered all that we speak: any lower choice would be a downgrade by somebody */
    if (resp->version < HANDSHAKE_VERSION_MIN || resp->version > HANDSHAKE_VERSION_MAX) {
        return IPX_VERSION;
    }
    if (resp->suite >= 32 || (j->self->suites & UINT32_C(1) << resp->suite) == 0 ||
        (d->plane == HANDSHAKE_DATAGRAM && resp->suite != CRYPT_SUITE_CHACHA20)) {
        return IPX_REFUSED;
    }
    if (resp->has_hash) {
        err = chains_named(j->chains, j->wall_ms, &resp->chain_hash, &d->peer, &chain);
    } else {
        err =
            chains_put(j->chains, j->wall_ms, resp->chain, resp->admitter_chain, &d->peer, &chain);
    }
    if (err == IPX_OK) {
        *ret = chain->facts;
    }
    return err;
}
