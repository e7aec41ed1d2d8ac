/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

#define TYPES_MAX    32
#define PURPOSES_MAX 32

/* ---- a key as JSON and as text */

json_t *purposes_json(uint32_t purposes)
{
    json_t *names = json_array();

    for (unsigned bit = 0; bit < PURPOSES_MAX; bit++) {
        const char *name = keyd_purpose_name(bit);

        if (purposes & 1u << bit)
            json_array_append_new(names, name ? json_string(name) : json_sprintf("bit %u", bit));
    }
    return names;
}

static json_t *type_json(int type)
{
    const char *name = keyd_key_type_name(type);

    return name ? json_string(name) : json_sprintf("type %d", type);
}

const char *key_state_name(int state)
{
    switch (state) {
    case KEYD_KEY_ENABLED:
        return "enabled";
    case KEYD_KEY_MISSING:
        return "missing";
    case KEYD_KEY_DISABLED:
        return "disabled";
    case KEYD_KEY_DESTROYED:
        return "destroyed";
    default:
        return "unknown";
    }
}

/* The SPKI's SHA-256, which is the id, in the form that curl --pinnedpubkey takes. */
static json_t *pin_json(const uint8_t id[KEYD_KEY_ID_LEN])
{
    json_t *digest = out_base64(id, KEYD_KEY_ID_LEN);
    json_t *pin = json_sprintf("sha256//%s", json_string_value(digest));

    json_decref(digest);
    return pin;
}

static json_t *full_name_json(const struct keyd_key *k)
{
    json_t *tenant = out_string(k->tenant), *name = out_string(k->name);
    json_t *full = json_sprintf("%s/%s", json_string_value(tenant), json_string_value(name));

    json_decref(tenant);
    json_decref(name);
    return full;
}

static json_t *allowed_json(const struct keyd_key *k)
{
    json_t *names = json_array();

    for (size_t i = 0; i < k->allowed_name_count; i++)
        json_array_append_new(names, out_string(k->allowed_names[i]));
    return names;
}

json_t *key_json(const struct keyd_key *k)
{
    json_t *j = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}", "key", full_name_json(k), "type",
                          type_json(k->type), "state", key_state_name(k->state), "purposes",
                          purposes_json(k->purposes), "id", out_hex(k->id, KEYD_KEY_ID_LEN),
                          "created", out_time(k->created));

    json_object_set_new(j, "spki_sha256", pin_json(k->id));
    json_object_set_new(j, "adopted", json_boolean(k->adopted));
    json_object_set_new(j, "allowed_names", allowed_json(k));
    if (k->spki)
        json_object_set_new(j, "spki", out_base64(k->spki, k->spki_len));
    if (k->cka_id)
        json_object_set_new(j, "cka_id", out_hex(k->cka_id, k->cka_id_len));
    return j;
}

static void text_origin(const json_t *adopted, char *buf)
{
    snprintf(buf, CELL_MAX, "%s",
             json_is_true(adopted) ? "adopted: the token had it before"
                                   : "made or imported by keyd");
}

static const struct column fields[] = {
    {.title = "key", .member = "key"},
    {.title = "type", .member = "type"},
    {.title = "state", .member = "state"},
    {.title = "may sign", .member = "may_sign"},
    {.title = "certificates for", .member = "certificates_for"},
    {.title = "id", .member = "id"},
    {.title = "SPKI SHA-256", .member = "spki_sha256"},
    {.title = "CKA_ID", .member = "cka_id"},
    {.title = "origin", .member = "adopted", .text = text_origin},
    {.title = "created", .member = "created"},
    {0},
};

static bool signs(const json_t *key, const char *purpose)
{
    const json_t *name;
    size_t i;

    json_array_foreach(json_object_get(key, "purposes"), i,
                       name) if (strcmp(json_string_value(name), purpose) == 0) return true;
    return false;
}

