/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "clients/libkeyd/call.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"
#include "proto/token.h"

#define DEFAULT_SOCKET      "/run/keyd/frontend/keyd.sock"
#define DEFAULT_DEADLINE_MS 2000

static bool set_endpoint(struct keyd_client *c, const struct keyd_options *o, struct err *err)
{
    const struct remote_files files = {.certificate = o->certificate, .key = o->key, .ca = o->ca};
    const char *at = o->endpoint ? o->endpoint : DEFAULT_SOCKET;

    if (strncmp(at, "tls:", 4) == 0)
        return remote_new(&c->remote, at + 4, &files, err);
    if (strncmp(at, "unix:", 5) == 0)
        at += 5;
    return endpoint_init(&c->endpoint, at, err);
}

static bool copy_token(struct keyd_client *c, const char *text, size_t len, struct err *err)
{
    uint8_t hash[API_TOKEN_HASH_LEN];

    if (len > CLIENT_TOKEN_MAX || memchr(text, 0, len))
        return err_set(err, ERR_BAD_REQUEST, "an API token has at most %d bytes", CLIENT_TOKEN_MAX);
    memcpy(c->token, text, len);
    if (api_token_hash(c->token, hash))
        return true;
    err_set(err, ERR_BAD_REQUEST, "what was given as API token is none");
    return err_hint(err, "it begins with keyd_, as keydctl tokens-create has shown it");
}

static bool set_token(struct keyd_client *c, const struct keyd_options *o, struct err *err)
{
    struct secret file CLEANUP(secret_free) = {0};

    if (o->token && *o->token)
        return copy_token(c, o->token, strlen(o->token), err);
    if (!o->token_file)
        return true;
    TRY(secret_read_file(&file, o->token_file, CLIENT_TOKEN_MAX, err));
    return copy_token(c, (const char *)file.bytes, file.len, err) ||
           err_prefix(err, "%s", o->token_file);
}

static bool client_open(struct keyd_client **ret, const struct keyd_options *o, struct err *err)
{
    struct keyd_client *c = mem_new(sizeof(*c));

    if (!c)
        return err_set(err, ERR_INTERNAL, "no memory for a client");
    if (!set_endpoint(c, o, err) || !set_token(c, o, err)) {
        keyd_client_free(c);
        return false;
    }
    c->deadline_ms = o->deadline_ms ? o->deadline_ms : DEFAULT_DEADLINE_MS;
    snprintf(c->name, sizeof(c->name), "%s", o->name ? o->name : "");
    *ret = c;
    return true;
}

int keyd_client_open(struct keyd_client **ret, const struct keyd_options *options,
                     struct keyd_error *error)
{
    struct err err = {0};

    return call_result(client_open(ret, options, &err), &err, error);
}

int keyd_client_new(struct keyd_client **ret, const char *path, uint32_t deadline_ms,
                    const char *name, struct keyd_error *error)
{
    const struct keyd_options options = {
        .endpoint = path, .deadline_ms = deadline_ms, .name = name};

    return keyd_client_open(ret, &options, error);
}

void keyd_client_free(struct keyd_client *client)
{
    if (!client)
        return;
    pools_done(&client->pools);
    endpoint_done(&client->endpoint);
    remote_done(client->remote);
    secret_wipe(client->token, sizeof(client->token));
    mem_free(client);
}

void keyd_free(void *p)
{
    mem_free(p);
}

static bool ping(struct keyd_client *client, struct arena *a, struct err *err)
{
    Keyd__V1__Ping body = KEYD__V1__PING__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_PING;
    request.ping = &body;
    return call_one(client, JOB_SIGNING, call_deadline(client), &request,
                    KEYD__V1__ENVELOPE__BODY_PING_REPLY, a, &reply, err);
}

int keyd_ping(struct keyd_client *client, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct err err = {0};

    return call_result(ping(client, &a, &err), &err, error);
}
