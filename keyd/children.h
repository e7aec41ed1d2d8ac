/* SPDX-License-Identifier: Apache-2.0
 *
 * children: the processes that the parent keeps alive. One row each; started by fork and exec of
 * ourselves (an address layout of its own), told what it needs in MSG_START, given its ends of the
 * socket pairs when it and its neighbour are ready, replaced when it ends.
 *
 * Processes of the token are started one at a time, custodian first: several that open a SoftHSM
 * token at once make each other fail, and before each the token's master-key file is looked after
 * (guard.h).
 */
#ifndef KEYD_CHILDREN_H
#define KEYD_CHILDREN_H

#include <sys/types.h>

#include "keyd/config.h"
#include "keyd/guard.h"
#include "keyd/pin.h"
#include "keyd/process/msg.h"
#include "keyd/sockets.h"

#define SIGNERS_MAX  64
#define CHILDREN_MAX (3 + SIGNERS_MAX)
#define EXITS_KEPT   8

enum child_state { CHILD_WAITING, CHILD_STARTING, CHILD_READY };

struct child {
    enum proc proc;
    uint32_t index;      /* of a signer; 0 for the others */
    uint32_t generation; /* counts its starts */
    enum child_state state;
    pid_t pid; /* 0: none */
    struct chan chan;
    uint64_t started;  /* moments of clock_us */
    uint64_t start_at; /* not to be started before */
    uint32_t backoff_ms;
    bool draining;
    struct err why;      /* what it said in MSG_FAILED before it ended */
    char last_exit[400]; /* in words */
};

/* One that ended without being asked to. */
struct exit_note {
    uint64_t at; /* seconds since 1970, UTC */
    char name[32];
    char why[400];
};

/* A table that the custodian has published, for processes to come. */
struct kept {
    int fd; /* -1: none yet */
    uint64_t version;
};

struct parent {
    struct config config;
    char config_path[512];
    const char *restore_dir; /* keyd --restore alone: where the backup is */
    struct pin pin;
    struct guard guard;
    bool guard_stale; /* the last copy of the guarded file was not made */
    int listeners[SOCKETS], tls_listeners[SOCKETS]; /* -1: none */
    int tls_bundle;                                 /* the files of [tls] as last read; -1: none */
    int lock_fd;
    struct child children[CHILDREN_MAX];
    size_t child_count;
    struct exit_note exits[EXITS_KEPT]; /* the i-th of all is at i % EXITS_KEPT */
    uint64_t exit_count;
    struct kept table, access; /* as they were published last */
    uint64_t started;
    bool announced;       /* all were ready once */
    bool starts_stopped;  /* the token refused the PIN: it is not asked again */
    uint32_t first_tries; /* failed starts of token processes before we were ready */
    bool failed;          /* could not start: first_error says why */
    struct err first_error;
    enum { RUN, DRAIN_GATES, DRAIN_REST } phase;
    uint64_t drain_until; /* when the phase's stragglers are killed */
    uint32_t status_gate; /* generation of the control gate that asked for the status */
};

/* Fills the rows: two gates, the custodian, the configured signers. */
void children_init(struct parent *p);

/* Starts what may be started now. */
void children_start(struct parent *p);

/* Kills what has been starting for too long, and in a drain what overstays. */
void children_check_time(struct parent *p);

/* Handles what a child sent. */
void child_readable(struct parent *p, struct child *c);

/* Collects the children that ended, and plans their replacement. */
void children_reap(struct parent *p);

/* The next moment (clock_us) at which children_start or children_check_time has work. */
uint64_t children_next_time(const struct parent *p);

/* Begins the drain: gates first, then the rest. A second call hurries it. */
void children_drain(struct parent *p);

/* Sends the settings that may change while they run to both gates. */
void children_reload(struct parent *p);

/* Whether no child is left. */
bool children_gone(const struct parent *p);

#endif
