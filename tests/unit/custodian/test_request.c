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

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_second_wall), RIG_TEST(what_it_does_not_serve), RIG_TEST(too_late),
        RIG_TEST(another_gate),    RIG_TEST(many_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
