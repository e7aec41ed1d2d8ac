/* SPDX-License-Identifier: Apache-2.0
 *
 * config-test: what a frontend could do now. Everything is in this gate's memory: rules, grants,
 * keys.
 */
#include <stdlib.h>
#include <string.h>

#include "keyd/gate/answers.h"
#include "keyd/gate/call.h"
#include "keyd/gate/who.h"
#include "proto/base/mem.h"

#define KEYS_MAX    1000
#define MISSING_MAX 16

struct test {
    struct answering a;
    struct arena *arena;
    Keyd__V1__ConfigTestReply reply;
    Keyd__V1__GrantedKey *keys[KEYS_MAX];
    char *missing[MISSING_MAX];
    bool serves; /* there is a key that can finish a handshake */
    bool poor;   /* no memory */
};

static void miss(struct test *t, char *text)
{
    t->poor = t->poor || !text;
    if (text && t->reply.n_missing < MISSING_MAX)
        t->missing[t->reply.n_missing++] = text;
}

/* What keeps one granted key from serving. */
static void judge_key(struct test *t, const struct table_key *key, uint32_t purposes)
{
    static const char *const words[] = {"", "", "the token does not show it", "it is disabled",
                                        "it was destroyed"};
    char names[128];

    if (key->state != KEY_ENABLED)
        miss(t, arena_printf(t->arena, "%s/%s: %s", key->tenant, key->name,
                             (size_t)key->state < sizeof(words) / sizeof(*words)
                                 ? words[key->state]
                                 : "its state is unknown"));
    else if (!(purposes & (PURPOSE_TLS13_SERVER | PURPOSE_TLS12_SERVER)))
        miss(t,
             arena_printf(t->arena, "%s/%s: it can sign %s, which serves no handshake", key->tenant,
                          key->name, purposes_text(purposes, names, sizeof(names))));
    else
        t->serves = true;
}

static void add_key(struct test *t, const struct table_key *key, uint32_t granted)
{
    uint32_t purposes = granted & key->purposes & role_purposes(t->a.as.who.role);
    Keyd__V1__GrantedKey *k;

    judge_key(t, key, purposes);
    t->reply.keys_total++;
    if (t->reply.n_keys == KEYS_MAX)
        return;
    k = arena_alloc(t->arena, sizeof(*k));
    if (!k) {
        t->poor = true;
        return;
    }
    keyd__v1__granted_key__init(k);
    k->key = arena_printf(t->arena, "%s/%s", key->tenant, key->name);
    k->type = (Keyd__V1__KeyType)key->type;
    k->state = (Keyd__V1__KeyState)key->state;
    k->purposes = purposes;
    t->poor = t->poor || !k->key;
    if (k->key)
        t->keys[t->reply.n_keys++] = k;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(Keyd__V1__GrantedKey *const *)a)->key,
                  (*(Keyd__V1__GrantedKey *const *)b)->key);
}

static void look(struct test *t)
{
    const struct gate *g = t->a.g;
    const struct principal *who = &t->a.as.who;

    if (who->role != ROLE_FRONTEND)
        miss(t, arena_printf(t->arena, "%s has the role %s: only frontends finish handshakes",
                             who->name, role_name(who->role)));
    for (size_t i = 0; i < g->table.slot_count; i++) {
        const struct table_key *key = table_at(&g->table, i);
        uint32_t granted = key ? who_granted(g, &t->a.as, key) : 0;

        if (granted)
            add_key(t, key, granted);
    }
    if (t->reply.keys_total == 0)
        miss(t, arena_printf(t->arena,
                             "no key is granted to it: keydctl grants-add --principal %s --key KEY",
                             who->name));
    else if (!t->serves)
        miss(t, arena_printf(t->arena, "none of its keys can finish a handshake now"));
    qsort(t->keys, t->reply.n_keys, sizeof(*t->keys), by_name);
}

static bool run(struct test *t, struct call *call, struct err *err)
{
    TRY(answering_as(&t->a, call->request->config_test->principal, err));
    look(t);
    return !t->poor || err_set(err, ERR_TOO_LARGE, "no memory for the answer");
}

static void answer(struct test *t, struct gate *g, struct call *call)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Principal who = answering_principal(&t->a);

    t->reply.principal = &who;
    t->reply.keys = t->keys;
    t->reply.missing = t->missing;
    e.body_case = KEYD__V1__ENVELOPE__BODY_CONFIG_TEST_REPLY;
    e.config_test_reply = &t->reply;
    call_answer(g, call, &e);
}

void serve_config_test(struct gate *g, struct call *call)
{
    AUTO_FREE struct test *t = mem_new(sizeof(*t));
    struct err err;

    if (!t) {
        err_set(&err, ERR_BUSY, "no memory for the answer");
        call_fail(g, call, &err);
        return;
    }
    t->a = (struct answering){.g = g, .call = call};
    t->arena = &call->arena;
    keyd__v1__config_test_reply__init(&t->reply);
    if (run(t, call, &err))
        answer(t, g, call);
    else
        call_fail(g, call, &err);
    answering_done(&t->a);
}
