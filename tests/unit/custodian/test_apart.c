/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants are strictly apart: every verb that a tenant may call, tried as the tenant acme on
 * everything that the tenant globex has, is answered byte for byte as it is when that thing does
 * not exist: by name before it was made, by id after it was destroyed. A verb without a try here
 * fails the test. What the gate serves by itself is in tests/unit/gate/test_answers.c.
 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

#include "keyd/policy/verbs.h"
#include "proto/base/mem.h"

#define V(x) KEYD__V1__ENVELOPE__BODY_##x

enum world { NOT_YET, THERE, NO_MORE, WORLDS };

/* Of globex; set when they are made. */
static char key_hex[KEY_ID_HEX_LEN + 1], key_prefix[9], token_id[API_TOKEN_ID_LEN + 1];
static uint8_t key_id[KEY_ID_LEN];

static const struct principal acme = {ROLE_TENANT, "ci", "acme", ""};

/* ---- the tries: each fills in one request */

#define FILL(fn, TYPE, INIT, CASE, member)                                                         \
    static TYPE fn##_body;                                                                         \
    static TYPE *fn##_start(envelope *e)                                                           \
    {                                                                                              \
        fn##_body = (TYPE)INIT;                                                                    \
        e->body_case = V(CASE);                                                                    \
        e->member = &fn##_body;                                                                    \
        return &fn##_body;                                                                         \
    }                                                                                              \
    static void fn(envelope *e, const char *arg)

FILL(sign, Keyd__V1__Sign, KEYD__V1__SIGN__INIT, SIGN, sign)
{
    Keyd__V1__Sign *b = sign_start(e);

    (void)arg;
    b->key_id = (ProtobufCBinaryData){sizeof(key_id), key_id};
    b->scheme = 0x0403;
    b->message = (ProtobufCBinaryData){3, (uint8_t *)"csr"};
}

FILL(tenants_list, Keyd__V1__TenantsList, KEYD__V1__TENANTS_LIST__INIT, TENANTS_LIST, tenants_list)
{
    tenants_list_start(e)->after = (char *)(uintptr_t)arg;
}

FILL(generate, Keyd__V1__KeysGenerate, KEYD__V1__KEYS_GENERATE__INIT, KEYS_GENERATE, keys_generate)
{
    Keyd__V1__KeysGenerate *b = generate_start(e);

    b->tenant = (char *)"globex";
    b->name = (char *)(uintptr_t)arg;
    b->type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
}

FILL(keys_of, Keyd__V1__KeysList, KEYD__V1__KEYS_LIST__INIT, KEYS_LIST, keys_list)
{
    keys_of_start(e)->tenant = (char *)(uintptr_t)arg;
}

FILL(keys_after, Keyd__V1__KeysList, KEYD__V1__KEYS_LIST__INIT, KEYS_LIST, keys_list)
{
    keys_after_start(e)->after = (char *)(uintptr_t)arg;
}

FILL(show, Keyd__V1__KeysShow, KEYD__V1__KEYS_SHOW__INIT, KEYS_SHOW, keys_show)
{
    show_start(e)->key = (char *)(uintptr_t)arg;
}

FILL(csr, Keyd__V1__CreateCsr, KEYD__V1__CREATE_CSR__INIT, CREATE_CSR, create_csr)
{
    Keyd__V1__CreateCsr *b = csr_start(e);

    b->key = (char *)(uintptr_t)arg;
    b->subject = (char *)"CN=globex.example";
}

FILL(explain, Keyd__V1__Explain, KEYD__V1__EXPLAIN__INIT, EXPLAIN, explain)
{
    explain_start(e)->key = (char *)(uintptr_t)arg;
}

FILL(import, Keyd__V1__KeysImport, KEYD__V1__KEYS_IMPORT__INIT, KEYS_IMPORT, keys_import)
{
    Keyd__V1__KeysImport *b = import_start(e);

    b->tenant = (char *)"globex";
    b->name = (char *)(uintptr_t)arg;
}

