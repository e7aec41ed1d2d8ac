/* SPDX-License-Identifier: Apache-2.0
 *
 * A request comes whole from the control gate, with the role of who asks. Gate and custodian judge
 * it by the same table: two walls. What is served here and whether it changes anything stands in
 * `served`.
 *
 * One request is served after another, in the order in which they came, with one exception: what
 * takes away (verbs.h) need not wait behind what makes: a generation takes seconds, and a key that
 * was stolen shall stop signing now. The gate lets it through while something else is being done
 * here (dispatch.c). But nobody's own order is turned round: it overtakes nothing about the same
 * key, and among themselves they keep their order. So who sends keys-generate x, keys-destroy x
 * without waiting has no x in the end, and keys-enable x, keys-disable x leaves it disabled,
 * whether x is called by name or by id. Where that cannot be known (an id that is nobody's yet may
 * be that of a key that is just coming in), nothing about keys is overtaken.
 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/log.h"
#include "keyd/token/softhsm.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define WAITING_MAX   256
#define ARENA_CAP     (4u << 20)
#define BUSY_RETRY_MS 500
#define V(x)          KEYD__V1__ENVELOPE__BODY_##x

static const struct served {
    Keyd__V1__Envelope__BodyCase body;
    bool changes;
    bool (*serve)(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err);
} served[] = {
    {V(TENANTS_ADD), true, verb_tenants_add},
    {V(TENANTS_LIST), false, verb_tenants_list},
    {V(KEYS_GENERATE), true, verb_keys_generate},
    {V(KEYS_IMPORT), true, verb_keys_import},
    {V(IMPORT_KEY), true, verb_import_key}, /* the first call makes it */
    {V(IMPORT_KEY_ROTATE), true, verb_import_key_rotate},
    {V(KEYS_LIST), false, verb_keys_list},
    {V(KEYS_SHOW), false, verb_keys_show},
    {V(KEYS_DISABLE), false, verb_keys_disable}, /* never refused: it takes away */
    {V(KEYS_ENABLE), true, verb_keys_enable},
    {V(KEYS_DESTROY), true, verb_keys_destroy},
    {V(CREATE_CSR), false, verb_create_csr},
    {V(GRANTS_ADD), true, verb_grants_add},
    {V(GRANTS_LIST), false, verb_grants_list},
    {V(GRANTS_REMOVE), false, verb_grants_remove}, /* never refused: it takes away */
    {V(TOKENS_CREATE), true, verb_tokens_create},
    {V(TOKENS_LIST), false, verb_tokens_list},
    {V(TOKENS_REVOKE), false, verb_tokens_revoke}, /* the same */
    {V(SIGN), false, verb_sign},
    {V(EXPLAIN), false, verb_explain},
    {V(TOKEN_OBJECTS), false, verb_token_objects},
    {V(KEYS_ADOPT), true, verb_keys_adopt},
    {V(TOKEN_SWEEP), true, verb_token_sweep},
    {V(TOKEN_BENCH), false, verb_token_bench},
    {V(PIN_CHANGE), true, verb_pin_change},
    {V(BACKUP), false, verb_backup},
    {V(BACKUP_READ), false, verb_backup_read},
};

static const struct served *served_of(Keyd__V1__Envelope__BodyCase body)
{
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
        if (served[i].body == body)
            return &served[i];
    return NULL;
}

void *ask_alloc(const struct ask *ask, size_t n, struct err *err)
{
    void *p = arena_alloc(ask->arena, n);

    if (!p)
        err_set(err, ERR_TOO_LARGE, "the reply would be larger than %u MiB", ARENA_CAP >> 20);
    return p;
}

bool ask_bytes(const struct ask *ask, const uint8_t *p, size_t n, ProtobufCBinaryData *ret,
               struct err *err)
{
    ret->data = ask_alloc(ask, n, err);
    TRY(ret->data);
    if (n > 0)
        memcpy(ret->data, p, n);
    ret->len = n;
    return true;
}

