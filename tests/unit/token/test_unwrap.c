/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes in wrapped: every type, as it is in the token afterwards; every way to spoil it, with
 * one answer for all of them; tokens that do it otherwise, or say that they do.
 */
#include "keyd/token/unwrap.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/sign.h"
#include "tests/mock-token/lies.h"
#include "tests/unit/import/wrapper.h"
#include "tests/unit/token/fixture.h"

static struct lies *lies;
static struct token *token;
static struct unwrap_way way;
static const uint8_t cka_id[] = {1, 13, 7, 7, 7};

static struct import_key {
    token_handle handle;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
} ours, other;

static void make_import_key(struct import_key *k)
{
    struct err err;

    must(import_key_generate(token, KEY_TYPE_RSA_2048, &way, (const uint8_t *)"i", 1, "import key",
                             true, &k->handle, k->spki, &k->spki_len, &err),
         &err);
}

static int open_token(void **state)
{
    void *lib = dlopen(MOCK_MODULE, RTLD_NOW);
    char note[UNWRAP_NOTE];
    struct err err;

    assert_non_null(lib);
    lies = dlsym(lib, "lies");
    fixture_make(state);
    token = fixture_open(MOCK_URI);
    must(unwrap_probe(token, 0, NULL, 0, &way, note, &err), &err);
    make_import_key(&ours);
    make_import_key(&other);
    return 0;
}

static int close_token(void **state)
{
    token_close(token);
    return fixture_remove(state);
}

static int reset_lies(void **state)
{
    (void)state;
    *lies = (struct lies){0};
    return 0;
}

static size_t count_all(void)
{
    CK_OBJECT_HANDLE found[64];
    CK_ULONG n = 0;

    assert_int_equal(token->p11->C_FindObjectsInit(token->session, NULL, 0), CKR_OK);
    assert_int_equal(token->p11->C_FindObjects(token->session, found, 64, &n), CKR_OK);
    assert_int_equal(token->p11->C_FindObjectsFinal(token->session), CKR_OK);
    return n;
}

static struct unwrap_as as_of(enum key_type type, const struct sample *s)
{
    return (struct unwrap_as){.type = type,
                              .cka_id = cka_id,
                              .cka_id_len = sizeof(cka_id),
                              .label = "keyd/acme/www",
                              .spki = s->spki,
                              .spki_len = s->spki_len};
}

static struct unwrap_blobs blobs_of(const struct wrapped *w)
{
    return (struct unwrap_blobs){w->kek, w->key, w->kek_len, w->key_len};
}

/* ---- what works */

static bool file_has(const char *path, const char *word)
{
    char line[2100];
    bool has = false;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        has |= strstr(line, word) != NULL;
    fclose(f);
    return has;
}

static void is_false(token_handle key, CK_ATTRIBUTE_TYPE type)
{
    bool is = true;
    struct err err;

    must(attr_read_bool(token, key, type, &is, &err), &err);
    assert_false(is);
}

static void has_come_in(token_handle key, enum key_type type, const struct sample *s)
{
    struct err err;
    uint8_t id[TOKEN_CKA_ID_MAX], value[1024];
    size_t len;

    must(token_key_judge(token, key, type, &err), &err);
    must(token_prove(token, key, type, s->spki, s->spki_len, &err), &err);
    must(attr_read(token, key, CKA_ID, id, sizeof(id), &len, &err), &err);
    assert_int_equal(len, sizeof(cka_id));
    assert_memory_equal(id, cka_id, len);
    must(attr_read(token, key, CKA_LABEL, value, sizeof(value), &len, &err), &err);
    assert_memory_equal(value, "keyd/acme/www", len);
    /* what a key that came in has never been */
    is_false(key, CKA_LOCAL);
    is_false(key, CKA_ALWAYS_SENSITIVE);
    is_false(key, CKA_NEVER_EXTRACTABLE);
    CK_ATTRIBUTE_TYPE hidden =
        key_type_info(type)->kind == KEY_KIND_RSA ? CKA_PRIVATE_EXPONENT : CKA_VALUE;
    assert_int_equal(attr_get(token, key, hidden, value, sizeof(value), &len, &err),
                     ATTR_SENSITIVE);
}

