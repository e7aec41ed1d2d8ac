/* SPDX-License-Identifier: Apache-2.0
 *
 * Principals, grants, tokens, explain: who.c, grants.c, tokens.c, explain.c.
 */
#include <string.h>

#include "proto/roles.h"
#include "tests/unit/libkeyd/fixture.h"

/* In one page, in pages of one, in pages of two. */
static const uint32_t pages[] = {0, 1, 2};

static struct server *s;
static struct keyd_client *c;
static struct keyd_error error;

static int up(void **state)
{
    (void)state;
    s = new_server(NULL);
    c = new_client(LATE_MS);
    return 0;
}

static int down(void **state)
{
    (void)state;
    keyd_client_free(c);
    server_stop(s, true);
    return 0;
}

static void roles_have_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        const char *name = role_name(role_at(i));

        assert_int_equal(keyd_role_by_name(name), role_at(i));
        assert_string_equal(keyd_role_name((int)role_at(i)), name);
    }
    assert_int_equal(keyd_role_by_name("root"), 0);
    assert_null(keyd_role_name(0));
    assert_null(keyd_role_name(3));
}

static void who_one_is(void **state)
{
    struct keyd_whoami *w = NULL;

    (void)state;
    assert_int_equal(keyd_whoami(c, &w, &error), KEYD_OK);
    assert_string_equal(w->principal.name, "ops");
    assert_int_equal(w->principal.role, KEYD_ROLE_OPERATOR);
    assert_string_equal(w->principal.tenant, "");
    assert_string_equal(w->principal.proof, "user=root");
    assert_int_equal(w->may_count, 2);
    assert_string_equal(w->may[1], "keys-list (all)");
    keyd_whoami_free(w);
    keyd_whoami_free(NULL);
}

static void who_there_is(void **state)
{
    struct keyd_principal *p = NULL;
    size_t n = 9;

    (void)state;
    assert_int_equal(keyd_principals_list(c, &p, &n, &error), KEYD_OK);
    assert_int_equal(n, 2);
    assert_string_equal(p[0].group, "edge");
    assert_int_equal(p[0].role, KEYD_ROLE_FRONTEND);
    assert_int_equal(p[1].connections, 2);
    keyd_principals_free(p, n);
    server_set(s, &(struct server_knobs){.nonsense = NONSENSE_EMPTY});
    assert_int_equal(keyd_principals_list(c, &p, &n, &error), KEYD_OK);
    assert_int_equal(n, 0);
    keyd_principals_free(p, n);
}

static void what_a_frontend_could_do(void **state)
{
    struct keyd_config_test *t = NULL;

    (void)state;
    assert_int_equal(keyd_config_test(c, "fe-12", &t, &error), KEYD_OK);
    assert_string_equal(t->principal.name, "fe-12");
    assert_int_equal(t->key_count, 1);
    assert_int_equal(t->keys_total, 1);
    assert_string_equal(t->keys[0].key, "acme/www");
    assert_int_equal(t->keys[0].type, KEYD_KEY_EC_P256);
    assert_int_equal(t->keys[0].purposes, 1);
    assert_int_equal(t->missing_count, 0);
    keyd_config_test_free(t);
    assert_int_equal(keyd_config_test(c, NULL, &t, &error), KEYD_OK);
    assert_int_equal(t->key_count, 0);
    assert_int_equal(t->missing_count, 1);
    assert_string_equal(t->missing[0], "no key is granted to it");
    keyd_config_test_free(t);
}

static void why_it_signs_or_not(void **state)
{
    const uint8_t yes[] = {'y', 'e', 's'};
    struct keyd_explain_step *steps = NULL;
    size_t n = 0;
    int signs = 7;

    (void)state;
    assert_int_equal(
        keyd_explain(c, yes, 3, "acme/www", 0x0403, "fe-12", &steps, &n, &signs, &error), KEYD_OK);
    assert_int_equal(signs, 1);
    assert_int_equal(n, 2);
    assert_string_equal(steps[0].what, "key");
    assert_int_equal(steps[1].passes, 1);
    keyd_explain_free(steps, n);
    assert_int_equal(keyd_explain(c, yes, 2, "acme/www", 0, NULL, &steps, &n, &signs, &error),
                     KEYD_OK);
    assert_int_equal(signs, 0);
    assert_int_equal(steps[1].passes, 0);
    assert_string_equal(steps[1].why, "no shape");
    keyd_explain_free(steps, n);
    steps = NULL;
    signs = 7;
    assert_int_equal(keyd_explain(c, yes, 3, "acme/no", 0, NULL, &steps, &n, &signs, &error),
                     KEYD_NOT_FOUND);
    assert_null(steps);
    assert_int_equal(signs, 7);
}

