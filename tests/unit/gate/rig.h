/* SPDX-License-Identifier: Apache-2.0
 *
 * A real gate in a process of its own, confined as in the daemon, with the test as its parent, its
 * signers or its custodian, and its clients. What a test must wait for it waits for by messages:
 * nothing here sleeps.
 */
#ifndef KEYD_TESTS_GATE_RIG_H
#define KEYD_TESTS_GATE_RIG_H

#include "tests/unit/test.h"

#include <sys/types.h>

#include "keyd/gate/state.h"

#define RIG_CLIENTS 320
#define RIG_SIGNERS 3

/* Keys of the table that every gate gets; an id is its number 32 times. */
enum { KEY_EC = 1, KEY_RSA = 2, KEY_GONE = 3, KEY_UNKNOWN = 9 };

struct client {
    int fd; /* -1: closed */
    struct buf in;
    struct arena arena; /* of the last envelope */
};

struct rig {
    pid_t pid; /* 0: ended, and waited for */
    char dir[64], path[96], log[96];
    struct chan parent, custodian, signers[RIG_SIGNERS]; /* our ends */
    struct client clients[RIG_CLIENTS];
    size_t client_count;
};

/* ---- the process */

/* For main(): if this is the gate's process, runs it and never returns. */
void rig_child(int argc, char **argv);

/* Limits that no test meets by accident. */
struct limits rig_limits(void);

/* A gate (PROC_GATE_SIGNING or PROC_GATE_CONTROL) that listens and is ready, without a table and
 * without servers. */
void rig_start(struct rig *r, enum proc which, const struct limits *limits);

/* As rig_start, with the table; a signing gate has signer 0, a control gate the custodian. */
void rig_up(struct rig *r, enum proc which, const struct limits *limits);

/* As rig_start, for a gate that may have so many descriptors. */
void rig_start_poor(struct rig *r, enum proc which, const struct limits *limits, unsigned files);

/* Drops clients and servers, drains; the gate must end with 0. For teardown: returns 0 or -1. */
int rig_down(struct rig *r);

/* Waits for the process to end; its exit code, or 128 + the signal. */
int rig_wait(struct rig *r);

/* How often the text stands in its log. */
size_t rig_logged(const struct rig *r, const char *part);

/* ---- as its parent */

/* MSG_TABLE with the keys above, and rig_grants. */
void rig_table(struct rig *r);

/* MSG_ACCESS: the frontend and rig_guest may use all keys of that table, for TLS. */
void rig_grants(struct rig *r);

/* MSG_ACCESS, with what the test has made. */
void rig_access(struct rig *r, const struct access *a);

/* MSG_RELOAD, with rules of the test; an id of 0 is whoever runs it. */
void rig_rules(struct rig *r, const struct rule *rules, size_t count);

/* An entry of that table. */
struct table_key rig_key(uint8_t number);

/* MSG_RELOAD. */
void rig_reload(struct rig *r, const struct limits *limits);

/* MSG_DRAIN. */
void rig_drain(struct rig *r);

/* MSG_PEER; an older channel of ours stays open and is the caller's if `old` is not NULL, else it
 * is closed. */
void rig_signer(struct rig *r, uint32_t index, uint32_t generation, struct chan *old);
/* See rig_signer. */
void rig_custodian(struct rig *r, uint32_t generation);

/* What was sent to it as its parent it has read when this returns. A control gate, which its parent
 * asks for nothing, gets a new custodian, who is confirmed what it says. */
void rig_settle(struct rig *r);

struct rig_stats {
    uint32_t waiting, at_servers, connections;
    uint64_t signed_total, refused_total, busy_total, retried_total;
};

/* Asks a signing gate for its figures: what was sent to it before as its parent, it has read. */
struct rig_stats rig_stats(struct rig *r);

/* Asks until so many calls wait and are at signers, and so many connections are open. */
void rig_until(struct rig *r, uint32_t waiting, uint32_t at_servers, uint32_t connections);