static void test_each_type(void **state)
{
    static const enum key_type types[] = {KEY_TYPE_EC_P256, KEY_TYPE_EC_P384, KEY_TYPE_RSA_2048,
                                          KEY_TYPE_RSA_3072, KEY_TYPE_RSA_4096};
    size_t before = count_all();

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct sample *s = sample_new(key_type_info(types[i])->name);
        const struct unwrap_as as = as_of(types[i], s);
        struct wrapped w;
        token_handle key;
        bool refused;
        struct err err;

        assert_true(way.types[types[i]]);
        wrap_sample(s, ours.spki, ours.spki_len, way.hash, &w);
        const struct unwrap_blobs blobs = blobs_of(&w);
        must(token_unwrap_try(token, ours.handle, &way, &blobs, &as, &key, &refused, &err), &err);
        is_false(key, CKA_TOKEN);
        must(token_prove(token, key, types[i], s->spki, s->spki_len, &err), &err);
        must(token_destroy(token, key, &err), &err);
        must(token_unwrap_keep(token, ours.handle, &way, &blobs, &as, &key, &err), &err);
        has_come_in(key, types[i], s);
        assert_int_equal(count_all(), before + 1); /* and no AES key is left */
        must(token_destroy(token, key, &err), &err);
        sample_free(s);
    }
    assert_int_equal(count_all(), before);
}

static void test_what_the_probe_finds(void **state)
{
    (void)state;
    assert_int_equal(way.hash, IMPORT_HASH_SHA1); /* facts/tokens.md */
    assert_false(way.one_step);
    assert_int_equal(way.key_wrap, CKM_AES_KEY_WRAP_PAD);
    assert_false(way.types[KEY_TYPE_ED25519]);
    /* the same under an import key that is there; nothing under one that is another */
    struct unwrap_way found;
    char note[UNWRAP_NOTE];
    struct err err;
    must(unwrap_probe(token, ours.handle, ours.spki, ours.spki_len, &found, note, &err), &err);
    assert_memory_equal(&found, &way, sizeof(way));
    assert_string_equal(note, "ed25519 keys cannot be imported: the token does not unwrap them");
    must(unwrap_probe(token, ours.handle, other.spki, other.spki_len, &found, note, &err), &err);
    assert_int_equal(found.hash, IMPORT_HASH_NONE);
}

/* ---- what is spoiled */

static void is_refused(token_handle with, const struct wrapped *w, enum key_type type,
                       const struct sample *s)
{
    const struct unwrap_as as = as_of(type, s);
    const struct unwrap_blobs blobs = blobs_of(w);
    token_handle key = 4711;
    bool refused = false;
    struct err err, same;

    unwrap_refused(&same);
    must_fail(token_unwrap_try(token, with, &way, &blobs, &as, &key, &refused, &err), &err,
              ERR_BAD_REQUEST, "the key could not be unwrapped");
    assert_true(refused);
    assert_int_equal(key, 4711);
    assert_memory_equal(&err, &same, sizeof(err)); /* whatever was wrong */
}

/* One bit in each of some places, first and last byte among them. */
static void test_each_bit_counts(void **state)
{
    struct sample *s = sample_new("ec-p256");
    struct wrapped good, w;
    size_t before = count_all();

    (void)state;
    wrap_sample(s, ours.spki, ours.spki_len, way.hash, &good);
    for (size_t i = 0; i < good.kek_len; i += i % 3 ? 61 : 31) {
        w = good;
        w.kek[i] ^= (uint8_t)(1 << i % 8);
        is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    }
    w = good;
    w.kek[w.kek_len - 1] ^= 1;
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    for (size_t i = 0; i < good.key_len; i += 7) {
        w = good;
        w.key[i] ^= (uint8_t)(1 << i % 8);
        is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    }
    w = good;
    w.key[w.key_len - 1] ^= 0x80;
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    sample_free(s);
    assert_int_equal(count_all(), before);
}

static void test_lengths(void **state)
{
    struct sample *s = sample_new("ec-p256");
    struct wrapped good, w;
    size_t before = count_all();

    (void)state;
    wrap_sample(s, ours.spki, ours.spki_len, way.hash, &good);
    const size_t kek_lens[] = {0, 1, good.kek_len - 1, good.kek_len + 1, IMPORT_KEK_MAX};
    const size_t key_lens[] = {0,   8, 16, good.key_len - 8, good.key_len - 1, good.key_len + 8,
                               4096};
    for (size_t i = 0; i < COUNT(kek_lens); i++) {
        w = good;
        w.kek_len = kek_lens[i];
        is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    }
    for (size_t i = 0; i < COUNT(key_lens); i++) {
        w = good;
        w.key_len = key_lens[i];
        is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    }
    sample_free(s);
    assert_int_equal(count_all(), before);
}

