/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports against a real custodian on a real token: what comes in, and everything that must not;
 * what is left of failures (nothing); who is told what; what a kill leaves.
 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "keyd/registry/db.h"
#include "keyd/token/sign.h"
#include "keyd/token/unwrap.h"
#include "proto/base/mem.h"
#include "tests/unit/import/wrapper.h"

#define COULD_NOT "the key could not be unwrapped"

/* ---- the client's part, piece by piece */

/* A claim with everything that it points to, as it goes over the wire. */
struct request {
    Keyd__V1__KeysImport body;
    uint8_t nonce[IMPORT_NONCE_LEN], import_key[KEY_ID_LEN], spki[4096], proof[1024];
    struct wrapped w;
};

struct import_key {
    uint8_t id[KEY_ID_LEN], spki[SPKI_MAX_LEN], nonce[IMPORT_NONCE_LEN];
    size_t spki_len;
    enum import_hash hash;
};

/* Who asks. Failures are counted by principal: a test that makes many is many people. */
static uint32_t uid;

static const envelope *ask(envelope *e, Keyd__V1__Envelope__BodyCase want)
{
    rig_ask_as(e, ROLE_OPERATOR, uid, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    if (answer->body_case == KEYD__V1__ENVELOPE__BODY_ERROR && answer->body_case != want)
        fail_msg("refused: %s (%s)", answer->error->message, answer->error->hint);
    assert_int_equal(answer->body_case, want);
    return answer;
}

static struct import_key get_import_key(bool begin)
{
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    REQUEST(e, IMPORT_KEY, import_key, &body);
    struct import_key k = {.hash = IMPORT_HASH_NONE};

    body.begin = begin;
    const Keyd__V1__ImportKeyReply *reply =
        ask(&e, KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY)->import_key_reply;
    assert_int_equal(reply->key->id.len, KEY_ID_LEN);
    assert_true(reply->key->spki.len <= sizeof(k.spki));
    memcpy(k.id, reply->key->id.data, KEY_ID_LEN);
    memcpy(k.spki, reply->key->spki.data, reply->key->spki.len);
    k.spki_len = reply->key->spki.len;
    k.hash = (enum import_hash)reply->key->hash;
    assert_int_equal(reply->nonce.len, begin ? IMPORT_NONCE_LEN : 0);
    assert_int_equal(reply->nonce_ms, begin ? 120000 : 0);
    if (begin)
        memcpy(k.nonce, reply->nonce.data, IMPORT_NONCE_LEN);
    return k;
}

static void sign_request(struct request *r, const struct sample *by, const struct sample *key)
{
    uint8_t message[IMPORT_MESSAGE_MAX], id[KEY_ID_LEN];
    const struct import_claim claim = {.nonce = r->nonce,
                                       .import_key = r->import_key,
                                       .key = id,
                                       .tenant = r->body.tenant,
                                       .name = r->body.name,
                                       .purposes = r->body.purposes,
                                       .wrapped_kek = r->w.kek,
                                       .wrapped_kek_len = r->body.wrapped_kek.len,
                                       .wrapped_key = r->w.key,
                                       .wrapped_key_len = r->body.wrapped_key.len};
    struct err err;
    size_t len;

    assert_true(key_id_of(key->spki, key->spki_len, id));
    must(import_message(&claim, message, &len, &err), &err);
    r->body.proof.len =
        sample_sign(by, scheme_by_code(r->body.scheme), message, len, r->proof, sizeof(r->proof));
}

/* The sample wrapped and signed as it should be, with an import key and a nonce. */
static struct request *request_of(const struct sample *s, enum key_type type, const char *tenant,
                                  const char *name, const struct import_key *k)
{
    struct request *r = mem_new(sizeof(*r));

    assert_non_null(r);
    keyd__v1__keys_import__init(&r->body);
    r->body.tenant = (char *)tenant;
    r->body.name = (char *)name;
    r->body.scheme = scheme_for_type(type)->code;
    memcpy(r->nonce, k->nonce, sizeof(r->nonce));
    memcpy(r->import_key, k->id, sizeof(r->import_key));
    memcpy(r->spki, s->spki, s->spki_len);
    wrap_sample(s, k->spki, k->spki_len, k->hash, &r->w);
    r->body.nonce = (ProtobufCBinaryData){sizeof(r->nonce), r->nonce};
    r->body.import_key = (ProtobufCBinaryData){sizeof(r->import_key), r->import_key};
    r->body.spki = (ProtobufCBinaryData){s->spki_len, r->spki};
    r->body.wrapped_kek = (ProtobufCBinaryData){r->w.kek_len, r->w.kek};
    r->body.wrapped_key = (ProtobufCBinaryData){r->w.key_len, r->w.key};
    r->body.proof.data = r->proof;
    sign_request(r, s, s);
    return r;
}

static struct request *begin(const struct sample *s, enum key_type type, const char *tenant,
                             const char *name)
{
    const struct import_key k = get_import_key(true);

    return request_of(s, type, tenant, name, &k);
}

/* It has come in; after that the custodian takes itself away, and the next one is started. */
static void comes_in(struct request *r, enum key_type type)
{
    REQUEST(e, KEYS_IMPORT, keys_import, &r->body);
    uint8_t id[KEY_ID_LEN];

    const Keyd__V1__Key *k =
        ask(&e, KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT_REPLY)->keys_import_reply->key;
    assert_string_equal(k->tenant, r->body.tenant);
    assert_string_equal(k->name, r->body.name);
    assert_int_equal(k->type, type);
    assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
    assert_int_equal(k->spki.len, r->body.spki.len);
    assert_memory_equal(k->spki.data, r->spki, k->spki.len);
    assert_true(key_id_of(r->spki, r->body.spki.len, id));
    assert_memory_equal(k->id.data, id, KEY_ID_LEN);
    assert_int_equal(k->cka_id.len, 18);
    const struct table_key *kept = table_find(&rig.table, id);
    assert_non_null(kept);
    assert_int_equal(kept->state, KEY_ENABLED);
    rig_renewed();
}

static void refused(struct request *r, enum err_code code, const char *words)
{
    REQUEST(e, KEYS_IMPORT, keys_import, &r->body);

    const Keyd__V1__Error *error = ask(&e, KEYD__V1__ENVELOPE__BODY_ERROR)->error;
    if ((int)error->code != (int)code || !strstr(error->message, words))
        fail_msg("expected %s with \"%s\", got %s: %s", err_name(code), words,
                 err_name((enum err_code)error->code), error->message);
    assert_null(rig_show("acme/new"));
}

/* What is unwrapped and is not what it should be wears the custodian, too. */
static void refused_and_renewed(struct request *r, const char *words)
{
    refused(r, ERR_BAD_REQUEST, words);
    rig_renewed();
}

static struct request *fresh(const struct sample *s, enum key_type type)
{
    return begin(s, type, "acme", "new");
}

/* ---- what comes in */

static void each_type(void **state)
{
    static const enum key_type types[] = {KEY_TYPE_EC_P256, KEY_TYPE_EC_P384, KEY_TYPE_RSA_2048,
                                          KEY_TYPE_RSA_3072, KEY_TYPE_RSA_4096};

    (void)state;
    rig_serve();
    rig_tenant("acme");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *name = key_type_info(types[i])->name;
        struct sample *s = sample_new(name);
        AUTO_FREE struct request *r = begin(s, types[i], "acme", name);

        comes_in(r, types[i]);
        const Keyd__V1__Key *k = rig_show(name[0] == 'r' ? "acme/rsa-2048" : "acme/ec-p256");
        assert_non_null(k);
        assert_int_equal(k->purposes, PURPOSES_DEFAULT);
        sample_free(s);
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 5 + 1); /* and the import key */
}

