/* SPDX-License-Identifier: Apache-2.0
 *
 * What is repeated, what is not, and that every call ends in time.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/libkeyd/fixture.h"

static void test_calls_work(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    uint8_t spki[KEYD_SPKI_MAX];
    size_t len = sizeof(spki), want_len;
    const uint8_t *want = server_spki(&want_len);

    (void)state;
    assert_int_equal(keyd_ping(c, &error), KEYD_OK);
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    assert_int_equal(keyd_get_public_key(c, server_key_id(), spki, &len, &error), KEYD_OK);
    assert_int_equal(len, want_len);
    assert_memory_equal(spki, want, len);

    struct server_seen seen = server_seen(s);
    assert_int_equal(seen.connections, 1); /* kept between the calls */
    assert_int_equal(seen.requests, 3);
    assert_false(seen.early);
    assert_string_equal(seen.client, "test 1.0");
    assert_in_range(seen.deadline_ms, 1, LATE_MS);
    keyd_client_free(c);
    server_stop(s, true);
}

/* Untouched outputs, filled error; and a NULL error is fine. */
static void test_refusals_arrive(void **state)
{
    struct server *s =
        new_server(&(struct server_knobs){.fail = SERVER_ALWAYS, .fail_code = ERR_DENIED});
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    uint8_t sig[8] = "before";
    size_t len = sizeof(sig);

    (void)state;
    assert_int_equal(keyd_sign(c, server_key_id(), 0x0403, sig, 3, sig, &len, &error), KEYD_DENIED);
    assert_int_equal(error.code, KEYD_DENIED);
    assert_string_equal(error.message, "the knob says no");
    assert_string_equal(error.hint, "turn it");
    assert_int_equal(len, sizeof(sig));
    assert_string_equal((char *)sig, "before");
    assert_int_equal(keyd_ping(c, NULL), KEYD_DENIED);
    assert_int_equal(server_seen(s).requests, 2); /* a refusal is not repeated */
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_restart_between_calls(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sign_once(c, &error), KEYD_OK);
        server_stop(s, i % 2);
        s = new_server(NULL);
    }
    /* A change is safe too: that the idle connection was closed shows before anything is sent. */
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_OK);
    server_stop(s, true);
    s = new_server(NULL);
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_OK);
    assert_int_equal(server_seen(s).changes, 1);
    keyd_client_free(c);
    server_stop(s, true);
}

static void *start_later(void *arg)
{
    usleep(300000);
    *(struct server **)arg = new_server(NULL);
    return NULL;
}

/* keyd is away when the call begins, and comes back within the deadline. */
static void test_restart_during_a_call(void **state)
{
    struct keyd_client *c = new_client(2 * LATE_MS);
    struct keyd_error error;
    struct server *s = NULL;
    pthread_t starter;
    char gone[108];

    (void)state;
    assert_non_null(server_key_id());
    snprintf(gone, sizeof(gone), "%s", scratch_path("keyd.sock"));
    for (int i = 0; i < 2; i++) { /* 0: no socket; 1: a socket that nobody listens on */
        assert_int_equal(access(gone, F_OK) == 0, i == 1);
        assert_int_equal(pthread_create(&starter, NULL, start_later, &s), 0);
        assert_int_equal(sign_once(c, &error), KEYD_OK);
        pthread_join(starter, NULL);
        server_stop(s, i == 1);
    }
    keyd_client_free(c);
}

/* keyd dies with the request: who may repeat does. */
static void test_broken_connections(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    struct keyd_tenant *tenants;
    size_t count;

    (void)state;
    server_set(s, &(struct server_knobs){.drop = 3});
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    assert_int_equal(server_seen(s).requests, 4);
    server_set(s, &(struct server_knobs){.drop = 3});
    assert_int_equal(keyd_tenants_list(c, &tenants, &count, &error), KEYD_OK);
    keyd_tenants_free(tenants, count);

    server_set(s, &(struct server_knobs){.drop = 1});
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_UNAVAILABLE);
    assert_non_null(strstr(error.hint, "look before you repeat"));
    struct keyd_key *key;
    server_set(s, &(struct server_knobs){.drop = 1});
    assert_int_equal(keyd_keys_generate(c, "acme", "www", KEYD_KEY_EC_P256, NULL, &key, &error),
                     KEYD_UNAVAILABLE);
    assert_int_equal(server_seen(s).changes, 2); /* each was sent once */
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_busy(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    server_set(s, &(struct server_knobs){.fail = 3, .fail_code = ERR_BUSY, .fail_retry_ms = 5});
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    assert_int_equal(server_seen(s).requests, 4);
    assert_int_equal(server_seen(s).connections, 1);

    /* keyd does not say when to come back: the caller decides. */
    server_set(s, &(struct server_knobs){.fail = 1, .fail_code = ERR_BUSY});
    assert_int_equal(sign_once(c, &error), KEYD_BUSY);
    /* It says so, but that is too late. */
    server_set(
        s, &(struct server_knobs){.fail = 1, .fail_code = ERR_BUSY, .fail_retry_ms = 10 * LATE_MS});
    assert_int_equal(sign_once(c, &error), KEYD_BUSY);
    assert_int_equal(error.retry_after_ms, 10 * LATE_MS);
    /* A change is never repeated. */
    server_set(s,
               &(struct server_knobs){.fail = 1, .fail_code = ERR_UNAVAILABLE, .fail_retry_ms = 1});
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_UNAVAILABLE);
    assert_int_equal(server_seen(s).changes, 1);
    keyd_client_free(c);
    server_stop(s, true);
}

