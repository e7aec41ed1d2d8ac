/* SPDX-License-Identifier: Apache-2.0
 *
 * faults: every verb that changes something is cut short at every point, for n = 1 to the end; then
 * nothing may be lost. What a verb is stands in one table (verbs.c), how it is cut short in
 * test_calls.c (the token fails or the process dies at the n-th PKCS#11 call) and test_kills.c
 * (kill -9 before the n-th system call that changes something), what must hold in whole.c.
 *
 * The ordinary run tries at most `budget` points of a verb, spread evenly, and one kind of fault at
 * each; KEYD_TEST_FULL=1 tries all of both. KEYD_TEST_SEED moves the choice.
 */
#ifndef KEYD_TESTS_FAULTS_FAULTS_H
#define KEYD_TESTS_FAULTS_FAULTS_H

#include "tests/unit/custodian/rig.h"

/* ---- the verbs (verbs.c) */

struct verb_row {
    const char *name;
    enum key_type type;
    void (*before)(const char *subject); /* what the subject needs; NULL: nothing */
    envelope *(*request)(const char *subject, enum key_type type); /* static memory */
    void (*after)(const char *subject); /* fails unless it is done; NULL: nothing to see */
    enum err_code over; /* what a second try is told once it was done; ERR_NONE: it works again */
    bool one_answer;    /* errors do not name the CK_RV (design D2) */
    bool destroys;      /* may destroy token objects that are there */
    unsigned budget;    /* points in the ordinary run */
    bool full_only;
};

extern const struct verb_row verb_rows[];
extern const size_t verb_row_count;

/* Who asks: failing imports are counted by principal. */
extern uint32_t verb_uid;

/* Leaves a generation whose object is made but not committed, and a key that is half destroyed;
 * the custodian is dead. */
void verb_wreck(const char *subject);

/* ---- what must hold (whole.c) */

/* The keys that no test touches: acme/stays, enabled, and acme/off, disabled. */
void whole_begin(void);

/* Fails the test unless each key and import key of the registry has its one object, and each key
 * signs; no intent is open, no destruction half done; each object of the token is owned, or is a
 * fragment (without CKA_ID, unable to sign); acme/stays and acme/off are as they were. `started`:
 * right after a start, when import keys on their way must be gone, too. */
void whole_check(bool started);

/* Fragments seen by the last check. */
unsigned whole_fragments(void);

/* ---- the loop (faults.c) */

/* A way to cut short. Kinds are numbered from 0. */
struct fault {
    const char *points; /* "PKCS#11 calls" */
    unsigned kinds;
    unsigned share;                         /* of the budgets, as their divisor */
    void (*arm)(unsigned n, unsigned kind); /* the running custodian, before a verb; 0: count */
    void (*arm_next)(unsigned n, unsigned kind); /* the one that is started next */
    void (*disarm)(void);
    unsigned (*count)(void);            /* points passed since it was armed */
    const char *(*word)(unsigned kind); /* what an error names; NULL: the process dies */
};

/* Starts a custodian with its neighbours: a control gate, a signer, a signing gate. Puts back first
 * what a killed login emptied, as the parent does (keyd/guard.h). */
void faults_serve(void);

/* Where the mock token writes its journal. */
const char *faults_journal(void);

/* Bytes that are in the journal. */
long faults_journal_size(void);

/* All rows of the table and the start, one line of figures each on stdout. The exit status. */
int faults_run(const struct fault *fault);

#endif