/* As the token has it: read back, signing, and never to be had in the clear. */
static uint8_t looked_for[SPKI_MAX_LEN];
static size_t looked_for_len;

static bool looks_right(struct token *t, struct registry *r, struct err *err)
{
    struct registry_key key;
    token_handle handle;

    TRY(registry_key_find(r, "acme/shop", "", &key, err));
    if (key.spki_len != looked_for_len || memcmp(key.spki, looked_for, looked_for_len) != 0)
        return err_set(err, ERR_INTERNAL, "another public key");
    if (key.purposes != PURPOSE_CSR || key.cka_id[0] != 1 || key.cka_id[1] != PURPOSE_CSR)
        return err_set(err, ERR_INTERNAL, "other purposes");
    TRY(token_find_private(t, key.cka_id, key.cka_id_len, &handle, err));
    TRY(token_key_judge(t, handle, key.type, err));
    return token_prove(t, handle, key.type, key.spki, key.spki_len, err);
}

static void it_is_in_the_token(void **state)
{
    struct sample *s = sample_new("ec-p384");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    AUTO_FREE struct request *r = begin(s, KEY_TYPE_EC_P384, "acme", "shop");
    r->body.purposes = PURPOSE_CSR;
    sign_request(r, s, s);
    comes_in(r, KEY_TYPE_EC_P384);
    rig_stop();
    memcpy(looked_for, s->spki, s->spki_len);
    looked_for_len = s->spki_len;
    rig_with_token(looks_right);
    sample_free(s);
}

