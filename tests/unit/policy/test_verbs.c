/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/verbs.h"

#include <stdio.h>
#include <string.h>

#include "proto/keys.h"

/* The whole policy as text: a right that is widened is a line that changes. */
static size_t print_policy(char *buf, size_t size)
{
    FILE *f = fmemopen(buf, size, "w");

    assert_non_null(f);
    fprintf(f, "%-17s", "verb");
    for (size_t r = 0; r < ROLE_COUNT; r++)
        fprintf(f, " %-8s", role_name(role_at(r)));
    fprintf(f, " %-9s %s\n", "keyd.sock", "control.sock");
    for (size_t i = 0; verb_at(i); i++) {
        const struct verb *v = verb_at(i);
        fprintf(f, "%-17s", v->name);
        for (size_t r = 0; r < ROLE_COUNT; r++)
            fprintf(f, " %-8s", scope_name(verb_scope(v, role_at(r))));
        fprintf(f, " %-9s %s\n", verb_server_name(v->on_signing), verb_server_name(v->on_control));
    }
    for (size_t r = 0; r < ROLE_COUNT; r++) {
        char names[128];
        fprintf(f, "%s, on %s: signs %s\n", role_name(role_at(r)),
                verb_socket_name(role_socket(role_at(r))),
                purposes_text(role_purposes(role_at(r)), names, sizeof(names)));
    }
    fprintf(f, "go first:");
    for (size_t i = 0; verb_at(i); i++)
        if (verb_takes_away(verb_at(i)->body))
            fprintf(f, " %s", verb_at(i)->name);
    fprintf(f, "\n");
    long n = ftell(f);
    fclose(f);
    return (size_t)n;
}

static void policy_is_the_committed_one(void **state)
{
    char now[8192] = "", committed[8192] = "";
    FILE *f = fopen(SNAPSHOT, "r");

    (void)state;
    assert_non_null(f);
    size_t n = fread(committed, 1, sizeof(committed) - 1, f);
    fclose(f);
    size_t len = print_policy(now, sizeof(now));
    if (n != len || memcmp(now, committed, n) != 0)
        print_error("the policy is now:\n%s", now);
    assert_string_equal(now, committed);
}

static void each_verb_has_one_row(void **state)
{
    (void)state;
    for (size_t i = 0; verb_at(i); i++) {
        assert_ptr_equal(verb_of(verb_at(i)->body), verb_at(i));
        assert_true(verb_at(i)->on_signing || verb_at(i)->on_control);
    }
}

/* Requests have even places in the schema's groups; what is no request has no row. */
static void answers_and_strangers_are_no_verbs(void **state)
{
    static const Keyd__V1__Envelope__BodyCase no[] = {
        KEYD__V1__ENVELOPE__BODY__NOT_SET,          KEYD__V1__ENVELOPE__BODY_ERROR,
        KEYD__V1__ENVELOPE__BODY_HELLO_REPLY,       KEYD__V1__ENVELOPE__BODY_PING_REPLY,
        KEYD__V1__ENVELOPE__BODY_SIGN_REPLY,        KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY_REPLY,
        KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY, KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY,
        KEYD__V1__ENVELOPE__BODY_STATUS_REPLY,      (Keyd__V1__Envelope__BodyCase)9999,
    };
    struct err err;
    enum scope scope;
    enum verb_server server;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_null(verb_of(no[i]));
        assert_false(verb_allowed(verb_of(no[i]), ROLE_OPERATOR, &scope, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_false(verb_route(verb_of(no[i]), SOCKET_CONTROL, &server, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
    }
}

static void refusal_names_the_roles(void **state)
{
    const struct verb *generate = verb_of(KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE);
    enum scope scope = SCOPE_NONE;
    struct err err;

    (void)state;
    assert_true(verb_allowed(generate, ROLE_OPERATOR, &scope, &err));
    assert_int_equal(scope, SCOPE_ALL);
    assert_true(verb_allowed(generate, ROLE_TENANT, &scope, &err));
    assert_int_equal(scope, SCOPE_OWN);
    assert_false(verb_allowed(generate, ROLE_FRONTEND, &scope, &err));
    assert_int_equal(scope, SCOPE_OWN); /* untouched */
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err.text, "keys-generate needs the role operator or tenant or issuer; this "
                                  "connection has the role frontend");
}

static void no_role_has_no_right(void **state)
{
    static const uint32_t no[] = {ROLE_NONE, 3, 63, 64, 0x80000000u, UINT32_MAX};
    enum scope scope;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_int_equal(role_purposes((enum role)no[i]), 0);
        assert_string_equal(role_name((enum role)no[i]), "none");
        for (size_t v = 0; verb_at(v); v++) {
            assert_false(verb_allowed(verb_at(v), (enum role)no[i], &scope, &err));
            assert_int_equal(err.code, ERR_DENIED);
        }
    }
}

static void roles_have_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROLE_COUNT; i++)
        assert_int_equal(role_by_name(role_name(role_at(i))), role_at(i));
    assert_int_equal(role_by_name("none"), ROLE_NONE);
    assert_int_equal(role_by_name(""), ROLE_NONE);
    assert_int_equal(role_at(ROLE_COUNT), ROLE_NONE);
}

