/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of the token room are judged (CKA_EXTRACTABLE "true"), so that what an auditor is shown
 * and what is judged are the same.
 */
#include "keyd/custodian/findings.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define REPLACE                                                                                    \
    "make a new key (keydctl keys-generate), move its certificates there, then destroy this one"
#define NOT_OURS  "it is not keyd's: ask whoever put it there"
#define SOMEBODY  "somebody with the PIN has changed it: find out who, and replace the key"
#define MECHANISM "CKA_ALLOWED_MECHANISMS"

/* What a private key should be. */
static const struct {
    const char *attribute;
    const char *should; /* "true", "false" */
    const char *kind, *text;
} flags[] = {
    {"CKA_EXTRACTABLE", "false", "extractable", "the key can be taken out of the token"},
    {"CKA_SENSITIVE", "true", "not-sensitive",
     "the key can be read in the clear by whoever has the PIN"},
    {"CKA_PRIVATE", "true", "not-private", "the key can be used without the PIN"},
    {"CKA_DECRYPT", "false", "can-decrypt",
     "the key decrypts: whoever reaches it can read recorded RSA key exchanges"},
    {"CKA_UNWRAP", "false", "can-unwrap",
     "the key unwraps others: whoever reaches it can decrypt with it"},
    {"CKA_DERIVE", "false", "can-derive", "the key agrees on secrets (ECDH): it should only sign"},
    {"CKA_SIGN_RECOVER", "false", "can-sign-recover",
     "the key signs bare data (C_SignRecover): it should only sign hashes"},
};

/* Mechanisms that hash what they sign, or can do nothing but sign. */
static const char *const harmless[] = {
    "CKM_SHA224_RSA_PKCS_PSS",
    "CKM_SHA256_RSA_PKCS_PSS",
    "CKM_SHA384_RSA_PKCS_PSS",
    "CKM_SHA512_RSA_PKCS_PSS",
    "CKM_SHA224_RSA_PKCS",
    "CKM_SHA256_RSA_PKCS",
    "CKM_SHA384_RSA_PKCS",
    "CKM_SHA512_RSA_PKCS",
    "CKM_ECDSA",
    "CKM_ECDSA_SHA224",
    "CKM_ECDSA_SHA256",
    "CKM_ECDSA_SHA384",
    "CKM_ECDSA_SHA512",
    "CKM_EDDSA",
};

/* What is written down of an adopted key, and compared. */
static const char *const custody[] = {
    "CKA_PRIVATE", "CKA_SENSITIVE", "CKA_EXTRACTABLE", "CKA_SIGN", "CKA_SIGN_RECOVER",
    "CKA_DECRYPT", "CKA_UNWRAP",    "CKA_DERIVE",      MECHANISM,
};

/* ---- small things */

static const char *value_of(const struct token_object *o, const char *attribute)
{
    const char *value = token_object_value(o, attribute);

    return value ? value : "";
}

static bool is_true(const struct token_object *o, const char *attribute)
{
    return strcmp(value_of(o, attribute), "true") == 0;
}

static bool is_class(const struct token_object *o, const char *cls)
{
    return strcmp(o->cls, cls) == 0;
}

static struct finding *add(struct findings *f, enum severity severity, const char *kind,
                           const char *text, const char *advice)
{
    struct finding *one = &f->list[f->count < FINDINGS_MAX ? f->count++ : FINDINGS_MAX - 1];

    *one = (struct finding){.severity = severity, .kind = kind, .advice = advice};
    snprintf(one->text, sizeof(one->text), "%s", text);
    return one;
}

/* ---- how it was */

/* The line of an attribute in what findings_seen wrote; NULL: it is not there. */
static const char *seen_value(const char *seen, const char *attribute, size_t *ret_len)
{
    size_t n = strlen(attribute);

    for (const char *at = seen; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, attribute, n) != 0 || at[n] != '=')
            continue;
        *ret_len = strcspn(at + n + 1, "\n");
        return at + n + 1;
    }
    return NULL;
}

static bool as_seen(const struct subject *s, const char *attribute)
{
    const char *now = value_of(s->object, attribute);
    size_t len = 0;
    const char *then = seen_value(s->seen, attribute, &len);

    return then && strlen(now) == len && strncmp(then, now, len) == 0;
}

