/* SPDX-License-Identifier: Apache-2.0
 *
 * The program as a person runs it, against the cardboard server. KEYDCTL is its path, from CMake.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/unit/libkeyd/server.h"

#define OUT_MAX 16384

struct ran {
    int status;
    char out[OUT_MAX], err[OUT_MAX];
};

static void read_file(const char *path, char *buf)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, buf, OUT_MAX - 1);

    close(fd);
    assert_true(n >= 0);
    buf[n] = 0;
}

/* Runs "keydctl ARGUMENTS" as a shell would. */
static struct ran *run(const char *arguments)
{
    static struct ran ran;
    char out[108], err[108], command[1024];

    snprintf(out, sizeof(out), "%s", scratch_path("out"));
    snprintf(err, sizeof(err), "%s", scratch_path("err"));
    snprintf(command, sizeof(command), "%s %s >%s 2>%s", KEYDCTL, arguments, out, err);
    int status = system(command);
    assert_true(WIFEXITED(status));
    ran.status = WEXITSTATUS(status);
    read_file(out, ran.out);
    read_file(err, ran.err);
    return &ran;
}

static struct server *start(const struct server_knobs *knobs)
{
    setenv("KEYD_CONTROL_SOCKET", scratch_path("control.sock"), 1);
    return server_start(scratch_path("control.sock"), knobs);
}

struct row {
    const char *arguments;
    int status;
    const char *out[4]; /* parts of stdout; on failure of stderr */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ran *r = run(rows[i].arguments);
        const char *spoken = rows[i].status == 0 ? r->out : r->err;

        if (r->status != rows[i].status)
            fail_msg("'%s' ended with %d: %s", rows[i].arguments, r->status, r->err);
        if ((rows[i].status == 0 ? r->err : r->out)[0])
            fail_msg("'%s' also said: %s%s", rows[i].arguments, r->out, r->err);
        for (size_t p = 0; p < 4 && rows[i].out[p]; p++)
            if (!strstr(spoken, rows[i].out[p]))
                fail_msg("'%s' did not say '%s' but: %s", rows[i].arguments, rows[i].out[p],
                         spoken);
    }
}

static void test_commands(void **state)
{
    static const struct row rows[] = {
        {"tenants-add acme", 0, {"tenant acme added\n"}},
        {"tenants-add --name acme", 0, {"tenant acme added\n"}},
        {"tenants-list", 0, {"TENANT KEYS CREATED\n", "acme      2 2023-11-14T22:13:20Z\n"}},
        {"keys-generate --tenant acme --name new --type ec-p384",
         0,
         {"acme/new\n", "ec-p384\n", "tls13-server, tls12-server, csr\n"}},
        {"keys-generate --tenant=acme --name=new --type=rsa-2048 --purposes=acme-jws,csr",
         0,
         {"csr, acme-jws\n"}},
        {"keys-list",
         0,
         {"KEY ", "TYPE ", "acme/www  ec-p256  enabled tls13-server, tls12-server, csr ",
          "zeta/shop"}},
        {"keys-list --tenant zeta", 0, {"zeta/shop"}},
        {"keys-list --tenant empty", 0, {"no keys yet"}},
        {"keys-show acme/www",
         0,
         {"acme/www\n", "sha256//", "010dabcdef12\n", "2023-11-14T22:13:21Z\n"}},
        {"keys-show --key acme/www", 0, {"acme/www\n", "IT CAN BE MADE TO SIGN "}},
        {"keys-ref acme/www", 0, {"-----BEGIN KEYD KEY REFERENCE-----\n"}},
        {"csr acme/www --subject CN=x", 0, {"CN=x \n"}},
        {"csr --key acme/www --subject 'CN=x,O=y' --san a --san=b", 0, {"CN=x,O=y [a][b]\n"}},
        {"token-objects",
         0,
         {"CLASS ", "CKO_PRIVATE_KEY keyd/acme/www 010dabcdef12 acme/www ec sensitive sign\n",
          "somebody's    -            -        ec"}},
        {"token-objects --attributes", 0, {"CKA_EXTRACTABLE  false\n", "label: somebody's\n"}},
        {"whoami", 0, {"ops\n", "operator\n", "user=root\n", "whoami (self)"}},
        {"principals-list", 0, {"KNOWN BY", "fe-12 ", " edge ", "user=root"}},
        {"config-test --as fe-12",
         0,
         {"fe-12\n", "acme/www ec-p256 enabled tls13-server", "nothing is missing"}},
        {"grants-list",
         0,
         {"ID WHO ", "fe-12      acme/www ", "group edge tenant acme ",
          "tls13-server, tls12-server"}},
        {"grants-list --principal fe-13", 0, {"fe-13 tenant zeta"}},
        {"grants-add --principal fe-12 --key acme/www", 0, {"17\n", "fe-12\n", "acme/www\n"}},
        {"grants-add --group edge --tenant acme --purposes tls13-client",
         0,
         {"group edge\n", "tenant acme\n", "tls13-client\n"}},
        {"grants-remove 10", 0, {"fe-12\n", "acme/www\n"}},
        {"tokens-list",
         0,
         {"LAST USED", "0a0b0c0d ci   tenant  acme   ", " never", "2023-11-14T22:14:20Z"}},
        {"tokens-revoke 1f2e3d4c", 0, {"token 1f2e3d4c of eyes revoked\n"}},
        {"token-bench --seconds 3",
         0,
         {"ec-p256 ecdsa_secp256r1_sha256 custodian 17000.5     44   1216\n",
          "ec-p256 ecdsa_secp256r1_sha256         2 34200.0     44   1216\n",
          "ec-p256    3    0.3    1.2\n",
          "refused: ec-p256 ecdsa_secp521r1_sha512: C_Sign: CKR_DATA"}},
        {"token-bench",
         0,
         {"tried 2 ways to sign, 1 refused\n", "ec-p256: 2 signers pay: 1.9 x one\n",
          "not all was measured: its time was up\n"}},
        {"pin-change", 0, {"is changed; keyd's new one is in /var/lib/keyd/user.pin\n"}},
        {"status",
         0,
         {"keyd 0.1.0, up 1d 02:03:04\n", "signer 1  4711 ready", "keys missing: 1\n",
          "note: the token keeps no"}},
        {"status",
         0,
         {"signer 2  4712 no answer", "       4711     47\n",
          "ecdsa_secp256r1_sha256     123456     154.3      77.2     44     58   1216\n",
          "2023-11-14T22:13:20Z custodian killed by SIGKILL\n"}},
    };
    struct server *s = start(NULL);

    (void)state;
    check_rows(rows, sizeof(rows) / sizeof(*rows));
    server_stop(s, true);
}

