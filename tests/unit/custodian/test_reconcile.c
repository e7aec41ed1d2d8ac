/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

#include "keyd/token/softhsm.h"
#include "proto/base/mem.h"

/* ---- intents */

static struct registry_intent half_done(const char *name, uint8_t seed)
{
    struct registry_intent i = {
        .verb = "keys-generate", .type = KEY_TYPE_EC_P256, .purposes = 13, .cka_id_len = 18};

    memcpy(i.tenant, "acme", 5);
    snprintf(i.name, sizeof(i.name), "%s", name);
    memset(i.id, seed, sizeof(i.id));
    i.cka_id[0] = 1;
    i.cka_id[1] = 13;
    memset(i.cka_id + 2, seed, 16);
    return i;
}

/* Killed before the token was asked; and after it had made the key. */
static bool cut_short(struct token *t, struct registry *r, struct err *err)
{
    struct registry_intent a = half_done("early", 1), b = half_done("late", 2);
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;

    TRY(registry_intent_add(r, &a, err));
    TRY(registry_intent_add(r, &b, err));
    return token_generate(t, b.type, b.cka_id, b.cka_id_len, "keyd/acme/late", true, &handle, spki,
                          &len, err);
}

static bool no_intent_is_left(struct token *t, struct registry *r, struct err *err)
{
    AUTO_FREE struct registry_intent *list = NULL;
    size_t count;

    (void)t;
    TRY(registry_intent_list(r, &list, &count, err));
    return count == 0 || err_set(err, ERR_INTERNAL, "%zu intents are left", count);
}

static void half_done_is_undone(void **state)
{
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig_stop();
    rig_with_token(cut_short);
    assert_int_equal(rig_private_keys(), 2);
    rig_serve();
    assert_null(rig_show("acme/early"));
    assert_null(rig_show("acme/late"));
    assert_non_null(rig_show("acme/www"));
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[1], 1);
    assert_int_equal(figures[2], 0);
    assert_null(strstr(words, "private key"));         /* nothing of it is worth a note */
    rig_generate("acme", "late", KEY_TYPE_EC_P256, 0); /* the name is free again */
    rig_stop();
    rig_with_token(no_intent_is_left);
    assert_int_equal(rig_private_keys(), 2);
}

/* ---- missing keys */

static unsigned to_destroy;

static bool destroy_some(struct token *t, struct registry *r, struct err *err)
{
    AUTO_FREE struct token_private *list = NULL;
    size_t count;

    (void)r;
    TRY(token_list_private(t, &list, &count, err));
    for (unsigned i = 0; i < to_destroy && i < count; i++)
        TRY(token_destroy(t, list[i].handle, err));
    return true;
}

static unsigned missing_in(const char *const *keys, size_t count)
{
    unsigned n = 0;

    for (size_t i = 0; i < count; i++) {
        const Keyd__V1__Key *k = rig_show(keys[i]);
        assert_non_null(k); /* the registry is not changed */
        n += k->state == KEYD__V1__KEY_STATE__KEY_STATE_MISSING;
    }
    return n;
}

static unsigned missing_in_table(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < rig.table.slot_count; i++)
        n += table_at(&rig.table, i) && table_at(&rig.table, i)->state == KEY_MISSING;
    return n;
}

static void absence_is_no_proof(void **state)
{
    static const char *const keys[] = {"acme/a", "acme/b", "acme/c"};
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    Keyd__V1__TenantsAdd add = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(generate, KEYS_GENERATE, keys_generate, &body);
    REQUEST(tenant, TENANTS_ADD, tenants_add, &add);
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    for (size_t i = 0; i < 3; i++)
        rig_generate("acme", keys[i] + 5, KEY_TYPE_EC_P256, 0);
    rig_stop();

    to_destroy = 1; /* one is missing: everything goes on */
    rig_with_token(destroy_some);
    rig_serve();
    assert_int_equal(missing_in(keys, 3), 1);
    assert_int_equal(missing_in_table(), 1);
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[1], 3);
    assert_int_equal(figures[2], 1);
    assert_non_null(strstr(words, "1 of 3 keys are missing in the token: acme/"));
    rig_generate("acme", "d", KEY_TYPE_EC_P256, 0);
    rig_stop();

    rig_with_token(destroy_some); /* two are missing: no changes */
    rig_serve();
    assert_int_equal(missing_in_table(), 2);
    body.tenant = (char *)"acme";
    body.name = (char *)"e";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    rig_refused(&generate, ERR_CONFLICT,
                "keys-generate is refused: 2 of 4 keys are missing in the token");
    add.tenant = (char *)"zeta";
    rig_refused(&tenant, ERR_CONFLICT, "tenants-add is refused");
    assert_int_equal(missing_in(keys, 3) + missing_in((const char *const[]){"acme/d"}, 1), 2);
    rig_stop();
}

/* A key that is missing signs nothing, and the answer says so. */
static void missing_keys_do_not_sign(void **state)
{
    Keyd__V1__CreateCsr body = KEYD__V1__CREATE_CSR__INIT;
    REQUEST(e, CREATE_CSR, create_csr, &body);

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "a", KEY_TYPE_EC_P256, 0);
    rig_stop();
    to_destroy = 1;
    rig_with_token(destroy_some);
    rig_serve();
    body.key = (char *)"acme/a";
    body.subject = (char *)"CN=a";
    rig_refused(&e, ERR_UNAVAILABLE, "the token does not show this key");
    rig_stop();
}

/* ---- what is not ours */

static bool strangers(struct token *t, struct registry *r, struct err *err)
{
    static const char *const ids[] = {"one", "two", ""};

    (void)r;
    for (size_t i = 0; i < 3; i++) {
        uint8_t spki[SPKI_MAX_LEN];
        size_t len = sizeof(spki);
        token_handle handle;
        TRY(token_generate(t, KEY_TYPE_EC_P256, (const uint8_t *)ids[i], strlen(ids[i]), "x", true,
                           &handle, spki, &len, err));
    }
    return true;
}

static void the_rest_is_left_alone_and_told(void **state)
{
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_with_token(strangers);
    rig_serve();
    rig_stats(figures, words, sizeof(words));
    assert_non_null(strstr(words, "2 private keys in the token are not keyd's\n"));
    assert_non_null(strstr(words, "1 private keys in the token have no CKA_ID: fragments"));
    rig_tenant("acme"); /* that is no reason to refuse changes */
    rig_stop();
    assert_int_equal(rig_private_keys(), 3);
}

static const Keyd__V1__Key *doubled;
static uint8_t doubled_id[CKA_ID_MAX];
static size_t doubled_len;

static bool make_double(struct token *t, struct registry *r, struct err *err)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;

    (void)r;
    return token_generate(t, KEY_TYPE_EC_P256, doubled_id, doubled_len, "twin", true, &handle, spki,
                          &len, err);
}

static void two_objects_of_one_id(void **state)
{
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    doubled = rig_generate("acme", "a", KEY_TYPE_EC_P256, 0);
    doubled_len = doubled->cka_id.len;
    memcpy(doubled_id, doubled->cka_id.data, doubled_len);
    rig_stop();
    rig_with_token(make_double);
    rig_serve();
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[2], 1);
    assert_non_null(strstr(words, "several objects with its CKA_ID: acme/a"));
    rig_stop();
    assert_int_equal(rig_private_keys(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(half_done_is_undone),      RIG_TEST(absence_is_no_proof),
        RIG_TEST(missing_keys_do_not_sign), RIG_TEST(the_rest_is_left_alone_and_told),
        RIG_TEST(two_objects_of_one_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
