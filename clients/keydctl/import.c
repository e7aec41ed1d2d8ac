/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that come in: what is read here leaves this process only wrapped for keyd's import key,
 * which is the one that was pinned, or was given by who knows it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/keyfile/keyfile.h"
#include "clients/keydctl/output.h"
#include "clients/keydctl/pins.h"

#define SHORT_HEX  12 /* digits of a fingerprint in a sentence */
#define TYPES_TEXT 128

/* ---- the import key and its pin */

enum pinned { PINNED_NOT, PINNED_THIS, PINNED_FIRST, PINNED_ANEW, PINNED_OTHER };

struct trust {
    enum pinned pinned;
    uint8_t other[PIN_LEN]; /* with PINNED_OTHER */
};

static bool same(const uint8_t a[PIN_LEN], const uint8_t b[PIN_LEN])
{
    return memcmp(a, b, PIN_LEN) == 0;
}

static bool set_pin(const struct ctx *ctx, const uint8_t id[PIN_LEN], enum pinned how,
                    struct trust *ret, struct err *err)
{
    TRY(pins_set(ctx->socket, id, err));
    *ret = (struct trust){.pinned = how};
    return true;
}

/* Is keyd's import key the one that was given (--fingerprint) or pinned? The first one is pinned.
 */
static bool judge(const struct ctx *ctx, const uint8_t id[PIN_LEN], struct trust *ret,
                  struct err *err)
{
    const char *given = args_get(&ctx->args, "fingerprint");
    uint8_t pin[PIN_LEN];
    bool found;

    if (given) {
        TRY(pin_parse(given, "--fingerprint", pin, err));
        *ret = (struct trust){.pinned = same(pin, id) ? PINNED_NOT : PINNED_OTHER};
        memcpy(ret->other, pin, PIN_LEN);
        return true;
    }
    TRY(pins_get(ctx->socket, pin, &found, err));
    if (!found)
        return set_pin(ctx, id, PINNED_FIRST, ret, err);
    *ret = (struct trust){.pinned = same(pin, id) ? PINNED_THIS : PINNED_OTHER};
    memcpy(ret->other, pin, PIN_LEN);
    return true;
}

static int refuse_other(const struct ctx *ctx, const uint8_t id[PIN_LEN], const struct trust *trust)
{
    bool given = args_get(&ctx->args, "fingerprint") != NULL;
    char hex[PIN_HEX_SIZE], other[PIN_HEX_SIZE];
    struct err err;

    err_set(&err, ERR_DENIED, "keyd shows the import key %s, not %s, which %s", pin_text(id, hex),
            pin_text(trust->other, other), given ? "was given" : "is pinned");
    err_hint(&err, "was it rotated (import-key-rotate)? ask the operator; if it is the right one: "
                   "keydctl import-key --pin");
    return complain_err(&err);
}

/* ---- import-key, import-key-rotate */

static json_t *types_json(const struct keyd_import_key *k)
{
    json_t *names = json_array();

    for (size_t i = 0; i < k->type_count; i++) {
        const char *name = keyd_key_type_name(k->types[i]);

        if (name)
            json_array_append_new(names, json_string(name));
    }
    return names;
}

static json_t *import_key_json(const struct keyd_import_key *k, enum pinned pinned)
{
    static const char *const words[] = {
        [PINNED_NOT] = "no",
        [PINNED_THIS] = "yes",
        [PINNED_FIRST] = "yes, now",
        [PINNED_ANEW] = "yes, instead of the one before",
        [PINNED_OTHER] = "another one",
    };

    return json_pack("{s:o, s:o, s:o, s:s, s:o}", "fingerprint", out_hex(k->id, KEYD_KEY_ID_LEN),
                     "created", out_time(k->created), "types", types_json(k), "pinned",
                     words[pinned], "spki", out_base64(k->spki, k->spki_len));
}

static const struct column import_key_fields[] = {
    {.title = "import key", .member = "fingerprint"},
    {.title = "created", .member = "created"},
    {.title = "takes in", .member = "types"},
    {.title = "pinned", .member = "pinned"},
    {0},
};

