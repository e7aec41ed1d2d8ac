/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "proto/scheme.h"
#include "proto/x509/csr.h"

#include "proto/base/mem.h"

#define V(x) KEYD__V1__ENVELOPE__BODY_##x

static Keyd__V1__CreateCsr csr_for(const char *key, const char *subject)
{
    Keyd__V1__CreateCsr body = KEYD__V1__CREATE_CSR__INIT;

    body.key = (char *)key;
    body.subject = (char *)subject;
    return body;
}

static X509_REQ *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(req);
    return req;
}

static void requests_of_each_type(void **state)
{
    static const struct {
        enum key_type type;
        int nid;
    } types[] = {
        {KEY_TYPE_RSA_2048, NID_sha256WithRSAEncryption},
        {KEY_TYPE_EC_P256, NID_ecdsa_with_SHA256},
        {KEY_TYPE_EC_P384, NID_ecdsa_with_SHA384},
        {KEY_TYPE_ED25519, NID_ED25519},
    };
    char *san[] = {(char *)"www.example.com", (char *)"*.example.com"};
    Keyd__V1__CreateCsr body = csr_for("acme/k", "CN=www.example.com");
    REQUEST(e, CREATE_CSR, create_csr, &body);
    char key[80];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    body.key = key;
    body.san = san;
    body.n_san = 2;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *name = key_type_info(types[i].type)->name;
        const Keyd__V1__Key *k = rig_generate("acme", name, types[i].type, 0);
        AUTO_FREE uint8_t *spki = mem_dup(k->spki.data, k->spki.len);
        size_t spki_len = k->spki.len;
        snprintf(key, sizeof(key), "acme/%s", name);
        for (int twice = 0; twice < 2; twice++) {
            const envelope *a = rig_call(&e, KEYD__V1__ENVELOPE__BODY_CREATE_CSR_REPLY);
            X509_REQ *req = read_pem(a->create_csr_reply->pem);
            assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
            assert_int_equal(X509_REQ_get_signature_nid(req), types[i].nid);
            uint8_t *its = NULL;
            int len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &its);
            assert_int_equal(len, spki_len);
            assert_memory_equal(its, spki, spki_len);
            OPENSSL_free(its);
            X509_REQ_free(req);
        }
    }
    rig_stop();
    /* a custodian that did not make the key proves it first */
    rig_serve();
    const envelope *a = rig_call(&e, KEYD__V1__ENVELOPE__BODY_CREATE_CSR_REPLY);
    X509_REQ *req = read_pem(a->create_csr_reply->pem);
    assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
    X509_REQ_free(req);
    rig_stop();
}

static void requests_that_are_refused(void **state)
{
    static const struct {
        const char *key, *subject, *san;
        enum err_code code;
        const char *word;
    } no[] = {
        {"acme/ftp", "CN=a", NULL, ERR_NOT_FOUND, "the tenant acme has no key ftp"},
        {"www", "CN=a", NULL, ERR_BAD_REQUEST, "names no key"},
        {"acme/www", "", NULL, ERR_BAD_REQUEST, "a request without a name"},
        {"acme/www", "FOO=a", NULL, ERR_BAD_REQUEST, "unknown attribute"},
        {"acme/www", "CN=a", "not a name", ERR_BAD_REQUEST, "\"not a name\" is no DNS name"},
        {"acme/tls", "CN=a", NULL, ERR_BAD_SHAPE, "its purposes: tls13-server"},
    };

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig_generate("acme", "tls", KEY_TYPE_EC_P256, PURPOSE_TLS13_SERVER);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        Keyd__V1__CreateCsr body = csr_for(no[i].key, no[i].subject);
        char *san[] = {(char *)no[i].san};
        REQUEST(e, CREATE_CSR, create_csr, &body);
        body.san = san;
        body.n_san = no[i].san ? 1 : 0;
        rig_refused(&e, no[i].code, no[i].word);
    }
    rig_stop();
}

/* ---- Sign: the client has built the request */

struct sign_case {
    Keyd__V1__Sign body;
    uint8_t id[KEY_ID_LEN];
};

