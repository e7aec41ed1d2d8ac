/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <unistd.h>

/* Whatever the gate lets pass, the custodian asks the table again. */
static void the_second_wall(void **state)
{
    static const enum role no[] = {ROLE_NONE, ROLE_FRONTEND, ROLE_TENANT, (enum role)3,
                                   (enum role)0x80000001};
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(e, TENANTS_ADD, tenants_add, &body);

    (void)state;
    rig_serve();
    body.tenant = (char *)"acme";
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        rig_ask(&e, no[i], WAIT_MS);
        assert_non_null(rig_answer());
        assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_ERROR);
        assert_int_equal(rig.answer->error->code, ERR_DENIED);
    }
    rig_tenant("acme"); /* it was not added */
    rig_stop();
}

static void what_it_does_not_serve(void **state)
{
    Keyd__V1__Ping ping = KEYD__V1__PING__INIT;
    Keyd__V1__Status status = KEYD__V1__STATUS__INIT;
    Keyd__V1__PingReply reply = KEYD__V1__PING_REPLY__INIT;
    REQUEST(a, PING, ping, &ping);
    REQUEST(b, STATUS, status, &status);
    REQUEST(c, PING_REPLY, ping_reply, &reply);
    envelope nothing = KEYD__V1__ENVELOPE__INIT;

    (void)state;
    rig_serve();
    rig_refused(&a, ERR_INTERNAL, "ping is not served by the custodian");
    rig_refused(&b, ERR_INTERNAL, "status is not served by the custodian");
    rig_refused(&c, ERR_UNSUPPORTED, "no request that keyd");
    rig_refused(&nothing, ERR_UNSUPPORTED, "asks for nothing");
    rig_stop();
}

static void too_late(void **state)
{
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(e, TENANTS_ADD, tenants_add, &body);

    (void)state;
    rig_serve();
    body.tenant = (char *)"acme";
    rig_ask(&e, ROLE_OPERATOR, 0);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->error->code, ERR_DEADLINE);
    rig_tenant("acme"); /* it was not added */
    rig_stop();
}

/* A gate that was replaced gets no answers for its predecessor, and nobody waits for them. */
static void another_gate(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    for (uint32_t generation = 2; generation < 6; generation++) {
        rig_connect(0, PROC_GATE_CONTROL, 0, generation);
        assert_null(rig_show("acme/www"));
    }
    rig_stop();
}

/* Requests that come while one is served wait; all are answered, in their order. */
static void many_at_once(void **state)
{
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(e, TENANTS_ADD, tenants_add, &body);
    char name[16];

    (void)state;
    rig_serve();
    rig_tenant("first"); /* what a new gate is told was read */
    body.tenant = name;
    for (unsigned i = 0; i < 300; i++) { /* the first ones are asked, the last is waited for */
        snprintf(name, sizeof(name), "t%u", i);
        e.id = 5000 + i;
        uint8_t packed[64];
        size_t len = keyd__v1__envelope__pack(&e, packed);
        chan_put(&rig.ends[0].chan, MSG_REQUEST);
        put_u64(&rig.ends[0].chan, i);
        put_str(&rig.ends[0].chan, "ops");
        put_u32(&rig.ends[0].chan, ROLE_OPERATOR);
        put_str(&rig.ends[0].chan, "");
        put_u32(&rig.ends[0].chan, WAIT_MS);
        put_bytes(&rig.ends[0].chan, packed, len);
        chan_end(&rig.ends[0].chan);
    }
    unsigned answered = 0, busy = 0;
    while (answered < 300) {
        struct err err;
        struct msg m;
        if (!chan_flush(&rig.ends[0].chan) || chan_read(&rig.ends[0].chan, &err) != CHAN_OPEN)
            fail_msg("the custodian is gone");
        while (chan_next(&rig.ends[0].chan, &m)) {
            uint64_t call = rd_u64(&m.body);
            size_t len;
            const uint8_t *p = msg_get_bytes(&m, &len);
            msg_end(&m, &rig.ends[0].chan);
            arena_reset(&rig.arena);
            const envelope *a = frame_decode(&rig.arena, p, len, &err);
            assert_non_null(a);
            assert_int_equal(a->id, 5000 + call);
            if (a->body_case == KEYD__V1__ENVELOPE__BODY_ERROR) {
                assert_int_equal(a->error->code, ERR_BUSY);
                assert_true(a->error->retry_after_ms > 0);
                busy++;
            }
            answered++;
        }
        usleep(500);
    }
    assert_true(busy <= 300 - 256);
    rig_stop();
}

