/* SPDX-License-Identifier: Apache-2.0
 *
 * What a gate answers of itself: whoami, principals-list, config-test, explain; and that tenants
 * are apart there too.
 */
#include "tests/unit/gate/rig.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "keyd/policy/verbs.h"
#include "proto/token.h"
#include "tests/unit/policy/samples.h"

#define BODY(x) KEYD__V1__ENVELOPE__BODY_##x

static struct rig r;

static int tear_down(void **state)
{
    (void)state;
    return rig_down(&r);
}

static const struct rule rules[] = {
    {.principal = {ROLE_FRONTEND, "fe", "", "edge"}, .proof = PROOF_USER, .text = "me"},
    {.principal = {ROLE_OPERATOR, "ops", "", ""}, .proof = PROOF_USER, .text = "me"},
    {.principal = {ROLE_FRONTEND, "fe-*", "", "edge"}, .proof = PROOF_URI, .text = "spiffe://p/*"},
    {.principal = {ROLE_AUDITOR, "eyes", "", ""}, .proof = PROOF_USER, .text = "x", .id = 7},
};

/* A gate, its rules, tokens for two tenants, and grants: fe on acme/key1; edge on all of globex. */
static char acme[API_TOKEN_LEN + 1], globex[API_TOKEN_LEN + 1];

static void up(enum proc which)
{
    struct limits limits = rig_limits();
    struct access_token tokens[2] = {{.role = ROLE_TENANT, .name = "ci", .tenant = "acme"},
                                     {.role = ROLE_TENANT, .name = "ci", .tenant = "globex"}};
    struct access_grant grants[2] = {{.principal = "fe", .purposes = PURPOSE_TLS13_SERVER},
                                     {.group = "edge", .tenant = "globex", .purposes = 4}};
    struct access a = {
        .version = 5, .grants = grants, .grant_count = 2, .tokens = tokens, .token_count = 2};

    rig_up(&r, which, &limits);
    rig_rules(&r, rules, COUNT(rules));
    memset(grants[0].key, KEY_EC, sizeof(grants[0].key));
    assert_true(api_token_make(acme) && api_token_hash(acme, tokens[0].hash));
    assert_true(api_token_make(globex) && api_token_hash(globex, tokens[1].hash));
    tokens[0].expires = tokens[1].expires = (uint64_t)time(NULL) + 10000;
    rig_access(&r, &a);
    rig_settle(&r);
}

static struct client *say_hello(const char *token)
{
    struct client *c = rig_connect(&r);

    client_hello_as(c, 1, token);
    client_expect(c, 1, BODY(HELLO_REPLY));
    return c;
}

/* ---- whoami, principals-list */

static bool lists(char **words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

static const Keyd__V1__WhoamiReply *whoami(struct client *c)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Whoami body = KEYD__V1__WHOAMI__INIT;

    e.body_case = BODY(WHOAMI);
    e.whoami = &body;
    client_send(c, &e);
    return client_expect(c, 0, BODY(WHOAMI_REPLY))->whoami_reply;
}

static void who_one_is(void **state)
{
    (void)state;
    up(PROC_GATE_CONTROL);
    const Keyd__V1__WhoamiReply *reply = whoami(say_hello(""));
    assert_string_equal(reply->principal->name, "ops");
    assert_string_equal(reply->principal->proof, "user=me");
    assert_true(lists(reply->may, reply->n_may, "keys-list (all)"));
    assert_true(lists(reply->may, reply->n_may, "whoami (self)"));
    reply = whoami(say_hello(acme));
    assert_string_equal(reply->principal->tenant, "acme");
    assert_true(lists(reply->may, reply->n_may, "keys-list (own)"));
    assert_false(lists(reply->may, reply->n_may, "status (all)"));
    for (size_t i = 0; i < reply->n_may; i++)
        assert_null(strstr(reply->may[i], "(all)"));
}

static void who_a_frontend_is(void **state)
{
    (void)state;
    up(PROC_GATE_SIGNING);
    const Keyd__V1__WhoamiReply *reply = whoami(say_hello(""));
    assert_string_equal(reply->principal->name, "fe");
    assert_string_equal(reply->principal->group, "edge");
    assert_true(lists(reply->may, reply->n_may, "sign (granted)"));
    assert_int_equal(reply->n_may, 6); /* and nothing of control.sock */
}

