/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clients/libkeyd/call.h"
#include "proto/base/mem.h"

/* Gives out bytes of an answer; *len is the room at out and becomes their number. */
static bool give_bytes(const ProtobufCBinaryData *from, const char *what, uint8_t *out, size_t *len,
                       struct err *err)
{
    if (from->len == 0)
        return err_set(err, ERR_INTERNAL, "keyd's answer holds no %s", what);
    if (from->len > *len)
        return err_set(err, ERR_TOO_LARGE, "the %s has %zu bytes; the caller has room for %zu",
                       what, from->len, *len);
    memcpy(out, from->data, from->len);
    *len = from->len;
    return true;
}

static ProtobufCBinaryData borrow(const uint8_t *p, size_t n)
{
    return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)p};
}

static void sign_request(struct call *call, Keyd__V1__Sign *body,
                         const uint8_t key_id[KEYD_KEY_ID_LEN], uint16_t scheme,
                         const uint8_t *message, size_t message_len)
{
    keyd__v1__sign__init(body);
    body->key_id = borrow(key_id, KEYD_KEY_ID_LEN);
    body->scheme = scheme;
    body->message = borrow(message, message_len);
    keyd__v1__envelope__init(&call->request);
    call->request.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    call->request.sign = body;
    call->want = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
}

/* ---- one */

struct place {
    uint8_t *sig;
    size_t *len;
};

static bool one_answered(struct job *job, size_t i, const envelope *reply, struct err *err)
{
    struct place *place = job->user;

    (void)i;
    return give_bytes(&reply->sign_reply->signature, "signature", place->sig, place->len, err);
}

int keyd_sign(struct keyd_client *client, const uint8_t key_id[KEYD_KEY_ID_LEN], uint16_t scheme,
              const uint8_t *message, size_t message_len, uint8_t *sig, size_t *sig_len,
              struct keyd_error *error)
{
    struct place place = {.sig = sig, .len = sig_len};
    struct call call = {0};
    Keyd__V1__Sign body;
    struct job job = {.calls = &call,
                      .count = 1,
                      .kind = JOB_SIGNING,
                      .deadline = call_deadline(client),
                      .arena = arena_of(ANSWER_ARENA_CAP),
                      .answered = one_answered,
                      .user = &place};
    struct err err = {0};

    sign_request(&call, &body, key_id, scheme, message, message_len);
    bool ok = call_run(client, &job, &err);
    arena_free(&job.arena);
    return call_result(ok, &err, error);
}

/* ---- many */

static bool item_answered(struct job *job, size_t i, const envelope *reply, struct err *err)
{
    struct keyd_sign_item *item = (struct keyd_sign_item *)job->user + i;
    size_t len = sizeof(item->sig);

    TRY(give_bytes(&reply->sign_reply->signature, "signature", item->sig, &len, err));
    item->sig_len = len;
    return true;
}

static bool sign_batch(struct keyd_client *client, struct keyd_sign_item *items, size_t count,
                       struct err *err)
{
    struct call *calls AUTO_FREE = mem_array(count, sizeof(*calls));
    Keyd__V1__Sign *bodies AUTO_FREE = mem_array(count, sizeof(*bodies));
    struct job job = {.calls = calls,
                      .count = count,
                      .kind = JOB_SIGNING,
                      .deadline = call_deadline(client),
                      .arena = arena_of(ANSWER_ARENA_CAP),
                      .answered = item_answered,
                      .user = items};

    for (size_t i = 0; i < count; i++) {
        items[i].code = KEYD_INTERNAL;
        items[i].sig_len = 0;
    }
    if (!calls || !bodies)
        return err_set(err, ERR_INTERNAL, "no memory for %zu signatures", count);
    for (size_t i = 0; i < count; i++)
        sign_request(&calls[i], &bodies[i], items[i].key_id, items[i].scheme, items[i].message,
                     items[i].message_len);
    bool ok = call_run(client, &job, err);
    for (size_t i = 0; i < count; i++)
        items[i].code = (int)calls[i].code;
    arena_free(&job.arena);
    return ok;
}

int keyd_sign_batch(struct keyd_client *client, struct keyd_sign_item *items, size_t count,
                    struct keyd_error *error)
{
    struct err err = {0};

    if (count == 0)
        return KEYD_OK;
    return call_result(sign_batch(client, items, count, &err), &err, error);
}

/* ---- the public key */

static bool get_public_key(struct keyd_client *client, const uint8_t key_id[KEYD_KEY_ID_LEN],
                           struct arena *a, uint8_t *spki, size_t *spki_len, struct err *err)
{
    Keyd__V1__GetPublicKey body = KEYD__V1__GET_PUBLIC_KEY__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.key_id = borrow(key_id, KEYD_KEY_ID_LEN);
    request.body_case = KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY;
    request.get_public_key = &body;
    TRY(call_one(client, JOB_SIGNING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY_REPLY, a, &reply, err));
    return give_bytes(&reply->get_public_key_reply->spki, "public key", spki, spki_len, err);
}

int keyd_get_public_key(struct keyd_client *client, const uint8_t key_id[KEYD_KEY_ID_LEN],
                        uint8_t *spki, size_t *spki_len, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct err err = {0};

    return call_result(get_public_key(client, key_id, &a, spki, spki_len, &err), &err, error);
}
