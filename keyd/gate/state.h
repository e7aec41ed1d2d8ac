/* SPDX-License-Identifier: Apache-2.0
 *
 * What a gate holds in memory. A call has exactly one owner at each moment: the queue, a link, or
 * the list of calls that wait for a status; its answer frees it.
 */
#ifndef KEYD_GATE_STATE_H
#define KEYD_GATE_STATE_H

#include <event2/event.h>

#include "keyd/gate/refusals.h"
#include "keyd/policy/principal.h"
#include "keyd/process/access.h"
#include "keyd/process/msg.h"
#include "keyd/process/table.h"
#include "proto/frame.h"
#include "proto/scheme.h"

#define LINKS_MAX 64

struct conn;
struct line;
struct tls;

struct call_list {
    struct call *first, *last;
    size_t count;
};

struct call {
    uint64_t handle;   /* by which other processes name it */
    uint64_t id;       /* by which its client names it */
    struct conn *conn; /* NULL: the client is gone or has its answer */
    struct line *line;
    struct arena arena;
    envelope *request;  /* in the arena */
    const uint8_t *raw; /* the packed Envelope, for the custodian; in the arena */
    size_t raw_len;
    const struct verb *verb;
    enum scope scope;            /* on what its principal may call that */
    const struct table_key *key; /* Sign on keyd.sock */
    uint32_t purposes;           /* Sign on keyd.sock: for which the principal was granted it */
    bool counted;                /* in its principal's and its key's load */
    uint64_t received, deadline; /* moments of clock_us */
    uint32_t cost_us;            /* what its server will need, by experience */
    bool urgent;                 /* it takes away: it does not wait for its turn */
    bool ahead;                  /* its signer takes it first */
    uint32_t strikes;            /* servers that died or overstayed while they had it */
    size_t charged;              /* bytes of it that stand in gate->call_bytes */
    void *status;                /* status.c's; in the arena */
    uint32_t status_left;        /* answers that it waits for */
    struct call_list *list;      /* the list that it is in */
    struct call *prev, *next;
};

/* What somebody, or some key, has in hand; see load.h. */
struct load {
    uint64_t full_ns; /* the moment until which its rate is used up, on the clock of clock_us */
    uint32_t in_flight;
};

/* The queue: one first-in-first-out line for each principal, and a ring of those that have calls,
 * served in turn. */
struct line {
    struct principal who;
    struct load load;
    const struct access_grant **granted; /* who.c's: what he was granted, by hash... */
    size_t granted_slots;
    uint64_t granted_version; /* ...as of this version of gate->access: any other one is dangling */
    struct call_list waiting;
    uint64_t waiting_us;    /* what they will cost */
    uint64_t at_servers_us; /* and those that were handed over */
    bool busy;              /* it has calls, here or at a server */
    int64_t ahead_ns;       /* of work that may still go ahead; see queue_may_go_ahead */
    uint64_t ahead_at;      /* as of this moment of clock_us */
    uint64_t credit_us;     /* work that its turns have brought and it has not used yet */
    bool in_turn;           /* it got the credit of this turn */
    uint32_t connections;
    struct line *next;      /* all */
    struct line *ring_next; /* those with calls; NULL: not in the ring */
};

struct queue {
    struct line *lines;
    struct line *ring_last; /* its ring_next is served next */
    uint32_t turn_us;       /* the credit that a turn brings */
    size_t count;
    size_t urgent;              /* of them */
    uint32_t busy;              /* lines that have calls, here or at a server */
    const struct line *crowder; /* who asked last for more than a little */
    uint64_t crowded_until;     /* see queue_crowded */
};

/* The channel to a signer, or to the custodian. */
struct link {
    struct chan chan; /* fd -1: down */
    struct event *event;
    struct call_list calls; /* handed over, in order */
    uint64_t cost_us;       /* of them, */
    uint64_t ahead_us;      /* and of those that go ahead */
    uint64_t head_since;    /* since when the first of them is the first */
    bool overdue;           /* the parent was told */
    bool leaving;           /* it is about to be replaced, and gets nothing more */
};

struct limits {
    uint32_t connections, in_flight, queue, buffers_mib;
    uint32_t default_deadline_ms, max_deadline_ms;
    uint32_t signer_timeout_ms;
    uint32_t principal_rate, key_rate;           /* signatures a second; 0: no limit */
    uint32_t principal_in_flight, key_in_flight; /* 0: no limit */
};

/* The two ways in. Each has its own share of connections. */
enum door_kind { DOOR_UNIX, DOOR_TLS, DOORS };

struct door {
    enum door_kind kind;
    struct gate *gate;
    int fd; /* it listens; -1: there is none */
    struct event *event;
    bool paused; /* no descriptors; the tick tries again */
    uint32_t connections;
};

struct counters {
    uint64_t signed_total, refused_total, busy_total, retried_total;
};

struct gate {
    enum proc self;
    enum verb_socket socket;
    struct event_base *base;
    struct chan *parent;
    struct event *parent_event, *tick;
    bool ticking, draining;
    struct limits limits;
    struct door doors[DOORS];
    struct conn *conns, *dirty;
    struct conn *strangers, *strangers_last; /* over TLS, without a hello; the oldest first */
    uint32_t stranger_count, handshakes;     /* and how many there may be */
    struct tls *tls;                         /* NULL: not configured */
    struct event *second;                    /* runs while something of a connection can expire */
    struct refusals refusals;
    size_t buffered;      /* bytes of all connections' buffers: at most half of buffers-mib */
    size_t call_bytes;    /* and of calls that wait or are served: the other half */
    uint64_t files_told;  /* when the log was told so */
    uint64_t drain_until; /* for answers that are not read, once no call is open */
    struct table table;
    bool has_table;
    struct rule rules[RULES_MAX]; /* who is who */
    size_t rule_count;
    struct access access; /* grants and tokens */
    struct queue queue;
    struct link links[LINKS_MAX]; /* signing gate: by the signer's index; control gate: [0] */
    size_t link_count;
    struct chan custodian; /* signing gate: tells changes of the table */
    struct event *custodian_event;
    uint32_t cost_us[KEY_TYPE_COUNT]; /* of one signature, by experience */
    struct call_list status_calls;
    struct call **calls; /* by slot; see call.c */
    size_t call_slots, free_slot, open_calls;
    struct counters counters;
    uint64_t log_second;
    uint32_t log_lines, log_left_out;
};

/* Bytes for all connections' buffers, and as many for all calls. */
static inline size_t memory_half(const struct gate *g)
{
    return (size_t)g->limits.buffers_mib << 19;
}

#endif