/* ---- as its servers */

/* Ends the message that was put, and sends it whole. */
void rig_send(struct chan *c);

/* Waits up to 20 s for the next message on one of our channels; it must be of this type. */
struct msg rig_expect(struct chan *c, enum msg_type type);

/* Whether nothing is there to be read, after the gate answered a ping. */
bool rig_quiet(struct rig *r, struct chan *c);

/* Whether the channel ends within 20 s. */
bool rig_eof(struct chan *c);

struct rig_ask { /* MSG_SIGN, MSG_SIGN_AHEAD */
    bool ahead;
    uint64_t call;
    uint8_t key; /* its number */
    uint32_t purposes, scheme;
    size_t len;
    char text[128]; /* the message, cut */
};

/* Waits for the next call. */
struct rig_ask rig_asked(struct chan *signer);

/* MSG_SIGNED: the signature is the message's text. */
void rig_signs(struct chan *signer, const struct rig_ask *ask, uint32_t us);

/* MSG_UNSIGNED. */
void rig_refuses(struct chan *signer, const struct rig_ask *ask, enum err_code code);

struct rig_request { /* MSG_REQUEST */
    uint64_t call;
    char name[NAME_MAX_LEN + 1], tenant[NAME_MAX_LEN + 1];
    uint32_t role, deadline_ms;
    envelope *e; /* in a static arena, until the next one */
};

/* Waits for the next MSG_REQUEST. */
struct rig_request rig_requested(struct rig *r);

/* MSG_ANSWER: a TenantsAddReply with that name. */
void rig_answers(struct rig *r, const struct rig_request *q, const char *tenant);

/* ---- as its clients */

/* Connects; says nothing. */
struct client *rig_connect(struct rig *r);

/* Connects and says hello. */
struct client *rig_client(struct rig *r);

/* Connects and says hello with an API token: somebody else, the frontend "guest". */
struct client *rig_guest(struct rig *r);

/* The guest comes, has a dozen signatures from signer 0, and goes: from when they ask for more than
 * a little, the others share the signers with him. */
void rig_share(struct rig *r);

/* Closes. */
void client_close(struct client *c);

/* Sends all bytes, or fails after 20 s. */
void client_raw(struct client *c, const void *bytes, size_t n);

/* Sends an Envelope. */
void client_send(struct client *c, const envelope *e);

/* Sends a Hello that speaks these versions. */
void client_hello(struct client *c, uint64_t id, uint32_t version_min, uint32_t version_max);

/* Sends a Hello with this API token; NULL: without one. */
void client_hello_as(struct client *c, uint64_t id, const char *token);

/* Sends a Ping. */
void client_ping(struct client *c, uint64_t id);

/* Sends Sign with the text as its message and a scheme that fits. Deadline 0: the gate's default.
 */
void client_sign(struct client *c, uint64_t id, uint8_t key, uint32_t deadline_ms,
                 const char *text);

/* Sends TenantsAdd. */
void client_tenant(struct client *c, uint64_t id, uint32_t deadline_ms, const char *tenant);

/* Writes a frame into buf, of that size; returns its length. */
size_t client_frame(const envelope *e, uint8_t *buf, size_t size);

/* Waits up to 20 s for the next Envelope; NULL when the connection ended. Good until the next. */
const envelope *client_next(struct client *c);

/* The next Envelope must be this answer. */
const envelope *client_expect(struct client *c, uint64_t id, Keyd__V1__Envelope__BodyCase body);

/* The next Envelope must be an Error with this id and code, and name `part` in its text or hint. */
const Keyd__V1__Error *client_refused(struct client *c, uint64_t id, enum err_code code,
                                      const char *part);

/* The next Envelope must be a SignReply with that text. */
void client_signed(struct client *c, uint64_t id, const char *text);

/* Nothing more comes: the connection ends. */
void client_ended(struct client *c);

/* Whether the connection is alive: a ping is answered. */
void client_alive(struct client *c);

#endif