/* Each way of not answering, and how long the call may take. */
static void test_deadlines(void **state)
{
    static const struct {
        struct server_knobs knobs;
        int code;
    } rows[] = {
        {{.silent = true}, KEYD_DEADLINE},
        {{.delay_ms = 60000}, KEYD_DEADLINE},
        {{.hello = HELLO_FULL}, KEYD_BUSY},
        {{.drop = SERVER_ALWAYS}, KEYD_UNAVAILABLE},
        {{.fail = SERVER_ALWAYS, .fail_code = ERR_BUSY, .fail_retry_ms = 10}, KEYD_BUSY},
    };
    const uint32_t deadline_ms = 600;
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(deadline_ms);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct keyd_error error;

        server_set(s, &rows[i].knobs);
        uint64_t begun = now_ms();
        assert_int_equal(sign_once(c, &error), rows[i].code);
        uint64_t took = now_ms() - begun;
        assert_in_range(took, deadline_ms - 110, deadline_ms + LATE_MS);
    }
    keyd_client_free(c);
    server_stop(s, true);
}

/* A change whose answer is late may have been done. */
static void test_late_change(void **state)
{
    struct server *s = new_server(&(struct server_knobs){.silent = true});
    struct keyd_client *c = new_client(100);
    struct keyd_error error;

    (void)state;
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_DEADLINE);
    assert_non_null(strstr(error.hint, "look before you repeat"));
    for (uint64_t end = now_ms() + LATE_MS; server_seen(s).changes == 0 && now_ms() < end;)
        usleep(1000);
    assert_int_equal(server_seen(s).changes, 1);
    keyd_client_free(c);
    server_stop(s, true);
}

/* A handshake waits for keyd until its deadline; a person is told after a second. */
static void test_nobody_there(void **state)
{
    struct keyd_client *c = new_client(1500);
    struct keyd_error error;
    struct keyd_tenant *tenants;
    size_t count;

    (void)state;
    assert_non_null(server_key_id());
    uint64_t begun = now_ms();
    assert_int_equal(sign_once(c, &error), KEYD_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 1390, 1500 + LATE_MS);
    assert_non_null(strstr(error.message, "keyd.sock"));
    assert_string_not_equal(error.hint, "");
    keyd_client_free(c);

    c = new_client(10 * LATE_MS);
    begun = now_ms();
    assert_int_equal(keyd_tenants_list(c, &tenants, &count, &error), KEYD_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 890, LATE_MS);
    begun = now_ms();
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 890, LATE_MS);
    assert_null(strstr(error.hint, "look before")); /* nothing was sent */
    keyd_client_free(c);
}

/* A keyd that was away for a whole deadline is not waited for again, and found once it is back. */
static void test_away_for_long(void **state)
{
    struct keyd_client *c = new_client(1500);
    struct keyd_error error;

    (void)state;
    assert_non_null(server_key_id());
    assert_int_equal(sign_once(c, &error), KEYD_UNAVAILABLE);
    uint64_t begun = now_ms();
    for (int i = 0; i < 10; i++)
        assert_int_equal(sign_once(c, &error), KEYD_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 0, 1390); /* all ten in less than one deadline */
    struct server *s = new_server(NULL);
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    server_stop(s, true);
    begun = now_ms();
    assert_int_equal(sign_once(c, &error), KEYD_UNAVAILABLE);
    assert_in_range(now_ms() - begun, 1390, 1500 + LATE_MS); /* it was there: worth the wait */
    keyd_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_away_for_long),
        cmocka_unit_test(test_calls_work),
        cmocka_unit_test(test_refusals_arrive),
        cmocka_unit_test(test_restart_between_calls),
        cmocka_unit_test(test_restart_during_a_call),
        cmocka_unit_test(test_broken_connections),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_late_change),
        cmocka_unit_test(test_nobody_there),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
