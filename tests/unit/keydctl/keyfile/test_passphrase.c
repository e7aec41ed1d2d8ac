/* SPDX-License-Identifier: Apache-2.0
 *
 * A passphrase that is typed: on a terminal of its own (a pty), without echo, and from nowhere
 * else.
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/unit/keydctl/keyfile/fixture.h"

/* In the child: its result is a line on its stdout, which is a pipe. */
static _Noreturn void read_key(const char *path, unsigned attempts)
{
    struct keyfile_pass p = {.ask = keyfile_pass_from_terminal, .attempts = attempts};
    struct keyfile k;
    struct err err;

    if (keyfile_read(path, &p, &k, &err)) {
        dprintf(1, "read %s\n", k.words);
        keyfile_free(&k);
    } else {
        dprintf(1, "%s | %s\n", err.text, err.hint);
    }
    _exit(0);
}

struct child {
    pid_t pid;
    int terminal; /* the other end of its terminal */
    int out;      /* what it says on stdout */
};

static struct child start(const char *path, unsigned attempts, const char *on_stdin)
{
    int out[2], in[2];
    struct child c;

    assert_int_equal(pipe(out) | pipe(in), 0);
    assert_true(write(in[1], on_stdin, strlen(on_stdin)) == (ssize_t)strlen(on_stdin));
    close(in[1]);
    c.pid = forkpty(&c.terminal, NULL, NULL, NULL);
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        alarm(30);
        dup2(in[0], 0);
        dup2(out[1], 1);
        read_key(path, attempts);
    }
    close(in[0]);
    close(out[1]);
    c.out = out[0];
    return c;
}

/* Reads from the terminal until `text` has come. */
static void expect(const struct child *c, const char *text)
{
    char seen[1024] = "";
    size_t n = 0;

    while (!strstr(seen, text)) {
        struct pollfd p = {.fd = c->terminal, .events = POLLIN};

        if (poll(&p, 1, 10000) != 1)
            fail_msg("the terminal shows '%s', not '%s'", seen, text);
        ssize_t r = read(c->terminal, seen + n, sizeof(seen) - 1 - n);
        if (r <= 0)
            fail_msg("the terminal showed '%s', not '%s'", seen, text);
        n += (size_t)r;
        seen[n] = 0;
        if (strstr(seen, PASSWORD) || strstr(seen, PASSWORD2))
            fail_msg("the passphrase is on the screen");
    }
}

static void type(const struct child *c, const char *text)
{
    struct termios t;

    assert_int_equal(tcgetattr(c->terminal, &t), 0);
    assert_int_equal(t.c_lflag & ECHO, 0);
    assert_int_equal(write(c->terminal, text, strlen(text)), strlen(text));
}

static void finish(const struct child *c, const char *said)
{
    char line[1024];
    ssize_t n = read(c->out, line, sizeof(line) - 1);
    int status;

    assert_true(n >= 0);
    line[n] = 0;
    if (!strstr(line, said))
        fail_msg("it said '%s', not '%s'", line, said);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_int_equal(status, 0);
    close(c->out);
    close(c->terminal);
}

static void make_encrypted(void)
{
    sh("openssl ec -in p256.pem -aes128 -passout file:pass -out f");
}

static void test_typed(void **state)
{
    char path[512], prompt[600];

    (void)state;
    make_encrypted();
    snprintf(path, sizeof(path), "%s", path_of("f"));
    snprintf(prompt, sizeof(prompt), "passphrase of %s: ", path);
    struct child c = start(path, 3, PASSWORD "\n"); /* stdin is not asked */
    expect(&c, prompt);
    type(&c, PASSWORD2 "\n");
    expect(&c, "wrong; once more, passphrase of ");
    type(&c, PASSWORD "\n");
    finish(&c, "read EC P-256");

    c = start(path, 2, "");
    expect(&c, prompt);
    type(&c, PASSWORD2 "\n");
    expect(&c, "wrong; once more");
    type(&c, "\n");
    finish(&c, "the passphrase is wrong");
}

/* The key comes on stdin, the passphrase from the terminal. */
static void test_stdin(void **state)
{
    char key[4096];

    (void)state;
    make_encrypted();
    snprintf(key, sizeof(key), "%s", (const char *)slurp("f")->p);
    struct child c = start("-", 3, key);
    expect(&c, "passphrase of stdin: ");
    type(&c, PASSWORD "\n");
    finish(&c, "read EC P-256");
}

/* Without a terminal nobody is asked, whatever stands on stdin. */
static void test_no_terminal(void **state)
{
    char path[512], line[1024];
    int out[2], in[2], status;

    (void)state;
    make_encrypted();
    snprintf(path, sizeof(path), "%s", path_of("f"));
    assert_int_equal(pipe(out) | pipe(in), 0);
    assert_int_equal(write(in[1], PASSWORD "\n", strlen(PASSWORD) + 1), strlen(PASSWORD) + 1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setsid(); /* away from the terminal of who runs the test */
        dup2(in[0], 0);
        dup2(out[1], 1);
        read_key(path, 3);
    }
    close(out[1]);
    ssize_t n = read(out[0], line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = 0;
    assert_contains(line, "is encrypted, and there is no terminal to ask at | --passphrase-file");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(out[0]);
    close(in[0]);
    close(in[1]);
}

static void test_file(void **state)
{
    static const struct {
        const char *make; /* the file w */
        const char *text; /* NULL: it is PASSWORD */
    } rows[] = {
        {"printf '" PASSWORD "\\n' >w", NULL},
        {"printf '" PASSWORD "' >w", NULL},
        {"printf '" PASSWORD "\\n\\n' >w", "the passphrase is wrong"},
        {"printf ' " PASSWORD "\\n' >w", "the passphrase is wrong"},
        {": >w", "the passphrase is wrong"},
        {"chmod 0640 w", "the passphrase is wrong"}, /* a group may read it: still empty */
        {"chmod 0644 w", "has mode 0644: others can read"},
        {"chmod 0600 w; head -c 2000 /dev/zero >w", "holds more than 1024 bytes"},
        {"rm w", "cannot open"},
    };
    char key[512], path[512];

    (void)state;
    make_encrypted();
    snprintf(key, sizeof(key), "%s", path_of("f"));
    snprintf(path, sizeof(path), "%s", path_of("w"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct keyfile_pass p = {.ask = keyfile_pass_from_file, .arg = path, .attempts = 1};
        struct keyfile k;
        struct err err;

        sh(rows[i].make);
        if (i == 0)
            sh("chmod 600 w");
        bool ok = keyfile_read(key, &p, &k, &err);
        if (ok != !rows[i].text || (!ok && !strstr(err.text, rows[i].text)))
            fail_msg("'%s': %s", rows[i].make, ok ? "read" : err.text);
        if (ok)
            keyfile_free(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_stdin),
        cmocka_unit_test(test_no_terminal),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
