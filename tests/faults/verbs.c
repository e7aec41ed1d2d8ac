/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of verbs. A new verb is a row: how its subject comes to be, what is asked, how it shows
 * that it is done.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "keyd/registry/db.h"
#include "keyd/token/unwrap.h"
#include "proto/base/mem.h"
#include "tests/faults/faults.h"
#include "tests/unit/import/wrapper.h"

uint32_t verb_uid = 1000;

static char text[128];

/* "acme/SUBJECT" */
static char *key_of(const char *subject)
{
    snprintf(text, sizeof(text), "acme/%s", subject);
    return text;
}

static void make_subject(const char *subject)
{
    rig_generate("acme", subject, KEY_TYPE_EC_P256, 0);
}

static void is_state(const char *subject, Keyd__V1__KeyState state)
{
    const Keyd__V1__Key *k = rig_show(key_of(subject));

    if (!k)
        fail_msg("the key acme/%s is lost", subject);
    assert_int_equal(k->state, state);
}

static void is_enabled(const char *subject)
{
    is_state(subject, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
}

static void is_disabled(const char *subject)
{
    is_state(subject, KEYD__V1__KEY_STATE__KEY_STATE_DISABLED);
}

static void is_gone(const char *subject)
{
    assert_null(rig_show(key_of(subject)));
}

/* A request in static memory: BODY(TYPE, KEYS_GENERATE, keys_generate). */
#define BODY(Type, TYPE, CASE, member)                                                             \
    static envelope e;                                                                             \
    static Keyd__V1__##Type body;                                                                  \
                                                                                                   \
    keyd__v1__envelope__init(&e);                                                                  \
    body = (Keyd__V1__##Type)KEYD__V1__##TYPE##__INIT;                                             \
    e.body_case = KEYD__V1__ENVELOPE__BODY_##CASE;                                                 \
    e.member = &body

static envelope *generate(const char *subject, enum key_type type)
{
    BODY(KeysGenerate, KEYS_GENERATE, KEYS_GENERATE, keys_generate);
    body.tenant = (char *)"acme";
    body.name = (char *)subject;
    body.type = (Keyd__V1__KeyType)type;
    return &e;
}

static envelope *disable(const char *subject, enum key_type type)
{
    BODY(KeysDisable, KEYS_DISABLE, KEYS_DISABLE, keys_disable);
    (void)type;
    body.key = key_of(subject);
    return &e;
}

static envelope *enable(const char *subject, enum key_type type)
{
    BODY(KeysEnable, KEYS_ENABLE, KEYS_ENABLE, keys_enable);
    (void)type;
    body.key = key_of(subject);
    return &e;
}

static void make_disabled(const char *subject)
{
    make_subject(subject);
    rig_call(disable(subject, KEY_TYPE_NONE), KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY);
}

static envelope *destroy(const char *subject, enum key_type type)
{
    BODY(KeysDestroy, KEYS_DESTROY, KEYS_DESTROY, keys_destroy);
    (void)type;
    body.key = key_of(subject);
    return &e;
}

static envelope *create_csr(const char *subject, enum key_type type)
{
    BODY(CreateCsr, CREATE_CSR, CREATE_CSR, create_csr);
    (void)type;
    body.key = key_of(subject);
    body.subject = (char *)"CN=www.example.com";
    return &e;
}

static envelope *token_objects(const char *subject, enum key_type type)
{
    BODY(TokenObjects, TOKEN_OBJECTS, TOKEN_OBJECTS, token_objects);
    (void)subject, (void)type;
    return &e;
}

/* ---- the import key */

/* What no verb does, and no function of the registry. */
static bool forget_import_keys(struct err *err)
{
    char path[300];
    struct db *db;
    int64_t version;

    snprintf(path, sizeof(path), "%s/registry.db", rig.state);
    TRY(db_open(&db, path, err));
    bool ok =
        db_version(db, &version, err) && db_migrate(db, "DELETE FROM import_keys", version, err);
    db_close(db);
    return ok;
}

static bool drop_import_keys(struct token *t, struct registry *r, struct err *err)
{
    AUTO_FREE struct registry_import_key *list = NULL;
    size_t count;

    TRY(registry_import_list(r, &list, &count, err));
    for (size_t i = 0; i < count; i++) {
        token_handle handle;
        TRY(token_find_private(t, list[i].cka_id, list[i].cka_id_len, &handle, err));
        TRY(token_destroy(t, handle, err));
    }
    return forget_import_keys(err);
}

/* None is there: the first need makes it. */
static void no_import_key(const char *subject)
{
    (void)subject;
    rig_stop();
    rig_with_token(drop_import_keys);
    faults_serve();
}

static envelope *import_key(const char *subject, enum key_type type)
{
    BODY(ImportKey, IMPORT_KEY, IMPORT_KEY, import_key);
    (void)subject, (void)type;
    return &e;
}

static envelope *import_key_rotate(const char *subject, enum key_type type)
{
    BODY(ImportKeyRotate, IMPORT_KEY_ROTATE, IMPORT_KEY_ROTATE, import_key_rotate);
    (void)subject, (void)type;
    return &e;
}

/* ---- import */

static struct sample *sample;

static void make_sample(const char *subject)
{
    (void)subject;
    sample_free(sample);
    sample = sample_new("ec-p256");
}

static const Keyd__V1__ImportKeyReply *begin(void)
{
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    REQUEST(e, IMPORT_KEY, import_key, &body);

    body.begin = true;
    rig_ask_as(&e, ROLE_OPERATOR, verb_uid, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    if (answer->body_case != KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY)
        fail_msg("no import can be begun: %s", answer->error->message);
    return answer->import_key_reply;
}

/* The sample, wrapped and signed as a client does it (proto/README.md, Import). */
static envelope *import(const char *subject, enum key_type type)
{
    static uint8_t nonce[IMPORT_NONCE_LEN], with[KEY_ID_LEN], proof[1024];
    static struct wrapped w;
    uint8_t message[IMPORT_MESSAGE_MAX], id[KEY_ID_LEN];
    size_t len;
    struct err err;
    BODY(KeysImport, KEYS_IMPORT, KEYS_IMPORT, keys_import);

    const Keyd__V1__ImportKeyReply *reply = begin();
    memcpy(nonce, reply->nonce.data, sizeof(nonce));
    memcpy(with, reply->key->id.data, sizeof(with));
    wrap_sample(sample, reply->key->spki.data, reply->key->spki.len,
                (enum import_hash)reply->key->hash, &w);
    assert_true(key_id_of(sample->spki, sample->spki_len, id));
    body.tenant = (char *)"acme";
    body.name = (char *)subject;
    body.scheme = scheme_for_type(type)->code;
    const struct import_claim claim = {.nonce = nonce,
                                       .import_key = with,
                                       .key = id,
                                       .tenant = body.tenant,
                                       .name = body.name,
                                       .wrapped_kek = w.kek,
                                       .wrapped_kek_len = w.kek_len,
                                       .wrapped_key = w.key,
                                       .wrapped_key_len = w.key_len};
    must(import_message(&claim, message, &len, &err), &err);
    body.nonce = (ProtobufCBinaryData){sizeof(nonce), nonce};
    body.import_key = (ProtobufCBinaryData){sizeof(with), with};
    body.spki = (ProtobufCBinaryData){sample->spki_len, sample->spki};
    body.wrapped_kek = (ProtobufCBinaryData){w.kek_len, w.kek};
    body.wrapped_key = (ProtobufCBinaryData){w.key_len, w.key};
    body.proof.data = proof;
    body.proof.len =
        sample_sign(sample, scheme_by_code(body.scheme), message, len, proof, sizeof(proof));
    return &e;
}

/* ---- what the token has already */

static const char *stranger;

static bool plant_stranger(struct token *t, struct registry *r, struct err *err)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle handle;

    (void)r;
    return token_generate(t, KEY_TYPE_RSA_2048, (const uint8_t *)stranger, strlen(stranger),
                          stranger, true, &handle, spki, &len, err);
}

/* An RSA key under the subject's name, as another program would have made it. */
static void plant(const char *subject)
{
    stranger = subject;
    rig_stop();
    rig_with_token(plant_stranger);
    faults_serve();
}

static envelope *adopt(const char *subject, enum key_type type)
{
    static char uri[64];
    BODY(KeysAdopt, KEYS_ADOPT, KEYS_ADOPT, keys_adopt);

    (void)type;
    snprintf(uri, sizeof(uri), "pkcs11:object=%s", subject);
    body.object = uri;
    body.tenant = (char *)"acme";
    body.name = (char *)subject;
    return &e;
}

/* The file that a killed generation leaves, beside the guarded one; old enough to be one. */
static void plant_fragment(const char *subject)
{
    char path[800];

    (void)subject;
    int dir = (int)(strrchr(rig.guard, '/') - rig.guard);
    snprintf(path, sizeof(path), "%.*s/01234567-89ab-cdef-0123-456789abcdef.object", dir,
             rig.guard);
    FILE *f = fopen(path, "w");
    static const struct timespec long_ago[2];
    assert_non_null(f);
    assert_int_equal(futimens(fileno(f), long_ago), 0);
    assert_int_equal(fclose(f), 0);
}

/* Those that a look tells of. */
static envelope *sweep(const char *subject, enum key_type type)
{
    static uint8_t ids[8][KEY_ID_LEN];
    static ProtobufCBinaryData named[8];
    Keyd__V1__TokenSweep look = KEYD__V1__TOKEN_SWEEP__INIT;
    REQUEST(first, TOKEN_SWEEP, token_sweep, &look);
    BODY(TokenSweep, TOKEN_SWEEP, TOKEN_SWEEP, token_sweep);

    (void)subject, (void)type;
    const Keyd__V1__TokenSweepReply *reply =
        rig_call(&first, KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP_REPLY)->token_sweep_reply;
    for (size_t i = 0; i < reply->n_fragments && i < 8; i++) {
        assert_int_equal(reply->fragments[i]->id.len, KEY_ID_LEN);
        memcpy(ids[i], reply->fragments[i]->id.data, KEY_ID_LEN);
        named[body.n_fragments++] = (ProtobufCBinaryData){KEY_ID_LEN, ids[i]};
    }
    body.fragments = named;
    return &e;
}

static void is_swept(const char *subject)
{
    Keyd__V1__TokenSweep look = KEYD__V1__TOKEN_SWEEP__INIT;
    REQUEST(e, TOKEN_SWEEP, token_sweep, &look);

    (void)subject;
    assert_int_equal(
        rig_call(&e, KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP_REPLY)->token_sweep_reply->n_fragments,
        0);
}

/* ---- a wreck */

void verb_wreck(const char *subject)
{
    char half[64];

    snprintf(half, sizeof(half), "%s-half", subject);
    make_subject(half);
    mock_script(rig.state, "at 1 C_DestroyObject fail CKR_FUNCTION_FAILED\n"
                           "at 1 C_GenerateKeyPair crash-after\n");
    rig_refused(destroy(half, KEY_TYPE_NONE), ERR_TOKEN, "C_DestroyObject: CKR_FUNCTION_FAILED");
    rig_ask(generate(subject, KEY_TYPE_EC_P256), ROLE_OPERATOR, WAIT_MS);
    assert_null(rig_answer());
    rig_kill();
}

/* ---- the table */

const struct verb_row verb_rows[] = {
    {"keys-generate ec-p256", KEY_TYPE_EC_P256, NULL, generate, is_enabled, ERR_EXISTS,
     .budget = 40},
    {"keys-generate ec-p384", KEY_TYPE_EC_P384, NULL, generate, is_enabled, ERR_EXISTS,
     .budget = 8},
    {"keys-generate ed25519", KEY_TYPE_ED25519, NULL, generate, is_enabled, ERR_EXISTS,
     .budget = 8},
    {"keys-generate rsa-2048", KEY_TYPE_RSA_2048, NULL, generate, is_enabled, ERR_EXISTS,
     .budget = 8},
    {"keys-generate rsa-3072", KEY_TYPE_RSA_3072, NULL, generate, is_enabled, ERR_EXISTS,
     .full_only = true},
    {"keys-generate rsa-4096", KEY_TYPE_RSA_4096, NULL, generate, is_enabled, ERR_EXISTS,
     .full_only = true},
    {"keys-import", KEY_TYPE_EC_P256, make_sample, import, is_enabled, ERR_EXISTS,
     .one_answer = true, .budget = 48},
    {"import-key (the first)", IMPORT_KEY_TYPE, no_import_key, import_key, NULL, ERR_NONE,
     .budget = 10},
    {"import-key-rotate", IMPORT_KEY_TYPE, NULL, import_key_rotate, NULL, ERR_NONE,
     .destroys = true, .budget = 12},
    {"keys-disable", KEY_TYPE_NONE, make_subject, disable, is_disabled, ERR_NONE, .budget = 20},
    {"keys-enable", KEY_TYPE_NONE, make_disabled, enable, is_enabled, ERR_NONE, .budget = 20},
    {"keys-destroy", KEY_TYPE_NONE, make_subject, destroy, is_gone, ERR_NOT_FOUND, .destroys = true,
     .budget = 30},
    {"keys-adopt", KEY_TYPE_NONE, plant, adopt, is_enabled, ERR_EXISTS, .budget = 24},
    {"token-sweep", KEY_TYPE_NONE, plant_fragment, sweep, is_swept, ERR_NONE, .budget = 16},
    {"create-csr", KEY_TYPE_NONE, make_subject, create_csr, is_enabled, ERR_NONE, .budget = 30},
    {"token-objects", KEY_TYPE_NONE, NULL, token_objects, NULL, ERR_NONE, .budget = 12},
};

const size_t verb_row_count = sizeof(verb_rows) / sizeof(verb_rows[0]);
