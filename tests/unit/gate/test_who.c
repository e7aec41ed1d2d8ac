/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a connection is, and what he was granted: by rules and tokens, on live connections too.
 */
#include "tests/unit/gate/rig.h"

#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "keyd/process/sealed.h"
#include "proto/token.h"

#define BODY(x) KEYD__V1__ENVELOPE__BODY_##x
#define EVER    UINT64_C(4102444800)

static struct rig r;

static int tear_down(void **state)
{
    (void)state;
    return rig_down(&r);
}

static void up(enum proc which)
{
    struct limits limits = rig_limits();

    rig_up(&r, which, &limits);
}

static const struct rule frontend = {
    .principal = {ROLE_FRONTEND, "fe", "", "edge"}, .proof = PROOF_USER, .text = "me"};

/* ---- saying hello */

static struct client *hello(const char *token)
{
    struct client *c = rig_connect(&r);

    client_hello_as(c, 1, token);
    return c;
}

static struct client *welcome(const char *token)
{
    struct client *c = hello(token);

    client_expect(c, 1, BODY(HELLO_REPLY));
    return c;
}

static void refused(const char *token, enum err_code code, const char *part)
{
    struct client *c = hello(token);

    client_refused(c, 1, code, part);
    client_ended(c);
}

/* "auditor eyes API token ..." */
static void is(struct client *c, enum role role, const char *name, const char *tenant,
               const char *proof)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Whoami body = KEYD__V1__WHOAMI__INIT;

    e.id = 2;
    e.body_case = BODY(WHOAMI);
    e.whoami = &body;
    client_send(c, &e);
    const Keyd__V1__WhoamiReply *reply = client_expect(c, 2, BODY(WHOAMI_REPLY))->whoami_reply;
    assert_int_equal(reply->principal->role, role);
    assert_string_equal(reply->principal->name, name);
    assert_string_equal(reply->principal->tenant, tenant);
    assert_contains(reply->principal->proof, proof);
    assert_true(reply->n_may > 0);
}

/* ---- rules */

static void whom_no_rule_fits_is_refused(void **state)
{
    static const struct rule other = {.principal = {ROLE_FRONTEND, "fe", "", ""},
                                      .proof = PROOF_USER,
                                      .text = "someone",
                                      .id = 0x7ffffff0};

    (void)state;
    up(PROC_GATE_SIGNING);
    is(welcome(NULL), ROLE_FRONTEND, "fe", "", "user=me");
    rig_rules(&r, &other, 1);
    rig_settle(&r);
    refused(NULL, ERR_DENIED, "nobody is known on keyd.sock by uid");
    rig_rules(&r, &frontend, 1);
    rig_settle(&r);
    is(welcome(NULL), ROLE_FRONTEND, "fe", "", "user=me");
}

/* Nothing is taken from a second hello, not even who one is. */
static void a_second_hello_changes_nothing(void **state)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Hello body = KEYD__V1__HELLO__INIT;

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = welcome(NULL);
    body.version_min = body.version_max = 1;
    body.token = (char *)"keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    e.id = 3;
    e.body_case = BODY(HELLO);
    e.hello = &body;
    client_send(c, &e);
    client_refused(c, 3, ERR_BAD_REQUEST, "a second Hello");
    is(c, ROLE_FRONTEND, "fe", "", "user=me");
}

/* Another principal by a new rule: the connection is cut, and what it waits for is not signed. */
static void a_new_rule_cuts_who_is_somebody_else(void **state)
{
    static const struct rule renamed = {
        .principal = {ROLE_FRONTEND, "other", "", ""}, .proof = PROOF_USER, .text = "me"};

    (void)state;
    up(PROC_GATE_SIGNING);
    rig_share(&r);
    struct client *c = welcome(NULL);
    client_sign(c, 5, KEY_RSA, 0, "first");
    client_sign(c, 6, KEY_RSA, 0, "second");
    client_sign(c, 7, KEY_RSA, 0, "third");
    struct rig_ask first = rig_asked(&r.signers[0]), second = rig_asked(&r.signers[0]);
    rig_rules(&r, &renamed, 1);
    client_refused(c, 0, ERR_DENIED, "is fe's no more");
    client_ended(c);
    rig_signs(&r.signers[0], &first, 10);
    rig_signs(&r.signers[0], &second, 10);
    rig_until(&r, 0, 0, 0);
    assert_true(rig_quiet(&r, &r.signers[0])); /* the third never came */
}

