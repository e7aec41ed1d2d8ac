/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    struct err fresh = {.code = code};

    va_start(ap, fmt);
    vsnprintf(fresh.text, sizeof(fresh.text), fmt, ap);
    va_end(ap);
    *err = fresh; /* built apart: an argument may point into *err */
    return false;
}

bool err_hint(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
    return false;
}

bool err_retry(struct err *err, uint32_t after_ms)
{
    err->retry_after_ms = after_ms;
    return false;
}

bool err_prefix(struct err *err, const char *fmt, ...)
{
    va_list ap;
    char text[sizeof(err->text)];

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(text))
        snprintf(text + n, sizeof(text) - (size_t)n, ": %s", err->text);
    memcpy(err->text, text, sizeof(text));
    return false;
}

bool err_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
{
    va_list ap;
    char text[sizeof(err->text)], words[128];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(err, code, "%s: %s", text, strerror_r(errnum, words, sizeof(words)));
}

enum err_class err_class(enum err_code code)
{
    if (code == ERR_NONE)
        return ERR_CLASS_NONE;
    if (code < 32)
        return ERR_CLASS_REFUSED;
    return code < 64 ? ERR_CLASS_RETRY : ERR_CLASS_FAULT;
}

const char *err_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "NONE";
    case ERR_BAD_REQUEST:
        return "BAD_REQUEST";
    case ERR_UNSUPPORTED:
        return "UNSUPPORTED";
    case ERR_DENIED:
        return "DENIED";
    case ERR_NOT_FOUND:
        return "NOT_FOUND";
    case ERR_AMBIGUOUS:
        return "AMBIGUOUS";
    case ERR_EXISTS:
        return "EXISTS";
    case ERR_CONFLICT:
        return "CONFLICT";
    case ERR_BAD_SHAPE:
        return "BAD_SHAPE";
    case ERR_BAD_SCHEME:
        return "BAD_SCHEME";
    case ERR_TOO_LARGE:
        return "TOO_LARGE";
    case ERR_BUSY:
        return "BUSY";
    case ERR_DEADLINE:
        return "DEADLINE";
    case ERR_UNAVAILABLE:
        return "UNAVAILABLE";
    case ERR_INTERNAL:
        return "INTERNAL";
    case ERR_TOKEN:
        return "TOKEN";
    case ERR_STORAGE:
        return "STORAGE";
    }
    return "UNKNOWN";
}
