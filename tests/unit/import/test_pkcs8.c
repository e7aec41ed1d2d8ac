/* SPDX-License-Identifier: Apache-2.0
 *
 * clients/libkeyd/pkcs8.c, which libkeyd.so hides: what it reads, what it names instead, and that
 * no bytes whatever make it do anything else.
 */
#include "clients/libkeyd/pkcs8.h"

#include "proto/import.h"
#include "tests/unit/import/wrapper.h"
#include "tests/unit/test.h"

static void reads(const struct sample *s, const uint8_t *p, size_t n, enum key_type type)
{
    struct own_key k;
    uint8_t sig[1024];
    size_t len = sizeof(sig);
    struct err err;

    if (!own_key_read(&k, p, n, &err))
        fail_msg("%s: %s", key_type_info(type)->name, err.text);
    assert_int_equal(k.type, type);
    assert_int_equal(k.spki_len, s->spki_len);
    assert_memory_equal(k.spki, s->spki, s->spki_len);
    assert_true(own_key_sign(&k, scheme_for_type(type), (const uint8_t *)"m", 1, sig, &len, &err));
    own_key_free(&k);
    own_key_free(&k); /* an empty one is fine */
}

static void refuses(const uint8_t *p, size_t n, enum err_code code, const char *words)
{
    struct own_key k = {.type = KEY_TYPE_NONE};
    struct err err;

    if (own_key_read(&k, p, n, &err))
        fail_msg("expected \"%s\", but it was read", words);
    if (err.code != code)
        fail_msg("expected %s, got %s: %s", err_name(code), err_name(err.code), err.text);
    assert_contains(err.text, words);
    assert_null(k.pkey);
}

static void what_it_reads(void **state)
{
    (void)state;
    for (int t = KEY_TYPE_NONE + 1; t < KEY_TYPE_COUNT; t++) {
        struct sample *s = sample_new(key_type_info((enum key_type)t)->name);

        reads(s, s->pkcs8, s->pkcs8_len, (enum key_type)t);
        sample_free(s);
    }
}

/* A P-256 key without the point and with the curve named inside once more; Ed25519 as RFC 5958
 * version 2, with its public half; attributes behind the key. */
static void other_ways_to_write_them(void **state)
{
    struct sample *s = sample_new("ec-p256"), *e = sample_new("ed25519");
    uint8_t p[256] = {0};

    (void)state;
    /* SEQUENCE { 0, { ecPublicKey, P-256 }, OCTETS { SEQUENCE { 1, OCTETS d } } } */
    static const uint8_t head[] = {0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07,
                                   0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
                                   0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04,
                                   0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20};
    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), s->pkcs8 + 36, 32); /* as OpenSSL writes it */
    reads(s, p, sizeof(head) + 32, KEY_TYPE_EC_P256);
    /* an attribute set behind it: [0] { } */
    memcpy(p + sizeof(head) + 32, "\xa0\x00", 2);
    p[1] += 2;
    reads(s, p, sizeof(head) + 34, KEY_TYPE_EC_P256);
    /* version 1, [1] public key */
    memcpy(p, e->pkcs8, e->pkcs8_len);
    p[1] = (uint8_t)(p[1] + 35);
    p[4] = 1;
    memcpy(p + e->pkcs8_len, "\x81\x21\x00", 3);
    memcpy(p + e->pkcs8_len + 3, e->spki + 12, 32);
    reads(e, p, e->pkcs8_len + 35, KEY_TYPE_ED25519);
    sample_free(s);
    sample_free(e);
}

