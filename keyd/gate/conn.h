/* SPDX-License-Identifier: Apache-2.0
 *
 * conn: one client's connection: its socket, its two buffers, its open calls.
 */
#ifndef KEYD_GATE_CONN_H
#define KEYD_GATE_CONN_H

#include "keyd/gate/state.h"

/* Accepts what waits at the door. Without descriptors for more it pauses the door. */
void conn_accept(struct door *door);

/* The line of whoever's connection it is. */
struct line *conn_line(const struct conn *c);

/* Who somebody is may have changed: whoever is not any more who he was loses his connection. */
void conn_judge_all(struct gate *g);

/* Takes new settings over for connections to come (tls may be NULL: none), and judges those that
 * live by them. Owns tls. */
void conn_set_tls(struct gate *g, struct tls *tls, uint32_t handshakes);

/* The hello was said, maybe with a token (NULL or empty: none): says who that is. ERR_DENIED for
 * nobody; that is counted and logged already. */
bool conn_identify(struct gate *g, struct conn *c, const char *token, struct err *err) MUST_USE;

/* How he proved who he is: "user=www-data", "API token 1f2e3d4c". */
const char *conn_proof(const struct conn *c);

/* Whether the hello was said; and that it is. */
bool conn_greeted(const struct conn *c);
/* See conn_greeted. */
void conn_greet(struct conn *c);

/* One more, one less of its calls is open. */
void conn_call_begins(struct conn *c);
/* See conn_call_begins. */
void conn_call_ends(struct gate *g, struct conn *c);

/* Appends an answer; it leaves when the gate flushes, together with others. */
void conn_send(struct gate *g, struct conn *c, const envelope *e);
/* As conn_send, with a packed Envelope. */
void conn_send_packed(struct gate *g, struct conn *c, const uint8_t *packed, size_t len);

/* Says why (an Error with id 0), then closes once that is sent. Calls that are open lose their
 * client. */
void conn_lose(struct gate *g, struct conn *c, const struct err *err);

/* As conn_lose, but everything is said: closes once that is sent. */
void conn_end(struct conn *c);

/* Sends what waits and reads on, for all connections that something happened to. */
void conn_flush_dirty(struct gate *g);

/* How many connections there are. */
uint32_t conn_count(const struct gate *g);

/* Once a second while one can expire: ends those whose certificate or token has. */
void conn_check_second(struct gate *g);

/* Whether a client has not read all its answers yet. */
bool conn_unread(const struct gate *g);

/* Closes all: at the end. */
void conn_close_all(struct gate *g);

#endif
