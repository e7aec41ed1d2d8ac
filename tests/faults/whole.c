/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/mman.h>

#include "keyd/token/sign.h"
#include "proto/base/mem.h"
#include "tests/faults/faults.h"

#define KEYS_MAX    2000
#define CKA_ID_OURS 0x01 /* the first byte of our CKA_IDs (design 5) */

/* The check runs in a process of its own (rig_with_token); this is what both know. */
static struct shared {
    bool started;
    unsigned fragments;
} * shared;

static bool wrong(struct err *err, const char *what, const struct registry_key *key)
{
    return err_set(err, ERR_INTERNAL, "%s: %s/%s", what, key->tenant, key->name);
}

/* ---- the registry's side */

static unsigned count_of(const struct token_private *list, size_t count, const uint8_t *id,
                         size_t len, token_handle *ret)
{
    unsigned n = 0;

    for (size_t i = 0; i < count; i++) {
        if (list[i].cka_id_len != len || memcmp(list[i].cka_id, id, len) != 0)
            continue;
        *ret = list[i].handle;
        n++;
    }
    return n;
}

static bool check_key(struct token *t, const struct registry_key *key,
                      const struct token_private *list, size_t count, struct err *err)
{
    token_handle handle = 0;

    if (key->state == REGISTRY_KEY_DESTROYING)
        return !shared->started || wrong(err, "its destruction was not finished", key);
    unsigned n = count_of(list, count, key->cka_id, key->cka_id_len, &handle);
    if (n != 1)
        return wrong(err, n ? "it has several objects" : "its object is lost", key);
    TRY(token_key_judge(t, handle, key->type, err));
    return token_prove(t, handle, key->type, key->spki, key->spki_len, err) ||
           err_prefix(err, "%s/%s", key->tenant, key->name);
}

static bool check_keys(struct token *t, struct registry *r, const struct token_private *list,
                       size_t count, struct err *err)
{
    AUTO_FREE struct registry_key *rows = mem_array(KEYS_MAX, sizeof(*rows));
    size_t n = 0;
    bool more = false;

    TRY(registry_key_list(r, "", "", rows, KEYS_MAX, &n, &more, err));
    if (more)
        return err_set(err, ERR_INTERNAL, "more keys than this test can count");
    for (size_t i = 0; i < n; i++)
        TRY(check_key(t, &rows[i], list, count, err));
    return true;
}

static bool check_import_keys(struct registry *r, const struct token_private *list, size_t count,
                              struct err *err)
{
    AUTO_FREE struct registry_import_key *rows = NULL;
    token_handle handle;
    size_t n;

    TRY(registry_import_list(r, &rows, &n, err));
    for (size_t i = 0; i < n; i++) {
        unsigned there = count_of(list, count, rows[i].cka_id, rows[i].cka_id_len, &handle);

        if (rows[i].state == REGISTRY_IMPORT_GOING && shared->started)
            return err_set(err, ERR_INTERNAL, "an import key on its way is still there");
        if (there > 1 || (there == 0 && rows[i].state != REGISTRY_IMPORT_GOING))
            return err_set(err, ERR_INTERNAL, "an import key has %u objects", there);
    }
    return true;
}

static bool check_intents(struct registry *r, struct err *err)
{
    AUTO_FREE struct registry_intent *list = NULL;
    size_t n;

    TRY(registry_intent_list(r, &list, &n, err));
    return n == 0 || !shared->started ||
           err_set(err, ERR_INTERNAL, "%zu intents are open: %s", n, list[0].verb);
}

/* ---- the token's side */

static bool is_intended(struct registry *r, const struct token_private *p, bool *ret,
                        struct err *err)
{
    AUTO_FREE struct registry_intent *list = NULL;
    size_t n;

