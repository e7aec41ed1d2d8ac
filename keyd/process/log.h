/* SPDX-License-Identifier: Apache-2.0
 *
 * log: lines on stderr, in a form that journald and a person can read:
 *   "keyd[signer 1]: sign failed call=17 key=ab12cd34 code=BAD_SHAPE: ..."
 * With JOURNAL_STREAM in the environment each begins with its priority ("<3>", sd-daemon(3)), else
 * with the time. Only gates, the parent and what ends a process log; rooms below return errors.
 * Never a secret; bytes from outside are escaped.
 */
#ifndef KEYD_PROCESS_LOG_H
#define KEYD_PROCESS_LOG_H

#include <stddef.h>

#include "proto/base/err.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6
};

/* Names this process in its lines ("signer 1"); the name is copied. */
void log_init(const char *process);

/* Writes one line with one write(2). Control characters and bytes over 0x7e become \xNN. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "text; hint (CODE)": an error as the tail of a line, into buf. Returns buf. */
const char *log_err(const struct err *err, char *buf, size_t size);

#endif