static void who_there_is(void **state)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__PrincipalsList body = KEYD__V1__PRINCIPALS_LIST__INIT;

    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello("");
    e.body_case = BODY(PRINCIPALS_LIST);
    e.principals_list = &body;
    client_send(c, &e);
    const Keyd__V1__PrincipalsListReply *reply =
        client_expect(c, 0, BODY(PRINCIPALS_LIST_REPLY))->principals_list_reply;
    assert_int_equal(reply->n_principals, COUNT(rules));
    assert_string_equal(reply->principals[1]->name, "ops");
    assert_int_equal(reply->principals[1]->connections, 1);
    assert_string_equal(reply->principals[2]->name, "fe-*");
    assert_string_equal(reply->principals[2]->proof, "uri=spiffe://p/*");
    assert_int_equal(reply->principals[3]->connections, 0);
    c = say_hello(acme);
    client_send(c, &e);
    client_refused(c, 0, ERR_DENIED, "needs the role operator or auditor");
}

/* ---- config-test */

static void test_config(struct client *c, const char *as)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__ConfigTest body = KEYD__V1__CONFIG_TEST__INIT;

    body.principal = (char *)(uintptr_t)as;
    e.body_case = BODY(CONFIG_TEST);
    e.config_test = &body;
    client_send(c, &e);
}

static const Keyd__V1__ConfigTestReply *tested(struct client *c, const char *as)
{
    test_config(c, as);
    return client_expect(c, 0, BODY(CONFIG_TEST_REPLY))->config_test_reply;
}

static void what_a_frontend_could_do(void **state)
{
    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello("");
    const Keyd__V1__ConfigTestReply *reply = tested(c, "fe");
    assert_string_equal(reply->principal->name, "fe");
    assert_int_equal(reply->keys_total, 1);
    assert_string_equal(reply->keys[0]->key, "acme/key1");
    assert_int_equal(reply->keys[0]->purposes, PURPOSE_TLS13_SERVER);
    assert_int_equal(reply->n_missing, 0);
    reply = tested(c, "fe-12"); /* in the group, but there is no key of globex */
    assert_int_equal(reply->keys_total, 0);
    assert_int_equal(reply->n_missing, 1);
    assert_contains(reply->missing[0], "grants-add --principal fe-12");
    reply = tested(c, "ops");
    assert_contains(reply->missing[0], "only frontends finish handshakes");
    test_config(c, "nobody-known");
    client_refused(c, 0, ERR_NOT_FOUND, "no rule makes anybody");
    c = say_hello(acme);
    test_config(c, "fe");
    client_refused(c, 0, ERR_DENIED, "needs the role");
}

static void what_is_missing(void **state)
{
    struct access_grant rows[2] = {{.principal = "fe", .purposes = PURPOSES_TLS},
                                   {.principal = "fe", .purposes = PURPOSE_TLS13_CLIENT}};
    struct access a = {.version = 9, .grants = rows, .grant_count = 2};

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = say_hello("");
    assert_int_equal(tested(c, "")->n_missing, 0); /* oneself */
    assert_int_equal(tested(c, "fe")->n_missing, 0);
    test_config(c, "fe-12"); /* no other frontend's */
    client_refused(c, 0, ERR_DENIED, "for itself alone");
    memset(rows[0].key, KEY_GONE, sizeof(rows[0].key));
    memset(rows[1].key, KEY_RSA, sizeof(rows[1].key));
    rig_access(&r, &a);
    (void)rig_stats(&r);
    const Keyd__V1__ConfigTestReply *reply = tested(c, "");
    char all[600] = "";
    assert_int_equal(reply->keys_total, 2);
    assert_string_equal(reply->keys[0]->key, "acme/key2"); /* by name */
    assert_int_equal(reply->keys[0]->purposes, 0);
    for (size_t i = 0; i < reply->n_missing; i++)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s|", reply->missing[i]);
    assert_contains(all, "acme/key3: the token does not show it");
    assert_contains(all, "acme/key2: it can sign");
    assert_contains(all, "none of its keys can finish a handshake now");
}

/* ---- explain */

static void ask_why(struct client *c, const char *key, const char *as, uint32_t scheme,
                    const struct sample *message)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Explain body = KEYD__V1__EXPLAIN__INIT;

    body.key = (char *)(uintptr_t)key;
    body.principal = (char *)(uintptr_t)as;
    body.scheme = scheme;
    body.message = (ProtobufCBinaryData){message->len, (uint8_t *)(uintptr_t)message->bytes};
    e.body_case = BODY(EXPLAIN);
    e.explain = &body;
    client_send(c, &e);
}

/* "key+ shape+ purpose+ role- grant+": what the custodian is told, the steps and whether each
 * passes. */
