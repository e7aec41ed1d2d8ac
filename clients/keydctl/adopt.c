/* SPDX-License-Identifier: Apache-2.0
 *
 * keys-adopt in two steps: look, and show what was found; then adopt, accepting just that.
 */
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

#define KINDS_MAX 32

struct found {
    struct keyd_key *key;
    struct keyd_object *object;
    struct keyd_finding *findings;
    size_t count;
};

static void found_free(struct found *f)
{
    keyd_keys_free(f->key, f->key ? 1 : 0);
    keyd_objects_free(f->object, f->object ? 1 : 0);
    keyd_findings_free(f->findings, f->count);
    *f = (struct found){0};
}

static int ask(struct ctx *ctx, const struct keyd_adopt *what, struct found *ret)
{
    struct keyd_error error;

    if (keyd_keys_adopt(ctx->client, what, &ret->key, &ret->object, &ret->findings, &ret->count,
                        &error) != KEYD_OK)
        return complain(ctx, &error);
    return STATUS_DONE;
}

/* The kinds that want to be accepted. */
static size_t risks(const struct found *f, const char **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < f->count && n < KINDS_MAX; i++)
        if (f->findings[i].severity >= KEYD_WARNING)
            ret[n++] = f->findings[i].kind;
    return n;
}

static int not_accepted(const struct found *f)
{
    json_t *list = findings_json(f->findings, f->count);
    struct err err;

    show_findings(stderr, list);
    json_decref(list);
    err_set(&err, ERR_DENIED, "not adopted: the key is not as safe as one that keyd makes");
    err_hint(&err, "if that is accepted: --accept; better: keydctl keys-generate");
    return complain_err(&err);
}

static bool show_adopted(const json_t *value)
{
    show_key(value);
    if (json_array_size(json_object_get(value, "findings")) > 0) {
        putchar('\n');
        show_findings(stdout, json_object_get(value, "findings"));
    }
    return true;
}

static int adopt(struct ctx *ctx, struct keyd_adopt *what, const struct found *seen)
{
    const char *kinds[KINDS_MAX];
    struct found done = {0};

    what->look = 0;
    what->accept = kinds;
    what->accept_count = risks(seen, kinds);
    if (what->accept_count > 0 && !args_get(&ctx->args, "accept"))
        return not_accepted(seen);
    int status = ask(ctx, what, &done);
    if (status != STATUS_DONE)
        return status;
    json_t *value = key_json(done.key);
    json_object_set_new(value, "object", object_json(done.object));
    json_object_set_new(value, "findings", findings_json(done.findings, done.count));
    found_free(&done);
    return present(ctx, value, show_adopted);
}

static int keys_adopt(struct ctx *ctx)
{
    struct keyd_adopt what = {.object = args_get(&ctx->args, "object"),
                              .tenant = args_get(&ctx->args, "tenant"),
                              .name = args_get(&ctx->args, "name"),
                              .look = 1};
    struct found seen = {0};
    struct rules rules;
    struct err err;

    if (!parse_rules(ctx, &rules, &err))
        return complain_usage(&err);
    what.rules = rules.keyd;
    int status = ask(ctx, &what, &seen);
    if (status == STATUS_DONE)
        status = adopt(ctx, &what, &seen);
    found_free(&seen);
    return status;
}

static const struct option_row adopt_options[] = {
    {"object", "URI",
     "which private key: an RFC 7512 URI with object= or id=, or\n"
     "both (keydctl token-objects lists them)",
     OPTION_REQUIRED},
    {"tenant", "TENANT", "whose key it is to be", OPTION_REQUIRED},
    {"name", "NAME", "what it is to be called there", OPTION_REQUIRED},
    RULE_OPTIONS,
    {"accept", NULL, "adopt it although it is not as safe as one that keyd makes", 0},
    {0},
};

const struct command adopt_commands[] = {
    {.name = "keys-adopt",
     .run = keys_adopt,
     .line = "bring a key under keyd that the token holds already",
     .about = "Brings a private key under keyd that the HSM held before. It must sign, have a\n"
              "CKA_ID of its own and be of a type that keyd knows; its public half is proven by\n"
              "a signature. What makes it less safe than a key that keyd makes (it can be taken\n"
              "out, decrypts, ...) is told, and must be accepted with --accept. The object in\n"
              "the token is not changed.",
     .example = "keydctl keys-adopt --object 'pkcs11:object=old-www' --tenant acme --name www",
     .options = adopt_options,
     .timeout = 60},
    {0},
};