/* Well wrapped, and yet not what it should be. */
static void test_other_things(void **state)
{
    static const uint8_t kek[IMPORT_KEK_LEN] = {1, 2, 3};
    struct sample *s = sample_new("ec-p256"), *rsa = sample_new("rsa-2048");
    struct wrapped w;
    uint8_t bytes[IMPORT_PKCS8_MAX] = "this is no key, but it is well wrapped";
    size_t before = count_all();

    (void)state;
    /* for another import key */
    wrap_sample(s, other.spki, other.spki_len, way.hash, &w);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    /* under another AES key than the one beside it */
    wrap_sample(s, ours.spki, ours.spki_len, way.hash, &w);
    w.key_len = wrap_bytes(kek, s->pkcs8, s->pkcs8_len, w.key);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    /* AES of 128 bits */
    w.kek_len = wrap_for(ours.spki, ours.spki_len, way.hash, kek, 16, w.kek);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    /* by the other hash */
    w.kek_len = wrap_for(ours.spki, ours.spki_len,
                         way.hash == IMPORT_HASH_SHA1 ? IMPORT_HASH_SHA256 : IMPORT_HASH_SHA1, kek,
                         sizeof(kek), w.kek);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    /* no key; half a key; a key of another type */
    w.kek_len = wrap_for(ours.spki, ours.spki_len, way.hash, kek, sizeof(kek), w.kek);
    w.key_len = wrap_bytes(kek, bytes, 40, w.key);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    w.key_len = wrap_bytes(kek, s->pkcs8, s->pkcs8_len / 2, w.key);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    w.key_len = wrap_bytes(kek, rsa->pkcs8, rsa->pkcs8_len, w.key);
    is_refused(ours.handle, &w, KEY_TYPE_EC_P256, s);
    w.key_len = wrap_bytes(kek, s->pkcs8, s->pkcs8_len, w.key);
    is_refused(ours.handle, &w, KEY_TYPE_RSA_2048, rsa);
    sample_free(s);
    sample_free(rsa);
    assert_int_equal(count_all(), before);
}

/* The token's own trouble depends on nobody's bytes: it is told. */
static void test_own_trouble_is_told(void **state)
{
    static const struct {
        CK_RV rv;
        enum err_code code;
        const char *word;
    } cases[] = {
        {CKR_DEVICE_MEMORY, ERR_TOKEN, "C_UnwrapKey: CKR_DEVICE_MEMORY"},
        {CKR_TOKEN_WRITE_PROTECTED, ERR_TOKEN, "C_UnwrapKey: CKR_TOKEN_WRITE_PROTECTED"},
        {CKR_MECHANISM_INVALID, ERR_UNSUPPORTED, "C_UnwrapKey: CKR_MECHANISM_INVALID"},
        {CKR_UNWRAPPING_KEY_HANDLE_INVALID, ERR_TOKEN, "CKR_UNWRAPPING_KEY_HANDLE_INVALID"},
    };
    struct sample *s = sample_new("ec-p256");
    const struct unwrap_as as = as_of(KEY_TYPE_EC_P256, s);
    struct wrapped w;
    size_t before = count_all();

    (void)state;
    wrap_sample(s, ours.spki, ours.spki_len, way.hash, &w);
    const struct unwrap_blobs blobs = blobs_of(&w);
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (unsigned after = 0; after < 2; after++) { /* at the AES key, at the key */
            token_handle key;
            bool refused = true;
            struct err err;

            *lies = (struct lies){.fail_unwrap = cases[i].rv, .fail_unwrap_after = after};
            must_fail(token_unwrap_try(token, ours.handle, &way, &blobs, &as, &key, &refused, &err),
                      &err, cases[i].code, cases[i].word);
            assert_false(refused);
        }
    }
    /* whatever it is, for a key that was good a moment before */
    *lies = (struct lies){.fail_unwrap = CKR_FUNCTION_FAILED, .fail_unwrap_after = 1};
    token_handle key;
    struct err err;
    must_fail(token_unwrap_keep(token, ours.handle, &way, &blobs, &as, &key, &err), &err, ERR_TOKEN,
              "C_UnwrapKey: CKR_FUNCTION_FAILED");
    *lies = (struct lies){0};
    sample_free(s);
    assert_int_equal(count_all(), before);
}

