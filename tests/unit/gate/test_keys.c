/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys: what the custodian says about one counts from the moment that the gate has confirmed it.
 */
#include "tests/unit/gate/rig.h"

#include <stdio.h>
#include <unistd.h>

#define EXIT_BROKEN 70

static struct rig r;

static int tear_down(void **state)
{
    (void)state;
    return rig_down(&r);
}

static void up(void)
{
    struct limits limits = rig_limits();

    rig_up(&r, PROC_GATE_SIGNING, &limits);
    rig_custodian(&r, 1);
    rig_stats(&r);
}

static void tell(const struct table_key *key, uint64_t version)
{
    chan_put(&r.custodian, MSG_KEY);
    put_u64(&r.custodian, version);
    table_put_msg(&r.custodian, key);
    rig_send(&r.custodian);
}

static void confirmed(const struct table_key *key, uint64_t version)
{
    struct msg m = rig_expect(&r.custodian, MSG_KEY_DONE);
    uint8_t id[KEY_ID_LEN];
    struct err err;

    assert_int_equal(rd_u64(&m.body), version);
    rd_copy(&m.body, id, sizeof(id));
    msg_get_err(&m, &err);
    msg_end(&m, &r.custodian);
    assert_memory_equal(id, key->id, sizeof(id));
    assert_int_equal(err.code, ERR_NONE);
}

static void change(uint8_t number, uint64_t version, enum key_state key_state)
{
    struct table_key key = rig_key(number);

    key.version = version;
    key.state = key_state;
    tell(&key, version);
    confirmed(&key, version);
}

static void works(struct client *c, uint8_t number)
{
    client_sign(c, 1, number, 0, "m");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    assert_int_equal(ask.key, number);
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 1, "m");
}

static void a_new_key_works(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, 50, 0, "m");
    client_refused(c, 1, ERR_NOT_FOUND, "3232");
    change(50, 100, KEY_ENABLED);
    works(c, 50);
}

static void a_key_that_is_taken_away_is_refused(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    works(c, KEY_EC);
    change(KEY_EC, 100, KEY_MISSING);
    client_sign(c, 2, KEY_EC, 0, "m");
    client_refused(c, 2, ERR_UNAVAILABLE, "does not show this key");
    assert_true(rig_quiet(&r, &r.signers[0]));
    works(c, KEY_RSA); /* no other one is */
    change(KEY_EC, 101, KEY_ENABLED);
    works(c, KEY_EC);
    change(KEY_EC, 102, KEY_DISABLED);
    client_sign(c, 3, KEY_EC, 0, "m");
    client_refused(c, 3, ERR_CONFLICT, "disabled");
    change(KEY_EC, 103, KEY_DESTROYED);
    client_sign(c, 4, KEY_EC, 0, "m");
    client_refused(c, 4, ERR_NOT_FOUND, "destroyed");
    assert_true(rig_quiet(&r, &r.signers[0]));
}

/* News that come late change nothing. */
static void an_older_version_is_ignored(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    change(KEY_EC, 100, KEY_MISSING);
    change(KEY_EC, 99, KEY_ENABLED);
    client_sign(c, 2, KEY_EC, 0, "m");
    client_refused(c, 2, ERR_UNAVAILABLE, "does not show this key");
    rig_table(&r); /* of version 1 */
    rig_stats(&r);
    client_sign(c, 3, KEY_EC, 0, "m");
    client_refused(c, 3, ERR_UNAVAILABLE, "does not show this key");
    works(c, KEY_RSA);
}

static void a_custodian_may_be_replaced(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    works(c, KEY_EC); /* without one nothing changes for frontends */
    chan_close(&r.custodian);
    works(c, KEY_EC);
    rig_custodian(&r, 2);
    change(60, 100, KEY_ENABLED);
    works(c, 60);
    rig_custodian(&r, 3); /* before the end of the last one was seen */
    change(61, 101, KEY_ENABLED);
    works(c, 61);
}

/* Far more than a socket holds: all are confirmed, though the custodian does not read meanwhile. */
static void many_are_confirmed(void **state)
{
    enum { MANY = 6000 };
    struct table_key key = rig_key(70);

    (void)state;
    up();
    for (uint32_t i = 0; i < MANY; i++) {
        memcpy(key.id, &i, sizeof(i));
        key.version = 100 + i;
        chan_put(&r.custodian, MSG_KEY);
        put_u64(&r.custodian, key.version);
        table_put_msg(&r.custodian, &key);
        chan_end(&r.custodian);
    }
    while (chan_pending(&r.custodian))
        assert_true(chan_flush(&r.custodian));
    client_alive(rig_client(&r));
    for (uint32_t i = 0; i < MANY; i++) {
        memcpy(key.id, &i, sizeof(i));
        confirmed(&key, 100 + i);
    }
}

/* A number that is no type of ours must not lead anywhere. */
static void a_type_that_there_is_not(void **state)
{
    struct table_key key = rig_key(80);

    (void)state;
    up();
    key.version = 100;
    key.type = 255;
    tell(&key, 100);
    confirmed(&key, 100);
    struct client *c = rig_client(&r);
    works(c, 80);
    works(c, KEY_EC);
}

/* A news that is cut short, or has more behind it, is a custodian that was taken over. */
static void nonsense_ends_the_gate(void **state)
{
    struct table_key key = rig_key(80);

    (void)state;
    for (int more = 0; more < 2; more++) {
        up();
        chan_put(&r.custodian, MSG_KEY);
        put_u64(&r.custodian, 100);
        if (more) {
            table_put_msg(&r.custodian, &key);
            put_u8(&r.custodian, 0);
        }
        rig_send(&r.custodian);
        assert_int_equal(rig_wait(&r), EXIT_BROKEN);
        if (!more)
            assert_int_equal(rig_down(&r), 0);
    }
}

/* The control gate hears it on the channel that requests go to. */
static void the_control_gate_hears_it_too(void **state)
{
    struct limits limits = rig_limits();
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__GetPublicKey get = KEYD__V1__GET_PUBLIC_KEY__INIT;
    struct table_key key = rig_key(90);

    (void)state;
    rig_up(&r, PROC_GATE_CONTROL, &limits);
    struct client *c = rig_client(&r);
    get.key_id = (ProtobufCBinaryData){.data = key.id, .len = sizeof(key.id)};
    e.id = 1;
    e.body_case = KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY;
    e.get_public_key = &get;
    client_send(c, &e);
    client_refused(c, 1, ERR_NOT_FOUND, "no key that you may use has the id");
    change(90, 100, KEY_ENABLED);
    client_send(c, &e);
    client_expect(c, 1, KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY_REPLY);
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_new_key_works),
        T(a_key_that_is_taken_away_is_refused),
        T(an_older_version_is_ignored),
        T(a_custodian_may_be_replaced),
        T(many_are_confirmed),
        T(a_type_that_there_is_not),
        T(nonsense_ends_the_gate),
        T(the_control_gate_hears_it_too),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