/* The replaced one begins where the one before ended: nonces are good, requests that wait are
 * served first. */
static void a_custodian_that_is_worn(void **state)
{
    struct sample *a = sample_new("ec-p256"), *b = sample_new("ec-p256");
    Keyd__V1__TenantsList list = KEYD__V1__TENANTS_LIST__INIT;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    AUTO_FREE struct request *first = begin(a, KEY_TYPE_EC_P256, "acme", "a");
    AUTO_FREE struct request *second = begin(b, KEY_TYPE_EC_P256, "acme", "b");
    REQUEST(e, KEYS_IMPORT, keys_import, &first->body);
    /* it asks the gate to leave, and stays until that has happened */
    ask(&e, KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT_REPLY);
    rig_pump(300, &rig.ends[0].leave);
    assert_true(rig.ends[0].leave);
    REQUEST(f, TENANTS_LIST, tenants_list, &list);
    rig_call(&f, KEYD__V1__ENVELOPE__BODY_TENANTS_LIST_REPLY);
    rig_pump(100, NULL);
    assert_false(rig.over);
    rig_renewed();
    comes_in(second, KEY_TYPE_EC_P256);
    assert_non_null(rig_show("acme/a"));
    assert_non_null(rig_show("acme/b"));
    /* other verbs do not wear it */
    rig_generate("acme", "c", KEY_TYPE_EC_P256, 0);
    rig_pump(100, NULL);
    assert_false(rig.over);
    assert_false(rig.ends[0].leave);
    rig_stop();
    sample_free(a);
    sample_free(b);
}

/* ---- what does not */

static void names_and_sizes(void **state)
{
    struct sample *s = sample_new("ec-p256");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "there", KEY_TYPE_EC_P256, 0);
    const struct {
        const char *tenant, *name;
        uint32_t purposes;
        enum err_code code;
        const char *words;
    } names[] = {
        {"nobody", "new", 0, ERR_NOT_FOUND, "there is no tenant nobody"},
        {"acme", "there", 0, ERR_EXISTS, "the key acme/there is there already"},
        {"acme", "No Name", 0, ERR_BAD_REQUEST, "No Name"},
        {"", "new", 0, ERR_BAD_REQUEST, "the tenant's name is missing"},
        {"acme", "new", 128, ERR_BAD_REQUEST, "unknown purposes 0x80"},
    };
    AUTO_FREE struct request *r = fresh(s, KEY_TYPE_EC_P256);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        r->body.tenant = (char *)names[i].tenant;
        r->body.name = (char *)names[i].name;
        r->body.purposes = names[i].purposes;
        refused(r, names[i].code, names[i].words);
    }
    r->body.tenant = (char *)"acme";
    r->body.name = (char *)"new";
    r->body.purposes = 0;
    ProtobufCBinaryData *const fields[] = {&r->body.nonce, &r->body.import_key,
                                           &r->body.wrapped_kek, &r->body.wrapped_key,
                                           &r->body.proof};
    static const size_t lens[][2] = {{0, 33}, {31, 64}, {0, 513}, {0, 16401}, {0, 1025}};
    AUTO_FREE uint8_t *big = mem_new(20000);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        ProtobufCBinaryData good = *fields[i];
        for (size_t j = 0; j < 2; j++) {
            *fields[i] = (ProtobufCBinaryData){lens[i][j], big};
            refused(r, ERR_BAD_REQUEST, " bytes instead of ");
        }
        *fields[i] = good;
    }
    comes_in(r, KEY_TYPE_EC_P256); /* the nonce was not touched by any of it */
    rig_stop();
    sample_free(s);
}

