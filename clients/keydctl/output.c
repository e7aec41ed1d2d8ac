/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/output.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/mem.h"

#define REAL_DIGITS 10 /* what a measurement has at most; more shows how doubles are made */

/* ---- values as text */

static void text_default(const json_t *value, char *buf)
{
    size_t used = 0;

    buf[0] = 0;
    if (json_is_string(value))
        snprintf(buf, CELL_MAX, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(buf, CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value) && used < CELL_MAX; i++) {
        const char *s = json_string_value(json_array_get(value, i));

        used += (size_t)snprintf(buf + used, CELL_MAX - used, "%s%s", i ? ", " : "", s ? s : "");
    }
}

void text_duration(const json_t *value, char *buf)
{
    uint64_t s = (uint64_t)json_integer_value(value) / 1000;
    uint64_t days = s / 86400;

    if (days)
        snprintf(buf, CELL_MAX, "%" PRIu64 "d %02u:%02u:%02u", days, (unsigned)(s / 3600 % 24),
                 (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else
        snprintf(buf, CELL_MAX, "%02u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
}

void text_rate(const json_t *value, char *buf)
{
    snprintf(buf, CELL_MAX, "%.1f", json_number_value(value));
}

void text_short(const json_t *value, char *buf)
{
    const char *s = json_string_value(value);

    snprintf(buf, CELL_MAX, "%.16s", s ? s : "");
}

static void cell_text(const struct column *c, const json_t *object, char *buf)
{
    const json_t *value = json_object_get(object, c->member);

    buf[0] = 0;
    if (value && !json_is_null(value))
        (c->text ? c->text : text_default)(value, buf);
}

/* ---- tables */

static bool in_colour(FILE *f)
{
    const char *no = getenv("NO_COLOR");

    return isatty(fileno(f)) && !(no && no[0]);
}

static bool add_row(struct libscols_table *t, const struct column *columns, const json_t *object)
{
    struct libscols_line *line = scols_table_new_line(t, NULL);

    for (size_t i = 0; line && columns[i].title; i++) {
        char text[CELL_MAX];

        cell_text(&columns[i], object, text);
        if (scols_line_set_data(line, i, text[0] ? text : "-") != 0)
            return false;
        const char *colour = columns[i].colour ? columns[i].colour(text) : NULL;
        if (colour && scols_cell_set_color(scols_line_get_cell(line, i), colour) != 0)
            return false;
    }
    return line != NULL;
}

static bool fill_table(struct libscols_table *t, FILE *f, const struct column *columns,
                       const json_t *rows)
{
    if (scols_table_set_stream(t, f) != 0 || scols_table_enable_colors(t, in_colour(f)) != 0)
        return false;
    for (const struct column *c = columns; c->title; c++) {
        struct libscols_column *made =
            scols_table_new_column(t, c->title, 0, c->right ? SCOLS_FL_RIGHT : 0);

        if (!made || scols_cell_set_color(scols_column_get_header(made), "bold") != 0)
            return false;
    }
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!add_row(t, columns, json_array_get(rows, i)))
            return false;
    return true;
}

bool out_table(FILE *f, const struct column *columns, const json_t *rows)
{
    struct libscols_table *t = scols_new_table();
    bool ok = t && fill_table(t, f, columns, rows) && scols_print_table(t) == 0;

    scols_unref_table(t);
    return ok;
}

void out_fields(FILE *f, const struct column *fields, const json_t *object, int indent)
{
    int width = 0;

    for (const struct column *c = fields; c->title; c++)
        if ((int)strlen(c->title) > width)
            width = (int)strlen(c->title);
    for (const struct column *c = fields; c->title; c++) {
        char text[CELL_MAX];

        cell_text(c, object, text);
        if (!text[0])
            continue;
        fprintf(f, "%*s%s:%*s ", indent, "", c->title, width - (int)strlen(c->title), "");
        out_text(f, text);
        fputc('\n', f);
    }
}

void out_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];

        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
            fprintf(f, "\\x%02x", c);
        else
            fputc(c, f);
    }
}

/* ---- JSON */

bool out_json(FILE *f, const json_t *value)
{
    return json_dumpf(value, f, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS)) == 0 &&
           fputc('\n', f) != EOF;
}

json_t *out_string(const char *s)
{
    json_t *j = json_string(s);

    if (j)
        return j;
    size_t n = strlen(s);
    char *escaped AUTO_FREE = mem_array(n + 1, 4);
    for (size_t i = 0, at = 0; escaped && i < n; i++) {
        bool plain = s[i] >= 0x20 && s[i] < 0x7f;

        at += (size_t)snprintf(escaped + at, 5, plain ? "%c" : "\\x%02x", (unsigned char)s[i]);
    }
    return escaped ? json_string(escaped) : NULL;
}

json_t *out_hex(const uint8_t *p, size_t n)
{
    char *hex AUTO_FREE = mem_array(n + 1, 2);

    for (size_t i = 0; hex && i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", p[i]);
    return hex ? json_string(hex) : NULL;
}

json_t *out_base64(const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text AUTO_FREE = mem_array(n / 3 + 2, 4);
    char *at = text;

    for (size_t i = 0; text && i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;

        v |= have > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= have > 2 ? p[i + 2] : 0;
        *at++ = digits[v >> 18];
        *at++ = digits[v >> 12 & 63];
        *at++ = have > 1 ? digits[v >> 6 & 63] : '=';
        *at++ = have > 2 ? digits[v & 63] : '=';
    }
    return text ? json_string(text) : NULL;
}

json_t *out_time(uint64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[64];

    if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}
