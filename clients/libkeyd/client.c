/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "clients/libkeyd/call.h"
#include "proto/base/mem.h"

#define DEFAULT_SOCKET      "/run/keyd/frontend/keyd.sock"
#define DEFAULT_DEADLINE_MS 2000

static bool client_new(struct keyd_client **ret, const char *path, uint32_t deadline_ms,
                       const char *name, struct err *err)
{
    struct keyd_client *c = mem_new(sizeof(*c));

    if (!c)
        return err_set(err, ERR_INTERNAL, "no memory for a client");
    if (!endpoint_init(&c->endpoint, path ? path : DEFAULT_SOCKET, err)) {
        mem_free(c);
        return false;
    }
    c->deadline_ms = deadline_ms ? deadline_ms : DEFAULT_DEADLINE_MS;
    snprintf(c->name, sizeof(c->name), "%s", name ? name : "");
    *ret = c;
    return true;
}

int keyd_client_new(struct keyd_client **ret, const char *path, uint32_t deadline_ms,
                    const char *name, struct keyd_error *error)
{
    struct err err = {0};

    return call_result(client_new(ret, path, deadline_ms, name, &err), &err, error);
}

void keyd_client_free(struct keyd_client *client)
{
    if (!client)
        return;
    pools_done(&client->pools);
    endpoint_done(&client->endpoint);
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