FILL(import_key, Keyd__V1__ImportKey, KEYD__V1__IMPORT_KEY__INIT, IMPORT_KEY, import_key)
{
    (void)arg;
    import_key_start(e);
}

FILL(disable, Keyd__V1__KeysDisable, KEYD__V1__KEYS_DISABLE__INIT, KEYS_DISABLE, keys_disable)
{
    disable_start(e)->key = (char *)(uintptr_t)arg;
}

FILL(enable, Keyd__V1__KeysEnable, KEYD__V1__KEYS_ENABLE__INIT, KEYS_ENABLE, keys_enable)
{
    enable_start(e)->key = (char *)(uintptr_t)arg;
}

FILL(destroy, Keyd__V1__KeysDestroy, KEYD__V1__KEYS_DESTROY__INIT, KEYS_DESTROY, keys_destroy)
{
    destroy_start(e)->key = (char *)(uintptr_t)arg;
}

FILL(grants_on, Keyd__V1__GrantsList, KEYD__V1__GRANTS_LIST__INIT, GRANTS_LIST, grants_list)
{
    grants_on_start(e)->key = (char *)(uintptr_t)arg;
}

FILL(grants_of, Keyd__V1__GrantsList, KEYD__V1__GRANTS_LIST__INIT, GRANTS_LIST, grants_list)
{
    grants_of_start(e)->principal = (char *)(uintptr_t)arg;
}

FILL(tokens_list, Keyd__V1__TokensList, KEYD__V1__TOKENS_LIST__INIT, TOKENS_LIST, tokens_list)
{
    tokens_list_start(e)->after = (char *)(uintptr_t)arg;
}

FILL(revoke, Keyd__V1__TokensRevoke, KEYD__V1__TOKENS_REVOKE__INIT, TOKENS_REVOKE, tokens_revoke)
{
    revoke_start(e)->id = (char *)(uintptr_t)arg;
}

static const struct
try {
    Keyd__V1__Envelope__BodyCase body;
    void (*fill)(envelope * e, const char *arg);
    const char *arg;
    bool by_id; /* compared with what is no more, not with what is not yet */
}
tries[] = {
    {V(SIGN), sign, "", true},
    {V(TENANTS_LIST), tenants_list, "", false},
    {V(TENANTS_LIST), tenants_list, "globex", false},
    {V(KEYS_GENERATE), generate, "www", false},
    {V(KEYS_GENERATE), generate, "other", false},
    {V(KEYS_LIST), keys_of, "", false},
    {V(KEYS_LIST), keys_of, "globex", false},
    {V(KEYS_LIST), keys_after, "globex/a", false},
    {V(KEYS_SHOW), show, "globex/www", false},
    {V(KEYS_SHOW), show, "globex/other", false},
    {V(KEYS_SHOW), show, key_hex, true},
    {V(KEYS_SHOW), show, key_prefix, true},
    {V(CREATE_CSR), csr, "globex/www", false},
    {V(CREATE_CSR), csr, key_hex, true},
    {V(EXPLAIN), explain, "globex/www", false},
    {V(EXPLAIN), explain, key_hex, true},
    {V(KEYS_IMPORT), import, "www", false},
    {V(KEYS_IMPORT), import, "other", false},
    {V(IMPORT_KEY), import_key, "", false},
    {V(KEYS_DISABLE), disable, "globex/www", false},
    {V(KEYS_DISABLE), disable, key_prefix, true},
    {V(KEYS_ENABLE), enable, "globex/www", false},
    {V(KEYS_ENABLE), enable, key_hex, true},
    {V(KEYS_DESTROY), destroy, "globex/www", false},
    {V(KEYS_DESTROY), destroy, key_hex, true},
    {V(GRANTS_LIST), grants_on, "", false},
    {V(GRANTS_LIST), grants_on, "globex/www", false},
    {V(GRANTS_LIST), grants_on, key_hex, true},
    {V(GRANTS_LIST), grants_of, "fe", false},
    {V(TOKENS_LIST), tokens_list, "", false},
    {V(TOKENS_LIST), tokens_list, token_id, true},
    {V(TOKENS_REVOKE), revoke, token_id, true},
};

