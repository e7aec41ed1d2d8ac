/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libkeyd/canned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/keys.h"

#define CREATED 1700000000 /* 2023-11-14T22:13:20Z */

static const struct {
    const char *tenant, *name;
    Keyd__V1__KeyType type;
    Keyd__V1__KeyState state;
} keys[] = {
    {"acme", "api", KEYD__V1__KEY_TYPE__KEY_TYPE_RSA_2048, KEYD__V1__KEY_STATE__KEY_STATE_MISSING},
    {"acme", "www", KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED},
    {"zeta", "shop", KEYD__V1__KEY_TYPE__KEY_TYPE_ED25519, KEYD__V1__KEY_STATE__KEY_STATE_ENABLED},
};
#define KEYS (sizeof(keys) / sizeof(*keys))

static const struct {
    const char *name;
    uint32_t keys;
} tenants[] = {{"acme", 2}, {"empty", 0}, {"zeta", 1}};
#define TENANTS (sizeof(tenants) / sizeof(*tenants))

static uint8_t cka_id[] = {0x01, 0x0d, 0xab, 0xcd, 0xef, 0x12};

static void *room(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    if (!p)
        abort();
    return p;
}

static size_t page_end(const struct canned_how *how, size_t from, size_t count)
{
    return how->page && from + how->page < count ? from + how->page : count;
}

/* ---- tenants */

static Keyd__V1__Tenant *tenant_of(struct arena *a, const char *name, uint32_t count)
{
    Keyd__V1__Tenant *t = room(a, sizeof(*t));

    keyd__v1__tenant__init(t);
    t->name = (char *)name;
    t->created = CREATED;
    t->keys = count;
    return t;
}

static bool tenants_add(const envelope *ask, struct arena *a, envelope *e)
{
    Keyd__V1__TenantsAddReply *r = room(a, sizeof(*r));

    keyd__v1__tenants_add_reply__init(r);
    r->tenant = tenant_of(a, ask->tenants_add->tenant, 0);
    e->body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY;
    e->tenants_add_reply = r;
    return true;
}

static bool tenants_list(const envelope *ask, const struct canned_how *how, struct arena *a,
                         envelope *e)
{
    Keyd__V1__TenantsListReply *r = room(a, sizeof(*r));
    size_t from = 0;

    keyd__v1__tenants_list_reply__init(r);
    while (from < TENANTS && strcmp(tenants[from].name, ask->tenants_list->after) <= 0)
        from++;
    size_t to = how->empty ? from : page_end(how, from, TENANTS);
    r->tenants = room(a, TENANTS * sizeof(*r->tenants));
    for (; from < to; from++)
        r->tenants[r->n_tenants++] = tenant_of(a, tenants[from].name, tenants[from].keys);
    if (to < TENANTS && !how->empty)
        r->next = (char *)tenants[to - 1].name;
    if (how->endless)
        r->next = (char *)"zzz";
    e->body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_LIST_REPLY;
    e->tenants_list_reply = r;
    return true;
}

/* ---- keys */

static Keyd__V1__Key *key_of(const struct canned_how *how, struct arena *a, size_t i, bool whole)
{
    Keyd__V1__Key *k = room(a, sizeof(*k));
    uint8_t *id = arena_dup(a, how->key_id, KEY_ID_LEN);

    keyd__v1__key__init(k);
    if (i != 1) /* acme/www is the one that the server signs with */
        memset(id, (int)(0xa0 + i), KEY_ID_LEN);
    k->id = (ProtobufCBinaryData){.len = how->empty ? 5 : KEY_ID_LEN, .data = id};
    k->tenant = (char *)keys[i].tenant;
    k->name = (char *)keys[i].name;
    k->type = keys[i].type;
    k->state = keys[i].state;
    k->purposes = PURPOSES_DEFAULT;
    k->created = CREATED + i;
    if (whole) {
        k->spki = (ProtobufCBinaryData){.len = how->spki_len, .data = how->spki};
        k->cka_id = (ProtobufCBinaryData){.len = sizeof(cka_id), .data = cka_id};
    }
    return k;
}

static bool keys_generate(const envelope *ask, const struct canned_how *how, struct arena *a,
                          envelope *e)
{
    Keyd__V1__KeysGenerateReply *r = room(a, sizeof(*r));

    keyd__v1__keys_generate_reply__init(r);
    r->key = key_of(how, a, 1, true);
    r->key->tenant = ask->keys_generate->tenant;
    r->key->name = ask->keys_generate->name;
    r->key->type = ask->keys_generate->type;
    if (ask->keys_generate->purposes)
        r->key->purposes = ask->keys_generate->purposes;
    e->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY;
    e->keys_generate_reply = r;
    return true;
}

static const char *full_name(struct arena *a, size_t i)
{
    return arena_printf(a, "%s/%s", keys[i].tenant, keys[i].name);
}