/* ---- import keys */

static void test_import_keys(void **state)
{
    struct err err;
    CK_MECHANISM pkcs1 = {.mechanism = CKM_RSA_PKCS};
    token_handle signer;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;

    (void)state;
    must(import_key_judge(token, ours.handle, &way, &err), &err);
    must(import_key_prove(token, ours.handle, &way, ours.spki, ours.spki_len, &err), &err);
    /* it neither signs nor decrypts */
    assert_int_not_equal(token->p11->C_SignInit(token->session, &pkcs1, ours.handle), CKR_OK);
    assert_int_not_equal(token->p11->C_DecryptInit(token->session, &pkcs1, ours.handle), CKR_OK);
    /* it is no key of a tenant, and none of those is an import key */
    must_fail(token_key_judge(token, ours.handle, KEY_TYPE_RSA_2048, &err), &err, ERR_TOKEN,
              "CKA_SIGN of the private key is false");
    must(token_generate(token, KEY_TYPE_RSA_2048, cka_id, sizeof(cka_id), "", true, &signer, spki,
                        &spki_len, &err),
         &err);
    must_fail(import_key_judge(token, signer, &way, &err), &err, ERR_TOKEN,
              "CKA_SIGN of the private key is true");
    must(token_destroy(token, signer, &err), &err);
    /* another one behind the handle */
    must_fail(import_key_prove(token, ours.handle, &way, other.spki, other.spki_len, &err), &err,
              ERR_TOKEN, "the import key does not unwrap what is wrapped for it");
}

/* ---- tokens that do it otherwise */

static void test_in_one_step(void **state)
{
    struct unwrap_way one;
    struct import_key k;
    struct sample *s = sample_new("ec-p384");
    const struct unwrap_as as = as_of(KEY_TYPE_EC_P384, s);
    char note[UNWRAP_NOTE];
    struct wrapped w;
    token_handle key;
    bool refused;
    struct err err;

    (void)state;
    lies->one_step = true;
    lies->any_mechanism = true; /* else SoftHSM itself refuses the two steps behind it */
    must(unwrap_probe(token, 0, NULL, 0, &one, note, &err), &err);
    assert_true(one.one_step);
    assert_int_equal(one.hash, IMPORT_HASH_SHA1);
    assert_true(one.types[KEY_TYPE_RSA_4096]);
    must(import_key_generate(token, KEY_TYPE_RSA_3072, &one, (const uint8_t *)"o", 1, "", false,
                             &k.handle, k.spki, &k.spki_len, &err),
         &err);
    wrap_sample(s, k.spki, k.spki_len, one.hash, &w);
    struct unwrap_blobs blobs = blobs_of(&w);
    must(token_unwrap_try(token, k.handle, &one, &blobs, &as, &key, &refused, &err), &err);
    must(token_prove(token, key, KEY_TYPE_EC_P384, s->spki, s->spki_len, &err), &err);
    must(token_destroy(token, key, &err), &err);
    w.key[0] ^= 1;
    must_fail(token_unwrap_try(token, k.handle, &one, &blobs, &as, &key, &refused, &err), &err,
              ERR_BAD_REQUEST, "the key could not be unwrapped");
    assert_true(refused);
    must(token_destroy(token, k.handle, &err), &err);
    sample_free(s);
}

/* What a token says is not what it does: known answers tell. */
static void test_tokens_that_lie(void **state)
{
    struct unwrap_way found;
    char note[UNWRAP_NOTE];
    struct err err;

    (void)state;
    lies->any_hash = true;
    must(unwrap_probe(token, 0, NULL, 0, &found, note, &err), &err);
    assert_int_equal(found.hash, IMPORT_HASH_SHA1);
    *lies = (struct lies){.any_value = true};
    must(unwrap_probe(token, 0, NULL, 0, &found, note, &err), &err);
    assert_int_equal(found.hash, IMPORT_HASH_NONE);
    assert_non_null(strstr(note, "the token cannot unwrap: no key can be imported; "));
}