static void grants_come_and_go(void **state)
{
    struct keyd_grant *g = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(keyd_grants_add(c, "fe-12", NULL, "acme/www", NULL, 0, &g, &error), KEYD_OK);
    assert_int_equal(g->id, 17);
    assert_string_equal(g->principal, "fe-12");
    assert_string_equal(g->group, "");
    assert_string_equal(g->tenant, "");
    assert_int_equal(g->purposes, 5);
    keyd_grants_free(g, 1);
    assert_int_equal(keyd_grants_add(c, NULL, "edge", NULL, "acme", 2, &g, &error), KEYD_OK);
    assert_string_equal(g->group, "edge");
    assert_string_equal(g->key, "");
    assert_int_equal(g->purposes, 2);
    keyd_grants_free(g, 1);
    for (size_t i = 0; i < 3; i++) {
        server_set(s, &(struct server_knobs){.page = pages[i]});
        assert_int_equal(keyd_grants_list(c, NULL, NULL, &g, &n, &error), KEYD_OK);
        assert_int_equal(n, 3);
        assert_int_equal(g[0].id, 10);
        assert_string_equal(g[1].tenant, "acme");
        assert_int_equal(g[2].created, 1700000000);
        keyd_grants_free(g, n);
    }
    assert_int_equal(keyd_grants_list(c, "fe-13", NULL, &g, &n, &error), KEYD_OK);
    assert_int_equal(n, 1);
    keyd_grants_free(g, n);
    assert_int_equal(keyd_grants_remove(c, 10, &g, &error), KEYD_OK);
    assert_string_equal(g->key, "acme/www");
    keyd_grants_free(g, 1);
    g = NULL;
    assert_int_equal(keyd_grants_remove(c, 11, &g, &error), KEYD_NOT_FOUND);
    assert_null(g);
}

static void tokens_come_and_go(void **state)
{
    struct keyd_token *t = NULL;
    char *secret = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(keyd_tokens_create(c, NULL, 0, "acme", 0, &t, &secret, &error), KEYD_OK);
    assert_int_equal(strlen(secret), 48);
    assert_string_equal(t->name, "token-0a0b0c0d");
    assert_int_equal(t->role, KEYD_ROLE_TENANT);
    assert_string_equal(t->tenant, "acme");
    assert_int_equal(t->expires, 1700000000 + 90 * 86400);
    keyd_tokens_free(t, 1);
    keyd_free(secret);
    secret = NULL;
    t = NULL;
    server_set(s, &(struct server_knobs){.nonsense = NONSENSE_EMPTY}); /* without the secret */
    assert_int_not_equal(
        keyd_tokens_create(c, "x", KEYD_ROLE_AUDITOR, NULL, 7, &t, &secret, &error), KEYD_OK);
    assert_null(secret);
    assert_null(t);
    for (size_t i = 0; i < 3; i++) {
        server_set(s, &(struct server_knobs){.page = pages[i]});
        assert_int_equal(keyd_tokens_list(c, &t, &n, &error), KEYD_OK);
        assert_int_equal(n, 2);
        assert_string_equal(t[0].id, "0a0b0c0d");
        assert_int_equal(t[0].last_used, 0);
        assert_int_equal(t[1].last_used, 1700000060);
        keyd_tokens_free(t, n);
    }
    assert_int_equal(keyd_tokens_revoke(c, "1f2e3d4c", &t, &error), KEYD_OK);
    assert_string_equal(t->name, "eyes");
    keyd_tokens_free(t, 1);
    assert_int_equal(keyd_tokens_revoke(c, "00000000", &t, &error), KEYD_NOT_FOUND);
}

/* A server that sends the same page for ever is not believed. */
static void lists_without_an_end(void **state)
{
    struct keyd_grant *g = NULL;
    struct keyd_token *t = NULL;
    size_t n;

    (void)state;
    server_set(s, &(struct server_knobs){.endless = true});
    assert_int_not_equal(keyd_grants_list(c, NULL, NULL, &g, &n, &error), KEYD_OK);
    assert_int_not_equal(keyd_tokens_list(c, &t, &n, &error), KEYD_OK);
    assert_null(g);
    assert_null(t);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_have_names),
        T(who_one_is),
        T(who_there_is),
        T(what_a_frontend_could_do),
        T(why_it_signs_or_not),
        T(grants_come_and_go),
        T(tokens_come_and_go),
        T(lists_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