static void purposes_asked(struct client *c, uint64_t id, uint8_t key, uint32_t want)
{
    client_sign(c, id, key, 0, "x");
    if (!want) {
        client_refused(c, id, ERR_NOT_FOUND, "no key that you may use");
        return;
    }
    struct rig_ask ask = rig_asked(&r.signers[0]);
    assert_int_equal(ask.purposes, want);
    rig_signs(&r.signers[0], &ask, 10);
    client_signed(c, id, "x");
}

/* ---- grants */

static uint64_t version = 10;

static void grant(const struct access_grant *grants, size_t count)
{
    struct access a = {.version = ++version,
                       .grants = (struct access_grant *)(uintptr_t)grants,
                       .grant_count = count};

    rig_access(&r, &a);
    rig_settle(&r);
}

static void every_way_to_be_granted(void **state)
{
    struct access_grant ec = {.purposes = PURPOSE_TLS13_SERVER}, other = {.purposes = 4};
    struct access_grant rows[3];

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = welcome(NULL);
    memset(ec.key, KEY_EC, sizeof(ec.key));
    memset(other.key, KEY_RSA, sizeof(other.key));
    grant(NULL, 0); /* default: none */
    purposes_asked(c, 1, KEY_EC, 0);
    snprintf(ec.principal, sizeof(ec.principal), "fe");
    grant(&ec, 1);
    purposes_asked(c, 2, KEY_EC, PURPOSE_TLS13_SERVER);
    purposes_asked(c, 3, KEY_RSA, 0);
    snprintf(ec.principal, sizeof(ec.principal), "edge"); /* a group is no name */
    grant(&ec, 1);
    purposes_asked(c, 4, KEY_EC, 0);
    *ec.principal = '\0';
    snprintf(ec.group, sizeof(ec.group), "fe"); /* nor a name a group */
    grant(&ec, 1);
    purposes_asked(c, 5, KEY_EC, 0);
    snprintf(ec.group, sizeof(ec.group), "edge");
    grant(&ec, 1);
    purposes_asked(c, 6, KEY_EC, PURPOSE_TLS13_SERVER);
    memset(ec.key, 0, sizeof(ec.key));
    snprintf(ec.tenant, sizeof(ec.tenant), "globex");
    grant(&ec, 1);
    purposes_asked(c, 7, KEY_EC, 0);
    snprintf(ec.tenant, sizeof(ec.tenant), "acme");
    grant(&ec, 1);
    purposes_asked(c, 8, KEY_EC, PURPOSE_TLS13_SERVER);
    snprintf(other.principal, sizeof(other.principal), "fe"); /* several add up */
    rows[0] = ec, rows[1] = other, rows[2] = ec;
    rows[2].purposes = PURPOSE_TLS13_CLIENT | PURPOSE_CSR | PURPOSE_RAW; /* a frontend's alone */
    grant(rows, 3);
    purposes_asked(c, 9, KEY_RSA, PURPOSES_TLS);
    purposes_asked(c, 10, KEY_EC, PURPOSE_TLS13_SERVER | PURPOSE_TLS13_CLIENT);
}

/* GetPublicKey too: what is not granted is not there. */
static void a_key_that_is_not_granted_is_not_there(void **state)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__GetPublicKey body = KEYD__V1__GET_PUBLIC_KEY__INIT;
    uint8_t id[KEY_ID_LEN];
    char text[2][200];

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = welcome(NULL);
    grant(NULL, 0);
    e.id = 4;
    e.body_case = BODY(GET_PUBLIC_KEY);
    e.get_public_key = &body;
    body.key_id = (ProtobufCBinaryData){sizeof(id), id};
    static const uint8_t keys[] = {KEY_EC, KEY_UNKNOWN};
    for (size_t i = 0; i < 2; i++) {
        memset(id, keys[i], sizeof(id));
        client_send(c, &e);
        const Keyd__V1__Error *error = client_refused(c, 4, ERR_NOT_FOUND, "no key that you may");
        snprintf(text[i], sizeof(text[i]), "%s", strstr(error->message, "..."));
    }
    assert_string_equal(text[0], text[1]);
}