static void nonces(void **state)
{
    struct sample *s = sample_new("ec-p256"), *t = sample_new("ec-p256");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    /* one that was never given */
    AUTO_FREE struct request *r = begin(s, KEY_TYPE_EC_P256, "acme", "first");
    r->nonce[0] ^= 1;
    sign_request(r, s, s);
    refused(r, ERR_DENIED, "was not begun here by you");
    /* another principal's */
    r->nonce[0] ^= 1;
    sign_request(r, s, s);
    REQUEST(e, KEYS_IMPORT, keys_import, &r->body);
    rig_ask_as(&e, ROLE_OPERATOR, uid + 1, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_ERROR);
    assert_int_equal(rig.answer->error->code, ERR_DENIED);
    /* good, once */
    comes_in(r, KEY_TYPE_EC_P256);
    struct import_key k = get_import_key(false);
    memcpy(k.nonce, r->nonce, sizeof(k.nonce));
    AUTO_FREE struct request *again = request_of(t, KEY_TYPE_EC_P256, "acme", "again", &k);
    refused(again, ERR_DENIED, "was not begun here by you");
    rig_stop();
    sample_free(s);
    sample_free(t);
}

static bool age_nonces(struct token *t, struct registry *r, struct err *err)
{
    char path[300];
    struct db *db;
    int64_t version;

    (void)t;
    (void)r;
    snprintf(path, sizeof(path), "%s/registry.db", rig.state);
    TRY(db_open(&db, path, err));
    bool ok = db_version(db, &version, err) &&
              db_migrate(db, "UPDATE import_nonces SET created = created - 121", version, err);
    db_close(db);
    return ok;
}

static void too_late(void **state)
{
    struct sample *s = sample_new("ec-p256");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    AUTO_FREE struct request *r = fresh(s, KEY_TYPE_EC_P256);
    rig_stop();
    rig_with_token(age_nonces);
    rig_serve();
    refused(r, ERR_DENIED, "took too long");
    rig_stop();
    sample_free(s);
}

static void keys_that_are_none(void **state)
{
    static const struct {
        const char *type;
        uint16_t scheme;
        const char *words;
    } cases[] = {
        {"rsa-1024", 0x0804, "this is an RSA key of 1024 bits"},
        {"rsa-2056", 0x0804, "this is an RSA key of 2056 bits"},
        {"ec-P-521", 0x0603, "this is a key on the curve secp521r1"},
        {"ec-secp256k1", 0x0403, "this is a key on the curve secp256k1"},
        {"ed25519", 0x0807, "cannot take in keys of type ed25519: it does not unwrap them"},
        {"ED448", 0x0807, "this is a key of the type ED448"},
    };

    (void)state;
    rig_serve();
    rig_tenant("acme");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample *s = sample_new(cases[i].type), *p = sample_new("ec-p256");
        AUTO_FREE struct request *r = fresh(p, KEY_TYPE_EC_P256);

        memcpy(r->spki, s->spki, s->spki_len);
        r->body.spki.len = s->spki_len;
        r->body.scheme = cases[i].scheme;
        if (s->spki_len < 1024 && strcmp(cases[i].type, "ED448") != 0)
            sign_request(r, s, s);
        refused(r, ERR_UNSUPPORTED, cases[i].words);
        sample_free(s);
        sample_free(p);
    }
    struct sample *s = sample_new("ec-p256");
    AUTO_FREE struct request *r = fresh(s, KEY_TYPE_EC_P256);
    r->body.spki.len -= 1;
    refused(r, ERR_BAD_REQUEST, "no SubjectPublicKeyInfo");
    sample_free(s);
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

