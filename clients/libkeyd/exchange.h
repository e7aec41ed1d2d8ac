/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange: requests and answers on one connection, from the hello on. Requests are pipelined as
 * far as keyd's HelloReply allows, answers are taken in any order. The socket never blocks: one
 * poll(2) waits for both directions, so a keyd that stops reading cannot hold us in a write.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_EXCHANGE_H
#define KEYD_CLIENTS_LIBKEYD_EXCHANGE_H

#include "clients/libkeyd/pool.h"
#include "proto/base/arena.h"
#include "proto/frame.h"

#define ANSWER_ARENA_CAP (32u << 20) /* of one decoded answer: its frame is at most 1 MiB */

enum call_state {
    CALL_WAITING,   /* to be sent */
    CALL_IN_FLIGHT, /* sent, or in the buffer of this exchange */
    CALL_HELD,      /* keyd said when to try again */
    CALL_FINISHED,
};

struct call {
    envelope request; /* its body; id and deadline are set when it is sent */
    Keyd__V1__Envelope__BodyCase want;
    enum call_state state;
    enum err_code code; /* when finished; ERR_NONE: answered as wanted */
};

/* How much a repeated call can harm, and how long keyd may be away. */
enum job_kind {
    JOB_SIGNING, /* repeated; waits until its deadline for a keyd that restarts */
    JOB_READING, /* repeated; a person waits, so a keyd that is away is soon reported */
    JOB_CHANGE,  /* never sent twice */
};

/* Calls that share a deadline. */
struct job {
    struct call *calls;
    size_t count;
    enum job_kind kind;
    uint64_t deadline;  /* as clock_us */
    struct arena arena; /* holds the last answer */
    /* Takes an answer of the wanted kind. False with err: the call failed all the same. */
    bool (*answered)(struct job *job, size_t i, const envelope *reply, struct err *err);
    void *user;

    size_t first_failed; /* the failed call with the lowest index... */
    struct err err;      /* ...and why */
    struct err held;     /* what keyd said of a held call */
    uint32_t hold_ms;    /* the longest wait that keyd asked for */
    bool sent;           /* a whole request of the last exchange went out */
};

enum exchange_end {
    EXCHANGE_OPEN,      /* not ended yet: seen inside exchange.c alone */
    EXCHANGE_DONE,      /* every call is finished or held */
    EXCHANGE_UNREACHED, /* there is no connection */
    EXCHANGE_BROKEN,    /* the connection ended; unanswered calls wait again */
    EXCHANGE_LATE,      /* the deadline passed */
    EXCHANGE_OVER,      /* keyd refused us, or what came is no protocol: repeating won't help */
};

/* Ends a call; err is NULL for one that was answered as wanted. */
void job_finish(struct job *job, size_t i, const struct err *err);

/* Sends the waiting calls of the job over a connected connection and takes the answers. `name`
 * introduces the program to keyd, and `token` (empty: none) whoever it speaks for. A connection
 * that may not be used again is disconnected. err is set for all ends but EXCHANGE_DONE. */
enum exchange_end exchange_run(struct conn *conn, const char *name, const char *token,
                               struct job *job, struct err *err);

#endif
