/* SPDX-License-Identifier: Apache-2.0
 *
 * token-objects: everything in the token, also what keyd does not know, and what is not as it
 * should be; with the last page, what should be in the token and is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/adopt.h"
#include "proto/base/mem.h"

_Static_assert((int)SEVERITY_NOTE == (int)KEYD__V1__SEVERITY__SEVERITY_NOTE &&
                   (int)SEVERITY_DANGER == (int)KEYD__V1__SEVERITY__SEVERITY_DANGER,
               "severities as on the wire");

/* An object's attributes in words are cut by the token room: some 2 KiB as a rule, 6 KiB at most.
 * So a page fits in a frame. */
#define PAGE       150
#define PAGE_KEYS  500
#define ABSENT_MAX 200 /* findings on what is not there */

struct page {
    struct token_object *objects;
    size_t count;
};

static void page_free(struct page *p)
{
    token_objects_free(p->objects, p->count);
}

/* ---- whose it is */

struct owned {
    enum owner owner;
    struct registry_key key; /* OWNER_KEY, OWNER_ADOPTED */
    char name[2 * NAME_MAX_LEN + 2];
};

static bool own_import_key(const struct custodian *c, const struct token_object *o,
                           struct owned *ret, struct err *err)
{
    struct registry_import_key key;

    if (!registry_import_by_cka_id(c->registry, o->cka_id, o->cka_id_len, &key, err))
        return err->code == ERR_NOT_FOUND;
    ret->owner = OWNER_IMPORT_KEY;
    snprintf(ret->name, sizeof(ret->name), "import key"); /* a blank: no tenant/name */
    return true;
}

/* By its CKA_ID; a public key or certificate that has that of a key is its, too. */
static bool own(const struct custodian *c, const struct token_object *o, struct owned *ret,
                struct err *err)
{
    ret->owner = OWNER_NOBODY;
    ret->name[0] = '\0';
    if (o->cka_id_len == 0)
        return true;
    if (!registry_key_by_cka_id(c->registry, o->cka_id, o->cka_id_len, &ret->key, err))
        return err->code == ERR_NOT_FOUND && own_import_key(c, o, ret, err);
    ret->owner = ret->key.adopted ? OWNER_ADOPTED : OWNER_KEY;
    snprintf(ret->name, sizeof(ret->name), "%s/%s", ret->key.tenant, ret->key.name);
    return true;
}

/* ---- objects */

static bool fill_attributes(const struct ask *ask, const struct token_object *from,
                            Keyd__V1__TokenObject *to, struct err *err)
{
    size_t n = from->attribute_count;
    Keyd__V1__TokenAttribute *all = ask_alloc(ask, n * sizeof(*all), err);

    TRY(all);
    to->attributes = ask_alloc(ask, n * sizeof(*to->attributes), err);
    TRY(to->attributes);
    for (size_t i = 0; i < n; i++) {
        keyd__v1__token_attribute__init(&all[i]);
        all[i].name = (char *)from->attributes[i].name; /* a static string */
        TRY(ask_text(ask, from->attributes[i].value, &all[i].value, err));
        to->attributes[i] = &all[i];
    }
    to->n_attributes = n;
    return true;
}

static bool fill_object(const struct ask *ask, const struct token_object *from, const char *owner,
                        Keyd__V1__TokenObject **ret, struct err *err)
{
    Keyd__V1__TokenObject *o = ask_alloc(ask, sizeof(*o), err);

    TRY(o);
    keyd__v1__token_object__init(o);
    o->cls = (char *)from->cls; /* a static string */
    TRY(ask_text(ask, from->label, &o->label, err));
    TRY(ask_text(ask, owner, &o->key, err));
    TRY(ask_bytes(ask, from->cka_id, from->cka_id_len, &o->cka_id, err));
    TRY(fill_attributes(ask, from, o, err));
    *ret = o;
    return true;
}

bool object_to_wire(const struct custodian *c, const struct ask *ask,
                    const struct token_object *from, Keyd__V1__TokenObject **ret, struct err *err)
{
    struct owned owned;

    TRY(own(c, from, &owned, err));
    return fill_object(ask, from, owned.name, ret, err);
}

