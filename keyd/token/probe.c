/* SPDX-License-Identifier: Apache-2.0
 *
 * What a token must refuse, tried on throw-away session keys. A token that gives a sensitive key
 * out in any of these ways is no place for keys, and keyd does not serve with it.
 */
#include "keyd/token/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/names.h"
#include "keyd/token/sign.h"

static const uint8_t probe_id[] = "keyd-probe";

static void note(struct token_abilities *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void note(struct token_abilities *a, const char *fmt, ...)
{
    va_list ap;

    if (a->note_count == PROBE_NOTES)
        return;
    va_start(ap, fmt);
    vsnprintf(a->notes[a->note_count++], sizeof(a->notes[0]), fmt, ap);
    va_end(ap);
}

static struct generate session_key(enum key_type type)
{
    return (struct generate){.type = type,
                             .cka_id = probe_id,
                             .cka_id_len = sizeof(probe_id) - 1,
                             .label = "keyd probe"};
}

static void drop(struct token *t, token_handle object)
{
    if (object)
        (void)t->p11->C_DestroyObject(t->session, object);
}

/* ---- the value must not come out (PKCS#11 v2.40 4.9, CKA_SENSITIVE and CKA_EXTRACTABLE) */

static bool refuse_read(struct token *t, token_handle key, enum key_kind kind, struct err *err)
{
    CK_ATTRIBUTE_TYPE type = kind == KEY_KIND_RSA ? CKA_PRIVATE_EXPONENT : CKA_VALUE;
    uint8_t value[1024];
    size_t len;

    enum attr_state state = attr_get(t, key, type, value, sizeof(value), &len, err);
    secret_wipe(value, sizeof(value));
    if (state == ATTR_FOUND || state == ATTR_TOO_LONG)
        return err_set(err, ERR_TOKEN, "the token shows %s of a sensitive private key",
                       names_find(NAMES_ATTRIBUTE, type));
    return true;
}

/* Whether a flag that the key was made with can be turned round by C_SetAttributeValue, or in a
 * copy by C_CopyObject. */
static bool refuse_flag(struct token *t, token_handle key, CK_ATTRIBUTE_TYPE type, bool value,
                        struct err *err)
{
    struct attrs a = {0};
    token_handle copy = 0;
    bool is = !value;

    attrs_bool(&a, type, value);
    (void)t->p11->C_SetAttributeValue(t->session, key, a.list, a.count);
    if (attr_read_bool(t, key, type, &is, err) && is == value)
        return err_set(err, ERR_TOKEN, "the token lets %s of a private key become %s",
                       names_find(NAMES_ATTRIBUTE, type), value ? "true" : "false");
    attrs_bool(&a, CKA_TOKEN, false);
    if (t->p11->C_CopyObject(t->session, key, a.list, a.count, &copy) != CKR_OK)
        return true;
    bool turned = attr_read_bool(t, copy, type, &is, err) && is == value;
    drop(t, copy);
    if (turned)
        return err_set(err, ERR_TOKEN, "the token lets %s become %s in a copy of a private key",
                       names_find(NAMES_ATTRIBUTE, type), value ? "true" : "false");
    return true;
}

static const CK_MECHANISM_TYPE wraps[] = {CKM_AES_KEY_WRAP_PAD, 0x210bUL /* KWP */,
                                          CKM_AES_KEY_WRAP, CKM_AES_CBC_PAD};

static bool make_wrapping_key(struct token *t, token_handle *ret)
{
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_KEY_GEN};
    struct attrs a = {0};

    attrs_bool(&a, CKA_TOKEN, false);
    attrs_bool(&a, CKA_WRAP, true);
    attrs_ulong(&a, CKA_VALUE_LEN, 32);
    return t->p11->C_GenerateKey(t->session, &mechanism, a.list, a.count, ret) == CKR_OK;
}

static bool refuse_wrap(struct token *t, token_handle key, struct err *err)
{
    token_handle wrapping;
    uint8_t out[2048], iv[16] = {0};
    bool out_came = false;

    if (!make_wrapping_key(t, &wrapping))
        return true; /* nothing to wrap with */
    for (size_t i = 0; i < COUNT(wraps) && !out_came; i++) {
        CK_MECHANISM mechanism = {.mechanism = wraps[i]};
        CK_ULONG len = sizeof(out);

        if (wraps[i] == CKM_AES_CBC_PAD) {
            mechanism.pParameter = iv;
            mechanism.ulParameterLen = sizeof(iv);
        }
        out_came = t->p11->C_WrapKey(t->session, &mechanism, wrapping, key, out, &len) == CKR_OK;
    }
    secret_wipe(out, sizeof(out));
    drop(t, wrapping);
    return !out_came ||
           err_set(err, ERR_TOKEN, "the token wraps out a private key that is not extractable");
}

/* ---- what it can do */

static void try_copy(struct token *t, struct token_abilities *a, enum key_type type,
                     token_handle key, const uint8_t *spki, size_t spki_len)
{
    token_handle copy;
    struct err err;

    a->session_copies = token_session_copy(t, key, &copy, &err);
    if (!a->session_copies) {
        note(a, "no session copies (%s): signing is slower", err.text);
        return;
    }
    a->session_copies = token_prove(t, copy, type, spki, spki_len, &err);
    if (!a->session_copies)
        note(a, "session copies do not sign (%s): signing is slower", err.text);
    drop(t, copy);
}

