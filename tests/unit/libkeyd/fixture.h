/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture: what nearly every test of libkeyd begins with.
 */
#ifndef KEYD_TESTS_UNIT_LIBKEYD_FIXTURE_H
#define KEYD_TESTS_UNIT_LIBKEYD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clients/libkeyd/keyd.h"
#include "tests/unit/libkeyd/server.h"

#define LATE_MS 5000 /* a sanitized build on a loaded machine is this late, no bound is tighter */

/* A client for the scratch socket "keyd.sock". */
struct keyd_client *new_client(uint32_t deadline_ms);

/* A server on the scratch socket. */
struct server *new_server(const struct server_knobs *knobs);

/* Signs a small message with the server's key and verifies; returns keyd_sign's code. */
int sign_once(struct keyd_client *client, struct keyd_error *error);

/* Runs fn in a forked child; fails the test unless it returns 0 within a minute. */
void in_child(int (*fn)(void *), void *arg);

/* A cmocka group teardown: removes the scratch directory. */
int fixture_done(void **state);

#endif
