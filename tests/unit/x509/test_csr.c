/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/x509/csr.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proto/base/mem.h"

struct key {
    EVP_PKEY *pkey;
    uint8_t *spki;
    int spki_len;
};

static struct key key_new(const char *type, const char *curve)
{
    struct key k = {.pkey = strcmp(type, "RSA") == 0  ? EVP_RSA_gen(2048)
                            : strcmp(type, "EC") == 0 ? EVP_EC_gen(curve)
                                                      : EVP_PKEY_Q_keygen(NULL, NULL, type)};

    assert_non_null(k.pkey);
    k.spki_len = i2d_PUBKEY(k.pkey, &k.spki);
    assert_true(k.spki_len > 0);
    return k;
}

static void key_free(struct key *k)
{
    EVP_PKEY_free(k->pkey);
    OPENSSL_free(k->spki);
}

static size_t sign(const struct key *k, const char *digest, int padding, const uint8_t *message,
                   size_t len, uint8_t *sig, size_t room)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;

    assert_int_equal(EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, k->pkey, NULL), 1);
    if (padding)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, padding), 1);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &room, message, len), 1);
    EVP_MD_CTX_free(ctx);
    return room;
}

/* The DNS names of a request, "a,b"; critical ones as "!a,b". */
static void alt_names(X509_REQ *req, char *buf, size_t size)
{
    STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
    int critical = 0;
    GENERAL_NAMES *names =
        exts ? X509V3_get_d2i(exts, NID_subject_alt_name, &critical, NULL) : NULL;
    size_t at = (size_t)snprintf(buf, size, "%s", critical > 0 ? "!" : "");

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        assert_int_equal(n->type, GEN_DNS);
        assert_true(at < size);
        at += (size_t)snprintf(buf + at, size - at, "%s%.*s", i ? "," : "",
                               ASN1_STRING_length(n->d.dNSName),
                               (const char *)ASN1_STRING_get0_data(n->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static X509_REQ *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

    assert_non_null(req);
    BIO_free(bio);
    return req;
}

static void each_algorithm_verifies(void **state)
{
    static const struct {
        const char *type, *curve, *digest;
        int padding;
        uint16_t scheme;
        int nid;
    } yes[] = {
        {"EC", "P-256", "SHA256", 0, 0x0403, NID_ecdsa_with_SHA256},
        {"EC", "P-384", "SHA384", 0, 0x0503, NID_ecdsa_with_SHA384},
        {"EC", "P-256", "SHA512", 0, 0x0603, NID_ecdsa_with_SHA512},
        {"RSA", NULL, "SHA256", RSA_PKCS1_PADDING, 0x0401, NID_sha256WithRSAEncryption},
        {"RSA", NULL, "SHA384", RSA_PKCS1_PADDING, 0x0501, NID_sha384WithRSAEncryption},
        {"RSA", NULL, "SHA512", RSA_PKCS1_PADDING, 0x0601, NID_sha512WithRSAEncryption},
        {"RSA", NULL, "SHA256", RSA_PKCS1_PSS_PADDING, 0x0804, NID_rsassaPss},
        {"RSA", NULL, "SHA384", RSA_PKCS1_PSS_PADDING, 0x0805, NID_rsassaPss},
        {"RSA", NULL, "SHA512", RSA_PKCS1_PSS_PADDING, 0x0806, NID_rsassaPss},
        {"ED25519", NULL, NULL, 0, 0x0807, NID_ED25519},
    };
    static const char *const names[] = {"www.example.com"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        struct key k = key_new(yes[i].type, yes[i].curve);
        AUTO_FREE uint8_t *info = NULL;
        AUTO_FREE char *pem = NULL;
        size_t info_len;
        uint8_t sig[512];
        struct err err = {.text = ""};

        assert_true(csr_build(k.spki, (size_t)k.spki_len, "CN=www.example.com,O=Acme", names, 1,
                              &info, &info_len, &err));
        size_t n = sign(&k, yes[i].digest, yes[i].padding, info, info_len, sig, sizeof(sig));
        if (!csr_finish(info, info_len, yes[i].scheme, sig, n, &pem, &err))
            fail_msg("0x%04x: %s", yes[i].scheme, err.text);
        X509_REQ *req = read_pem(pem);
        assert_int_equal(X509_REQ_verify(req, k.pkey), 1);
        assert_int_equal(X509_REQ_get_signature_nid(req), yes[i].nid);
        assert_int_equal(X509_REQ_get_version(req), 0);
        /* as OpenSSL itself would write it: nothing that only a lax reader takes */
        uint8_t *again = NULL;
        int again_len = i2d_re_X509_REQ_tbs(req, &again);
        assert_int_equal(again_len, info_len);
        assert_memory_equal(again, info, info_len);
        OPENSSL_free(again);
        X509_REQ_free(req);
        key_free(&k);
    }
}

static void wrong_signatures_are_not_handed_out(void **state)
{
    struct key k = key_new("EC", "P-256"), other = key_new("EC", "P-256");
    AUTO_FREE uint8_t *info = NULL;
    char *pem = NULL;
    size_t info_len;
    uint8_t sig[512];
    struct err err;

    (void)state;
    assert_true(csr_build(k.spki, (size_t)k.spki_len, "CN=a", NULL, 0, &info, &info_len, &err));
    size_t n = sign(&other, "SHA256", 0, info, info_len, sig, sizeof(sig));
    assert_false(csr_finish(info, info_len, 0x0403, sig, n, &pem, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    n = sign(&k, "SHA256", 0, info, info_len, sig, sizeof(sig));
    assert_false(csr_finish(info, info_len, 0x0503, sig, n, &pem, &err));
    assert_false(csr_finish(info, info_len - 1, 0x0403, sig, n, &pem, &err));
    assert_false(csr_finish(info, info_len, 0x0203, sig, n, &pem, &err)); /* ecdsa_sha1 */
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_null(pem);
    key_free(&k);
    key_free(&other);
}

static void names_of_a_request(void **state)
{
    static const struct {
        const char *subject;
        const char *names[4];
        const char *subject_line, *alt_names;
    } cases[] = {
        {"CN=www.example.com", {"www.example.com"}, "CN=www.example.com", "www.example.com"},
        {"CN=www.example.com", {NULL}, "CN=www.example.com", "www.example.com"},
        {"CN=www.example.com", {"a.example"}, "CN=www.example.com", "a.example"},
        {"CN=Acme CA client", {NULL}, "CN=Acme CA client", ""},
        {"", {"a.example", "*.B.example"}, "", "!a.example,*.b.example"},
        {"O=x",
         {"bücher.example", "xn--bcher-kva.example", "a.b"},
         "O=x",
         "xn--bcher-kva.example,a.b"},
    };
    struct key k = key_new("EC", "P-256");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_FREE uint8_t *info = NULL;
        AUTO_FREE char *pem = NULL;
        size_t info_len, count = 0;
        uint8_t sig[512];
        char text[256];
        struct err err = {.text = ""};

        while (cases[i].names[count])
            count++;
        if (!csr_build(k.spki, (size_t)k.spki_len, cases[i].subject, cases[i].names, count, &info,
                       &info_len, &err))
            fail_msg("case %zu: %s", i, err.text);
        size_t n = sign(&k, "SHA256", 0, info, info_len, sig, sizeof(sig));
        assert_true(csr_finish(info, info_len, 0x0403, sig, n, &pem, &err));
        X509_REQ *req = read_pem(pem);
        alt_names(req, text, sizeof(text));
        assert_string_equal(text, cases[i].alt_names);
        BIO *bio = BIO_new(BIO_s_mem());
        X509_NAME_print_ex(bio, X509_REQ_get_subject_name(req), 0,
                           XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ);
        int len = BIO_read(bio, text, sizeof(text) - 1);
        text[len > 0 ? len : 0] = '\0';
        assert_string_equal(text, cases[i].subject_line);
        BIO_free(bio);
        X509_REQ_free(req);
    }
    key_free(&k);
}

static void requests_that_are_refused(void **state)
{
    static const struct {
        const char *subject;
        const char *name;
        const char *why;
    } no[] = {
        {"", NULL, "a request without a name"},
        {"O=Acme", NULL, "a request without a name"},
        {"CN=a", "not a name", "\"not a name\" is no DNS name"},
        {"CN=a", "", "it is empty"},
        {"CN=a", "192.0.2.1", "IP address"},
        {"FOO=a", "a.example", "unknown attribute"},
        {"CN=12345678901234567890123456789012345678901234567890123456789012345", "a.example",
         "CN has 65 characters; 64 may be"},
    };
    uint8_t spki[] = {0x30, 0x00};

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        uint8_t *info = NULL;
        size_t len = 0;
        struct err err = {.text = ""};
        assert_false(csr_build(spki, sizeof(spki), no[i].subject, &no[i].name, no[i].name ? 1 : 0,
                               &info, &len, &err));
        assert_null(info);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        if (!strstr(err.text, no[i].why))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void as_many_names_as_may_be(void **state)
{
    static char text[CSR_NAMES_MAX + 1][64];
    static const char *names[CSR_NAMES_MAX + 1];
    struct key k = key_new("EC", "P-256");
    AUTO_FREE uint8_t *info = NULL;
    AUTO_FREE char *pem = NULL;
    size_t len;
    uint8_t sig[512];
    struct err err;

    (void)state;
    for (size_t i = 0; i <= CSR_NAMES_MAX; i++) {
        snprintf(text[i], sizeof(text[i]), "a-long-label-for-number-%zu.example.com", i);
        names[i] = text[i];
    }
    assert_false(
        csr_build(k.spki, (size_t)k.spki_len, "", names, CSR_NAMES_MAX + 1, &info, &len, &err));
    assert_string_equal(err.text, "257 names; a request may have 256");
    assert_true(csr_build(k.spki, (size_t)k.spki_len, "", names, CSR_NAMES_MAX, &info, &len, &err));
    size_t n = sign(&k, "SHA256", 0, info, len, sig, sizeof(sig));
    assert_true(csr_finish(info, len, 0x0403, sig, n, &pem, &err));
    key_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_verifies),
        cmocka_unit_test(wrong_signatures_are_not_handed_out),
        cmocka_unit_test(names_of_a_request),
        cmocka_unit_test(requests_that_are_refused),
        cmocka_unit_test(as_many_names_as_may_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
