/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libkeyd/canned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/keys.h"
#include "proto/manifest.h"

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
    r->key->allowed_names = ask->keys_generate->allowed_names;
    r->key->n_allowed_names = ask->keys_generate->n_allowed_names;
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

static Keyd__V1__Finding *finding_of(struct arena *a, Keyd__V1__Severity severity, const char *kind)
{
    Keyd__V1__Finding *f = room(a, sizeof(*f));

    keyd__v1__finding__init(f);
    f->severity = severity;
    f->kind = (char *)kind;
    f->object = (char *)"acme/www";
    f->cka_id = (ProtobufCBinaryData){.len = sizeof(cka_id), .data = cka_id};
    f->text = (char *)"it is so";
    f->advice = (char *)"make it otherwise";
    return f;
}

static void add_findings(struct arena *a, Keyd__V1__Finding ***ret, size_t *ret_count)
{
    Keyd__V1__Finding **list = room(a, 3 * sizeof(Keyd__V1__Finding *));

    list[0] = finding_of(a, KEYD__V1__SEVERITY__SEVERITY_NOTE, "unowned");
    list[1] = finding_of(a, KEYD__V1__SEVERITY__SEVERITY_DANGER, "extractable");
    list[2] = finding_of(a, KEYD__V1__SEVERITY__SEVERITY_WARNING, "label");
    *ret = list;
    *ret_count = 3;
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
    if (r->next == 0)
        add_findings(a, &r->findings, &r->n_findings);
    e->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY;
    e->token_objects_reply = r;
    return true;
}

/* What must be accepted is "extractable"; a look, or that, and it is adopted. */
static bool keys_adopt(const envelope *ask, struct arena *a, envelope *e)
{
    const Keyd__V1__KeysAdopt *body = ask->keys_adopt;
    Keyd__V1__KeysAdoptReply *r = room(a, sizeof(*r));

    keyd__v1__keys_adopt_reply__init(r);
    r->object = object_of(a, body->object, "");
    add_findings(a, &r->findings, &r->n_findings);
    if (!body->look) {
        if (body->n_accept != 1 || strcmp(body->accept[0], "extractable") != 0)
            return false;
        r->key = room(a, sizeof(*r->key));
        keyd__v1__key__init(r->key);
        r->key->id = (ProtobufCBinaryData){.len = KEY_ID_LEN, .data = room(a, KEY_ID_LEN)};
        r->key->tenant = body->tenant;
        r->key->name = body->name;
        r->key->purposes = body->purposes;
        r->key->adopted = true;
    }
    e->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_ADOPT_REPLY;
    e->keys_adopt_reply = r;
    return true;
}

/* Two fragments; of what may go, all goes. */
static bool token_sweep(const envelope *ask, struct arena *a, envelope *e)
{
    const Keyd__V1__TokenSweep *body = ask->token_sweep;
    size_t n = body->n_fragments ? body->n_fragments : 2;
    Keyd__V1__TokenSweepReply *r = room(a, sizeof(*r));

    keyd__v1__token_sweep_reply__init(r);
    r->fragments = room(a, n * sizeof(*r->fragments));
    for (; r->n_fragments < n; r->n_fragments++) {
        Keyd__V1__Fragment *f = room(a, sizeof(*f));

        keyd__v1__fragment__init(f);
        f->id = body->n_fragments ? body->fragments[r->n_fragments]
                                  : (ProtobufCBinaryData){.len = 6, .data = cka_id};
        f->what = (char *)(body->n_fragments ? "was here" : "is here");
        r->fragments[r->n_fragments] = f;
    }
    e->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP_REPLY;
    e->token_sweep_reply = r;
    return true;
}

/* ---- token-bench, pin-change */

static Keyd__V1__BenchRate *bench_rate(struct arena *a, uint32_t signers, double per_second)
{
    Keyd__V1__BenchRate *r = room(a, sizeof(*r));

    keyd__v1__bench_rate__init(r);
    r->type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    r->scheme = 0x0403;
    r->signers = signers;
    r->per_second = per_second;
    r->p50_us = 44;
    r->p99_us = 1216;
    return r;
}

static Keyd__V1__BenchTried *bench_tried(struct arena *a, uint32_t scheme, const char *name,
                                         const char *error)
{
    Keyd__V1__BenchTried *t = room(a, sizeof(*t));

    keyd__v1__bench_tried__init(t);
    t->type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    t->scheme = scheme;
    t->name = (char *)name;
    t->error = (char *)error;
    return t;
}

static bool token_bench(const envelope *ask, const struct canned_how *how, struct arena *a,
                        envelope *e)
{
    static char *advice[] = {(char *)"ec-p256: 2 signers pay: 1.9 x one"};
    Keyd__V1__TokenBenchReply *r = room(a, sizeof(*r));
    Keyd__V1__BenchGeneration *g = room(a, sizeof(*g));

    keyd__v1__token_bench_reply__init(r);
    e->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH_REPLY;
    e->token_bench_reply = r;
    if (how->empty)
        return true;
    keyd__v1__bench_generation__init(g);
    g->type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    g->keys = 3;
    g->p50_us = 350;
    g->max_us = 1250;
    r->generations = room(a, sizeof(*r->generations));
    r->generations[r->n_generations++] = g;
    r->rates = room(a, 3 * sizeof(*r->rates));
    r->rates[r->n_rates++] = bench_rate(a, 0, 17000.5);
    r->rates[r->n_rates++] = bench_rate(a, 1, 18000);
    r->rates[r->n_rates++] = bench_rate(a, 2, 34200);
    r->tried = room(a, 2 * sizeof(*r->tried));
    r->tried[r->n_tried++] = bench_tried(a, 0x0403, "ecdsa_secp256r1_sha256", "");
    r->tried[r->n_tried++] =
        bench_tried(a, 0x0603, "ecdsa_secp521r1_sha512", "C_Sign: CKR_DATA_LEN_RANGE");
    r->n_advice = 1;
    r->advice = advice;
    r->signers = ask->token_bench->seconds; /* so that a test sees what was asked for */
    r->cores = 2;
    r->cut_short = (char *)"its time was up";
    return true;
}

