/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "keyd/custodian/findings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A key as keyd makes it; each case changes one attribute (value NULL: it is not there). */
static const struct token_attribute good[] = {
    {"CKA_KEY_TYPE", (char *)"CKK_RSA"},
    {"CKA_PRIVATE", (char *)"true"},
    {"CKA_SENSITIVE", (char *)"true"},
    {"CKA_EXTRACTABLE", (char *)"false"},
    {"CKA_NEVER_EXTRACTABLE", (char *)"true"},
    {"CKA_SIGN", (char *)"true"},
    {"CKA_SIGN_RECOVER", (char *)"false"},
    {"CKA_DECRYPT", (char *)"false"},
    {"CKA_UNWRAP", (char *)"false"},
    {"CKA_DERIVE", (char *)"false"},
    {"CKA_ALLOWED_MECHANISMS", (char *)"CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS"},
};

struct made {
    struct token_object object;
    struct token_attribute attributes[COUNT(good)];
};

static const struct token_object *make(struct made *m, const char *cls, const char *label,
                                       const char *attribute, const char *value)
{
    *m = (struct made){.object = {.cls = cls, .attributes = m->attributes}};
    snprintf(m->object.label, sizeof(m->object.label), "%s", label);
    for (size_t i = 0; i < COUNT(good); i++) {
        bool other = attribute && strcmp(good[i].name, attribute) == 0;

        if (other && !value)
            continue;
        m->attributes[m->object.attribute_count++] = (struct token_attribute){
            good[i].name, other ? (char *)(uintptr_t)value : good[i].value};
    }
    return &m->object;
}

static const struct finding *find(const struct findings *f, const char *kind)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->list[i].kind, kind) == 0)
            return &f->list[i];
    }
    return NULL;
}

#define MECHANISMS "CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS" /* the order does not matter */

static struct findings judge(enum owner owner, const struct token_object *o, const char *seen)
{
    const struct subject s = {.object = o,
                              .owner = owner,
                              .label = owner == OWNER_KEY ? "keyd/acme/www" : NULL,
                              .mechanisms = owner == OWNER_KEY ? MECHANISMS : NULL,
                              .seen = seen};
    struct findings f;

    findings_judge(&s, &f);
    for (size_t i = 0; i < f.count; i++) {
        assert_true(f.list[i].text[0] && f.list[i].advice[0]);
        assert_in_range(f.list[i].severity, SEVERITY_NOTE, SEVERITY_DANGER);
    }
    return f;
}

static const struct {
    const char *attribute, *value, *kind;
} wrong[] = {
    {"CKA_EXTRACTABLE", "true", "extractable"},
    {"CKA_SENSITIVE", "false", "not-sensitive"},
    {"CKA_SENSITIVE", NULL, "not-sensitive"}, /* what is not said is not so */
    {"CKA_PRIVATE", "false", "not-private"},
    {"CKA_DECRYPT", "true", "can-decrypt"},
    {"CKA_UNWRAP", "true", "can-unwrap"},
    {"CKA_DERIVE", "true", "can-derive"},
    {"CKA_SIGN_RECOVER", "true", "can-sign-recover"},
    {"CKA_ALLOWED_MECHANISMS", NULL, "any-mechanism"},
    {"CKA_ALLOWED_MECHANISMS", "", "any-mechanism"},
    {"CKA_ALLOWED_MECHANISMS", "CKM_SHA256_RSA_PKCS, CKM_RSA_X_509", "raw-mechanism"},
    {"CKA_ALLOWED_MECHANISMS", "CKM_RSA_PKCS", "raw-mechanism"},
    {"CKA_ALLOWED_MECHANISMS", "CKM_SHA1_RSA_PKCS", "raw-mechanism"},
};

static void test_nothing_wrong(void **state)
{
    struct made m;

    (void)state;
    assert_int_equal(
        judge(OWNER_KEY, make(&m, "CKO_PRIVATE_KEY", "keyd/acme/www", NULL, NULL), NULL).count, 0);
    /* to be adopted, under whatever label */
    assert_int_equal(
        judge(OWNER_ADOPTED, make(&m, "CKO_PRIVATE_KEY", "mine", NULL, NULL), NULL).count, 0);
}

/* A danger in a key of keyd's, with the change told; in one to be adopted; a warning in others'. */
static void test_each_risk(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct made m;
        const struct token_object *o =
            make(&m, "CKO_PRIVATE_KEY", "keyd/acme/www", wrong[i].attribute, wrong[i].value);
        struct findings ours = judge(OWNER_KEY, o, NULL), to_be = judge(OWNER_ADOPTED, o, NULL);
        struct findings others = judge(OWNER_NOBODY, o, NULL);

        assert_int_equal(ours.count, 2);
        assert_int_equal(find(&ours, wrong[i].kind)->severity, SEVERITY_DANGER);
        assert_int_equal(find(&ours, "changed")->severity, SEVERITY_DANGER);
        assert_non_null(strstr(find(&ours, "changed")->text, wrong[i].attribute));
        assert_int_equal(to_be.count, 1);
        assert_int_equal(find(&to_be, wrong[i].kind)->severity, SEVERITY_DANGER);
        assert_int_equal(others.count, 3); /* and unowned, and whose label it has */
        assert_int_equal(find(&others, wrong[i].kind)->severity, SEVERITY_WARNING);
        assert_int_equal(find(&others, "unowned")->severity, SEVERITY_NOTE);
        assert_int_equal(find(&others, "label")->severity, SEVERITY_WARNING);
    }
}

