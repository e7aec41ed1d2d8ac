/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

#define V(x) KEYD__V1__ENVELOPE__BODY_##x

struct row {
    const char *principal, *group, *key, *tenant;
    uint32_t purposes;
};

static Keyd__V1__GrantsAdd body_of(const struct row *r)
{
    Keyd__V1__GrantsAdd body = KEYD__V1__GRANTS_ADD__INIT;

    body.principal = (char *)(uintptr_t)(r->principal ? r->principal : "");
    body.group = (char *)(uintptr_t)(r->group ? r->group : "");
    body.key = (char *)(uintptr_t)(r->key ? r->key : "");
    body.tenant = (char *)(uintptr_t)(r->tenant ? r->tenant : "");
    body.purposes = r->purposes;
    return body;
}

static const Keyd__V1__Grant *add(struct row r)
{
    Keyd__V1__GrantsAdd body = body_of(&r);
    REQUEST(e, GRANTS_ADD, grants_add, &body);

    return rig_call(&e, V(GRANTS_ADD_REPLY))->grants_add_reply->grant;
}

static void no_grant(struct row r, enum err_code code, const char *word)
{
    Keyd__V1__GrantsAdd body = body_of(&r);
    REQUEST(e, GRANTS_ADD, grants_add, &body);

    rig_refused(&e, code, word);
}

static const Keyd__V1__GrantsListReply *list(const char *principal, const char *key, uint64_t after)
{
    Keyd__V1__GrantsList body = KEYD__V1__GRANTS_LIST__INIT;
    REQUEST(e, GRANTS_LIST, grants_list, &body);

    body.principal = (char *)(uintptr_t)principal;
    body.key = (char *)(uintptr_t)key;
    body.after = after;
    return rig_call(&e, V(GRANTS_LIST_REPLY))->grants_list_reply;
}

static void take_away(uint64_t id)
{
    Keyd__V1__GrantsRemove body = KEYD__V1__GRANTS_REMOVE__INIT;
    REQUEST(e, GRANTS_REMOVE, grants_remove, &body);

    body.id = id;
    assert_true(rig_call(&e, V(GRANTS_REMOVE_REPLY))->grants_remove_reply->grant->id == id);
    rig_refused(&e, ERR_NOT_FOUND, "there is no grant");
}

static void serve(void)
{
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
}

static void added_listed_and_removed(void **state)
{
    (void)state;
    serve();
    assert_int_equal(list("", "", 0)->n_grants, 0); /* default: none */
    const Keyd__V1__Grant *g = add((struct row){.principal = "fe", .key = "acme/www"});
    uint64_t first = g->id;
    assert_string_equal(g->principal, "fe");
    assert_string_equal(g->group, "");
    assert_string_equal(g->key, "acme/www");
    assert_string_equal(g->tenant, "");
    assert_int_equal(g->purposes, PURPOSE_TLS13_SERVER | PURPOSE_TLS12_SERVER);
    assert_true(g->created > 1700000000);
    g = add((struct row){.group = "edge", .tenant = "acme", .purposes = PURPOSE_TLS13_CLIENT});
    assert_true(g->id > first);
    assert_string_equal(g->tenant, "acme");
    assert_string_equal(g->key, "");
    uint64_t second = g->id;
    assert_int_equal(list("", "", 0)->n_grants, 2);
    assert_int_equal(list("", "", first)->n_grants, 1);
    assert_int_equal(list("fe", "", 0)->n_grants, 1);
    assert_int_equal(list("edge", "", 0)->n_grants, 1);
    assert_int_equal(list("f", "", 0)->n_grants, 0);
    assert_int_equal(list("", "acme/www", 0)->n_grants, 2); /* its tenant's included */
    /* the same frontend on the same key: other purposes, the same grant */
    g = add((struct row){.principal = "fe", .key = "acme/www", .purposes = PURPOSE_TLS12_SERVER});
    assert_true(g->id == first);
    assert_int_equal(g->purposes, PURPOSE_TLS12_SERVER);
    take_away(first);
    take_away(second);
    assert_int_equal(list("", "", 0)->n_grants, 0);
    g = add((struct row){.principal = "fe", .key = "acme/www"});
    assert_true(g->id > second); /* never used again */
    rig_stop();
}

