/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <unistd.h>

#include "proto/base/clock.h"

static void told_to_everyone(void **state)
{
    uint8_t id[KEY_ID_LEN];
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_connect(1, PROC_GATE_SIGNING, 0, 1);
    rig_connect(2, PROC_SIGNER, 0, 1);
    rig_connect(3, PROC_SIGNER, 1, 1);
    rig_stats(figures, words, sizeof(words)); /* it knows all of them */
    rig_tenant("acme");
    const Keyd__V1__Key *k = rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    memcpy(id, k->id.data, KEY_ID_LEN);
    /* when the answer is there, all of them have it; whose channel was new meanwhile, twice */
    for (size_t i = 0; i < ENDS_MAX; i++) {
        assert_in_range(rig.ends[i].keys, 1, 2);
        const struct table_key *told = table_find(&rig.ends[i].table, id);
        assert_non_null(told);
        assert_int_equal(told->state, KEY_ENABLED);
        assert_int_equal(told->purposes, PURPOSES_DEFAULT);
        assert_int_equal(told->spki_len, k->spki.len);
    }
    /* signers one after the other, then the gates */
    assert_true(rig.ends[2].told_at <= rig.ends[3].told_at);
    assert_true(rig.ends[3].told_at <= rig.ends[0].told_at);
    assert_true(rig.ends[3].told_at <= rig.ends[1].told_at);
    assert_int_equal(rig.tables, 2);
    assert_non_null(table_find(&rig.table, id));
    assert_int_equal(rig.overdue, 0);
    rig_stop();
}

static void who_comes_late_is_told(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "a", KEY_TYPE_EC_P256, 0);
    rig_generate("acme", "b", KEY_TYPE_EC_P256, 0);
    rig_connect(1, PROC_SIGNER, 0, 1);
    rig_pump(50, NULL);
    assert_int_equal(rig.ends[1].table.count, 2);
    rig_connect(2, PROC_SIGNER, 0, 2); /* its successor */
    rig_pump(50, NULL);
    assert_int_equal(rig.ends[2].table.count, 2);
    assert_int_equal(rig.ends[1].chan.fd, -1); /* the old channel was closed */
    rig_generate("acme", "c", KEY_TYPE_EC_P256, 0);
    assert_int_equal(rig.ends[2].table.count, 3);
    rig_stop();
}

static void old_keys_are_not_told_again(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "a", KEY_TYPE_EC_P256, 0);
    uint64_t before = rig.table.version;
    rig_stop();
    rig_serve();
    assert_int_equal(rig.table.count, 1);
    assert_true(rig.table.version > before); /* a custodian begins above its predecessor */
    rig_connect(1, PROC_SIGNER, 0, 1);
    rig_pump(50, NULL);
    assert_int_equal(rig.ends[1].keys, 0); /* it has the table */
    rig_stop();
}

/* A signer that hangs is named to the parent, and does not hold up the rest for ever. */
static void one_that_says_nothing(void **state)
{
    (void)state;
    rig_serve();
    rig_connect(1, PROC_SIGNER, 5, 9);
    rig_connect(2, PROC_SIGNER, 6, 1);
    rig.ends[1].mute = true;
    rig_tenant("acme");
    uint64_t begin = clock_us();
    rig_generate("acme", "a", KEY_TYPE_EC_P256, 0);
    uint64_t took = clock_us() - begin;
    assert_true(took >= 1900000 && took < 10000000);
    assert_int_equal(rig.ends[2].keys, 1);
    rig_pump(50, NULL);
    assert_int_equal(rig.overdue, 1);
    assert_int_equal(rig.overdue_proc, PROC_SIGNER);
    assert_int_equal(rig.overdue_index, 5);
    assert_int_equal(rig.overdue_generation, 9);
    rig_stop();
}

/* One that dies while it is waited for counts as done. */
static void one_that_dies(void **state)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);

    (void)state;
    rig_serve();
    rig_connect(1, PROC_SIGNER, 0, 1);
    rig.ends[1].mute = true;
    rig_tenant("acme");
    body.tenant = (char *)"acme";
    body.name = (char *)"a";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    while (rig.ends[1].keys == 0 && !rig.over)
        rig_pump(5, NULL);
    uint64_t begin = clock_us();
    chan_close(&rig.ends[1].chan);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY);
    assert_true(clock_us() - begin < 1500000);
    assert_int_equal(rig.overdue, 0);
    rig_stop();
}

/* While it waits for one, the others are read: a status in between is answered at once. */
static void others_are_served_meanwhile(void **state)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);
    uint32_t figures[3];
    char words[8192];

    (void)state;
    rig_serve();
    rig_connect(1, PROC_SIGNER, 0, 1);
    rig.ends[1].mute = true;
    rig_tenant("acme");
    body.tenant = (char *)"acme";
    body.name = (char *)"a";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    while (rig.ends[1].keys == 0 && !rig.over)
        rig_pump(5, NULL);
    rig_stats(figures, words, sizeof(words));
    assert_int_equal(figures[1], 1);
    assert_null(rig.answer); /* and the verb still waits */
    assert_non_null(rig_answer());
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(told_to_everyone),
        RIG_TEST(who_comes_late_is_told),
        RIG_TEST(old_keys_are_not_told_again),
        RIG_TEST(one_that_says_nothing),
        RIG_TEST(one_that_dies),
        RIG_TEST(others_are_served_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
