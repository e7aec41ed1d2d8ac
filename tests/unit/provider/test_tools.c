/* SPDX-License-Identifier: Apache-2.0
 *
 * The openssl command line with a key reference, as a person types it: what works with a key file
 * works, and what would need the private half fails with an exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/provider/support.h"

#define ARGS_MAX 40

/* In the child: the tool in the world's directory, with our configuration, output to a file. */
static _Noreturn void exec_tool(const struct world *w, char *const argv[])
{
    int out = open("/dev/null", O_RDWR);

    dup2(out, 0);
    if (chdir(w->dir) < 0)
        _exit(127);
    out = open("output", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out, 1);
    dup2(out, 2);
    setenv("OPENSSL_CONF", w->conf, 1);
#ifdef TOOL_PRELOAD
    setenv("LD_PRELOAD", TOOL_PRELOAD, 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
#endif
    execvp("openssl", argv);
    _exit(127);
}

/* Runs `openssl COMMAND`, split at blanks, %k replaced by the key's name. Returns its exit status;
 * what it wrote is in the file "output". */
static int tool(struct world *w, const char *key, const char *command)
{
    char text[512], *argv[ARGS_MAX] = {(char *)"openssl"}, *save = NULL;
    size_t n = 0, argc = 1;
    int status = 0;

    for (const char *p = command; *p && n < sizeof(text) - 20; p++)
        if (p[0] == '%' && p[1] == 'k') {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", key);
            p++;
        } else {
            text[n++] = *p;
        }
    text[n] = 0;
    for (char *word = strtok_r(text, " ", &save); word && argc < ARGS_MAX - 1;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        exec_tool(w, argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void show_output(struct world *w)
{
    char path[128], line[256];

    snprintf(path, sizeof(path), "%s/output", w->dir);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        print_error("%s", line);
    if (f)
        fclose(f);
}

static void works(struct world *w, const char *key, const char *command)
{
    int code = tool(w, key, command);

    if (code != 0) {
        print_error("openssl %s (%s): exit status %d\n", command, key, code);
        show_output(w);
    }
    assert_int_equal(code, 0);
}

/* Fails in good order: with an exit status, not with a signal. */
static void fails(struct world *w, const char *key, const char *command)
{
    int code = tool(w, key, command);

    if (code == 0 || code >= 127)
        print_error("openssl %s (%s): exit status %d\n", command, key, code);
    assert_in_range(code, 1, 126);
}

/* True if a file in the world's directory holds this text. */
static bool file_has(struct world *w, const char *name, const char *text)
{
    char path[160], all[65536];

    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(all, 1, sizeof(all) - 1, f);
    all[n] = 0;
    fclose(f);
    return strstr(all, text) != NULL;
}

static const char *const all_keys[] = {"rsa", "pss", "p256", "p384", "ed25519"};
static const char *const rsa_keys[] = {"rsa", "pss"};
static const char *const hashed_keys[] = {"rsa", "pss", "p256", "p384"};

#define EACH(k, list)                                                                              \
    for (const char *const *k = (list); k < (list) + sizeof(list) / sizeof(*(list)); k++)

static void test_provider_is_listed(void **state)
{
    struct world *w = *state;

    works(w, "", "list -providers");
    assert_true(file_has(w, "output", "keyd"));
    assert_true(file_has(w, "output", "version: " KEYD_VERSION));
}

static void test_requests(void **state)
{
    struct world *w = *state;

    EACH(k, all_keys)
    {
        works(w, *k,
              "req -new -key %k.ref.pem -subj /CN=www.example.com -addext "
              "subjectAltName=DNS:www.example.com -out %k.csr");
        works(w, *k, "req -in %k.csr -verify -noout -text");
        assert_true(file_has(w, "output", "DNS:www.example.com"));
        works(w, *k, "req -new -x509 -key %k.ref.pem -subj /CN=self -days 2 -out %k.self.crt");
        works(w, *k, "verify -CAfile %k.self.crt -check_ss_sig %k.self.crt");
    }
    EACH(k, rsa_keys)
    {
        works(w, *k,
              "req -new -key %k.ref.pem -subj /CN=pss -sigopt rsa_padding_mode:pss -out %k.csr");
        works(w, *k, "req -in %k.csr -verify -noout -text");
        assert_true(file_has(w, "output", "rsassaPss"));
    }
    fails(w, "rsa", "req -new -key rsa.ref.pem -subj /CN=x -sha1 -out bad.csr");
    fails(w, "rsa",
          "req -new -key rsa.ref.pem -subj /CN=x -sigopt rsa_padding_mode:pss -sigopt "
          "rsa_pss_saltlen:20 -out bad.csr");
}

static void test_certificates(void **state)
{
    struct world *w = *state;

    works(w, "", "req -new -key p384.key.pem -subj /CN=leaf -out leaf.csr");
    EACH(k, all_keys)
    {
        works(w, *k, "x509 -in %k.crt -signkey %k.ref.pem -days 3 -out %k.again.crt");
        works(w, *k, "verify -CAfile %k.again.crt -check_ss_sig %k.again.crt");
        works(w, *k,
              "x509 -req -in leaf.csr -CA %k.crt -CAkey %k.ref.pem -set_serial 7 -days 2 -out "
              "leaf.crt");
        works(w, *k, "verify -partial_chain -trusted %k.crt leaf.crt");
    }
}

static void test_public_half(void **state)
{
    struct world *w = *state;

    EACH(k, all_keys)
    {
        works(w, *k, "pkey -in %k.ref.pem -pubout -out %k.pub.pem");
        works(w, *k, "pkey -in %k.key.pem -pubout -out %k.want.pem");
        works(w, *k, "pkey -pubin -in %k.pub.pem -noout -text");
        works(w, *k, "pkey -in %k.ref.pem -noout -text_pub");
    }
    works(w, "rsa", "rsa -in rsa.ref.pem -pubout -out rsa.pub.pem");
    works(w, "p256", "ec -in p256.ref.pem -pubout -out p256.pub.pem");
}

static void test_signatures(void **state)
{
    struct world *w = *state;

    EACH(k, hashed_keys)
    {
        works(w, *k, "pkey -in %k.ref.pem -pubout -out %k.pub.pem");
        works(w, *k, "dgst -sha384 -sign %k.ref.pem -out sig %k.crt");
        works(w, *k, "dgst -sha384 -verify %k.pub.pem -signature sig %k.crt");
        fails(w, *k, "dgst -sha256 -verify %k.pub.pem -signature sig %k.crt");
        works(w, *k, "pkeyutl -sign -rawin -digest sha256 -inkey %k.ref.pem -in %k.crt -out sig");
        works(w, *k,
              "pkeyutl -verify -rawin -digest sha256 -pubin -inkey %k.pub.pem -in %k.crt "
              "-sigfile sig");
        fails(w, *k, "pkeyutl -sign -inkey %k.ref.pem -in openssl.cnf -out sig");
    }
    works(w, "", "dgst -sha256 -sign rsa.ref.pem -sigopt rsa_padding_mode:pss -out sig rsa.crt");
    works(w, "",
          "dgst -sha256 -verify rsa.pub.pem -sigopt rsa_padding_mode:pss -sigopt "
          "rsa_pss_saltlen:32 -signature sig rsa.crt");
    works(w, "", "pkey -in ed25519.ref.pem -pubout -out ed25519.pub.pem");
    works(w, "", "pkeyutl -sign -rawin -inkey ed25519.ref.pem -in p256.crt -out sig");
    works(w, "", "pkeyutl -verify -rawin -pubin -inkey ed25519.pub.pem -in p256.crt -sigfile sig");
    works(w, "",
          "cms -sign -nodetach -in p256.crt -signer rsa.crt -inkey rsa.ref.pem -outform PEM -out "
          "signed");
    works(w, "", "cms -verify -in signed -inform PEM -CAfile rsa.crt -purpose any -out plain");
    works(w, "",
          "cms -sign -nodetach -in p256.crt -signer p256.crt -inkey p256.ref.pem -outform PEM -out "
          "signed");
    works(w, "", "cms -verify -in signed -inform PEM -CAfile p256.crt -purpose any -out plain");
}

static void test_private_half(void **state)
{
    struct world *w = *state;

    EACH(k, all_keys)
    {
        fails(w, *k, "pkey -in %k.ref.pem -noout -text");
        fails(w, *k, "pkey -in %k.ref.pem -out stolen.pem");
        tool(w, *k, "pkey -in %k.ref.pem -check -noout"); /* its exit status says nothing */
        assert_false(file_has(w, "output", "Key is valid"));
        assert_true(file_has(w, "output", "the private half stays in keyd"));
        works(w, *k, "pkey -in %k.ref.pem -pubcheck -noout");
        assert_true(file_has(w, "output", "Key is valid"));
        fails(w, *k, "pkcs12 -export -in %k.crt -inkey %k.ref.pem -passout pass: -out stolen.p12");
        assert_false(file_has(w, "stolen.pem", "PRIVATE"));
    }
    fails(w, "", "rsa -in rsa.ref.pem -out stolen.pem");
    fails(w, "", "ec -in p256.ref.pem -out stolen.pem");
    assert_false(file_has(w, "stolen.pem", "PRIVATE"));
}

/* Beside ours the tool goes on as ever. */
static void test_ordinary_keys(void **state)
{
    struct world *w = *state;

    works(w, "", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out made.pem");
    works(w, "", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out made.pem");
    EACH(k, all_keys)
    {
        works(w, *k, "pkey -in %k.key.pem -noout -text");
        works(w, *k, "req -new -key %k.key.pem -subj /CN=x -out x.csr");
    }
    fails(w, "", "req -new -key nowhere.pem -subj /CN=x");
}

/* The tool says what went wrong, and ends soon. */
static void test_keyd_away(void **state)
{
    struct world *w = *state;

    fake_stop(&w->fake);
    works(w, "", "pkey -in rsa.ref.pem -pubout -out rsa.pub.pem");
    fails(w, "", "req -new -key p256.ref.pem -subj /CN=x -out x.csr");
    assert_true(file_has(w, "output", "keyd is not available"));
    assert_true(file_has(w, "output", w->fake.path));
}

static void test_broken_reference(void **state)
{
    struct world *w = *state;
    char path[128];

    snprintf(path, sizeof(path), "%s/broken.pem", w->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "-----BEGIN KEYD KEY REFERENCE-----\nMAA=\n-----END KEYD KEY REFERENCE-----\n");
    fclose(f);
    fails(w, "", "req -new -key broken.pem -subj /CN=x -out x.csr");
    fails(w, "", "pkey -in broken.pem -pubout -out x.pub.pem");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_provider_is_listed), TEST(test_requests),   TEST(test_certificates),
        TEST(test_public_half),        TEST(test_signatures), TEST(test_private_half),
        TEST(test_ordinary_keys),      TEST(test_keyd_away),  TEST(test_broken_reference),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
