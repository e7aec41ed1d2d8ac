/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a token in a process: find the one that the URI selects, one session, one login.
 */
#include "keyd/token/token.h"

#include <p11-kit/p11-kit.h>
#include <stdio.h>
#include <string.h>

#include "keyd/token/internal.h"
#include "keyd/token/softhsm.h"
#include "keyd/token/uri.h"
#include "proto/base/mem.h"

/* A blank-padded field of PKCS#11 as a string. */
static void trim(const CK_UTF8CHAR *field, size_t size, char *out)
{
    size_t n = p11_kit_space_strlen(field, size);

    memcpy(out, field, n);
    out[n] = 0;
}

/* ---- finding it */

struct search {
    const P11KitUri *uri;
    CK_INFO module;
    CK_SLOT_ID slot;
    CK_TOKEN_INFO token;
    size_t found, blank;
    char seen[160]; /* the tokens there are, for the error */
    size_t seen_len;
};

static void note_seen(struct search *s, const CK_TOKEN_INFO *token)
{
    char label[sizeof(token->label) + 1], serial[sizeof(token->serialNumber) + 1];
    size_t room = sizeof(s->seen) - s->seen_len;

    trim(token->label, sizeof(token->label), label);
    trim(token->serialNumber, sizeof(token->serialNumber), serial);
    int n = snprintf(s->seen + s->seen_len, room, "%s\"%s\" (serial %s)", s->seen_len ? ", " : "",
                     label, serial);
    s->seen_len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void look_at(struct search *s, CK_SLOT_ID slot, const CK_TOKEN_INFO *token)
{
    if (!(token->flags & CKF_TOKEN_INITIALIZED)) {
        s->blank++;
        return;
    }
    note_seen(s, token);
    if (!uri_matches(s->uri, slot, token, &s->module))
        return;
    s->found++;
    s->slot = slot;
    s->token = *token;
}

static bool judge_search(const struct search *s, struct err *err)
{
    if (s->found == 1)
        return true;
    if (s->found > 1) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI fits %zu tokens: %s", s->found, s->seen);
        return err_hint(err, "add serial=... to the URI");
    }
    err_set(err, ERR_UNAVAILABLE, "no token fits the URI; the module has %s, and %zu blank slots",
            s->seen_len ? s->seen : "no token", s->blank);
    return err_hint(err, "check token= and serial= in the URI; keyd --init-token makes a token");
}

static bool search(const struct module *m, struct search *s, struct err *err)
{
    AUTO_FREE CK_SLOT_ID *slots = NULL;
    size_t count;

    CK_RV rv = m->p11->C_GetInfo(&s->module);
    if (rv != CKR_OK)
        return rv_fail("C_GetInfo", rv, err);
    TRY(module_slots(m, &slots, &count, err));
    for (size_t i = 0; i < count; i++) {
        CK_TOKEN_INFO token;

        rv = m->p11->C_GetTokenInfo(slots[i], &token);
        if (rv == CKR_OK)
            look_at(s, slots[i], &token);
        else if (!rv_is_loss(rv)) /* a slot whose token went is as good as empty */
            return rv_fail("C_GetTokenInfo", rv, err);
    }
    return judge_search(s, err);
}

/* ---- opening it */

static void fill_info(struct token_info *info, const struct search *s, const char *path)
{
    const CK_TOKEN_INFO *from = &s->token;

    trim(from->label, sizeof(from->label), info->label);
    trim(from->manufacturerID, sizeof(from->manufacturerID), info->manufacturer);
    trim(from->model, sizeof(from->model), info->model);
    trim(from->serialNumber, sizeof(from->serialNumber), info->serial);
    snprintf(info->module, sizeof(info->module), "%s %u.%u", path, s->module.libraryVersion.major,
             s->module.libraryVersion.minor);
    info->flags = (uint32_t)from->flags;
    bool known = from->ulMaxSessionCount != CK_UNAVAILABLE_INFORMATION;
    info->max_sessions = known ? from->ulMaxSessionCount : 0;
    known = from->ulMaxPinLen != CK_UNAVAILABLE_INFORMATION && from->ulMaxPinLen <= UINT32_MAX &&
            from->ulMinPinLen <= from->ulMaxPinLen;
    info->pin_min = known ? (uint32_t)from->ulMinPinLen : 0;
    info->pin_max = known ? (uint32_t)from->ulMaxPinLen : 0;
}

bool mechanism_does(const struct token *t, CK_MECHANISM_TYPE mechanism, CK_FLAGS flag,
                    unsigned bits)
{
    CK_MECHANISM_INFO info;

    CK_RV rv = t->p11->C_GetMechanismInfo(t->slot, mechanism, &info);
    if (rv != CKR_OK && rv != CKR_MECHANISM_INVALID) /* a moment's trouble is no lack of it */
        rv = t->p11->C_GetMechanismInfo(t->slot, mechanism, &info);
    if (rv != CKR_OK || !(info.flags & flag))
        return false;
    /* Tokens that give no range, or not for this mechanism, say 0. */
    return info.ulMaxKeySize == 0 || (bits >= info.ulMinKeySize && bits <= info.ulMaxKeySize);
}