/* Each command says the same in JSON. */
static void test_json(void **state)
{
    static const struct {
        const char *arguments;
        const char *member;
        json_type type;
    } rows[] = {
        {"tenants-add acme --json", "tenant", JSON_STRING},
        {"tenants-list --json", "tenants", JSON_ARRAY},
        {"--json keys-generate --tenant a --name b --type ed25519", "id", JSON_STRING},
        {"keys-list --json", "keys", JSON_ARRAY},
        {"keys-show acme/www --json", "spki", JSON_STRING},
        {"keys-show acme/www --json", "signers", JSON_ARRAY},
        {"keys-ref acme/www --json", "pem", JSON_STRING},
        {"csr acme/www --subject CN=x --json", "pem", JSON_STRING},
        {"token-objects --json", "objects", JSON_ARRAY},
        {"whoami --json", "may", JSON_ARRAY},
        {"principals-list --json", "principals", JSON_ARRAY},
        {"config-test --as fe-12 --json", "keys", JSON_ARRAY},
        {"grants-list --json", "grants", JSON_ARRAY},
        {"grants-add --principal fe-12 --key acme/www --json", "id", JSON_INTEGER},
        {"grants-remove 10 --json", "who", JSON_STRING},
        {"tokens-list --json", "tokens", JSON_ARRAY},
        {"tokens-create --tenant acme --json", "secret", JSON_STRING},
        {"tokens-revoke 1f2e3d4c --json", "last_used", JSON_STRING},
        {"token-bench --json", "rates", JSON_ARRAY},
        {"token-bench --json", "tried", JSON_ARRAY},
        {"token-bench --json", "cut_short", JSON_STRING},
        {"pin-change --json", "file", JSON_STRING},
        {"pin-change --json", "given", JSON_FALSE},
        {"status --json", "queue", JSON_OBJECT},
        {"status --json", "schemes", JSON_ARRAY},
        {"status --json", "exits", JSON_ARRAY},
    };
    struct server *s = start(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct ran *r = run(rows[i].arguments);
        json_error_t error;

        assert_int_equal(r->status, 0);
        json_t *j = json_loads(r->out, JSON_REJECT_DUPLICATES, &error);
        if (!j)
            fail_msg("'%s': %s", rows[i].arguments, error.text);
        if (json_typeof(json_object_get(j, rows[i].member)) != rows[i].type)
            fail_msg("'%s' has no such %s", rows[i].arguments, rows[i].member);
        json_decref(j);
    }
    server_stop(s, true);
}

