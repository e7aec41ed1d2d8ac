/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/verbs.h"

#include <stdio.h>
#include <string.h>

#include "proto/keys.h"

static const enum role all_roles[] = {ROLE_OPERATOR, ROLE_FRONTEND};

#define ROLES (sizeof(all_roles) / sizeof(all_roles[0]))

/* The whole policy as text: a right that is widened is a line that changes. */
static size_t print_policy(char *buf, size_t size)
{
    FILE *f = fmemopen(buf, size, "w");
    struct err err;

    assert_non_null(f);
    fprintf(f, "%-17s %-9s %-9s %-11s %-10s %s\n", "verb", "operator", "frontend", "scope",
            "keyd.sock", "control.sock");
    for (size_t i = 0; verb_at(i); i++) {
        const struct verb *v = verb_at(i);
        fprintf(f, "%-17s ", v->name);
        for (size_t r = 0; r < ROLES; r++)
            fprintf(f, "%-9s ", verb_allowed(v, all_roles[r], &err) ? "yes" : "no");
        fprintf(f, "%-11s %-10s %s\n", verb_scope_name(v->scope), verb_server_name(v->on_signing),
                verb_server_name(v->on_control));
    }
    for (size_t r = 0; r < ROLES; r++) {
        char names[128];
        fprintf(f, "sign for %s: %s\n", role_name(all_roles[r]),
                purposes_text(role_purposes(all_roles[r]), names, sizeof(names)));
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
    char now[4096] = "", committed[4096] = "";
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
    enum verb_server server;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_null(verb_of(no[i]));
        assert_false(verb_allowed(verb_of(no[i]), ROLE_OPERATOR, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_false(verb_route(verb_of(no[i]), SOCKET_CONTROL, &server, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
    }
}

static void refusal_names_the_role(void **state)
{
    const struct verb *generate = verb_of(KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE);
    struct err err;

    (void)state;
    assert_true(verb_allowed(generate, ROLE_OPERATOR, &err));
    assert_false(verb_allowed(generate, ROLE_FRONTEND, &err));
    assert_int_equal(err.code, ERR_DENIED);
    assert_string_equal(err.text, "keys-generate needs the role operator; this connection has the "
                                  "role frontend");
}

static void no_role_has_no_right(void **state)
{
    static const uint32_t no[] = {ROLE_NONE, ROLES_ALL, 4, 0x80000000u, UINT32_MAX};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_int_equal(role_purposes((enum role)no[i]), 0);
        for (size_t v = 0; verb_at(v); v++) {
            assert_false(verb_allowed(verb_at(v), (enum role)no[i], &err));
            assert_int_equal(err.code, ERR_DENIED);
        }
    }
}

static void roles_share_no_purpose(void **state)
{
    (void)state;
    assert_int_equal(role_purposes(ROLE_OPERATOR) & role_purposes(ROLE_FRONTEND), 0);
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
        cmocka_unit_test(refusal_names_the_role),
        cmocka_unit_test(no_role_has_no_right),
        cmocka_unit_test(roles_share_no_purpose),
        cmocka_unit_test(route_says_where_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