bool ask_text(const struct ask *ask, const char *text, char **ret, struct err *err)
{
    *ret = ask_alloc(ask, strlen(text) + 1, err);
    TRY(*ret);
    memcpy(*ret, text, strlen(text) + 1);
    return true;
}

/* ---- answering */

static void put_answer(struct custodian *c, const struct request *r, const envelope *answer)
{
    struct peer *gate = peers_control_gate(c, r->generation);
    size_t len = keyd__v1__envelope__get_packed_size(answer);
    AUTO_FREE uint8_t *packed = gate ? mem_new(len) : NULL;

    if (!packed)
        return; /* nobody is there to be answered */
    keyd__v1__envelope__pack(answer, packed);
    chan_put(&gate->chan, MSG_ANSWER);
    put_u64(&gate->chan, r->call);
    put_bytes(&gate->chan, packed, len);
    chan_end(&gate->chan);
}

/* The line in the log that each failed call has: the gate does not see what is in the answer. */
static void log_failure(const struct request *r, const envelope *e, const struct err *err)
{
    const struct verb *verb = e ? verb_of(e->body_case) : NULL;
    bool fault = err_class(err->code) == ERR_CLASS_FAULT;
    char line[600];

    log_line(fault ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
             "%s failed: request=%llu principal=%s: %s", verb ? verb->name : "a request",
             e ? (unsigned long long)e->id : 0, principal_text(&r->who),
             log_err(err, line, sizeof(line)));
}

static void refuse(struct custodian *c, const struct request *r, const envelope *e,
                   const struct err *err)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Error error;

    log_failure(r, e, err);
    frame_error_of(err, &error);
    answer.id = e ? e->id : 0;
    answer.body_case = V(ERROR);
    answer.error = &error;
    put_answer(c, r, &answer);
}

/* ---- the queue */

static void insert(struct custodian *c, struct request *r, struct request *after)
{
    struct request **at = after ? &after->next : &c->first;

    r->next = *at;
    *at = r;
    if (!r->next)
        c->last = r;
    c->waiting++;
}

/* Whether their order matters: both are about one key, or that cannot be told. */
static bool related(const struct request *a, const struct request *b)
{
    if (!*a->subject || !*b->subject)
        return false;
    return *a->subject == '?' || *b->subject == '?' || strcmp(a->subject, b->subject) == 0;
}

/* The last request that one that takes away must wait for; NULL: none. Others that take away keep
 * their place before it, but for those that wait themselves behind what makes their key. */
static struct request *to_wait_for(struct custodian *c, const struct request *r)
{
    struct request *last = NULL;
    bool passes = false;

    for (struct request *q = c->first; q; q = q->next) {
        if (related(r, q) || (q->takes && !passes))
            last = q;
        else if (!q->takes)
            passes = true;
    }
    return last;
}

static void enqueue(struct custodian *c, struct request *r)
{
    struct arena a = arena_of(ARENA_CAP);
    struct err err;
    const envelope *e = frame_decode(&a, r->bytes, r->len, &err);

    r->takes = e && verb_takes_away(e->body_case);
    if (e)
        subject_of(c, e, r->subject);
    arena_free(&a);
    insert(c, r, r->takes ? to_wait_for(c, r) : c->last);
}

bool request_takes_waiting(const struct custodian *c)
{
    for (const struct request *r = c->first; r; r = r->next)
        if (r->takes)
            return true;
    return false;
}

static void refuse_busy(struct custodian *c, const struct request *r, const uint8_t *bytes,
                        size_t len)
{
    struct arena a = arena_of(ARENA_CAP);
    struct err err;

    const envelope *e = frame_decode(&a, bytes, len, &err); /* its id is wanted */
    err_set(&err, ERR_BUSY, "the custodian has %zu requests waiting", c->waiting);
    err_retry(&err, BUSY_RETRY_MS);
    refuse(c, r, e, &err);
    arena_free(&a);
}