static void sign_of(struct sign_case *s, const uint8_t id[KEY_ID_LEN], uint32_t scheme,
                    uint8_t *message, size_t len)
{
    s->body = (Keyd__V1__Sign)KEYD__V1__SIGN__INIT;
    memcpy(s->id, id, KEY_ID_LEN);
    s->body.key_id = (ProtobufCBinaryData){.len = KEY_ID_LEN, .data = s->id};
    s->body.scheme = scheme;
    s->body.message = (ProtobufCBinaryData){.len = len, .data = message};
}

static void signed_and_refused(void **state)
{
    AUTO_FREE uint8_t *info = NULL;
    AUTO_FREE char *pem = NULL;
    uint8_t id[KEY_ID_LEN], other[KEY_ID_LEN], tls13[130];
    size_t len;
    struct sign_case s;
    struct err err;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__Key *k = rig_generate("acme", "other", KEY_TYPE_EC_P256, 0);
    memcpy(other, k->id.data, KEY_ID_LEN);
    k = rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    memcpy(id, k->id.data, KEY_ID_LEN);
    must(csr_build(k->spki.data, k->spki.len, "CN=a.example", NULL, 0, &info, &len, &err), &err);

    sign_of(&s, id, 0x0403, info, len);
    REQUEST(e, SIGN, sign, &s.body);
    const Keyd__V1__SignReply *r = rig_call(&e, KEYD__V1__ENVELOPE__BODY_SIGN_REPLY)->sign_reply;
    must(csr_finish(info, len, 0x0403, r->signature.data, r->signature.len, &pem, &err), &err);

    s.body.scheme = 0x0603; /* another hash on the same curve: as in TLS 1.2 */
    rig_call(&e, KEYD__V1__ENVELOPE__BODY_SIGN_REPLY);
    s.body.scheme = 0x0804;
    rig_refused(&e, ERR_BAD_SCHEME, "rsa_pss_rsae_sha256");
    s.body.scheme = 0x0201;
    rig_refused(&e, ERR_BAD_SCHEME, "0x0201 is no signature scheme");
    sign_of(&s, other, 0x0403, info, len);
    rig_refused(&e, ERR_BAD_SHAPE, "for another public key");
    sign_of(&s, id, 0x0403, info, len - 1);
    rig_refused(&e, ERR_BAD_SHAPE, "not one whole DER CertificationRequestInfo");
    sign_of(&s, id, 0x0403, info, 32);
    rig_refused(&e, ERR_BAD_SHAPE, "a message of 32 bytes");
    sign_of(&s, id, 0x0403, info, 0);
    rig_refused(&e, ERR_BAD_SHAPE, "a message of 0 bytes");
    /* what frontends may have signed is nothing for this door */
    memset(tls13, 0x20, 64);
    memcpy(tls13 + 64, "TLS 1.3, server CertificateVerify", 34);
    memset(tls13 + 98, 7, 32);
    sign_of(&s, id, 0x0403, tls13, sizeof(tls13));
    rig_refused(&e, ERR_BAD_SHAPE, "not one whole DER");
    id[0] ^= 1;
    sign_of(&s, id, 0x0403, info, len);
    rig_refused(&e, ERR_NOT_FOUND, "no key has the id");
    s.body.key_id.len = 31;
    rig_refused(&e, ERR_BAD_REQUEST, "a key id of 31 bytes; it has 32");
    rig_stop();
}

/* ---- allowed names, raw */

/* Makes a key that may ask for these names alone; its id and SPKI are in the answer. */
static const Keyd__V1__Key *generate_for(const char *name, char **names, size_t count)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);

    body.tenant = (char *)"acme";
    body.name = (char *)name;
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    body.allowed_names = names;
    body.n_allowed_names = count;
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY)->keys_generate_reply->key;
}