    *ret = false;
    TRY(registry_intent_list(r, &list, &n, err));
    for (size_t i = 0; i < n; i++)
        *ret |= list[i].cka_id_len == p->cka_id_len &&
                memcmp(list[i].cka_id, p->cka_id, p->cka_id_len) == 0;
    return true;
}

static bool is_owned(struct registry *r, const struct token_private *p, struct err *err)
{
    struct registry_import_key import_key;
    struct registry_key key;
    bool intended = false;

    if (p->cka_id[0] != CKA_ID_OURS) /* planted for keys-adopt */
        return true;
    if (registry_key_by_cka_id(r, p->cka_id, p->cka_id_len, &key, err))
        return true;
    if (err->code == ERR_NOT_FOUND &&
        registry_import_by_cka_id(r, p->cka_id, p->cka_id_len, &import_key, err))
        return true;
    if (err->code != ERR_NOT_FOUND)
        return false;
    TRY(is_intended(r, p, &intended, err));
    return intended || err_set(err, ERR_INTERNAL, "the token has a key that nobody owns");
}

/* D4: without a CKA_ID, and unable to sign. */
static bool is_fragment(struct token *t, token_handle handle, struct err *err)
{
    static const uint16_t schemes[] = {0x0403, 0x0804, 0x0807};
    uint8_t sig[SIGNATURE_MAX];

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = sizeof(sig);
        struct err why;
        if (token_sign(t, handle, scheme_by_code(schemes[i]), (const uint8_t *)"x", 1, sig, &len,
                       &why))
            return err_set(err, ERR_INTERNAL, "an object without CKA_ID signs");
    }
    shared->fragments++;
    return true;
}

static bool check_objects(struct token *t, struct registry *r, const struct token_private *list,
                          size_t count, struct err *err)
{
    struct token_object *objects = NULL;
    size_t n = 0;
    bool ok = true;

    for (size_t i = 0; i < count; i++)
        TRY(list[i].cka_id_len ? is_owned(r, &list[i], err) : is_fragment(t, list[i].handle, err));
    TRY(token_list_objects(t, &objects, &n, err));
    for (size_t i = 0; i < n && ok; i++)
        if (strcmp(objects[i].cls, "CKO_PRIVATE_KEY") != 0 && objects[i].cka_id_len)
            ok = err_set(err, ERR_INTERNAL, "a %s in the token", objects[i].cls);
    token_objects_free(objects, n);
    return ok;
}

/* ---- both */

static bool check_bystander(struct registry *r, const char *name, enum registry_key_state state,
                            struct err *err)
{
    struct registry_key key;

    TRY(registry_key_find(r, name, "", &key, err));
    return key.state == state || wrong(err, "its state changed", &key);
}

static bool check(struct token *t, struct registry *r, struct err *err)
{
    AUTO_FREE struct token_private *list = NULL;
    size_t count;

    shared->fragments = 0;
    TRY(token_list_private(t, &list, &count, err));
    TRY(check_intents(r, err));
    TRY(check_keys(t, r, list, count, err));
    TRY(check_import_keys(r, list, count, err));
    TRY(check_bystander(r, "acme/stays", REGISTRY_KEY_ENABLED, err));
    TRY(check_bystander(r, "acme/off", REGISTRY_KEY_DISABLED, err));
    return check_objects(t, r, list, count, err);
}

void whole_begin(void)
{
    Keyd__V1__KeysDisable body = KEYD__V1__KEYS_DISABLE__INIT;
    REQUEST(e, KEYS_DISABLE, keys_disable, &body);

    if (!shared)
        shared =
            mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    rig_tenant("acme");
    rig_generate("acme", "stays", KEY_TYPE_EC_P256, 0);
    rig_generate("acme", "off", KEY_TYPE_EC_P256, 0);
    body.key = (char *)"acme/off";
    rig_call(&e, KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY);
}

void whole_check(bool started)
{
    shared->started = started;
    rig_with_token(check);
}

unsigned whole_fragments(void)
{
    return shared->fragments;
}