static bool show_import_key(const json_t *value)
{
    out_fields(stdout, import_key_fields, value, 0);
    return true;
}

/* --fingerprint and --pin are the user's word: what they name is pinned. */
static bool pin_as_told(const struct ctx *ctx, const struct keyd_import_key *k, struct trust *ret,
                        struct err *err)
{
    bool told = args_get(&ctx->args, "pin") || args_get(&ctx->args, "fingerprint");
    uint8_t before[PIN_LEN];
    bool found;

    if (args_get(&ctx->args, "pin") && !args_get(&ctx->args, "fingerprint"))
        *ret = (struct trust){0};
    else
        TRY(judge(ctx, k->id, ret, err));
    if (!told || ret->pinned == PINNED_OTHER)
        return true;
    TRY(pins_get(ctx->socket, before, &found, err));
    enum pinned how = !found ? PINNED_FIRST : same(before, k->id) ? PINNED_THIS : PINNED_ANEW;
    return set_pin(ctx, k->id, how, ret, err);
}

static int unpin(struct ctx *ctx)
{
    uint8_t pin[PIN_LEN];
    char hex[PIN_HEX_SIZE] = "";
    struct err err;
    bool found;

    if (!pins_get(ctx->socket, pin, &found, &err) || (found && !pins_set(ctx->socket, NULL, &err)))
        return complain_err(&err);
    if (ctx->json)
        return present(ctx, json_pack("{s:b}", "unpinned", found), NULL);
    if (found)
        printf("no longer pinned for %s: %s\n", ctx->socket, pin_text(pin, hex));
    else
        printf("nothing is pinned for %s\n", ctx->socket);
    return STATUS_DONE;
}

static int import_key(struct ctx *ctx)
{
    bool pin = args_get(&ctx->args, "pin"), off = args_get(&ctx->args, "unpin");
    struct keyd_import_key *k;
    struct keyd_error error;
    struct trust trust;
    struct err err;
    int status;

    if (off && (pin || args_get(&ctx->args, "fingerprint"))) {
        err_set(&err, ERR_BAD_REQUEST, "--unpin stands alone");
        return complain_usage(&err);
    }
    if (off)
        return unpin(ctx);
    if (keyd_import_key(ctx->client, &k, &error) != KEYD_OK)
        return complain(ctx, &error);
    if (!pin_as_told(ctx, k, &trust, &err))
        status = complain_err(&err);
    else if (trust.pinned == PINNED_OTHER)
        status = refuse_other(ctx, k->id, &trust);
    else
        status = present(ctx, import_key_json(k, trust.pinned), show_import_key);
    keyd_import_key_free(k);
    return status;
}

/* Who rotates it knows the new one: a pin goes with it. */
static int import_key_rotate(struct ctx *ctx)
{
    struct trust trust = {.pinned = PINNED_NOT};
    struct keyd_import_key *k;
    struct keyd_error error;
    uint8_t before[PIN_LEN];
    struct err err;
    bool found = false;
    int status;

    if (keyd_import_key_rotate(ctx->client, &k, &error) != KEYD_OK)
        return complain(ctx, &error);
    if (!pins_get(ctx->socket, before, &found, &err) ||
        (found && !set_pin(ctx, k->id, PINNED_ANEW, &trust, &err)))
        status = complain_err(&err);
    else
        status = present(ctx, import_key_json(k, trust.pinned), show_import_key);
    keyd_import_key_free(k);
    return status;
}

static const struct option_row import_key_options[] = {
    {"fingerprint", "HEX", "what it must be (from the operator); then it is pinned", 0},
    {"pin", NULL, "pin it as it is now, whatever was pinned", 0},
    {"unpin", NULL, "forget what is pinned", 0},
    {0},
};

/* ---- keys-import */

struct import { /* what the command line asks for */
    const char *key_path, *cert_path;
    const char *key_name; /* in sentences */
    struct rules rules;
};

