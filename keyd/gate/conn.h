/* SPDX-License-Identifier: Apache-2.0
 *
 * conn: one client's connection: its socket, its two buffers, its open calls.
 */
#ifndef KEYD_GATE_CONN_H
#define KEYD_GATE_CONN_H

#include "keyd/gate/state.h"

/* Accepts what waits on the listening socket. Without descriptors for more it sets accept_paused.
 */
void conn_accept(struct gate *g, int listener);

/* Whose connection it is. */
struct principal *conn_principal(const struct conn *c);

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

/* Sends what waits and reads on, for all connections that something happened to. */
void conn_flush_dirty(struct gate *g);

/* Whether a client has not read all its answers yet. */
bool conn_unread(const struct gate *g);

/* Closes all: at the end. */
void conn_close_all(struct gate *g);

#endif
