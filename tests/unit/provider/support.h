/* SPDX-License-Identifier: Apache-2.0
 *
 * support: what the provider's tests share: keys in software with certificates and references, a
 * fake keyd that holds them, and a library context that loads keyd.so by an openssl.cnf as a
 * program would.
 */
#ifndef KEYD_TESTS_PROVIDER_SUPPORT_H
#define KEYD_TESTS_PROVIDER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tests/unit/fake/fake_keyd.h"

enum { RSA_KEY, PSS_KEY, P256_KEY, P384_KEY, ED25519_KEY, TEST_KEYS };

struct test_key {
    const char *name; /* also of its files: NAME.ref.pem, NAME.key.pem, NAME.crt */
    EVP_PKEY *key;    /* in software, in the default library context */
    X509 *cert;       /* self-signed */
    uint8_t *spki;
    size_t spki_len;
    char *ref; /* PEM of the key reference */
};

struct world {
    char dir[64];
    char conf[128]; /* path of the openssl.cnf */
    struct test_key keys[TEST_KEYS];
    struct fake_keyd fake;
    OSSL_LIB_CTX *ctx; /* has default and keyd providers */
};

/* For cmocka_run_group_tests: makes the one world, its keyd running, and takes it down. */
int world_setup(void **state);
/* See world_setup. */
int world_teardown(void **state);

/* For cmocka_unit_test_setup_teardown: keyd up, counts and orders at zero, error queue empty; after
 * the test the queue must be empty again. */
int fresh_setup(void **state);
/* See fresh_setup. */
int fresh_teardown(void **state);

/* A test with these two around it. */
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_setup, fresh_teardown)

/* Writes an openssl.cnf with keyd.so and these lines in its section. */
void write_conf(const char *path, const char *lines);

/* The key in a PEM text, as a server loads it; NULL with errors on the queue. */
EVP_PKEY *load_pem(OSSL_LIB_CTX *ctx, const char *pem);

/* The first private key in a PEM text by OSSL_STORE, as the openssl tool loads it; NULL without. */
EVP_PKEY *load_store(OSSL_LIB_CTX *ctx, const char *pem);

/* The reference of keys[i], loaded; never NULL. */
EVP_PKEY *load_ref(struct world *w, int i);

/* The certificate of keys[i] in the world's library context. Freed by the caller. */
X509 *load_cert(struct world *w, int i);

/* PEM of things; freed with OPENSSL_free. */
char *pem_of_key(EVP_PKEY *key);
/* See pem_of_key. */
char *pem_of_cert(X509 *cert);

/* DER as PEM with that label; freed with OPENSSL_free. */
char *pem_of_der(const char *label, const uint8_t *der, size_t len);

/* Asserts that the queue holds an error of ours with this reason string, and only one of ours;
 * empties the queue. */
void assert_reason(const char *reason);

/* Asserts that nothing is on the queue. */
void assert_quiet(void);

#endif
