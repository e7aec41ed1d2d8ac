/* SPDX-License-Identifier: Apache-2.0
 *
 * The provider as a guest in other people's processes: settings, a keyd that is away, busy or
 * silent, forks, threads, two library contexts.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "tests/unit/provider/support.h"

#define DEADLINE_MS 1500 /* as in support.c */

static const uint8_t message[] = "a message";

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One ECDSA signature with this key; true if it was made and verifies. */
static bool sign(struct world *w, EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
    uint8_t sig[128];
    size_t len = sizeof(sig);
    bool ok = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", w->ctx, NULL, key, NULL) > 0 &&
              EVP_DigestSign(ctx, sig, &len, message, sizeof(message)) > 0 &&
              EVP_DigestVerifyInit_ex(verify, NULL, "SHA256", NULL, NULL, w->keys[P256_KEY].key,
                                      NULL) > 0 &&
              EVP_DigestVerify(verify, sig, len, message, sizeof(message)) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(verify);
    return ok;
}

/* ---- settings */

static void test_names_itself(void **state)
{
    struct world *w = *state;
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(w->ctx, "keyd");
    const char *name = NULL, *version = NULL;
    int status = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_NAME, (char **)&name, 0),
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_VERSION, (char **)&version, 0),
        OSSL_PARAM_construct_int(OSSL_PROV_PARAM_STATUS, &status),
        OSSL_PARAM_construct_end(),
    };

    assert_non_null(provider);
    assert_true(OSSL_PROVIDER_get_params(provider, params));
    assert_string_equal(version, KEYD_VERSION);
    assert_non_null(strstr(name, "keyd"));
    assert_int_equal(status, 1);
    assert_quiet();
    OSSL_PROVIDER_unload(provider);
}

static bool loads_with(struct world *w, const char *lines)
{
    char conf[160];
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();

    snprintf(conf, sizeof(conf), "%s/other.cnf", w->dir);
    write_conf(conf, lines);
    bool ok = OSSL_LIB_CTX_load_config(ctx, conf) && OSSL_PROVIDER_available(ctx, "keyd");
    OSSL_LIB_CTX_free(ctx);
    return ok;
}

static void test_settings(void **state)
{
    struct world *w = *state;
    char lines[300], longest[200];
    static const struct {
        const char *lines;
        bool loads;
    } all[] = {
        {"", true}, /* the system's socket, which need not be there */
        {"socket = /nowhere/at/all/keyd.sock\n", true},
        {"deadline_ms = 1\n", true},
        {"deadline_ms = 60000\n", true},
        {"some_other = setting\n", true},
        {"deadline_ms = 0\n", false},
        {"deadline_ms = 60001\n", false},
        {"deadline_ms = -1\n", false},
        {"deadline_ms = 2s\n", false},
        {"deadline_ms = 99999999999999999999999\n", false},
        {"socket = keyd.sock\n", false},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        bool loads = loads_with(w, all[i].lines);

        if (loads != all[i].loads)
            print_error("%s", all[i].lines);
        assert_int_equal(loads, all[i].loads);
        ERR_clear_error();
    }
    memset(longest, 'x', sizeof(longest));
    snprintf(lines, sizeof(lines), "socket = /%.107s\n", longest); /* 108 bytes: one too many */
    assert_false(loads_with(w, lines));
    ERR_clear_error();
    snprintf(lines, sizeof(lines), "socket = /%.106s\n", longest);
    assert_true(loads_with(w, lines));
    assert_quiet();
}

static void test_exports_one_symbol(void **state)
{
    void *so = dlopen(KEYD_SO, RTLD_NOW | RTLD_LOCAL);
    static const char *const hidden[] = {"provider_decoders", "raise_error", "key_free", "mem_new",
                                         "err_set"};

    (void)state;
    assert_non_null(so);
    assert_non_null(dlsym(so, "OSSL_provider_init"));
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
        assert_null(dlsym(so, hidden[i]));
    dlclose(so);
}

/* ---- keyd's moods */

static void test_away_and_back(void **state)
{
    struct world *w = *state;

    fake_stop(&w->fake);
    long begun = now_ms();
    EVP_PKEY *key = load_ref(w, P256_KEY);
    assert_quiet();
    assert_true(now_ms() - begun < DEADLINE_MS / 2);

    begun = now_ms();
    assert_false(sign(w, key));
    assert_true(now_ms() - begun < DEADLINE_MS + 500);
    assert_reason("keyd is not available");

    fake_start(&w->fake);
    assert_true(sign(w, key));
    assert_quiet();
    EVP_PKEY_free(key);
}

/* The connection that the client still has is dead: nobody notices. */
static void test_restart(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);

    for (int i = 0; i < 5; i++) {
        assert_true(sign(w, key));
        fake_stop(&w->fake);
        fake_start(&w->fake);
    }
    assert_true(sign(w, key));
    assert_quiet();
    EVP_PKEY_free(key);
}