/* The id of the next answer, which must be this error: in what order calls are refused is open. */
static uint64_t next_refused(struct client *c, enum err_code code)
{
    const envelope *e = client_next(c);

    assert_non_null(e);
    assert_int_equal(e->body_case, BODY(ERROR));
    assert_int_equal(e->error->code, code);
    assert_in_range(e->id, 1, 63);
    return e->id;
}

/* When the custodian is told that a removal is true, no signature leaves any more: what waits is
 * refused, and what a signer has made by then is thrown away. */
static void a_grant_is_gone_at_once(void **state)
{
    struct access none = {.version = ++version};
    struct err err;
    int fd;

    (void)state;
    up(PROC_GATE_SIGNING);
    rig_share(&r);
    rig_custodian(&r, 1);
    struct client *c = welcome(NULL);
    for (uint64_t id = 1; id <= 4; id++)
        client_sign(c, id, KEY_RSA, 0, "x");
    struct rig_ask first = rig_asked(&r.signers[0]), second = rig_asked(&r.signers[0]);
    rig_until(&r, 2, 2, 1);
    assert_true(access_to_fd(&none, &fd, &err));
    chan_put(&r.custodian, MSG_ACCESS);
    put_u64(&r.custodian, none.version);
    assert_true(chan_end_fds(&r.custodian, &fd, 1));
    close(fd);
    struct msg m = rig_expect(&r.custodian, MSG_ACCESS_DONE);
    assert_true(rd_u64(&m.body) == none.version);
    msg_end(&m, &r.custodian);
    rig_signs(&r.signers[0], &first, 10);
    rig_signs(&r.signers[0], &second, 10);
    uint64_t ids = 0;
    for (int i = 0; i < 4; i++)
        ids |= UINT64_C(1) << next_refused(c, ERR_NOT_FOUND);
    assert_int_equal(ids, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4);
    client_alive(c);
    rig_until(&r, 0, 0, 1);
    assert_int_equal(rig_stats(&r).signed_total, 12 + 2); /* they were made, and told to nobody */
}

/* A narrower grant: what waits goes on with what is left, what is at a signer is not told. */
static void a_grant_gets_narrower(void **state)
{
    struct access_grant row = {.principal = "fe", .tenant = "acme", .purposes = PURPOSES_TLS};

    (void)state;
    up(PROC_GATE_SIGNING);
    rig_share(&r);
    struct client *c = welcome(NULL);
    client_sign(c, 1, KEY_RSA, 0, "one");
    client_sign(c, 2, KEY_RSA, 0, "two");
    client_sign(c, 3, KEY_RSA, 0, "three");
    struct rig_ask first = rig_asked(&r.signers[0]), second = rig_asked(&r.signers[0]);
    rig_until(&r, 1, 2, 1);
    row.purposes = PURPOSE_TLS12_SERVER;
    grant(&row, 1);
    uint64_t ids = 0;
    for (int i = 0; i < 2; i++)
        ids |= UINT64_C(1) << next_refused(c, ERR_NOT_FOUND);
    assert_int_equal(ids, 1 << 1 | 1 << 2);
    rig_signs(&r.signers[0], &first, 10);
    rig_signs(&r.signers[0], &second, 10);
    struct rig_ask third = rig_asked(&r.signers[0]);
    assert_int_equal(third.purposes, PURPOSE_TLS12_SERVER);
    rig_signs(&r.signers[0], &third, 10);
    client_signed(c, 3, "three");
}

/* Every version comes twice, from the parent and from the custodian; older ones may come late. */
static void a_version_counts_once(void **state)
{
    struct access_grant row = {.principal = "fe", .tenant = "acme", .purposes = PURPOSES_TLS};
    struct access a = {.grants = &row, .grant_count = 1}, none = {.version = 0};

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = welcome(NULL);
    for (uint64_t i = 1; i <= 20; i++) {
        a.version = version += 2;
        rig_access(&r, &a);
        rig_settle(&r);
        purposes_asked(c, i, KEY_EC, PURPOSES_TLS);
        rig_access(&r, &a);
        none.version = a.version - 1;
        rig_access(&r, &none);
        rig_settle(&r);
        purposes_asked(c, i, KEY_EC, PURPOSES_TLS);
    }
}