static const Keyd__V1__Explain *judged(const char *want)
{
    struct rig_request q = rig_requested(&r);
    char got[200] = "";

    assert_int_equal(q.e->body_case, BODY(EXPLAIN));
    const Keyd__V1__Explain *e = q.e->explain;
    for (size_t i = 0; i < e->n_judged; i++) {
        assert_true(*e->judged[i]->why != '\0');
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s%s", i ? " " : "",
                 e->judged[i]->what, e->judged[i]->passes ? "+" : "-");
    }
    assert_string_equal(got, want);
    rig_answers(&r, &q, "said");
    return e;
}

/* As judged, with the custodian's answer reaching the client. */
static void explained(struct client *c, const char *want)
{
    judged(want);
    client_expect(c, 0, BODY(TENANTS_ADD_REPLY));
}

static void why_it_signs_or_not(void **state)
{
    const struct sample server = sample_tls13(SERVER_CONTEXT, 32);
    const struct sample client = sample_tls13(CLIENT_CONTEXT, 32);
    const struct sample junk = {.bytes = "{\"alg\":\"ES256\"}", .len = 15};

    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello("");
    ask_why(c, "acme/key1", "fe", 0, &server);
    explained(c, "key+ shape+ purpose+ role+ grant+");
    ask_why(c, "acme/key1", "fe", 0x0403, &server);
    explained(c, "key+ shape+ purpose+ role+ grant+ scheme+");
    ask_why(c, "acme/key1", "fe", 0x0804, &server);
    explained(c, "key+ shape+ purpose+ role+ grant+ scheme-");
    ask_why(c, "acme/key1", "fe", 0x7777, &server);
    explained(c, "key+ shape+ purpose+ role+ grant+ scheme-");
    ask_why(c, "acme/key1", "fe-12", 0, &server);
    explained(c, "key+ shape+ purpose+ role+ grant-");
    ask_why(c, "acme/key1", "fe", 0, &client);
    explained(c, "key+ shape+ purpose- role+ grant-");
    ask_why(c, "acme/key1", "fe", 0, &junk);
    explained(c, "key+ shape- grant+");
    ask_why(c, "acme/key3", "fe", 0, &server);
    explained(c, "key- shape+ purpose+ role+ grant-");
    ask_why(c, "01010101", "", 0, &server); /* oneself: an operator finishes no handshakes */
    explained(c, "key+ shape+ purpose+ role-");
    c = say_hello(acme);
    (void)rig_expect(&r.custodian, MSG_TOKEN_USED);
    ask_why(c, "acme/key1", "", 0, &server);
    explained(c, "key+ shape+ purpose+ role- tenant+");
    ask_why(c, "acme/key1", "fe", 0, &server);
    explained(c, "key+ shape+ purpose+ role+ grant+");
    ask_why(c, "acme/key1", "eyes", 0, &server); /* who else there is, is not his business */
    client_refused(c, 0, ERR_NOT_FOUND, "no rule makes anybody");
}

/* What a client says of what was judged is thrown away; bytes and key reach the custodian. */
static void nobody_else_judges(void **state)
{
    const struct sample server = sample_tls13(SERVER_CONTEXT, 32);
    Keyd__V1__ExplainStep lie = KEYD__V1__EXPLAIN_STEP__INIT, *lies[] = {&lie, &lie};
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Explain body = KEYD__V1__EXPLAIN__INIT;
    char id[KEY_ID_HEX_LEN + 1];

    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello("");
    lie.what = lie.why = (char *)"lie";
    lie.passes = true;
    body.key = (char *)"acme/key1";
    body.message = (ProtobufCBinaryData){server.len, (uint8_t *)(uintptr_t)server.bytes};
    body.judged = lies;
    body.n_judged = 2;
    e.body_case = BODY(EXPLAIN);
    e.explain = &body;
    client_send(c, &e);
    const Keyd__V1__Explain *told = judged("key+ shape+ purpose+ role-");
    const struct table_key key = rig_key(KEY_EC);
    assert_string_equal(told->key, hex_encode(key.id, KEY_ID_LEN, id));
    assert_int_equal(told->message.len, server.len);
    assert_memory_equal(told->message.data, server.bytes, server.len);
}

static void too_much_to_explain(void **state)
{
    static uint8_t bytes[FRAME_CAP_SIGNING + 1];
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Explain body = KEYD__V1__EXPLAIN__INIT;

    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello("");
    body.key = (char *)"acme/key1";
    body.message = (ProtobufCBinaryData){sizeof(bytes), bytes};
    e.body_case = BODY(EXPLAIN);
    e.explain = &body;
    client_send(c, &e);
    client_refused(c, 0, ERR_TOO_LARGE, "a message of 65537 bytes");
    body.message.len--;
    client_send(c, &e);
    explained(c, "key+ shape-");
}

