/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/policy/principal.h"

#include "tests/unit/test.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static struct rule rule(const char *name, const char *value)
{
    struct rule r;
    struct err err;

    if (!rule_parse(&r, name, value, &err))
        fail_msg("%s = %s: %s", name, value, err.text);
    return r;
}

/* ---- reading */

static void rules_that_are_good(void **state)
{
    static const struct {
        const char *name, *value;
        enum role role;
        const char *tenant, *group;
        enum proof proof;
        const char *text;
    } good[] = {
        {"www", "frontend user=www-data", ROLE_FRONTEND, "", "", PROOF_USER, "www-data"},
        {"ops", "operator\tunix-group=keyd-admin", ROLE_OPERATOR, "", "", PROOF_UNIX_GROUP,
         "keyd-admin"},
        {"fe-*", "frontend group=edge uri=spiffe://p/fe-*", ROLE_FRONTEND, "", "edge", PROOF_URI,
         "spiffe://p/fe-*"},
        {"*", "agent uri=spiffe://p/*", ROLE_AGENT, "", "", PROOF_URI, "spiffe://p/*"},
        {"a*z", "issuer uri=*", ROLE_ISSUER, "", "", PROOF_URI, "*"},
        {"ci", "  tenant  tenant=acme   spki=" HEX64 " ", ROLE_TENANT, "acme", "", PROOF_SPKI,
         HEX64},
        {"eyes", "auditor uri=https://x/?a=b", ROLE_AUDITOR, "", "", PROOF_URI, "https://x/?a=b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct rule r = rule(good[i].name, good[i].value);

        assert_string_equal(r.principal.name, good[i].name);
        assert_int_equal(r.principal.role, good[i].role);
        assert_string_equal(r.principal.tenant, good[i].tenant);
        assert_string_equal(r.principal.group, good[i].group);
        assert_int_equal(r.proof, good[i].proof);
        assert_string_equal(r.text, good[i].text);
    }
}

static void rules_that_are_not(void **state)
{
    static char longer[1200], uri[PROOF_TEXT_MAX + 20];
    static const struct {
        const char *name, *value, *why;
    } bad[] = {
        {"www", "", "is no role"},
        {"www", "Frontend user=a", "is no role"},
        {"www", "none user=a", "is no role"},
        {"www", "operator,frontend user=a", "is no role"},
        {"www", "frontend", "nothing says how"},
        {"www", "frontend user", "is no part of a rule"},
        {"www", "frontend uid=7", "is no part of a rule"},
        {"www", "frontend user=", "a proof has"},
        {"www", "frontend user=a user=b", "two proofs"},
        {"www", "frontend user=a spki=" HEX64, "two proofs"},
        {"www", "frontend group=a group=b user=a", "two groups"},
        {"www", "tenant tenant=a tenant=b user=a", "two tenants"},
        {"www", "frontend tenant=acme user=a", "tenant= belongs"},
        {"www", "operator tenant=acme user=a", "tenant= belongs"},
        {"www", "tenant user=a", "tenant= belongs"},
        {"www", "tenant tenant= user=a", ""},
        {"www", "tenant tenant=* user=a", ""},
        {"www", "operator group=edge user=a", "group= is for"},
        {"www", "frontend group=a/b user=a", ""},
        {"www", "frontend spki=00", "spki= takes"},
        {"www", "frontend spki=" HEX64 "00", "spki= takes"},
        {"www", "frontend spki=g" HEX64, "spki= takes"},
        {"fe-*", "frontend user=fe-*", "a \"*\" stands once"},
        {"fe-*", "frontend uri=spiffe://p/fe", "a \"*\" stands once"},
        {"fe", "frontend uri=spiffe://p/*", "a \"*\" stands once"},
        {"fe-*", "frontend uri=spiffe://*/fe-*", "a \"*\" stands once"},
        {"f*-*", "frontend uri=spiffe://p/fe-*", "cannot be a principal's name"},
        {"", "frontend user=a", ""},
        {"-x", "frontend user=a", ""},
        {"WWW", "frontend user=a", ""},
        {"a b", "frontend user=a", ""},
        {"a/b", "frontend user=a", ""},
        {"www", longer, "longer than"},
        {"www", uri, "a proof has"},
    };
    struct rule before = {.id = 7}, r = before;
    struct err err;

    (void)state;
    memset(longer, ' ', sizeof(longer) - 1);
    memset(uri, 'x', sizeof(uri) - 1);
    memcpy(uri, "agent uri=", 10);
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (rule_parse(&r, bad[i].name, bad[i].value, &err))
            fail_msg("%s = %s is taken", bad[i].name, bad[i].value);
        assert_contains(err.text, bad[i].why);
        assert_memory_equal(&r, &before, sizeof(r));
    }
}

static void a_proof_in_words(void **state)
{
    char text[40];
    struct rule r = rule("www", "frontend user=www-data");

    (void)state;
    assert_string_equal(rule_proof_text(&r, text, sizeof(text)), "user=www-data");
    assert_string_equal(rule_proof_text(&r, text, 6), "user=");
}

/* ---- finding out */

static struct rule with_id(const char *name, const char *value, uint32_t id)
{
    struct rule r = rule(name, value);

    r.id = id;
    return r;
}

static const char *found(const struct rule *rules, size_t count, const struct evidence *e)
{
    static struct principal who;

    who = (struct principal){.name = "unchanged"};
    return principal_find(rules, count, e, &who) ? who.name : NULL;
}