static bool keys_list(const envelope *ask, const struct canned_how *how, struct arena *a,
                      envelope *e)
{
    const char *tenant = ask->keys_list->tenant;
    Keyd__V1__KeysListReply *r = room(a, sizeof(*r));
    size_t from = 0;

    keyd__v1__keys_list_reply__init(r);
    while (from < KEYS && strcmp(full_name(a, from), ask->keys_list->after) <= 0)
        from++;
    size_t to = page_end(how, from, KEYS);
    r->keys = room(a, KEYS * sizeof(*r->keys));
    for (; from < to; from++)
        if (!tenant[0] || strcmp(tenant, keys[from].tenant) == 0)
            r->keys[r->n_keys++] = key_of(how, a, from, false);
    if (to < KEYS)
        r->next = (char *)full_name(a, to - 1);
    e->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_LIST_REPLY;
    e->keys_list_reply = r;
    return true;
}

static bool is_www(const struct canned_how *how, const char *name)
{
    char hex[KEY_ID_HEX_LEN + 1];

    hex_encode(how->key_id, KEY_ID_LEN, hex);
    return strcmp(name, "acme/www") == 0 ||
           (strlen(name) >= 8 && strncmp(name, hex, strlen(name)) == 0);
}

static bool keys_show(const envelope *ask, const struct canned_how *how, struct arena *a,
                      envelope *e)
{
    Keyd__V1__KeysShowReply *r = room(a, sizeof(*r));

    if (!is_www(how, ask->keys_show->key))
        return false;
    keyd__v1__keys_show_reply__init(r);
    r->key = key_of(how, a, 1, true);
    e->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_SHOW_REPLY;
    e->keys_show_reply = r;
    return true;
}

/* The "PEM" tells what was asked, so that a test can see that it arrived. */
static bool create_csr(const envelope *ask, const struct canned_how *how, struct arena *a,
                       envelope *e)
{
    const Keyd__V1__CreateCsr *c = ask->create_csr;
    Keyd__V1__CreateCsrReply *r = room(a, sizeof(*r));
    char *sans = arena_printf(a, "%s", "");

    if (!is_www(how, c->key))
        return false;
    for (size_t i = 0; i < c->n_san; i++)
        sans = arena_printf(a, "%s[%s]", sans, c->san[i]);
    keyd__v1__create_csr_reply__init(r);
    r->pem = arena_printf(a,
                          "-----BEGIN CERTIFICATE REQUEST-----\n%s %s\n"
                          "-----END CERTIFICATE REQUEST-----\n",
                          c->subject, sans);
    e->body_case = KEYD__V1__ENVELOPE__BODY_CREATE_CSR_REPLY;
    e->create_csr_reply = r;
    return true;
}

/* ---- the token */

static Keyd__V1__TokenAttribute *attribute(struct arena *a, const char *name, const char *value)
{
    Keyd__V1__TokenAttribute *t = room(a, sizeof(*t));

    keyd__v1__token_attribute__init(t);
    t->name = (char *)name;
    t->value = (char *)value;
    return t;
}

static Keyd__V1__TokenObject *object_of(struct arena *a, const char *label, const char *key)
{
    Keyd__V1__TokenObject *o = room(a, sizeof(*o));

    keyd__v1__token_object__init(o);
    o->cls = (char *)"CKO_PRIVATE_KEY";
    o->label = (char *)label;
    o->key = (char *)key;
    o->attributes = room(a, 4 * sizeof(*o->attributes));
    o->attributes[o->n_attributes++] = attribute(a, "CKA_KEY_TYPE", "CKK_EC");
    o->attributes[o->n_attributes++] = attribute(a, "CKA_SENSITIVE", "true");
    o->attributes[o->n_attributes++] = attribute(a, "CKA_EXTRACTABLE", "false");
    o->attributes[o->n_attributes++] = attribute(a, "CKA_SIGN", "true");
    return o;
}

static bool token_objects(const envelope *ask, const struct canned_how *how, struct arena *a,
                          envelope *e)
{
    Keyd__V1__TokenObjectsReply *r = room(a, sizeof(*r));

    keyd__v1__token_objects_reply__init(r);
    r->total = 2;
    r->objects = room(a, 2 * sizeof(*r->objects));
    if (!how->page || ask->token_objects->after == 0) {
        r->objects[r->n_objects] = object_of(a, "keyd/acme/www", "acme/www");
        r->objects[r->n_objects++]->cka_id =
            (ProtobufCBinaryData){.len = sizeof(cka_id), .data = cka_id};
        r->next = how->page ? 1 : 0;
    }
    if (!how->page || ask->token_objects->after == 1)
        r->objects[r->n_objects++] = object_of(a, "somebody's", "");
    if (how->endless)
        r->next = 1;
    e->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY;
    e->token_objects_reply = r;
    return true;
}

/* ---- status */