/* A step that is done, for people. */
static void PRINTF_LIKE(2, 3) step(const struct ctx *ctx, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    if (ctx->json)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    out_text(stdout, line);
    putchar('\n');
    fflush(stdout);
}

static bool is_stdin(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static bool read_options(const struct ctx *ctx, struct import *ret, struct err *err)
{
    const char *pass = args_get(&ctx->args, "passphrase-file");
    struct import i = {.key_path = args_get(&ctx->args, "key"),
                       .cert_path = args_get(&ctx->args, "cert")};
    const char *given = args_get(&ctx->args, "fingerprint");
    uint8_t pin[PIN_LEN];

    i.key_name = is_stdin(i.key_path) ? "stdin" : i.key_path;
    if (is_stdin(i.key_path) + is_stdin(i.cert_path) + is_stdin(pass) > 1)
        return err_set(err, ERR_BAD_REQUEST,
                       "stdin (-) can be one of --key, --cert and "
                       "--passphrase-file");
    if (given)
        TRY(pin_parse(given, "--fingerprint", pin, err));
    *ret = i;
    return parse_rules(ctx, &ret->rules, err);
}

/* Who could read the file may have the key. */
static void warn_of_mode(const struct ctx *ctx, const struct import *i)
{
    struct stat st;

    if (!is_stdin(i->key_path) && stat(i->key_path, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_mode & S_IROTH)
        step(ctx, "note: every user of this machine can read %s (mode %04o)", i->key_name,
             (unsigned)st.st_mode & 07777);
}

static bool read_key(const struct ctx *ctx, const struct import *i, struct keyfile *ret,
                     struct err *err)
{
    char *pass_file = (char *)(uintptr_t)args_get(&ctx->args, "passphrase-file");
    struct keyfile_pass pass = {.ask = keyfile_pass_from_terminal, .attempts = 3};
    struct keyfile key;

    if (pass_file)
        pass =
            (struct keyfile_pass){.ask = keyfile_pass_from_file, .arg = pass_file, .attempts = 1};
    TRY(keyfile_read(i->key_path, &pass, &key, err));
    step(ctx, "read %s key from %s (%s)", key.words, i->key_name, key.form);
    warn_of_mode(ctx, i);
    if (i->cert_path && !keyfile_check_cert(i->cert_path, &key, i->key_name, err)) {
        keyfile_free(&key);
        return false;
    }
    if (i->cert_path)
        step(ctx, "the certificate in %s is for this key", i->cert_path);
    *ret = key;
    return true;
}

/* A type that the token cannot take in is refused before the key is wrapped. */
static bool token_takes(const struct keyd_import_key *to, const struct keyfile *key,
                        struct err *err)
{
    char all[TYPES_TEXT] = "";
    size_t n = 0;

    for (size_t i = 0; i < to->type_count; i++) {
        const char *name = keyd_key_type_name(to->types[i]);

        if (to->types[i] == key->type)
            return true;
        if (name && n < sizeof(all))
            n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", name);
    }
    err_set(err, ERR_UNSUPPORTED, "keyd's token cannot take in an %s key; it takes %s", key->words,
            n ? all : "none");
    return err_hint(err, "make a new key in the token: keydctl keys-generate");
}

static void tell_trust(const struct ctx *ctx, const char *hex, const struct trust *trust)
{
    if (trust->pinned == PINNED_FIRST)
        step(ctx,
             "pinned import key %.*s... at its first use; 'keydctl import-key' shows the whole of "
             "it,"
             " to compare with the operator's",
             SHORT_HEX, hex);
    else
        step(ctx, "import key %.*s... is the one that %s", SHORT_HEX, hex,
             trust->pinned == PINNED_THIS ? "is pinned" : "was given");
}

static int send_key(struct ctx *ctx, const struct import *i, const struct keyfile *key,
                    const struct keyd_import_key *to)
{
    const char *tenant = args_get(&ctx->args, "tenant"), *name = args_get(&ctx->args, "name");
    char hex[PIN_HEX_SIZE];
    struct keyd_error error;
    struct keyd_key *made;

    int code = keyd_keys_import(ctx->client, tenant, name, &i->rules.keyd, to->id, key->pkcs8.bytes,
                                key->pkcs8.len, &made, &error);
    if (code != KEYD_OK)
        return complain(ctx, &error);
    step(ctx, "wrapped under import key %.*s...", SHORT_HEX, pin_text(to->id, hex));
    step(ctx, "keyd proved it and keeps it as %s/%s", tenant, name);
    if (!is_stdin(i->key_path))
        step(ctx, "%s is no longer needed here: delete it, or keep it away from servers",
             i->key_name);
    step(ctx, "%s", "");
    json_t *value = key_json(made);
    keyd_keys_free(made, 1);
    return present(ctx, value, show_key);
}

static int import(struct ctx *ctx, const struct import *i, const struct keyfile *key)
{
    struct keyd_import_key *to;
    char hex[PIN_HEX_SIZE];
    struct keyd_error error;
    struct trust trust;
    struct err err;
    int status;

    if (keyd_import_key(ctx->client, &to, &error) != KEYD_OK)
        return complain(ctx, &error);
    if (!token_takes(to, key, &err) || !judge(ctx, to->id, &trust, &err)) {
        status = complain_err(&err);
    } else if (trust.pinned == PINNED_OTHER) {
        status = refuse_other(ctx, to->id, &trust);
    } else {
        tell_trust(ctx, pin_text(to->id, hex), &trust);
        status = send_key(ctx, i, key, to);
    }
    keyd_import_key_free(to);
    return status;
}

static int keys_import(struct ctx *ctx)
{
    struct keyfile key;
    struct import i = {0};
    struct err err;

    if (!read_options(ctx, &i, &err))
        return complain_usage(&err);
    if (!read_key(ctx, &i, &key, &err))
        return complain_err(&err);
    int status = import(ctx, &i, &key);
    keyfile_free(&key);
    keyfile_scrub();
    return status;
}

static const struct option_row keys_import_options[] = {
    {"tenant", "TENANT", "whose key it is", OPTION_REQUIRED},
    {"name", "NAME", "what it is called there", OPTION_REQUIRED},
    {"key", "FILE", "the private key, - for stdin: PEM, DER or PKCS#12", OPTION_REQUIRED},
    {"cert", "FILE", "its certificate: checked to be for this key", 0},
    {"passphrase-file", "FILE",
     "the passphrase of an encrypted key, - for stdin\n"
     "(default: asked for on the terminal)",
     0},
    {"fingerprint", "HEX", "of keyd's import key (default: the one that is pinned)", 0},
    RULE_OPTIONS,
    {0},
};

const struct command import_commands[] = {
    {.name = "keys-import",
     .run = keys_import,
     .line = "bring a key from a file into the token",
     .about = "Brings a private key into the token. It is wrapped here for keyd's import key,\n"
              "so that keyd never sees it, and signs what is sent. The key: RSA-2048, RSA-3072,\n"
              "RSA-4096, EC P-256, EC P-384 or Ed25519, as PKCS#1, SEC1, PKCS#8 or PKCS#12, in\n"
              "PEM or DER, with or without a passphrase.",
     .example = "keydctl keys-import --tenant acme --name shop --key app.key --cert app.crt",
     .options = keys_import_options,
     .timeout = 60,
     .reads_keys = true},
    {.name = "import-key",
     .run = import_key,
     .line = "show the key that others are wrapped for, and pin it",
     .about = "Shows the fingerprint of keyd's import key, for which keys-import wraps keys (the\n"
              "first call makes it in the token). The first one that is seen at a socket is\n"
              "pinned; another one is then refused. Pins are kept for each user in\n"
              "~/.config/keydctl/import-keys.",
     .example = "keydctl import-key",
     .options = import_key_options,
     .timeout = 60},
    {.name = "import-key-rotate",
     .run = import_key_rotate,
     .line = "make a new import key",
     .about = "Makes a new import key in the token. Imports that are under way go on with the\n"
              "one before it. If one was pinned here for this socket, the new one is.",
     .example = "keydctl import-key-rotate",
     .timeout = 60},
    {0},
};