/* What is signed is what is sent, by the key that is sent. */
static void proofs(void **state)
{
    struct sample *s = sample_new("ec-p256"), *thief = sample_new("ec-p256");
    static char other_tenant[] = "zeta", other_name[] = "other";

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_tenant("zeta");
    /* by another key */
    AUTO_FREE struct request *r = fresh(s, KEY_TYPE_EC_P256);
    sign_request(r, thief, s);
    refused(r, ERR_DENIED, "the proof does not verify");
    /* each thing that is signed, changed on the way */
    for (unsigned what = 0; what < 7; what++) {
        AUTO_FREE struct request *x = fresh(s, KEY_TYPE_EC_P256);
        if (what == 0)
            x->body.tenant = other_tenant;
        else if (what == 1)
            x->body.name = other_name;
        else if (what == 2)
            x->body.purposes = PURPOSE_RAW;
        else if (what == 3)
            x->w.kek[100] ^= 1;
        else if (what == 4)
            x->w.key[50] ^= 1;
        else if (what == 5)
            x->proof[x->body.proof.len - 1] ^= 1;
        else
            memcpy(x->spki, thief->spki, thief->spki_len);
        refused(x, ERR_DENIED, "the proof does not verify");
    }
    /* the nonce of one import in another one that was recorded */
    AUTO_FREE struct request *recorded = fresh(s, KEY_TYPE_EC_P256);
    const struct import_key k = get_import_key(true);
    memcpy(recorded->nonce, k.nonce, sizeof(k.nonce));
    refused(recorded, ERR_DENIED, "the proof does not verify");
    /* schemes */
    AUTO_FREE struct request *y = fresh(s, KEY_TYPE_EC_P256);
    y->body.scheme = 0x0804;
    refused(y, ERR_BAD_SCHEME, "does not fit a key of type ec-p256");
    AUTO_FREE struct request *z = fresh(s, KEY_TYPE_EC_P256);
    z->body.scheme = 0x0201;
    refused(z, ERR_BAD_SCHEME, "0x0201 is no signature scheme");
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
    sample_free(s);
    sample_free(thief);
}

/* Well signed, and yet nothing that the token can unwrap, or something else than it says. */
static void spoiled_inside(void **state)
{
    static const uint8_t kek[IMPORT_KEK_LEN] = {1, 2, 3};
    struct sample *s = sample_new("ec-p256"), *victim = sample_new("ec-p256"),
                  *rsa = sample_new("rsa-2048"), *other = sample_new("rsa-3072");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_tenant("zeta");
    for (unsigned what = 0; what < 8; what++) {
        uid = what / 4;
        AUTO_FREE struct request *r = fresh(s, KEY_TYPE_EC_P256);
        const struct import_key k = get_import_key(false);

        if (what == 0) {
            r->w.kek[0] ^= 0x80;
        } else if (what == 1) {
            r->w.key[0] ^= 1;
        } else if (what == 2) { /* for an import key that is not ours */
            r->body.wrapped_kek.len =
                wrap_for(other->spki, other->spki_len, k.hash, kek, sizeof(kek), r->w.kek);
        } else if (what == 3) { /* cut */
            r->body.wrapped_key.len -= 8;
        } else if (what == 4) { /* no key */
            r->body.wrapped_kek.len =
                wrap_for(k.spki, k.spki_len, k.hash, kek, sizeof(kek), r->w.kek);
            r->body.wrapped_key.len =
                wrap_bytes(kek, (const uint8_t *)"0123456789abcdef", 16, r->w.key);
        } else if (what == 5) { /* an RSA key */
            r->body.wrapped_kek.len =
                wrap_for(k.spki, k.spki_len, k.hash, kek, sizeof(kek), r->w.kek);
            r->body.wrapped_key.len = wrap_bytes(kek, rsa->pkcs8, rsa->pkcs8_len, r->w.key);
        } else { /* another key, whose blobs were recorded: the thief cannot say that it is his */
            const struct import_key theirs = get_import_key(true);
            AUTO_FREE struct request *v =
                request_of(victim, KEY_TYPE_EC_P256, "zeta", "theirs", &theirs);
            r->w = v->w;
            r->body.wrapped_kek.len = v->w.kek_len;
            r->body.wrapped_key.len = v->w.key_len;
        }
        sign_request(r, s, s);
        if (what < 6)
            refused(r, ERR_BAD_REQUEST, COULD_NOT);
        else
            refused_and_renewed(r, COULD_NOT);
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
    sample_free(s);
    sample_free(victim);
    sample_free(rsa);
    sample_free(other);
}

/* A hundred of them leave nothing in the token, and take their time. */
static void a_hundred_failures(void **state)
{
    struct sample *s = sample_new("ec-p256");
    unsigned busy = 0, tried = 0;

    (void)state;
    rig_serve();
    rig_tenant("acme");
    while (tried < 100) {
        AUTO_FREE struct request *r = fresh(s, KEY_TYPE_EC_P256);
        REQUEST(e, KEYS_IMPORT, keys_import, &r->body);

        r->w.key[tried % r->w.key_len] ^= (uint8_t)(1 << tried % 8);
        sign_request(r, s, s);
        const Keyd__V1__Error *error = ask(&e, KEYD__V1__ENVELOPE__BODY_ERROR)->error;
        if ((int)error->code == ERR_BUSY) {
            assert_true(error->retry_after_ms > 0 && error->retry_after_ms <= 1000);
            assert_non_null(strstr(error->message, "too many of your imports have failed"));
            busy++;
            uid++;
            continue;
        }
        assert_int_equal(error->code, ERR_BAD_REQUEST);
        assert_string_equal(error->message, COULD_NOT);
        tried++;
    }
    assert_in_range(busy, 15, 20); /* after each five */
    /* a good one still comes in */
    uid++;
    AUTO_FREE struct request *good = fresh(s, KEY_TYPE_EC_P256);
    comes_in(good, KEY_TYPE_EC_P256);
    rig_stop();
    assert_int_equal(rig_private_keys(), 2);
    sample_free(s);
}

/* One SPKI is one key of one tenant. */
static void the_same_key_twice(void **state)
{
    struct sample *s = sample_new("ec-p256");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_tenant("zeta");
    AUTO_FREE struct request *r = begin(s, KEY_TYPE_EC_P256, "acme", "shop");
    comes_in(r, KEY_TYPE_EC_P256);
    AUTO_FREE struct request *again = begin(s, KEY_TYPE_EC_P256, "acme", "new");
    refused(again, ERR_EXISTS, "the tenant acme has this key already: it is acme/shop");
    /* another tenant learns nothing before it has shown that it has the key */
    AUTO_FREE struct request *curious = begin(s, KEY_TYPE_EC_P256, "zeta", "new");
    struct sample *thief = sample_new("ec-p256");
    sign_request(curious, thief, s);
    refused(curious, ERR_DENIED, "the proof does not verify");
    AUTO_FREE struct request *other = begin(s, KEY_TYPE_EC_P256, "zeta", "new");
    refused(other, ERR_CONFLICT, "this key cannot be imported; make a new one");
    rig_stop();
    assert_int_equal(rig_private_keys(), 2);
    sample_free(s);
    sample_free(thief);
}

/* ---- the import key */

static const Keyd__V1__ImportKeyInfo *rotate(void)
{
    Keyd__V1__ImportKeyRotate body = KEYD__V1__IMPORT_KEY_ROTATE__INIT;
    REQUEST(e, IMPORT_KEY_ROTATE, import_key_rotate, &body);

    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_ROTATE_REPLY)
        ->import_key_rotate_reply->key;
}