/* The secret alone is on stdout, for a script; that something is missing is an exit status. */
static void test_who(void **state)
{
    struct server *s = start(NULL);
    char path[200], command[300];

    (void)state;
    const struct ran *r = run("tokens-create --tenant acme --expires 7d");
    assert_int_equal(r->status, 0);
    assert_string_equal(r->out, "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    assert_non_null(strstr(r->err, "token 0a0b0c0d of token-0a0b0c0d, good until 2023-11-21"));
    assert_null(strstr(r->err, "keyd_"));
    r = run("config-test");
    assert_int_equal(r->status, 1);
    assert_non_null(strstr(r->out, "missing:\n  - no key is granted to it\n"));
    r = run("config-test --json");
    assert_int_equal(r->status, 1);
    r = run("explain /dev/null --key acme/www");
    assert_int_equal(r->status, 1);
    assert_non_null(strstr(r->out, "no shape\nkeyd would not sign this\n"));
    r = run("explain - --key acme/www --as fe-12 --scheme 0x0403 --json </dev/null");
    assert_int_equal(r->status, 1);
    assert_non_null(strstr(r->out, "\"signs\""));
    snprintf(path, sizeof(path), "%s", scratch_path("yes"));
    FILE *f = fopen(path, "w");
    assert_true(f && fputs("yes", f) >= 0 && fclose(f) == 0);
    snprintf(command, sizeof(command), "explain %s --key acme/www", path);
    r = run(command);
    assert_int_equal(r->status, 0);
    assert_non_null(strstr(r->out, "keyd would sign this\n"));
    server_stop(s, true);
}

/* The class of what went wrong is the exit status; the sentence and its hint are on stderr. */
static void test_failures(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } rows[] = {
        {ERR_BAD_REQUEST, 1}, {ERR_DENIED, 1},      {ERR_EXISTS, 1}, {ERR_BUSY, 3},
        {ERR_DEADLINE, 3},    {ERR_UNAVAILABLE, 3}, {ERR_TOKEN, 4},  {ERR_STORAGE, 4},
    };
    struct server *s = start(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        server_set(s, &(struct server_knobs){.fail = 1, .fail_code = rows[i].code});
        const struct ran *r = run("tenants-add acme");
        assert_int_equal(r->status, rows[i].status);
        assert_string_equal(r->out, "");
        assert_string_equal(r->err, "keydctl: the knob says no\n  hint: turn it\n");
    }
    server_set(s, &(struct server_knobs){0});
    assert_int_equal(run("keys-show acme/nope")->status, 1);
    server_set(s, &(struct server_knobs){.nonsense = NONSENSE_GARBAGE});
    assert_int_equal(run("status")->status, 4);
    server_set(s, &(struct server_knobs){.silent = true});
    const struct ran *r = run("tenants-add acme --timeout 1");
    assert_int_equal(r->status, 3);
    assert_non_null(strstr(r->err, "look before you repeat"));
    server_stop(s, true);
}

