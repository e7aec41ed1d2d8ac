/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

/* "fe-12", "group edge"; "acme/www", "tenant acme". */
static void text_either(const char *one, const char *word, const char *other, char *buf)
{
    if (*one)
        snprintf(buf, CELL_MAX, "%s", one);
    else
        snprintf(buf, CELL_MAX, "%s %s", word, other);
}

static json_t *grant_json(const struct keyd_grant *g)
{
    char who[CELL_MAX], what[CELL_MAX];

    text_either(g->principal, "group", g->group, who);
    text_either(g->key, "tenant", g->tenant, what);
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "id", (json_int_t)g->id, "who", out_string(who),
                     "on", out_string(what), "purposes", purposes_json(g->purposes), "created",
                     out_time(g->created));
}

static const struct column columns[] = {
    {.title = "ID", .member = "id", .right = true}, {.title = "WHO", .member = "who"},
    {.title = "MAY USE", .member = "on"},           {.title = "FOR", .member = "purposes"},
    {.title = "SINCE", .member = "created"},        {0},
};

static bool show_one(const json_t *value)
{
    out_fields(stdout, columns, value, 0);
    return ferror(stdout) == 0;
}

static int present_one(struct ctx *ctx, struct keyd_grant *grant)
{
    json_t *value = grant_json(grant);

    keyd_grants_free(grant, 1);
    return present(ctx, value, show_one);
}

/* ---- grants-add */

static int grants_add(struct ctx *ctx)
{
    struct keyd_grant *grant;
    struct keyd_error error;
    uint32_t purposes;
    struct err err;

    if (!parse_purposes(args_get(&ctx->args, "purposes"), &purposes, &err))
        return complain_usage(&err);
    if (keyd_grants_add(ctx->client, args_get(&ctx->args, "principal"),
                        args_get(&ctx->args, "group"), args_get(&ctx->args, "key"),
                        args_get(&ctx->args, "tenant"), purposes, &grant, &error) != KEYD_OK)
        return complain(ctx, &error);
    return present_one(ctx, grant);
}

static const struct option_row add_options[] = {
    {"principal", "PRINCIPAL", "the frontend: a name that keyd.conf gives, keydctl principals-list",
     0},
    {"group", "GROUP", "or all frontends of a group", 0},
    {"key", "KEY", "the key: tenant/name, or the first 8 or more hex digits of its id", 0},
    {"tenant", "TENANT", "or all keys of a tenant, also those to come", 0},
    {"purposes", "LIST", "default tls13-server,tls12-server; also tls13-client", 0},
    {0},
};

/* ---- grants-list */

static bool show_list(const json_t *value)
{
    const json_t *rows = json_object_get(value, "grants");

    if (json_array_size(rows) == 0)
        return puts("no grants: no frontend may use a key; keydctl grants-add") != EOF;
    return out_table(stdout, columns, rows);
}

static int grants_list(struct ctx *ctx)
{
    struct keyd_grant *grants;
    struct keyd_error error;
    json_t *rows = json_array();
    size_t count;

    if (keyd_grants_list(ctx->client, args_get(&ctx->args, "principal"),
                         args_get(&ctx->args, "key"), &grants, &count, &error) != KEYD_OK) {
        json_decref(rows);
        return complain(ctx, &error);
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, grant_json(&grants[i]));
    keyd_grants_free(grants, count);
    return present(ctx, json_pack("{s:o}", "grants", rows), show_list);
}

static const struct option_row list_options[] = {
    {"principal", "PRINCIPAL", "of this frontend or group alone", 0},
    {"key", "KEY", "on this key alone, grants on its tenant included", 0},
    {0},
};

/* ---- grants-remove */

static int grants_remove(struct ctx *ctx)
{
    const char *text = args_get(&ctx->args, "id");
    char *end;
    unsigned long long id = strtoull(text, &end, 10);
    struct keyd_grant *grant;
    struct keyd_error error;
    struct err err;

    if (*text < '0' || *text > '9' || *end) {
        err_set(&err, ERR_BAD_REQUEST, "\"%s\" is no grant's number", text);
        err_hint(&err, "keydctl grants-list");
        return complain_usage(&err);
    }
    if (keyd_grants_remove(ctx->client, id, &grant, &error) != KEYD_OK)
        return complain(ctx, &error);
    return present_one(ctx, grant);
}

static const struct option_row remove_options[] = {
    {"id", "ID", "its number in grants-list", OPTION_REQUIRED | OPTION_OPERAND},
    {0},
};

const struct command grants_commands[] = {
    {.name = "grants-add",
     .run = grants_add,
     .line = "let a frontend use a key",
     .about = "Lets a frontend, or a group of them, use a key, or all keys of a tenant, to\n"
              "finish TLS handshakes. It is in force at once, also on connections that are\n"
              "open. Without a grant no frontend may use any key.",
     .example = "keydctl grants-add --principal fe-12 --key acme/www",
     .options = add_options},
    {.name = "grants-list",
     .run = grants_list,
     .line = "list who may use which key",
     .about = "Lists the grants: which frontend may use which key, for what.",
     .example = "keydctl grants-list --key acme/www",
     .options = list_options},
    {.name = "grants-remove",
     .run = grants_remove,
     .line = "take a grant away",
     .about = "Takes a grant away. When the command returns, no connection has it any more.",
     .example = "keydctl grants-remove 17",
     .options = remove_options},
    {0},
};