static void the_import_key(void **state)
{
    uint8_t id[KEY_ID_LEN];
    char words[8192];
    uint32_t figures[3];

    (void)state;
    rig_serve();
    const struct import_key k = get_import_key(false);
    assert_true(key_id_of(k.spki, k.spki_len, id));
    assert_memory_equal(k.id, id, KEY_ID_LEN);
    assert_int_equal(k.spki_len, 422); /* RSA-3072 */
    assert_int_equal(k.hash, IMPORT_HASH_SHA1);
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    REQUEST(e, IMPORT_KEY, import_key, &body);
    const Keyd__V1__ImportKeyInfo *info =
        rig_call(&e, KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY)->import_key_reply->key;
    assert_memory_equal(info->id.data, k.id, KEY_ID_LEN); /* made once */
    assert_int_equal(info->n_types, 5);
    assert_true(info->created > 1700000000);
    rig_stop();
    rig_serve();
    const struct import_key same = get_import_key(false);
    assert_memory_equal(same.id, k.id, KEY_ID_LEN);
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[1], 0); /* it is no key of anybody */
    assert_null(strstr(words, "are not keyd's"));
    assert_non_null(strstr(words, "ed25519 keys cannot be imported"));
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

static void rotation(void **state)
{
    struct sample *s = sample_new("ec-p256"), *t = sample_new("ec-p256");

    (void)state;
    rig_serve();
    rig_tenant("acme");
    /* nothing begun: the one before goes at once */
    const struct import_key first = get_import_key(false);
    assert_memory_not_equal(rotate()->id.data, first.id, KEY_ID_LEN);
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
    rig_serve();
    /* one is begun: it is finished with the one before */
    const struct import_key second = get_import_key(true);
    AUTO_FREE struct request *running = request_of(s, KEY_TYPE_EC_P256, "acme", "running", &second);
    AUTO_FREE struct request *late = request_of(t, KEY_TYPE_EC_P256, "acme", "new", &second);
    const Keyd__V1__ImportKeyInfo *info = rotate();
    uint8_t third[KEY_ID_LEN];
    memcpy(third, info->id.data, sizeof(third));
    assert_memory_not_equal(third, second.id, KEY_ID_LEN);
    const struct import_key now = get_import_key(true);
    assert_memory_equal(now.id, third, KEY_ID_LEN);
    comes_in(running, KEY_TYPE_EC_P256);
    /* the new custodian has found that nobody needs it any more */
    rig_stop();
    assert_int_equal(rig_private_keys(), 2);
    rig_serve();
    /* a nonce of the new key does not help blobs for the old one */
    memcpy(late->nonce, now.nonce, sizeof(late->nonce));
    sign_request(late, t, t);
    refused(late, ERR_DENIED, "was not begun here by you");
    AUTO_FREE struct request *good = fresh(t, KEY_TYPE_EC_P256);
    comes_in(good, KEY_TYPE_EC_P256);
    rig_stop();
    sample_free(s);
    sample_free(t);
}

