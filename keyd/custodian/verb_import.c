/* SPDX-License-Identifier: Apache-2.0
 *
 * keys-import (proto/README.md, Import). In this order, so that each step tells the least it can to
 * who has no right to it: names; the nonce, which is used up; what kind of key it is; that the
 * sender has it; whether keyd has it already; and only then the token is asked, first with session
 * objects: what is spoiled never touches the token's files. Then as keys-generate: intent, token,
 * durable, judged, proven, commit, publish.
 */
#include <stdio.h>
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/sign.h"
#include "keyd/token/softhsm.h"
#include "proto/base/clock.h"
#include "proto/x509/quality.h"

#define FAILURES_IN_A_ROW 5
#define FAILURE_EACH_MS   1000
#define WEARS_US          (10 * 1000000ull) /* as long as the leftovers of a refused key may lie */

struct import {
    const Keyd__V1__KeysImport *request;
    char principal[IMPORT_PRINCIPAL_MAX + 1];
    struct registry_intent intent; /* names, type and purposes; sealed at last */
    struct registry_key key;       /* id and SPKI first, the rest with the intent */
    struct registry_import_key with;
    token_handle import_key; /* of `with` */
};

/* ---- the request */

static bool check_names(struct custodian *c, const struct ask *ask, struct import *m,
                        struct err *err)
{
    const Keyd__V1__KeysImport *r = m->request;

    TRY(intent_name(&m->intent, r->tenant, r->name, err));
    TRY(scope_tenant(ask, m->intent.tenant, err));
    TRY(purposes_known(r->purposes, err));
    TRY(scope_purposes(ask, r->purposes, err));
    m->intent.purposes = r->purposes ? r->purposes : PURPOSES_DEFAULT;
    TRY(names_allow(m->intent.allowed_names, m->intent.purposes, r->allowed_names,
                    r->n_allowed_names, err));
    return registry_name_is_free(c->registry, r->tenant, r->name, err);
}

static bool check_sizes(const Keyd__V1__KeysImport *r, struct err *err)
{
    const struct {
        const char *what;
        size_t len, min, max;
    } fields[] = {
        {"the nonce", r->nonce.len, IMPORT_NONCE_LEN, IMPORT_NONCE_LEN},
        {"the id of the import key", r->import_key.len, KEY_ID_LEN, KEY_ID_LEN},
        {"the wrapped AES key", r->wrapped_kek.len, 1, IMPORT_KEK_MAX},
        {"the wrapped key", r->wrapped_key.len, 1, IMPORT_KEY_MAX},
        {"the proof", r->proof.len, 1, SIGNATURE_MAX},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].len < fields[i].min || fields[i].len > fields[i].max)
            return err_set(err, ERR_BAD_REQUEST, "%s has %zu bytes instead of %zu to %zu",
                           fields[i].what, fields[i].len, fields[i].min, fields[i].max);
    return true;
}

/* ---- the nonce */

static bool not_begun(struct err *err)
{
    err_set(err, ERR_DENIED, "this import was not begun here by you, is over, or took too long");
    return err_hint(err, "begin anew; an import has %d s", IMPORT_NONCE_S);
}

static bool take_nonce(struct custodian *c, struct import *m, struct err *err)
{
    struct registry_nonce nonce;

    if (!registry_nonce_take(c->registry, m->request->nonce.data, m->principal, IMPORT_NONCE_S,
                             &nonce, err))
        return err->code == ERR_NOT_FOUND ? not_begun(err) : false;
    if (memcmp(nonce.import_key, m->request->import_key.data, KEY_ID_LEN) != 0)
        return not_begun(err);
    return registry_import_by_id(c->registry, nonce.import_key, &m->with, err);
}

/* ---- the key that comes in */

