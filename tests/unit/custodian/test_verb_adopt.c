/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of another keyd, whose registry is gone, are the objects here: as safe as they come. One is
 * made to be less.
 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <unistd.h>

#include "keyd/token/internal.h"

/* A custodian with the tenants acme and zeta, on a token with "keyd/old/a" (RSA) of before. */
static void begin(void)
{
    char path[300];

    rig_serve();
    rig_tenant("old");
    rig_generate("old", "a", KEY_TYPE_RSA_2048, PURPOSE_TLS13_CLIENT);
    rig_stop();
    snprintf(path, sizeof(path), "%s/registry.db", rig.state);
    assert_int_equal(unlink(path), 0);
    rig_serve();
    rig_connect(1, PROC_GATE_SIGNING, 0, 1);
    rig_connect(2, PROC_SIGNER, 0, 1);
    rig_tenant("acme");
    rig_tenant("zeta");
}

static Keyd__V1__KeysAdopt ask_for(const char *object, const char *tenant, const char *name)
{
    Keyd__V1__KeysAdopt body = KEYD__V1__KEYS_ADOPT__INIT;

    body.object = (char *)object;
    body.tenant = (char *)tenant;
    body.name = (char *)name;
    return body;
}

static const Keyd__V1__KeysAdoptReply *adopt(Keyd__V1__KeysAdopt *body)
{
    REQUEST(e, KEYS_ADOPT, keys_adopt, body);

    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_KEYS_ADOPT_REPLY)->keys_adopt_reply;
}

static void refused(Keyd__V1__KeysAdopt body, enum err_code code, const char *word)
{
    REQUEST(e, KEYS_ADOPT, keys_adopt, &body);

    rig_refused(&e, code, word);
}

static const Keyd__V1__TokenObjectsReply *objects(void)
{
    Keyd__V1__TokenObjects body = KEYD__V1__TOKEN_OBJECTS__INIT;
    REQUEST(e, TOKEN_OBJECTS, token_objects, &body);

    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY)->token_objects_reply;
}

#define THE_KEY "pkcs11:object=keyd/old/a"

