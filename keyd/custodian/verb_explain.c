/* SPDX-License-Identifier: Apache-2.0
 *
 * explain: the gate has judged what it knows (gate/explain.c). What is left is what a certificate
 * request asks for: the names that a key is held to stand in the registry alone.
 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/policy/tbs_csr.h"

static bool set_step(const struct ask *ask, Keyd__V1__ExplainStep *s, bool passes, const char *why,
                     struct err *err)
{
    keyd__v1__explain_step__init(s);
    s->what = (char *)"names";
    s->passes = passes;
    return ask_text(ask, why, &s->why, err);
}

/* *ret stays NULL where the bytes are no certificate request of this key. */
static bool judge_names(const struct ask *ask, const struct registry_key *key,
                        Keyd__V1__ExplainStep **ret, struct err *err)
{
    const ProtobufCBinaryData *m = &ask->e->explain->message;
    const struct tbs_names any = {0};
    struct allowed_names allowed;
    struct err why;

    if (!tbs_csr(m->data, m->len, key->spki, key->spki_len, &any, &why))
        return true;
    TRY(allowed_names_of(key->allowed_names, &allowed, err));
    TRY(*ret = ask_alloc(ask, sizeof(**ret), err));
    if (!tbs_csr(m->data, m->len, key->spki, key->spki_len, &allowed.names, &why))
        return set_step(ask, *ret, false, why.text, err);
    return set_step(ask, *ret, true,
                    allowed.names.count ? "all of them are among those that the key may ask for"
                                        : "the key may ask for any",
                    err);
}

bool verb_explain(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    const Keyd__V1__Explain *request = ask->e->explain;
    Keyd__V1__ExplainReply *reply = ask_alloc(ask, sizeof(*reply), err);
    Keyd__V1__ExplainStep *names = NULL;
    struct registry_key key;

    TRY(reply);
    keyd__v1__explain_reply__init(reply);
    TRY(scope_key(c, ask, request->key, &key, err));
    TRY(judge_names(ask, &key, &names, err));
    TRY(reply->steps = ask_alloc(ask, (request->n_judged + 1) * sizeof(*reply->steps), err));
    reply->signs = true;
    for (size_t i = 0; i < request->n_judged; i++)
        reply->steps[reply->n_steps++] = request->judged[i];
    if (names)
        reply->steps[reply->n_steps++] = names;
    for (size_t i = 0; i < reply->n_steps; i++)
        reply->signs = reply->signs && reply->steps[i]->passes;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_EXPLAIN_REPLY;
    ret->explain_reply = reply;
    return true;
}
