/* SPDX-License-Identifier: Apache-2.0
 *
 * What the custodian signs. Certificate requests: built here from subject and names (create-csr),
 * or built by the client and only signed (sign). Both pass the same recogniser: what goes to the
 * token is one whole CertificationRequestInfo with the key's own public key and allowed names. And,
 * with keys that an operator made for just that (raw), anything that an operator sends.
 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/policy/tbs_csr.h"
#include "keyd/token/sign.h"
#include "proto/base/mem.h"
#include "proto/x509/csr.h"

/* ---- the key's handle */

/* What keyd made must be as it was made; what was adopted is as it was accepted. */
static bool judge_handle(struct custodian *c, const struct table_key *key, token_handle handle,
                         struct err *err)
{
    struct registry_key row;

    TRY(registry_key_by_id(c->registry, key->id, &row, err));
    return row.adopted || token_key_judge(c->token, handle, (enum key_type)key->type, err);
}

/* A handle signs for the first time only after it was proven; from then on it is in the table. */
static bool handle_of(struct custodian *c, struct table_key *key, token_handle *ret,
                      struct err *err)
{
    token_handle handle = (token_handle)(uintptr_t)key->user;

    if (!handle) {
        if (!token_find_private(c->token, key->cka_id, key->cka_id_len, &handle, err))
            return err->code == ERR_NOT_FOUND ? table_key_missing(err) : false;
        TRY(judge_handle(c, key, handle, err));
        TRY(token_prove(c->token, handle, (enum key_type)key->type, key->spki, key->spki_len, err));
        key->user = (void *)(uintptr_t)handle;
    }
    *ret = handle;
    return true;
}

/* ---- which key, for what */

static bool find_key(struct custodian *c, const struct ask *ask, const uint8_t id[KEY_ID_LEN],
                     struct table_key **ret, struct err *err)
{
    struct table_key *key = table_find(&c->table, id);
    const char *within = scope_within(ask);
    char hex[KEY_ID_HEX_LEN + 1];

    if (!key || (*within && strcmp(key->tenant, within) != 0))
        return err_set(err, ERR_NOT_FOUND, "no key has the id %.16s...",
                       hex_encode(id, KEY_ID_LEN, hex));
    *ret = key;
    return true;
}

static bool role_may(enum role role, enum purpose purpose, struct err *err)
{
    if (role_purposes(role) & purpose)
        return true;
    if (purpose == PURPOSE_RAW)
        return err_set(err, ERR_DENIED, "the role %s may not sign with a raw key: operators may",
                       role_name(role));
    return err_set(err, ERR_DENIED, "the role %s may not have certificate requests signed",
                   role_name(role));
}

/* Whether the key is there and made for it, and the role may have that signed. */
static bool key_serves(const struct table_key *key, enum role role, enum purpose purpose,
                       struct err *err)
{
    char names[128];

    TRY(role_may(role, purpose, err));
    if (!(key->purposes & purpose)) {
        err_set(err, ERR_BAD_SHAPE, "this key does not sign certificate requests; its purposes: %s",
                purposes_text(key->purposes, names, sizeof(names)));
        return err_hint(err, "purposes are fixed when a key is made: make one with csr");
    }
    return table_key_signs(key, err);
}

/* ---- signing: read it, then sign it */

struct to_sign {
    const uint8_t *message;
    size_t len;
    const struct scheme *scheme;
    enum purpose purpose;
};

static bool recognise_csr(struct custodian *c, const struct table_key *key, const struct to_sign *s,
                          struct err *err)
{
    struct allowed_names allowed;
    struct registry_key row;

    TRY(registry_key_by_id(c->registry, key->id, &row, err));
    TRY(allowed_names_of(row.allowed_names, &allowed, err));
    return tbs_csr(s->message, s->len, key->spki, key->spki_len, &allowed.names, err);
}

