/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <stdlib.h>

static void each_type(void **state)
{
    static const enum key_type types[] = {KEY_TYPE_RSA_2048, KEY_TYPE_EC_P256, KEY_TYPE_EC_P384,
                                          KEY_TYPE_ED25519};
    uint8_t id[KEY_ID_LEN];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *name = key_type_info(types[i])->name;
        const Keyd__V1__Key *k = rig_generate("acme", name, types[i], 0);
        assert_string_equal(k->tenant, "acme");
        assert_string_equal(k->name, name);
        assert_int_equal(k->type, types[i]);
        assert_int_equal(k->purposes, PURPOSES_DEFAULT);
        assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
        assert_true(key_id_of(k->spki.data, k->spki.len, id));
        assert_int_equal(k->id.len, KEY_ID_LEN);
        assert_memory_equal(k->id.data, id, KEY_ID_LEN);
        /* CKA_ID: format, purposes, the intent's id */
        assert_int_equal(k->cka_id.len, 18);
        assert_int_equal(k->cka_id.data[0], 1);
        assert_int_equal(k->cka_id.data[1], PURPOSES_DEFAULT);
        /* the parent has it, too */
        const struct table_key *kept = table_find(&rig.table, id);
        assert_non_null(kept);
        assert_int_equal(kept->state, KEY_ENABLED);
        assert_int_equal(kept->type, types[i]);
        assert_memory_equal(kept->cka_id, k->cka_id.data, 18);
    }
    assert_int_equal(rig.table.count, 4);
    rig_stop();
    assert_int_equal(rig_private_keys(), 4);
}

static void purposes_are_for_life(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    const Keyd__V1__Key *k =
        rig_generate("acme", "client", KEY_TYPE_EC_P256, PURPOSE_TLS13_CLIENT | PURPOSE_CSR);
    assert_int_equal(k->purposes, PURPOSE_TLS13_CLIENT | PURPOSE_CSR);
    assert_int_equal(k->cka_id.data[1], PURPOSE_TLS13_CLIENT | PURPOSE_CSR);
    assert_int_equal(rig_generate("acme", "any", KEY_TYPE_EC_P256, PURPOSE_RAW)->purposes,
                     PURPOSE_RAW);
    rig_stop();
}

static void refusals(void **state)
{
    static const struct {
        const char *tenant, *name;
        uint32_t type, purposes;
        enum err_code code;
        const char *word;
    } no[] = {
        {"nobody", "x", KEY_TYPE_EC_P256, 0, ERR_NOT_FOUND, "there is no tenant nobody"},
        {"acme", "www", KEY_TYPE_EC_P256, 0, ERR_EXISTS, "the key acme/www is there already"},
        {"acme", "No Name", KEY_TYPE_EC_P256, 0, ERR_BAD_REQUEST, "No Name"},
        {"acme", "", KEY_TYPE_EC_P256, 0, ERR_BAD_REQUEST, "key"},
        {"", "x", KEY_TYPE_EC_P256, 0, ERR_BAD_REQUEST, "tenant"},
        {"acme", "x", KEY_TYPE_NONE, 0, ERR_UNSUPPORTED, "keyd knows no key type 0"},
        {"acme", "x", KEY_TYPE_EC_P256, PURPOSE_RAW | PURPOSE_CSR, ERR_BAD_REQUEST,
         "a key with the purpose raw can have no other"},
        {"acme", "x", 99, 0, ERR_UNSUPPORTED, "keyd knows no key type 99"},
        {"acme", "x", KEY_TYPE_EC_P256, 128, ERR_BAD_REQUEST, "unknown purposes 0x80"},
    };
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);

    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        body.tenant = (char *)no[i].tenant;
        body.name = (char *)no[i].name;
        body.type = (Keyd__V1__KeyType)no[i].type;
        body.purposes = no[i].purposes;
        const Keyd__V1__Error *error = rig_refused(&e, no[i].code, no[i].word);
        if (no[i].code == ERR_UNSUPPORTED)
            assert_non_null(strstr(error->hint, "it can make rsa-2048, "));
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

/* The n-th signature of the process fails, for n = 0..: in the probe, in the proof of the new key,
 * in later ones. Whatever fails, token and registry agree, and the same name works afterwards. */
