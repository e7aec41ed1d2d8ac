/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/pem.h"

#include <stdio.h>
#include <string.h>

#define BEGIN  "-----BEGIN "
#define END    "-----END "
#define DASHES "-----"

/* ---- finding */

/* Moves behind the next `mark`, and gives what stands before it. */
static bool up_to(struct rd *r, const char *mark, struct rd *ret_before)
{
    const uint8_t *found = rd_left(r) ? memmem(r->at, rd_left(r), mark, strlen(mark)) : NULL;

    if (!found)
        return false;
    *ret_before = rd_sub(r, (size_t)(found - r->at));
    rd_bytes(r, strlen(mark));
    return true;
}

/* The text up to the dashes that end a BEGIN or END line. */
static bool read_label(struct rd *r, char label[PEM_LABEL_MAX + 1])
{
    struct rd copy = *r, text;

    if (!up_to(&copy, DASHES, &text) || rd_left(&text) > PEM_LABEL_MAX)
        return false;
    size_t n = rd_left(&text);
    rd_copy(&text, label, n);
    label[n] = 0;
    for (size_t i = 0; i < n; i++)
        if (label[i] < ' ' || label[i] > '~')
            return false;
    *r = copy;
    return true;
}

static struct rd next_line(struct rd *r)
{
    struct rd line = {0};

    if (!up_to(r, "\n", &line))
        line = rd_sub(r, rd_left(r));
    while (rd_left(&line) && strchr(" \t\r", line.end[-1]))
        line.end--;
    return line;
}

/* Lines with a colon at the start of a body, up to an empty one, are headers (RFC 1421 4.4). */
static void split_headers(struct pem_block *b)
{
    struct rd rest = b->body;
    const uint8_t *start;
    struct rd line;

    next_line(&rest); /* what is left of the BEGIN line */
    start = rest.at;
    line = next_line(&rest);
    if (rd_left(&line) == 0 || !memchr(line.at, ':', rd_left(&line)))
        return;
    while (rd_left(&line) && rd_left(&rest))
        line = next_line(&rest);
    b->headers = (struct rd){.at = start, .end = rest.at};
    b->body = rest;
}

enum pem_found pem_next(struct rd *text, struct pem_block *ret, struct err *err)
{
    struct pem_block b = {0};
    struct rd before, inside;
    char end[PEM_LABEL_MAX + 1];

    if (!up_to(text, BEGIN, &before))
        return PEM_NONE;
    if (!read_label(text, b.label)) {
        err_set(err, ERR_BAD_REQUEST, "a BEGIN line of PEM does not end in five hyphens");
        return PEM_BROKEN;
    }
    if (!up_to(text, END, &b.body) || !read_label(text, end)) {
        err_set(err, ERR_BAD_REQUEST, "the text breaks off: its \"%s\" has no whole END line",
                b.label);
        err_hint(err, "copy the file again, from -----BEGIN to the end");
        return PEM_BROKEN;
    }
    inside = b.body;
    if (strcmp(b.label, end) != 0 || up_to(&inside, BEGIN, &before)) {
        err_set(err, ERR_BAD_REQUEST, "a block begins as \"%s\" and ends as \"%s\"", b.label, end);
        err_hint(err, "parts of two files? copy the file again, from -----BEGIN to the end");
        return PEM_BROKEN;
    }
    split_headers(&b);
    *ret = b;
    return PEM_BLOCK;
}

struct rd pem_header(const struct pem_block *block, const char *name)
{
    struct rd rest = block->headers;
    size_t n = strlen(name);

    while (rd_left(&rest)) {
        struct rd line = next_line(&rest);

        if (rd_left(&line) <= n || memcmp(line.at, name, n) != 0 || line.at[n] != ':')
            continue;
        rd_bytes(&line, n + 1);
        while (rd_left(&line) && (*line.at == ' ' || *line.at == '\t'))
            rd_u8(&line);
        return line;
    }
    return (struct rd){.failed = true};
}

/* ---- base64 (RFC 4648 4) */

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool bad_character(uint8_t c, struct err *err)
{
    if (c == '\\') {
        err_set(err, ERR_BAD_REQUEST, "its line breaks are written as \\n");
        return err_hint(err, "make lines of them again: printf '%%b' \"$(cat FILE)\" > NEW");
    }
    if (c > ' ' && c <= '~')
        return err_set(err, ERR_BAD_REQUEST, "the PEM holds a '%c', which is no base64", c);
    return err_set(err, ERR_BAD_REQUEST, "the PEM holds a byte 0x%02x, which is no base64", c);
}

/* Four characters are three bytes; the last ones may be padded. */
static bool decode(struct rd body, struct secret *s, struct err *err)
{
    uint32_t bits = 0;
    size_t count = 0, pad = 0;

    while (rd_left(&body)) {
        uint8_t c = rd_u8(&body);
        int v = value_of(c);

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (v < 0 && c != '=')
            return bad_character(c, err);
        if (pad && c != '=')
            return err_set(err, ERR_BAD_REQUEST, "the PEM goes on after the = that ends base64");
        pad += c == '=';
        bits = bits << 6 | (v < 0 ? 0 : (uint32_t)v);
        if (++count % 4 == 0)
            for (unsigned i = 0; i < 3; i++)
                s->bytes[s->len++] = (uint8_t)(bits >> (16 - 8 * i));
    }
    if (count % 4 || pad > 2 || (pad && bits & ((1u << 8 * pad) - 1)))
        return err_set(err, ERR_BAD_REQUEST, "the base64 of the PEM is cut short or damaged");
    s->len -= pad;
    secret_wipe(&bits, sizeof(bits));
    return true;
}

bool pem_decode(struct rd body, struct secret *ret, struct err *err)
{
    struct secret s = {0};

    TRY(secret_new(&s, rd_left(&body) / 4 * 3 + 3, err));
    if (!decode(body, &s, err)) {
        secret_free(&s);
        return false;
    }
    *ret = s;
    return true;
}