static void only_allowed_names(void **state)
{
    char *names[] = {(char *)"WWW.example.com", (char *)"m\xc3\xbcller.example",
                     (char *)".example.org", (char *)"www.example.com"};
    char *good[] = {(char *)"www.example.com", (char *)"a.b.example.org"};
    char *bad[] = {(char *)"www.example.com", (char *)"example.org"};
    Keyd__V1__CreateCsr body = csr_for("acme/www", "CN=www.example.com");
    REQUEST(e, CREATE_CSR, create_csr, &body);
    AUTO_FREE uint8_t *info = NULL;
    struct sign_case s;
    struct err err;
    size_t len;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    generate_for("www", names, 4);
    rig_stop();
    rig_serve(); /* they are in the registry */
    const Keyd__V1__Key *k = rig_show("acme/www");
    assert_int_equal(k->n_allowed_names, 3);
    assert_string_equal(k->allowed_names[0], "www.example.com");
    assert_string_equal(k->allowed_names[1], "xn--mller-kva.example");
    assert_string_equal(k->allowed_names[2], ".example.org");
    must(csr_build(k->spki.data, k->spki.len, "CN=evil.test", NULL, 0, &info, &len, &err), &err);
    sign_of(&s, k->id.data, 0x0403, info, len);
    body.n_san = 2;
    body.san = good;
    rig_call(&e, KEYD__V1__ENVELOPE__BODY_CREATE_CSR_REPLY);
    body.san = bad;
    rig_refused(&e, ERR_BAD_SHAPE, "for \"example.org\", which this key may not ask for");
    body.san = good;
    body.subject = (char *)"CN=evil.test";
    rig_refused(&e, ERR_BAD_SHAPE, "a CN of 9 bytes that this key may not ask for");
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &s.body;
    rig_refused(&e, ERR_BAD_SHAPE, "a CN of 9 bytes that this key may not ask for");
    rig_stop();
}

/* ---- explain: the names, behind what the gate has judged */

static void explained(Keyd__V1__Explain *body, bool signs, const char *names, const char *why)
{
    REQUEST(e, EXPLAIN, explain, body);
    const Keyd__V1__ExplainReply *r = rig_call(&e, V(EXPLAIN_REPLY))->explain_reply;
    size_t own = names ? 1 : 0;

    assert_int_equal(r->signs, signs);
    assert_int_equal(r->n_steps, body->n_judged + own);
    for (size_t i = 0; i < body->n_judged; i++) {
        assert_string_equal(r->steps[i]->what, body->judged[i]->what);
        assert_string_equal(r->steps[i]->why, body->judged[i]->why);
        assert_int_equal(r->steps[i]->passes, body->judged[i]->passes);
    }
    if (!names)
        return;
    assert_string_equal(r->steps[body->n_judged]->what, "names");
    assert_int_equal(r->steps[body->n_judged]->passes, *names == '+');
    assert_non_null(strstr(r->steps[body->n_judged]->why, why));
}

static void explained_names(void **state)
{
    char *names[] = {(char *)"www.example.com"};
    Keyd__V1__ExplainStep role = KEYD__V1__EXPLAIN_STEP__INIT, *judged[] = {&role};
    Keyd__V1__Explain body = KEYD__V1__EXPLAIN__INIT;
    static const struct {
        const char *subject, *names, *why;
    } rows[] = {
        {"CN=www.example.com", "+", "among those that the key may ask for"},
        {"CN=evil.test", "-", "a CN of 9 bytes that this key may not ask for"},
    };
    struct err err;

    (void)state;
    role.what = (char *)"role";
    role.why = (char *)"the operator may";
    body.judged = judged;
    body.n_judged = 1;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__Key *k = generate_for("www", names, 1);
    AUTO_FREE uint8_t *spki = mem_dup(k->spki.data, k->spki.len);
    size_t spki_len = k->spki.len;
    body.key = (char *)"acme/www";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO_FREE uint8_t *info = NULL;
        size_t len;

        must(csr_build(spki, spki_len, rows[i].subject, NULL, 0, &info, &len, &err), &err);
        body.message = (ProtobufCBinaryData){.len = len, .data = info};
        role.passes = true;
        explained(&body, rows[i].names[0] == '+', rows[i].names, rows[i].why);
        role.passes = false;
        explained(&body, false, rows[i].names, rows[i].why);
        body.message.len--; /* is no request: there are no names to judge */
        explained(&body, false, NULL, NULL);
    }
    AUTO_FREE uint8_t *info = NULL;
    k = rig_generate("acme", "free", KEY_TYPE_EC_P256, 0);
    must(csr_build(k->spki.data, k->spki.len, "CN=evil.test", NULL, 0, &info, &body.message.len,
                   &err),
         &err);
    body.message.data = info;
    body.key = (char *)"acme/free";
    role.passes = true;
    explained(&body, true, "+", "may ask for any");
    rig_stop();
}