static bool destroy_import_key(struct token *t, struct registry *r, struct err *err)
{
    struct registry_import_key key;
    token_handle handle;

    TRY(registry_import_current(r, &key, err));
    TRY(token_find_private(t, key.cka_id, key.cka_id_len, &handle, err));
    return token_destroy(t, handle, err);
}

/* Gone behind our back: said for what it is, and mended by a new one, not by itself. */
static void an_import_key_that_is_missing(void **state)
{
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    REQUEST(e, IMPORT_KEY, import_key, &body);
    char words[8192];
    uint32_t figures[3];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    const struct import_key k = get_import_key(false);
    rig_stop();
    rig_with_token(destroy_import_key);
    rig_serve();
    const Keyd__V1__Error *error = rig_refused(&e, ERR_NOT_FOUND, "cannot be used");
    assert_non_null(strstr(error->hint, "import-key-rotate makes a new one"));
    rig_stats(figures, words, sizeof(words));
    assert_non_null(strstr(words, "the import key is missing in the token"));
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0); /* the rest goes on */
    assert_memory_not_equal(rotate()->id.data, k.id, KEY_ID_LEN);
    const struct import_key now = get_import_key(true);
    struct sample *s = sample_new("ec-p256");
    AUTO_FREE struct request *r = request_of(s, KEY_TYPE_EC_P256, "acme", "new", &now);
    comes_in(r, KEY_TYPE_EC_P256);
    rig_stop();
    sample_free(s);
}

/* ---- other tokens */

static void a_token_that_cannot_unwrap(void **state)
{
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    REQUEST(e, IMPORT_KEY, import_key, &body);
    Keyd__V1__ImportKeyRotate again = KEYD__V1__IMPORT_KEY_ROTATE__INIT;
    REQUEST(f, IMPORT_KEY_ROTATE, import_key_rotate, &again);

    (void)state;
    snprintf(rig.uri, sizeof(rig.uri), "%s&pin-source=file:%s/user.pin", MOCK_URI, rig.state);
    mock_script(rig.state, "from 1 C_UnwrapKey fail CKR_MECHANISM_INVALID\n");
    rig_serve();
    rig_refused(&e, ERR_UNSUPPORTED, "cannot unwrap keys: none can be imported");
    rig_refused(&f, ERR_UNSUPPORTED, "cannot unwrap keys: none can be imported");
    rig_stop();
    mock_done();
    assert_int_equal(rig_private_keys(), 0);
}

/* The n-th C_UnwrapKey of the process fails, for n = 0..: in the probe, in the proof of the import
 * key, at the trial, at the key itself. Whatever fails, nothing is left. */
