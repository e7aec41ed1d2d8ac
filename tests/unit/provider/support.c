/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/provider/support.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/libkeyd/keyd.h"

static EVP_PKEY *generate(int i)
{
    switch (i) {
    case RSA_KEY:
        return EVP_RSA_gen(2048);
    case PSS_KEY: {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
        EVP_PKEY *key = NULL;

        assert_true(EVP_PKEY_keygen_init(ctx) > 0 &&
                    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) > 0 &&
                    EVP_PKEY_generate(ctx, &key) > 0);
        EVP_PKEY_CTX_free(ctx);
        return key;
    }
    case P256_KEY:
        return EVP_EC_gen("P-256");
    case P384_KEY:
        return EVP_EC_gen("P-384");
    default:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
}

static X509 *self_signed(EVP_PKEY *key, const char *cn)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    bool digest = !EVP_PKEY_is_a(key, "ED25519");

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(ca && X509_add_ext(cert, ca, -1));
    X509_EXTENSION_free(ca);
    assert_true(X509_sign(cert, key, digest ? EVP_sha256() : NULL) > 0);
    return cert;
}

static char *text_of(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = OPENSSL_strndup(data, (size_t)n);

    BIO_free(bio);
    return text;
}

char *pem_of_key(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    return text_of(bio);
}

char *pem_of_cert(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_true(PEM_write_bio_X509(bio, cert));
    return text_of(bio);
}

char *pem_of_der(const char *label, const uint8_t *der, size_t len)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_true(PEM_write_bio(bio, label, "", der, (long)len) > 0);
    return text_of(bio);
}

static void write_file(const struct world *w, const char *name, const char *ending,
                       const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s%s", w->dir, name, ending);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void make_key(struct world *w, int i)
{
    static const char *const names[] = {"rsa", "pss", "p256", "p384", "ed25519"};
    struct test_key *k = &w->keys[i];
    struct keyd_error error;

    k->name = names[i];
    k->key = generate(i);
    assert_non_null(k->key);
    k->cert = self_signed(k->key, "server.test");
    k->spki_len = (size_t)i2d_PUBKEY(k->key, &k->spki);
    assert_int_equal(keyd_ref_encode(k->spki, k->spki_len, &k->ref, &error), KEYD_OK);

    char *key = pem_of_key(k->key), *cert = pem_of_cert(k->cert);
    write_file(w, k->name, ".key.pem", key);
    write_file(w, k->name, ".crt", cert);
    write_file(w, k->name, ".ref.pem", k->ref);
    OPENSSL_free(key);
    OPENSSL_free(cert);
}

void write_conf(const char *path, const char *lines)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fprintf(f,
            "openssl_conf = init\n[init]\nproviders = list\n"
            "[list]\ndefault = the_default\nkeyd = the_keyd\n"
            "[the_default]\nactivate = 1\n"
            "[the_keyd]\nmodule = %s\n%sactivate = 1\n"
            "[req]\ndistinguished_name = dn\n[dn]\n",
            KEYD_SO, lines);
    assert_int_equal(fclose(f), 0);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    const char *tmp = getenv("TMPDIR");
    EVP_PKEY *keys[TEST_KEYS];
    char path[128], lines[256];

    snprintf(w->dir, sizeof(w->dir), "%s/keyd-prov-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    for (int i = 0; i < TEST_KEYS; i++) {
        make_key(w, i);
        keys[i] = w->keys[i].key;
    }
    snprintf(path, sizeof(path), "%s/keyd.sock", w->dir);
    fake_init(&w->fake, path, keys, TEST_KEYS);
    snprintf(lines, sizeof(lines), "socket = %s\ndeadline_ms = 1500\n", path);
    snprintf(w->conf, sizeof(w->conf), "%s/openssl.cnf", w->dir);
    write_conf(w->conf, lines);
    w->ctx = OSSL_LIB_CTX_new();
    assert_true(OSSL_LIB_CTX_load_config(w->ctx, w->conf));
    assert_true(OSSL_PROVIDER_available(w->ctx, "keyd"));
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    char command[128];

    fake_done(&w->fake);
    OSSL_LIB_CTX_free(w->ctx);
    for (int i = 0; i < TEST_KEYS; i++) {
        struct test_key *k = &w->keys[i];

        EVP_PKEY_free(k->key);
        X509_free(k->cert);
        OPENSSL_free(k->spki);
        keyd_free(k->ref);
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

int fresh_setup(void **state)
{
    struct world *w = *state;
    struct fake_shared *s = w->fake.shared;

    if (!w->fake.pid)
        fake_start(&w->fake);
    atomic_store(&s->connections, 0);
    atomic_store(&s->signs, 0);
    atomic_store(&s->busy_left, 0);
    atomic_store(&s->fail_code, 0);
    atomic_store(&s->garbage, false);
    atomic_store(&s->silent, false);
    ERR_clear_error();
    return 0;
}

int fresh_teardown(void **state)
{
    (void)state;
    return ERR_peek_error() == 0 ? 0 : -1;
}

EVP_PKEY *load_pem(OSSL_LIB_CTX *ctx, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, ctx, NULL);

    BIO_free(bio);
    return key;
}

EVP_PKEY *load_store(OSSL_LIB_CTX *ctx, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    OSSL_STORE_CTX *store = OSSL_STORE_attach(bio, "file", ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    EVP_PKEY *key = NULL;

    assert_non_null(store);
    OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    while (!key && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (!info)
            break;
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    BIO_free(bio);
    return key;
}

EVP_PKEY *load_ref(struct world *w, int i)
{
    EVP_PKEY *key = load_pem(w->ctx, w->keys[i].ref);

    assert_non_null(key);
    return key;
}

X509 *load_cert(struct world *w, int i)
{
    X509 *cert = X509_new_ex(w->ctx, NULL);
    char *pem = pem_of_cert(w->keys[i].cert);
    BIO *bio = BIO_new_mem_buf(pem, -1);

    assert_non_null(PEM_read_bio_X509(bio, &cert, NULL, NULL));
    BIO_free(bio);
    OPENSSL_free(pem);
    return cert;
}

void assert_reason(const char *reason)
{
    unsigned long code;
    unsigned ours = 0;
    const char *lib, *text;

    while ((code = ERR_get_error())) {
        lib = ERR_lib_error_string(code);
        if (!lib || strcmp(lib, "keyd") != 0)
            continue;
        ours++;
        text = ERR_reason_error_string(code);
        assert_non_null(text);
        assert_string_equal(text, reason);
    }
    assert_int_equal(ours, 1);
}

void assert_quiet(void)
{
    unsigned long code = ERR_peek_error();

    if (code)
        ERR_print_errors_fp(stderr);
    assert_int_equal(code, 0);
}
