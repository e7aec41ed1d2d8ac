/* SPDX-License-Identifier: Apache-2.0
 *
 * msg: what our processes say to each other. One table (msg.c) holds every message type: who may
 * send it to whom, how long it may be, whether descriptors come with it. A process that gets
 * anything else ends: a peer that speaks nonsense is a peer that was taken over.
 *
 * A channel is one end of a stream socket pair that the parent made. On it a message is a 4-byte
 * length, a 2-byte type, a 2-byte count of descriptors and a body of typed fields; a reader must
 * use the body up to the last byte. Reading and writing never block; whoever owns the loop asks
 * chan_fd and chan_wants_write.
 */
#ifndef KEYD_PROCESS_MSG_H
#define KEYD_PROCESS_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/base/rd.h"

enum proc { /* the kinds of process */
            PROC_PARENT,
            PROC_GATE_SIGNING,
            PROC_GATE_CONTROL,
            PROC_SIGNER,
            PROC_CUSTODIAN,
            PROC_COUNT
};

/* "signing gate", "signer": for people. */
const char *proc_name(enum proc proc);

enum msg_type {
    /* parent -> child */
    MSG_START = 1, /* settings of this kind of process, and its descriptors; the first message */
    MSG_PEER,      /* u8 proc, u32 index, u32 generation + our end of the channel to it */
    MSG_TABLE, /* u64 version + sealed memory file with the whole table; also custodian -> parent */
    MSG_TABLE_KEPT, /* parent -> custodian: u64 version, new processes will get it */
    MSG_DRAIN,      /* finish what is begun, take nothing new, then exit 0 */
    MSG_RELOAD,     /* settings that may change while it runs */
    /* child -> parent */
    MSG_READY,   /* confined, and doing its work */
    MSG_FAILED,  /* u32 code, text, hint: why I am about to exit */
    MSG_GUARD,   /* custodian: path of the token file that a killed login destroys */
    MSG_OVERDUE, /* u8 proc, u32 index, u32 generation: kill and replace it */
    /* status: control gate -> parent -> everyone -> parent -> control gate */
    MSG_STATUS_ASK, /* u64 ask */
    MSG_STATS,      /* u64 ask, u8 proc, u32 index, figures of that process */
    MSG_PROCESSES,  /* parent -> control gate: u64 ask, how many MSG_STATS follow, process table,
                     * the last processes that ended */
    /* signing gate <-> signer */
    MSG_SIGN, /* u64 call, key id, u32 purposes that the caller was granted, u32 scheme, message */
    MSG_SIGN_AHEAD, /* the same, of somebody who has nothing else at a signer: it goes first */
    MSG_SIGNED,     /* u64 call, u32 microseconds, signature */
    MSG_UNSIGNED,   /* u64 call, u32 microseconds, error */
    /* control gate <-> custodian */
    MSG_REQUEST, /* u64 call, who asks (name, u32 role, tenant), u32 deadline in ms, packed Envelope
                  */
    MSG_ANSWER,  /* u64 call, packed Envelope */
    /* custodian -> gates and signers, and back */
    MSG_KEY,      /* u64 version, one entry of the table: it is new or changed */
    MSG_KEY_DONE, /* u64 version, key id, error (code 0: done) */
    /* custodian <-> control gate: it is about to be replaced, and no request shall be lost */
    MSG_LEAVE, /* custodian: hand me nothing more */
    MSG_LEFT,  /* control gate: this was all; what comes now waits for your successor */
    /* grants and API tokens: custodian -> parent -> gates, and custodian -> gates -> custodian */
    MSG_ACCESS,      /* u64 version + sealed memory file, see access.h; the parent keeps it too */
    MSG_ACCESS_DONE, /* gate: u64 version, it is in force here */
    MSG_TOKEN_USED,  /* gate -> custodian: hash of a token, at most once a minute for each */
    /* the TLS listener: parent -> gate, after START and at each reload */
    MSG_TLS, /* u32 handshakes, u8 and u8: whether a bundle (gate.h) as sealed memory file, and the
              * listening socket, come with it */
    /* custodian <-> signer: how fast the token is */
    MSG_BENCH, /* u32 run, u8 key type (0: forget the key), u32 ms to sign (0: only make the key) */
    MSG_BENCHED, /* u32 run, error, u64 us to make the key, u64 us signed, u32 count of filled
                  * buckets of the histogram of signatures, and for each u8 bucket, u64 count */
    /* custodian <-> parent: a new PIN for the token (pin.h) */
    MSG_PIN_ASK,  /* u32 shortest, u32 longest PIN that the token takes: give me another one */
    MSG_PIN,      /* error; without one, two pipes with PINs: the old one, the new one */
    MSG_PIN_SET,  /* error; without one the token has the new PIN, for good */
    MSG_PIN_KEPT, /* error, u8: the new PIN was the operator's; without an error it is in its file
                   */
    MSG_TYPE_COUNT
};