static void each_unwrap_fails(void **state)
{
    struct sample *s = sample_new("ec-p256");
    bool worked = false, was_full = false;

    (void)state;
    snprintf(rig.uri, sizeof(rig.uri), "%s&pin-source=file:%s/user.pin", MOCK_URI, rig.state);
    rig_serve();
    rig_tenant("acme");
    get_import_key(false);
    for (unsigned n = 8; !worked && n < 64; n++) { /* before that: the probe alone */
        const struct import_key k = get_import_key(true);
        AUTO_FREE struct request *r = request_of(s, KEY_TYPE_EC_P256, "acme", "new", &k);
        REQUEST(e, KEYS_IMPORT, keys_import, &r->body);

        rig_stop();
        mock_script(rig.state, "from %u C_UnwrapKey fail CKR_DEVICE_MEMORY\n", n + 1);
        rig_serve(); /* a token that cannot unwrap serves, too */
        rig_ask_as(&e, ROLE_OPERATOR, uid, WAIT_MS);
        assert_non_null(rig_answer());
        worked = rig.answer->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT_REPLY;
        if (!worked)
            was_full |= strstr(rig.answer->error->message, "CKR_DEVICE_MEMORY") != NULL;
        rig_pump(200, &rig.ends[0].leave); /* a worn one goes by itself */
        if (rig.ends[0].leave)
            rig_renewed();
        rig_stop();
        mock_done();
        assert_int_equal(rig_private_keys(), 1 + worked);
        rig_serve();
        assert_true((rig_show("acme/new") != NULL) == worked);
    }
    rig_stop();
    assert_true(was_full);
    assert_true(worked);
    sample_free(s);
}

/* ---- kills */

static unsigned fragments_in(const char *words)
{
    const char *at = strstr(words, " private keys in the token have no CKA_ID");

    while (at && at > words && at[-1] != '\n')
        at--;
    return at ? (unsigned)strtoul(at, NULL, 10) : 0;
}

/* Killed at moments all over an import, and over the making of an import key. */
static void killed_on_the_way(void **state)
{
    struct sample *s = sample_new("ec-p256");
    char name[16], words[8192];
    uint32_t figures[3];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    get_import_key(false);
    for (unsigned round = 0; round < 8; round++) {
        struct sample *fresh_one = sample_new("ec-p256");
        snprintf(name, sizeof(name), "k%u", round);
        AUTO_FREE struct request *r = begin(fresh_one, KEY_TYPE_EC_P256, "acme", name);
        REQUEST(e, KEYS_IMPORT, keys_import, &r->body);
        rig_ask_as(&e, ROLE_OPERATOR, uid, WAIT_MS);
        rig_pump((int)round * 4, NULL);
        bool told = rig.answer && rig.answer->body_case != KEYD__V1__ENVELOPE__BODY_ERROR;
        rig_kill();
        rig_serve();
        char key[32];
        snprintf(key, sizeof(key), "acme/%s", name);
        assert_true(!told || rig_show(key)); /* what was answered is true */
        if (!rig_show(key)) {                /* and else it can be done again */
            AUTO_FREE struct request *again = begin(fresh_one, KEY_TYPE_EC_P256, "acme", name);
            comes_in(again, KEY_TYPE_EC_P256);
        }
        sample_free(fresh_one);
    }
    Keyd__V1__ImportKeyRotate body = KEYD__V1__IMPORT_KEY_ROTATE__INIT;
    REQUEST(e, IMPORT_KEY_ROTATE, import_key_rotate, &body);
    for (unsigned round = 0; round < 4; round++) {
        rig_ask_as(&e, ROLE_OPERATOR, uid, WAIT_MS);
        rig_pump((int)round * 150, NULL);
        rig_kill();
        rig_serve();
        get_import_key(false);
    }
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[1], 8);
    assert_int_equal(figures[2], 0);
    assert_null(strstr(words, "are not keyd's"));
    rotate();
    AUTO_FREE struct request *good = begin(s, KEY_TYPE_EC_P256, "acme", "last");
    comes_in(good, KEY_TYPE_EC_P256);
    /* imports that were begun and cut off keep their import key no longer than they may take */
    rig_stop();
    rig_with_token(age_nonces);
    rig_serve();
    rig_stop();
    assert_int_equal(rig_private_keys(), 9 + 1 + fragments_in(words));
    sample_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(each_type),
        RIG_TEST(it_is_in_the_token),
        RIG_TEST(a_custodian_that_is_worn),
        RIG_TEST(names_and_sizes),
        RIG_TEST(nonces),
        RIG_TEST(too_late),
        RIG_TEST(keys_that_are_none),
        RIG_TEST(proofs),
        RIG_TEST(spoiled_inside),
        RIG_TEST(a_hundred_failures),
        RIG_TEST(the_same_key_twice),
        RIG_TEST(the_import_key),
        RIG_TEST(rotation),
        RIG_TEST(an_import_key_that_is_missing),
        RIG_TEST(a_token_that_cannot_unwrap),
        RIG_TEST(each_unwrap_fails),
        RIG_TEST(killed_on_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