/* Another group by a new rule: still he, but with the grants of that group, and not of the old. */
static void another_group_has_other_grants(void **state)
{
    struct access_grant row = {.group = "edge", .tenant = "acme", .purposes = PURPOSES_TLS};
    struct rule moved = frontend;

    (void)state;
    up(PROC_GATE_SIGNING);
    grant(&row, 1);
    struct client *c = welcome(NULL);
    purposes_asked(c, 1, KEY_EC, PURPOSES_TLS);
    client_sign(c, 2, KEY_EC, 0, "at a signer");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    snprintf(moved.principal.group, sizeof(moved.principal.group), "core");
    rig_rules(&r, &moved, 1);
    client_refused(c, 2, ERR_NOT_FOUND, "no key");
    rig_signs(&r.signers[0], &ask, 10);
    purposes_asked(c, 3, KEY_EC, 0);
    rig_rules(&r, &frontend, 1);
    rig_settle(&r);
    purposes_asked(c, 4, KEY_EC, PURPOSES_TLS);
}

/* What was granted must not outlive a change that cannot be read. */
static void a_table_that_is_damaged_ends_the_gate(void **state)
{
    static const uint8_t junk[] = "junk";
    struct err err;
    int fd;

    (void)state;
    up(PROC_GATE_SIGNING);
    assert_true(sealed_make("junk", junk, sizeof(junk), &fd, &err));
    chan_put(&r.parent, MSG_ACCESS);
    put_u64(&r.parent, ++version);
    assert_true(chan_end_fds(&r.parent, &fd, 1));
    close(fd);
    assert_int_equal(rig_wait(&r), 1);
    assert_int_equal(rig_logged(&r, "is damaged"), 1);
}

/* ---- tokens */

static char text[4][API_TOKEN_LEN + 1];
static struct access_token tokens[4];

/* text[i] is a token of this role and name. */
static void make_token(size_t i, enum role role, const char *name, const char *tenant,
                       uint64_t expires)
{
    assert_true(api_token_make(text[i]));
    tokens[i] = (struct access_token){.role = role, .expires = expires};
    assert_true(api_token_hash(text[i], tokens[i].hash));
    snprintf(tokens[i].name, sizeof(tokens[i].name), "%s", name);
    snprintf(tokens[i].tenant, sizeof(tokens[i].tenant), "%s", tenant);
}

static void publish_tokens(size_t count)
{
    static struct access_grant row = {.principal = "by-token", .tenant = "acme", .purposes = 1};
    struct access a = {.version = ++version,
                       .grants = &row,
                       .grant_count = 1,
                       .tokens = tokens,
                       .token_count = count};

    rig_access(&r, &a);
}

static void a_token_counts_before_the_rules(void **state)
{
    (void)state;
    up(PROC_GATE_CONTROL);
    make_token(0, ROLE_AUDITOR, "eyes", "", EVER);
    make_token(1, ROLE_TENANT, "ci", "acme", EVER);
    publish_tokens(2);
    rig_settle(&r);
    is(welcome(text[0]), ROLE_AUDITOR, "eyes", "", "API token ");
    is(welcome(text[1]), ROLE_TENANT, "ci", "acme", "API token ");
    is(welcome(""), ROLE_OPERATOR, "ops", "", "user=me");
}

/* One answer for all that are not good; who says one is not let in by the rules instead. */
static void tokens_that_are_not_good(void **state)
{
    char other[API_TOKEN_LEN + 1];

    (void)state;
    up(PROC_GATE_CONTROL);
    make_token(0, ROLE_AUDITOR, "eyes", "", (uint64_t)time(NULL) - 1);
    make_token(1, ROLE_FRONTEND, "by-token", "", EVER);
    make_token(2, ROLE_TENANT, "ci", "", EVER); /* no tenant is not every tenant */
    publish_tokens(3);
    rig_settle(&r);
    assert_true(api_token_make(other));
    refused(other, ERR_DENIED, "not good here");
    refused("x", ERR_DENIED, "not good here");
    refused(text[0], ERR_DENIED, "not good here");
    refused(text[1], ERR_DENIED, "not good here");
    refused(text[2], ERR_DENIED, "nobody is known");
    assert_int_equal(rig_logged(&r, text[0]) + rig_logged(&r, other), 0);
}

