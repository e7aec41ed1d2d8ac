/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch: from the queue to the servers (signers, or the custodian) and back.
 *
 * A server holds about a millisecond of estimated work, at least one call: so none waits for work,
 * and nothing stands behind slow RSA at a server while another is free. As long as one principal
 * alone has more than a little in hand, nobody is to wait behind him, and a signer holds more, and
 * answers many at once. Who asks for less than his share is taken before those that wait there
 * (queue_may_go_ahead): a flood delays him by what is at work, not by what stands in line.
 * Estimates are learnt from what signers report.
 *
 * A server that dies or overstays gives its calls back to the head of the queue. Nobody knows which
 * of them it was at: each is tried again by a signer that has nothing else, and the one with which
 * that signer fails too is refused, lest one bad call kills them all.
 */
#ifndef KEYD_GATE_DISPATCH_H
#define KEYD_GATE_DISPATCH_H

#include "keyd/gate/state.h"

/* Refuses with BUSY what the queue has no room for, or what cannot be done within its deadline. */
bool dispatch_admit(const struct gate *g, const struct call *call, struct err *err) MUST_USE;

/* Puts an admitted call in the queue. */
void dispatch_enqueue(struct gate *g, struct call *call);

/* Grants, or who is who, have changed: calls that would not be admitted any more are refused, those
 * that are at a signer too. */
void dispatch_judge_again(struct gate *g);

/* Hands over what the servers have room for, and sends it. */
void dispatch_pump(struct gate *g);

/* A new channel to a server: it replaces the one before. The descriptor is taken in any case. */
bool dispatch_connect(struct gate *g, uint32_t index, uint32_t generation, int fd,
                      struct err *err) MUST_USE;

/* Whether bytes for servers wait until their sockets take them. */
bool dispatch_unsent(const struct gate *g);

/* Answers what is past its deadline, reports servers that overstay. Called by the tick. */
void dispatch_check_time(struct gate *g);

/* Calls at servers now. */
size_t dispatch_at_servers(const struct gate *g);

#endif
