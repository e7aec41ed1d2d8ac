/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

json_t *object_json(const struct keyd_object *o)
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

/* ---- findings */

static const char *severity_name(int severity)
{
    switch (severity) {
    case KEYD_DANGER:
        return "danger";
    case KEYD_WARNING:
        return "warning";
    default:
        return "note";
    }
}

json_t *findings_json(const struct keyd_finding *findings, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct keyd_finding *f = &findings[i];

        json_array_append_new(
            list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "severity",
                            severity_name(f->severity), "kind", out_string(f->kind), "object",
                            out_string(f->object), "id", out_hex(f->cka_id, f->cka_id_len), "text",
                            out_string(f->text), "advice", out_string(f->advice)));
    }
    return list;
}

static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

#define NAMED_MAX 8 /* objects that are named where many are found alike */

static bool is_alike(const json_t *a, const json_t *b)
{
    return strcmp(member(a, "kind"), member(b, "kind")) == 0 &&
           strcmp(member(a, "severity"), member(b, "severity")) == 0 &&
           strcmp(member(a, "text"), member(b, "text")) == 0 &&
           strcmp(member(a, "advice"), member(b, "advice")) == 0;
}

static bool is_told(const json_t *list, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (is_alike(json_array_get(list, k), json_array_get(list, i)))
            return true;
    return false;
}

/* acme/www, "stranger" (id 01), and 3 more: of all that are found like the i-th. */
static void name_alike(FILE *f, const json_t *list, size_t i)
{
    size_t named = 0, more = 0;

    for (size_t k = i; k < json_array_size(list); k++) {
        const json_t *other = json_array_get(list, k);

        if (!is_alike(json_array_get(list, i), other))
            continue;
        if (named == NAMED_MAX) {
            more++;
            continue;
        }
        fputs(named++ ? ", " : "", f);
        out_text(f, *member(other, "object") ? member(other, "object") : "an object without label");
        if (!strchr(member(other, "object"), '/') && *member(other, "id"))
            fprintf(f, " (id %.16s)", member(other, "id"));
    }
    if (more > 0)
        fprintf(f, ", and %zu more", more);
}

void show_findings(FILE *f, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);

        if (is_told(list, i))
            continue;
        fprintf(f, "%s [%s]: ", member(one, "severity"), member(one, "kind"));
        name_alike(f, list, i);
        fputs("\n    ", f);
        out_text(f, member(one, "text"));
        fputs("\n    ", f);
        out_text(f, member(one, "advice"));
        fputc('\n', f);
    }
}

static bool show_findings_alone(const json_t *value)
{
    const json_t *list = json_object_get(value, "findings");

    if (json_array_size(list) == 0)
        return puts("nothing was found") != EOF;
    show_findings(stdout, list);
    return true;
}

static bool show_findings_below(const json_t *value)
{
    if (json_array_size(json_object_get(value, "findings")) > 0) {
        putchar('\n');
        show_findings(stdout, json_object_get(value, "findings"));
    }
    return true;
}

static bool show_table(const json_t *value)
{
    const json_t *rows = json_object_get(value, "objects");

    if (json_array_size(rows) == 0)
        puts("the token holds no objects");
    else if (!out_table(stdout, columns, rows))
        return false;
    return show_findings_below(value);
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
    return show_findings_below(value);
}

static bool stands(const struct keyd_finding *findings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (findings[i].severity >= KEYD_DANGER)
            return true;
    return false;
}

static int token_objects(struct ctx *ctx)
{
    struct keyd_object *objects;
    struct keyd_finding *findings;
    struct keyd_error error;
    size_t count, found;

    if (keyd_token_objects(ctx->client, &objects, &count, &findings, &found, &error) != KEYD_OK)
        return complain(ctx, &error);
    bool alone = args_get(&ctx->args, "findings") != NULL;
    bool danger = stands(findings, found);
    json_t *rows = json_array(), *list = findings_json(findings, found);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, object_json(&objects[i]));
    keyd_objects_free(objects, count);
    keyd_findings_free(findings, found);
    json_t *value = alone ? json_pack("{s:o}", "findings", list)
                          : json_pack("{s:o, s:o}", "objects", rows, "findings", list);
    if (alone)
        json_decref(rows);
    int status = present(ctx, value,
                         alone                                ? show_findings_alone
                         : args_get(&ctx->args, "attributes") ? show_all
                                                              : show_table);
    return alone && danger && status == STATUS_DONE ? STATUS_FOUND : status;
}

