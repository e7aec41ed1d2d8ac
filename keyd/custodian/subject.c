/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "keyd/custodian/internal.h"

#define V(x) KEYD__V1__ENVELOPE__BODY_##x

/* The key that a request names, as the client wrote it; NULL: it is about one, but names none. */
static const char *named(const envelope *e)
{
    switch (e->body_case) {
    case V(KEYS_SHOW):
        return e->keys_show->key;
    case V(KEYS_DISABLE):
        return e->keys_disable->key;
    case V(KEYS_ENABLE):
        return e->keys_enable->key;
    case V(KEYS_DESTROY):
        return e->keys_destroy->key;
    case V(CREATE_CSR):
        return e->create_csr->key;
    case V(EXPLAIN):
        return e->explain->key;
    case V(GRANTS_ADD):
        return *e->grants_add->key ? e->grants_add->key : NULL;
    default:
        return NULL;
    }
}

static bool about_no_key(const envelope *e)
{
    switch (e->body_case) {
    case V(TENANTS_ADD):
    case V(TENANTS_LIST):
    case V(KEYS_LIST):
    case V(IMPORT_KEY):
    case V(IMPORT_KEY_ROTATE):
    case V(TOKEN_OBJECTS):
    case V(TOKEN_BENCH):
    case V(PIN_CHANGE):
    case V(BACKUP):
    case V(BACKUP_READ):
    case V(GRANTS_LIST):
    case V(GRANTS_REMOVE):
    case V(TOKENS_CREATE):
    case V(TOKENS_LIST):
    case V(TOKENS_REVOKE):
        return true;
    default:
        return false;
    }
}

/* What an id is called. */
static void put_named(const struct custodian *c, const char *name, char ret[SUBJECT_MAX])
{
    struct registry_key key;
    struct err err;

    if (strchr(name, '/'))
        snprintf(ret, SUBJECT_MAX, "%s", name); /* cut, it is no name of a key */
    else if (registry_key_find(c->registry, name, "", &key, &err))
        snprintf(ret, SUBJECT_MAX, "%s/%s", key.tenant, key.name);
    else
        snprintf(ret, SUBJECT_MAX, "?");
}

static void put_new(const char *tenant, const char *name, char ret[SUBJECT_MAX])
{
    if (snprintf(ret, SUBJECT_MAX, "%s/%s", tenant, name) >= SUBJECT_MAX)
        snprintf(ret, SUBJECT_MAX, "?"); /* too long to become a key */
}

void subject_of(const struct custodian *c, const envelope *e, char ret[SUBJECT_MAX])
{
    char hex[KEY_ID_HEX_LEN + 1];
    const char *name = named(e);

    ret[0] = '\0';
    if (about_no_key(e))
        return;
    if (e->body_case == V(KEYS_GENERATE))
        put_new(e->keys_generate->tenant, e->keys_generate->name, ret);
    else if (e->body_case == V(KEYS_IMPORT))
        put_new(e->keys_import->tenant, e->keys_import->name, ret);
    else if (e->body_case == V(SIGN) && e->sign->key_id.len == KEY_ID_LEN)
        put_named(c, hex_encode(e->sign->key_id.data, KEY_ID_LEN, hex), ret);
    else if (name)
        put_named(c, name, ret);
    else
        snprintf(ret, SUBJECT_MAX, "?");
}