static bool sign_it(struct custodian *c, struct table_key *key, const struct to_sign *s,
                    uint8_t sig[SIGNATURE_MAX], size_t *ret_len, struct err *err)
{
    token_handle handle = 0;

    if (s->purpose == PURPOSE_CSR)
        TRY(recognise_csr(c, key, s, err));
    TRY(scheme_fits(s->scheme, (enum key_type)key->type, s->purpose, err));
    TRY(handle_of(c, key, &handle, err));
    *ret_len = SIGNATURE_MAX;
    if (token_sign(c->token, handle, s->scheme, s->message, s->len, sig, ret_len, err))
        return true;
    key->user = NULL; /* it is looked up and proven again before it signs again */
    return false;
}

bool verb_sign(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    const Keyd__V1__Sign *request = ask->e->sign;
    Keyd__V1__SignReply *reply = ask_alloc(ask, sizeof(*reply) + SIGNATURE_MAX, err);
    struct to_sign s = {.message = request->message.data, .len = request->message.len};
    struct table_key *key;

    TRY(reply);
    keyd__v1__sign_reply__init(reply);
    if (request->key_id.len != KEY_ID_LEN)
        return err_set(err, ERR_BAD_REQUEST, "a key id of %zu bytes; it has %d",
                       request->key_id.len, KEY_ID_LEN);
    TRY(find_key(c, ask, request->key_id.data, &key, err));
    s.purpose = key->purposes == PURPOSE_RAW ? PURPOSE_RAW : PURPOSE_CSR;
    TRY(key_serves(key, ask->who->role, s.purpose, err));
    s.scheme = scheme_by_code(request->scheme);
    if (!s.scheme)
        return err_set(err, ERR_BAD_SCHEME, "0x%04x is no signature scheme that keyd makes",
                       request->scheme);
    reply->signature.data = (uint8_t *)(reply + 1);
    TRY(sign_it(c, key, &s, reply->signature.data, &reply->signature.len, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
    ret->sign_reply = reply;
    return true;
}

/* ---- building */

/* What certification authorities take from any key of the type: of RSA not PSS. */
static const struct scheme *usual_scheme(enum key_type type)
{
    const struct scheme *scheme = scheme_for_type(type);

    return scheme && scheme->kind != KEY_KIND_RSA ? scheme : scheme_by_code(0x0401);
}

static bool build_and_sign(struct custodian *c, struct table_key *key,
                           const Keyd__V1__CreateCsr *request, char **ret_pem, struct err *err)
{
    struct to_sign s = {.scheme = usual_scheme((enum key_type)key->type), .purpose = PURPOSE_CSR};
    AUTO_FREE uint8_t *info = NULL;
    size_t info_len, sig_len;
    uint8_t sig[SIGNATURE_MAX];

    TRY(csr_build(key->spki, key->spki_len, request->subject, (const char *const *)request->san,
                  request->n_san, &info, &info_len, err));
    s.message = info;
    s.len = info_len;
    TRY(sign_it(c, key, &s, sig, &sig_len, err));
    return csr_finish(info, info_len, s.scheme->code, sig, sig_len, ret_pem, err);
}

bool verb_create_csr(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    const Keyd__V1__CreateCsr *request = ask->e->create_csr;
    Keyd__V1__CreateCsrReply *reply = ask_alloc(ask, sizeof(*reply), err);
    AUTO_FREE char *pem = NULL;
    struct registry_key row;
    struct table_key *key;

    TRY(reply);
    keyd__v1__create_csr_reply__init(reply);
    TRY(scope_key(c, ask, request->key, &row, err));
    TRY(find_key(c, ask, row.id, &key, err));
    TRY(key_serves(key, ask->who->role, PURPOSE_CSR, err));
    TRY(build_and_sign(c, key, request, &pem, err));
    reply->pem = arena_dup(ask->arena, pem, strlen(pem));
    if (!reply->pem)
        return err_set(err, ERR_TOO_LARGE, "no memory for a certificate request");
    ret->body_case = KEYD__V1__ENVELOPE__BODY_CREATE_CSR_REPLY;
    ret->create_csr_reply = reply;
    return true;
}
