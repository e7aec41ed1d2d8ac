/* SPDX-License-Identifier: Apache-2.0
 *
 * canned: what the cardboard server answers to the verbs of management.
 */
#ifndef KEYD_TESTS_UNIT_LIBKEYD_CANNED_H
#define KEYD_TESTS_UNIT_LIBKEYD_CANNED_H

#include "proto/frame.h"

struct canned_how {
    uint32_t page; /* elements of one page; 0: all */
    bool endless, empty;
    const uint8_t *key_id;
    uint8_t *spki;
    size_t spki_len;
};

/* Sets the body of *e, in the arena. False: there is no such thing, or it is not asked here. */
bool canned_answer(const envelope *ask, const struct canned_how *how, struct arena *a, envelope *e);

/* The part of it that is about principals, grants and tokens. What it points to is static or of the
 * question. */
bool canned_who_answer(const envelope *ask, const struct canned_how *how, envelope *e);

#endif
