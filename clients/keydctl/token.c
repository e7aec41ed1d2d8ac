/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

static json_t *object_json(const struct keyd_object *o)
{
    json_t *attributes = json_object();

    for (size_t i = 0; i < o->attribute_count; i++) {
        json_t *name = out_string(o->attributes[i].name);

        json_object_set_new(attributes, json_string_value(name),
                            out_string(o->attributes[i].value));
        json_decref(name);
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "class", out_string(o->cls), "label",
                     out_string(o->label), "id", out_hex(o->cka_id, o->cka_id_len), "key",
                     o->key[0] ? out_string(o->key) : json_null(), "attributes", attributes);
}

/* ---- as a table: what decides over a key's custody in a few words */

/* Attributes that are named when they are true. */
static const char *const telling[] = {
    "CKA_SENSITIVE", "CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE", "CKA_EXTRACTABLE",
    "CKA_SIGN",      "CKA_SIGN_RECOVER",     "CKA_DECRYPT",           "CKA_UNWRAP",
    "CKA_DERIVE",    "CKA_MODIFIABLE",
};

/* "CKA_NEVER_EXTRACTABLE" -> "never-extractable", "CKK_EC" -> "ec", behind a space. */
static size_t add_word(char *buf, size_t at, const char *constant)
{
    const char *word = strlen(constant) > 4 ? constant + 4 : constant;

    if (at > 0 && at + 1 < CELL_MAX)
        buf[at++] = ' ';
    for (; *word && at + 1 < CELL_MAX; word++)
        buf[at++] = *word == '_' ? '-' : (char)tolower((unsigned char)*word);
    buf[at] = 0;
    return at;
}

static void text_telling(const json_t *attributes, char *buf)
{
    const char *type = json_string_value(json_object_get(attributes, "CKA_KEY_TYPE"));
    size_t at = 0;

    if (type)
        at = add_word(buf, at, type);
    for (size_t i = 0; i < sizeof(telling) / sizeof(*telling); i++) {
        const char *value = json_string_value(json_object_get(attributes, telling[i]));

        if (value && strcmp(value, "true") == 0)
            at = add_word(buf, at, telling[i]);
    }
}

static const struct column columns[] = {
    {.title = "CLASS", .member = "class"},
    {.title = "LABEL", .member = "label"},
    {.title = "ID", .member = "id"},
    {.title = "KEY", .member = "key"},
    {.title = "ATTRIBUTES", .member = "attributes", .text = text_telling},
    {0},
};

static bool show_table(const json_t *value)
{
    const json_t *rows = json_object_get(value, "objects");

    if (json_array_size(rows) == 0)
        return puts("the token holds no objects") != EOF;
    return out_table(stdout, columns, rows);
}

/* ---- with all attributes */

static const struct column heads[] = {
    {.title = "class", .member = "class"},
    {.title = "label", .member = "label"},
    {.title = "id", .member = "id"},
    {.title = "key", .member = "key"},
    {0},
};

static void show_attributes(const json_t *attributes)
{
    const char *name;
    json_t *value;
    int width = 0;

    json_object_foreach((json_t *)attributes, name, value) if ((int)strlen(name) > width) width =
        (int)strlen(name);
    json_object_foreach((json_t *)attributes, name, value)
    {
        printf("    ");
        out_text(stdout, name);
        printf("%*s  ", width - (int)strlen(name), "");
        out_text(stdout, json_string_value(value));
        putchar('\n');
    }
}

static bool show_all(const json_t *value)
{
    const json_t *rows = json_object_get(value, "objects");

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *object = json_array_get(rows, i);

        if (i > 0)
            putchar('\n');
        out_fields(stdout, heads, object, 0);
        show_attributes(json_object_get(object, "attributes"));
    }
    return true;
}

static int token_objects(struct ctx *ctx)
{
    struct keyd_object *objects;
    struct keyd_error error;
    size_t count;

    if (keyd_token_objects(ctx->client, &objects, &count, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, object_json(&objects[i]));
    keyd_objects_free(objects, count);
    return present(ctx, json_pack("{s:o}", "objects", rows),
                   args_get(&ctx->args, "attributes") ? show_all : show_table);
}

static const struct option_row options[] = {
    {"attributes", NULL, "show every PKCS#11 attribute beneath its object", 0},
    {0},
};

const struct command token_commands[] = {
    {.name = "token-objects",
     .run = token_objects,
     .line = "list every object in the token",
     .about = "Lists every object in the token, also those that keyd does not know (KEY is\n"
              "then -), with what decides over their custody.",
     .example = "keydctl token-objects --attributes",
     .options = options},
    {0},
};