void request_take(struct custodian *c, struct peer *p, struct msg *m)
{
    struct request head = {.generation = p->chan.generation};

    head.call = rd_u64(&m->body);
    msg_get_str(m, head.who.name, sizeof(head.who.name));
    head.who.role = (enum role)rd_u32(&m->body);
    msg_get_str(m, head.who.tenant, sizeof(head.who.tenant));
    head.until = clock_us() + (uint64_t)rd_u32(&m->body) * 1000;
    const uint8_t *bytes = msg_get_bytes(m, &head.len);
    msg_end(m, &p->chan);
    struct request *r = c->waiting < WAITING_MAX ? mem_new(sizeof(*r) + head.len) : NULL;
    if (!r) {
        refuse_busy(c, &head, bytes, head.len);
        return;
    }
    *r = head;
    if (r->len)
        memcpy(r->bytes, bytes, r->len);
    enqueue(c, r);
}

static struct request *take_first(struct custodian *c)
{
    struct request *r = c->first;

    c->first = r->next;
    if (!c->first)
        c->last = NULL;
    c->waiting--;
    return r;
}

void request_forget(struct custodian *c, uint32_t generation)
{
    struct request **at = &c->first;

    c->last = NULL;
    while (*at) {
        struct request *r = *at;
        if (r->generation == generation) {
            *at = r->next;
            c->waiting--;
            mem_free(r);
        } else {
            c->last = r;
            at = &r->next;
        }
    }
}

/* ---- serving */

static bool judge(const struct custodian *c, struct ask *ask, const struct served **ret,
                  struct err *err)
{
    const struct verb *verb = verb_of(ask->e->body_case);
    const struct served *s = served_of(ask->e->body_case);
    enum verb_server server;

    TRY(verb_allowed(verb, ask->who->role, &ask->scope, err));
    TRY(verb_route(verb, SOCKET_CONTROL, &server, err));
    if (ask->scope == SCOPE_OWN && !*ask->who->tenant)
        return err_set(err, ERR_INTERNAL, "a %s without a tenant", role_name(ask->who->role));
    if (server != SERVED_BY_CUSTODIAN || !s)
        return err_set(err, ERR_INTERNAL, "%s is not served by the custodian", verb->name);
    if (s->changes && *c->frozen) {
        err_set(err, ERR_CONFLICT, "%s is refused: %s", verb->name, c->frozen);
        return err_hint(err, "a wrong permission looks the same: check the token, then restart "
                             "keyd; keydctl status tells more");
    }
    *ret = s;
    return true;
}

static bool serve_it(struct custodian *c, const struct request *r, struct ask *ask,
                     envelope *answer, struct err *err)
{
    const struct served *s = NULL;

    if (clock_us() >= r->until)
        return err_set(err, ERR_DEADLINE, "the deadline passed while the custodian was busy");
    TRY(judge(c, ask, &s, err));
    TRY(s->serve(c, ask, answer, err));
    if (keyd__v1__envelope__get_packed_size(answer) > FRAME_CAP_CONTROL)
        return err_set(err, ERR_TOO_LARGE, "the reply is larger than a frame may be");
    return true;
}

static void serve_request(struct custodian *c, const struct request *r, struct arena *in,
                          struct arena *out)
{
    struct err err = {.code = ERR_NONE};
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    const envelope *e = frame_decode(in, r->bytes, r->len, &err);
    struct ask ask = {.e = e, .who = &r->who, .arena = out};

    if (e)
        answer.id = e->id;
    if (e && err.code == ERR_NONE && serve_it(c, r, &ask, &answer, &err)) {
        put_answer(c, r, &answer);
        return;
    }
    if (err.code == ERR_TOKEN)
        softhsm_explain(c->state_dir, &err);
    refuse(c, r, e, &err);
}

void request_serve(struct custodian *c)
{
    struct arena in = arena_of(ARENA_CAP), out = arena_of(ARENA_CAP);

    if (!c->first)
        return;
    AUTO_FREE struct request *r = take_first(c);
    serve_request(c, r, &in, &out);
    arena_free(&in);
    arena_free(&out);
    if (token_lost(c->token))
        c->draining = true;
}