/* What people read instead of the lists. */
static json_t *in_words(const json_t *key)
{
    json_t *names = json_object_get(key, "allowed_names"), *words = json_copy((json_t *)key);

    if (signs(key, "raw"))
        json_object_set_new(words, "may_sign",
                            json_string("raw: anything at all that an operator sends"));
    else
        json_object_set(words, "may_sign", json_object_get(key, "purposes"));
    if (signs(key, "csr") && json_array_size(names) > 0)
        json_object_set(words, "certificates_for", names);
    else if (signs(key, "csr"))
        json_object_set_new(words, "certificates_for", json_string("any name"));
    return words;
}

bool show_key(const json_t *value)
{
    json_t *words = in_words(value);

    out_fields(stdout, fields, words, 0);
    json_decref(words);
    return true;
}

/* ---- words of the command line */

/* The nearest known word and all of them, for a hint. */
static bool no_such(const char *what, const char *word, const char *const *known, struct err *err)
{
    const char *near = nearest(word, known);
    char all[192] = "";
    size_t n = 0;

    for (size_t i = 0; known[i] && n < sizeof(all); i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", known[i]);
    err_set(err, ERR_BAD_REQUEST, "there is no %s '%s'; there are %s", what, word, all);
    if (near)
        err_hint(err, "did you mean '%s'?", near);
    return false;
}

static bool parse_type(const char *word, int *ret, struct err *err)
{
    const char *known[TYPES_MAX + 1] = {0};
    int type = keyd_key_type_by_name(word);

    if (type) {
        *ret = type;
        return true;
    }
    for (int i = 1; i <= TYPES_MAX; i++)
        if (!(known[i - 1] = keyd_key_type_name(i)))
            break;
    return no_such("type", word, known, err);
}

static bool parse_purpose(const char *word, uint32_t *purposes, struct err *err)
{
    const char *known[PURPOSES_MAX + 1] = {0};
    const char *name;

    for (unsigned bit = 0; bit < PURPOSES_MAX && (name = keyd_purpose_name(bit)); bit++) {
        known[bit] = name;
        if (strcmp(name, word) == 0) {
            *purposes |= 1u << bit;
            return true;
        }
    }
    return no_such("purpose", word, known, err);
}

bool parse_purposes(const char *list, uint32_t *ret, struct err *err)
{
    uint32_t purposes = 0;
    char word[64];

    while (list) {
        size_t n = strcspn(list, ",");

        snprintf(word, sizeof(word), "%.*s", (int)(n < 60 ? n : 60), list);
        TRY(parse_purpose(word, &purposes, err));
        list = list[n] ? list + n + 1 : NULL;
    }
    *ret = purposes;
    return true;
}

bool parse_rules(const struct ctx *ctx, struct rules *ret, struct err *err)
{
    const char *name;
    size_t count = 0;

    *ret = (struct rules){0};
    TRY(parse_purposes(args_get(&ctx->args, "purposes"), &ret->keyd.purposes, err));
    while ((name = args_nth(&ctx->args, "allow-name", count))) {
        if (count == ALLOW_NAMES_MAX)
            return err_set(err, ERR_BAD_REQUEST, "--allow-name is given more than %d times",
                           ALLOW_NAMES_MAX);
        ret->names[count++] = name;
    }
    ret->keyd.allowed_names = ret->names;
    ret->keyd.allowed_name_count = count;
    return true;
}

/* ---- keys-generate */

static int keys_generate(struct ctx *ctx)
{
    struct keyd_key *key;
    struct keyd_error error;
    struct rules rules;
    struct err err;
    int type = 0;

    if (!parse_type(args_get(&ctx->args, "type"), &type, &err) || !parse_rules(ctx, &rules, &err))
        return complain_usage(&err);
    if (keyd_keys_generate(ctx->client, args_get(&ctx->args, "tenant"),
                           args_get(&ctx->args, "name"), type, &rules.keyd, &key,
                           &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = key_json(key);
    keyd_keys_free(key, 1);
    return present(ctx, value, show_key);
}

static const struct option_row generate_options[] = {
    {"tenant", "TENANT", "whose key it is", OPTION_REQUIRED},
    {"name", "NAME", "what it is called there", OPTION_REQUIRED},
    {"type", "TYPE", "rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, ed25519", OPTION_REQUIRED},
    RULE_OPTIONS,
    {0},
};

/* ---- keys-list */

static const char *state_colour(const char *state)
{
    return strcmp(state, "enabled") == 0 ? NULL : "red";
}

static const struct column columns[] = {
    {.title = "KEY", .member = "key"},
    {.title = "TYPE", .member = "type"},
    {.title = "STATE", .member = "state", .colour = state_colour},
    {.title = "PURPOSES", .member = "purposes"},
    {.title = "ID", .member = "id", .text = text_short},
    {.title = "CREATED", .member = "created"},
    {0},
};

static bool show_list(const json_t *value)
{
    const json_t *rows = json_object_get(value, "keys");

    if (json_array_size(rows) == 0)
        return puts("no keys yet: keydctl keys-generate --help") != EOF;
    return out_table(stdout, columns, rows);
}

static int keys_list(struct ctx *ctx)
{
    struct keyd_error error;
    struct keyd_key *keys;
    size_t count;

    if (keyd_keys_list(ctx->client, args_get(&ctx->args, "tenant"), &keys, &count, &error) !=
        KEYD_OK)
        return complain(ctx, &error);
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, key_json(&keys[i]));
    keyd_keys_free(keys, count);
    return present(ctx, json_pack("{s:o}", "keys", rows), show_list);
}

static const struct option_row list_options[] = {
    {"tenant", "TENANT", "only its keys", 0},
    {0},
};

/* ---- keys-show, keys-ref */

static bool show_key_and_signers(const json_t *value)
{
    return show_key(value) && show_signers(json_object_get(value, "signers"));
}

static int keys_show(struct ctx *ctx)
{
    struct keyd_error error;
    struct keyd_key *key;
    json_t *signers = NULL;

    if (keyd_keys_show(ctx->client, args_get(&ctx->args, "key"), &key, &error) != KEYD_OK)
        return complain(ctx, &error);
    bool told = signers_json(ctx, key, &signers, &error);
    json_t *value = key_json(key);
    keyd_keys_free(key, 1);
    if (!told) {
        json_decref(value);
        return complain(ctx, &error);
    }
    json_object_set_new(value, "signers", signers);
    return present(ctx, value, show_key_and_signers);
}

static bool show_pem(const json_t *value)
{
    return fputs(json_string_value(json_object_get(value, "pem")), stdout) != EOF;
}

static int keys_ref(struct ctx *ctx)
{
    struct keyd_error error;
    struct keyd_key *key;
    char *pem;

    if (keyd_keys_show(ctx->client, args_get(&ctx->args, "key"), &key, &error) != KEYD_OK)
        return complain(ctx, &error);
    int code = keyd_ref_encode(key->spki, key->spki_len, &pem, &error);
    json_t *name = full_name_json(key);
    keyd_keys_free(key, 1);
    if (code != KEYD_OK) {
        json_decref(name);
        return complain(ctx, &error);
    }
    json_t *value = json_pack("{s:o, s:s}", "key", name, "pem", pem);
    keyd_free(pem);
    return present(ctx, value, show_pem);
}

static const struct option_row key_options[] = {KEY_OPTION(""), {0}};

/* ---- keys-disable, keys-enable, keys-destroy */

typedef int change_call(struct keyd_client *client, const char *key, struct keyd_key **ret,
                        struct keyd_error *error);

static int change_key(struct ctx *ctx, change_call *call)
{
    struct keyd_error error;
    struct keyd_key *key;

    if (call(ctx->client, args_get(&ctx->args, "key"), &key, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = key_json(key);
    keyd_keys_free(key, 1);
    return present(ctx, value, show_key);
}

static int keys_disable(struct ctx *ctx)
{
    return change_key(ctx, keyd_keys_disable);
}

static int keys_enable(struct ctx *ctx)
{
    return change_key(ctx, keyd_keys_enable);
}

/* Asks for the key's name to be typed: what is destroyed never comes back. */
static bool confirmed(const struct keyd_key *key)
{
    char want[160], line[160];

    snprintf(want, sizeof(want), "%s/%s", key->tenant, key->name);
    fprintf(stderr, "This destroys the key %s in the token for good.\n", want);
    if (key->adopted)
        fprintf(stderr, "It was adopted: it was there before keyd, and others may be using it.\n");
    fprintf(stderr, "Type its name: ");
    if (!fgets(line, sizeof(line), stdin))
        return false;
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, want) == 0;
}

static int keys_destroy(struct ctx *ctx)
{
    struct keyd_error error;
    struct keyd_key *key;
    struct err err;

    if (!args_get(&ctx->args, "yes")) {
        if (keyd_keys_show(ctx->client, args_get(&ctx->args, "key"), &key, &error) != KEYD_OK)
            return complain(ctx, &error);
        bool sure = confirmed(key);
        keyd_keys_free(key, 1);
        if (!sure) {
            err_set(&err, ERR_BAD_REQUEST, "the name was not typed: nothing is destroyed");
            err_hint(&err, "in a script: --yes");
            return complain_usage(&err);
        }
    }
    return change_key(ctx, keyd_keys_destroy);
}

static const struct option_row destroy_options[] = {
    KEY_OPTION(""), {"yes", NULL, "do not ask for the name to be typed", 0}, {0}};

const struct command keys_commands[] = {
    {.name = "keys-generate",
     .run = keys_generate,
     .line = "make a key in the token",
     .about = "Makes a key inside the token; nobody can take it out. What it may sign is fixed\n"
              "at its birth. RSA takes up to a few seconds.",
     .example = "keydctl keys-generate --tenant acme --name www --type ec-p256",
     .options = generate_options,
     .timeout = 60},
    {.name = "keys-list",
     .run = keys_list,
     .line = "list the keys",
     .about = "Lists the keys of one tenant or of all. MISSING: registered, but the token does\n"
              "not show it.",
     .example = "keydctl keys-list --tenant acme",
     .options = list_options},
    {.name = "keys-show",
     .run = keys_show,
     .line = "show one key",
     .about = "Shows all that keyd knows of a key, and what it can be made to sign, by whom:\n"
              "the frontends that were granted it, and roles. Its id is the SHA-256 over its\n"
              "SubjectPublicKeyInfo.",
     .example = "keydctl keys-show acme/www",
     .options = key_options},
    {.name = "keys-ref",
     .run = keys_ref,
     .line = "print a key reference, for nginx and others",
     .about = "Prints the key reference in PEM: it stands where a TLS server expects its key\n"
              "file, and holds no secret.",
     .example = "keydctl keys-ref acme/www > /etc/nginx/www.key",
     .options = key_options},
    {.name = "keys-disable",
     .run = keys_disable,
     .line = "switch a key off",
     .about = "Switches a key off. When this returns, no process of keyd signs with it, until\n"
              "keys-enable.",
     .example = "keydctl keys-disable acme/www",
     .options = key_options},
    {.name = "keys-enable",
     .run = keys_enable,
     .line = "switch a key on again",
     .about = "Switches a disabled key on again. When this returns, it signs.",
     .example = "keydctl keys-enable acme/www",
     .options = key_options},
    {.name = "keys-destroy",
     .run = keys_destroy,
     .line = "destroy a key in the token, for good",
     .about = "Destroys a key in the token. There is no way back but a backup of the token.\n"
              "Asks for the key's name to be typed. Refused while something uses the key.",
     .example = "keydctl keys-destroy acme/www --yes",
     .options = destroy_options},
    {0},
};
