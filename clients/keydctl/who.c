/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"
#include "proto/base/mem.h"

#define MESSAGE_MAX 65536

static json_t *strings_json(char *const *from, size_t count)
{
    json_t *all = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(all, out_string(from[i]));
    return all;
}

static json_t *principal_json(const struct keyd_principal *p)
{
    const char *role = keyd_role_name(p->role);

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i}", "name", out_string(p->name), "role",
                     out_string(role ? role : "none"), "tenant", out_string(p->tenant), "group",
                     out_string(p->group), "proof", out_string(p->proof), "connections",
                     (int)p->connections);
}

/* Prints each string of an array on a line of its own. */
static void print_lines(const json_t *lines, const char *before)
{
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        printf("%s", before);
        out_text(stdout, json_string_value(line));
        putchar('\n');
    }
}

/* ---- whoami */

static const struct column whoami_fields[] = {
    {.title = "you are", .member = "name"},   {.title = "role", .member = "role"},
    {.title = "tenant", .member = "tenant"},  {.title = "group", .member = "group"},
    {.title = "known by", .member = "proof"}, {0},
};

static bool show_whoami(const json_t *value)
{
    out_fields(stdout, whoami_fields, value, 0);
    puts("you may:");
    print_lines(json_object_get(value, "may"), "  ");
    return ferror(stdout) == 0;
}

static int whoami(struct ctx *ctx)
{
    struct keyd_whoami *who;
    struct keyd_error error;

    if (keyd_whoami(ctx->client, &who, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = principal_json(&who->principal);
    json_object_set_new(value, "may", strings_json(who->may, who->may_count));
    keyd_whoami_free(who);
    return present(ctx, value, show_whoami);
}

/* ---- principals-list */

static const struct column principal_columns[] = {
    {.title = "NAME", .member = "name"},      {.title = "ROLE", .member = "role"},
    {.title = "TENANT", .member = "tenant"},  {.title = "GROUP", .member = "group"},
    {.title = "KNOWN BY", .member = "proof"}, {0},
};

static bool show_principals(const json_t *value)
{
    return out_table(stdout, principal_columns, json_object_get(value, "principals"));
}

static int principals_list(struct ctx *ctx)
{
    struct keyd_principal *principals;
    struct keyd_error error;
    size_t count;

    if (keyd_principals_list(ctx->client, &principals, &count, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, principal_json(&principals[i]));
    keyd_principals_free(principals, count);
    return present(ctx, json_pack("{s:o}", "principals", rows), show_principals);
}

/* ---- config-test */

static const struct column granted_columns[] = {
    {.title = "KEY", .member = "key"},
    {.title = "TYPE", .member = "type"},
    {.title = "STATE", .member = "state"},
    {.title = "MAY SIGN", .member = "purposes"},
    {0},
};

static bool show_config_test(const json_t *value)
{
    const json_t *missing = json_object_get(value, "missing");
    const json_t *keys = json_object_get(value, "keys");

    out_fields(stdout, whoami_fields, value, 0);
    if (json_array_size(keys) > 0 && !out_table(stdout, granted_columns, keys))
        return false;
    if (json_array_size(missing) == 0)
        return puts("nothing is missing: it can serve") != EOF;
    puts("missing:");
    print_lines(missing, "  - ");
    return ferror(stdout) == 0;
}

static json_t *granted_json(const struct keyd_config_test *test)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < test->key_count; i++) {
        const struct keyd_granted_key *k = &test->keys[i];
        const char *type = keyd_key_type_name(k->type);

        json_array_append_new(rows, json_pack("{s:o, s:o, s:s, s:o}", "key", out_string(k->key),
                                              "type", out_string(type ? type : "?"), "state",
                                              key_state_name(k->state), "purposes",
                                              purposes_json(k->purposes)));
    }
    return rows;
}

static int config_test(struct ctx *ctx)
{
    struct keyd_config_test *test;
    struct keyd_error error;

    if (keyd_config_test(ctx->client, args_get(&ctx->args, "as"), &test, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = principal_json(&test->principal);
    bool serves = test->missing_count == 0;
    json_object_set_new(value, "keys", granted_json(test));
    json_object_set_new(value, "keys_total", json_integer(test->keys_total));
    json_object_set_new(value, "missing", strings_json(test->missing, test->missing_count));
    keyd_config_test_free(test);
    int status = present(ctx, value, show_config_test);
    return status == STATUS_DONE && !serves ? STATUS_REFUSED : status;
}

static const struct option_row config_test_options[] = {
    {"as", "PRINCIPAL", "as which frontend; default: who one is", OPTION_OPERAND},
    {0},
};

/* ---- explain */

static const struct column step_columns[] = {
    {.title = "WHAT", .member = "what"},
    {.title = "PASSES", .member = "passes"},
    {.title = "WHY", .member = "why"},
    {0},
};

static bool show_explained(const json_t *value)
{
    if (!out_table(stdout, step_columns, json_object_get(value, "steps")))
        return false;
    return puts(json_is_true(json_object_get(value, "signs")) ? "keyd would sign this"
                                                              : "keyd would not sign this") != EOF;
}

static bool read_message(const char *path, uint8_t *bytes, size_t *ret_len, struct err *err)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

    if (!f)
        return err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
    *ret_len = fread(bytes, 1, MESSAGE_MAX + 1, f);
    bool ok = !ferror(f);
    if (f != stdin)
        fclose(f);
    if (!ok)
        return err_errno(err, ERR_STORAGE, errno, "cannot read %s", path);
    return *ret_len <= MESSAGE_MAX ||
           err_set(err, ERR_TOO_LARGE, "%s is longer than %d bytes: no message to be signed is",
                   path, MESSAGE_MAX);
}

static bool parse_scheme(const char *text, uint16_t *ret, struct err *err)
{
    char *end = NULL;
    unsigned long n = text ? strtoul(text, &end, 0) : 0;

    if (text && (*text < '0' || *text > '9' || *end || n > 0xffff)) {
        err_set(err, ERR_BAD_REQUEST, "--scheme %s is no TLS SignatureScheme", text);
        return err_hint(err, "a number as in the IANA registry: 0x0403");
    }
    *ret = (uint16_t)n;
    return true;
}

static json_t *steps_json(const struct keyd_explain_step *steps, size_t count)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, json_pack("{s:o, s:s, s:o}", "what", out_string(steps[i].what),
                                              "passes", steps[i].passes ? "yes" : "no", "why",
                                              out_string(steps[i].why)));
    return rows;
}