/* ---- findings */

Keyd__V1__Finding *finding_to_wire(const struct ask *ask, const struct finding *from,
                                   const char *name, const uint8_t *cka_id, size_t cka_id_len,
                                   struct err *err)
{
    Keyd__V1__Finding *f = ask_alloc(ask, sizeof(*f), err);

    if (!f)
        return NULL;
    keyd__v1__finding__init(f);
    f->severity = (Keyd__V1__Severity)from->severity;
    f->kind = (char *)(uintptr_t)from->kind; /* static strings */
    f->advice = (char *)(uintptr_t)from->advice;
    bool ok = ask_text(ask, name, &f->object, err) && ask_text(ask, from->text, &f->text, err) &&
              ask_bytes(ask, cka_id, cka_id_len, &f->cka_id, err);
    return ok ? f : NULL;
}

/* A list in the reply's arena, grown by doubling. */
struct told {
    const struct ask *ask;
    Keyd__V1__Finding **list;
    size_t count, room;
};

static bool tell(struct told *t, const struct finding *f, const char *name, const uint8_t *cka_id,
                 size_t cka_id_len, struct err *err)
{
    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        Keyd__V1__Finding **grown = ask_alloc(t->ask, room * sizeof(Keyd__V1__Finding *), err);

        TRY(grown);
        if (t->count > 0)
            memcpy(grown, t->list, t->count * sizeof(Keyd__V1__Finding *));
        t->list = grown;
        t->room = room;
    }
    TRY(t->list[t->count] = finding_to_wire(t->ask, f, name, cka_id, cka_id_len, err));
    t->count++;
    return true;
}

struct birth { /* what a subject borrows */
    char label[TOKEN_LABEL_MAX], mechanisms[256], seen[REGISTRY_SEEN_MAX + 1];
};

static bool fill_subject(const struct custodian *c, const struct owned *owned, struct birth *b,
                         struct subject *s, struct err *err)
{
    s->owner = owned->owner;
    if (owned->owner == OWNER_KEY) {
        snprintf(b->label, sizeof(b->label), "keyd/%s", owned->name);
        s->label = b->label;
        s->mechanisms = token_allowed_words(owned->key.type, b->mechanisms, sizeof(b->mechanisms));
    } else if (owned->owner == OWNER_ADOPTED) {
        TRY(registry_key_seen(c->registry, owned->key.id, b->seen, err));
        s->seen = b->seen;
    } else if (owned->owner == OWNER_IMPORT_KEY) {
        s->label = IMPORT_LABEL;
    }
    return true;
}

static bool judge_object(const struct custodian *c, const struct token_object *o,
                         const struct owned *owned, struct told *t, struct err *err)
{
    const char *name = *owned->name ? owned->name : o->label;
    struct subject s = {.object = o};
    struct findings f;
    struct birth b;

    TRY(fill_subject(c, owned, &b, &s, err));
    if (s.owner == OWNER_NOBODY)
        TRY(token_is_fragment(c->token, o, &s.fragment, err));
    findings_judge(&s, &f);
    for (size_t i = 0; i < f.count; i++)
        TRY(tell(t, &f.list[i], name, o->cka_id, o->cka_id_len, err));
    return true;
}

/* ---- what is not there */

struct census {
    struct token_private *list;
    size_t count;
};

static void census_free(struct census *s)
{
    mem_free(s->list);
}

static int by_cka_id(const void *a, const void *b)
{
    const struct token_private *x = a, *y = b;

    if (x->cka_id_len != y->cka_id_len)
        return x->cka_id_len < y->cka_id_len ? -1 : 1;
    return memcmp(x->cka_id, y->cka_id, x->cka_id_len);
}

