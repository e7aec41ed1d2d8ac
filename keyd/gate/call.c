/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/call.h"

#include <stdio.h>

#include "keyd/gate/conn.h"
#include "keyd/gate/load.h"
#include "keyd/process/log.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define ARENA_CAP      (4u << 20) /* a frame of 1 MiB, unpacked, with its copy */
#define ARENA_BLOCK    2048       /* kept by the record when it is free, see arena.h */
#define LINES_A_SECOND 50

/* ---- slots
 *
 * A handle is the slot's number and, above it, how often the slot was used: an answer that comes
 * too late finds nobody. Free records are a list through `next`. */

static uint32_t slot_of(uint64_t handle)
{
    return (uint32_t)handle;
}

static bool add_slot(struct gate *g)
{
    struct call **calls = mem_resize(g->calls, g->call_slots + 1, sizeof(struct call *));

    if (!calls)
        return false;
    g->calls = calls;
    struct call *call = mem_new(sizeof(*call));
    if (!call)
        return false;
    call->arena = arena_of(ARENA_CAP);
    call->handle = g->call_slots;
    g->calls[g->call_slots++] = call;
    return true;
}

/* Free records stand in a chain through `next`; free_slot is the first one's number plus one. */
static struct call *take_free(struct gate *g)
{
    if (g->free_slot == 0) {
        if (!add_slot(g))
            return NULL;
        return g->calls[g->call_slots - 1];
    }
    struct call *call = g->calls[g->free_slot - 1];
    g->free_slot = call->next ? slot_of(call->next->handle) + 1 : 0;
    return call;
}

struct call *call_new(struct gate *g, struct conn *conn)
{
    struct call *call = take_free(g);

    if (!call)
        return NULL;
    struct arena arena = call->arena;
    *call = (struct call){.handle = call->handle + (1ull << 32),
                          .conn = conn,
                          .line = conn_line(conn),
                          .arena = arena,
                          .received = clock_us()};
    g->open_calls++;
    conn_call_begins(conn);
    return call;
}

struct call *call_find(const struct gate *g, uint64_t handle)
{
    uint32_t slot = slot_of(handle);

    if (slot >= g->call_slots || g->calls[slot]->handle != handle)
        return NULL;
    return g->calls[slot]->request ? g->calls[slot] : NULL;
}

static void leave_conn(struct gate *g, struct call *call)
{
    if (call->conn)
        conn_call_ends(g, call->conn);
    call->conn = NULL;
}

bool call_charge(struct gate *g, struct call *call, struct err *err)
{
    size_t size = sizeof(*call) + ARENA_BLOCK + call->arena.used;

    if (g->call_bytes + size > memory_half(g)) {
        err_set(err, ERR_BUSY, "keyd's memory for requests is used up");
        err_hint(err, "raise [limits] buffers-mib");
        return err_retry(err, 1000);
    }
    call->charged = size;
    g->call_bytes += size;
    return true;
}

void call_free(struct gate *g, struct call *call)
{
    call_take_out(call);
    load_call_ends(call);
    g->call_bytes -= call->charged;
    call->charged = 0;
    leave_conn(g, call);
    arena_reset(&call->arena);
    call->request = NULL;
    call->next = g->free_slot ? g->calls[g->free_slot - 1] : NULL;
    g->free_slot = slot_of(call->handle) + 1;
    g->open_calls--;
}

/* ---- answers */

void call_answer(struct gate *g, struct call *call, envelope *answer)
{
    answer->id = call->id;
    if (call->conn)
        conn_send(g, call->conn, answer);
    call_free(g, call);
}

void call_answer_packed(struct gate *g, struct call *call, const uint8_t *packed, size_t len)
{
    if (call->conn)
        conn_send_packed(g, call->conn, packed, len);
    call_free(g, call);
}

static void count(struct gate *g, const struct call *call, enum err_code code)
{
    if (call->request && call->request->body_case == KEYD__V1__ENVELOPE__BODY_SIGN)
        refusal_add_sign(&g->refusals, code);
    if (code == ERR_BUSY || code == ERR_DEADLINE)
        g->counters.busy_total++;
    else
        g->counters.refused_total++;
}

bool call_may_log(struct gate *g)
{
    uint64_t now = clock_us();

    if (now / 1000000 != g->log_second) {
        if (g->log_left_out)
            log_line(LOG_LEVEL_WARNING, "%u more failures in that second, not listed",
                     g->log_left_out);
        g->log_second = now / 1000000;
        g->log_lines = g->log_left_out = 0;
    }
    if (g->log_lines >= LINES_A_SECOND) {
        g->log_left_out++;
        return false;
    }
    g->log_lines++;
    return true;
}

static void log_failure(struct gate *g, const struct call *call, const struct err *err)
{
    char line[600], key[2 * 8 + 6] = "";

    if (!call_may_log(g))
        return;
    if (call->key) {
        snprintf(key, sizeof(key), " key=");
        hex_encode(call->key->id, 8, key + 5);
    }
    log_line(err_class(err->code) == ERR_CLASS_FAULT ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
             "%s failed: request=%llu principal=%s%s after %llu us: %s",
             call->verb ? call->verb->name : "a request", (unsigned long long)call->id,
             principal_text(&call->line->who), key,
             (unsigned long long)(clock_us() - call->received), log_err(err, line, sizeof(line)));
}

static void send_error(struct gate *g, struct call *call, const struct err *err)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Error error;

    frame_error_of(err, &error);
    answer.id = call->id;
    answer.body_case = KEYD__V1__ENVELOPE__BODY_ERROR;
    answer.error = &error;
    if (call->conn)
        conn_send(g, call->conn, &answer);
}

void call_fail(struct gate *g, struct call *call, const struct err *err)
{
    log_failure(g, call, err);
    call_refuse(g, call, err);
}

void call_refuse(struct gate *g, struct call *call, const struct err *err)
{
    count(g, call, err->code);
    send_error(g, call, err);
    call_free(g, call);
}

void call_cut(struct gate *g, struct call *call, const struct err *err)
{
    count(g, call, err->code);
    log_failure(g, call, err);
    send_error(g, call, err);
    leave_conn(g, call);
}

void call_expire(struct gate *g, struct call *call)
{
    struct err err;

    err_set(&err, ERR_DEADLINE, "no answer within the deadline of %llu ms",
            (unsigned long long)(call->deadline - call->received) / 1000);
    if (g->self == PROC_GATE_SIGNING)
        err_hint(&err, "keydctl status shows what the signers do");
    else
        err_hint(&err, call->list ? "a change may still happen: look before you repeat it"
                                  : "it was not begun: the custodian is away or busy");
    call_cut(g, call, &err);
}

/* ---- lists */

void call_append(struct call_list *list, struct call *call)
{
    call->list = list;
    call->prev = list->last;
    call->next = NULL;
    if (list->last)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
    list->count++;
}

void call_prepend(struct call_list *list, struct call *call)
{
    call->list = list;
    call->prev = NULL;
    call->next = list->first;
    if (list->first)
        list->first->prev = call;
    else
        list->last = call;
    list->first = call;
    list->count++;
}

void call_take_out(struct call *call)
{
    struct call_list *list = call->list;

    if (!list)
        return;
    if (call->prev)
        call->prev->next = call->next;
    else
        list->first = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        list->last = call->prev;
    call->prev = call->next = NULL;
    call->list = NULL;
    list->count--;
}
