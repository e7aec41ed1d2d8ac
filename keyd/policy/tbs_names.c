/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/policy/tbs_names.h"

#include <string.h>

#define NAME_MAX_DNS  253 /* RFC 1035 2.3.4, without the dot at the end */
#define LABEL_MAX_DNS 63

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_label_char(uint8_t c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool is_label(const uint8_t *p, size_t n)
{
    if (n == 0 || n > LABEL_MAX_DNS || p[0] == '-' || p[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_label_char(p[i]))
            return false;
    return true;
}

/* Bytes up to the next dot, or the end. */
static size_t label_length(const uint8_t *p, size_t n)
{
    const uint8_t *dot = memchr(p, '.', n);

    return dot ? (size_t)(dot - p) : n;
}

static bool is_host(const uint8_t *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_DNS)
        return false;
    size_t at = len > 2 && name[0] == '*' && name[1] == '.' ? 2 : 0;
    for (;;) {
        size_t n = label_length(name + at, len - at);
        if (!is_label(name + at, n))
            return false;
        at += n;
        if (at == len)
            return true;
        at++; /* the dot; a label must follow */
    }
}

static bool same(const uint8_t *name, const char *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(name[i]) != lower((uint8_t)pattern[i]))
            return false;
    return true;
}

/* The name ends in the tail, which begins with a dot, and has something before it. */
static bool is_below(const uint8_t *name, size_t len, const char *tail)
{
    size_t n = strlen(tail);

    return len > n && same(name + len - n, tail, n);
}

static bool covers(const char *pattern, const uint8_t *name, size_t len)
{
    if (pattern[0] == '.')
        return is_below(name, len, pattern);
    if (pattern[0] == '*')
        return is_below(name, len, pattern + 1) &&
               label_length(name, len) == len - strlen(pattern + 1);
    return strlen(pattern) == len && same(name, pattern, len);
}

bool tbs_name_allowed(const struct tbs_names *allowed, const uint8_t *name, size_t len)
{
    if (allowed->count == 0)
        return true;
    for (size_t i = 0; is_host(name, len) && i < allowed->count; i++)
        if (covers(allowed->names[i], name, len))
            return true;
    return false;
}
