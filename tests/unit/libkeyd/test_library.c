/* SPDX-License-Identifier: Apache-2.0
 *
 * The library as a file: what it exports, and that its example works. KEYD_LIBRARY, KEYD_HEADER
 * and KEYD_EXAMPLE are paths, given by CMake.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "proto/keys.h"
#include "tests/unit/libkeyd/fixture.h"

/* Reads what a command prints; returns its exit status. */
static int run(const char *command, char *out, size_t size)
{
    FILE *f = popen(command, "r");

    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_api(const char *symbol)
{
    return strncmp(symbol, "keyd_", 5) == 0 && symbol[5] != '_';
}

/* Exactly the functions of keyd.h, and none of proto's or base's. */
static void test_exports(void **state)
{
    static char out[65536], header[65536];
    size_t exported = 0, declared = 0;

    (void)state;
    if (run("nm -D --defined-only --format=posix " KEYD_LIBRARY, out, sizeof(out)) != 0)
        fail_msg("nm failed on %s", KEYD_LIBRARY);
    assert_int_equal(run("cat " KEYD_HEADER, header, sizeof(header)), 0);
    for (const char *line = out; *line; line += strcspn(line, "\n") + 1) {
        char name[128], call[130];
        size_t n = strcspn(line, "@ \n");

        snprintf(name, sizeof(name), "%.*s", (int)n, line);
        if (strncmp(line + n, " A ", 3) == 0) /* the version node itself */
            continue;
        if (!is_api(name))
            fail_msg("%s is exported", name);
        snprintf(call, sizeof(call), "%s(", name);
        if (!strstr(header, call))
            fail_msg("%s is exported and not in keyd.h", name);
        exported++;
    }
    for (char *at = header; (at = strstr(at, "keyd_")); at++)
        if (at != header && (at[-1] == '*' || at[-1] == ' ')) {
            const char *after = at + strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
            /* A prototype's name stands before a parenthesis on a line that begins with its type.
             */
            const char *line = at;

            while (line > header && line[-1] != '\n')
                line--;
            declared += *after == '(' && *line != ' ' && *line != '/';
        }
    assert_int_equal(exported, declared);
    assert_in_range(exported, 20, 100);
}

static void test_example(void **state)
{
    struct server *s = new_server(NULL);
    char id[KEY_ID_HEX_LEN + 1], command[512], out[512];

    (void)state;
    hex_encode(server_key_id(), KEYD_KEY_ID_LEN, id);
    snprintf(command, sizeof(command), "%s %s %s", KEYD_EXAMPLE, scratch_path("keyd.sock"), id);
    assert_int_equal(run(command, out, sizeof(out)), 0);
    assert_non_null(strstr(out, "scheme 0x0403"));
    assert_non_null(strstr(out, "verified"));
    server_set(s, &(struct server_knobs){.fail = SERVER_ALWAYS, .fail_code = ERR_NOT_FOUND});
    snprintf(command, sizeof(command), "%s %s %s 2>&1", KEYD_EXAMPLE, scratch_path("keyd.sock"),
             id);
    assert_int_equal(run(command, out, sizeof(out)), 1);
    assert_string_equal(out, "NOT_FOUND: the knob says no\n  hint: turn it\n");
    assert_int_equal(run(KEYD_EXAMPLE " /x 1234 2>&1", out, sizeof(out)), 2);
    server_stop(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exports),
        cmocka_unit_test(test_example),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