static bool type_can_come(struct custodian *c, enum key_type type, struct err *err)
{
    const struct unwrap_way *way = &c->unwrap;
    size_t len = 0;

    TRY(import_possible(c, err));
    if (way->types[type])
        return true;
    err_set(err, ERR_UNSUPPORTED,
            "the token \"%s\" cannot take in keys of type %s: it does not "
            "unwrap them",
            token_info(c->token)->label, key_type_info(type)->name);
    for (int i = KEY_TYPE_NONE + 1; i < KEY_TYPE_COUNT && len < sizeof(err->hint); i++)
        if (way->types[i])
            len += (size_t)snprintf(err->hint + len, sizeof(err->hint) - len, "%s%s",
                                    len ? ", " : "it can take in ",
                                    key_type_info((enum key_type)i)->name);
    return false;
}

static bool judge_key(struct custodian *c, struct import *m, struct err *err)
{
    const ProtobufCBinaryData *spki = &m->request->spki;
    const char *type = NULL;

    TRY(quality_judge(spki->data, spki->len, &type, err));
    m->intent.type = key_type_by_name(type);
    if (m->intent.type == KEY_TYPE_NONE || spki->len > sizeof(m->key.spki))
        return err_set(err, ERR_INTERNAL, "%s is no type of key here", type);
    memcpy(m->key.spki, spki->data, spki->len);
    m->key.spki_len = spki->len;
    if (!key_id_of(spki->data, spki->len, m->key.id))
        return err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
    return type_can_come(c, m->intent.type, err);
}

/* Whoever sends the key has it, and sends it here, now, to this tenant under this name. */
static bool check_proof(const struct import *m, struct err *err)
{
    const Keyd__V1__KeysImport *r = m->request;
    const struct import_claim claim = {.nonce = r->nonce.data,
                                       .import_key = r->import_key.data,
                                       .key = m->key.id,
                                       .tenant = r->tenant,
                                       .name = r->name,
                                       .purposes = r->purposes,
                                       .wrapped_kek = r->wrapped_kek.data,
                                       .wrapped_kek_len = r->wrapped_kek.len,
                                       .wrapped_key = r->wrapped_key.data,
                                       .wrapped_key_len = r->wrapped_key.len};
    const struct scheme *scheme = scheme_by_code(r->scheme);
    uint8_t message[IMPORT_MESSAGE_MAX];
    size_t len;

    if (!scheme)
        return err_set(err, ERR_BAD_SCHEME, "0x%04x is no signature scheme that keyd knows",
                       r->scheme);
    TRY(scheme_fits(scheme, m->intent.type, PURPOSE_CSR, err));
    TRY(import_message(&claim, message, &len, err));
    if (token_verify(m->key.spki, m->key.spki_len, scheme, message, len, r->proof.data,
                     r->proof.len, err))
        return true;
    err_set(err, ERR_DENIED, "the proof does not verify under the public key that came with it");
    return err_hint(err, "the key itself must sign what is sent: do private and public key belong "
                         "together?");
}

/* One SPKI is one key of one tenant (design.md 5). */
static bool is_new(struct custodian *c, const struct import *m, struct err *err)
{
    struct registry_key there;

    if (!registry_key_by_id(c->registry, m->key.id, &there, err))
        return err->code == ERR_NOT_FOUND;
    if (strcmp(there.tenant, m->intent.tenant) == 0) {
        err_set(err, ERR_EXISTS, "the tenant %s has this key already: it is %s/%s", there.tenant,
                there.tenant, there.name);
        return err_hint(err, "keydctl keys-show %s/%s", there.tenant, there.name);
    }
    return err_set(err, ERR_CONFLICT, "this key cannot be imported; make a new one");
}

/* ---- the token */

static bool may_try(struct custodian *c, const struct import *m, struct err *err)
{
    uint32_t ms = 0;

    TRY(registry_failure_wait(c->registry, m->principal, FAILURES_IN_A_ROW, FAILURE_EACH_MS, &ms,
                              err));
    if (ms == 0)
        return true;
    err_set(err, ERR_BUSY, "too many of your imports have failed");
    return err_retry(err, ms);
}

static struct unwrap_blobs blobs_of(const struct import *m)
{
    const Keyd__V1__KeysImport *r = m->request;

    return (struct unwrap_blobs){r->wrapped_kek.data, r->wrapped_key.data, r->wrapped_kek.len,
                                 r->wrapped_key.len};
}

