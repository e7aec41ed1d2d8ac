/* SPDX-License-Identifier: Apache-2.0
 *
 * err: an error is a code that a machine can act on and a sentence that a person can.
 *
 * Every function that can fail returns bool and takes `struct err *err` last. On false, err holds
 * the code, a text that names the thing and the limit, and where it helps a hint (what to do). The
 * code is the one that goes over the wire (keyd.proto, enum ErrorCode): it is never renumbered.
 * Output parameters (ret_x) are untouched on failure. Nothing secret is ever put into a text.
 */
#ifndef KEYD_PROTO_BASE_ERR_H
#define KEYD_PROTO_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Three classes by number: 1 to 31 refused (the same request is refused again), 32 to 63 retry
 * (it may work later), 64 and up fault (something is broken). */
enum err_code {
    ERR_NONE = 0,
    ERR_BAD_REQUEST = 1,  /* malformed message or argument */
    ERR_UNSUPPORTED = 2,  /* a verb, version, type or ability that this keyd or token lacks */
    ERR_DENIED = 3,       /* this caller may not do this */
    ERR_NOT_FOUND = 4,    /* no such tenant, key, object (or none that the caller may see) */
    ERR_AMBIGUOUS = 5,    /* the name fits more than one key */
    ERR_EXISTS = 6,       /* the name is taken */
    ERR_CONFLICT = 7,     /* the thing is not in a state that allows this */
    ERR_BAD_SHAPE = 8,    /* Sign: the message is of no shape that this key may sign */
    ERR_BAD_SCHEME = 9,   /* Sign: the signature scheme does not fit the key or the shape */
    ERR_TOO_LARGE = 10,   /* a frame or field over its cap */
    ERR_BUSY = 32,        /* the queue is full, or the deadline cannot be met */
    ERR_DEADLINE = 33,    /* the deadline passed before an answer was there */
    ERR_UNAVAILABLE = 34, /* daemon, custodian, signer or token is away */
    ERR_INTERNAL = 64,    /* a defect of keyd */
    ERR_TOKEN = 65,       /* the token or its module failed */
    ERR_STORAGE = 66,     /* the registry or a file could not be read or written */
};

enum err_class { ERR_CLASS_NONE, ERR_CLASS_REFUSED, ERR_CLASS_RETRY, ERR_CLASS_FAULT };

struct err {
    enum err_code code;
    uint32_t retry_after_ms; /* with ERR_BUSY and ERR_UNAVAILABLE: when it is worth another try */
    char text[320];
    char hint[192];
};

/* Sets code and text (printf form, cut at the end of the buffer), clears hint and retry.
 * Always returns false, so that a caller writes `return err_set(...)`. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Adds what to do about it. Always returns false. */
bool err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Adds milliseconds after which another try is worth it. Always returns false. */
bool err_retry(struct err *err, uint32_t after_ms);

/* Puts context before the text: "context: text". Always returns false. */
bool err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* As err_set, with ": " and the words for the errno value after the text. Always returns false. */
bool err_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The class that a code belongs to. */
enum err_class err_class(enum err_code code);

/* The code's name as in keyd.proto without its prefix, "BUSY" for ERR_BUSY; "UNKNOWN" for a number
 * that this build does not know. A static string. */
const char *err_name(enum err_code code);

/* Returns false from the caller when the call failed; the callee has filled err. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        if (!(call))                                                                               \
            return false;                                                                          \
    } while (0)

#endif
