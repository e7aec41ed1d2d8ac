/* SPDX-License-Identifier: Apache-2.0
 *
 * A keyd elsewhere: whom the client believes, what it says when it is not believed, deadlines,
 * broken connections, forks and threads; and that an application which uses OpenSSL notices none of
 * it.
 */
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/certs/certs.h"
#include "tests/unit/libkeyd/fixture.h"
#include "tests/unit/libkeyd/front.h"

struct world {
    struct server *server;
    struct front *front;
};

static struct world world_begin(bool mute)
{
    struct world w = {.server = new_server(NULL)};

    w.front = front_start(scratch_path("keyd.sock"), mute);
    return w;
}

static void world_end(struct world *w)
{
    front_stop(w->front);
    server_stop(w->server, true);
}

static struct keyd_options options(struct world *w, const char *name)
{
    static char files[2][64];

    snprintf(files[0], sizeof(files[0]), "%s.crt", name);
    snprintf(files[1], sizeof(files[1]), "%s.key", name);
    return (struct keyd_options){.endpoint = front_endpoint(w->front, "127.0.0.1"),
                                 .deadline_ms = LATE_MS,
                                 .certificate = certs_path(files[0]),
                                 .key = certs_path(files[1]),
                                 .ca = certs_path("ca.pem")};
}

static struct keyd_client *client_of(const struct keyd_options *o)
{
    struct keyd_client *c = NULL;
    struct keyd_error error;

    if (keyd_client_open(&c, o, &error) != KEYD_OK)
        fail_msg("keyd_client_open: %s", error.message);
    return c;
}

static void test_signs(void **state)
{
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "client");
    struct keyd_client *c = client_of(&o);

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(front_accepted(w.front), 1);
    keyd_client_free(c);
    o.endpoint = front_endpoint(w.front, "localhost"); /* by name, which is looked up */
    c = client_of(&o);
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    keyd_client_free(c);
    world_end(&w);
}

/* A batch whose answers come in more bytes than one read takes. */
static void test_batch(void **state)
{
    static struct keyd_sign_item items[64];
    static const uint8_t message[100];
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "client");
    struct keyd_client *c = client_of(&o);

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        items[i] = (struct keyd_sign_item){
            .scheme = 0x0403, .message = message, .message_len = sizeof(message)};
        memcpy(items[i].key_id, server_key_id(), KEYD_KEY_ID_LEN);
    }
    assert_int_equal(keyd_sign_batch(c, items, 64, NULL), KEYD_OK);
    for (size_t i = 0; i < 64; i++)
        assert_true(server_verifies(message, sizeof(message), items[i].sig, items[i].sig_len));
    keyd_client_free(c);
    world_end(&w);
}

static void test_not_believed(void **state)
{
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "stranger");
    struct keyd_error error;
    struct keyd_client *c = client_of(&o);

    (void)state;
    uint64_t begun = now_ms();
    assert_int_equal(sign_once(c, &error), KEYD_DENIED);
    assert_non_null(strstr(error.message, "keyd refuses the certificate of this client"));
    keyd_client_free(c);
    o = options(&w, "client");
    o.ca = certs_path("other.pem");
    c = client_of(&o);
    assert_int_equal(sign_once(c, &error), KEYD_DENIED);
    assert_non_null(strstr(error.message, "is not to be believed"));
    keyd_client_free(c);
    o = options(&w, "client");
    o.endpoint = front_endpoint(w.front, "127.0.0.2"); /* it has a certificate for 127.0.0.1 */
    c = client_of(&o);
    assert_int_not_equal(sign_once(c, &error), KEYD_OK);
    keyd_client_free(c);
    assert_true(now_ms() - begun < 3 * LATE_MS);
    world_end(&w);
}

