/* SPDX-License-Identifier: Apache-2.0 */
/* What an INIT or a RESP is worth: version, suite, chain, ticket, t, revocation, status. */
#include "node/handshake_judge.h"
#include "tests/harness.h"

#include "tests/cert_fixture.h"

static struct fx fx;
static struct mem mem;
static struct chains chains;
static struct clocks clocks;
static struct handshake_self ada;
static struct handshake_judge judge;
static struct handshake_call call;

static void begin(void)
{
    static const uint8_t secret[16] = {1};
    static const uint8_t gate[1][32] = {{1}};
    fx_init(&fx);
    mem_init(&mem, SIZE_MAX);
    CHECK_OK(chains_init(&chains, &mem, &fx.mesh.mesh, CHAINS_MAX, secret));
    CHECK_OK(clocks_init(&clocks, &mem, CLOCKS_MAX, secret));
    struct handshake_self_options options = {
        .key = &fx.ada, .mesh = &fx.mesh.mesh, .gates = gate, .n_gates = 1};
    handshake_self_init(&ada, &options);
    ada.suites = 1u << CRYPT_SUITE_CHACHA20 | 1u << CRYPT_SUITE_AES256GCM;
    judge = (struct handshake_judge){
        .self = &ada, .chains = &chains, .clocks = &clocks, .wall_ms = FX_WALL + FX_HOUR};
    call.plane = HANDSHAKE_LINK;
    call.init = (struct handshake_init){.pk = fx.bob.pk,
                                        .t_ms = FX_WALL + FX_HOUR,
                                        .version_min = 1,
                                        .version_max = 1,
                                        .chain = fx.bob_chain,
                                        .admitter_chain = fx.ada_chain,
                                        .suites = 1u << CRYPT_SUITE_CHACHA20};
}

static void end(void)
{
    chains_done(&chains);
    clocks_done(&clocks);
    CHECK_EQ(mem.used, 0);
}

static struct handshake_resp judged(bool want_facts)
{
    struct handshake_resp resp;
    struct handshake_verdict verdict;
    handshake_judge_init(&judge, &call, &resp, &verdict);
    if (resp.status == HANDSHAKE_OK) {
        CHECK_EQ(verdict.has_facts, want_facts);
        CHECK(!want_facts || node_id_equal(&verdict.facts.id, &call.init.pk));
    }
    return resp;
}

TEST(node_handshake_judge, versions_and_suites)
{
    static const struct {
        uint8_t min, max;
        bool is_fine;
    } versions[] = {{1, 1, true}, {1, 9, true}, {2, 9, false}};
    static const struct {
        uint32_t suites;
        enum handshake_plane plane;
        uint8_t want; /* 0: refused */
    } suites[] = {{1u << 1, HANDSHAKE_LINK, 1},     {1u << 1 | 1u << 2, HANDSHAKE_LINK, 2},
                  {1u << 2, HANDSHAKE_LINK, 2},     {1u << 1 | 1u << 2, HANDSHAKE_DATAGRAM, 1},
                  {1u << 2, HANDSHAKE_DATAGRAM, 0}, {0, HANDSHAKE_LINK, 0},
                  {1u << 9, HANDSHAKE_LINK, 0},     {1u << 9 | 1u << 1, HANDSHAKE_LINK, 1}};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        begin();
        call.init.version_min = versions[i].min;
        call.init.version_max = versions[i].max;
        struct handshake_resp resp = judged(true);
        CHECK_EQ(resp.status, versions[i].is_fine ? HANDSHAKE_OK : HANDSHAKE_REFUSED);
        CHECK_EQ(versions[i].is_fine ? resp.version : resp.why,
                 versions[i].is_fine ? 1 : IPX_VERSION);
        end();
    }
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        begin();
        call.init.suites = suites[i].suites;
        call.plane = (uint8_t)suites[i].plane;
        struct handshake_resp resp = judged(true);
        CHECK_EQ(resp.status, suites[i].want != 0 ? HANDSHAKE_OK : HANDSHAKE_REFUSED);
        CHECK(suites[i].want == 0 || resp.suite == suites[i].want);
        end();
    }
}