static void failures_leave_nothing(void **state)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);
    bool start_failed = false, generation_failed = false, worked = false;
    char uri[700];

    (void)state;
    snprintf(uri, sizeof(uri), "%s", rig.uri);
    snprintf(rig.uri, sizeof(rig.uri), "%s&pin-source=file:%s/user.pin", MOCK_URI, rig.state);
    rig_serve();
    rig_tenant("acme");
    rig_stop();
    body.tenant = (char *)"acme";
    body.name = (char *)"www";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    for (unsigned n = 0; !worked && n < 64; n++) {
        mock_script(rig.state, "from %u C_SignInit fail CKR_FUNCTION_FAILED\n", n + 1);
        rig_start();
        if (!rig.ready) {
            start_failed = true;
            (void)rig_wait();
            continue;
        }
        rig_connect(0, PROC_GATE_CONTROL, 0, 1);
        rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
        assert_non_null(rig_answer());
        worked = rig.answer->body_case != KEYD__V1__ENVELOPE__BODY_ERROR;
        generation_failed |= !worked;
        rig_stop();
        assert_int_equal(rig_private_keys(), worked);
    }
    mock_done();
    assert_true(start_failed);
    assert_true(generation_failed);
    assert_true(worked);
}

/* A lost session ends the process, with the answer and the reason told. */
static void a_lost_session_ends_it(void **state)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);
    bool lost = false;

    (void)state;
    snprintf(rig.uri, sizeof(rig.uri), "%s&pin-source=file:%s/user.pin", MOCK_URI, rig.state);
    rig_serve();
    rig_tenant("acme");
    rig_stop();
    body.tenant = (char *)"acme";
    body.name = (char *)"www";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    for (unsigned n = 0; !lost && n < 64; n++) {
        mock_script(rig.state, "from %u C_SignInit fail CKR_SESSION_HANDLE_INVALID\n", n + 1);
        rig_start();
        if (!rig.ready) {
            (void)rig_wait();
            continue;
        }
        rig_connect(0, PROC_GATE_CONTROL, 0, 1);
        rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
        assert_non_null(rig_answer());
        assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_ERROR);
        assert_int_equal(rig.answer->error->code, ERR_UNAVAILABLE);
        rig_pump(WAIT_MS, &rig.over);
        assert_int_equal(rig.failed.code, ERR_UNAVAILABLE);
        assert_int_equal(rig_wait(), 1 << 8);
        lost = true;
    }
    mock_done();
    assert_true(lost);
    rig_serve(); /* the next one undoes what was left */
    assert_null(rig_show("acme/www"));
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

/* How many private keys in the token are fragments, as the custodian notes it. */
static unsigned fragments_in(const char *words)
{
    const char *at = strstr(words, " private keys in the token have no CKA_ID");

    while (at && at > words && at[-1] != '\n')
        at--;
    return at ? (unsigned)strtoul(at, NULL, 10) : 0;
}

/* Killed at moments all over a generation: no key is lost, and but for fragments, which are told,
 * none is in the token that has no owner. */
static void killed_on_the_way(void **state)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);
    char name[16], words[8192];
    uint32_t figures[3];

    (void)state;
    rig_serve();
    rig_tenant("acme");
    body.tenant = (char *)"acme";
    body.name = name;
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    for (unsigned round = 0; round < 10; round++) {
        snprintf(name, sizeof(name), "k%u", round);
        rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
        rig_pump((int)round * 3, NULL);
        bool told = rig.answer && rig.answer->body_case != KEYD__V1__ENVELOPE__BODY_ERROR;
        rig_kill();
        rig_serve();
        rig_stats(figures, words, sizeof(words));
        assert_int_equal(figures[2], 0); /* none is missing */
        assert_null(strstr(words, "are not keyd's"));
        char key[32];
        snprintf(key, sizeof(key), "acme/%s", name);
        assert_true(!told || rig_show(key)); /* what was answered is true */
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), figures[1] + fragments_in(words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(each_type),
        RIG_TEST(purposes_are_for_life),
        RIG_TEST(refusals),
        RIG_TEST(failures_leave_nothing),
        RIG_TEST(a_lost_session_ends_it),
        RIG_TEST(killed_on_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