static bool pin_change(struct arena *a, envelope *e)
{
    Keyd__V1__PinChangeReply *r = room(a, sizeof(*r));

    keyd__v1__pin_change_reply__init(r);
    r->file = (char *)"/var/lib/keyd/user.pin";
    e->body_case = KEYD__V1__ENVELOPE__BODY_PIN_CHANGE_REPLY;
    e->pin_change_reply = r;
    return true;
}

/* ---- backup: two files and their manifest, the same at each call */

#define BACKUP_FILE 700u

static void add_file(struct buf *stream, struct buf *manifest, const char *name)
{
    struct manifest_file file = {.size = BACKUP_FILE};
    struct sum sum = {.ctx = NULL};
    struct err err;
    uint8_t *bytes = buf_room(stream, BACKUP_FILE, 1u << 20);

    memset(bytes, name[0], BACKUP_FILE);
    buf_fill(stream, BACKUP_FILE);
    snprintf(file.name, sizeof(file.name), "%s", name);
    if (!sum_begin(&sum, &err) || !sum_add(&sum, bytes, BACKUP_FILE) || !sum_end(&sum, file.sum) ||
        !manifest_add(manifest, &file, &err))
        abort();
    sum_free(&sum);
}

static struct buf backup_stream(uint64_t *ret_manifest_at)
{
    const struct manifest head = {
        .time = "2026-11-23T21:00:00Z", .keyd = "0.1.0", .token_label = "keyd", .keys = 3};
    struct buf stream = {.bytes = NULL}, manifest = {.bytes = NULL};
    struct err err;

    if (!manifest_begin(&manifest, &head, &err))
        abort();
    add_file(&stream, &manifest, "registry.db");
    add_file(&stream, &manifest, "tokens/1/token.object");
    if (!manifest_end(&manifest, &err))
        abort();
    *ret_manifest_at = stream.len;
    memcpy(buf_room(&stream, manifest.len, 1u << 20), buf_head(&manifest), manifest.len);
    buf_fill(&stream, manifest.len);
    buf_free(&manifest);
    return stream;
}

static bool backup(const struct canned_how *how, struct arena *a, envelope *e)
{
    Keyd__V1__BackupReply *r = room(a, sizeof(*r));
    static char pin_source[] = "/var/lib/keyd/user.pin";
    uint64_t manifest_at;
    struct buf stream = backup_stream(&manifest_at);

    keyd__v1__backup_reply__init(r);
    r->size = stream.len;
    r->manifest_at = manifest_at;
    r->pin_source = pin_source;
    if (!how->empty)
        r->snapshot = (ProtobufCBinaryData){.len = 16, .data = room(a, 16)};
    buf_free(&stream);
    e->body_case = KEYD__V1__ENVELOPE__BODY_BACKUP_REPLY;
    e->backup_reply = r;
    return true;
}

/* In pieces of how->page hundred bytes; endless: the second file is not what it was. */
static bool backup_read(const envelope *ask, const struct canned_how *how, struct arena *a,
                        envelope *e)
{
    Keyd__V1__BackupReadReply *r = room(a, sizeof(*r));
    uint64_t manifest_at, at = ask->backup_read->offset;
    struct buf stream = backup_stream(&manifest_at);

    keyd__v1__backup_read_reply__init(r);
    if (how->endless)
        buf_head(&stream)[manifest_at - 1] ^= 1;
    if (at < stream.len && !ask->backup_read->done) {
        size_t n = stream.len - (size_t)at;
        if (how->page && n > 100 * how->page)
            n = 100 * how->page;
        r->data = (ProtobufCBinaryData){.len = n, .data = room(a, n)};
        memcpy(r->data.data, buf_head(&stream) + at, n);
    }
    buf_free(&stream);
    e->body_case = KEYD__V1__ENVELOPE__BODY_BACKUP_READ_REPLY;
    e->backup_read_reply = r;
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
    case KEYD__V1__ENVELOPE__BODY_KEYS_ADOPT:
        return keys_adopt(ask, a, e);
    case KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP:
        return token_sweep(ask, a, e);
    case KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH:
        return token_bench(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_PIN_CHANGE:
        return pin_change(a, e);
    case KEYD__V1__ENVELOPE__BODY_BACKUP:
        return backup(how, a, e);
    case KEYD__V1__ENVELOPE__BODY_BACKUP_READ:
        return backup_read(ask, how, a, e);
    case KEYD__V1__ENVELOPE__BODY_STATUS:
        return status(how, a, e);
    default:
        return canned_who_answer(ask, how, e);
    }
}
