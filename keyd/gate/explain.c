/* SPDX-License-Identifier: Apache-2.0
 *
 * explain: what keyd would do with these bytes, and why. The same recognisers and tables judge here
 * as in signer and custodian, in the same order; but all steps are taken, so that one answer tells
 * everything. The custodian, which alone has the keys' allowed names, adds to it and answers.
 * Nothing is signed.
 */
#include <stdio.h>
#include <string.h>

#include "keyd/gate/answers.h"
#include "keyd/gate/keys.h"
#include "keyd/gate/who.h"
#include "keyd/policy/tbs.h"
#include "keyd/policy/tbs_csr.h"

#define STEPS_MAX 8

struct explaining {
    struct answering a;
    const Keyd__V1__Explain *request;
    const struct table_key *key;
    enum purpose purpose; /* 0: no shape that keyd knows */
    Keyd__V1__ExplainStep steps[STEPS_MAX];
    Keyd__V1__ExplainStep *list[STEPS_MAX];
    char why[STEPS_MAX][sizeof(((struct err *)0)->text)];
    size_t count;
};

static void step(struct explaining *x, const char *what, bool passes, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void step(struct explaining *x, const char *what, bool passes, const char *fmt, ...)
{
    Keyd__V1__ExplainStep *s = &x->steps[x->count];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(x->why[x->count], sizeof(x->why[0]), fmt, ap);
    va_end(ap);
    keyd__v1__explain_step__init(s);
    s->what = (char *)what;
    s->passes = passes;
    s->why = x->why[x->count];
    x->list[x->count++] = s;
}

/* ---- the steps */

static void judge_key(struct explaining *x)
{
    static const char *const words[] = {"is in no known state", "is enabled",
                                        "is not shown by the token", "is disabled",
                                        "was destroyed"};
    size_t state = (size_t)x->key->state;

    step(x, "key", x->key->state == KEY_ENABLED, "%s/%s %s", x->key->tenant, x->key->name,
         words[state < sizeof(words) / sizeof(*words) ? state : 0]);
}

/* Frontends' shapes are tried first: a message that is one of these is never taken for another. */
static void judge_shape(struct explaining *x)
{
    const ProtobufCBinaryData *m = &x->request->message;
    const struct tbs_names any = {0}; /* which ones the key may have, the custodian knows */
    struct err tls, csr;

    x->purpose = tbs_recognise(m->data, m->len, &tls);
    if (x->purpose)
        step(x, "shape", true, "%zu bytes of the shape %s", m->len, purpose_name(x->purpose));
    else if (tbs_csr(m->data, m->len, x->key->spki, x->key->spki_len, &any, &csr)) {
        x->purpose = PURPOSE_CSR;
        step(x, "shape", true, "a certificate request of this key");
    } else if (x->key->purposes & PURPOSE_RAW) {
        x->purpose = PURPOSE_RAW;
        step(x, "shape", true, "none that keyd knows; the key may sign anything");
    } else
        step(x, "shape", false, "%s; as a certificate request: %s", tls.text, csr.text);
}

static void judge_purpose(struct explaining *x)
{
    char names[128];

    if (x->purpose)
        step(x, "purpose", (x->key->purposes & x->purpose) != 0, "the key was made for %s",
             purposes_text(x->key->purposes, names, sizeof(names)));
}

static void judge_role(struct explaining *x)
{
    const struct principal *who = &x->a.as.who;
    uint32_t may = role_purposes(who->role);
    char names[128];

    if (x->purpose)
        step(x, "role", (may & x->purpose) != 0, "%s has the role %s, which may have signed: %s",
             who->name, role_name(who->role),
             may ? purposes_text(may, names, sizeof(names)) : "nothing");
}

static void judge_reach(struct explaining *x)
{
    const struct principal *who = &x->a.as.who;
    uint32_t granted;
    char names[128];

    if (who->role == ROLE_TENANT) {
        step(x, "tenant", strcmp(who->tenant, x->key->tenant) == 0,
             "%s may use the keys of the tenant %s", who->name, who->tenant);
        return;
    }
    if (who->role != ROLE_FRONTEND)
        return;
    granted = who_granted(x->a.g, &x->a.as, x->key);
    step(x, "grant", granted && (!x->purpose || (granted & x->purpose)),
         granted ? "%s was granted the key for %s" : "%s was granted this key for nothing%s",
         who->name, granted ? purposes_text(granted, names, sizeof(names)) : "");
}

static void judge_scheme(struct explaining *x)
{
    const struct scheme *scheme = scheme_by_code(x->request->scheme);
    enum key_type type = (enum key_type)x->key->type;
    struct err err;

    if (!x->request->scheme || !x->purpose)
        return;
    if (!scheme)
        step(x, "scheme", false, "0x%04x is no signature scheme that keyd makes",
             x->request->scheme);
    else if (scheme_fits(scheme, type, x->purpose, &err))
        step(x, "scheme", true, "%s fits key and shape", scheme->name);
    else
        step(x, "scheme", false, "%s", err.text);
}

static void judge_all(struct explaining *x)
{
    judge_key(x);
    judge_shape(x);
    judge_purpose(x);
    judge_role(x);
    judge_reach(x);
    judge_scheme(x);
}

/* ---- the verb */

static bool find(struct explaining *x, struct call *call, struct err *err)
{
    const struct principal *caller = &call->line->who;
    const char *within = call->scope == SCOPE_OWN ? caller->tenant : "";

    if (x->request->message.len > FRAME_CAP_SIGNING) {
        err_set(err, ERR_TOO_LARGE, "a message of %zu bytes", x->request->message.len);
        return err_hint(err, "%u bytes are the most that is explained", FRAME_CAP_SIGNING);
    }
    TRY(x->key = keys_named(x->a.g, x->request->key, within, err));
    return answering_as(&x->a, x->request->principal, err);
}

/* The request as the custodian gets it: the same bytes and key, and what is judged. */
static bool pack(struct explaining *x, struct call *call, struct err *err)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Explain body = KEYD__V1__EXPLAIN__INIT;
    char id[KEY_ID_HEX_LEN + 1];

    body.message = x->request->message;
    body.key = hex_encode(x->key->id, KEY_ID_LEN, id);
    body.judged = x->list;
    body.n_judged = x->count;
    e.id = call->id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_EXPLAIN;
    e.explain = &body;
    call->raw_len = keyd__v1__envelope__get_packed_size(&e);
    uint8_t *packed = arena_alloc(&call->arena, call->raw_len);
    if (!packed)
        return err_set(err, ERR_TOO_LARGE, "no memory for a request of %zu bytes", call->raw_len);
    keyd__v1__envelope__pack(&e, packed);
    call->raw = packed;
    return true;
}

bool explain_judge(struct gate *g, struct call *call, struct err *err)
{
    struct explaining x = {.a = {.g = g, .call = call}, .request = call->request->explain};
    bool ok = find(&x, call, err);

    if (ok) {
        judge_all(&x);
        ok = pack(&x, call, err);
    }
    answering_done(&x.a);
    return ok;
}