/* ---- what takes away goes first */

static char old_id[KEY_ID_HEX_LEN + 1];

/* One request of a row: G, D, E, O, S, L: generate, disable, enable, destroy, show, tenants-list;
 * and its key, "+": by the id of acme/old, "-": an id that nobody has. */
static void put_request(uint64_t call, char verb, const char *key)
{
    Keyd__V1__KeysGenerate generate = KEYD__V1__KEYS_GENERATE__INIT;
    Keyd__V1__KeysDisable disable = KEYD__V1__KEYS_DISABLE__INIT;
    Keyd__V1__KeysEnable enable = KEYD__V1__KEYS_ENABLE__INIT;
    Keyd__V1__KeysDestroy destroy = KEYD__V1__KEYS_DESTROY__INIT;
    Keyd__V1__KeysShow show = KEYD__V1__KEYS_SHOW__INIT;
    Keyd__V1__TenantsList list = KEYD__V1__TENANTS_LIST__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    uint8_t packed[256];

    if (*key == '-')
        key = "0123456789abcdef";
    if (*key == '+')
        key = old_id;
    generate.tenant = (char *)"acme";
    generate.name = (char *)key + strlen("acme/") * (strchr(key, '/') != NULL);
    generate.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    disable.key = enable.key = destroy.key = show.key = (char *)key;
    e.id = call;
    switch (verb) {
    case 'G':
        e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE;
        e.keys_generate = &generate;
        break;
    case 'D':
        e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE;
        e.keys_disable = &disable;
        break;
    case 'E':
        e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE;
        e.keys_enable = &enable;
        break;
    case 'O':
        e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY;
        e.keys_destroy = &destroy;
        break;
    case 'S':
        e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_SHOW;
        e.keys_show = &show;
        break;
    default:
        e.body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_LIST;
        e.tenants_list = &list;
    }
    size_t len = keyd__v1__envelope__pack(&e, packed);
    assert_true(len <= sizeof(packed));
    struct chan *c = &rig.ends[0].chan;
    chan_put(c, MSG_REQUEST);
    put_u64(c, call);
    put_str(c, "ops");
    put_u32(c, ROLE_OPERATOR);
    put_str(c, "");
    put_u32(c, WAIT_MS);
    put_bytes(c, packed, len);
    chan_end(c);
}

static void what_takes_away_goes_first(void **state)
{
    static const struct {
        const char *what;
        const char *asks; /* verb and key, blanks between */
        const char *order;
    } rows[] = {
        {"before what makes", "Gacme/a Dacme/old", "21"},
        {"before lists", "L Gacme/b Eacme/old", "123"},
        {"in their order", "Gacme/c Dacme/old Dacme/old L Dacme/old", "23514"},
        {"not before its own making", "Gacme/d Oacme/d", "12"},
        {"nor does another", "Gacme/e Oacme/e Dacme/old", "312"},
        {"nor before another word about it", "Sacme/old Gacme/f Dacme/old", "132"},
        {"whatever it is called", "Eacme/old Gacme/g D+", "132"},
        {"not when nobody knows", "Gacme/h D- L", "12!3"},
    };

    (void)state;
    rig_serve();
    rig_tenant("acme");
    hex_encode(rig_generate("acme", "old", KEY_TYPE_EC_P256, 0)->id.data, KEY_ID_LEN, old_id);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char asks[128], *rest = asks;
        uint64_t call = 0;

        snprintf(asks, sizeof(asks), "%s", rows[i].asks);
        for (char *word; (word = strsep(&rest, " "));)
            put_request(1000 + ++call, word[0], word + 1);
        assert_true(chan_flush(&rig.ends[0].chan)); /* in one piece: it reads all, then serves */
        rig_hear(call);
        if (strcmp(rig.order, rows[i].order) != 0)
            fail_msg("%s: %s instead of %s", rows[i].what, rig.order, rows[i].order);
    }
    assert_int_equal(rig_show("acme/old")->state, KEYD__V1__KEY_STATE__KEY_STATE_DISABLED);
    assert_null(rig_show("acme/d"));
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_second_wall), RIG_TEST(what_it_does_not_serve),
        RIG_TEST(too_late),        RIG_TEST(another_gate),
        RIG_TEST(many_at_once),    RIG_TEST(what_takes_away_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
