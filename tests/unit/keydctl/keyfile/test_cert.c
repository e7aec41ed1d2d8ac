/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tests/unit/keydctl/keyfile/fixture.h"

static const char *const keys[] = {"rsa", "p256", "p384", "ed25519"};

static void load(const char *key, struct keyfile *ret)
{
    char name[64];

    snprintf(name, sizeof(name), "%s.pem", key);
    must_read(name, NULL, ret);
}

/* Each key fits its own certificate and no other one. */
static void test_pairs(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(keys); k++) {
        struct keyfile key;

        load(keys[k], &key);
        for (size_t c = 0; c < COUNT(keys); c++) {
            char name[64];
            struct err err;

            snprintf(name, sizeof(name), "%s.crt", keys[c]);
            const struct bytes *b = slurp(name);
            bool ok = keyfile_check_cert_bytes(b->p, b->n, name, &key, "app.key", &err);
            if (ok != (k == c))
                fail_msg("%s and %s", keys[k], name);
            if (!ok)
                assert_int_equal(err.code, ERR_CONFLICT);
        }
        keyfile_free(&key);
    }
}

static void hex_of_id(const char *spki, char hex[65])
{
    char command[256];

    snprintf(command, sizeof(command), "openssl sha256 -r %s | cut -c1-64 >id", spki);
    sh(command);
    const struct bytes *b = slurp("id");
    assert_int_equal(b->n, 65);
    memcpy(hex, b->p, 64);
    hex[64] = 0;
}

/* Both fingerprints are named, whole. */
static void test_mismatch(void **state)
{
    struct keyfile key;
    struct err err;
    char own[65], other[65];

    (void)state;
    load("rsa", &key);
    hex_of_id("rsa.spki", own);
    hex_of_id("p384.spki", other);
    assert_false(keyfile_check_cert(path_of("p384.crt"), &key, "app.key", &err));
    assert_contains(err.text, own);
    assert_contains(err.text, other);
    assert_contains(err.text, "p384.crt");
    assert_contains(err.text, "app.key");
    assert_contains(err.text, "for another key");
    assert_contains(err.hint, "leave out --cert");
    keyfile_free(&key);
}

static void test_forms(void **state)
{
    static const struct {
        const char *make; /* the file f */
        const char *text; /* NULL: it fits rsa.pem */
        const char *hint;
    } rows[] = {
        {"openssl x509 -in rsa.crt -outform DER -out f", NULL, ""},
        {"openssl x509 -in rsa.crt -text -out f", NULL, ""},
        {"openssl x509 -in rsa.crt -trustout -out f", NULL, ""},
        {"openssl x509 -in rsa.crt -setalias www -trustout -out f", NULL, ""},
        {"cat rsa.crt p256.crt p384.crt >f", NULL, ""}, /* a chain */
        {"cat rsa.pem rsa.crt >f", NULL, ""},           /* as HAProxy has it */
        {"cat p256.crt rsa.crt >f", "for another key", "--cert"},
        {"cp rsa.pem f", "this is a private key, and no certificate", "--cert takes"},
        {"cp rsa.p8 f", "this is a private key, and no certificate", "--cert takes"},
        {"openssl pkey -in rsa.pem -pubout -out f", "a public key, and no certificate", "--cert"},
        {"openssl req -config cnf -new -key rsa.pem -subj /CN=x -outform DER -out f",
         "this is a certificate signing request", "--cert takes"},
        {"openssl x509 -in rsa.crt -outform DER >f; echo >>f", "1 bytes follow", ""},
        {"grep -v END rsa.crt >f", "no whole END line", ""},
        {"sed 5d rsa.crt >f", "the certificate is damaged", ""},
        {": >f", "the file is empty", "--cert"},
        {"echo '<html>' >f", "a web page (HTML), and no certificate", "--cert"},
        {"rm -f f", "cannot open", ""},
        {"head -c 70000 /dev/zero >f", "more than 64 KiB", ""},
    };
    struct keyfile key;

    (void)state;
    load("rsa", &key);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err;

        sh(rows[i].make);
        bool ok = keyfile_check_cert(path_of("f"), &key, "app.key", &err);
        if (ok != !rows[i].text ||
            (!ok && (!strstr(err.text, rows[i].text) || !strstr(err.hint, rows[i].hint))))
            fail_msg("'%s': %s; %s", rows[i].make, ok ? "fits" : err.text, ok ? "" : err.hint);
    }
    keyfile_free(&key);
}

/* A certificate may write the same key otherwise: a compressed point is the same point. */
static void test_other_encoding(void **state)
{
    struct keyfile key;
    struct err err;

    (void)state;
    sh("openssl pkey -in p256.pem -ec_conv_form compressed -out c.pem;"
       "openssl req -config cnf -x509 -key c.pem -subj /CN=c -out f");
    load("p256", &key);
    if (!keyfile_check_cert(path_of("f"), &key, "app.key", &err))
        fail_msg("%s", err.text);
    keyfile_free(&key);
}

/* Cut anywhere, it is no certificate. */
static void test_truncated(void **state)
{
    static struct bytes whole;
    struct keyfile key;

    (void)state;
    load("p256", &key);
    sh("openssl x509 -in p256.crt -outform DER -out f");
    whole = *slurp("f");
    for (size_t n = 0; n <= whole.n; n++) {
        struct err err;

        if (keyfile_check_cert_bytes(whole.p, n, "f", &key, "k", &err) != (n == whole.n))
            fail_msg("%zu bytes of %zu", n, whole.n);
    }
    keyfile_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),     cmocka_unit_test(test_mismatch),
        cmocka_unit_test(test_forms),     cmocka_unit_test(test_other_encoding),
        cmocka_unit_test(test_truncated),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
