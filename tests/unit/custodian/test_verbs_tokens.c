/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <time.h>

#include "proto/token.h"

#define V(x)  KEYD__V1__ENVELOPE__BODY_##x
#define DAY_S 86400u

static const Keyd__V1__TokensCreateReply *create(const char *name, int role, const char *tenant,
                                                 uint32_t days)
{
    Keyd__V1__TokensCreate body = KEYD__V1__TOKENS_CREATE__INIT;
    REQUEST(e, TOKENS_CREATE, tokens_create, &body);

    body.name = (char *)(uintptr_t)name;
    body.role = (Keyd__V1__Role)role;
    body.tenant = (char *)(uintptr_t)tenant;
    body.expires_days = days;
    return rig_call(&e, V(TOKENS_CREATE_REPLY))->tokens_create_reply;
}

static void no_token(const char *name, int role, const char *tenant, uint32_t days,
                     enum err_code code, const char *word)
{
    Keyd__V1__TokensCreate body = KEYD__V1__TOKENS_CREATE__INIT;
    REQUEST(e, TOKENS_CREATE, tokens_create, &body);

    body.name = (char *)(uintptr_t)name;
    body.role = (Keyd__V1__Role)role;
    body.tenant = (char *)(uintptr_t)tenant;
    body.expires_days = days;
    rig_refused(&e, code, word);
}

static const Keyd__V1__TokensListReply *list(const char *after)
{
    Keyd__V1__TokensList body = KEYD__V1__TOKENS_LIST__INIT;
    REQUEST(e, TOKENS_LIST, tokens_list, &body);

    body.after = (char *)(uintptr_t)after;
    return rig_call(&e, V(TOKENS_LIST_REPLY))->tokens_list_reply;
}

static const struct access_token *published(const char *secret)
{
    uint8_t hash[API_TOKEN_HASH_LEN];

    assert_true(api_token_hash(secret, hash));
    for (size_t i = 0; i < rig.ends[0].access.token_count; i++)
        if (memcmp(rig.ends[0].access.tokens[i].hash, hash, sizeof(hash)) == 0)
            return &rig.ends[0].access.tokens[i];
    return NULL;
}

static void revoke(const char *id)
{
    Keyd__V1__TokensRevoke body = KEYD__V1__TOKENS_REVOKE__INIT;
    REQUEST(e, TOKENS_REVOKE, tokens_revoke, &body);

    body.id = (char *)(uintptr_t)id;
    rig_call(&e, V(TOKENS_REVOKE_REPLY));
    rig_refused(&e, ERR_NOT_FOUND, "there is no token");
}

static bool file_has(const char *path, const char *text)
{
    static char bytes[1 << 20];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(bytes, 1, sizeof(bytes), f) : 0;

    if (f)
        fclose(f);
    return memmem(bytes, n, text, strlen(text)) != NULL;
}

static void created_known_and_revoked(void **state)
{
    char secret[API_TOKEN_LEN + 1], id[API_TOKEN_ID_LEN + 1], named[80], path[300];
    uint64_t now = (uint64_t)time(NULL);

    (void)state;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__TokensCreateReply *reply = create("", 0, "acme", 0);
    assert_int_equal(strlen(reply->secret), API_TOKEN_LEN);
    snprintf(secret, sizeof(secret), "%s", reply->secret);
    snprintf(id, sizeof(id), "%s", reply->token->id);
    snprintf(named, sizeof(named), "token-%s", id);
    assert_string_equal(reply->token->name, named);
    assert_int_equal(reply->token->role, ROLE_TENANT);
    assert_string_equal(reply->token->tenant, "acme");
    assert_in_range(reply->token->expires, now + 90 * DAY_S, now + 90 * DAY_S + 60);
    assert_true(reply->token->last_used == 0);
    /* the gates have it, as a hash */
    const struct access_token *t = published(secret);
    assert_non_null(t);
    assert_string_equal(t->name, named);
    assert_string_equal(t->tenant, "acme");
    assert_int_equal(t->role, ROLE_TENANT);
    assert_in_range(t->expires, now + 90 * DAY_S, now + 90 * DAY_S + 60);
    /* nothing else has it: no list, no file */
    assert_int_equal(list("")->n_tokens, 1);
    assert_string_equal(list("")->tokens[0]->id, id);
    snprintf(path, sizeof(path), "%s/registry.db", rig.state);
    assert_false(file_has(path, secret));
    assert_false(file_has(path, secret + 5));
    snprintf(path, sizeof(path), "%s/registry.db-wal", rig.state);
    assert_false(file_has(path, secret + 5));
    revoke(id);
    assert_null(published(secret));
    assert_int_equal(list("")->n_tokens, 0);
    rig_stop();
}