static void test_bad_options(void **state)
{
    struct world w = world_begin(false);
    struct keyd_client *c = NULL;
    struct keyd_error error;
    const struct {
        struct keyd_options o;
        int code;
        const char *says;
    } rows[] = {
        {{.endpoint = "tls:127.0.0.1:7443"}, KEYD_BAD_REQUEST, "whom to believe"},
        {{.endpoint = "tls:127.0.0.1"}, KEYD_BAD_REQUEST, "no endpoint"},
        {{.endpoint = "tls:::1:7443"}, KEYD_BAD_REQUEST, "no endpoint"},
        {{.endpoint = "tls:host:74x3"}, KEYD_BAD_REQUEST, "no endpoint"},
        {{.endpoint = "keyd.sock"}, KEYD_BAD_REQUEST, "not absolute"},
        {{.endpoint = "tls:h:1", .ca = certs_path("server.key")},
         KEYD_BAD_REQUEST,
         "no authorities"},
        {{.endpoint = "tls:h:1", .ca = certs_path("ca.pem"), .key = certs_path("client.key")},
         KEYD_BAD_REQUEST,
         "one is missing"},
        {{.endpoint = "tls:h:1",
          .ca = certs_path("ca.pem"),
          .certificate = certs_path("client.crt"),
          .key = certs_path("server.key")},
         KEYD_BAD_REQUEST,
         "not the key"},
        {{.endpoint = "unix:/tmp/x", .token = "secret"}, KEYD_BAD_REQUEST, "API token is none"},
        {{.endpoint = "unix:/tmp/x", .token_file = certs_path("nothing")}, KEYD_STORAGE, "nothing"},
        {{.endpoint = "unix:/tmp/x", .token_file = certs_path("client.crt")}, KEYD_DENIED, "mode"},
    };

    (void)state;
    chmod(certs_path("client.crt"), 0644);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int code = keyd_client_open(&c, &rows[i].o, &error);

        if (code != rows[i].code || !strstr(error.message, rows[i].says))
            fail_msg("row %zu: %d: %s", i, code, error.message);
        assert_null(c);
    }
    world_end(&w);
}

static void test_deadline(void **state)
{
    struct world w = world_begin(true);
    struct keyd_options o = options(&w, "client");
    struct keyd_error error;

    (void)state;
    o.deadline_ms = 200;
    struct keyd_client *c = client_of(&o);
    uint64_t begun = now_ms();
    assert_int_equal(sign_once(c, &error), KEYD_UNAVAILABLE);
    assert_true(now_ms() - begun >= 150);
    assert_true(now_ms() - begun < LATE_MS);
    keyd_client_free(c);
    front_break(w.front);
    world_end(&w);
}

/* keyd restarts; and no SIGPIPE, which this test does not ignore. */
static void test_heals(void **state)
{
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "client");
    struct keyd_client *c = client_of(&o);

    (void)state;
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sign_once(c, NULL), KEYD_OK);
        front_break(w.front);
    }
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(front_accepted(w.front), 6);
    keyd_client_free(c);
    world_end(&w);
}

static int child_signs(void *arg)
{
    int code = sign_once(arg, NULL);

    keyd_client_free(arg);
    return code;
}

/* The child has a connection of its own, and the parent's goes on as if nothing was. */
static void test_fork(void **state)
{
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "client");
    struct keyd_client *c = client_of(&o);

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(sign_once(c, NULL), KEYD_OK);
        in_child(child_signs, c);
        assert_int_equal(front_accepted(w.front), 2 + i);
    }
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(front_accepted(w.front), 6); /* one is the parent's, still */
    keyd_client_free(c);
    world_end(&w);
}

static void *sign_many(void *arg)
{
    size_t failed = 0;

    for (int i = 0; i < 50; i++)
        failed += sign_once(arg, NULL) != KEYD_OK;
    return (void *)failed;
}

static void test_threads(void **state)
{
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "client");
    struct keyd_client *c = client_of(&o);
    pthread_t threads[6];
    void *failed;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, c), 0);
    for (size_t i = 0; i < 6; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(front_accepted(w.front) <= 6);
    keyd_client_free(c);
    world_end(&w);
}

/* What the application has on its error queue is not taken for ours; none of ours is left there. */
static void test_error_queue(void **state)
{
    struct world w = world_begin(false);
    struct keyd_options o = options(&w, "client");
    struct keyd_client *c = client_of(&o);

    (void)state;
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 42);
    front_break(w.front);
    ERR_raise(ERR_LIB_SSL, 42);
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    front_stop(w.front);
    w.front = front_start(scratch_path("keyd.sock"), false); /* at another port */
    ERR_clear_error();
    assert_int_not_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(ERR_get_error(), 0);
    keyd_client_free(c);
    world_end(&w);
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* for the front */
    certs_make();
    return 0;
}

static int done(void **state)
{
    certs_done();
    return fixture_done(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs),        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_not_believed), cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_deadline),     cmocka_unit_test(test_fork),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_error_queue),
        cmocka_unit_test(test_heals),
    };

    return cmocka_run_group_tests(tests, set_up, done);
}
