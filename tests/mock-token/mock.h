/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the mock token share. Between keyd and SoftHSM stand two layers: the outer one
 * (mock.c) counts each call, does what the script says (script.c) and writes the journal
 * (journal.c); the inner one (lies.c) passes on to SoftHSM what it does not falsify.
 */
#ifndef KEYD_TESTS_MOCK_TOKEN_MOCK_H
#define KEYD_TESTS_MOCK_TOKEN_MOCK_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

/* ---- lies.c */

/* The functions that answer: `real` ones, some of them falsified. Static memory. */
CK_FUNCTION_LIST *lies_over(CK_FUNCTION_LIST *real);

/* Switches the lie of this name on; false when there is none. */
bool lies_tell(const char *name);

/* ---- script.c */

/* What is to be done about a call. */
struct fate {
    unsigned slow_ms;
    bool hang;
    bool crash, crash_after; /* before it is passed on; after */
    bool fail, fail_after;   /* instead of passing it on; it is passed on, and denied */
    CK_RV rv;                /* of a failure */
};

/* Reads the script if it is new or has changed; counting begins anew then. */
void script_refresh(void);

/* Counts a call of the function and gives its fate. */
struct fate script_fate(const char *function);

/* ---- journal.c: one line a call, written when it is over */

/* Where lines go from now on; an empty path: nowhere. */
void journal_open(const char *path);

/* Begins a line: "C_SignInit". */
void journal_begin(const char *function);

/* Adds nothing, for functions of which nothing more is told. */
void say_nothing(void);

/* Adds " CKM_ECDSA". */
void say_mechanism(const CK_MECHANISM *mechanism);

/* Adds " CKM_ECDSA". */
void say_mechanism_type(CK_MECHANISM_TYPE type);

/* Adds " {CKA_TOKEN CKA_LABEL}": the types, never the values; "CKA_LABEL?" without a buffer: asked
 * is only whether it is there. */
void say_template(const CK_ATTRIBUTE *list, CK_ULONG count);

/* Adds which object it is: " token CKO_PRIVATE_KEY 010d..." or " session ...", with its CKA_ID. */
void say_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);

/* By what say_object asks. */
void journal_ask(CK_FUNCTION_LIST *real);

/* Ends the line: " = CKR_OK", and writes it. */
void journal_end(CK_RV rv);

/* Ends the line otherwise: " = hangs". */
void journal_end_word(const char *word);

#endif
