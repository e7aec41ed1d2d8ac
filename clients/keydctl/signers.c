/* SPDX-License-Identifier: Apache-2.0
 *
 * signers: what a key can be made to sign, and by whom, in words. Who may have a handshake signed
 * is what the grants say; for all else the role decides, as in keyd's table of roles, which
 * tests/integration/tenants.sh holds this one against.
 */
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

static const struct words {
    const char *purpose;
    const char *what;
    const char *by[3]; /* none: who was granted it */
} all_words[] = {
    {"tls13-server", "TLS 1.3 handshakes, as the server", {NULL}},
    {"tls13-client", "TLS 1.3 handshakes, as the client", {NULL}},
    {"tls12-server", "TLS 1.2 handshakes, as the server", {NULL}},
    {"csr", "certificate requests of its own", {"operators", "issuers", "tenant"}},
    {"acme-jws", "messages to an ACME server", {"nobody yet", NULL}},
    {"checkpoint", "checkpoints of the journal", {"nobody yet", NULL}},
    {"raw", "anything at all", {"operators", NULL}},
};

#define WORDS (sizeof(all_words) / sizeof(all_words[0]))

static const struct words *words_of(unsigned bit)
{
    const char *name = keyd_purpose_name(bit);

    for (size_t i = 0; name && i < WORDS; i++)
        if (strcmp(all_words[i].purpose, name) == 0)
            return &all_words[i];
    return NULL;
}

struct granted {
    const struct keyd_grant *grants;
    size_t count;
    bool known; /* if not, the caller may not list grants */
};

static bool has(const json_t *names, const json_t *name)
{
    const json_t *each;
    size_t i;

    json_array_foreach(names, i, each)
    {
        if (json_equal(each, name))
            return true;
    }
    return false;
}

static void add_name(json_t *names, json_t *name)
{
    if (has(names, name))
        json_decref(name);
    else
        json_array_append_new(names, name);
}

static json_t *grantee(const struct keyd_grant *g)
{
    if (*g->principal)
        return out_string(g->principal);
    json_t *group = out_string(g->group);
    json_t *words = json_sprintf("group %s", json_string_value(group));
    json_decref(group);
    return words;
}

static json_t *by_grants(const struct granted *granted, uint32_t purpose)
{
    json_t *by = json_array();

    for (size_t i = 0; i < granted->count; i++)
        if (granted->grants[i].purposes & purpose)
            add_name(by, grantee(&granted->grants[i]));
    if (!granted->known)
        json_array_append_new(by, json_string("whom grants-list names, to those who may ask it"));
    return by;
}

static json_t *by_roles(const struct words *words, const struct keyd_key *key)
{
    json_t *by = json_array();

    for (size_t i = 0; i < sizeof(words->by) / sizeof(words->by[0]) && words->by[i]; i++) {
        if (strcmp(words->by[i], "tenant") == 0) {
            json_t *tenant = out_string(key->tenant);
            json_array_append_new(by, json_sprintf("tenant %s", json_string_value(tenant)));
            json_decref(tenant);
        } else {
            json_array_append_new(by, json_string(words->by[i]));
        }
    }
    return by;
}

static json_t *rows(const struct keyd_key *key, const struct granted *granted)
{
    json_t *list = json_array();

    for (unsigned bit = 0; bit < 32; bit++) {
        const struct words *words = key->purposes & 1u << bit ? words_of(bit) : NULL;

        if (words)
            json_array_append_new(
                list,
                json_pack("{s:s, s:s, s:o}", "purpose", words->purpose, "what", words->what, "by",
                          words->by[0] ? by_roles(words, key) : by_grants(granted, 1u << bit)));
    }
    return list;
}

bool signers_json(const struct ctx *ctx, const struct keyd_key *key, json_t **ret,
                  struct keyd_error *error)
{
    struct granted granted = {.known = false};
    struct keyd_grant *grants = NULL;
    char hex[2 * KEYD_KEY_ID_LEN + 1];
    json_t *id = out_hex(key->id, KEYD_KEY_ID_LEN);

    snprintf(hex, sizeof(hex), "%s", json_string_value(id));
    json_decref(id);
    int code = keyd_grants_list(ctx->client, NULL, hex, &grants, &granted.count, error);
    if (code >= KEYD_BUSY)
        return false; /* less is a refusal: this caller is not told, and the key's own facts are */
    granted.known = code == KEYD_OK;
    granted.grants = grants;
    *ret = rows(key, &granted);
    keyd_grants_free(grants, granted.known ? granted.count : 0);
    return true;
}

static void text_by(const json_t *by, char *buf)
{
    const json_t *name;
    size_t i, n = 0;

    if (json_array_size(by) == 0)
        snprintf(buf, CELL_MAX, "nobody: no frontend was granted it");
    json_array_foreach(by, i, name)
    {
        if (n < CELL_MAX)
            n += (size_t)snprintf(buf + n, CELL_MAX - n, "%s%s", i ? ", " : "",
                                  json_string_value(name));
    }
}

static const struct column columns[] = {
    {.title = "IT CAN BE MADE TO SIGN", .member = "what"},
    {.title = "BY WHOM", .member = "by", .text = text_by},
    {0},
};

bool show_signers(const json_t *list)
{
    return json_array_size(list) == 0 || out_table(stdout, columns, list);
}