static void ask_abilities(struct token *t)
{
    for (int type = KEY_TYPE_NONE + 1; type < KEY_TYPE_COUNT; type++) {
        const struct type_row *row = type_row((enum key_type)type);
        unsigned bits = key_type_info((enum key_type)type)->bits;

        if (type == KEY_TYPE_ED25519)
            bits = 256; /* PKCS#11 counts whole bytes of the field */
        t->can_generate[type] = mechanism_does(t, row->generate, CKF_GENERATE_KEY_PAIR, bits) &&
                                mechanism_does(t, row->allowed[0], CKF_SIGN, bits);
    }
}

bool token_can_generate(const struct token *t, enum key_type type)
{
    return type > KEY_TYPE_NONE && type < KEY_TYPE_COUNT && t->can_generate[type];
}

static bool prepare_digests(struct token *t, struct err *err)
{
    t->digest = EVP_MD_CTX_new();
    t->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    t->sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL);
    t->sha512 = EVP_MD_fetch(NULL, "SHA2-512", NULL);
    if (!t->digest || !t->sha256 || !t->sha384 || !t->sha512)
        return err_set(err, ERR_INTERNAL, "libcrypto has no SHA-2");
    return true;
}

static bool open_session(struct token *t, bool writable, struct err *err)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | (writable ? CKF_RW_SESSION : 0);
    CK_RV rv = t->p11->C_OpenSession(t->slot, flags, NULL, NULL, &t->session);

    if (rv != CKR_OK)
        return token_fail(t, "C_OpenSession", rv, err);
    t->has_session = true;
    return true;
}

static bool open_in(struct token *t, P11KitUri *uri, bool writable, struct err *err)
{
    const char *path = p11_kit_uri_get_module_path(uri);
    struct search s = {.uri = uri};

    TRY(module_load(&t->module, path, err));
    t->p11 = t->module.p11;
    TRY(search(&t->module, &s, err));
    t->slot = s.slot;
    fill_info(&t->info, &s, path);
    ask_abilities(t);
    TRY(prepare_digests(t, err));
    return open_session(t, writable, err);
}

bool token_open(struct token **ret, const char *uri, const char *state_dir, bool writable,
                struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = NULL;

    TRY(uri_parse(uri, &parsed, err));
    TRY(softhsm_environment(state_dir, err));
    struct token *t = mem_new(sizeof(*t));
    if (!t)
        return err_set(err, ERR_INTERNAL, "no memory for a token");
    if (!open_in(t, parsed, writable, err)) {
        token_close(t);
        return false;
    }
    *ret = t;
    return true;
}

const struct token_info *token_info(const struct token *t)
{
    return &t->info;
}

bool token_has_user_pin(const struct token *t)
{
    return t->info.flags & CKF_USER_PIN_INITIALIZED;
}

/* ---- login */

static bool check_pin_flags(struct token *t, struct err *err)
{
    CK_TOKEN_INFO info;
    CK_RV rv = t->p11->C_GetTokenInfo(t->slot, &info);

    if (rv != CKR_OK)
        return token_fail(t, "C_GetTokenInfo", rv, err);
    t->info.flags = (uint32_t)info.flags;
    if (info.flags & CKF_USER_PIN_LOCKED) {
        err_set(err, ERR_DENIED, "the user PIN of token \"%s\" is locked", t->info.label);
        return err_hint(err, "the token's security officer must set a new one");
    }
    if (info.flags & CKF_USER_PIN_FINAL_TRY) {
        err_set(err, ERR_DENIED,
                "one more wrong PIN would lock token \"%s\": keyd does not take that last try",
                t->info.label);
        return err_hint(err, "check pin-source, then log in once by the vendor's tool");
    }
    return true;
}

bool token_login(struct token *t, const struct secret *pin, struct err *err)
{
    if (pin->len == 0) {
        err_set(err, ERR_DENIED, "the PIN for token \"%s\" is empty", t->info.label);
        return err_hint(err, "check pin-source");
    }
    TRY(check_pin_flags(t, err));
    CK_RV rv = t->p11->C_Login(t->session, CKU_USER, pin->bytes, pin->len);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return true;
    token_fail(t, "C_Login", rv, err);
    return err_prefix(err, "token \"%s\"", t->info.label);
}

void token_close(struct token *t)
{
    if (!t)
        return;
    if (t->has_session)
        (void)t->p11->C_CloseSession(t->session);
    EVP_MD_CTX_free(t->digest); /* before the module, which may tear libcrypto down */
    EVP_MD_free(t->sha256);
    EVP_MD_free(t->sha384);
    EVP_MD_free(t->sha512);
    module_unload(&t->module);
    mem_free(t);
}