static void what_is_no_grant(void **state)
{
    (void)state;
    serve();
    no_grant((struct row){.key = "acme/www"}, ERR_BAD_REQUEST, "a principal or a group");
    no_grant((struct row){"fe", "edge", "acme/www", NULL, 0}, ERR_BAD_REQUEST, "one of the two");
    no_grant((struct row){.principal = "fe"}, ERR_BAD_REQUEST, "a key or a tenant");
    no_grant((struct row){"fe", NULL, "acme/www", "acme", 0}, ERR_BAD_REQUEST, "one of the two");
    no_grant((struct row){.principal = "f/e", .key = "acme/www"}, ERR_BAD_REQUEST, "principal");
    no_grant((struct row){.principal = "fe-*", .key = "acme/www"}, ERR_BAD_REQUEST, "principal");
    no_grant((struct row){.group = "", .principal = "", .key = "acme/www"}, ERR_BAD_REQUEST, "");
    no_grant((struct row){.principal = "fe", .key = "acme/none"}, ERR_NOT_FOUND, "no key none");
    no_grant((struct row){.principal = "fe", .key = "globex/www"}, ERR_NOT_FOUND, "no tenant");
    no_grant((struct row){.principal = "fe", .tenant = "globex"}, ERR_NOT_FOUND, "no tenant");
    no_grant((struct row){"fe", NULL, "acme/www", NULL, PURPOSE_CSR}, ERR_BAD_REQUEST, "TLS alone");
    no_grant((struct row){"fe", NULL, "acme/www", NULL, PURPOSE_TLS13_SERVER | PURPOSE_RAW},
             ERR_BAD_REQUEST, "TLS alone");
    no_grant((struct row){"fe", NULL, "acme/www", NULL, 0x80000000}, ERR_BAD_REQUEST, "TLS alone");
    no_grant((struct row){"fe", NULL, "acme/www", NULL, PURPOSE_TLS13_CLIENT}, ERR_CONFLICT,
             "was made for");
    assert_int_equal(list("", "", 0)->n_grants, 0);
    rig_stop();
}

/* A key that somebody may use is not destroyed under him. */
static void a_granted_key_is_not_destroyed(void **state)
{
    Keyd__V1__KeysDestroy body = KEYD__V1__KEYS_DESTROY__INIT;
    REQUEST(e, KEYS_DESTROY, keys_destroy, &body);

    (void)state;
    serve();
    uint64_t id = add((struct row){.principal = "fe", .key = "acme/www"})->id;
    body.key = (char *)"acme/www";
    rig_refused(&e, ERR_CONFLICT, "of fe");
    take_away(id);
    rig_call(&e, V(KEYS_DESTROY_REPLY));
    rig_stop();
}

/* ---- published (access.c) */

static bool has(const struct access *a, uint64_t id)
{
    for (size_t i = 0; i < a->grant_count; i++)
        if (a->grants[i].id == id)
            return true;
    return false;
}

/* When a change is answered, the parent has kept it and every gate has it. */
static void told_to_the_gates(void **state)
{
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_connect(1, PROC_GATE_SIGNING, 0, 1);
    rig_connect(2, PROC_SIGNER, 0, 1);
    rig_stats(figures, words, sizeof(words)); /* it knows all of them */
    assert_true(rig.access.version > 0);      /* empty, from its start */
    assert_int_equal(rig.access.grant_count, 0);
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    uint64_t key = add((struct row){.principal = "fe", .key = "acme/www"})->id;
    uint64_t tenant = add((struct row){.group = "edge", .tenant = "acme"})->id;
    const struct access *const all[] = {&rig.access, &rig.ends[0].access, &rig.ends[1].access};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(all[i]->grant_count, 2);
        assert_true(has(all[i], key) && has(all[i], tenant));
        assert_true(all[i]->version == all[0]->version);
        for (size_t j = 0; j < 2; j++) {
            const struct access_grant *g = &all[i]->grants[j];
            uint8_t zero[TABLE_ID_LEN] = {0};

            assert_string_equal(g->tenant, g->id == tenant ? "acme" : "");
            assert_int_equal(memcmp(g->key, zero, sizeof(zero)) == 0, g->id == tenant);
        }
    }
    assert_int_equal(rig.ends[2].access.version, 0); /* no business of signers */
    take_away(key);
    for (size_t i = 0; i < 3; i++)
        assert_true(!has(all[i], key) && has(all[i], tenant));
    rig_connect(3, PROC_GATE_SIGNING, 0, 2); /* its successor is told at once */
    rig_stats(figures, words, sizeof(words));
    rig_pump(50, NULL);
    assert_true(has(&rig.ends[3].access, tenant));
    rig_stop();
    uint64_t before = rig.access.version;
    rig_serve(); /* and a new custodian publishes what there is, above its predecessor */
    assert_true(rig.access.version > before);
    assert_int_equal(rig.access.grant_count, 1);
    rig_stop();
}

/* A gate that does not confirm is named to the parent; the removal is not called done before. */
static void a_gate_that_says_nothing(void **state)
{
    Keyd__V1__GrantsRemove body = KEYD__V1__GRANTS_REMOVE__INIT;
    REQUEST(e, GRANTS_REMOVE, grants_remove, &body);

    (void)state;
    serve();
    rig_connect(1, PROC_GATE_SIGNING, 0, 7);
    body.id = add((struct row){.principal = "fe", .key = "acme/www"})->id;
    rig.ends[1].mute = true;
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    while (rig.overdue == 0 && !rig.over)
        rig_pump(20, NULL);
    assert_int_equal(rig.overdue_proc, PROC_GATE_SIGNING);
    assert_int_equal(rig.overdue_generation, 7);
    assert_null(rig.answer);
    chan_close(&rig.ends[1].chan); /* the parent has killed it */
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, V(GRANTS_REMOVE_REPLY));
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(added_listed_and_removed),       RIG_TEST(what_is_no_grant),
        RIG_TEST(a_granted_key_is_not_destroyed), RIG_TEST(told_to_the_gates),
        RIG_TEST(a_gate_that_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