bool findings_seen(const struct token_object *o, char *buf, size_t size, struct err *err)
{
    size_t at = 0;

    for (size_t i = 0; i < COUNT(custody); i++) {
        int n = snprintf(buf + at, size - at, "%s=%s\n", custody[i], value_of(o, custody[i]));

        if (n < 0 || (size_t)n >= size - at)
            return err_set(err, ERR_TOO_LARGE, "the object's attributes are too long to be kept");
        at += (size_t)n;
    }
    return true;
}

/* ---- private keys */

/* A danger for keys of keyd's, a warning for others', and for what was accepted. */
static void add_risk(const struct subject *s, const char *attribute, const char *kind,
                     const char *text, struct findings *f)
{
    bool accepted = s->owner == OWNER_ADOPTED && s->seen && as_seen(s, attribute);
    char words[240];

    if (s->owner == OWNER_NOBODY) {
        add(f, SEVERITY_WARNING, kind, text, NOT_OURS);
    } else if (accepted) {
        snprintf(words, sizeof(words), "%s; that was accepted when it was adopted", text);
        add(f, SEVERITY_WARNING, kind, words, REPLACE);
    } else {
        add(f, SEVERITY_DANGER, kind, text, REPLACE);
    }
}

static void judge_flags(const struct subject *s, struct findings *f)
{
    for (size_t i = 0; i < COUNT(flags); i++) {
        const char *is = value_of(s->object, flags[i].attribute);
        bool wrong = strcmp(flags[i].should, "true") == 0 ? strcmp(is, "true") != 0
                                                          : strcmp(is, "true") == 0;

        if (s->owner == OWNER_IMPORT_KEY && strcmp(flags[i].attribute, "CKA_UNWRAP") == 0)
            continue; /* what it is for */
        if (wrong)
            add_risk(s, flags[i].attribute, flags[i].kind, flags[i].text, f);
    }
}

/* Whether the list, "A, B", has the word. */
static bool has_word(const char *list, const char *word, size_t len)
{
    for (const char *at = list; at; at = strstr(at, ", ") ? strstr(at, ", ") + 2 : NULL) {
        if (strcspn(at, ",") == len && strncmp(at, word, len) == 0)
            return true;
    }
    return false;
}

static bool is_harmless(const char *word, size_t len)
{
    for (size_t i = 0; i < COUNT(harmless); i++) {
        if (strlen(harmless[i]) == len && strncmp(harmless[i], word, len) == 0)
            return true;
    }
    return false;
}

/* The first mechanism of the list that does more than sign hashes; NULL: there is none. */
static const char *harmful(const char *list)
{
    for (const char *at = list; at; at = strstr(at, ", ") ? strstr(at, ", ") + 2 : NULL) {
        if (!is_harmless(at, strcspn(at, ",")))
            return at;
    }
    return NULL;
}

/* A private RSA operation on chosen bytes decrypts; one on a curve only signs. */
static void add_mechanism_risk(const struct subject *s, const char *kind, const char *text,
                               struct findings *f)
{
    size_t before = f->count;

    add_risk(s, MECHANISM, kind, text, f);
    if (f->count > before && strcmp(value_of(s->object, "CKA_KEY_TYPE"), "CKK_RSA") != 0 &&
        f->list[before].severity == SEVERITY_DANGER)
        f->list[before].severity = SEVERITY_WARNING;
}

static void judge_mechanisms(const struct subject *s, struct findings *f)
{
    const char *list = value_of(s->object, MECHANISM), *beyond;
    char text[200];

    if (s->owner == OWNER_IMPORT_KEY)
        return; /* compared with its birth */
    if (!*list) {
        add_mechanism_risk(s, "any-mechanism",
                           "the key has no list of allowed mechanisms: the token lets it do "
                           "whatever its type can",
                           f);
    } else if ((beyond = harmful(list))) {
        snprintf(text, sizeof(text),
                 "its allowed mechanisms have %.*s, which does more than sign "
                 "hashes",
                 (int)strcspn(beyond, ","), beyond);
        add_mechanism_risk(s, "raw-mechanism", text, f);
    }
}

/* ---- changes */

static bool same_words(const char *a, const char *b)
{
    for (const char *at = a; at; at = strstr(at, ", ") ? strstr(at, ", ") + 2 : NULL) {
        if (!has_word(b, at, strcspn(at, ",")))
            return false;
    }
    return strlen(a) == strlen(b);
}