static void names_of_keys(void **state)
{
    static const char *const bad[] = {"", "acme", "0101010"};
    static const char *const none[] = {"acme/key", "acme/key11", "acm/key1", "/key1",
                                       "acme/",    "0101010102", "zzzzzzzz"};
    const struct sample server = sample_tls13(SERVER_CONTEXT, 32);

    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello("");
    for (size_t i = 0; i < COUNT(bad); i++) {
        ask_why(c, bad[i], "fe", 0, &server);
        client_refused(c, 0, ERR_BAD_REQUEST, "names no key");
    }
    for (size_t i = 0; i < COUNT(none); i++) {
        ask_why(c, none[i], "fe", 0, &server);
        client_refused(c, 0, ERR_NOT_FOUND, "there is no key");
    }
}

/* ---- tenants are apart */

/* Only these are the gate's own and a tenant's; whatever is added must be tried below. */
static void the_gates_own_verbs_of_tenants(void **state)
{
    static const Keyd__V1__Envelope__BodyCase known[] = {BODY(HELLO), BODY(PING), BODY(WHOAMI),
                                                         BODY(GET_PUBLIC_KEY)};
    enum verb_server server;
    struct err err;

    (void)state;
    for (size_t i = 0; verb_at(i); i++) {
        const struct verb *v = verb_at(i);
        bool is_known = false;

        if (verb_scope(v, ROLE_TENANT) == SCOPE_NONE ||
            !verb_route(v, SOCKET_CONTROL, &server, &err) || server != SERVED_BY_GATE)
            continue;
        for (size_t j = 0; j < COUNT(known); j++)
            is_known = is_known || known[j] == v->body;
        if (!is_known)
            fail_msg("%s is served by the gate for tenants, and not tried here", v->name);
    }
}

/* The error of the last request, without the thing that it names. */
static void error_of(struct client *c, const char *named, char *ret, size_t size)
{
    const envelope *e = client_next(c);

    assert_non_null(e);
    assert_int_equal(e->body_case, BODY(ERROR));
    const char *at = strstr(e->error->message, named);
    assert_non_null(at);
    snprintf(ret, size, "%d %.*s<>%s / %s / %u", e->error->code, (int)(at - e->error->message),
             e->error->message, at + strlen(named), e->error->hint, e->error->retry_after_ms);
}

static void another_tenants_keys_are_not_there(void **state)
{
    static const char *const pairs[][2] = {{"acme/key1", "acme/none"},
                                           {"acme/key1", "initech/key1"},
                                           {"01010101", "09090909"},
                                           {"0101010101010101", "0909090909090909"}};
    const struct sample server = sample_tls13(SERVER_CONTEXT, 32);
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__GetPublicKey body = KEYD__V1__GET_PUBLIC_KEY__INIT;
    char there[600], nowhere[600];
    uint8_t id[KEY_ID_LEN];

    (void)state;
    up(PROC_GATE_CONTROL);
    struct client *c = say_hello(globex);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        ask_why(c, pairs[i][0], "", 0, &server);
        error_of(c, pairs[i][0], there, sizeof(there));
        ask_why(c, pairs[i][1], "", 0, &server);
        error_of(c, pairs[i][1], nowhere, sizeof(nowhere));
        assert_string_equal(there, nowhere);
    }
    body.key_id = (ProtobufCBinaryData){sizeof(id), id};
    e.body_case = BODY(GET_PUBLIC_KEY);
    e.get_public_key = &body;
    memset(id, KEY_EC, sizeof(id));
    client_send(c, &e);
    error_of(c, "0101010101010101", there, sizeof(there));
    memset(id, KEY_UNKNOWN, sizeof(id));
    client_send(c, &e);
    error_of(c, "0909090909090909", nowhere, sizeof(nowhere));
    assert_string_equal(there, nowhere);
    c = say_hello(acme); /* its own is there */
    memset(id, KEY_EC, sizeof(id));
    client_send(c, &e);
    client_expect(c, 0, BODY(GET_PUBLIC_KEY_REPLY));
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(who_one_is),
        T(who_a_frontend_is),
        T(who_there_is),
        T(what_a_frontend_could_do),
        T(what_is_missing),
        T(why_it_signs_or_not),
        T(nobody_else_judges),
        T(too_much_to_explain),
        T(names_of_keys),
        cmocka_unit_test(the_gates_own_verbs_of_tenants),
        T(another_tenants_keys_are_not_there),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