static void the_first_that_fits_decides(void **state)
{
    const struct rule rules[] = {
        with_id("root", "operator user=root", 0),
        with_id("www", "frontend user=www-data", 33),
        with_id("admins", "operator unix-group=adm", 4),
        with_id("eyes", "auditor user=www-data", 33),
        with_id("later", "operator user=eve", 1000),
    };
    static const uint32_t groups[] = {100, 4};
    struct evidence e = {.unix_peer = true, .uid = 33, .gid = 33, .socket = SOCKET_SIGNING};

    (void)state;
    assert_string_equal(found(rules, 5, &e), "www");
    e.socket = SOCKET_CONTROL; /* a frontend is nobody there: the next rule counts */
    assert_string_equal(found(rules, 5, &e), "eyes");
    e.gid = 4;
    assert_string_equal(found(rules, 5, &e), "admins");
    e.gid = 33;
    e.groups = groups;
    e.group_count = 2;
    assert_string_equal(found(rules, 5, &e), "admins");
    e.group_count = 1;
    assert_string_equal(found(rules, 5, &e), "eyes");
    e = (struct evidence){.unix_peer = true, .uid = 1001, .gid = 1001, .socket = SOCKET_CONTROL};
    assert_null(found(rules, 5, &e));
    assert_null(found(rules, 0, &e));
    /* uid 0 is root's only where the kernel says so */
    e = (struct evidence){.unix_peer = false, .uid = 0, .socket = SOCKET_CONTROL};
    assert_null(found(rules, 5, &e));
    e.unix_peer = true;
    assert_string_equal(found(rules, 5, &e), "root");
}

static void a_star_stands_for_one_name(void **state)
{
    const struct rule rules[] = {rule("fe-*-x", "frontend group=edge uri=spiffe://p/fe/*/x")};
    static const struct {
        const char *uri, *name;
    } table[] = {
        {"spiffe://p/fe/12/x", "fe-12-x"},
        {"spiffe://p/fe/a.b_c-d/x", "fe-a.b_c-d-x"},
        {"spiffe://p/fe//x", NULL},
        {"spiffe://p/fe/x", NULL},
        {"spiffe://p/fe/1/2/x", NULL},
        {"spiffe://p/fe/A/x", NULL},
        {"spiffe://p/fe/*/x", NULL},
        {"spiffe://p/fe/a b/x", NULL},
        {"spiffe://p/fe/12/x/", NULL},
        {"spiffe://p/fe/12/y", NULL},
        {"xspiffe://p/fe/12/x", NULL},
        {"SPIFFE://p/fe/12/x", NULL},
        {"spiffe://p/fe/1234567890123456789012345678901234567890123456789012345678901234/x", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct evidence e = {.socket = SOCKET_SIGNING, .uri = table[i].uri};
        const char *name = found(rules, 1, &e);

        if (!table[i].name && name)
            fail_msg("%s is %s", table[i].uri, name);
        if (table[i].name)
            assert_string_equal(name, table[i].name);
    }
}

/* A text without a star is compared whole: no prefix, no suffix. */
static void a_uri_is_compared_whole(void **state)
{
    const struct rule rules[] = {rule("fe", "frontend uri=spiffe://p/fe")};
    struct evidence e = {.socket = SOCKET_SIGNING, .uri = "spiffe://p/fe"};

    (void)state;
    assert_string_equal(found(rules, 1, &e), "fe");
    e.uri = "spiffe://p/fe-2";
    assert_null(found(rules, 1, &e));
    e.uri = "spiffe://p/f";
    assert_null(found(rules, 1, &e));
    e.uri = NULL;
    assert_null(found(rules, 1, &e));
}

static void a_public_key_is_compared_whole(void **state)
{
    const struct rule rules[] = {rule("fe", "frontend spki=" HEX64)};
    uint8_t spki[KEY_ID_LEN];
    struct evidence e = {.socket = SOCKET_SIGNING, .spki = spki};

    (void)state;
    assert_true(hex_decode(HEX64, spki, sizeof(spki)));
    assert_string_equal(found(rules, 1, &e), "fe");
    for (size_t i = 0; i < sizeof(spki); i++) {
        spki[i] ^= 1;
        assert_null(found(rules, 1, &e));
        spki[i] ^= 1;
    }
    e.spki = NULL;
    assert_null(found(rules, 1, &e));
}

static void who_could_have_a_name(void **state)
{
    const struct rule rules[] = {
        rule("fe-*", "frontend group=edge uri=spiffe://p/fe-*"),
        rule("ci", "tenant tenant=acme user=ci"),
        rule("ci", "frontend user=ci"),
    };
    struct principal who;

    (void)state;
    assert_ptr_equal(principal_named(rules, 3, "fe-12", ROLE_NONE, &who), &rules[0]);
    assert_string_equal(who.name, "fe-12");
    assert_string_equal(who.group, "edge");
    assert_null(principal_named(rules, 3, "fe-", ROLE_NONE, &who));
    assert_null(principal_named(rules, 3, "fe-a/b", ROLE_NONE, &who));
    assert_null(principal_named(rules, 3, "fe-12", ROLE_OPERATOR, &who));
    assert_ptr_equal(principal_named(rules, 3, "ci", ROLE_NONE, &who), &rules[1]);
    assert_ptr_equal(principal_named(rules, 3, "ci", ROLE_FRONTEND, &who), &rules[2]);
    assert_string_equal(who.tenant, "");
    assert_null(principal_named(rules, 3, "c", ROLE_NONE, &who));
    assert_string_equal(principal_text(&who), "ci");
    assert_string_equal(principal_text(&(struct principal){.name = "x"}), "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_that_are_good),
        cmocka_unit_test(rules_that_are_not),
        cmocka_unit_test(a_proof_in_words),
        cmocka_unit_test(the_first_that_fits_decides),
        cmocka_unit_test(a_star_stands_for_one_name),
        cmocka_unit_test(a_uri_is_compared_whole),
        cmocka_unit_test(a_public_key_is_compared_whole),
        cmocka_unit_test(who_could_have_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
