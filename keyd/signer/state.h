/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the signer share.
 */
#ifndef KEYD_SIGNER_STATE_H
#define KEYD_SIGNER_STATE_H

#include "keyd/process/msg.h"
#include "keyd/process/table.h"
#include "keyd/process/tally.h"
#include "keyd/token/keys.h"
#include "proto/scheme.h"

/* What token-bench wants (bench.h); zeroed: nothing. */
struct bench {
    uint32_t run;
    enum key_type type;
    token_handle key;        /* a session object */
    uint64_t made_us;        /* how long it took to make */
    uint64_t started, until; /* moments of clock_us; until 0: nothing is going on */
    struct histogram took;
};

struct signer {
    struct chan *parent;
    struct chan gate, custodian; /* fd -1: not there */
    uint32_t index;
    struct token *token;
    struct table table; /* each entry's `user` is a struct held (keys.h) */
    uint64_t
        look_up_at;   /* moment of clock_us at which keys without a handle are looked for; 0: no */
    uint64_t started; /* moment of clock_us from which the figures count */
    struct bench bench;
    uint64_t ahead_us;   /* for how long those that go ahead have kept the others waiting */
    unsigned held;       /* answers that were made and not sent */
    uint64_t held_since; /* when the first of them was begun */
    uint64_t made, failed;
    struct tally tallies[SCHEME_COUNT]; /* of what was made; by scheme_index */
};

#endif
