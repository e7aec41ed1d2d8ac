/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of management: tenants.c, keys.c, objects.c, status.c.
 */
#include <string.h>

#include "tests/unit/libkeyd/fixture.h"

/* In one page, in pages of one, in pages of two. */
static const uint32_t pages[] = {0, 1, 2};

static void test_tenants(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_OK);
    for (size_t i = 0; i < 3; i++) {
        struct keyd_tenant *t = NULL;
        size_t n = 0;

        server_set(s, &(struct server_knobs){.page = pages[i]});
        assert_int_equal(keyd_tenants_list(c, &t, &n, &error), KEYD_OK);
        assert_int_equal(n, 3);
        assert_string_equal(t[0].name, "acme");
        assert_int_equal(t[0].keys, 2);
        assert_int_equal(t[0].created, 1700000000);
        assert_string_equal(t[1].name, "empty");
        assert_string_equal(t[2].name, "zeta");
        keyd_tenants_free(t, n);
    }
    struct keyd_tenant *none = NULL;
    size_t n = 9;
    server_set(s, &(struct server_knobs){.nonsense = NONSENSE_EMPTY});
    assert_int_equal(keyd_tenants_list(c, &none, &n, &error), KEYD_OK);
    assert_int_equal(n, 0);
    keyd_tenants_free(none, n);
    keyd_tenants_free(NULL, 0);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_keys(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    struct keyd_key *k = NULL;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        server_set(s, &(struct server_knobs){.page = pages[i]});
        assert_int_equal(keyd_keys_list(c, NULL, &k, &n, &error), KEYD_OK);
        assert_int_equal(n, 3);
        assert_string_equal(k[0].name, "api");
        assert_int_equal(k[0].state, KEYD_KEY_MISSING);
        assert_string_equal(k[2].tenant, "zeta");
        assert_int_equal(k[2].type, KEYD_KEY_ED25519);
        assert_null(k[1].spki);
        assert_null(k[1].cka_id);
        assert_memory_equal(k[1].id, server_key_id(), KEYD_KEY_ID_LEN);
        keyd_keys_free(k, n);
    }
    server_set(s, &(struct server_knobs){0});
    assert_int_equal(keyd_keys_list(c, "acme", &k, &n, &error), KEYD_OK);
    assert_int_equal(n, 2);
    keyd_keys_free(k, n);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_one_key(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    static const char *const names[] = {"www.example.com", ".example.org"};
    const struct keyd_key_rules rules = {2, names, 2};
    struct keyd_key *k = NULL;
    size_t len;
    const uint8_t *spki = server_spki(&len);

    (void)state;
    assert_int_equal(keyd_keys_show(c, "acme/www", &k, &error), KEYD_OK);
    assert_int_equal(k->spki_len, len);
    assert_memory_equal(k->spki, spki, len);
    assert_int_equal(k->cka_id_len, 6);
    assert_int_equal(k->purposes, 1 | 4 | 8);
    keyd_keys_free(k, 1);
    k = NULL;
    assert_int_equal(keyd_keys_show(c, "acme/no", &k, &error), KEYD_NOT_FOUND);
    assert_null(k);
    assert_int_equal(keyd_keys_generate(c, "acme", "new", KEYD_KEY_RSA_3072, &rules, &k, &error),
                     KEYD_OK);
    assert_string_equal(k->name, "new");
    assert_int_equal(k->type, KEYD_KEY_RSA_3072);
    assert_int_equal(k->purposes, 2);
    assert_int_equal(k->allowed_name_count, 2);
    assert_string_equal(k->allowed_names[0], "www.example.com");
    assert_string_equal(k->allowed_names[1], ".example.org");
    keyd_keys_free(k, 1);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_csr(void **state)
{
    static const char *const sans[] = {"www.example.com", "*.example.com"};
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    char *pem = NULL;

    (void)state;
    assert_int_equal(keyd_create_csr(c, "acme/www", "CN=x", sans, 2, &pem, &error), KEYD_OK);
    assert_non_null(strstr(pem, "CN=x [www.example.com][*.example.com]"));
    keyd_free(pem);
    pem = NULL;
    assert_int_equal(keyd_create_csr(c, "acme/www", "CN=x", NULL, 0, &pem, &error), KEYD_OK);
    keyd_free(pem);
    pem = NULL;
    assert_int_equal(keyd_create_csr(c, "acme/no", "CN=x", sans, 2, &pem, &error), KEYD_NOT_FOUND);
    assert_null(pem);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_objects(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct keyd_object *o = NULL;
        size_t n = 0;

        server_set(s, &(struct server_knobs){.page = pages[i]});
        assert_int_equal(keyd_token_objects(c, &o, &n, &error), KEYD_OK);
        assert_int_equal(n, 2);
        assert_string_equal(o[0].cls, "CKO_PRIVATE_KEY");
        assert_string_equal(o[0].key, "acme/www");
        assert_int_equal(o[0].cka_id_len, 6);
        assert_int_equal(o[0].attribute_count, 4);
        assert_string_equal(o[0].attributes[1].name, "CKA_SENSITIVE");
        assert_string_equal(o[0].attributes[1].value, "true");
        assert_string_equal(o[1].key, "");
        assert_null(o[1].cka_id);
        keyd_objects_free(o, n);
    }
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_status(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    struct keyd_status *st = NULL;

    (void)state;
    assert_int_equal(keyd_status(c, &st, &error), KEYD_OK);
    assert_string_equal(st->version, "0.1.0");
    assert_int_equal(st->process_count, 3);
    assert_int_equal(st->processes[0].pid, 4711);
    assert_int_equal(st->processes[0].failed, 47);
    assert_false(st->processes[0].silent);
    assert_true(st->processes[1].silent);
    assert_string_equal(st->processes[2].last_exit, "killed by SIGKILL");
    assert_int_equal(st->scheme_count, 2);
    assert_int_equal(st->schemes[0].scheme, 0x0403);
    assert_string_equal(st->schemes[0].name, "ecdsa_secp256r1_sha256");
    assert_int_equal(st->schemes[0].total, 123456);
    assert_float_equal(st->schemes[0].per_second_10s, 154.32, 0.001);
    assert_float_equal(st->schemes[0].per_second_60s, 77.16, 0.001);
    assert_int_equal(st->schemes[1].p50_us, 44);
    assert_int_equal(st->schemes[1].p90_us, 58);
    assert_int_equal(st->schemes[1].p99_us, 1216);
    assert_int_equal(st->exit_count, 1);
    assert_string_equal(st->exits[0].process, "custodian");
    assert_int_equal(st->exits[0].at, 1700000000);
    assert_string_equal(st->exits[0].why, "killed by SIGKILL");
    assert_string_equal(st->token.label, "keyd");
    assert_int_equal(st->token.key_type_count, 2);
    assert_string_equal(st->token.key_types[1], "ec-p256");
    assert_int_equal(st->token.note_count, 1);
    assert_int_equal(st->queue.signed_total, 123456);
    assert_int_equal(st->keys_missing, 1);
    keyd_status_free(st);
    /* A custodian or gate that is away leaves holes: they read as empty. */
    server_set(s, &(struct server_knobs){.nonsense = NONSENSE_EMPTY});
    assert_int_equal(keyd_status(c, &st, &error), KEYD_OK);
    assert_string_equal(st->version, "");
    assert_int_equal(st->process_count, 0);
    assert_int_equal(st->scheme_count, 0);
    assert_int_equal(st->exit_count, 0);
    assert_string_equal(st->token.label, "");
    assert_int_equal(st->queue.waiting, 0);
    keyd_status_free(st);
    keyd_status_free(NULL);
    keyd_client_free(c);
    server_stop(s, true);
}

/* Lists that never end, keys without an id. */
static void test_lies(void **state)
{
    struct server *s =
        new_server(&(struct server_knobs){.endless = true, .nonsense = NONSENSE_EMPTY});
    struct keyd_client *c = new_client(4 * LATE_MS);
    struct keyd_error error;
    struct keyd_tenant *t = NULL;
    struct keyd_object *o = NULL;
    struct keyd_key *k = NULL;
    size_t n;

    (void)state;
    assert_int_equal(keyd_tenants_list(c, &t, &n, &error), KEYD_INTERNAL);
    assert_int_equal(keyd_token_objects(c, &o, &n, &error), KEYD_INTERNAL);
    assert_int_equal(keyd_keys_list(c, NULL, &k, &n, &error), KEYD_INTERNAL);
    assert_int_equal(keyd_keys_show(c, "acme/www", &k, &error), KEYD_INTERNAL);
    assert_null(t);
    assert_null(o);
    assert_null(k);
    keyd_client_free(c);
    server_stop(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tenants), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_one_key), cmocka_unit_test(test_csr),
        cmocka_unit_test(test_objects), cmocka_unit_test(test_status),
        cmocka_unit_test(test_lies),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