#define TRIES (sizeof(tries) / sizeof(tries[0]))

/* ---- worlds */

struct answer {
    uint8_t *bytes;
    size_t len;
};

static struct answer answers[WORLDS][TRIES];

static void try_all(enum world world)
{
    for (size_t i = 0; i < TRIES; i++) {
        envelope e = KEYD__V1__ENVELOPE__INIT;
        struct answer *a = &answers[world][i];

        tries[i].fill(&e, tries[i].arg);
        rig_ask_who(&e, &acme, WAIT_MS);
        assert_non_null(rig_answer());
        envelope copy = *rig.answer;
        copy.id = 0;
        a->len = keyd__v1__envelope__get_packed_size(&copy);
        a->bytes = mem_new(a->len + 1);
        assert_non_null(a->bytes);
        keyd__v1__envelope__pack(&copy, a->bytes);
    }
}

static void free_answers(void)
{
    for (size_t world = 0; world < WORLDS; world++)
        for (size_t i = 0; i < TRIES; i++)
            mem_free(answers[world][i].bytes);
}

static void same(size_t i, enum world a, enum world b)
{
    const struct answer *x = &answers[a][i], *y = &answers[b][i];

    if (x->len != y->len || memcmp(x->bytes, y->bytes, x->len) != 0)
        fail_msg("try %zu (%s, \"%s\"): %.*s, but %.*s", i, verb_of(tries[i].body)->name,
                 tries[i].arg, (int)x->len, (char *)x->bytes, (int)y->len, (char *)y->bytes);
}

static uint64_t grant_globex(void)
{
    Keyd__V1__GrantsAdd body = KEYD__V1__GRANTS_ADD__INIT;
    REQUEST(e, GRANTS_ADD, grants_add, &body);

    body.principal = (char *)"fe";
    body.key = (char *)"globex/www";
    return rig_call(&e, V(GRANTS_ADD_REPLY))->grants_add_reply->grant->id;
}

static void make_token(const char *tenant, char ret[API_TOKEN_ID_LEN + 1])
{
    Keyd__V1__TokensCreate body = KEYD__V1__TOKENS_CREATE__INIT;
    REQUEST(e, TOKENS_CREATE, tokens_create, &body);

    body.tenant = (char *)(uintptr_t)tenant;
    body.name = (char *)"ci";
    snprintf(ret, API_TOKEN_ID_LEN + 1, "%s",
             rig_call(&e, V(TOKENS_CREATE_REPLY))->tokens_create_reply->token->id);
}

static uint64_t make_globex(void)
{
    rig_tenant("globex");
    const Keyd__V1__Key *k = rig_generate("globex", "www", KEY_TYPE_EC_P256, 0);
    memcpy(key_id, k->id.data, sizeof(key_id));
    hex_encode(key_id, sizeof(key_id), key_hex);
    memcpy(key_prefix, key_hex, 8);
    make_token("globex", token_id);
    return grant_globex();
}

/* Everything of globex must be as it was: nothing that acme tried had an effect. */
static void still_there(void)
{
    const Keyd__V1__Key *k = rig_show("globex/www");

    assert_non_null(k);
    assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
    assert_null(rig_show("globex/other"));
}

