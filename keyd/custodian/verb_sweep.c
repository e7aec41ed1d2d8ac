/* SPDX-License-Identifier: Apache-2.0
 *
 * token-sweep: removes what a generation that was cut short has left (design D4). The client names
 * what it has shown to a person, by the hash of all that could be read of it; what is removed is
 * judged here, at this moment, and must still be what was shown. Open intents are undone first:
 * from then on nothing in the token is half made but fragments.
 */
#include <stdio.h>
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/log.h"
#include "keyd/token/adopt.h"
#include "keyd/token/softhsm.h"
#include "proto/base/mem.h"

#define FRAGMENTS_MAX 1000 /* of one answer; the next sweep finds the rest */

struct sweep {
    struct custodian *c;
    const struct ask *ask;
    bool *used; /* of the request's ids */
    Keyd__V1__TokenSweepReply *reply;
};

/* ---- what it is */

static bool hash_object(const struct token_object *o, uint8_t ret[KEY_ID_LEN], struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(1u << 20);
    char *text = arena_printf(&a, "object\n%s\n", o->cls);

    for (size_t i = 0; text && i < o->attribute_count; i++)
        text = arena_printf(&a, "%s%s=%s\n", text, o->attributes[i].name, o->attributes[i].value);
    if (!text || !key_id_of((const uint8_t *)text, strlen(text), ret))
        return err_set(err, ERR_INTERNAL, "no memory for a fragment");
    return true;
}

static bool hash_file(const char *name, uint8_t ret[KEY_ID_LEN], struct err *err)
{
    char text[SOFTHSM_NAME_MAX + 16];

    snprintf(text, sizeof(text), "file\n%s\n", name);
    return key_id_of((const uint8_t *)text, strlen(text), ret) ||
           err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
}

/* Whether the request names it; each name is good for one. */
static bool is_named(struct sweep *s, const uint8_t id[KEY_ID_LEN])
{
    const Keyd__V1__TokenSweep *r = s->ask->e->token_sweep;

    for (size_t i = 0; i < r->n_fragments; i++) {
        if (s->used[i] || r->fragments[i].len != KEY_ID_LEN ||
            memcmp(r->fragments[i].data, id, KEY_ID_LEN) != 0)
            continue;
        return s->used[i] = true;
    }
    return false;
}

static bool is_showing(const struct sweep *s)
{
    return s->ask->e->token_sweep->n_fragments == 0;
}

static bool is_full(const struct sweep *s)
{
    return s->reply->n_fragments == FRAGMENTS_MAX;
}

static bool tell(struct sweep *s, const uint8_t id[KEY_ID_LEN], const char *what, struct err *err)
{
    Keyd__V1__Fragment *f = ask_alloc(s->ask, sizeof(*f), err);

    TRY(f);
    keyd__v1__fragment__init(f);
    f->id.data = arena_dup(s->ask->arena, id, KEY_ID_LEN);
    f->id.len = KEY_ID_LEN;
    f->what = arena_dup(s->ask->arena, what, strlen(what));
    if (!f->id.data || !f->what)
        return err_set(err, ERR_TOO_LARGE, "no memory for a list of fragments");
    s->reply->fragments[s->reply->n_fragments++] = f;
    if (!is_showing(s))
        log_line(LOG_LEVEL_INFO, "token-sweep has removed a fragment: %s", what);
    return true;
}

/* ---- objects */

static bool sweep_object(struct sweep *s, const struct token_object *o, struct err *err)
{
    bool fragment = false;
    uint8_t id[KEY_ID_LEN];
    char what[160];

    TRY(token_is_fragment(s->c->token, o, &fragment, err));
    if (!fragment)
        return true;
    TRY(hash_object(o, id, err));
    snprintf(what, sizeof(what), "%s without CKA_ID, label and key, which does not sign", o->cls);
    if (is_showing(s))
        return tell(s, id, what, err);
    if (!is_named(s, id))
        return true;
    TRY(token_destroy(s->c->token, o->handle, err));
    return tell(s, id, what, err);
}

struct objects {
    struct token_object *list;
    size_t count;
};

static void objects_free(struct objects *o)
{
    token_objects_free(o->list, o->count);
}

static bool sweep_objects(struct sweep *s, struct err *err)
{
    CLEANUP(objects_free) struct objects all = {.list = NULL};

    TRY(token_list_objects(s->c->token, &all.list, &all.count, err));
    for (size_t i = 0; i < all.count && !is_full(s); i++)
        TRY(sweep_object(s, &all.list[i], err));
    return true;
}

/* ---- files that PKCS#11 does not show */

static bool sweep_file(struct sweep *s, const char *serial, const char *name, struct err *err)
{
    uint8_t id[KEY_ID_LEN];
    char what[160];
    bool gone = true;

    TRY(hash_file(name, id, err));
    snprintf(what, sizeof(what), "the empty file %s of the token, of which PKCS#11 shows nothing",
             name);
    if (!is_showing(s)) {
        if (!is_named(s, id))
            return true;
        TRY(softhsm_remove_empty(s->c->state_dir, serial, name, &gone, err));
    }
    return !gone || tell(s, id, what, err);
}

static bool sweep_files(struct sweep *s, struct err *err)
{
    const char *serial = token_info(s->c->token)->serial;
    AUTO_FREE char(*names)[SOFTHSM_NAME_MAX + 1] = NULL;
    size_t count = 0;

    TRY(softhsm_empty_files(s->c->state_dir, serial, &names, &count, err));
    for (size_t i = 0; i < count && !is_full(s); i++)
        TRY(sweep_file(s, serial, names[i], err));
    return true;
}

bool verb_token_sweep(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokenSweepReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct sweep s = {.c = c, .ask = ask, .reply = reply};

    TRY(reply);
    keyd__v1__token_sweep_reply__init(reply);
    TRY(s.used = ask_alloc(ask, ask->e->token_sweep->n_fragments + 1, err));
    TRY(reply->fragments = ask_alloc(ask, FRAGMENTS_MAX * sizeof(*reply->fragments), err));
    TRY(reconcile_intents(c, err));
    TRY(sweep_objects(&s, err));
    TRY(sweep_files(&s, err));
    TRY(softhsm_sync(c->state_dir, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP_REPLY;
    ret->token_sweep_reply = reply;
    return true;
}
