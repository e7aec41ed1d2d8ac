/* SPDX-License-Identifier: Apache-2.0
 *
 * pin: the token's user PIN, in its file and in the parent's locked memory, and how it is changed
 * so that no moment loses it. Two files hold PINs while a change is under way:
 *
 *     FILE       the one to try first (pin-source)
 *     FILE.new   the other candidate; there only while it is not certain which one the token has
 *
 * 1. FILE.new gets the new PIN and is durable.
 * 2. The custodian sets it (C_SetPIN) and makes the token durable. No token process starts from
 *    before this until after it: SoftHSM writes the whole token.object at each login, and one that
 *    had read it before would put the old PIN back.
 * 3. The guarded copy of token.object (guard.h) is taken anew: put back later, the old copy would
 *    bring the old PIN with it.
 * 4. The two files change places, in one step (renameat2, RENAME_EXCHANGE).
 * 5. Another custodian has logged in with the PIN in FILE, and the guarded copy is of a token that
 *    takes it: only now FILE.new goes.
 *
 * Cut short anywhere, FILE.new is there, and the token has one of the two PINs, also if the guarded
 * copy had to be put back. The next custodian to start, alone, tries that in FILE. Refused, the two
 * change places before the other is tried, so that a keyd that is killed again and again does not
 * try the wrong one again and again: each is tried wrongly once at most. Before each try the token
 * is asked whether it would be the last (CKF_USER_PIN_FINAL_TRY, token.h); then none is made.
 * CKF_USER_PIN_COUNT_LOW alone does not stop the second try: every token sets it after the first.
 */
#ifndef KEYD_PIN_H
#define KEYD_PIN_H

#include "proto/base/secret.h"

/* A PIN that keyd makes: 129 bits, in digits, which every token takes. */
#define PIN_DIGITS  39
#define PIN_MAX_LEN 255

enum pin_state {
    PIN_SETTLED, /* there is one PIN */
    PIN_ASKED,   /* the custodian wants another one */
    PIN_GIVEN,   /* it has both: the token may have either at any moment from now on */
    PIN_OPEN,    /* the token has one of two: whoever logs in next finds out */
    PIN_SET,     /* the token said that it has the new one; nobody has logged in with it yet */
};

struct pin {
    char path[512];
    enum pin_state state;
    struct secret now;    /* what token processes are started with */
    struct secret other;  /* the other candidate; empty: there is none */
    bool turned;          /* on the disk the two could not change places: FILE.new has `now` */
    bool refused;         /* the token refused one of the two */
    bool given;           /* the new one was the operator's */
    uint32_t least, most; /* PIN_ASKED: how long a PIN the token takes */
};

/* Reads the PIN from the file at path, and the other candidate if a change was cut short
 * (PIN_OPEN). ERR_STORAGE, ERR_DENIED and ERR_BAD_REQUEST name the file. */
bool pin_read(struct pin *ret, const char *path, struct err *err) MUST_USE;

/* Step 1: takes the PIN from FILE.next if the operator has put one there, else makes one of at
 * least PIN_DIGITS digits, between `least` and `most` characters (most 0: any); FILE.new is durable
 * and p->other has it when this returns. Changes nothing on failure. */
bool pin_offer(struct pin *p, uint32_t least, uint32_t most, struct err *err) MUST_USE;

/* Step 4: the candidates change places, on the disk and in memory. What does not work on the disk
 * is made up for by pin_settle; err tells it. */
bool pin_swap(struct pin *p, struct err *err) MUST_USE;

/* Step 5: FILE has `now` for good; the other candidate, and FILE.next if that is what it held, are
 * gone. On failure the change stays open on the disk, and this may be called again. */
bool pin_settle(struct pin *p, struct err *err) MUST_USE;

/* Whether the PIN in FILE is the younger of the two: the change goes forwards. For the log. */
bool pin_is_new(const struct pin *p);

/* A pipe with the PIN in it: its bytes pass through no memory but the secret's and the kernel's.
 * The reading end, which the caller closes; -1: there is none to be had. */
int pin_pipe(const struct secret *pin);

/* Wipes both. */
void pin_free(struct pin *p);

#endif
