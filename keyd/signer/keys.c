/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/signer/keys.h"

#include <stdlib.h>
#include <string.h>

#include "keyd/token/sign.h"
#include "proto/base/mem.h"

struct held {
    token_handle object; /* the token object; 0: not known */
    token_handle signs;  /* its session copy, or itself where there are no copies; 0: not yet */
};

static struct held *held_of(struct table_key *key)
{
    if (!key->user)
        key->user = mem_new(sizeof(struct held));
    return key->user;
}

static void destroy_copy(struct signer *s, struct held *h)
{
    struct err ignored;

    if (h->signs && h->signs != h->object && !token_destroy(s->token, h->signs, &ignored))
        h->signs = 0; /* what is not destroyed now ends with the session */
    h->signs = 0;
}

void keys_forget_copy(struct signer *s, struct table_key *key)
{
    if (key->user)
        destroy_copy(s, key->user);
}

/* ---- the first use */

/* Where the token makes no copies, the object itself signs; only slower. */
static bool copy_or_self(struct signer *s, token_handle object, token_handle *ret, struct err *err)
{
    if (token_session_copy(s->token, object, ret, err))
        return true;
    *ret = object;
    return !token_lost(s->token);
}

static bool make_ready(struct signer *s, const struct table_key *key, struct held *h,
                       struct err *err)
{
    token_handle signs;

    TRY(copy_or_self(s, h->object, &signs, err));
    if (!token_prove(s->token, signs, (enum key_type)key->type, key->spki, key->spki_len, err)) {
        struct held unproven = {.object = h->object, .signs = signs};

        destroy_copy(s, &unproven);
        return err_prefix(err, "the key was not proven");
    }
    h->signs = signs;
    return true;
}

bool keys_ready(struct signer *s, struct table_key *key, token_handle *ret, struct err *err)
{
    struct held *h = held_of(key);

    if (!h)
        return err_set(err, ERR_INTERNAL, "no memory for a key");
    if (key->state != KEY_ENABLED)
        return err_set(err, ERR_UNAVAILABLE, "the key is missing in the token");
    if (!h->object) {
        err_set(err, ERR_UNAVAILABLE, "the token does not show the key to this signer");
        return err_hint(err, "keydctl token-objects shows what is in the token");
    }
    if (!h->signs)
        TRY(make_ready(s, key, h, err));
    *ret = h->signs;
    return true;
}

/* ---- finding handles */

static int by_cka_id(const void *a, const void *b)
{
    const struct token_private *x = a, *y = b;

    if (x->cka_id_len != y->cka_id_len)
        return x->cka_id_len < y->cka_id_len ? -1 : 1;
    return memcmp(x->cka_id, y->cka_id, x->cka_id_len);
}

static bool same_id(const struct token_private *a, const struct token_private *b)
{
    return by_cka_id(a, b) == 0;
}

/* The one object with the key's CKA_ID; 0: there is none, or there are several. */
static token_handle pick(const struct token_private *list, size_t count,
                         const struct table_key *key)
{
    struct token_private wanted = {.cka_id_len = key->cka_id_len};

    memcpy(wanted.cka_id, key->cka_id, key->cka_id_len);
    if (key->cka_id_len == 0)
        return 0;
    const struct token_private *found = bsearch(&wanted, list, count, sizeof(*list), by_cka_id);
    if (!found)
        return 0;
    if ((found > list && same_id(found, found - 1)) ||
        (found + 1 < list + count && same_id(found, found + 1)))
        return 0;
    return found->handle;
}

static bool lacks_handle(const struct table_key *key)
{
    const struct held *h = key->user;

    return key->state == KEY_ENABLED && (!h || !h->object);
}

static bool any_lacks_handle(const struct signer *s)
{
    for (size_t i = 0; i < s->table.slot_count; i++) {
        const struct table_key *key = table_at(&s->table, i);

        if (key && lacks_handle(key))
            return true;
    }
    return false;
}

static bool find_handles(struct signer *s, struct err *err)
{
    AUTO_FREE struct token_private *list = NULL;
    size_t count;

    TRY(token_list_private(s->token, &list, &count, err));
    qsort(list, count, sizeof(*list), by_cka_id);
    for (size_t i = 0; i < s->table.slot_count; i++) {
        struct table_key *key = table_at(&s->table, i);

        if (!key || !lacks_handle(key))
            continue;
        struct held *h = held_of(key);
        if (!h)
            return err_set(err, ERR_INTERNAL, "no memory for %zu keys", s->table.count);
        h->object = pick(list, count, key);
    }
    return true;
}

/* ---- what the custodian says */

static void forget(struct signer *s, struct table_key *key)
{
    struct held *h = key->user;

    if (!h)
        return;
    destroy_copy(s, h);
    h->object = 0;
}

bool keys_take_table(struct signer *s, int fd, struct err *err)
{
    TRY(table_from_fd(&s->table, fd, err));
    for (size_t i = 0; i < s->table.slot_count; i++) {
        struct table_key *key = table_at(&s->table, i);

        if (key && key->state != KEY_ENABLED)
            forget(s, key);
    }
    return true;
}

bool keys_look_up(struct signer *s, struct err *err)
{
    return !any_lacks_handle(s) || find_handles(s, err);
}

bool keys_take_one(struct signer *s, const struct table_key *entry, struct err *err)
{
    token_handle ignored;
    struct table_key *key = table_put(&s->table, entry);
    struct held *h = key ? held_of(key) : NULL;

    if (!h)
        return err_set(err, ERR_INTERNAL, "no memory for a key");
    if (key->state != KEY_ENABLED) {
        forget(s, key);
        return true;
    }
    if (!h->object)
        TRY(token_find_private(s->token, key->cka_id, key->cka_id_len, &h->object, err));
    return keys_ready(s, key, &ignored, err);
}

/* ---- the proof at the start */

static bool prove_by_new_key(struct signer *s, enum key_type type, struct err *err)
{
    static const uint8_t id[] = "keyd-start";
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    token_handle key;
    struct err ignored;

    TRY(token_generate(s->token, type, id, sizeof(id) - 1, "keyd start", false, &key, spki,
                       &spki_len, err));
    bool ok = token_prove(s->token, key, type, spki, spki_len, err);
    if (!token_destroy(s->token, key, &ignored) && ok)
        *err = ignored;
    return ok && !token_lost(s->token);
}

static struct table_key *first_with_handle(const struct signer *s)
{
    for (size_t i = 0; i < s->table.slot_count; i++) {
        struct table_key *key = table_at(&s->table, i);
        const struct held *h = key ? key->user : NULL;

        if (h && h->object)
            return key;
    }
    return NULL;
}

bool keys_prove_token(struct signer *s, struct err *err)
{
    static const enum key_type types[] = {KEY_TYPE_EC_P256, KEY_TYPE_EC_P384, KEY_TYPE_ED25519,
                                          KEY_TYPE_RSA_2048};
    struct table_key *key = first_with_handle(s);
    token_handle ignored;

    if (key && keys_ready(s, key, &ignored, err))
        return true;
    if (token_lost(s->token))
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (token_can_generate(s->token, types[i]))
            return prove_by_new_key(s, types[i], err);
    }
    return err_set(err, ERR_TOKEN, "the token makes no key to test it with");
}

void keys_free(struct signer *s)
{
    for (size_t i = 0; i < s->table.slot_count; i++) {
        struct table_key *key = table_at(&s->table, i);

        if (key)
            mem_free(key->user);
    }
    table_free(&s->table);
}
