/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

static const Keyd__V1__KeysListReply *list(const char *tenant, const char *after)
{
    Keyd__V1__KeysList body = KEYD__V1__KEYS_LIST__INIT;
    REQUEST(e, KEYS_LIST, keys_list, &body);

    body.tenant = (char *)tenant;
    body.after = (char *)after;
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_KEYS_LIST_REPLY)->keys_list_reply;
}

static void shown_by_name_and_id(void **state)
{
    uint8_t id[KEY_ID_LEN];
    char hex[KEY_ID_HEX_LEN + 1];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__Key *k = rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    assert_int_equal(k->id.len, KEY_ID_LEN);
    memcpy(id, k->id.data, KEY_ID_LEN);
    hex_encode(id, KEY_ID_LEN, hex);
    k = rig_show("acme/www");
    assert_non_null(k);
    assert_memory_equal(k->id.data, id, KEY_ID_LEN);
    assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
    assert_int_equal(k->cka_id.len, 18);
    assert_true(k->spki.len > 0);
    assert_non_null(rig_show(hex));
    hex[8] = '\0';
    assert_non_null(rig_show(hex));
    hex[7] = '\0';
    assert_null(rig_show(hex));
    rig_stop();
}

static void refusals(void **state)
{
    Keyd__V1__KeysShow body = KEYD__V1__KEYS_SHOW__INIT;
    Keyd__V1__KeysList list_body = KEYD__V1__KEYS_LIST__INIT;
    REQUEST(show, KEYS_SHOW, keys_show, &body);
    REQUEST(list_all, KEYS_LIST, keys_list, &list_body);

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_refused(&show, ERR_BAD_REQUEST, "names no key");
    body.key = (char *)"acme/www";
    rig_refused(&show, ERR_NOT_FOUND, "the tenant acme has no key www");
    body.key = (char *)"nobody/www";
    rig_refused(&show, ERR_NOT_FOUND, "there is no tenant nobody");
    body.key = (char *)"0123456789";
    rig_refused(&show, ERR_NOT_FOUND, "there is no key whose id starts with 0123456789");
    list_body.tenant = (char *)"nobody";
    rig_refused(&list_all, ERR_NOT_FOUND, "there is no tenant nobody");
    rig_stop();
}

static void listed(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_tenant("zeta");
    assert_int_equal(list("", "")->n_keys, 0);
    rig_generate("zeta", "www", KEY_TYPE_EC_P256, 0);
    rig_generate("acme", "www", KEY_TYPE_EC_P384, PURPOSE_TLS13_SERVER);
    const Keyd__V1__KeysListReply *all = list("", "");
    assert_int_equal(all->n_keys, 2);
    assert_string_equal(all->next, "");
    const Keyd__V1__Key *k = all->keys[0];
    assert_string_equal(k->tenant, "acme");
    assert_string_equal(k->name, "www");
    assert_int_equal(k->type, KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P384);
    assert_int_equal(k->purposes, PURPOSE_TLS13_SERVER);
    assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
    assert_int_equal(k->spki.len, 0);   /* left out */
    assert_int_equal(k->cka_id.len, 0); /* left out */
    assert_int_equal(list("zeta", "")->n_keys, 1);
    assert_int_equal(list("", "acme/www")->n_keys, 1);
    rig_stop();
}

/* Keys that only the registry has: they are missing, and make a long list. */
static bool register_600(struct token *t, struct registry *r, struct err *err)
{
    struct registry_tenant row;

    (void)t;
    TRY(registry_tenant_add(r, "acme", &row, err));
    for (unsigned i = 0; i < 600; i++) {
        struct registry_intent intent = {.type = KEY_TYPE_EC_P256, .cka_id_len = 18};
        memcpy(intent.tenant, "acme", 5);
        snprintf(intent.name, sizeof(intent.name), "k%03u", i);
        memcpy(intent.id, &i, sizeof(i));
        memcpy(intent.cka_id, &i, sizeof(i));
        struct registry_key key = {
            .type = intent.type, .state = REGISTRY_KEY_ENABLED, .cka_id_len = 18, .spki_len = 91};
        memcpy(key.id, &i, sizeof(i));
        memcpy(key.cka_id, intent.cka_id, sizeof(key.cka_id));
        memcpy(key.tenant, intent.tenant, sizeof(key.tenant));
        memcpy(key.name, intent.name, sizeof(key.name));
        TRY(registry_intent_add(r, &intent, err));
        TRY(registry_intent_commit(r, intent.id, &key, err));
    }
    return true;
}

static void pages(void **state)
{
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_with_token(register_600);
    rig_serve();
    assert_int_equal(rig.table.count, 600);
    const Keyd__V1__KeysListReply *page = list("acme", "");
    assert_int_equal(page->n_keys, 500);
    assert_string_equal(page->next, "acme/k499");
    assert_int_equal(page->keys[0]->state, KEYD__V1__KEY_STATE__KEY_STATE_MISSING);
    page = list("acme", "acme/k499");
    assert_int_equal(page->n_keys, 100);
    assert_string_equal(page->next, "");
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[1], 600);
    assert_int_equal(figures[2], 600);
    assert_non_null(strstr(words, "600 of 600 keys are missing in the token: acme/k000, "
                                  "acme/k001, acme/k002, ...\n"));
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(shown_by_name_and_id),
        RIG_TEST(refusals),
        RIG_TEST(listed),
        RIG_TEST(pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
