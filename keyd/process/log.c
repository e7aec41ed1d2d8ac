/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 1400

static char name[48] = "keyd";
static bool to_journal;

void log_init(const char *process)
{
    snprintf(name, sizeof(name), "%s", process);
    to_journal = getenv("JOURNAL_STREAM") != NULL;
}

/* In UTC: a confined process cannot read the time zone. */
static size_t put_head(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm tm;
    char when[32];

    if (to_journal)
        return (size_t)snprintf(line, size, "<%d>keyd[%s]: ", (int)level, name);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    return (size_t)snprintf(line, size, "%s.%03ldZ keyd[%s]: ", when, now.tv_nsec / 1000000, name);
}

static size_t put_escaped(char *line, size_t at, size_t size, const char *text)
{
    for (; *text && at + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c <= 0x7e)
            line[at++] = (char)c;
        else
            at += (size_t)snprintf(line + at, size - at, "\\x%02x", c);
    }
    return at;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char text[LINE_MAX_LEN], line[LINE_MAX_LEN + 128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t len = put_head(line, sizeof(line), level);
    len = put_escaped(line, len, sizeof(line) - 1, text);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}

const char *log_err(const struct err *err, char *buf, size_t size)
{
    snprintf(buf, size, "%s%s%s (%s)", err->text, err->hint[0] ? "; " : "", err->hint,
             err_name(err->code));
    return buf;
}