static const struct option_row options[] = {
    {"attributes", NULL, "show every PKCS#11 attribute beneath its object", 0},
    {"findings", NULL, "only what is found to be wrong; status 5 if a danger stands", 0},
    {0},
};

/* ---- token-sweep */

static json_t *fragments_json(const struct keyd_fragment *fragments, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:o, s:o}", "id",
                                              out_hex(fragments[i].id, fragments[i].id_len), "what",
                                              out_string(fragments[i].what)));
    return list;
}

static bool sweep_confirmed(const struct keyd_fragment *fragments, size_t count)
{
    char line[32];

    for (size_t i = 0; i < count; i++) {
        fputs("  ", stderr);
        out_text(stderr, fragments[i].what);
        fputc('\n', stderr);
    }
    fprintf(stderr, "This removes what is listed here from the token.\nType sweep: ");
    if (!fgets(line, sizeof(line), stdin))
        return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, "sweep") == 0;
}

static bool show_swept(const json_t *value)
{
    const json_t *removed = json_object_get(value, "removed");
    long long left = json_integer_value(json_object_get(value, "left"));

    for (size_t i = 0; i < json_array_size(removed); i++) {
        printf("removed: ");
        out_text(stdout, member(json_array_get(removed, i), "what"));
        putchar('\n');
    }
    if (left > 0)
        printf("%lld changed meanwhile, and were left: repeat the command to see them\n", left);
    else if (json_array_size(removed) == 0)
        printf("the token holds no fragments\n");
    return true;
}

static int sweep(struct ctx *ctx, const struct keyd_fragment *shown, size_t count)
{
    struct keyd_fragment *removed = NULL;
    struct keyd_error error;
    size_t done = 0;

    if (count > 0 &&
        keyd_token_sweep(ctx->client, shown, count, &removed, &done, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = json_pack("{s:o, s:I}", "removed", fragments_json(removed, done), "left",
                              (json_int_t)(count - done));
    keyd_fragments_free(removed, done);
    return present(ctx, value, show_swept);
}

static int token_sweep(struct ctx *ctx)
{
    struct keyd_fragment *shown;
    struct keyd_error error;
    struct err err;
    size_t count;

    if (keyd_token_sweep(ctx->client, NULL, 0, &shown, &count, &error) != KEYD_OK)
        return complain(ctx, &error);
    if (count > 0 && !args_get(&ctx->args, "yes") && !sweep_confirmed(shown, count)) {
        keyd_fragments_free(shown, count);
        err_set(&err, ERR_BAD_REQUEST, "not confirmed: nothing is removed");
        err_hint(&err, "in a script: --yes");
        return complain_usage(&err);
    }
    int status = sweep(ctx, shown, count);
    keyd_fragments_free(shown, count);
    return status;
}

static const struct option_row sweep_options[] = {
    {"yes", NULL, "do not ask for a confirmation to be typed", 0}, {0}};

const struct command token_commands[] = {
    {.name = "token-objects",
     .run = token_objects,
     .line = "list every object in the token, and what is wrong with them",
     .about = "Lists every object in the token, also those that keyd does not know (KEY is\n"
              "then -), with what decides over their custody; and below, the worst first, what\n"
              "is not as it should be, or not there, and what to do about it.",
     .example = "keydctl token-objects --findings",
     .options = options,
     .timeout = 60},
    {.name = "token-sweep",
     .run = token_sweep,
     .line = "remove what a cut-short generation has left in the token",
     .about = "Shows the fragments in the token: beginnings of objects that a generation which\n"
              "was cut short has left, without CKA_ID, label and key, and empty files of\n"
              "SoftHSM. Removes them after a confirmation. keyd removes only what it finds to\n"
              "be a fragment itself at that moment, and never anything else.",
     .example = "keydctl token-sweep --yes",
     .options = sweep_options,
     .timeout = 60},
    {0},
};