/* Unwrapped for a moment, it signs under the public key. */
static bool unwrap_and_prove(struct custodian *c, const struct import *m,
                             const struct unwrap_as *as, bool *ret_refused, struct err *err)
{
    const struct unwrap_blobs blobs = blobs_of(m);
    struct err ignored;
    token_handle key;

    TRY(token_unwrap_try(c->token, m->import_key, &c->unwrap, &blobs, as, &key, ret_refused, err));
    c->worn = true;
    bool ok = token_prove(c->token, key, as->type, m->key.spki, m->key.spki_len, err);
    if (!token_destroy(c->token, key, &ignored) && ok)
        return err_set(err, ignored.code, "%s", ignored.text);
    if (ok)
        return true;
    /* it is another key than the public one: that, too, has the one answer */
    *ret_refused = !token_lost(c->token);
    return *ret_refused ? unwrap_refused(err) : false;
}

static bool try_it(struct custodian *c, const struct import *m, const struct unwrap_as *as,
                   struct err *err)
{
    bool refused = false;
    struct err why;

    if (unwrap_and_prove(c, m, as, &refused, err))
        return true;
    if (refused && !c->wears_at)
        c->wears_at = clock_us() + WEARS_US;
    if (refused && !registry_failure_add(c->registry, m->principal, FAILURE_EACH_MS, &why))
        *err = why; /* what cannot be counted is not answered */
    return false;
}

/* As a token object: durable, and found to be what it should be. */
static bool keep(struct custodian *c, struct import *m, const struct unwrap_as *as,
                 token_handle *ret, struct err *err)
{
    const struct unwrap_blobs blobs = blobs_of(m);

    TRY(token_unwrap_keep(c->token, m->import_key, &c->unwrap, &blobs, as, ret, err));
    TRY(softhsm_sync(c->state_dir, err));
    TRY(token_key_judge(c->token, *ret, as->type, err));
    TRY(token_prove(c->token, *ret, as->type, m->key.spki, m->key.spki_len, err));
    return registry_intent_commit(c->registry, m->intent.id, &m->key, err);
}

/* The row of the key that is to be, around the public half that is known. */
static void fill_key(struct import *m)
{
    struct registry_key key;

    intent_key(&m->intent, &key);
    memcpy(key.id, m->key.id, sizeof(key.id));
    memcpy(key.spki, m->key.spki, m->key.spki_len);
    key.spki_len = m->key.spki_len;
    m->key = key;
}

static bool bring_in(struct custodian *c, struct import *m, token_handle *ret, struct err *err)
{
    char label[TOKEN_LABEL_MAX];

    TRY(intent_seal(&m->intent, err));
    intent_label(&m->intent, label);
    fill_key(m);
    const struct unwrap_as as = {.type = m->intent.type,
                                 .cka_id = m->intent.cka_id,
                                 .cka_id_len = m->intent.cka_id_len,
                                 .label = label,
                                 .spki = m->key.spki,
                                 .spki_len = m->key.spki_len};
    TRY(import_handle(c, &m->with, &m->import_key, err));
    TRY(try_it(c, m, &as, err));
    TRY(reconcile_intents(c, err));
    TRY(registry_intent_add(c->registry, &m->intent, err));
    if (keep(c, m, &as, ret, err))
        return true;
    intent_undo(c, &m->intent);
    return false;
}

bool verb_keys_import(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysImportReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct import m = {.request = ask->e->keys_import, .intent = {.verb = "keys-import"}};
    token_handle handle = 0;

    TRY(reply);
    keyd__v1__keys_import_reply__init(reply);
    import_principal(ask, m.principal);
    TRY(check_names(c, ask, &m, err));
    TRY(check_sizes(m.request, err));
    TRY(take_nonce(c, &m, err));
    TRY(judge_key(c, &m, err));
    TRY(check_proof(&m, err));
    TRY(is_new(c, &m, err));
    TRY(may_try(c, &m, err));
    TRY(bring_in(c, &m, &handle, err));
    TRY(publish_key(c, &m.key, KEY_ENABLED, handle, err));
    TRY(reply->key = key_to_wire(c, ask, &m.key, true, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT_REPLY;
    ret->keys_import_reply = reply;
    return true;
}