static void names_that_are_none(void **state)
{
    static const char *const no[] = {"", ".", "*", "*.", "*.com", ".*.example.com", "a b", "..a"};
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);
    char *many[101], *one[1];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    body.tenant = (char *)"acme";
    body.name = (char *)"www";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    body.allowed_names = one;
    body.n_allowed_names = 1;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        one[0] = (char *)no[i];
        rig_refused(&e, ERR_BAD_REQUEST, "is no DNS name that a key may be allowed");
    }
    for (size_t i = 0; i < 101; i++)
        many[i] = (char *)"www.example.com";
    body.allowed_names = many;
    body.n_allowed_names = 101;
    rig_refused(&e, ERR_BAD_REQUEST, "101 allowed names; a key may have 100");
    body.n_allowed_names = 1;
    body.purposes = PURPOSE_TLS13_SERVER;
    rig_refused(&e, ERR_BAD_REQUEST, "for a key that signs no certificate requests");
    assert_int_equal(rig_private_keys(), 0);
    rig_stop();
}

/* Anything, for operators; and the same key signs nothing for anyone else. */
static void raw_keys(void **state)
{
    uint8_t digest[32] = {7}, id[KEY_ID_LEN];
    Keyd__V1__CreateCsr body = csr_for("acme/raw", "CN=a.example");
    struct sign_case s;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__Key *k = rig_generate("acme", "raw", KEY_TYPE_EC_P256, PURPOSE_RAW);
    memcpy(id, k->id.data, KEY_ID_LEN);
    EVP_PKEY *key = NULL;
    const uint8_t *at = k->spki.data;
    assert_non_null(d2i_PUBKEY(&key, &at, (long)k->spki.len));
    sign_of(&s, id, 0x0403, digest, sizeof(digest));
    REQUEST(e, SIGN, sign, &s.body);
    const Keyd__V1__SignReply *r = rig_call(&e, KEYD__V1__ENVELOPE__BODY_SIGN_REPLY)->sign_reply;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(md, r->signature.data, r->signature.len, digest, 32), 1);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    s.body.scheme = 0x0401;
    rig_refused(&e, ERR_BAD_SCHEME, "does not fit a key of type ec-p256 for raw");
    s.body.scheme = 0x0403;
    rig_ask(&e, ROLE_FRONTEND, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_ERROR);
    assert_int_equal(rig.answer->error->code, ERR_DENIED);
    e.body_case = KEYD__V1__ENVELOPE__BODY_CREATE_CSR;
    e.create_csr = &body;
    rig_refused(&e, ERR_BAD_SHAPE, "its purposes: raw");
    rig_stop();
}

/* Sign is a verb of frontends as well, but certificate requests are none of their purposes. */
static void not_for_frontends(void **state)
{
    AUTO_FREE uint8_t *info = NULL;
    size_t len;
    struct sign_case s;
    struct err err;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__Key *k = rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    must(csr_build(k->spki.data, k->spki.len, "CN=a.example", NULL, 0, &info, &len, &err), &err);
    sign_of(&s, k->id.data, 0x0403, info, len);
    REQUEST(e, SIGN, sign, &s.body);
    rig_ask(&e, ROLE_FRONTEND, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_ERROR);
    assert_int_equal(rig.answer->error->code, ERR_DENIED);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(requests_of_each_type), RIG_TEST(requests_that_are_refused),
        RIG_TEST(signed_and_refused),    RIG_TEST(only_allowed_names),
        RIG_TEST(names_that_are_none),   RIG_TEST(raw_keys),
        RIG_TEST(not_for_frontends),     RIG_TEST(explained_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
