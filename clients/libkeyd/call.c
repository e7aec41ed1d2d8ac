/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"

#include <poll.h>
#include <string.h>

#include "proto/base/clock.h"

#define PAUSE_FIRST_MS 5
#define PAUSE_MOST_MS  100
#define PATIENCE_US    1000000 /* how long a call that is no signature waits for keyd to be there */

_Static_assert(sizeof(((struct keyd_error *)0)->message) == sizeof(((struct err *)0)->text) &&
                   sizeof(((struct keyd_error *)0)->hint) == sizeof(((struct err *)0)->hint),
               "an error fits");
_Static_assert((int)KEYD_BAD_REQUEST == (int)ERR_BAD_REQUEST &&
                   (int)KEYD_TOO_LARGE == (int)ERR_TOO_LARGE && (int)KEYD_BUSY == (int)ERR_BUSY &&
                   (int)KEYD_UNAVAILABLE == (int)ERR_UNAVAILABLE &&
                   (int)KEYD_STORAGE == (int)ERR_STORAGE,
               "the codes are the wire's");

struct tries {
    uint64_t begun;
    uint32_t pause; /* ms before the next try of this kind */
    bool was_idle;  /* the last connection had been waiting in the pool */
};

uint64_t call_deadline(const struct keyd_client *client)
{
    return clock_us() + (uint64_t)client->deadline_ms * 1000;
}

static enum exchange_end attempt(struct keyd_client *client, struct job *job, struct tries *tries,
                                 struct err *err)
{
    struct conn *conn;
    enum exchange_end end = EXCHANGE_UNREACHED;

    job->sent = false;
    tries->was_idle = false;
    if (!pool_take(&client->pools, &conn, err))
        return EXCHANGE_OVER;
    tries->was_idle = atomic_load(&conn->fd) >= 0;
    if (tries->was_idle ||
        pool_connect(conn, &client->endpoint, client->remote, job->deadline, err)) {
        atomic_store(&client->away, false);
        end = exchange_run(conn, client->name, client->token, job, err);
    } else if (err->code == ERR_DENIED) {
        end = EXCHANGE_OVER; /* another try would meet the same certificate */
    }
    pool_give(conn);
    return end;
}

static bool may_repeat(const struct keyd_client *client, const struct job *job,
                       const struct tries *tries, enum exchange_end end)
{
    if (end == EXCHANGE_UNREACHED && atomic_load(&client->away))
        return false;
    if (end == EXCHANGE_UNREACHED)
        return job->kind == JOB_SIGNING || clock_us() - tries->begun < PATIENCE_US;
    return end == EXCHANGE_BROKEN && (job->kind != JOB_CHANGE || !job->sent);
}

/* How long to wait now; grows from try to try. keyd may have closed an idle connection at any time:
 * that is no sign of trouble, and the next try is made at once. */
static uint32_t next_pause(struct tries *tries, enum exchange_end end)
{
    if (end == EXCHANGE_BROKEN && tries->was_idle)
        return 0;
    uint32_t now = tries->pause;
    tries->pause = 2 * now < PAUSE_MOST_MS ? 2 * now : PAUSE_MOST_MS;
    return now;
}

static bool pause_ms(const struct job *job, uint32_t ms)
{
    if (clock_us() + (uint64_t)ms * 1000 >= job->deadline)
        return false;
    if (ms > 0)
        (void)poll(NULL, 0, (int)ms);
    return true;
}

static bool holds_any(const struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        if (job->calls[i].state == CALL_HELD)
            return true;
    return false;
}

/* Lets the held calls go on after the wait that keyd asked for, if that is in time. */
static bool release_held(struct job *job)
{
    uint32_t ms = job->hold_ms;

    job->hold_ms = 0;
    if (!pause_ms(job, ms))
        return false;
    for (size_t i = 0; i < job->count; i++)
        if (job->calls[i].state == CALL_HELD)
            job->calls[i].state = CALL_WAITING;
    return true;
}

static void fail_rest(struct job *job, enum exchange_end end, struct err *why)
{
    if (job->kind == JOB_CHANGE && job->sent && end != EXCHANGE_OVER)
        err_hint(why, "it may have been done all the same: look before you repeat");
    for (size_t i = 0; i < job->count; i++)
        if (job->calls[i].state != CALL_FINISHED)
            job_finish(job, i, why);
}

bool call_run(struct keyd_client *client, struct job *job, struct err *err)
{
    struct tries tries = {.begun = clock_us(), .pause = PAUSE_FIRST_MS};
    struct err why = {0}, said = {0};
    bool going_on = true;

    job->first_failed = job->count;
    while (going_on) {
        enum exchange_end end = attempt(client, job, &tries, &why);

        if (end == EXCHANGE_DONE && !holds_any(job))
            break;
        if (end == EXCHANGE_DONE)
            why = job->held;
        if (end == EXCHANGE_DONE || end == EXCHANGE_BROKEN)
            said = why;
        else if (end == EXCHANGE_LATE && said.code != ERR_NONE)
            why = said; /* what keyd said before tells more than that the last try was too short */
        if (end == EXCHANGE_DONE) {
            going_on = release_held(job);
        } else {
            going_on =
                may_repeat(client, job, &tries, end) && pause_ms(job, next_pause(&tries, end));
        }
        if (!going_on && end == EXCHANGE_UNREACHED && job->kind == JOB_SIGNING)
            atomic_store(&client->away, true);
        if (!going_on)
            fail_rest(job, end, &why);
    }
    if (job->first_failed < job->count) {
        *err = job->err;
        return false;
    }
    return true;
}

struct one {
    const envelope *reply;
};

static bool keep_answer(struct job *job, size_t i, const envelope *reply, struct err *err)
{
    struct one *one = job->user;

    (void)i;
    (void)err;
    one->reply = reply;
    return true;
}

bool call_one(struct keyd_client *client, enum job_kind kind, uint64_t deadline,
              const envelope *request, Keyd__V1__Envelope__BodyCase want, struct arena *a,
              const envelope **ret, struct err *err)
{
    struct one one = {0};
    struct call call = {.request = *request, .want = want};
    struct job job = {.calls = &call,
                      .count = 1,
                      .kind = kind,
                      .deadline = deadline,
                      .arena = *a,
                      .answered = keep_answer,
                      .user = &one};
    bool ok = call_run(client, &job, err);

    *a = job.arena;
    if (ok)
        *ret = one.reply;
    return ok;
}

int call_result(bool ok, const struct err *err, struct keyd_error *error)
{
    if (ok)
        return KEYD_OK;
    if (error) {
        *error = (struct keyd_error){.code = (int)err->code, .retry_after_ms = err->retry_after_ms};
        memcpy(error->message, err->text, sizeof(error->message));
        memcpy(error->hint, err->hint, sizeof(error->hint));
    }
    return (int)err->code;
}
