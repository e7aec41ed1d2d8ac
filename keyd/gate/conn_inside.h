/* SPDX-License-Identifier: Apache-2.0
 *
 * conn_inside: what conn.c (bytes, coming and going) and conn_who.c (who it is, and whether he
 * still may) share of a connection; nobody else looks inside.
 */
#ifndef KEYD_GATE_CONN_INSIDE_H
#define KEYD_GATE_CONN_INSIDE_H

#include "keyd/gate/conn.h"
#include "keyd/gate/stream.h"
#include "keyd/gate/who.h"
#include "proto/base/buf.h"

struct conn {
    struct gate *gate;
    struct door *door;
    struct stream stream;
    struct line *line;
    struct identity identity;
    char proof[PROOF_MAX]; /* how it showed who it is */
    struct event *readable, *writable;
    struct event *closed; /* while it is not read: nobody signs for who is gone */
    struct buf in, out;
    size_t accounted; /* what of its buffers stands in gate->buffered */
    uint32_t open_calls;
    uint64_t due; /* when what we wait for must have come, see set_reading; 0: no hurry */
    bool greeted, reading;
    bool timed;  /* `readable` has a time limit */
    bool losing; /* closes when `out` is empty */
    bool dead;   /* closes at the next flush */
    bool dirty;
    bool stranger; /* among gate->strangers */
    struct conn *next, *prev, *next_dirty;
    struct conn *older, *younger; /* of the strangers */
};

/* Counts a refusal under its reason, and says in the log who it was. */
void conn_note(struct gate *g, const struct conn *c, enum refusal reason, const char *why);

/* It has said who it is, or is gone: it makes way for nobody any more. */
void conn_no_stranger(struct gate *g, struct conn *c);

/* Nobody waits for its calls any more: those at a server end there, those in the queue go. */
void conn_abandon_calls(struct gate *g, struct conn *c);

#endif