/* What finishes a handshake is signed for frontends, and nothing else is. */
static void frontends_share_no_purpose(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (role_at(i) != ROLE_FRONTEND)
            assert_int_equal(role_purposes(role_at(i)) & PURPOSES_TLS, 0);
    }
    assert_int_equal(role_purposes(ROLE_FRONTEND), PURPOSES_TLS);
}

/* Own and granted things lie in the scope of no role that is bound to nothing, and the other way
 * round: a tenant never reaches "all". */
static void scopes_fit_their_roles(void **state)
{
    (void)state;
    for (size_t i = 0; verb_at(i); i++) {
        for (size_t r = 0; r < ROLE_COUNT; r++) {
            enum scope scope = verb_scope(verb_at(i), role_at(r));
            if (scope == SCOPE_OWN)
                assert_int_equal(role_at(r), ROLE_TENANT);
            if (scope == SCOPE_GRANTED)
                assert_int_equal(role_at(r), ROLE_FRONTEND);
            if (scope == SCOPE_ALL)
                assert_true(role_at(r) != ROLE_TENANT && role_at(r) != ROLE_FRONTEND);
        }
    }
}

static void route_says_where_else(void **state)
{
    enum verb_server server = SERVED_NOWHERE;
    struct err err;

    (void)state;
    assert_true(verb_route(verb_of(KEYD__V1__ENVELOPE__BODY_SIGN), SOCKET_SIGNING, &server, &err));
    assert_int_equal(server, SERVED_BY_SIGNERS);
    assert_true(verb_route(verb_of(KEYD__V1__ENVELOPE__BODY_SIGN), SOCKET_CONTROL, &server, &err));
    assert_int_equal(server, SERVED_BY_CUSTODIAN);
    assert_false(
        verb_route(verb_of(KEYD__V1__ENVELOPE__BODY_KEYS_LIST), SOCKET_SIGNING, &server, &err));
    assert_int_equal(server, SERVED_BY_CUSTODIAN); /* untouched */
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_string_equal(err.text, "keys-list is not spoken on keyd.sock");
    assert_string_equal(err.hint, "use control.sock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_is_the_committed_one),
        cmocka_unit_test(each_verb_has_one_row),
        cmocka_unit_test(answers_and_strangers_are_no_verbs),
        cmocka_unit_test(refusal_names_the_roles),
        cmocka_unit_test(no_role_has_no_right),
        cmocka_unit_test(roles_have_names),
        cmocka_unit_test(frontends_share_no_purpose),
        cmocka_unit_test(scopes_fit_their_roles),
        cmocka_unit_test(route_says_where_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
