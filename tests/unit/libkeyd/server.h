/* SPDX-License-Identifier: Apache-2.0
 *
 * server: a keyd made of cardboard, on a thread of the test: it speaks keyd.v1 over proto/frame.h,
 * signs with a P-256 key in software, knows a few tenants, keys and objects, and misbehaves as its
 * knobs say.
 */
#ifndef KEYD_TESTS_UNIT_LIBKEYD_SERVER_H
#define KEYD_TESTS_UNIT_LIBKEYD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define SERVER_ALWAYS 0xffffffffu

enum server_hello {
    HELLO_FINE,
    HELLO_SILENT,  /* no HelloReply, requests are answered all the same */
    HELLO_VERSION, /* chooses a version that nobody speaks */
    HELLO_REFUSED, /* Error UNSUPPORTED with the hello's id, then the end */
    HELLO_FULL,    /* Error BUSY with id 0, then the end */
};

enum server_nonsense {
    NONSENSE_NONE,
    NONSENSE_GARBAGE,    /* a frame of bytes that are no Envelope */
    NONSENSE_NO_BODY,    /* an Envelope without a body */
    NONSENSE_OVERSIZE,   /* a length over the cap */
    NONSENSE_WRONG_ID,   /* an id that was never asked */
    NONSENSE_WRONG_KIND, /* a PingReply to a Sign, a SignReply to anything else */
    NONSENSE_NO_CODE,    /* an Error with code 0 */
    NONSENSE_TWICE,      /* the right answer, and once more */
    NONSENSE_EMPTY,      /* an answer of the right kind without content */
};

struct server_knobs {
    enum server_hello hello;
    enum server_nonsense nonsense;
    uint32_t delay_ms; /* before answers are sent */
    bool reverse;      /* answers to what came within 20 ms go out last first */
    bool bytewise;     /* one send(2) for each byte */
    bool silent;       /* requests are never answered */
    uint32_t drop;     /* so many requests end their connection instead */
    uint32_t close_at; /* the next connection ends when this many bytes were sent on it... */
    bool close_armed;  /* ...if this is set; it clears itself */
    uint32_t fail;     /* so many requests are answered with this error: */
    enum err_code fail_code;
    uint32_t fail_retry_ms;
    uint32_t goodbye;       /* so many requests are answered with fail_code under id 0, then EOF */
    uint32_t max_in_flight; /* 0: 64 */
    uint32_t max_frame;     /* 0: 64 KiB */
    uint32_t page;          /* elements of one page of a list; 0: all */
    bool endless;           /* lists never end */
};

struct server_seen {
    uint32_t connections; /* accepted */
    uint32_t open;        /* connections now */
    uint32_t requests;    /* all but Hello */
    uint32_t changes;     /* TenantsAdd, KeysGenerate */
    uint32_t in_flight;   /* the most that waited on one connection */
    uint32_t deadline_ms; /* of the last request */
    bool early;           /* a request came before the Hello of its connection */
    char client[80];      /* of the last Hello */
};

struct server;

/* Starts a server that listens on path (a stale socket is replaced). Aborts the test on failure. */
struct server *server_start(const char *path, const struct server_knobs *knobs);

/* Ends it: its connections break, the socket file stays unless `unlink_it`. */
void server_stop(struct server *s, bool unlink_it);

/* Turns all knobs. */
void server_set(struct server *s, const struct server_knobs *knobs);

/* What it has seen so far. */
struct server_seen server_seen(struct server *s);

/* The id (32 bytes) and SubjectPublicKeyInfo of the key "acme/www"; the same in every server of
 * this process. */
const uint8_t *server_key_id(void);
/* See server_key_id. */
const uint8_t *server_spki(size_t *ret_len);

/* Whether sig is an ECDSA-SHA256 signature of that key. */
bool server_verifies(const uint8_t *message, size_t len, const uint8_t *sig, size_t sig_len);

/* A directory for this test's files under TMPDIR; removed by scratch_done. */
const char *scratch_dir(void);
/* dir/name, in a static buffer of the calling thread. */
const char *scratch_path(const char *name);
/* Removes the directory. */
void scratch_done(void);

/* Milliseconds on the monotonic clock. */
uint64_t now_ms(void);

#endif