static size_t how_many(const struct census *s, const uint8_t *cka_id, size_t len)
{
    struct token_private wanted = {.cka_id_len = len};
    size_t n = 0;

    memcpy(wanted.cka_id, cka_id, len);
    const struct token_private *end = s->list + s->count;
    const struct token_private *at = bsearch(&wanted, s->list, s->count, sizeof(*at), by_cka_id);
    while (at && at > s->list && by_cka_id(at - 1, &wanted) == 0)
        at--;
    for (; at && at < end && by_cka_id(at, &wanted) == 0; at++)
        n++;
    return n;
}

static bool judge_key(const struct census *s, const struct registry_key *key, struct told *t,
                      struct err *err)
{
    size_t there = how_many(s, key->cka_id, key->cka_id_len);
    char name[2 * NAME_MAX_LEN + 2];
    struct finding f;

    if (there == 1 || key->state == REGISTRY_KEY_DESTROYING)
        return true;
    finding_count(there, key->state == REGISTRY_KEY_ENABLED, &f);
    snprintf(name, sizeof(name), "%s/%s", key->tenant, key->name);
    return tell(t, &f, name, key->cka_id, key->cka_id_len, err);
}

static bool judge_keys(const struct custodian *c, const struct census *s, struct told *t,
                       struct err *err)
{
    AUTO_FREE struct registry_key *rows = mem_array(PAGE_KEYS, sizeof(*rows));
    char after[2 * NAME_MAX_LEN + 2] = "";
    size_t count, before = t->count;
    bool more = true;

    if (!rows)
        return err_set(err, ERR_INTERNAL, "no memory for a list of keys");
    while (more && t->count - before < ABSENT_MAX) {
        TRY(registry_key_list(c->registry, "", after, rows, PAGE_KEYS, &count, &more, err));
        for (size_t i = 0; i < count && t->count - before < ABSENT_MAX; i++)
            TRY(judge_key(s, &rows[i], t, err));
        if (more)
            snprintf(after, sizeof(after), "%s/%s", rows[count - 1].tenant, rows[count - 1].name);
    }
    return true;
}

static bool judge_absent(const struct custodian *c, struct told *t, struct err *err)
{
    CLEANUP(census_free) struct census s = {.list = NULL};
    struct registry_import_key key;
    struct finding f;

    TRY(token_list_private(c->token, &s.list, &s.count, err));
    qsort(s.list, s.count, sizeof(*s.list), by_cka_id);
    TRY(judge_keys(c, &s, t, err));
    if (!registry_import_current(c->registry, &key, err))
        return err->code == ERR_NOT_FOUND;
    if (how_many(&s, key.cka_id, key.cka_id_len) > 0)
        return true;
    finding_import_key(&f);
    return tell(t, &f, "import key", key.cka_id, key.cka_id_len, err);
}

/* ---- the verb */

static bool fill_page(struct custodian *c, const struct page *page, struct told *t,
                      Keyd__V1__TokenObjectsReply *reply, struct err *err)
{
    struct owned owned;

    TRY(reply->objects = ask_alloc(t->ask, page->count * sizeof(*reply->objects), err));
    for (size_t i = 0; i < page->count; i++) {
        TRY(own(c, &page->objects[i], &owned, err));
        TRY(fill_object(t->ask, &page->objects[i], owned.name, &reply->objects[i], err));
        TRY(judge_object(c, &page->objects[i], &owned, t, err));
    }
    reply->n_objects = page->count;
    return true;
}

bool verb_token_objects(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokenObjectsReply *reply = ask_alloc(ask, sizeof(*reply), err);
    CLEANUP(page_free) struct page page = {.objects = NULL};
    struct told told = {.ask = ask};
    uint32_t after = ask->e->token_objects->after;
    size_t total;

    TRY(reply);
    keyd__v1__token_objects_reply__init(reply);
    TRY(token_page_objects(c->token, after, PAGE, &page.objects, &page.count, &total, err));
    TRY(fill_page(c, &page, &told, reply, err));
    reply->total = (uint32_t)total;
    reply->next = (size_t)after + PAGE < total ? after + PAGE : 0;
    if (reply->next == 0)
        TRY(judge_absent(c, &told, err));
    reply->findings = told.list;
    reply->n_findings = told.count;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY;
    ret->token_objects_reply = reply;
    return true;
}