static void test_tokens_that_cannot(void **state)
{
    static const struct lies cases[] = {
        {.few_mechanisms = true},
        {.fail_unwrap = CKR_FUNCTION_FAILED},
        {.fail_unwrap = CKR_MECHANISM_INVALID},
        {.fail_generate = CKR_FUNCTION_FAILED},
    };
    struct sample *s = sample_new("ec-p256");
    const struct unwrap_as as = as_of(KEY_TYPE_EC_P256, s);
    const struct unwrap_blobs none = {s->spki, s->spki, 1, 1};
    size_t before = count_all();
    struct unwrap_way found;
    char note[UNWRAP_NOTE];
    struct err err;
    token_handle key;
    bool refused;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        *lies = cases[i];
        must(unwrap_probe(token, 0, NULL, 0, &found, note, &err), &err);
        assert_int_equal(found.hash, IMPORT_HASH_NONE);
        assert_non_null(strstr(note, "cannot unwrap"));
        must_fail(token_unwrap_try(token, ours.handle, &found, &none, &as, &key, &refused, &err),
                  &err, ERR_UNSUPPORTED, "cannot unwrap keys");
        assert_false(refused);
    }
    *lies = (struct lies){0};
    assert_int_equal(count_all(), before);
    sample_free(s);
}

/* What fails once changes nothing in what is found: else no key of the type could be imported for
 * as long as the process lives. */
static void fails_once(const char *function, const struct unwrap_way *first)
{
    struct unwrap_way found;
    char note[UNWRAP_NOTE], path[200];
    struct err err;
    bool over = false;

    snprintf(path, sizeof(path), "%s/tokens/journal", state_dir);
    for (unsigned n = 1; !over; n++) {
        unlink(path);
        mock_script(state_dir, "journal %s\nat %u %s fail CKR_DEVICE_MEMORY\n", path, n, function);
        must(unwrap_probe(token, 0, NULL, 0, &found, note, &err), &err);
        assert_int_equal(found.hash, first->hash);
        assert_memory_equal(found.types, first->types, sizeof(found.types));
        over = !file_has(path, "CKR_DEVICE_MEMORY");
    }
}

static void test_a_moment_of_trouble(void **state)
{
    struct unwrap_way first;
    char note[UNWRAP_NOTE];
    struct err err;

    (void)state;
    must(unwrap_probe(token, 0, NULL, 0, &first, note, &err), &err);
    fails_once("C_GetMechanismInfo", &first);
    fails_once("C_GenerateKeyPair", &first);
    fails_once("C_UnwrapKey", &first);
    mock_script(state_dir, "# nothing\n");
    mock_done();
}

/* Last: the token is lost with it. */
static void test_a_lost_token(void **state)
{
    struct unwrap_way found = {.hash = 77};
    char note[UNWRAP_NOTE];
    struct err err;

    (void)state;
    lies->fail_unwrap = CKR_DEVICE_REMOVED;
    must_fail(unwrap_probe(token, 0, NULL, 0, &found, note, &err), &err, ERR_UNAVAILABLE,
              "CKR_DEVICE_REMOVED");
    assert_true(token_lost(token));
    assert_int_equal(found.hash, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_the_probe_finds, reset_lies),
        cmocka_unit_test_setup(test_a_moment_of_trouble, reset_lies),
        cmocka_unit_test_setup(test_each_type, reset_lies),
        cmocka_unit_test_setup(test_each_bit_counts, reset_lies),
        cmocka_unit_test_setup(test_lengths, reset_lies),
        cmocka_unit_test_setup(test_other_things, reset_lies),
        cmocka_unit_test_setup(test_own_trouble_is_told, reset_lies),
        cmocka_unit_test_setup(test_import_keys, reset_lies),
        cmocka_unit_test_setup(test_in_one_step, reset_lies),
        cmocka_unit_test_setup(test_tokens_that_lie, reset_lies),
        cmocka_unit_test_setup(test_tokens_that_cannot, reset_lies),
        cmocka_unit_test_setup(test_a_lost_token, reset_lies),
    };

    return cmocka_run_group_tests_name("token/unwrap", tests, open_token, close_token);
}
