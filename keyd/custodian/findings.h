/* SPDX-License-Identifier: Apache-2.0
 *
 * findings: what is not as it should be with an object of the token. Pure: facts in, words out. An
 * auditor reads them, and keys-adopt asks here what it must have accepted.
 */
#ifndef KEYD_CUSTODIAN_FINDINGS_H
#define KEYD_CUSTODIAN_FINDINGS_H

#include "keyd/token/keys.h"

/* As enum Severity in keyd.proto. A key of keyd's that can be stolen, misused or is not there is a
 * danger; the same with other people's keys is theirs to judge: a warning. */
enum severity { SEVERITY_NOTE = 1, SEVERITY_WARNING = 2, SEVERITY_DANGER = 3 };

struct finding {
    enum severity severity;
    const char *kind;   /* "extractable"; static */
    const char *advice; /* what to do about it; static */
    char text[240];     /* what is wrong */
};

#define FINDINGS_MAX 16 /* over all kinds that one object can have */

struct findings {
    struct finding list[FINDINGS_MAX];
    size_t count;
};

enum owner { OWNER_NOBODY, OWNER_KEY, OWNER_ADOPTED, OWNER_IMPORT_KEY };

/* What is judged. All is borrowed. */
struct subject {
    const struct token_object *object;
    enum owner owner;
    const char *label;      /* that it was given at its birth; NULL: none of ours */
    const char *mechanisms; /* CKA_ALLOWED_MECHANISMS of its birth; NULL: not known */
    const char *seen;       /* OWNER_ADOPTED: findings_seen of then; NULL: it is to be adopted */
    bool fragment;          /* token_is_fragment */
};

/* Judges one object. */
void findings_judge(const struct subject *s, struct findings *ret);

/* Writes down how an object is, for findings_judge in later years. ERR_TOO_LARGE. */
bool findings_seen(const struct token_object *o, char *buf, size_t size, struct err *err) MUST_USE;

/* A registered key of which the token shows so many objects, not one. Disabled keys are missed
 * less. */
void finding_count(size_t there, bool enabled, struct finding *ret);

/* The import key in force is not there. */
void finding_import_key(struct finding *ret);

#endif
