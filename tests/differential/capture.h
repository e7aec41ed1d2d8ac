/* SPDX-License-Identifier: Apache-2.0
 *
 * capture: the messages that TLS stacks have signed in real handshakes, whole, with what they are.
 * A stack is one program; it writes a file of records: kind, length (both big-endian, 1 and 4
 * bytes), message.
 */
#ifndef KEYD_TESTS_DIFFERENTIAL_CAPTURE_H
#define KEYD_TESTS_DIFFERENTIAL_CAPTURE_H

#include <stdint.h>
#include <stdio.h>

enum capture_kind {
    CAPTURE_TLS13_SERVER = 1, /* numbers as in files that are committed */
    CAPTURE_TLS13_CLIENT = 2,
    CAPTURE_TLS12_SERVER = 3,
    CAPTURE_TLS12_CLIENT = 4, /* a whole handshake; keyd signs none */
};

/* Writes a record. Ends the program when it cannot. */
static inline void capture_put(FILE *f, enum capture_kind kind, const void *p, size_t n)
{
    const uint8_t head[] = {(uint8_t)kind, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
                            (uint8_t)(n >> 8), (uint8_t)n};

    if (fwrite(head, 1, sizeof(head), f) != sizeof(head) || fwrite(p, 1, n, f) != n) {
        perror("capture");
        _exit(1);
    }
}

#endif