static void seen_then_adopted_then_served(void **state)
{
    Keyd__V1__KeysAdopt look = ask_for(THE_KEY, "acme", "a"), body = look;
    const Keyd__V1__KeysAdoptReply *r;
    uint8_t id[KEY_ID_LEN];

    (void)state;
    begin();
    look.look = true;
    r = adopt(&look);
    assert_null(r->key);
    assert_string_equal(r->object->label, "keyd/old/a");
    assert_int_equal(r->n_findings, 0);
    assert_null(rig_show("acme/a"));
    r = adopt(&body);
    assert_true(r->key->adopted);
    memcpy(id, r->key->id.data, sizeof(id));
    /* purposes are what is asked for, not what its CKA_ID says */
    assert_int_equal(r->key->purposes, PURPOSES_DEFAULT);
    for (size_t i = 1; i < 3; i++) {
        assert_int_equal(table_find(&rig.ends[i].table, id)->state, KEY_ENABLED);
        assert_int_equal(table_find(&rig.ends[i].table, id)->purposes, PURPOSES_DEFAULT);
    }
    assert_int_equal(objects()->n_findings, 0); /* the label is its own */
    rig_stop();
    rig_serve();
    assert_int_equal(rig_show("acme/a")->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
    assert_int_equal(rig_show("acme/a")->purposes, PURPOSES_DEFAULT);
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

static void refusals(void **state)
{
    Keyd__V1__KeysAdopt body = ask_for(THE_KEY, "acme", "a");

    (void)state;
    begin();
    refused(ask_for("pkcs11:object=none", "acme", "a"), ERR_NOT_FOUND, "no private key");
    refused(ask_for("nonsense", "acme", "a"), ERR_BAD_REQUEST, "no RFC 7512 URI");
    refused(ask_for(THE_KEY, "nobody", "a"), ERR_NOT_FOUND, "nobody");
    refused(ask_for(THE_KEY, "acme", "No Name"), ERR_BAD_REQUEST, "No Name");
    body.purposes = 4096;
    refused(body, ERR_BAD_REQUEST, "unknown purposes");
    body.purposes = 0;
    adopt(&body);
    refused(ask_for(THE_KEY, "acme", "b"), ERR_EXISTS, "it is acme/a");
    refused(ask_for(THE_KEY, "zeta", "b"), ERR_CONFLICT, "cannot be adopted");
    refused(ask_for(THE_KEY, "acme", "a"), ERR_EXISTS, "acme/a");
    rig_stop();
}

/* ---- less safe ones */

static bool a_softer_key(struct token *t, struct registry *r, struct err *err)
{
    static const CK_BYTE id[] = "soft";
    CK_MECHANISM mechanism = {.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN};
    CK_OBJECT_HANDLE public_key, private_key;
    struct attrs pub = {0}, priv = {0};

    (void)r;
    attrs_ulong(&pub, CKA_MODULUS_BITS, 2048);
    attrs_bool(&priv, CKA_TOKEN, true);
    attrs_bool(&priv, CKA_SIGN, true);
    attrs_bool(&priv, CKA_EXTRACTABLE, true);
    attrs_bytes(&priv, CKA_ID, id, 4);
    attrs_bytes(&priv, CKA_LABEL, "soft", 4);
    CK_RV rv = t->p11->C_GenerateKeyPair(t->session, &mechanism, pub.list, pub.count, priv.list,
                                         priv.count, &public_key, &private_key);
    return rv == CKR_OK || err_set(err, ERR_TOKEN, "C_GenerateKeyPair: 0x%lx", rv);
}

static void consent_is_by_kind(void **state)
{
    Keyd__V1__KeysAdopt body = ask_for("pkcs11:object=soft", "acme", "soft");
    char *some[] = {(char *)"can-decrypt", (char *)"can-derive"};
    char *all[] = {(char *)"not-sensitive", (char *)"can-unwrap",       (char *)"can-decrypt",
                   (char *)"any-mechanism", (char *)"can-sign-recover", (char *)"extractable",
                   (char *)"not-private",   (char *)"can-derive"};

    (void)state;
    begin();
    rig_stop();
    rig_with_token(a_softer_key);
    rig_serve();
    refused(body, ERR_DENIED, "extractable");
    body.accept = some;
    body.n_accept = 2;
    refused(body, ERR_DENIED, "extractable"); /* that one was not shown */
    assert_null(rig_show("acme/soft"));
    body.accept = all;
    body.n_accept = sizeof(all) / sizeof(all[0]);
    assert_true(adopt(&body)->key->adopted);
    const Keyd__V1__TokenObjectsReply *o = objects();
    for (size_t i = 0; i < o->n_findings; i++) /* accepted: no danger any more */
        assert_true(o->findings[i]->severity < KEYD__V1__SEVERITY__SEVERITY_DANGER);
    assert_true(o->n_findings > 0);
    rig_stop();
}

/* ---- the end */

static void destroyed_like_any_other(void **state)
{
    Keyd__V1__KeysAdopt body = ask_for(THE_KEY, "acme", "a");
    Keyd__V1__KeysDestroy destroy = KEYD__V1__KEYS_DESTROY__INIT;
    REQUEST(e, KEYS_DESTROY, keys_destroy, &destroy);

    (void)state;
    begin();
    adopt(&body);
    destroy.key = (char *)"acme/a";
    assert_true(rig_call(&e, KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY_REPLY)
                    ->keys_destroy_reply->key->adopted);
    rig_stop();
    assert_int_equal(rig_private_keys(), 0);
}

/* A destroy that was cut short, and a stranger that has the CKA_ID meanwhile. */
static bool swap(struct token *t, struct registry *r, struct err *err)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    struct registry_key key;
    token_handle handle;

    TRY(registry_key_find(r, "acme/a", "", &key, err));
    TRY(registry_key_set_state(r, key.id, REGISTRY_KEY_DESTROYING, err));
    TRY(token_find_private(t, key.cka_id, key.cka_id_len, &handle, err));
    TRY(token_destroy(t, handle, err));
    return token_generate(t, KEY_TYPE_RSA_2048, key.cka_id, key.cka_id_len, "stranger", true,
                          &handle, spki, &len, err);
}

static void a_stranger_is_not_destroyed(void **state)
{
    Keyd__V1__KeysAdopt body = ask_for(THE_KEY, "acme", "a");
    uint32_t figures[3];
    char words[8192];

    (void)state;
    begin();
    adopt(&body);
    rig_stop();
    rig_with_token(swap);
    rig_serve(); /* it starts, and says so */
    rig_stats(figures, words, sizeof(words));
    assert_non_null(strstr(words, "acme/a is not destroyed yet"));
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(seen_then_adopted_then_served),
        RIG_TEST(refusals),
        RIG_TEST(consent_is_by_kind),
        RIG_TEST(destroyed_like_any_other),
        RIG_TEST(a_stranger_is_not_destroyed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