static void no_tokens_are_known_yet(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    make_token(0, ROLE_FRONTEND, "by-token", "", EVER);
    refused(text[0], ERR_UNAVAILABLE, "starting");
}

static void a_frontend_by_token(void **state)
{
    (void)state;
    up(PROC_GATE_SIGNING);
    make_token(0, ROLE_FRONTEND, "by-token", "", EVER);
    make_token(1, ROLE_FRONTEND, "fe", "", EVER); /* the rule's name, and its grants */
    make_token(2, ROLE_OPERATOR, "root", "", EVER);
    publish_tokens(3);
    rig_settle(&r);
    struct client *c = welcome(text[0]);
    is(c, ROLE_FRONTEND, "by-token", "", "API token ");
    purposes_asked(c, 5, KEY_EC, PURPOSE_TLS13_SERVER);
    refused(text[1], ERR_CONFLICT, "a rule of keyd.conf makes the frontend \"fe\"");
    refused(text[2], ERR_DENIED, "not good here");
}

/* A rule that comes later takes its name from a token that is in use. */
static void a_rule_takes_its_name_back(void **state)
{
    struct rule named = frontend;

    (void)state;
    up(PROC_GATE_SIGNING);
    make_token(0, ROLE_FRONTEND, "by-token", "", EVER);
    publish_tokens(1);
    rig_settle(&r);
    struct client *c = welcome(text[0]);
    snprintf(named.principal.name, sizeof(named.principal.name), "by-token");
    rig_rules(&r, &named, 1);
    client_refused(c, 0, ERR_DENIED, "is by-token's no more");
    client_ended(c);
}

static void tokens_create_keeps_to_free_names(void **state)
{
    static const struct rule rules[] = {
        {.principal = {ROLE_OPERATOR, "ops", "", ""}, .proof = PROOF_USER, .text = "me"},
        {.principal = {ROLE_FRONTEND, "fe-*", "", ""}, .proof = PROOF_URI, .text = "spiffe://p/*"},
    };
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__TokensCreate body = KEYD__V1__TOKENS_CREATE__INIT;

    (void)state;
    up(PROC_GATE_CONTROL);
    rig_rules(&r, rules, 2);
    rig_settle(&r);
    struct client *c = welcome(NULL);
    e.id = 9;
    e.body_case = BODY(TOKENS_CREATE);
    e.tokens_create = &body;
    body.name = (char *)"fe-12";
    body.role = KEYD__V1__ROLE__ROLE_FRONTEND;
    client_send(c, &e);
    client_refused(c, 9, ERR_CONFLICT, "must not be called the same");
    body.name = (char *)"web-12";
    client_send(c, &e);
    struct rig_request q = rig_requested(&r);
    assert_string_equal(q.e->tokens_create->name, "web-12");
    rig_answers(&r, &q, "done");
    client_expect(c, 9, BODY(TENANTS_ADD_REPLY));
    body.name = (char *)"fe-12";
    body.role = KEYD__V1__ROLE__ROLE_AUDITOR; /* has no grants anyway */
    client_send(c, &e);
    q = rig_requested(&r);
    rig_answers(&r, &q, "done");
    client_expect(c, 9, BODY(TENANTS_ADD_REPLY));
}

static void a_revoked_token_cuts_its_connections(void **state)
{
    (void)state;
    up(PROC_GATE_SIGNING);
    make_token(0, ROLE_FRONTEND, "by-token", "", EVER);
    publish_tokens(1);
    rig_settle(&r);
    struct client *c = welcome(text[0]), *d = welcome(NULL);
    client_sign(c, 5, KEY_EC, 0, "x");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    publish_tokens(0);
    client_refused(c, 0, ERR_DENIED, "is by-token's no more");
    client_ended(c);
    rig_signs(&r.signers[0], &ask, 10);
    refused(text[0], ERR_DENIED, "not good here");
    client_alive(d);
}

