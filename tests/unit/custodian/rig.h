/* SPDX-License-Identifier: Apache-2.0
 *
 * rig: a real custodian in a process of its own, on a real SoftHSM token, and around it everyone
 * that it talks to, played by the test: the parent, gates, signers. One rig at a time.
 */
#ifndef KEYD_TESTS_CUSTODIAN_RIG_H
#define KEYD_TESTS_CUSTODIAN_RIG_H

#include "tests/unit/token/fixture.h"

#include <string.h>
#include <sys/types.h>

#include "keyd/custodian/custodian.h"
#include "keyd/policy/principal.h"
#include "keyd/process/access.h"
#include "keyd/registry/registry.h"
#include "keyd/token/keys.h"
#include "proto/frame.h"

#define ENDS_MAX 4
#define WAIT_MS  90000 /* far over what anything takes */

/* Our end of a channel between the custodian and a gate or signer. */
struct end {
    struct chan chan;
    bool mute;            /* takes MSG_KEY and says nothing */
    unsigned keys;        /* MSG_KEY so far */
    uint64_t told_at;     /* clock_us of the last one */
    bool leave;           /* MSG_LEAVE came, and is not answered yet */
    struct table table;   /* what it was told */
    struct access access; /* a gate: the same */
    unsigned benches;     /* MSG_BENCH so far, the last one with this type: */
    uint8_t bench_type;
    void (*on_bench)(struct end *e, uint32_t ms); /* NULL: it is answered */
};

struct rig {
    char dir[200], state[220], uri[700];
    pid_t pid; /* of the custodian; 0: none */
    struct chan parent;
    struct end ends[ENDS_MAX];
    struct table table;   /* as the parent keeps it */
    struct access access; /* the same */
    unsigned tables;      /* MSG_TABLE so far */
    bool keeps;           /* MSG_TABLE_KEPT is answered */
    bool ready, over;     /* MSG_READY came; the channel ended */
    struct err failed;    /* what MSG_FAILED said */
    char guard[700];
    /* What the parent does about pin-change: */
    struct err no_pin;    /* with a code: it says this instead of giving one */
    const char *new_pin;  /* gives this one */
    uint32_t least, most; /* what was asked for */
    unsigned pins_set;    /* MSG_PIN_SET so far, the last one with: */
    struct err pin_set;
    unsigned overdue; /* MSG_OVERDUE so far, the last about: */
    enum proc overdue_proc;
    uint32_t overdue_index, overdue_generation;
    struct arena arena;     /* of the last answer */
    const envelope *answer; /* NULL: none came */
    uint64_t next_call;
    uint64_t aside; /* the answer to this call is only counted */
    unsigned aside_answers;
    bool hears;     /* rig_hear: answers to calls that rig_ask did not make */
    size_t heard;   /* so many came */
    char order[64]; /* the last digit of each, "!" behind a refusal */
    uint8_t stats[65536];
    size_t stats_len;
};

extern struct rig rig;

/* Who traces the custodian's system calls (tests/faults/trace.h). All NULL: nobody. */
struct rig_tracer {
    void (*child)(void);                    /* in it, first of all */
    void (*started)(pid_t pid);             /* in the test, right after the fork */
    void (*stopped)(pid_t pid, int status); /* waitpid(2) says that it stopped: goes on */
    int fd;                                 /* readable when it may have stopped */
    void (*look)(pid_t pid);                /* then: sees to all stops there are */
};

extern struct rig_tracer rig_tracer;

/* For cmocka: a state directory and a token in it, no custodian yet. */
int rig_setup(void **state);
/* For cmocka: ends and removes everything. */
int rig_teardown(void **state);

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

/* Starts a custodian and waits until it is ready or has failed. */
void rig_start(void);
/* As rig_start, and the test fails unless it is ready; connects ends[0] as control gate. */
void rig_serve(void);
/* Starts it with this PIN instead of the right one. */
void rig_start_with_pin(const char *pin);
/* Drains it; it must exit 0. */
void rig_stop(void);
/* After an import: it asks to be replaced (ends[0] is told to leave, and does), ends with 0, and
 * another one serves. */
void rig_renewed(void);
/* Waits for its end; the status of waitpid(2). */
int rig_wait(void);
/* SIGKILL. */
void rig_kill(void);

/* Answers a MSG_BENCH as a signer does that makes `per_second`. */
void rig_benched(struct end *e, uint32_t run, uint32_t ms, uint32_t per_second);

/* Introduces ends[i] to it as this process. */
void rig_connect(size_t i, enum proc proc, uint32_t index, uint32_t generation);

/* Reads what comes for at most ms, or until *flag. */
void rig_pump(int ms, const bool *flag);

/* Puts a request in; rig_answer waits for its answer. */
void rig_ask(envelope *request, enum role role, uint32_t deadline_ms);
/* As rig_ask, for another principal of that role, by number. */
void rig_ask_as(envelope *request, enum role role, uint32_t number, uint32_t deadline_ms);
/* As rig_ask, for this principal. */
void rig_ask_who(envelope *request, const struct principal *who, uint32_t deadline_ms);
/* The answer of the last rig_ask; NULL when the custodian ended. */
const envelope *rig_answer(void);

/* Waits for n answers to requests that the test itself has put: rig.order tells about them. */
void rig_hear(size_t n);

/* Asks as operator with time enough, and gives the answer, which must be of this kind. */
const envelope *rig_call(envelope *request, Keyd__V1__Envelope__BodyCase want);
/* Asks as operator; the answer must be an Error with this code whose message has the word. */
const Keyd__V1__Error *rig_refused(envelope *request, enum err_code code, const char *word);

/* The figures of the custodian: in order tenants, keys, missing; then all words into `words`. */
void rig_stats(uint32_t figures[3], char *words, size_t size);

/* Runs fn in a process of its own, with the token open (writable, logged in) and the registry. It
 * returns whether it worked. */
void rig_with_token(bool (*fn)(struct token *t, struct registry *r, struct err *err));

/* ---- shorthands */

/* Adds a tenant. */
void rig_tenant(const char *name);
/* Makes a key; gives the answer's Key (until the next call). */
const Keyd__V1__Key *rig_generate(const char *tenant, const char *name, enum key_type type,
                                  uint32_t purposes);
/* keys-show; NULL when it is refused. */
const Keyd__V1__Key *rig_show(const char *key);
/* How many private keys the token has. */
unsigned rig_private_keys(void);

/* An envelope with one body: REQUEST(e, TENANTS_ADD, tenants_add, &body). */
#define REQUEST(e, CASE, member, body)                                                             \
    envelope e = KEYD__V1__ENVELOPE__INIT;                                                         \
    e.body_case = KEYD__V1__ENVELOPE__BODY_##CASE;                                                 \
    e.member = (body)

#endif
