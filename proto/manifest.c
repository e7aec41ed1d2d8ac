/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/manifest.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/keys.h"

#define MAGIC     "keyd-backup "
#define LINE_MAX_ 512
#define SUM_LINE  (sizeof("sum \n") - 1 + 2 * SUM_LEN)

/* ---- sums */

bool sum_begin(struct sum *ret, struct err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
    }
    ret->ctx = ctx;
    return true;
}

bool sum_add(struct sum *s, const void *p, size_t n)
{
    return EVP_DigestUpdate(s->ctx, p, n) == 1;
}

bool sum_end(struct sum *s, uint8_t ret[SUM_LEN])
{
    return EVP_DigestFinal_ex(s->ctx, ret, NULL) == 1;
}

void sum_free(struct sum *s)
{
    EVP_MD_CTX_free(s->ctx);
    s->ctx = NULL;
}

static bool sum_of(const void *p, size_t n, uint8_t ret[SUM_LEN])
{
    return EVP_Digest(p, n, ret, NULL, EVP_sha256(), NULL) == 1;
}

/* ---- names of files: they are joined to a folder's path by who reads a backup */

static bool part_ok(const char *part, size_t n)
{
    if (n == 0 || part[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)part[i]) && !strchr("._-", part[i]))
            return false;
    return true;
}

static bool name_ok(const char *name)
{
    size_t n = strcspn(name, "/");

    if (strlen(name) > MANIFEST_NAME_MAX)
        return false;
    for (; part_ok(name, n); n = strcspn(name, "/")) {
        if (name[n] == '\0')
            return true;
        name += n + 1;
    }
    return false;
}

/* ---- writing */

static bool put(struct buf *b, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static bool put(struct buf *b, struct err *err, const char *fmt, ...)
{
    uint8_t *room = buf_room(b, LINE_MAX_, MANIFEST_MAX);
    va_list ap;

    if (!room)
        return err_set(err, ERR_INTERNAL, "no memory for the backup's manifest");
    va_start(ap, fmt);
    int n = vsnprintf((char *)room, LINE_MAX_, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= LINE_MAX_)
        return err_set(err, ERR_INTERNAL, "a line of the backup's manifest is too long");
    buf_fill(b, (size_t)n);
    return true;
}

static const char *plain(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; text[n] && n + 1 < size; n++)
        out[n] = (char)((unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n]);
    out[n] = '\0';
    return out;
}

bool manifest_begin(struct buf *b, const struct manifest *m, struct err *err)
{
    char label[40], serial[24], model[24];

    return put(b, err,
               MAGIC "%d\ntime %s\nkeyd %s\ntoken-label %s\ntoken-serial %s\ntoken-model %s\n"
                     "token-private-keys %u\nkeys %u\n",
               MANIFEST_VERSION, m->time, m->keyd, plain(m->token_label, label, sizeof(label)),
               plain(m->token_serial, serial, sizeof(serial)),
               plain(m->token_model, model, sizeof(model)), m->private_keys, m->keys);
}

bool manifest_add(struct buf *b, const struct manifest_file *file, struct err *err)
{
    char hex[2 * SUM_LEN + 1];

    if (!name_ok(file->name))
        return err_set(err, ERR_BAD_REQUEST, "a file named \"%.100s\" cannot stand in a backup",
                       file->name);
    return put(b, err, "file %llu %s %s\n", (unsigned long long)file->size,
               hex_encode(file->sum, SUM_LEN, hex), file->name);
}

bool manifest_end(struct buf *b, struct err *err)
{
    uint8_t sum[SUM_LEN];
    char hex[2 * SUM_LEN + 1];

    if (!sum_of(buf_head(b), b->len, sum))
        return err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
    return put(b, err, "sum %s\n", hex_encode(sum, SUM_LEN, hex));
}

/* ---- reading */

/* The rest of a line, without its end, into out. */
static void get_text(struct rd *r, char *out, size_t size)
{
    const uint8_t *end = r->failed ? NULL : memchr(r->at, '\n', rd_left(r));
    size_t n = end ? (size_t)(end - r->at) : 0;

    if (!end || n >= size) {
        r->failed = true;
        out[0] = '\0';
        return;
    }
    rd_copy(r, out, n);
    out[n] = '\0';
    rd_expect(r, "\n", 1);
    if (strlen(out) != n)
        r->failed = true;
}

static void get_value(struct rd *r, const char *word, char *out, size_t size)
{
    rd_expect(r, word, strlen(word));
    rd_expect(r, " ", 1);
    get_text(r, out, size);
}

