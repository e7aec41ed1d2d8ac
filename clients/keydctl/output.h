/* SPDX-License-Identifier: Apache-2.0
 *
 * output: a command makes one JSON value; --json prints it, else a table or a list of fields shows
 * parts of it. So machines and people are told the same. Aligned by libsmartcols; colour and bold
 * only on a terminal (and not with NO_COLOR set, https://no-color.org).
 */
#ifndef KEYD_CLIENTS_KEYDCTL_OUTPUT_H
#define KEYD_CLIENTS_KEYDCTL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CELL_MAX 512

/* Writes the text of a value to buf (CELL_MAX bytes). */
typedef void value_text(const json_t *value, char *buf);

struct column { /* a table ends with a column without a title */
    const char *title;
    const char *member; /* of the row's object */
    value_text *text;   /* NULL: strings and numbers as they are, arrays with ", " between */
    bool right;         /* numbers */
    /* The colour ("red") for this value, NULL for none; may be NULL. */
    const char *(*colour)(const char *text);
};

/* Prints the array of objects as a table. False without memory. */
bool out_table(FILE *f, const struct column *columns, const json_t *rows);

/* Prints members of an object as aligned lines "title: value", `indent` spaces in; members that are
 * absent or empty are left out. */
void out_fields(FILE *f, const struct column *fields, const json_t *object, int indent);

/* Prints the value, indented, with a newline. False: it could not be written. */
bool out_json(FILE *f, const json_t *value);

/* A JSON string; what is no UTF-8 is escaped first. */
json_t *out_string(const char *s);

/* A JSON string of the bytes in lower-case hex, and in base64 (RFC 4648 4). */
json_t *out_hex(const uint8_t *p, size_t n);
/* See out_hex. */
json_t *out_base64(const uint8_t *p, size_t n);

/* A JSON string of seconds since 1970: "2026-01-31T12:00:00Z" (RFC 3339, UTC). */
json_t *out_time(uint64_t seconds);

/* Milliseconds as "3d 04:05:06", "04:05:06". */
value_text text_duration;

/* A number with one digit behind the point. */
value_text text_rate;

/* The first 16 characters of a string. */
value_text text_short;

/* Prints a text that came from elsewhere: control characters become \xNN. */
void out_text(FILE *f, const char *s);

#endif