static void test_one_connection_serves_many(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);

    for (int i = 0; i < 50; i++)
        assert_true(sign(w, key));
    assert_quiet();
    assert_int_equal(atomic_load(&w->fake.shared->signs), 50);
    assert_true(atomic_load(&w->fake.shared->connections) <= 1);
    EVP_PKEY_free(key);
}

static void test_busy_is_repeated(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);

    atomic_store(&w->fake.shared->busy_left, 3);
    assert_true(sign(w, key));
    assert_quiet();
    assert_int_equal(atomic_load(&w->fake.shared->signs), 4);
    EVP_PKEY_free(key);
}

static void test_always_busy(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);
    long begun = now_ms();

    atomic_store(&w->fake.shared->busy_left, 1000000);
    assert_false(sign(w, key));
    assert_true(now_ms() - begun < DEADLINE_MS + 500);
    assert_reason("keyd is busy");
    atomic_store(&w->fake.shared->busy_left, 0);
    assert_true(sign(w, key));
    assert_quiet();
    EVP_PKEY_free(key);
}

static void test_silent(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);
    long begun = now_ms();

    atomic_store(&w->fake.shared->silent, true);
    assert_false(sign(w, key));
    assert_true(now_ms() - begun >= DEADLINE_MS - 50 && now_ms() - begun < DEADLINE_MS + 500);
    assert_reason("keyd did not answer in time");
    atomic_store(&w->fake.shared->silent, false);
    assert_true(sign(w, key));
    assert_quiet();
    EVP_PKEY_free(key);
}

/* ---- forks, threads */

static int exit_code(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* As nginx: loaded and used in the master, signs in the workers, all of them at once. */
static void test_fork_after_load(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);
    pid_t workers[4];

    assert_true(sign(w, key));
    unsigned before = atomic_load(&w->fake.shared->connections);
    for (size_t i = 0; i < 4; i++) {
        workers[i] = fork();
        assert_true(workers[i] >= 0);
        if (workers[i] == 0) {
            int failed = 0;

            for (int j = 0; j < 50; j++)
                failed += !sign(w, key) || ERR_peek_error();
            _exit(failed > 100 ? 100 : failed);
        }
    }
    for (int j = 0; j < 50; j++)
        assert_true(sign(w, key));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(exit_code(workers[i]), 0);
    assert_int_equal(atomic_load(&w->fake.shared->connections) - before, 4); /* each its own */
    assert_true(sign(w, key));
    assert_quiet();
    EVP_PKEY_free(key);
}

/* A worker that ends unloads the provider: its master's connection stays. */
static void test_teardown_in_fork(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);

    assert_true(sign(w, key));
    unsigned before = atomic_load(&w->fake.shared->connections);
    pid_t worker = fork();
    if (worker == 0) {
        EVP_PKEY_free(key);
        OSSL_LIB_CTX_free(w->ctx);
        _exit(0);
    }
    assert_int_equal(exit_code(worker), 0);
    assert_true(sign(w, key));
    assert_int_equal(atomic_load(&w->fake.shared->connections), before);
    assert_quiet();
    EVP_PKEY_free(key);
}

struct thread {
    pthread_t id;
    struct world *w;
    EVP_PKEY *key;
    int failed;
};

static void *sign_often(void *arg)
{
    struct thread *t = arg;

    for (int i = 0; i < 40; i++)
        t->failed += !sign(t->w, t->key) || ERR_peek_error();
    return NULL;
}

static void test_threads(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);
    struct thread threads[8];

    for (size_t i = 0; i < 8; i++) {
        threads[i] = (struct thread){.w = w, .key = key};
        assert_int_equal(pthread_create(&threads[i].id, NULL, sign_often, &threads[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i].id, NULL);
        assert_int_equal(threads[i].failed, 0);
    }
    EVP_PKEY_free(key);
}

/* Loading, signing and unloading leave no descriptor behind. */
static void test_leaves_nothing_open(void **state)
{
    struct world *w = *state;
    int before = open("/dev/null", O_RDONLY);

    close(before); /* the lowest free number */
    for (int i = 0; i < 3; i++) {
        OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new(), *own = w->ctx;

        assert_true(OSSL_LIB_CTX_load_config(ctx, w->conf));
        EVP_PKEY *key = load_pem(ctx, w->keys[P256_KEY].ref);
        assert_non_null(key);
        w->ctx = ctx;
        assert_true(sign(w, key));
        w->ctx = own;
        EVP_PKEY_free(key);
        OSSL_LIB_CTX_free(ctx);
    }
    int after = open("/dev/null", O_RDONLY);
    close(after);
    assert_int_equal(before, after);
    assert_quiet();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names_itself),
        TEST(test_settings),
        TEST(test_exports_one_symbol),
        TEST(test_away_and_back),
        TEST(test_restart),
        TEST(test_one_connection_serves_many),
        TEST(test_busy_is_repeated),
        TEST(test_always_busy),
        TEST(test_silent),
        TEST(test_fork_after_load),
        TEST(test_teardown_in_fork),
        TEST(test_threads),
        TEST(test_leaves_nothing_open),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
