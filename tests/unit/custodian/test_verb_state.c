/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <unistd.h>

#include "proto/base/clock.h"

/* Asks for one of the three verbs; the key of the answer, NULL when it was refused. */
static const Keyd__V1__Key *change(Keyd__V1__Envelope__BodyCase verb, const char *key)
{
    Keyd__V1__KeysDisable disable = KEYD__V1__KEYS_DISABLE__INIT;
    Keyd__V1__KeysEnable enable = KEYD__V1__KEYS_ENABLE__INIT;
    Keyd__V1__KeysDestroy destroy = KEYD__V1__KEYS_DESTROY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    disable.key = enable.key = destroy.key = (char *)key;
    e.body_case = verb;
    if (verb == KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE)
        e.keys_disable = &disable;
    else if (verb == KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE)
        e.keys_enable = &enable;
    else
        e.keys_destroy = &destroy;
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    switch (answer->body_case) {
    case KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY:
        return answer->keys_disable_reply->key;
    case KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE_REPLY:
        return answer->keys_enable_reply->key;
    case KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY_REPLY:
        return answer->keys_destroy_reply->key;
    default:
        return NULL;
    }
}

#define DISABLE KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE
#define ENABLE  KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE
#define DESTROY KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY

static uint8_t id[KEY_ID_LEN];

/* A custodian with one key, acme/www, a signing gate (end 1) and a signer (end 2). */
static void begin(void)
{
    rig_serve();
    rig_connect(1, PROC_GATE_SIGNING, 0, 1);
    rig_connect(2, PROC_SIGNER, 0, 1);
    rig_tenant("acme");
    memcpy(id, rig_generate("acme", "www", KEY_TYPE_EC_P256, 0)->id.data, sizeof(id));
}

/* What everyone else holds of the key when an answer is there. */
static void is_everywhere(enum key_state state)
{
    assert_int_equal(table_find(&rig.table, id)->state, state);
    assert_int_equal(table_find(&rig.ends[1].table, id)->state, state);
    assert_int_equal(table_find(&rig.ends[2].table, id)->state, state);
}

static void off_and_on(void **state)
{
    (void)state;
    begin();
    const Keyd__V1__Key *k = change(DISABLE, "acme/www");
    assert_non_null(k);
    assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_DISABLED);
    is_everywhere(KEY_DISABLED);
    assert_non_null(change(DISABLE, "acme/www")); /* again is no harm */
    k = change(ENABLE, "acme/www");
    assert_non_null(k);
    assert_int_equal(k->state, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED);
    is_everywhere(KEY_ENABLED);
    assert_null(change(DISABLE, "acme/nothing"));
    assert_null(change(ENABLE, "nobody/www"));
    assert_int_equal(rig_private_keys(), 1);
    rig_stop();
}

static void off_survives_a_restart(void **state)
{
    (void)state;
    begin();
    assert_non_null(change(DISABLE, "acme/www"));
    rig_kill();
    rig_serve();
    assert_int_equal(table_find(&rig.table, id)->state, KEY_DISABLED);
    assert_int_equal(rig_show("acme/www")->state, KEYD__V1__KEY_STATE__KEY_STATE_DISABLED);
    assert_non_null(change(ENABLE, "acme/www"));
    assert_int_equal(table_find(&rig.table, id)->state, KEY_ENABLED);
    rig_stop();
}

static void destroyed_for_good(void **state)
{
    (void)state;
    begin();
    assert_non_null(change(DESTROY, "acme/www"));
    is_everywhere(KEY_DESTROYED);
    assert_null(rig_show("acme/www"));
    assert_null(change(DESTROY, "acme/www"));
    assert_null(change(ENABLE, "acme/www"));
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0); /* the name is free again */
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

/* A signer that says nothing is killed by the parent before the answer: until then the key could be
 * used. */
static void taken_away_from_one_that_hangs(void **state)
{
    (void)state;
    begin();
    rig.ends[2].mute = true;
    Keyd__V1__KeysDisable body = KEYD__V1__KEYS_DISABLE__INIT;
    REQUEST(e, KEYS_DISABLE, keys_disable, &body);
    body.key = (char *)"acme/www";
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    for (int i = 0; i < 1000 && rig.overdue == 0; i++)
        rig_pump(10, NULL);
    assert_int_equal(rig.overdue, 1);
    rig_pump(300, NULL);
    assert_null(rig.answer); /* it waits for the end of the signer */
    chan_close(&rig.ends[2].chan);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    assert_int_equal(answer->body_case, KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY);
    rig_stop();
}

static void is_being_destroyed(void)
{
    assert_null(rig_show("acme/www"));
    assert_int_equal(rig_private_keys(), 0);
}

/* Killed anywhere on the way: afterwards the key is there whole, or gone whole. */
static void killed_while_destroying(void **state)
{
    Keyd__V1__KeysDestroy body = KEYD__V1__KEYS_DESTROY__INIT;
    REQUEST(e, KEYS_DESTROY, keys_destroy, &body);
    unsigned gone = 0;

    (void)state;
    body.key = (char *)"acme/www";
    rig_serve();
    rig_tenant("acme");
    for (unsigned round = 0; round < 12; round++) {
        if (!rig_show("acme/www"))
            rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
        rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
        rig_pump((int)round / 2, NULL);
        rig_kill();
        rig_serve();
        if (rig_show("acme/www")) {
            assert_int_equal(rig_private_keys(), 1);
        } else {
            gone++;
            is_being_destroyed();
        }
    }
    assert_true(gone > 0);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(off_and_on),
        RIG_TEST(off_survives_a_restart),
        RIG_TEST(destroyed_for_good),
        RIG_TEST(taken_away_from_one_that_hangs),
        RIG_TEST(killed_while_destroying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