static void test_usage(void **state)
{
    static const struct row rows[] = {
        {"", 2, {"keydctl: which command?\n", "  hint: 'keydctl --help'"}},
        {"keys-lst", 2, {"no command 'keys-lst'", "did you mean 'keys-list'"}},
        {"keys-list --tennant x", 2, {"no option '--tennant'", "did you mean '--tenant'"}},
        {"keys-show", 2, {"keys-show needs KEY", "usage: keydctl keys-show KEY"}},
        {"csr acme/www", 2, {"csr needs --subject SUBJECT"}},
        {"status --timeout 0", 2, {"--timeout is '0'"}},
        {"status --socket relative.sock", 2, {"is not absolute"}},
        {"keys-generate --tenant a --name b --type rsa-1024",
         2,
         {"there is no type 'rsa-1024'", "ed25519", "'rsa-2048'?"}},
        {"keys-generate --tenant a --name b --type ec-p256 --purposes csr,tls13-servr",
         2,
         {"there is no purpose 'tls13-servr'", "did you mean 'tls13-server'?"}},
        {"keys-generate --tenant a --name b --type ec-p256 --purposes csr,", 2, {"no purpose ''"}},
        {"keys-import --tenant a --name b", 2, {"keys-import needs --key FILE"}},
        {"keys-import --tenant a --name b --key x --purposes csrr",
         2,
         {"there is no purpose 'csrr'", "did you mean 'csr'?"}},
        {"keys-import --tenant a --name b --key - --passphrase-file -",
         2,
         {"stdin (-) can be one of"}},
        {"keys-import --tenant a --name b --key x --fingerprint 12",
         2,
         {"--fingerprint is '12', which is no fingerprint", "64 hex digits"}},
        {"tokens-create --tenant a --expires 0", 2, {"no number of days", "--expires 90d"}},
        {"tokens-create --tenant a --expires 9x", 2, {"no number of days"}},
        {"tokens-create --role root", 2, {"--role root is no role", "auditor"}},
        {"grants-remove seven", 2, {"\"seven\" is no grant's number"}},
        {"grants-add --principal a --key b --purposes tls", 2, {"there is no purpose 'tls'"}},
        {"explain /dev/null", 2, {"explain needs --key KEY"}},
        {"explain /nowhere --key a/b", 2, {"cannot open /nowhere"}},
        {"explain /dev/zero --key a/b", 2, {"is longer than 65536 bytes"}},
        {"explain /dev/null --key a/b --scheme ecdsa", 2, {"is no TLS SignatureScheme"}},
        {"import-key --unpin --pin", 2, {"--unpin stands alone"}},
        /* what can be told without keyd is */
        {"keys-import --tenant a --name b --key /nowhere", 1, {"cannot open /nowhere"}},
        {"keys-import --tenant a --name b --key - </dev/null", 1, {"stdin: the file is empty"}},
        {"keys-import --tenant a --name b --key - </etc/passwd",
         1,
         {"stdin: this is text without a private key in it", "-----BEGIN PRIVATE KEY-----"}},
        {"--version", 0, {"keydctl "}},
        {"--help", 0, {"commands:\n", "  token-objects ", "exit status:\n", "--socket PATH"}},
        {"help", 0, {"commands:\n"}},
    };
    static const char *const commands[] = {
        "tenants-add", "tenants-list",    "keys-generate", "keys-list",
        "keys-show",   "keys-ref",        "csr",           "token-objects",
        "status",      "keys-import",     "import-key",    "import-key-rotate",
        "whoami",      "principals-list", "config-test",   "explain",
        "grants-add",  "grants-list",     "grants-remove", "tokens-create",
        "tokens-list", "tokens-revoke",   "token-bench",   "pin-change"};

    (void)state;
    check_rows(rows, sizeof(rows) / sizeof(*rows));
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        char arguments[64], usage[64], example[64];

        snprintf(arguments, sizeof(arguments), "%s --help", commands[i]);
        snprintf(usage, sizeof(usage), "usage: keydctl %s", commands[i]);
        snprintf(example, sizeof(example), "example:\n  keydctl %s", commands[i]);
        check_rows(&(struct row){arguments, 0, {usage, example, "--json"}}, 1);
    }
}

/* Where the socket is, what is wrong with it and what to do. */
static void test_unreachable(void **state)
{
    char arguments[256];

    (void)state;
    snprintf(arguments, sizeof(arguments), "status --socket %s", scratch_path("no/control.sock"));
    check_rows(
        &(struct row){arguments,
                      3,
                      {"there is no directory for the socket", "no/control.sock", "--socket PATH"}},
        1);
    snprintf(arguments, sizeof(arguments), "status --socket %s", scratch_path("other.sock"));
    check_rows(&(struct row){arguments, 3, {"there is no socket", "other.sock", "start keyd"}}, 1);
    server_stop(server_start(scratch_path("other.sock"), NULL), false);
    check_rows(&(struct row){arguments, 3, {"nobody listens on", "other.sock", "start keyd"}}, 1);
    if (geteuid() != 0) { /* to root nothing is forbidden */
        assert_int_equal(chmod(scratch_path("other.sock"), 0), 0);
        check_rows(&(struct row){arguments, 3, {"has no permission for", "other.sock"}}, 1);
    }
}

/* What could not be written was not done. */
static void test_full_disk(void **state)
{
    struct server *s = start(NULL);
    char command[512];

    (void)state;
    snprintf(command, sizeof(command), "%s keys-ref acme/www >/dev/full 2>/dev/null", KEYDCTL);
    int status = system(command);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 4);
    server_stop(s, true);
}

static int done(void **state)
{
    (void)state;
    scratch_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),  cmocka_unit_test(test_json),
        cmocka_unit_test(test_who),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_usage),     cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
