/* SPDX-License-Identifier: Apache-2.0
 *
 * What an encrypted file asks for, read before it is done. The ciphers themselves are in
 * test_keyfile.c, as openssl writes them.
 */
#include "clients/keydctl/keyfile/crypt.h"

#include <stdio.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "proto/base/clock.h"
#include "proto/x509/der.h"
#include "tests/unit/keydctl/keyfile/fixture.h"

#define PBES2    "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"
#define PBKDF2   "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
#define SCRYPT   "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"
#define AES256   "\x60\x86\x48\x01\x65\x03\x04\x01\x2a"
#define SHA_3DES "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03"
#define NOBODYS  "\x2a\x03\x04"

struct ask {
    const char *kdf; /* NULL: PBES1 */
    const char *cipher;
    uint64_t numbers[3]; /* iterations; or N, r, p */
    size_t count;
};

static void put_oid(struct der_out *o, const char *oid)
{
    der_value(o, TAG_OID, oid, strlen(oid));
}

static void put_number(struct der_out *o, uint64_t n)
{
    const uint8_t *inner = der_mark(o);
    uint8_t byte;

    do {
        byte = (uint8_t)n;
        der_raw(o, &byte, 1);
        n >>= 8;
    } while (n || byte & 0x80);
    der_wrap(o, TAG_INTEGER, inner);
}

/* salt and numbers */
static void put_params(struct der_out *o, const struct ask *a)
{
    const uint8_t *inner = der_mark(o);

    for (size_t i = a->count; i-- > 0;)
        put_number(o, a->numbers[i]);
    der_value(o, TAG_OCTETS, "saltsalt", 8);
    der_wrap(o, TAG_SEQUENCE, inner);
}

static struct rd make(const struct ask *a)
{
    static uint8_t room[512];
    struct der_out o = der_out_of(room, sizeof(room));
    const uint8_t *all = der_mark(&o), *inner;

    der_value(&o, TAG_OCTETS, "0123456789abcdef", 16);
    const uint8_t *algorithm = der_mark(&o);
    if (a->kdf) {
        const uint8_t *params = inner = der_mark(&o);
        der_value(&o, TAG_OCTETS, "0123456789abcdef", 16);
        put_oid(&o, a->cipher);
        der_wrap(&o, TAG_SEQUENCE, inner);
        inner = der_mark(&o);
        put_params(&o, a);
        put_oid(&o, a->kdf);
        der_wrap(&o, TAG_SEQUENCE, inner);
        der_wrap(&o, TAG_SEQUENCE, params);
        put_oid(&o, PBES2);
    } else {
        put_params(&o, a);
        put_oid(&o, a->cipher);
    }
    der_wrap(&o, TAG_SEQUENCE, algorithm);
    der_wrap(&o, TAG_SEQUENCE, all);
    assert_false(o.failed);
    return (struct rd){.at = o.at, .end = o.end};
}

static void test_asked(void **state)
{
    static const struct {
        struct ask ask;
        enum err_code code; /* ERR_DENIED: it was tried */
        const char *text;
    } rows[] = {
        {{PBKDF2, AES256, {1}, 1}, ERR_DENIED, "wrong"},
        {{PBKDF2, AES256, {1000}, 1}, ERR_DENIED, "wrong"},
        {{PBKDF2, AES256, {1001}, 1}, ERR_UNSUPPORTED, "hashed 1001 times, at most 1000"},
        {{PBKDF2, AES256, {UINT32_MAX}, 1}, ERR_UNSUPPORTED, "hashed 4294967295 times"},
        {{PBKDF2, AES256, {1ULL << 40}, 1}, ERR_BAD_REQUEST, "damaged"},
        {{PBKDF2, AES256, {0}, 1}, ERR_BAD_REQUEST, "damaged"},
        {{PBKDF2, AES256, {0}, 0}, ERR_BAD_REQUEST, "damaged"},
        {{PBKDF2, NOBODYS, {1}, 1}, ERR_UNSUPPORTED, "encrypted with 1.2.3.4"},
        {{NOBODYS, AES256, {1}, 1}, ERR_UNSUPPORTED, "encrypted with 1.2.3.4"},
        {{SCRYPT, AES256, {16, 8, 1}, 3}, ERR_DENIED, "wrong"},
        {{SCRYPT, AES256, {16, 8, 8}, 3}, ERR_UNSUPPORTED, "hashed 1024 times"},
        {{SCRYPT, AES256, {1 << 20, 8, 1}, 3}, ERR_UNSUPPORTED, "more than 32 MiB"},
        {{SCRYPT, AES256, {UINT32_MAX, UINT32_MAX, 1}, 3}, ERR_UNSUPPORTED, "more than 32 MiB"},
        {{SCRYPT, AES256, {2, 1, UINT32_MAX}, 3}, ERR_UNSUPPORTED, "hashed 8589934590 times"},
        {{SCRYPT, AES256, {16, 0, 1}, 3}, ERR_BAD_REQUEST, "damaged"},
        {{SCRYPT, AES256, {16, 8}, 2}, ERR_BAD_REQUEST, "damaged"},
        {{NULL, SHA_3DES, {1000}, 1}, ERR_DENIED, "wrong"},
        {{NULL, SHA_3DES, {2000}, 1}, ERR_UNSUPPORTED, "hashed 2000 times"},
        {{NULL, NOBODYS, {1}, 1}, ERR_UNSUPPORTED, "encrypted with 1.2.3.4"},
    };
    struct secret pass = {.bytes = (uint8_t *)(uintptr_t) "x", .len = 1}, out = {0};
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd der = make(&rows[i].ask);

        assert_true(crypt_is_pkcs8(&der));
        if (crypt_pkcs8(&der, &pass, 1000, &out, &err))
            fail_msg("row %zu was opened", i);
        if (err.code != rows[i].code || !strstr(err.text, rows[i].text))
            fail_msg("row %zu: %s", i, err.text);
        assert_null(out.bytes);
    }
}

