/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_keyd: a keyd for tests of clients: a forked process that speaks the real protocol and signs
 * with keys in software. It signs any message (what keyd recognises is tested elsewhere), and it
 * can be told to be busy, to refuse, and to die.
 */
#ifndef KEYD_TESTS_FAKE_KEYD_H
#define KEYD_TESTS_FAKE_KEYD_H

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define FAKE_KEYS_MAX 8
#define FAKE_LOG_MAX  65536

/* What test and server see of each other; the test may change the second half at any time. */
struct fake_shared {
    atomic_uint connections; /* accepted */
    atomic_uint signs;       /* Sign requests, refused ones included */
    atomic_uint scheme;      /* of the last Sign */

    atomic_uint busy_left; /* so many Sign requests are answered BUSY */
    atomic_int fail_code;  /* enum err_code: every Sign is answered with it; 0: sign */
    atomic_bool garbage;   /* signatures come with one bit wrong */
    atomic_bool silent;    /* Sign is never answered */

    /* What it was asked to sign: for each message the key's index (1 byte), the length (4, big
     * endian), the bytes. The test sets `logged` to 0 when it has read them; what has no room is
     * counted alone. */
    atomic_uint logged, lost;
    uint8_t log[FAKE_LOG_MAX];
};

struct fake_keyd {
    pid_t pid; /* 0: does not run */
    char path[108];
    EVP_PKEY *keys[FAKE_KEYS_MAX]; /* the test's */
    size_t key_count;
    struct fake_shared *shared;
};

/* Prepares a server for a socket path and keys; starts nothing. Ended with fake_done. */
void fake_init(struct fake_keyd *f, const char *path, EVP_PKEY *const *keys, size_t count);

/* Binds the socket and forks the server: clients can connect when this returns. */
void fake_start(struct fake_keyd *f);

/* Kills the server, waits for it, removes the socket. No server is fine. */
void fake_stop(struct fake_keyd *f);

/* Stops and gives back the shared memory. */
void fake_done(struct fake_keyd *f);

#endif