static void of_every_role(void **state)
{
    static const int roles[] = {ROLE_OPERATOR, ROLE_FRONTEND, ROLE_AGENT, ROLE_ISSUER,
                                ROLE_AUDITOR};
    char before[API_TOKEN_LEN + 1] = "";

    (void)state;
    rig_serve();
    rig_tenant("acme");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        const Keyd__V1__TokensCreateReply *reply = create("ci", roles[i], "", 3650);
        assert_int_equal(reply->token->role, roles[i]);
        assert_string_equal(reply->token->name, "ci");
        assert_string_not_equal(reply->secret, before);
        snprintf(before, sizeof(before), "%s", reply->secret);
    }
    create("ci", ROLE_TENANT, "acme", 1);
    const Keyd__V1__TokensListReply *all = list("");
    assert_int_equal(all->n_tokens, 6);
    for (size_t i = 1; i < all->n_tokens; i++)
        assert_true(strcmp(all->tokens[i - 1]->id, all->tokens[i]->id) < 0);
    char third[API_TOKEN_ID_LEN + 1];
    snprintf(third, sizeof(third), "%s", all->tokens[2]->id);
    assert_int_equal(list(third)->n_tokens, 3);
    rig_stop();
}

static void what_is_no_token(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    no_token("", 0, "", 0, ERR_BAD_REQUEST, "belongs to the role tenant");
    no_token("", ROLE_TENANT, "", 0, ERR_BAD_REQUEST, "belongs to the role tenant");
    no_token("", ROLE_AUDITOR, "acme", 0, ERR_BAD_REQUEST, "belongs to the role tenant");
    no_token("", ROLE_OPERATOR | ROLE_AUDITOR, "", 0, ERR_BAD_REQUEST, "is no role");
    no_token("", 64, "", 0, ERR_BAD_REQUEST, "is no role");
    no_token("", 0, "globex", 0, ERR_NOT_FOUND, "no tenant globex");
    no_token("", 0, "acme", 3651, ERR_BAD_REQUEST, "1 to 3650 days");
    no_token("a/b", 0, "acme", 0, ERR_BAD_REQUEST, "principal");
    no_token("fe-*", ROLE_FRONTEND, "", 0, ERR_BAD_REQUEST, "principal");
    assert_int_equal(list("")->n_tokens, 0);
    assert_int_equal(rig.ends[0].access.token_count, 0);
    rig_stop();
}

/* A tenant revokes what is its own; so it can when its token was stolen. */
static void a_tenant_and_its_tokens(void **state)
{
    static const struct principal ci = {ROLE_TENANT, "ci", "acme", ""};
    Keyd__V1__TokensList all = KEYD__V1__TOKENS_LIST__INIT;
    Keyd__V1__TokensRevoke one = KEYD__V1__TOKENS_REVOKE__INIT;
    REQUEST(e, TOKENS_LIST, tokens_list, &all);
    REQUEST(f, TOKENS_REVOKE, tokens_revoke, &one);
    char own[API_TOKEN_ID_LEN + 1];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_tenant("globex");
    create("", ROLE_AUDITOR, "", 0);
    create("", 0, "globex", 0);
    snprintf(own, sizeof(own), "%s", create("", 0, "acme", 0)->token->id);
    rig_ask_who(&e, &ci, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->tokens_list_reply->n_tokens, 1);
    assert_string_equal(rig.answer->tokens_list_reply->tokens[0]->id, own);
    one.id = own;
    rig_ask_who(&f, &ci, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, V(TOKENS_REVOKE_REPLY));
    assert_int_equal(list("")->n_tokens, 2);
    rig_stop();
}

static void its_use_is_written_down(void **state)
{
    uint8_t hash[API_TOKEN_HASH_LEN] = {0};
    struct chan *gate = &rig.ends[0].chan;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    assert_true(api_token_hash(create("", 0, "acme", 0)->secret, hash));
    chan_put(gate, MSG_TOKEN_USED);
    put_raw(gate, hash, sizeof(hash));
    chan_end(gate);
    hash[0] ^= 1;
    chan_put(gate, MSG_TOKEN_USED); /* revoked meanwhile: no matter */
    put_raw(gate, hash, sizeof(hash));
    chan_end(gate);
    assert_true(list("")->tokens[0]->last_used > 1700000000);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(created_known_and_revoked), RIG_TEST(of_every_role),
        RIG_TEST(what_is_no_token),          RIG_TEST(a_tenant_and_its_tokens),
        RIG_TEST(its_use_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