static bool as_born(const struct subject *s, const char *attribute)
{
    const char *is = value_of(s->object, attribute);
    bool imports = s->owner == OWNER_IMPORT_KEY;

    if (strcmp(attribute, MECHANISM) == 0)
        return !s->mechanisms || same_words(s->mechanisms, is);
    bool should = strcmp(attribute, "CKA_PRIVATE") == 0 ||
                  strcmp(attribute, "CKA_SENSITIVE") == 0 ||
                  strcmp(attribute, imports ? "CKA_UNWRAP" : "CKA_SIGN") == 0;
    return (strcmp(is, "true") == 0) == should;
}

static void judge_changes(const struct subject *s, struct findings *f)
{
    char text[200] = "";
    size_t at = 0;

    for (size_t i = 0; i < COUNT(custody) && at < sizeof(text); i++) {
        const char *is = value_of(s->object, custody[i]);

        if (s->owner == OWNER_ADOPTED ? as_seen(s, custody[i]) : as_born(s, custody[i]))
            continue;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s is now %s",
                               at                          ? ", "
                               : s->owner == OWNER_ADOPTED ? "changed since it was adopted: "
                                                           : "changed since its birth: ",
                               custody[i], *is ? is : "not there");
    }
    if (at > 0)
        add(f, SEVERITY_DANGER, "changed", text, SOMEBODY);
}

static void judge_label(const struct subject *s, struct findings *f)
{
    char text[240];

    if (!s->label || strcmp(s->object->label, s->label) == 0)
        return;
    snprintf(text, sizeof(text), "the label in the token is \"%.80s\"; at its birth it was \"%s\"",
             s->object->label, s->label);
    add(f, SEVERITY_WARNING, "label", text,
        "keyd goes by the CKA_ID; but find out who has changed the label");
}

static void judge_private_key(const struct subject *s, struct findings *f)
{
    judge_flags(s, f);
    judge_mechanisms(s, f);
    if (s->owner == OWNER_KEY || s->owner == OWNER_IMPORT_KEY || s->seen)
        judge_changes(s, f);
    judge_label(s, f);
    if (s->owner == OWNER_ADOPTED && !is_true(s->object, "CKA_NEVER_EXTRACTABLE"))
        add(f, SEVERITY_NOTE, "was-outside",
            "the key was outside the token, or could be taken out once: there may be copies",
            "only a key that is made in the token is in it alone");
}

/* ---- all */

void findings_judge(const struct subject *s, struct findings *ret)
{
    const struct token_object *o = s->object;

    ret->count = 0;
    if (s->fragment) {
        add(ret, SEVERITY_NOTE, "fragment", "a fragment: the beginning of an object, cut short",
            "keydctl token-sweep removes it");
        return;
    }
    if (is_class(o, TOKEN_UNREADABLE)) {
        add(ret, SEVERITY_WARNING, "unreadable",
            "the token shows that an object is there, and nothing more",
            "keydctl token-sweep, if it is an empty file of SoftHSM; else the token's own tools");
        return;
    }
    if (is_class(o, "CKO_PRIVATE_KEY"))
        judge_private_key(s, ret);
    if (s->owner != OWNER_NOBODY)
        return;
    if (strncmp(o->label, "keyd/", 5) == 0)
        add(ret, SEVERITY_WARNING, "label", "its label says that it is keyd's, but it is not",
            NOT_OURS);
    add(ret, SEVERITY_NOTE, "unowned", "keyd does not know this object, and never touches it",
        is_class(o, "CKO_PRIVATE_KEY")
            ? "keydctl keys-adopt brings a private key under keyd; or leave it"
            : "leave it, or ask whoever put it there");
}

#define ABSENCE "a wrong permission looks the same: check the token; keydctl status tells more"

void finding_count(size_t there, bool enabled, struct finding *ret)
{
    enum severity severity = enabled ? SEVERITY_DANGER : SEVERITY_WARNING;

    if (there == 0) {
        *ret = (struct finding){.severity = severity, .kind = "missing", .advice = ABSENCE};
        snprintf(ret->text, sizeof(ret->text),
                 "the key is registered, but the token does not show it: it signs nothing");
        return;
    }
    *ret = (struct finding){.severity = severity,
                            .kind = "doubled",
                            .advice = "find out which is whose, with the token's own tools"};
    snprintf(ret->text, sizeof(ret->text),
             "the token has %zu private keys with its CKA_ID: it signs nothing", there);
}

void finding_import_key(struct finding *ret)
{
    *ret = (struct finding){.severity = SEVERITY_WARNING,
                            .kind = "missing",
                            .advice = "keydctl import-key-rotate makes a new one"};
    snprintf(ret->text, sizeof(ret->text),
             "the token does not show the import key: no key can be imported");
}
