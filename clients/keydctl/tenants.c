/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

/* ---- tenants-add */

static bool show_added(const json_t *value)
{
    return printf("tenant %s added\n", json_string_value(json_object_get(value, "tenant"))) > 0;
}

static int tenants_add(struct ctx *ctx)
{
    const char *name = args_get(&ctx->args, "name");
    struct keyd_error error;

    if (keyd_tenants_add(ctx->client, name, &error) != KEYD_OK)
        return complain(ctx, &error);
    return present(ctx, json_pack("{s:o}", "tenant", out_string(name)), show_added);
}

static const struct option_row tenants_add_options[] = {
    {"name", "NAME", "begins with a-z or 0-9, then also . _ - ; at most 63 characters",
     OPTION_REQUIRED | OPTION_OPERAND},
    {0},
};

/* ---- tenants-list */

static const struct column columns[] = {
    {.title = "TENANT", .member = "tenant"},
    {.title = "KEYS", .member = "keys", .right = true},
    {.title = "CREATED", .member = "created"},
    {0},
};

static bool show_list(const json_t *value)
{
    const json_t *rows = json_object_get(value, "tenants");

    if (json_array_size(rows) == 0)
        return puts("no tenants yet: keydctl tenants-add NAME") != EOF;
    return out_table(stdout, columns, rows);
}

static json_t *list_json(const struct keyd_tenant *tenants, size_t count)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            rows, json_pack("{s:o, s:i, s:o}", "tenant", out_string(tenants[i].name), "keys",
                            (int)tenants[i].keys, "created", out_time(tenants[i].created)));
    return json_pack("{s:o}", "tenants", rows);
}

static int tenants_list(struct ctx *ctx)
{
    struct keyd_tenant *tenants;
    struct keyd_error error;
    size_t count;

    if (keyd_tenants_list(ctx->client, &tenants, &count, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = list_json(tenants, count);
    keyd_tenants_free(tenants, count);
    return present(ctx, value, show_list);
}

const struct command tenants_commands[] = {
    {.name = "tenants-add",
     .run = tenants_add,
     .line = "make a tenant, the owner of keys",
     .about = "Makes a tenant. Every key belongs to one.",
     .example = "keydctl tenants-add acme",
     .options = tenants_add_options},
    {.name = "tenants-list",
     .run = tenants_list,
     .line = "list the tenants",
     .about = "Lists the tenants and how many keys each has.",
     .example = "keydctl tenants-list"},
    {0},
};