static void unmake_globex(uint64_t grant)
{
    Keyd__V1__GrantsRemove remove = KEYD__V1__GRANTS_REMOVE__INIT;
    Keyd__V1__TokensRevoke revoked = KEYD__V1__TOKENS_REVOKE__INIT;
    Keyd__V1__KeysDestroy destroyed = KEYD__V1__KEYS_DESTROY__INIT;
    REQUEST(a, GRANTS_REMOVE, grants_remove, &remove);
    REQUEST(b, TOKENS_REVOKE, tokens_revoke, &revoked);
    REQUEST(c, KEYS_DESTROY, keys_destroy, &destroyed);

    remove.id = grant;
    revoked.id = token_id;
    destroyed.key = key_hex;
    rig_call(&a, V(GRANTS_REMOVE_REPLY));
    rig_call(&b, V(TOKENS_REVOKE_REPLY));
    rig_call(&c, V(KEYS_DESTROY_REPLY));
}

static void another_tenants_things_are_not_there(void **state)
{
    char own[API_TOKEN_ID_LEN + 1];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    make_token("acme", own);
    memset(key_hex, '0', KEY_ID_HEX_LEN);
    memset(key_prefix, '0', 8);
    memset(token_id, '0', API_TOKEN_ID_LEN);
    try_all(NOT_YET);
    uint64_t grant = make_globex();
    try_all(THERE);
    still_there();
    unmake_globex(grant);
    try_all(NO_MORE);
    for (size_t i = 0; i < TRIES; i++)
        same(i, THERE, tries[i].by_id ? NO_MORE : NOT_YET);
    free_answers();
    rig_stop();
}

/* ---- that nothing is left out */

static bool is_tried(const struct verb *verb)
{
    for (size_t i = 0; i < TRIES; i++)
        if (tries[i].body == verb->body)
            return true;
    return false;
}

static void every_verb_is_tried(void **state)
{
    enum verb_server server;
    struct err err;

    (void)state;
    for (size_t i = 0; verb_at(i); i++) {
        const struct verb *v = verb_at(i);
        bool may = verb_scope(v, ROLE_TENANT) != SCOPE_NONE &&
                   verb_route(v, SOCKET_CONTROL, &server, &err) && server == SERVED_BY_CUSTODIAN;

        if (may != is_tried(v))
            fail_msg("%s: %s", v->name, may ? "a tenant may call it, and it is not tried" : "?");
        if (may)
            assert_int_equal(verb_scope(v, ROLE_TENANT), SCOPE_OWN);
    }
}

/* And what a tenant may not call at all is refused before anybody looks whether it is there. */
static void other_verbs_are_refused_alike(void **state)
{
    static const struct principal who = {ROLE_TENANT, "ci", "acme", ""};
    Keyd__V1__GrantsAdd add = KEYD__V1__GRANTS_ADD__INIT;
    Keyd__V1__GrantsRemove remove = KEYD__V1__GRANTS_REMOVE__INIT;
    REQUEST(a, GRANTS_ADD, grants_add, &add);
    REQUEST(b, GRANTS_REMOVE, grants_remove, &remove);
    envelope *const all[] = {&a, &b};

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    add.principal = (char *)"fe";
    add.key = (char *)"acme/www"; /* his own */
    remove.id = make_globex();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        rig_ask_who(all[i], &who, WAIT_MS);
        assert_non_null(rig_answer());
        assert_int_equal(rig.answer->body_case, V(ERROR));
        assert_int_equal(rig.answer->error->code, ERR_DENIED);
        assert_non_null(strstr(rig.answer->error->message, "needs the role operator"));
    }
    rig_stop();
}

/* A tenant without a name would be every tenant. */
static void a_tenant_without_a_tenant(void **state)
{
    static const struct principal who = {ROLE_TENANT, "ci", "", ""};
    Keyd__V1__KeysList body = KEYD__V1__KEYS_LIST__INIT;
    REQUEST(e, KEYS_LIST, keys_list, &body);

    (void)state;
    rig_serve();
    rig_ask_who(&e, &who, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, V(ERROR));
    assert_int_equal(rig.answer->error->code, ERR_INTERNAL);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_is_tried),
        RIG_TEST(another_tenants_things_are_not_there),
        RIG_TEST(other_verbs_are_refused_alike),
        RIG_TEST(a_tenant_without_a_tenant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