static Keyd__V1__Process *process_of(struct arena *a, const char *name, uint32_t pid,
                                     const char *state, const char *last_exit)
{
    Keyd__V1__Process *p = room(a, sizeof(*p));

    keyd__v1__process__init(p);
    p->name = (char *)name;
    p->pid = pid;
    p->state = (char *)state;
    p->uptime_ms = pid ? 93784000 : 0; /* 1 d 2 h 3 min 4 s */
    p->restarts = last_exit[0] ? 1 : 0;
    p->last_exit = (char *)last_exit;
    p->signatures = pid;
    p->failed = pid / 100;
    p->silent = pid == 4712;
    return p;
}

static Keyd__V1__SchemeStatus *scheme_of(struct arena *a, uint32_t scheme, const char *name,
                                         uint64_t total)
{
    Keyd__V1__SchemeStatus *s = room(a, sizeof(*s));

    keyd__v1__scheme_status__init(s);
    s->scheme = scheme;
    s->name = (char *)name;
    s->total = total;
    s->per_second_10s = (double)total / 800; /* 123456: 154.32 */
    s->per_second_60s = (double)total / 1600;
    s->p50_us = 44;
    s->p90_us = 58;
    s->p99_us = 1216;
    return s;
}

static void fill_schemes(struct arena *a, Keyd__V1__StatusReply *r)
{
    r->schemes = room(a, 2 * sizeof(*r->schemes));
    r->schemes[r->n_schemes++] = scheme_of(a, 0x0403, "ecdsa_secp256r1_sha256", 123456);
    r->schemes[r->n_schemes++] = scheme_of(a, 0x0804, "rsa_pss_rsae_sha256", 3);
}

static void fill_exits(struct arena *a, Keyd__V1__StatusReply *r)
{
    Keyd__V1__Exit *e = room(a, sizeof(*e));

    keyd__v1__exit__init(e);
    e->process = (char *)"custodian";
    e->at = CREATED;
    e->why = (char *)"killed by SIGKILL";
    r->exits = room(a, sizeof(*r->exits));
    r->exits[r->n_exits++] = e;
}

static void fill_token(struct arena *a, Keyd__V1__StatusReply *r)
{
    static char *types[] = {(char *)"rsa-2048", (char *)"ec-p256"};
    static char *notes[] = {(char *)"the token keeps no CKA_PUBLIC_KEY_INFO"};

    r->token = room(a, sizeof(*r->token));
    keyd__v1__token_status__init(r->token);
    r->token->label = (char *)"keyd";
    r->token->manufacturer = (char *)"SoftHSM project";
    r->token->model = (char *)"SoftHSM v2";
    r->token->serial = (char *)"f00d";
    r->token->module = (char *)"/usr/lib/softhsm/libsofthsm2.so 2.6";
    r->token->n_key_types = 2;
    r->token->key_types = types;
    r->token->n_notes = 1;
    r->token->notes = notes;
}

static bool status(const struct canned_how *how, struct arena *a, envelope *e)
{
    Keyd__V1__StatusReply *r = room(a, sizeof(*r));

    keyd__v1__status_reply__init(r);
    e->body_case = KEYD__V1__ENVELOPE__BODY_STATUS_REPLY;
    e->status_reply = r;
    if (how->empty)
        return true;
    r->version = (char *)"0.1.0";
    r->uptime_ms = 93784000;
    r->processes = room(a, 3 * sizeof(*r->processes));
    r->processes[r->n_processes++] = process_of(a, "signer 1", 4711, "ready", "");
    r->processes[r->n_processes++] = process_of(a, "signer 2", 4712, "ready", "");
    r->processes[r->n_processes++] =
        process_of(a, "custodian", 0, "waiting to start", "killed by SIGKILL");
    fill_token(a, r);
    r->queue = room(a, sizeof(*r->queue));
    keyd__v1__queue_status__init(r->queue);
    r->queue->waiting = 3;
    r->queue->signed_total = 123456;
    r->queue->busy_total = 7;
    r->tenants = TENANTS;
    r->keys = KEYS;
    r->keys_missing = 1;
    fill_schemes(a, r);
    fill_exits(a, r);
    return true;
}

bool canned_answer(const envelope *ask, const struct canned_how *how, struct arena *a, envelope *e)
{
    switch (ask->body_case) {
    case KEYD__V1__ENVELOPE__BODY_TENANTS_ADD:
        return tenants_add(ask, a, e);
    case KEYD__V1__ENVELOPE__BODY_TENANTS_LIST:
        return tenants_list(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE:
        return keys_generate(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_KEYS_LIST:
        return keys_list(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_KEYS_SHOW:
        return keys_show(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_CREATE_CSR:
        return create_csr(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS:
        return token_objects(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_STATUS:
        return status(how, a, e);
    default:
        return canned_who_answer(ask, how, e);
    }
}
