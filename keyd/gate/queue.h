/* SPDX-License-Identifier: Apache-2.0
 *
 * queue: calls that wait for a signer or the custodian: first in first out for each principal, and
 * the principals in turn, by the work that their calls are: one that floods delays itself, and slow
 * signatures do not starve who asks for fast ones (deficit round robin, Shreedhar and Varghese
 * 1995).
 */
#ifndef KEYD_GATE_QUEUE_H
#define KEYD_GATE_QUEUE_H

#include "keyd/gate/state.h"

/* Whoever has less work than this here and at the servers has little; and as much may go ahead of
 * others at once. */
#define QUEUE_LITTLE_US 500

/* The line of a principal, who is told by role, name, tenant and group; made if there is none yet
 * (NULL without memory). */
struct line *queue_line(struct queue *q, const struct principal *who);

/* Puts a call at the end of its principal's line. */
void queue_push(struct queue *q, struct call *call);

/* Whether several principals had more than a little in hand in the last ten seconds. */
bool queue_crowded(const struct queue *q, uint64_t now);

/* Puts a call back at the head of its principal's line: its server died. */
void queue_push_back(struct queue *q, struct call *call);

/* Whether a call of this connection waits in the line of p. */
bool queue_has_of(const struct line *p, const struct conn *conn);

/* Takes a call that is urgent, of one principal the first first; NULL when none waits. */
struct call *queue_pop_urgent(struct queue *q);

/* The next call, which stays in its line; NULL when none waits. */
struct call *queue_next(struct queue *q);

/* The call is handed to a server, or back from it: its work counts as its principal's there. */
void queue_at_server(struct queue *q, struct call *call);
/* See queue_at_server. */
void queue_from_server(struct queue *q, struct call *call);

/* Whether a call of the principal may overtake others': he has little at the servers, and has not
 * used up his part. Three quarters of what so many servers do are for calls that go ahead, in equal
 * parts for all who have calls: so nobody's few wait for the flood of another, and no number of
 * them starves him. What is left of a part is kept, up to QUEUE_LITTLE_US; queue_went_ahead takes
 * from it. */
bool queue_may_go_ahead(const struct queue *q, struct line *p, uint32_t servers, uint64_t now);
/* See queue_may_go_ahead. */
void queue_went_ahead(const struct call *call);

/* The first call of a principal who may go ahead, whosever turn it is; it stays in its line. NULL
 * when there is none. */
struct call *queue_next_ahead(const struct queue *q, uint32_t servers, uint64_t now);

/* Takes the next call; NULL when none waits. */
struct call *queue_pop(struct queue *q);

/* Takes one particular call out, to be answered by the caller. */
void queue_remove(struct queue *q, struct call *call);

/* Microseconds of work that will be done before a call of this cost which the principal would add
 * now: of another's line only as much as comes up in turn. */
uint64_t queue_work_before(const struct queue *q, const struct line *p, uint32_t cost_us);

/* Whether the principal must wait until there is room. A full queue (`limit` calls) still takes a
 * principal with less than its share, limit by those connected: the flood of one locks nobody out.
 */
bool queue_full(const struct queue *q, const struct line *p, uint32_t limit);

#endif
