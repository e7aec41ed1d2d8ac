/* SPDX-License-Identifier: Apache-2.0
 *
 * pin_change: the parent's part in a change of the token's PIN (pin.h tells the order and why):
 * which token processes may start meanwhile, what the custodian is told, and, after a change that
 * was cut short, which of the two PINs is tried.
 */
#ifndef KEYD_PIN_CHANGE_H
#define KEYD_PIN_CHANGE_H

#include "keyd/children.h"

/* Whether a token process must not be started now: the token's files are about to change, or only
 * the custodian may find out which PIN the token has. */
bool pin_change_holds(const struct parent *p, const struct child *c);

/* The custodian asks for a new PIN, of so many characters (most 0: any number). */
void pin_change_ask(struct parent *p, uint32_t least, uint32_t most);

/* Gives it, once no token process is `starting`. Does nothing if none was asked for. */
void pin_change_step(struct parent *p, bool starting);

/* What C_SetPIN said. */
void pin_change_set(struct parent *p, const struct err *why);

/* A token process ended because the token refused its PIN. True: there is another one to try. */
bool pin_change_refused(struct parent *p);

/* The custodian is ready: it has logged in with p->pin.now, and has told the file to guard. */
void pin_change_ready(struct parent *p);

/* The custodian is gone, whatever it was doing. */
void pin_change_ended(struct parent *p);

#endif