/* Whether a key that may not be modified can still be copied: then keys are made so. */
static void try_unmodifiable(struct token *t, struct token_abilities *a, enum key_type type)
{
    struct generate what = session_key(type);
    token_handle public_key, private_key, copy;
    struct err err;

    what.unmodifiable = true;
    if (!a->session_copies || !generate_pair(t, &what, &public_key, &private_key, &err))
        return;
    a->copies_unmodifiable = token_session_copy(t, private_key, &copy, &err);
    if (a->copies_unmodifiable)
        drop(t, copy);
    drop(t, private_key);
    drop(t, public_key);
}

/* A key that may do ECDSA with SHA-384 alone must refuse plain ECDSA, and so on: whatever the type,
 * the list holds one mechanism that the key is then not used with. */
static void try_mechanisms(struct token *t, struct token_abilities *a, enum key_type type)
{
    static const CK_MECHANISM_TYPE other[] = {CKM_ECDSA_SHA384},
                                   other_rsa[] = {CKM_SHA384_RSA_PKCS};
    bool rsa = key_type_info(type)->kind == KEY_KIND_RSA;
    CK_MECHANISM wanted = {.mechanism = rsa ? CKM_SHA256_RSA_PKCS : CKM_ECDSA};
    struct generate what = session_key(type);
    token_handle public_key, private_key;
    uint8_t data[32] = {0}, sig[SIGNATURE_MAX];
    CK_ULONG len = sizeof(sig);
    struct err err;

    what.allowed = rsa ? other_rsa : other;
    what.allowed_count = 1;
    if (!generate_pair(t, &what, &public_key, &private_key, &err)) {
        note(a, "CKA_ALLOWED_MECHANISMS could not be tried (%s)", err.text);
        return;
    }
    a->honours_mechanisms = t->p11->C_SignInit(t->session, &wanted, private_key) != CKR_OK ||
                            t->p11->C_Sign(t->session, data, sizeof(data), sig, &len) != CKR_OK;
    if (!a->honours_mechanisms)
        note(a, "CKA_ALLOWED_MECHANISMS is not enforced: the wall below keyd's own is missing");
    drop(t, private_key);
    drop(t, public_key);
}

/* ---- one type after another */

/* Both paddings of RSA, whose parameters tokens differ in. */
static bool prove_pkcs1(struct token *t, token_handle key, const uint8_t *spki, size_t spki_len,
                        struct err *err)
{
    const struct scheme *pkcs1 = scheme_by_code(0x0401);
    uint8_t sig[SIGNATURE_MAX];
    size_t len = sizeof(sig);

    TRY(token_sign(t, key, pkcs1, probe_id, sizeof(probe_id), sig, &len, err));
    return token_verify(spki, spki_len, pkcs1, probe_id, sizeof(probe_id), sig, len, err);
}

/* Everything that is tried on one pair; `full` for the first type, on which abilities and refusals
 * are settled. */
static bool probe_pair(struct token *t, struct token_abilities *a, enum key_type type,
                       token_handle public_key, token_handle key, bool full, struct err *err)
{
    enum key_kind kind = key_type_info(type)->kind;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    bool raw = false;

    TRY(spki_read(t, public_key, type, spki, &spki_len, &raw, err));
    a->ec_point_raw = a->ec_point_raw || raw;
    TRY(token_prove(t, key, type, spki, spki_len, err));
    if (kind == KEY_KIND_RSA)
        TRY(prove_pkcs1(t, key, spki, spki_len, err));
    TRY(refuse_read(t, key, kind, err));
    if (!full)
        return true;
    TRY(refuse_flag(t, key, CKA_EXTRACTABLE, true, err));
    TRY(refuse_flag(t, key, CKA_SENSITIVE, false, err));
    TRY(refuse_wrap(t, key, err));
    try_copy(t, a, type, key, spki, spki_len);
    try_unmodifiable(t, a, type);
    try_mechanisms(t, a, type);
    return true;
}

static bool probe_type(struct token *t, struct token_abilities *a, enum key_type type, bool full,
                       struct err *err)
{
    const struct generate what = session_key(type);
    token_handle public_key, private_key;
    struct err why;

    if (!generate_pair(t, &what, &public_key, &private_key, &why)) {
        a->can_generate[type] = false;
        note(a, "%s keys are offered but not made (%s)", key_type_info(type)->name, why.text);
        return !t->lost || (*err = why, false);
    }
    bool ok = probe_pair(t, a, type, public_key, private_key, full, err);
    drop(t, private_key);
    drop(t, public_key);
    return ok || err_prefix(err, "probing %s", key_type_info(type)->name);
}

/* One type of each sort; RSA 3072 and 4096 are as 2048, only slower to make. */
static const enum key_type probed[] = {KEY_TYPE_EC_P256, KEY_TYPE_EC_P384, KEY_TYPE_RSA_2048,
                                       KEY_TYPE_ED25519};

bool token_probe(struct token *t, struct token_abilities *ret, struct err *err)
{
    struct token_abilities a = {0};
    bool full = true;

    for (int type = KEY_TYPE_NONE + 1; type < KEY_TYPE_COUNT; type++)
        a.can_generate[type] = token_can_generate(t, (enum key_type)type);
    for (size_t i = 0; i < COUNT(probed); i++) {
        if (!a.can_generate[probed[i]])
            continue;
        TRY(probe_type(t, &a, probed[i], full, err));
        full = full && !a.can_generate[probed[i]];
    }
    if (full) {
        err_set(err, ERR_TOKEN, "the token can make no type of key that keyd knows");
        return err_hint(err, "its mechanisms: keyd needs EC, RSA or Ed25519 pairs and signatures");
    }
    *ret = a;
    return true;
}