TEST(node_handshake_judge, chains_first_then_t)
{
    begin();
    call.init.admitter_chain = SLICE_EMPTY;
    CHECK_EQ(judged(true).status, HANDSHAKE_NEED_CHAIN);
    CHECK(clocks_find(&clocks, &fx.bob.pk) == NULL); /* nothing is kept of the unproved */
    call.init.admitter_chain = fx.ada_chain;
    call.init.t_ms += CLOCKS_SLACK_MS + 1;
    struct handshake_resp resp = judged(true);
    CHECK_EQ(resp.status, HANDSHAKE_CLOCK);
    CHECK_EQ(resp.clock_ms, judge.wall_ms);
    CHECK_EQ(resp.last_ms, 0);
    call.init.t_ms = judge.wall_ms;
    CHECK_EQ(judged(true).status, HANDSHAKE_OK);
    resp = judged(true); /* the same again: a replay */
    CHECK_EQ(resp.status, HANDSHAKE_CLOCK);
    CHECK_EQ(resp.last_ms, judge.wall_ms);
    /* by its hash, now that it is known */
    call.init.t_ms++;
    call.init.chain = SLICE_EMPTY;
    call.init.has_hash = true;
    call.init.chain_hash = crypt_hash(fx.bob_chain);
    CHECK_EQ(judged(true).status, HANDSHAKE_OK);
    call.init.pk = fx.eve.pk; /* somebody else's hash */
    resp = judged(true);
    CHECK_EQ(resp.status, HANDSHAKE_REFUSED);
    CHECK_EQ(resp.why, IPX_CONFLICT);
    call.init.chain_hash.bytes[0] ^= 1;
    CHECK_EQ(judged(true).status, HANDSHAKE_NEED_CHAIN);
    end();

    begin();
    const struct revoke r = {.what = REVOKE_KEY, .is_by_root = true, .key = fx.bob.pk};
    CHECK_OK(chains_revoke(&chains, &r, slice_text("r"), 0));
    CHECK_EQ(judged(true).status, HANDSHAKE_REVOKED);
    end();
    begin();
    mem.fail_after = 0;
    CHECK_EQ(judged(true).status, HANDSHAKE_BUSY);
    end();
}

TEST(node_handshake_judge, tickets_are_looked_at)
{
    static const struct {
        int64_t after_ms;
        enum ipx_err why; /* OK: accepted */
    } cases[] = {{0, IPX_OK}, {3 * FX_DAY, IPX_EXPIRED}, {-FX_DAY, IPX_NOT_YET}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin();
        call.init.chain = SLICE_EMPTY;
        call.init.ticket = fx.pub;
        judge.wall_ms += cases[i].after_ms;
        call.init.t_ms = judge.wall_ms;
        struct handshake_resp resp = judged(false);
        CHECK_EQ(resp.status, cases[i].why == IPX_OK ? HANDSHAKE_OK : HANDSHAKE_REFUSED);
        CHECK_EQ(resp.why, cases[i].why);
        CHECK(clocks_find(&clocks, &fx.bob.pk) == NULL); /* a stranger fills no table */
        end();
    }
    begin();
    call.init.chain = SLICE_EMPTY;
    call.init.ticket = fx.pub;
    ada.mesh.bytes[3] ^= 1;
    CHECK_EQ(judged(false).why, IPX_OTHER_MESH);
    call.init.ticket = slice_of(fx.pub.data, fx.pub.len - 1);
    CHECK_EQ(judged(false).why, IPX_MALFORMED);
    end();
}

TEST(node_handshake_judge, answers)
{
    begin();
    static struct handshake_reply reply;
    struct handshake_dial d;
    struct cert_facts facts;
    handshake_dial_init(&d, HANDSHAKE_LINK, &fx.ada.pk);
    static const struct {
        enum handshake_status status;
        enum ipx_err want;
    } statuses[] = {{HANDSHAKE_NEED_CHAIN, IPX_NEED_CHAIN},
                    {HANDSHAKE_CLOCK, IPX_CLOCK},
                    {HANDSHAKE_REFUSED, IPX_WRONG_LAB},
                    {HANDSHAKE_REVOKED, IPX_REVOKED},
                    {HANDSHAKE_BUSY, IPX_BUSY},
                    {HANDSHAKE_OK, IPX_OK}};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        reply.resp = (struct handshake_resp){.status = statuses[i].status,
                                             .why = IPX_WRONG_LAB,
                                             .version = 1,
                                             .suite = 2,
                                             .clock_ms = FX_WALL,
                                             .last_ms = 5,
                                             .chain = fx.ada_chain};
        CHECK_EQ(handshake_judge_resp(&judge, &d, &reply, &facts), statuses[i].want);
    }
    CHECK_STR(facts.name, "ada");
    CHECK_EQ(clocks_next(&clocks, FX_WALL + FX_HOUR, &fx.ada.pk), FX_WALL);
    reply.resp.version = 2; /* we speak 1 alone */
    CHECK_EQ(handshake_judge_resp(&judge, &d, &reply, &facts), IPX_VERSION);
    reply.resp.version = 0;
    CHECK_EQ(handshake_judge_resp(&judge, &d, &reply, &facts), IPX_VERSION);
    reply.resp.version = 1;
    reply.resp.suite = 3;
    CHECK_EQ(handshake_judge_resp(&judge, &d, &reply, &facts), IPX_REFUSED);
    reply.resp.suite = 2;
    d.plane = HANDSHAKE_DATAGRAM;
    CHECK_EQ(handshake_judge_resp(&judge, &d, &reply, &facts), IPX_REFUSED);
    reply.resp.suite = 1;
    CHECK_OK(handshake_judge_resp(&judge, &d, &reply, &facts));
    d.peer = fx.eve.pk; /* dialled eve, ada answers */
    CHECK_EQ(handshake_judge_resp(&judge, &d, &reply, &facts), IPX_CONFLICT);
    end();
}