/* Decimal digits up to `stop`, which is used up. */
static uint64_t get_number(struct rd *r, char stop)
{
    uint64_t n = 0;
    size_t digits = 0;
    uint8_t c = rd_u8(r);

    for (; isdigit(c) && digits < 18; digits++, c = rd_u8(r))
        n = n * 10 + (uint64_t)(c - '0');
    if (digits == 0 || c != (uint8_t)stop)
        r->failed = true;
    return n;
}

static uint32_t get_count(struct rd *r, const char *word)
{
    rd_expect(r, word, strlen(word));
    rd_expect(r, " ", 1);
    uint64_t n = get_number(r, '\n');
    if (n > UINT32_MAX)
        r->failed = true;
    return (uint32_t)n;
}

static void get_sum(struct rd *r, uint8_t out[SUM_LEN])
{
    char hex[2 * SUM_LEN + 1] = "";

    rd_copy(r, hex, 2 * SUM_LEN);
    if (!hex_decode(hex, out, SUM_LEN))
        r->failed = true;
}

static void get_file(struct rd *r, struct manifest_file *ret)
{
    rd_expect(r, "file ", 5);
    ret->size = get_number(r, ' ');
    get_sum(r, ret->sum);
    rd_expect(r, " ", 1);
    get_text(r, ret->name, sizeof(ret->name));
    if (!name_ok(ret->name))
        r->failed = true;
}

static bool damaged(struct err *err)
{
    return err_set(err, ERR_STORAGE, MANIFEST_NAME " is damaged or cut short");
}

static bool check_version(struct rd *r, struct err *err)
{
    rd_expect(r, MAGIC, sizeof(MAGIC) - 1);
    if (r->failed)
        return err_set(err, ERR_STORAGE, MANIFEST_NAME " is not of a backup of keyd");
    uint64_t version = get_number(r, '\n');
    if (r->failed)
        return damaged(err);
    if (version == MANIFEST_VERSION)
        return true;
    err_set(err, ERR_UNSUPPORTED,
            "the backup has format version %llu; keyd " KEYD_VERSION " reads version %d",
            (unsigned long long)version, MANIFEST_VERSION);
    return err_hint(err, "restore it with the keyd that wrote it");
}

static bool check_sum(const uint8_t *p, size_t len, struct err *err)
{
    uint8_t said[SUM_LEN], is[SUM_LEN];
    struct rd r = rd_of(p + len - SUM_LINE, SUM_LINE);

    rd_expect(&r, "sum ", 4);
    get_sum(&r, said);
    rd_expect(&r, "\n", 1);
    if (!rd_end(&r) || !sum_of(p, len - SUM_LINE, is) || memcmp(said, is, SUM_LEN) != 0)
        return damaged(err);
    return true;
}

/* Goes through all lines of files, so that manifest_next can only succeed. */
static bool count_files(struct manifest *m)
{
    struct rd r = m->lines;

    while (!r.failed && rd_left(&r) > 0) {
        struct manifest_file file = {.size = 0};

        get_file(&r, &file);
        m->files++;
        m->bytes += file.size;
        m->token_files |= strncmp(file.name, MANIFEST_TOKENS, strlen(MANIFEST_TOKENS)) == 0;
    }
    return !r.failed;
}

bool manifest_read(const void *p, size_t len, struct manifest *ret, struct err *err)
{
    struct manifest m = {.files = 0};
    struct rd first = rd_of(p, len);

    TRY(check_version(&first, err));
    if (rd_left(&first) < SUM_LINE)
        return damaged(err);
    TRY(check_sum(p, len, err));
    struct rd r = rd_sub(&first, rd_left(&first) - SUM_LINE);
    get_value(&r, "time", m.time, sizeof(m.time));
    get_value(&r, "keyd", m.keyd, sizeof(m.keyd));
    get_value(&r, "token-label", m.token_label, sizeof(m.token_label));
    get_value(&r, "token-serial", m.token_serial, sizeof(m.token_serial));
    get_value(&r, "token-model", m.token_model, sizeof(m.token_model));
    m.private_keys = get_count(&r, "token-private-keys");
    m.keys = get_count(&r, "keys");
    m.lines = r;
    if (r.failed || !count_files(&m))
        return damaged(err);
    *ret = m;
    return true;
}

bool manifest_next(struct rd *lines, struct manifest_file *ret)
{
    if (lines->failed || rd_left(lines) == 0)
        return false;
    get_file(lines, ret);
    return !lines->failed;
}
