/* SPDX-License-Identifier: Apache-2.0
 *
 * keys-adopt: a private key that the token held before keyd knew it. Nothing is changed in the
 * token, so there is no intent, and nothing that a start could undo there: one transaction writes
 * the key and how it was found, and a kill leaves all of it or none.
 *
 * Everything is looked at before that, in this order: the names; which object; whose it is; whether
 * keyd could use it at all; its public half, proven by a signature; what an auditor would say.
 */
#include <stdio.h>
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/adopt.h"
#include "proto/base/mem.h"
#include "proto/x509/quality.h"

struct adoption {
    const Keyd__V1__KeysAdopt *request;
    token_handle handle;
    struct token_object *object;
    struct findings findings;
    struct registry_key key;
};

static void adoption_free(struct adoption *a)
{
    token_objects_free(a->object, a->object ? 1 : 0);
}

/* ---- the request */

static bool check_names(struct custodian *c, struct adoption *a, struct err *err)
{
    const Keyd__V1__KeysAdopt *r = a->request;

    TRY(name_check(r->tenant, "tenant", err));
    TRY(name_check(r->name, "key", err));
    TRY(purposes_known(r->purposes, err));
    TRY(registry_name_is_free(c->registry, r->tenant, r->name, err));
    a->key = (struct registry_key){.purposes = r->purposes ? r->purposes : PURPOSES_DEFAULT,
                                   .state = REGISTRY_KEY_ENABLED};
    memcpy(a->key.tenant, r->tenant, strlen(r->tenant) + 1);
    memcpy(a->key.name, r->name, strlen(r->name) + 1);
    return names_allow(a->key.allowed_names, a->key.purposes, r->allowed_names, r->n_allowed_names,
                       err);
}

/* ---- the object */

static bool find(struct custodian *c, struct adoption *a, struct err *err)
{
    TRY(reconcile_intents(c, err)); /* what is half made is nobody's to adopt */
    TRY(token_find_uri(c->token, a->request->object, &a->handle, err));
    return token_read_object(c->token, a->handle, &a->object, err);
}

static bool known(const struct registry_key *there, const char *tenant, struct err *err)
{
    if (strcmp(there->tenant, tenant) != 0)
        return err_set(err, ERR_CONFLICT, "this key cannot be adopted; make a new one");
    err_set(err, ERR_EXISTS, "the tenant %s has this key already: it is %s/%s", there->tenant,
            there->tenant, there->name);
    return err_hint(err, "keydctl keys-show %s/%s", there->tenant, there->name);
}

static bool is_import_key(struct custodian *c, const struct token_object *o, bool *ret,
                          struct err *err)
{
    struct registry_import_key key;

    *ret = registry_import_by_cka_id(c->registry, o->cka_id, o->cka_id_len, &key, err);
    return *ret || err->code == ERR_NOT_FOUND;
}

/* keyd finds keys by their CKA_ID, and serves none whose CKA_ID others have too. */
static bool has_own_id(struct custodian *c, const struct adoption *a, struct err *err)
{
    const struct token_object *o = a->object;
    struct registry_key there;
    token_handle only;
    bool imports = false;

    if (o->cka_id_len == 0) {
        err_set(err, ERR_UNSUPPORTED, "the key has no CKA_ID of 1 to %d bytes", TOKEN_CKA_ID_MAX);
        return err_hint(err, "keyd finds keys by it: set one with the token's own tools");
    }
    if (registry_key_by_cka_id(c->registry, o->cka_id, o->cka_id_len, &there, err))
        return known(&there, a->key.tenant, err);
    if (err->code != ERR_NOT_FOUND)
        return false;
    TRY(is_import_key(c, o, &imports, err));
    if (imports)
        return err_set(err, ERR_CONFLICT, "this is keyd's import key");
    if (token_find_private(c->token, o->cka_id, o->cka_id_len, &only, err))
        return true;
    return err->code != ERR_CONFLICT
               ? false
               : err_hint(err, "keyd serves only keys whose CKA_ID no other key has");
}

static bool is_true(const struct token_object *o, const char *attribute)
{
    const char *value = token_object_value(o, attribute);

    return value && strcmp(value, "true") == 0;
}

static bool is_usable(const struct token_object *o, struct err *err)
{
    if (!is_true(o, "CKA_SIGN"))
        return err_set(err, ERR_UNSUPPORTED, "the key does not sign (CKA_SIGN is not true)");
    if (is_true(o, "CKA_ALWAYS_AUTHENTICATE"))
        return err_set(err, ERR_UNSUPPORTED,
                       "the key wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE)");
    return true;
}