static void an_expired_token_cuts_its_connections(void **state)
{
    (void)state;
    up(PROC_GATE_SIGNING);
    make_token(0, ROLE_FRONTEND, "by-token", "", (uint64_t)time(NULL) + 2);
    publish_tokens(1);
    rig_settle(&r);
    struct client *c = welcome(text[0]), *d = welcome(NULL);
    client_refused(c, 0, ERR_DENIED,
                   "API token of this connection has expired"); /* nobody asked for anything */
    assert_true((uint64_t)time(NULL) >= tokens[0].expires);
    client_ended(c);
    client_alive(d);
}

/* However often two tokens come by turns, the custodian writes down each one once a minute. */
static void the_use_of_a_token_is_told_once(void **state)
{
    (void)state;
    up(PROC_GATE_CONTROL);
    make_token(0, ROLE_AUDITOR, "eyes", "", EVER);
    make_token(1, ROLE_AGENT, "watch", "", EVER);
    publish_tokens(2);
    rig_settle(&r);
    for (int i = 0; i < 5; i++) {
        client_close(welcome(text[0]));
        client_close(welcome(text[1]));
    }
    for (size_t i = 0; i < 2; i++) {
        uint8_t hash[API_TOKEN_HASH_LEN];
        struct msg m = rig_expect(&r.custodian, MSG_TOKEN_USED);

        rd_copy(&m.body, hash, sizeof(hash));
        msg_end(&m, &r.custodian);
        assert_memory_equal(hash, tokens[i].hash, sizeof(hash));
    }
    assert_true(rig_quiet(&r, &r.custodian));
}

/* ---- limits */

static void limits_of_a_principal(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = welcome(NULL), *d = welcome(NULL);
    limits.principal_in_flight = 2;
    rig_reload(&r, &limits);
    rig_settle(&r);
    client_sign(c, 1, KEY_EC, 0, "x");
    client_sign(d, 2, KEY_EC, 0, "x");
    struct rig_ask one = rig_asked(&r.signers[0]), two = rig_asked(&r.signers[0]);
    client_sign(c, 3, KEY_RSA, 0, "x");
    assert_true(client_refused(c, 3, ERR_BUSY, "principal is at its limit")->retry_after_ms > 0);
    assert_int_equal(rig_stats(&r).busy_total, 1);
    rig_signs(&r.signers[0], &one, 10);
    rig_signs(&r.signers[0], &two, 10);
    client_signed(c, 1, "x");
    client_signed(d, 2, "x");
    limits.principal_in_flight = 0;
    limits.key_rate = 2;
    rig_reload(&r, &limits);
    rig_settle(&r);
    purposes_asked(c, 4, KEY_EC, PURPOSES_TLS);
    purposes_asked(d, 5, KEY_EC, PURPOSES_TLS);
    client_sign(c, 6, KEY_EC, 0, "x");
    client_refused(c, 6, ERR_BUSY, "key is at its limit");
    purposes_asked(c, 7, KEY_RSA, PURPOSES_TLS); /* another key */
    limits.key_rate = 0;
    rig_reload(&r, &limits);
    rig_settle(&r);
    purposes_asked(c, 8, KEY_EC, PURPOSES_TLS);
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(whom_no_rule_fits_is_refused),
        T(a_second_hello_changes_nothing),
        T(a_new_rule_cuts_who_is_somebody_else),
        T(every_way_to_be_granted),
        T(a_key_that_is_not_granted_is_not_there),
        T(a_grant_is_gone_at_once),
        T(a_grant_gets_narrower),
        T(a_version_counts_once),
        T(another_group_has_other_grants),
        T(a_table_that_is_damaged_ends_the_gate),
        T(a_token_counts_before_the_rules),
        T(tokens_that_are_not_good),
        T(no_tokens_are_known_yet),
        T(a_frontend_by_token),
        T(a_rule_takes_its_name_back),
        T(tokens_create_keeps_to_free_names),
        T(a_revoked_token_cuts_its_connections),
        T(an_expired_token_cuts_its_connections),
        T(the_use_of_a_token_is_told_once),
        T(limits_of_a_principal),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
