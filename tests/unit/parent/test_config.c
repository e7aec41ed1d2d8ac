/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "keyd/config.h"
#include "tests/unit/test.h"

static bool read_text(const char *text, struct config *c, struct err *err)
{
    char path[] = "/tmp/keyd-config.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    bool ok = config_read(c, path, err);
    unlink(path);
    return ok;
}

static void an_empty_file_gives_the_defaults(void **state)
{
    struct config c;
    struct err err;

    (void)state;
    assert_true(read_text("", &c, &err));
    assert_string_equal(c.state_dir, "/var/lib/keyd");
    assert_string_equal(c.run_dir, "/run/keyd");
    assert_contains(c.token_uri, "pkcs11:token=keyd?module-path=/");
    assert_contains(c.token_uri, "&pin-source=file:/var/lib/keyd/user.pin");
    assert_true(c.signers >= 1);
    assert_false(c.landlock_optional);
    assert_int_equal(c.connections, 1024);
    assert_int_equal(c.signer_timeout_ms, 1000);
}

static void one_setting_moves_everything(void **state)
{
    struct config c;
    struct err err;
    char path[SOCKET_PATH_MAX + 1];

    (void)state;
    assert_true(read_text("[keyd]\nstate-dir = /srv/k\n", &c, &err));
    assert_string_equal(c.run_dir, "/srv/k/run");
    assert_contains(c.token_uri, "pin-source=file:/srv/k/user.pin");
    assert_true(config_socket_path(&c, "frontend/keyd.sock", path, &err));
    assert_string_equal(path, "/srv/k/run/frontend/keyd.sock");
}

static void every_setting_is_read(void **state)
{
    struct config c;
    struct err err;

    (void)state;
    assert_true(read_text(
        "# comment\n[keyd]\nuser = keyd\nsigners = 3\nlandlock = optional\n"
        "restart-delay-max-ms = 9\n[token]\nuri = pkcs11:token=x;serial=1?module-path=/m.so\n"
        "signer-timeout-ms = 70\n[sockets]\nrun-dir = /r\nfrontend-group = f\n"
        "control-group = g\n[limits]\nconnections = 1\nin-flight = 2\n"
        "queue = 3\nbuffers-mib = 4\ndefault-deadline-ms = 5\n"
        "max-deadline-ms = 6\nprincipal-rate = 7\nkey-rate = 8\n"
        "principal-in-flight = 9\nkey-in-flight = 10\n",
        &c, &err));
    assert_string_equal(c.user, "keyd");
    assert_int_equal(c.signers, 3);
    assert_true(c.landlock_optional);
    assert_int_equal(c.restart_delay_max_ms, 9);
    assert_string_equal(c.token_uri, "pkcs11:token=x;serial=1?module-path=/m.so");
    assert_int_equal(c.signer_timeout_ms, 70);
    assert_string_equal(c.run_dir, "/r");
    assert_string_equal(c.frontend_group, "f");
    assert_string_equal(c.control_group, "g");
    assert_int_equal(c.connections, 1);
    assert_int_equal(c.in_flight, 2);
    assert_int_equal(c.queue, 3);
    assert_int_equal(c.buffers_mib, 4);
    assert_int_equal(c.default_deadline_ms, 5);
    assert_int_equal(c.max_deadline_ms, 6);
    assert_int_equal(c.principal_rate, 7);
    assert_int_equal(c.key_rate, 8);
    assert_int_equal(c.principal_in_flight, 9);
    assert_int_equal(c.key_in_flight, 10);
}

/* The rules of the file in their order, then root and keyd's own user as operators. */
static void principals_are_read(void **state)
{
    struct config c;
    struct err err;

    (void)state;
    assert_true(read_text("[principals]\nwww = frontend user=root\n"
                          "adm = operator unix-group=root\n"
                          "fe-* = frontend group=edge uri=spiffe://p/fe-*\n",
                          &c, &err));
    assert_true(c.rule_count >= 4);
    assert_string_equal(c.rules[0].principal.name, "www");
    assert_int_equal(c.rules[0].id, 0);
    assert_int_equal(c.rules[1].proof, PROOF_UNIX_GROUP);
    assert_int_equal(c.rules[1].id, 0);
    assert_string_equal(c.rules[2].text, "spiffe://p/fe-*");
    assert_int_equal(c.rules[3].principal.role, ROLE_OPERATOR);
    assert_int_equal(c.rules[3].id, 0);
    assert_false(read_text("[principals]\nwww = frontend user=no-such-user-here\n", &c, &err));
    assert_non_null(strstr(err.text, "no user \"no-such-user-here\""));
    assert_false(read_text("[principals]\nwww = frontend unix-group=no-such-group\n", &c, &err));
    assert_non_null(strstr(err.text, "no group"));
    assert_false(read_text("[principals]\nwww = boss user=root\n", &c, &err));
    assert_non_null(strstr(err.text, "is no role"));
}