/* What was accepted once warns; what came later is a danger. */
static void test_adopted(void **state)
{
    struct made m;
    struct findings f;
    char seen[1024];
    struct err err;

    (void)state;
    assert_true(findings_seen(make(&m, "CKO_PRIVATE_KEY", "x", "CKA_DECRYPT", "true"), seen,
                              sizeof(seen), &err));
    f = judge(OWNER_ADOPTED, &m.object, seen);
    assert_int_equal(f.count, 1);
    assert_int_equal(find(&f, "can-decrypt")->severity, SEVERITY_WARNING);
    assert_non_null(strstr(find(&f, "can-decrypt")->text, "accepted"));
    f = judge(OWNER_ADOPTED, make(&m, "CKO_PRIVATE_KEY", "x", "CKA_DERIVE", "true"), seen);
    assert_int_equal(f.count, 2);
    assert_int_equal(find(&f, "can-derive")->severity, SEVERITY_DANGER);
    assert_non_null(strstr(find(&f, "changed")->text, "CKA_DERIVE is now true"));
    assert_non_null(strstr(find(&f, "changed")->text, "CKA_DECRYPT is now false"));
    f = judge(OWNER_ADOPTED, make(&m, "CKO_PRIVATE_KEY", "x", "CKA_NEVER_EXTRACTABLE", "false"),
              NULL);
    assert_int_equal(f.count, 1);
    assert_int_equal(find(&f, "was-outside")->severity, SEVERITY_NOTE);
    assert_false(findings_seen(&m.object, seen, 40, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

/* A raw operation of an RSA key decrypts; that of a curve only signs. */
static void test_curves(void **state)
{
    struct made m;
    struct findings f;

    (void)state;
    make(&m, "CKO_PRIVATE_KEY", "x", "CKA_ALLOWED_MECHANISMS", NULL);
    m.attributes[0].value = (char *)"CKK_EC";
    f = judge(OWNER_ADOPTED, &m.object, NULL);
    assert_int_equal(find(&f, "any-mechanism")->severity, SEVERITY_WARNING);
    make(&m, "CKO_PRIVATE_KEY", "x", "CKA_ALLOWED_MECHANISMS", "CKM_ECDSA");
    assert_int_equal(judge(OWNER_ADOPTED, &m.object, NULL).count, 0);
    make(&m, "CKO_PRIVATE_KEY", "x", "CKA_ALLOWED_MECHANISMS", "CKM_ECDSA, CKM_ECDH1_DERIVE");
    f = judge(OWNER_ADOPTED, &m.object, NULL);
    assert_non_null(strstr(find(&f, "raw-mechanism")->text, "CKM_ECDH1_DERIVE"));
}

static void test_import_key(void **state)
{
    struct made m;
    struct findings f;

    (void)state;
    make(&m, "CKO_PRIVATE_KEY", "keyd/import key", "CKA_UNWRAP", "true");
    m.attributes[5].value = (char *)"false"; /* CKA_SIGN */
    m.attributes[10].value = (char *)"CKM_RSA_PKCS_OAEP";
    assert_int_equal(judge(OWNER_IMPORT_KEY, &m.object, NULL).count, 0);
    m.attributes[5].value = (char *)"true";
    f = judge(OWNER_IMPORT_KEY, &m.object, NULL);
    assert_non_null(strstr(find(&f, "changed")->text, "CKA_SIGN is now true"));
}

static void test_labels(void **state)
{
    struct made m;
    struct findings f = judge(OWNER_KEY, make(&m, "CKO_PRIVATE_KEY", "other", NULL, NULL), NULL);

    (void)state;
    assert_int_equal(f.count, 1);
    assert_int_equal(find(&f, "label")->severity, SEVERITY_WARNING);
    assert_non_null(strstr(f.list[0].text, "keyd/acme/www"));
}

/* Other classes are not judged by what keys should be. */
static void test_other_classes(void **state)
{
    struct made m;
    struct findings f =
        judge(OWNER_NOBODY, make(&m, "CKO_SECRET_KEY", "x", "CKA_EXTRACTABLE", "true"), NULL);

    (void)state;
    assert_int_equal(f.count, 1);
    assert_non_null(find(&f, "unowned"));
    f = judge(OWNER_NOBODY, make(&m, TOKEN_UNREADABLE, "", NULL, NULL), NULL);
    assert_int_equal(f.count, 1);
    assert_int_equal(find(&f, "unreadable")->severity, SEVERITY_WARNING);
    f = judge(OWNER_ADOPTED, make(&m, "CKO_PUBLIC_KEY", "x", "CKA_SENSITIVE", NULL), NULL);
    assert_int_equal(f.count, 0); /* the other half of an adopted key */
    const struct subject s = {.object = make(&m, "CKO_PRIVATE_KEY", "", NULL, NULL),
                              .fragment = true};
    findings_judge(&s, &f);
    assert_int_equal(f.count, 1);
    assert_int_equal(find(&f, "fragment")->severity, SEVERITY_NOTE);
}

static void test_absent(void **state)
{
    struct finding f;

    (void)state;
    finding_count(0, true, &f);
    assert_string_equal(f.kind, "missing");
    assert_int_equal(f.severity, SEVERITY_DANGER);
    finding_count(0, false, &f);
    assert_int_equal(f.severity, SEVERITY_WARNING);
    finding_count(2, true, &f);
    assert_string_equal(f.kind, "doubled");
    assert_non_null(strstr(f.text, "2 private keys"));
    finding_import_key(&f);
    assert_int_equal(f.severity, SEVERITY_WARNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_wrong), cmocka_unit_test(test_each_risk),
        cmocka_unit_test(test_adopted),       cmocka_unit_test(test_curves),
        cmocka_unit_test(test_import_key),    cmocka_unit_test(test_labels),
        cmocka_unit_test(test_other_classes), cmocka_unit_test(test_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