static void what_it_names(void **state)
{
    static const struct {
        const char *type, *words;
    } cases[] = {
        {"rsa-1024", "this is an RSA key of 1024 bits"},
        {"rsa-2056", "this is an RSA key of 2056 bits"},
        {"ec-P-521", "this is a key on the curve secp521r1"},
        {"ec-P-224", "this is a key on the curve secp224r1"},
        {"ec-secp256k1", "this is a key on the curve secp256k1"},
        {"ED448", "this is a key of the type ED448"},
        {"X25519", "this is a key of the type X25519"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sample *s = sample_new(cases[i].type);

        refuses(s->pkcs8, s->pkcs8_len, ERR_UNSUPPORTED, cases[i].words);
        sample_free(s);
    }
}

static void what_is_none(void **state)
{
    struct sample *s = sample_new("ec-p384");
    uint8_t longer[IMPORT_PKCS8_MAX];

    (void)state;
    refuses(s->pkcs8, 0, ERR_BAD_REQUEST, "no private key");
    refuses(s->spki, s->spki_len, ERR_BAD_REQUEST, "no private key");
    memcpy(longer, s->pkcs8, s->pkcs8_len);
    longer[s->pkcs8_len] = 0;
    refuses(longer, s->pkcs8_len + 1, ERR_BAD_REQUEST, "no private key");
    for (size_t n = 0; n < s->pkcs8_len; n++)
        refuses(s->pkcs8, n, ERR_BAD_REQUEST, "no private key");
    /* the number 0, and the order of the curve and more */
    memcpy(longer, s->pkcs8, s->pkcs8_len);
    memset(longer + 35, 0, 48);
    refuses(longer, s->pkcs8_len, ERR_BAD_REQUEST, "the number of this ec-p384 key");
    memset(longer + 35, 0xff, 48);
    refuses(longer, s->pkcs8_len, ERR_BAD_REQUEST, "the number of this ec-p384 key");
    sample_free(s);
}

/* The private half of one key with the public half of another: seen before it is sent. */
static void halves_of_two_keys(void **state)
{
    struct sample *a = sample_new("rsa-2048");
    uint8_t mixed[IMPORT_PKCS8_MAX], sig[1024];
    struct own_key k;
    size_t len = sizeof(sig);
    struct err err;

    (void)state;
    memcpy(mixed, a->pkcs8, a->pkcs8_len);
    mixed[a->pkcs8_len / 2 + 100] ^= 0x10; /* in one of the primes or exponents */
    mixed[300] ^= 0x10;                    /* in d */
    mixed[a->pkcs8_len - 5] ^= 0x10;       /* in the coefficient */
    mixed[60] ^= 1;                        /* in n */
    if (own_key_read(&k, mixed, a->pkcs8_len, &err)) {
        assert_false(
            own_key_sign(&k, scheme_for_type(k.type), (const uint8_t *)"m", 1, sig, &len, &err));
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        assert_contains(err.text, "do not fit");
        own_key_free(&k);
    }
    sample_free(a);
}

/* Every byte of a small key turned in a few ways: refused, or read as something that signs. */
static void any_byte_changed(void **state)
{
    static const char *const types[] = {"ec-p256", "ed25519"};

    (void)state;
    for (size_t t = 0; t < COUNT(types); t++) {
        struct sample *s = sample_new(types[t]);

        for (size_t i = 0; i < s->pkcs8_len; i++) {
            for (unsigned bit = 0; bit < 8; bit += 3) {
                struct own_key k;
                struct err err;

                s->pkcs8[i] ^= (uint8_t)(1u << bit);
                if (own_key_read(&k, s->pkcs8, s->pkcs8_len, &err)) {
                    assert_non_null(k.pkey);
                    own_key_free(&k);
                } else {
                    assert_true(err.code == ERR_BAD_REQUEST || err.code == ERR_UNSUPPORTED);
                }
                s->pkcs8[i] ^= (uint8_t)(1u << bit);
            }
        }
        sample_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_reads),      cmocka_unit_test(other_ways_to_write_them),
        cmocka_unit_test(what_it_names),      cmocka_unit_test(what_is_none),
        cmocka_unit_test(halves_of_two_keys), cmocka_unit_test(any_byte_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