static void bad_files_are_told_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *says, *hints;
    } rows[] = {
        {"[keyd]\nstate-dri = /x\n", "line 2: [keyd] state-dri is no setting", "[keyd] state-dir"},
        {"[limits]\n\nconections = 5\n", "line 3", "[limits] connections"},
        {"[limit]\nqueue = 5\n", "[limit] queue is no setting", "[limits] queue"},
        {"[keyd]\nsigners = many\n", "signers = many is not a number from 0 to 64", ""},
        {"[keyd]\nsigners = -1\n", "not a number", ""},
        {"[keyd]\nsigners = 65\n", "not a number from 0 to 64", ""},
        {"[keyd]\nsigners = 5x\n", "not a number", ""},
        {"[keyd]\nsigners =\n", "not a number", ""},
        {"[keyd]\nlandlock = no\n", "neither optional nor required", ""},
        {"[keyd]\nstate-dir = var\n", "not an absolute path", "begin it with /"},
        {"[keyd]\nstate-dir =\n", "state-dir is empty", ""},
        {"[keyd\nsigners = 1\n", "line 1", ""},
        {"[keyd]\nwhat is this\n", "line 2", ""},
        {"[keyd]\nstate-dir = /a/very/long/path/for/a/socket/that/does/not/fit/into/the/hundred/"
         "and/seven/bytes/that/unix/allows\n",
         "107 are possible", "shorter"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct config c = {.signers = 77};
        struct err err = {0};

        assert_false(read_text(rows[i].text, &c, &err));
        assert_contains(err.text, rows[i].says);
        assert_contains(err.hint, rows[i].hints);
        assert_int_equal(c.signers, 77); /* untouched */
    }
}

/* What the library would read as a second line, or as more of the line before, is not. */
static void lines_are_what_they_look_like(void **state)
{
    char text[400];
    struct config c;
    struct err err;

    (void)state;
    for (int n = 188; n < 194; n++) { /* 191 and "#user = " are 199 bytes */
        snprintf(text, sizeof(text), "[keyd]\n#user = %0*d\nsigners = 3\n", n, 1);
        if (read_text(text, &c, &err) != (n < 191))
            fail_msg("%d bytes", n + 8);
        if (n < 191)
            continue;
        assert_contains(err.text, "line 2 is longer than 198 bytes");
        assert_int_equal(err.code, ERR_TOO_LARGE);
    }
    snprintf(text, sizeof(text), "[keyd]\n#%0197d signers = 4\n", 1);
    assert_false(read_text(text, &c, &err));
    assert_true(read_text("[keyd]\nuser = me\n  signers = 3\n\t# a comment\n", &c, &err));
    assert_string_equal(c.user, "me");
    assert_int_equal(c.signers, 3);
    assert_false(read_text("[keyd]\nuser = me\n  and more\n", &c, &err));
    assert_contains(err.text, "line 3");
    assert_true(read_text("[keyd]\nuser = me ; a comment\n", &c, &err));
    assert_string_equal(c.user, "me");
}

static void a_missing_file_is_named(void **state)
{
    struct config c;
    struct err err;

    (void)state;
    assert_false(config_read(&c, "/nonexistent/keyd.conf", &err));
    assert_contains(err.text, "/nonexistent/keyd.conf");
}

static void only_limits_can_be_reloaded(void **state)
{
    struct config a, b;
    struct err err;

    (void)state;
    assert_true(read_text("[limits]\nqueue = 5\n", &a, &err));
    assert_true(read_text("[limits]\nqueue = 6\n[token]\nsigner-timeout-ms = 99\n", &b, &err));
    assert_true(config_reloadable(&a, &b, &err));
    assert_true(read_text("[keyd]\nlandlock = optional\n", &b, &err));
    assert_false(config_reloadable(&a, &b, &err));
    assert_contains(err.text, "[keyd] landlock");
    assert_contains(err.hint, "restart");
}

/* What --print-config prints, with its comments taken away, is a file that reads as the defaults.
 */
static void the_printed_settings_are_the_defaults(void **state)
{
    char *text = NULL, *bare;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct config printed, defaults;
    struct err err;

    (void)state;
    config_print(out);
    fclose(out);
    bare = strdup(text);
    char *to = bare;
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n") + 1;
        bool doc = line[0] == '#' && line[1] == ' ';

        if (!doc) {
            memcpy(to, line + (line[0] == '#'), n - (line[0] == '#'));
            to += n - (line[0] == '#');
        }
        line += n;
    }
    *to = 0;
    assert_true(read_text(bare, &printed, &err));
    assert_true(read_text("", &defaults, &err));
    assert_memory_equal(&printed, &defaults, sizeof(printed));
    free(text);
    free(bare);
}

static void the_printed_settings_say_their_limits(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    config_print(out);
    fclose(out);
    assert_contains(text, "for each processor.\n# From 0 to 64.\n#signers = 0\n");
    assert_contains(text, "# From 1 to 1000000.\n# SIGHUP takes a change over.\n#queue = 4096\n");
    assert_contains(text, "Mode 0700.\n#state-dir = /var/lib/keyd\n"); /* no number */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(one_setting_moves_everything),
        cmocka_unit_test(every_setting_is_read),
        cmocka_unit_test(principals_are_read),
        cmocka_unit_test(bad_files_are_told_what_is_wrong),
        cmocka_unit_test(lines_are_what_they_look_like),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(only_limits_can_be_reloaded),
        cmocka_unit_test(the_printed_settings_are_the_defaults),
        cmocka_unit_test(the_printed_settings_say_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