static int explain(struct ctx *ctx)
{
    AUTO_FREE uint8_t *message = mem_new(MESSAGE_MAX + 1);
    struct keyd_explain_step *steps;
    struct keyd_error error;
    struct err err;
    size_t len = 0, count;
    uint16_t scheme = 0;
    int signs;

    if (!message || !read_message(args_get(&ctx->args, "file"), message, &len, &err) ||
        !parse_scheme(args_get(&ctx->args, "scheme"), &scheme, &err))
        return complain_usage(&err);
    if (keyd_explain(ctx->client, message, len, args_get(&ctx->args, "key"), scheme,
                     args_get(&ctx->args, "as"), &steps, &count, &signs, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = json_pack("{s:b, s:o}", "signs", signs, "steps", steps_json(steps, count));
    keyd_explain_free(steps, count);
    int status = present(ctx, value, show_explained);
    return status == STATUS_DONE && !signs ? STATUS_REFUSED : status;
}

static const struct option_row explain_options[] = {
    {"file", "FILE", "the bytes that are to be signed; - for standard input",
     OPTION_REQUIRED | OPTION_OPERAND},
    {"key", "KEY", "tenant/name, or the first 8 or more hex digits of its id", OPTION_REQUIRED},
    {"as", "PRINCIPAL", "as whom; default: who one is", 0},
    {"scheme", "NUMBER", "a TLS SignatureScheme, 0x0403; default: one that fits", 0},
    {0},
};

const struct command who_commands[] = {
    {.name = "whoami",
     .run = whoami,
     .line = "say who keyd thinks you are",
     .about = "Says who keyd thinks you are, how it knows, and what you may do.",
     .example = "keydctl whoami"},
    {.name = "principals-list",
     .run = principals_list,
     .line = "list who is who",
     .about = "Lists the principals that keyd.conf names, in the order in which keyd tries\n"
              "them: the first one that fits is who somebody is.",
     .example = "keydctl principals-list"},
    {.name = "config-test",
     .run = config_test,
     .line = "say what a frontend could do now",
     .about = "Says which keys a frontend could use now, and what is missing for it to serve.\n"
              "Exit status 1: something is.",
     .example = "keydctl config-test --as fe-12",
     .options = config_test_options},
    {.name = "explain",
     .run = explain,
     .line = "say whether these bytes would be signed, and why",
     .about = "Says what keyd would do if it were asked to sign these bytes with the key:\n"
              "shape, purpose, grant, scheme, answer. Nothing is signed. Exit status 1: it\n"
              "would not.",
     .example = "keydctl explain tbs.bin --key acme/www --as fe-12",
     .options = explain_options},
    {0},
};
