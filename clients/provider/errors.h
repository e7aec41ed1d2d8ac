/* SPDX-License-Identifier: Apache-2.0
 *
 * errors: how the provider speaks through OpenSSL's error queue. On success the queue is left as it
 * was found: a stale error turns nginx's next "want read" into a failure. On failure there is one
 * error, whose reason string alone says what happened, as some servers log nothing else.
 */
#ifndef KEYD_PROVIDER_ERRORS_H
#define KEYD_PROVIDER_ERRORS_H

#include "clients/provider/provider.h"
#include "proto/base/err.h"

/* Our reason codes. 100 and up is 100 + enum keyd_code: what keyd, or the way to it, said. */
enum reason {
    REASON_KEYD = 100,
    REASON_REFERENCE = 200,
    REASON_SETTING,
    REASON_MEMORY,
    REASON_DIGEST,
    REASON_PADDING,
    REASON_SALT,
    REASON_MGF1,
    REASON_NO_KEY,
    REASON_MESSAGE,
    REASON_BUFFER,
    REASON_PRIVATE,
};

/* All reasons with their strings, for OSSL_FUNC_PROVIDER_GET_REASON_STRINGS. */
extern const OSSL_ITEM provider_reasons[];

/* Raises one error on the caller's queue, with a sentence. Always returns 0. */
int raise_error(const struct provider *p, enum reason reason, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Raises what libkeyd reported, after "what: ". Always returns 0. */
int raise_keyd(const struct provider *p, const struct keyd_error *error, const char *what);

#endif