#define MSG_FDS_MAX 8

/* A message being read: the fields are taken in order with rd_* and msg_get_*. */
struct msg {
    enum msg_type type;
    struct rd body;
    int fds[MSG_FDS_MAX]; /* owned by the reader; -1 past the last */
    size_t fd_count;
};

struct chan {
    int fd; /* -1: closed */
    enum proc self, peer;
    uint32_t index;      /* which signer; 0 for the others */
    uint32_t generation; /* counts the peer's replacements */
    struct buf in, out;
    int in_fds[2 * MSG_FDS_MAX];
    size_t in_fd_count;
    size_t open; /* where the message being written began; see chan_put */
};

/* A channel over fd, which it owns and makes non-blocking. */
bool chan_open(struct chan *ret, int fd, enum proc self, enum proc peer, uint32_t index,
               uint32_t generation, struct err *err) MUST_USE;

/* Closes, frees, sets fd to -1. A closed channel is fine. */
void chan_close(struct chan *c);

/* ---- reading */

enum chan_state { CHAN_OPEN, CHAN_EOF, CHAN_BROKEN };

/* Reads what is there. CHAN_EOF: the peer is gone (whole messages may still be waiting).
 * CHAN_BROKEN: the socket failed or the peer broke the rules; err says which. */
enum chan_state chan_read(struct chan *c, struct err *err);

/* Takes the next whole message. Returns false when there is none. A message that the table forbids
 * from this peer ends the process: see msg_fatal. ret->body borrows until the next chan_read. */
bool chan_next(struct chan *c, struct msg *ret);

/* As chan_next, of one type: it overtakes what came before it. Only on a channel on which no
 * message has descriptors. */
bool chan_next_of(struct chan *c, enum msg_type type, struct msg *ret);

/* Whether n whole messages, or more, wait to be taken. */
bool chan_has(const struct chan *c, size_t n);

/* ---- writing: chan_put, then fields, then chan_end; chan_flush sends */

/* Begins a message. The table must allow it (a defect otherwise: the process aborts). */
void chan_put(struct chan *c, enum msg_type type);
/* Appends a number in 1, 2, 4 or 8 bytes. */
void put_u8(struct chan *c, uint8_t v);
/* See put_u8. */
void put_u32(struct chan *c, uint32_t v);
/* See put_u8. */
void put_u64(struct chan *c, uint64_t v);
/* Appends n bytes as they are: the reader knows the length. */
void put_raw(struct chan *c, const void *p, size_t n);
/* Appends a 4-byte length and n bytes. */
void put_bytes(struct chan *c, const void *p, size_t n);
/* Appends a string (NULL: an empty one) as put_bytes. */
void put_str(struct chan *c, const char *s);
/* Appends code, retry time, text and hint. */
void put_err(struct chan *c, const struct err *err);
/* Ends the message; it waits in the buffer for chan_flush. */
void chan_end(struct chan *c);
/* Ends the message and sends it at once together with descriptors, which stay the caller's. Blocks
 * up to a second when the socket is full. False: the peer is gone. */
bool chan_end_fds(struct chan *c, const int *fds, size_t count) MUST_USE;

/* Sends what the socket takes. False: the peer is gone (chan_read will say CHAN_EOF too). */
bool chan_flush(struct chan *c) MUST_USE;

/* Bytes that wait to be sent: nonzero means, wait for writability, then chan_flush. */
size_t chan_pending(const struct chan *c);

/* ---- fields of a message being read */

/* Bytes with a 4-byte length before them; borrowed. NULL and 0 after a failure. */
const uint8_t *msg_get_bytes(struct msg *m, size_t *ret_len);
/* A string, copied and zero-terminated into buf; fails the message when it does not fit or holds a
 * zero byte. */
void msg_get_str(struct msg *m, char *buf, size_t size);
/* What put_err wrote. */
void msg_get_err(struct msg *m, struct err *ret);
/* Takes the next descriptor: the caller owns it. -1 when there is none. */
int msg_take_fd(struct msg *m);
/* Ends the process (after a line on stderr) unless every field was there, the body is used up and
 * each descriptor taken. */
void msg_end(struct msg *m, const struct chan *from);
/* Ends the process: the peer sent what it may not. */
_Noreturn void msg_fatal(const struct chan *from, const char *why);

/* For tests and scripts/check: whether the table lets `from` send `type` to `to`. */
bool msg_allowed(enum msg_type type, enum proc from, enum proc to) MUST_USE;
/* The message's name, "SIGN". */
const char *msg_name(enum msg_type type);

#endif