/* ---- the key */

static bool fill_key(struct custodian *c, struct adoption *a, struct err *err)
{
    struct registry_key *k = &a->key;
    const char *name = NULL;

    TRY(token_private_type(c->token, a->handle, &k->type, err));
    k->spki_len = sizeof(k->spki);
    TRY(token_public_half(c->token, a->handle, k->type, k->spki, &k->spki_len, err));
    TRY(quality_judge(k->spki, k->spki_len, &name, err));
    memcpy(k->cka_id, a->object->cka_id, a->object->cka_id_len);
    k->cka_id_len = a->object->cka_id_len;
    return key_id_of(k->spki, k->spki_len, k->id) ||
           err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
}

static bool is_new(struct custodian *c, const struct adoption *a, struct err *err)
{
    struct registry_key there;

    if (registry_key_by_id(c->registry, a->key.id, &there, err))
        return known(&there, a->key.tenant, err);
    return err->code == ERR_NOT_FOUND;
}

static bool look(struct custodian *c, struct adoption *a, struct err *err)
{
    TRY(check_names(c, a, err));
    TRY(find(c, a, err));
    TRY(has_own_id(c, a, err));
    if (!is_usable(a->object, err) || !fill_key(c, a, err))
        return err_prefix(err, "the key \"%.60s\" cannot be adopted", a->object->label);
    TRY(is_new(c, a, err));
    const struct subject s = {.object = a->object, .owner = OWNER_ADOPTED};
    findings_judge(&s, &a->findings);
    return true;
}

/* ---- consent */

static bool is_accepted(const Keyd__V1__KeysAdopt *r, const char *kind)
{
    for (size_t i = 0; i < r->n_accept; i++) {
        if (strcmp(r->accept[i], kind) == 0)
            return true;
    }
    return false;
}

/* Each by its kind: what was not shown was not accepted. */
static bool all_accepted(const struct adoption *a, struct err *err)
{
    char list[240] = "";
    size_t at = 0;

    for (size_t i = 0; i < a->findings.count && at < sizeof(list); i++) {
        const struct finding *f = &a->findings.list[i];

        if (f->severity >= SEVERITY_WARNING && !is_accepted(a->request, f->kind))
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at ? ", " : "", f->kind);
    }
    if (at == 0)
        return true;
    err_set(err, ERR_DENIED, "the key is not as safe as one that keyd makes: %s", list);
    return err_hint(err, "adopt it all the same: --accept; better: keydctl keys-generate");
}

static bool commit(struct custodian *c, struct adoption *a, struct err *err)
{
    char seen[REGISTRY_SEEN_MAX + 1];

    TRY(all_accepted(a, err));
    TRY(findings_seen(a->object, seen, sizeof(seen), err));
    TRY(registry_key_adopt(c->registry, &a->key, seen, err));
    return publish_key(c, &a->key, KEY_ENABLED, a->handle, err);
}

/* ---- the verb */

static bool fill_reply(struct custodian *c, const struct ask *ask, const struct adoption *a,
                       Keyd__V1__KeysAdoptReply *reply, struct err *err)
{
    const struct token_object *o = a->object;
    size_t n = a->findings.count;

    TRY(object_to_wire(c, ask, o, &reply->object, err));
    TRY(reply->findings = ask_alloc(ask, n * sizeof(*reply->findings), err));
    for (size_t i = 0; i < n; i++)
        TRY(reply->findings[i] = finding_to_wire(ask, &a->findings.list[i], o->label, o->cka_id,
                                                 o->cka_id_len, err));
    reply->n_findings = n;
    if (!a->request->look)
        TRY(reply->key = key_to_wire(c, ask, &a->key, true, err));
    return true;
}

bool verb_keys_adopt(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysAdoptReply *reply = ask_alloc(ask, sizeof(*reply), err);
    CLEANUP(adoption_free) struct adoption a = {.request = ask->e->keys_adopt};

    TRY(reply);
    keyd__v1__keys_adopt_reply__init(reply);
    TRY(look(c, &a, err));
    if (!a.request->look)
        TRY(commit(c, &a, err));
    TRY(fill_reply(c, ask, &a, reply, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_ADOPT_REPLY;
    ret->keys_adopt_reply = reply;
    return true;
}
