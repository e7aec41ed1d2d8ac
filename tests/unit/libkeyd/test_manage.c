/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of management: tenants.c, keys.c, objects.c, status.c.
 */
#include <stdio.h>
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
        assert_int_equal(keyd_token_objects(c, &o, &n, NULL, NULL, &error), KEYD_OK);
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

static void test_bench(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    struct keyd_bench *b = NULL;

    (void)state;
    assert_int_equal(keyd_token_bench(c, 7, &b, &error), KEYD_OK);
    assert_int_equal(b->signers, 7); /* the seconds, by this server */
    assert_int_equal(b->cores, 2);
    assert_int_equal(b->generation_count, 1);
    assert_int_equal(b->generations[0].type, KEYD_KEY_EC_P256);
    assert_int_equal(b->generations[0].max_us, 1250);
    assert_int_equal(b->rate_count, 3);
    assert_int_equal(b->rates[2].signers, 2);
    assert_int_equal(b->rates[2].scheme, 0x0403);
    assert_true(b->rates[2].per_second > 34199 && b->rates[2].per_second < 34201);
    assert_int_equal(b->tried_count, 2);
    assert_string_equal(b->tried[0].error, "");
    assert_string_equal(b->tried[1].name, "ecdsa_secp521r1_sha512");
    assert_int_equal(b->advice_count, 1);
    assert_string_equal(b->cut_short, "its time was up");
    keyd_token_bench_free(b);
    server_set(s, &(struct server_knobs){.nonsense = NONSENSE_EMPTY});
    assert_int_equal(keyd_token_bench(c, 0, &b, &error), KEYD_OK);
    assert_int_equal(b->rate_count + b->tried_count + b->generation_count + b->advice_count, 0);
    assert_string_equal(b->cut_short, "");
    keyd_token_bench_free(b);
    keyd_token_bench_free(NULL);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_pin_change(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    struct keyd_pin_change *change = NULL;

    (void)state;
    assert_int_equal(keyd_pin_change(c, &change, &error), KEYD_OK);
    assert_string_equal(change->file, "/var/lib/keyd/user.pin");
    assert_false(change->given);
    keyd_pin_change_free(change);
    keyd_pin_change_free(NULL);
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
    assert_int_equal(keyd_token_objects(c, &o, &n, NULL, NULL, &error), KEYD_INTERNAL);
    assert_int_equal(keyd_keys_list(c, NULL, &k, &n, &error), KEYD_INTERNAL);
    assert_int_equal(keyd_keys_show(c, "acme/www", &k, &error), KEYD_INTERNAL);
    assert_null(t);
    assert_null(o);
    assert_null(k);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_findings(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    struct keyd_object *o = NULL;
    struct keyd_finding *f = NULL;
    size_t n = 0, found = 0;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        server_set(s, &(struct server_knobs){.page = pages[i]});
        assert_int_equal(keyd_token_objects(c, &o, &n, &f, &found, &error), KEYD_OK);
        assert_int_equal(found, 3); /* the worst first */
        assert_int_equal(f[0].severity, KEYD_DANGER);
        assert_string_equal(f[0].kind, "extractable");
        assert_int_equal(f[2].severity, KEYD_NOTE);
        assert_string_equal(f[0].object, "acme/www");
        assert_string_equal(f[0].text, "it is so");
        assert_string_equal(f[0].advice, "make it otherwise");
        assert_int_equal(f[0].cka_id_len, 6);
        keyd_objects_free(o, n);
        keyd_findings_free(f, found);
    }
    keyd_findings_free(NULL, 0);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_adopt(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    const char *kinds[] = {"extractable"};
    struct keyd_adopt what = {
        .object = "pkcs11:object=x", .tenant = "acme", .name = "old", .look = 1};
    struct keyd_error error;
    struct keyd_key *k = NULL;
    struct keyd_object *o = NULL;
    struct keyd_finding *f = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(keyd_keys_adopt(c, &what, &k, &o, &f, &n, &error), KEYD_OK);
    assert_null(k);
    assert_string_equal(o->label, "pkcs11:object=x");
    assert_int_equal(n, 3);
    keyd_objects_free(o, 1);
    keyd_findings_free(f, n);
    what.look = 0;
    what.rules.purposes = 8;
    what.accept = kinds;
    what.accept_count = 1;
    assert_int_equal(keyd_keys_adopt(c, &what, &k, &o, &f, &n, &error), KEYD_OK);
    assert_string_equal(k->tenant, "acme");
    assert_string_equal(k->name, "old");
    assert_int_equal(k->purposes, 8);
    assert_true(k->adopted);
    keyd_keys_free(k, 1);
    keyd_objects_free(o, 1);
    keyd_findings_free(f, n);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_sweep(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_fragment *shown = NULL, *gone = NULL;
    struct keyd_error error;
    size_t n = 0, removed = 0;

    (void)state;
    assert_int_equal(keyd_token_sweep(c, NULL, 0, &shown, &n, &error), KEYD_OK);
    assert_int_equal(n, 2);
    assert_string_equal(shown[0].what, "is here");
    assert_int_equal(keyd_token_sweep(c, shown, 1, &gone, &removed, &error), KEYD_OK);
    assert_int_equal(removed, 1);
    assert_string_equal(gone[0].what, "was here");
    assert_int_equal(gone[0].id_len, shown[0].id_len);
    assert_memory_equal(gone[0].id, shown[0].id, gone[0].id_len);
    keyd_fragments_free(shown, n);
    keyd_fragments_free(gone, removed);
    keyd_client_free(c);
    server_stop(s, true);
}

/* ---- backup */

struct folder {
    size_t files, ended, bytes;
    const char *stop_at; /* the sink gives up there */
    char last[64];
};

static bool sink_begin(void *context, const char *name, uint64_t size)
{
    struct folder *f = context;

    assert_int_equal(f->ended, f->files);
    f->files++;
    f->bytes = (size_t)size;
    snprintf(f->last, sizeof(f->last), "%s", name);
    return !f->stop_at || strcmp(f->stop_at, name) != 0;
}

static bool sink_write(void *context, const void *bytes, size_t len)
{
    struct folder *f = context;

    (void)bytes;
    assert_true(len > 0 && len <= f->bytes);
    f->bytes -= len;
    return true;
}

static bool sink_end(void *context)
{
    struct folder *f = context;

    assert_int_equal(f->bytes, 0);
    f->ended++;
    return true;
}

static void test_backup(void **state)
{
    static const uint32_t hundreds[] = {0, 1, 7, 10};
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct folder f = {.files = 0};
        const struct keyd_backup_sink sink = {&f, sink_begin, sink_write, sink_end};
        struct keyd_backup b;

        server_set(s, &(struct server_knobs){.page = hundreds[i]});
        assert_int_equal(keyd_backup(c, &sink, &b, &error), KEYD_OK);
        assert_int_equal(f.ended, 3);
        assert_string_equal(f.last, "MANIFEST");
        assert_int_equal(b.files, 2);
        assert_int_equal(b.bytes, 1400);
        assert_int_equal(b.keys, 3);
        assert_true(b.token_files);
        assert_string_equal(b.time, "2026-11-23T21:00:00Z");
        assert_string_equal(b.pin_source, "/var/lib/keyd/user.pin");
    }
    keyd_client_free(c);
    server_stop(s, true);
}

/* Whatever goes wrong, no MANIFEST was handed over: the backup is not whole. */
static void test_backup_that_is_none(void **state)
{
    static const struct {
        struct server_knobs knobs;
        const char *stop_at;
        int code;
        const char *word;
        size_t ended;
    } rows[] = {
        {{.endless = true}, NULL, KEYD_INTERNAL, "tokens/1/token.object came with another", 1},
        {{.nonsense = NONSENSE_EMPTY}, NULL, KEYD_INTERNAL, "names no snapshot", 0},
        {{.page = 1}, "tokens/1/token.object", KEYD_STORAGE, "could not be written", 1},
        {{.page = 1}, "MANIFEST", KEYD_STORAGE, "could not be written", 2},
    };
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct folder f = {.stop_at = rows[i].stop_at};
        const struct keyd_backup_sink sink = {&f, sink_begin, sink_write, sink_end};
        struct keyd_backup b;
        struct keyd_error error;

        server_set(s, &rows[i].knobs);
        assert_int_equal(keyd_backup(c, &sink, &b, &error), rows[i].code);
        assert_non_null(strstr(error.message, rows[i].word));
        assert_int_equal(f.ended, rows[i].ended);
    }
    keyd_client_free(c);
    server_stop(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bench),    cmocka_unit_test(test_pin_change),
        cmocka_unit_test(test_findings), cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_sweep),    cmocka_unit_test(test_tenants),
        cmocka_unit_test(test_keys),     cmocka_unit_test(test_one_key),
        cmocka_unit_test(test_csr),      cmocka_unit_test(test_objects),
        cmocka_unit_test(test_status),   cmocka_unit_test(test_lies),
        cmocka_unit_test(test_backup),   cmocka_unit_test(test_backup_that_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