/* The limit that holds when nobody sets another. */
static void test_limit(void **state)
{
    static const struct ask over = {PBKDF2, AES256, {KEYFILE_MAX_ROUNDS + 1}, 1};
    struct rd der = make(&over);
    uint64_t began = clock_us();

    (void)state;
    must_refuse(der.at, rd_left(&der), "x", ERR_UNSUPPORTED,
                "hashed 10000001 times, at most 10000000", "openssl pkey");
    assert_true(clock_us() - began < 1000000);
}

/* One byte after it, and it is not whole. */
static void test_whole(void **state)
{
    static const struct ask fine = {PBKDF2, AES256, {1}, 1};
    struct secret pass = {.bytes = (uint8_t *)(uintptr_t) "x", .len = 1}, out = {0};
    struct rd der = make(&fine);
    uint8_t more[512];
    struct err err;

    (void)state;
    size_t n = rd_left(&der);
    memcpy(more, der.at, n);
    more[n] = 0;
    der = rd_of(more, n + 1);
    assert_false(crypt_pkcs8(&der, &pass, 1000, &out, &err));
    assert_int_equal(err.code, ERR_BAD_REQUEST);
}

static void test_old_pem(void **state)
{
    static const struct {
        const char *headers;
        enum err_code code;
        const char *text;
    } rows[] = {
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEff\n",
         ERR_DENIED, "wrong"},
        {"DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n", ERR_BAD_REQUEST,
         "lines Proc-Type and DEK-Info"},
        {"Proc-Type: 4,ENCRYPTED\n", ERR_BAD_REQUEST, "DEK-Info"},
        {"Proc-Type: 4,MIC-CLEAR\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n",
         ERR_BAD_REQUEST, "Proc-Type"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011223344556677\n", ERR_BAD_REQUEST,
         "damaged"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,001122334455667\n", ERR_BAD_REQUEST,
         "DEK-Info"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEExx\n",
         ERR_BAD_REQUEST, "DEK-Info"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF00\n",
         ERR_BAD_REQUEST, "DEK-Info"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC\n", ERR_BAD_REQUEST, "DEK-Info"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: ,0011223344556677\n", ERR_UNSUPPORTED,
         "encrypted with"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-GCM,00112233445566778899AABB\n",
         ERR_UNSUPPORTED, "AES-128-GCM"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CTR,00112233445566778899AABBCCDDEEFF\n",
         ERR_UNSUPPORTED, "AES-128-CTR"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: "
         "AES-128-CBC-HMAC-SHA1,00112233445566778899AABBCCDDEEFF\n",
         ERR_UNSUPPORTED, "AES-128-CBC-HMAC-SHA1"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: ROT-13-CBC,0011223344556677\n", ERR_UNSUPPORTED,
         "ROT-13-CBC"},
        {"Proc-Type: 4,ENCRYPTED\nDEK-Info: "
         "AES-128-CBC-and-a-name-that-never-ends,00112233445566778899AABBCCDDEEFF\n",
         ERR_BAD_REQUEST, "DEK-Info"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[512];
        int n = snprintf(text, sizeof(text),
                         "-----BEGIN RSA PRIVATE KEY-----\n%s\nAAAAAAAAAAAAAAAAAAAAAA==\n"
                         "-----END RSA PRIVATE KEY-----\n",
                         rows[i].headers);

        must_refuse(text, (size_t)n, "x", rows[i].code, rows[i].text, "");
    }
}

static int begin(void **state)
{
    struct err err;

    (void)state;
    return keyfile_begin(&err) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_old_pem),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
