/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/table.h"

#include <string.h>
#include <sys/mman.h>

#include "keyd/process/sealed.h"
#include "proto/base/mem.h"
#include "proto/base/wr.h"

#define MAGIC     UINT64_C(0x4b45594454414232) /* "KEYDTAB2" */
#define ENTRY_MAX (sizeof(struct table_key) + 64)
#define WHAT      "the table of keys"

/* ---- hashing */

/* Ids are SHA-256: their first bytes are as good as any hash. */
static size_t home(const struct table *t, const uint8_t id[TABLE_ID_LEN])
{
    size_t h;

    memcpy(&h, id, sizeof(h));
    return h & (t->slot_count - 1);
}

static size_t slot_of(const struct table *t, const uint8_t id[TABLE_ID_LEN])
{
    size_t i = home(t, id);

    while (t->slots[i] && memcmp(t->slots[i]->id, id, TABLE_ID_LEN) != 0)
        i = (i + 1) & (t->slot_count - 1);
    return i;
}

struct table_key *table_find(const struct table *t, const uint8_t id[TABLE_ID_LEN])
{
    return t->count ? t->slots[slot_of(t, id)] : NULL;
}

bool table_key_missing(struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "the token does not show this key");
    return err_hint(err, "keydctl status, and keydctl token-objects, show what is there");
}

bool table_key_signs(const struct table_key *key, struct err *err)
{
    switch (key->state) {
    case KEY_ENABLED:
        return true;
    case KEY_DISABLED:
        err_set(err, ERR_CONFLICT, "the key is disabled");
        return err_hint(err, "an operator can enable it again: keydctl keys-enable");
    case KEY_DESTROYED:
        return err_set(err, ERR_NOT_FOUND, "the key was destroyed");
    case KEY_MISSING:
        break;
    }
    return table_key_missing(err);
}

/* At most half full, always a power of two. */
static bool grow(struct table *t)
{
    struct table bigger = {.version = t->version, .count = t->count};

    if (2 * (t->count + 1) <= t->slot_count)
        return true;
    bigger.slot_count = t->slot_count ? 2 * t->slot_count : 64;
    bigger.slots = mem_array(bigger.slot_count, sizeof(*bigger.slots));
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < t->slot_count; i++) {
        if (t->slots[i])
            bigger.slots[slot_of(&bigger, t->slots[i]->id)] = t->slots[i];
    }
    mem_free(t->slots);
    *t = bigger;
    return true;
}

struct table_key *table_put(struct table *t, const struct table_key *key)
{
    if (!grow(t))
        return NULL;
    struct table_key **slot = &t->slots[slot_of(t, key->id)];
    if (!*slot) {
        *slot = mem_dup(key, sizeof(*key));
        if (!*slot)
            return NULL;
        (*slot)->user = NULL;
        t->count++;
    } else if (key->version >= (*slot)->version) {
        void *user = (*slot)->user;

        **slot = *key;
        (*slot)->user = user;
    }
    if (key->version > t->version)
        t->version = key->version;
    return *slot;
}

struct table_key *table_at(const struct table *t, size_t i)
{
    return t->slots[i];
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->slot_count; i++)
        mem_free(t->slots[i]);
    mem_free(t->slots);
    *t = (struct table){0};
}

/* ---- encoding */

static void entry_write(struct wr *w, const struct table_key *k)
{
    wr_bytes(w, k->id, TABLE_ID_LEN);
    wr_u64(w, k->version);
    wr_u8(w, k->type);
    wr_u8(w, (uint8_t)k->state);
    wr_u32(w, k->purposes);
    wr_text(w, k->tenant);
    wr_text(w, k->name);
    wr_u16(w, (uint16_t)k->cka_id_len);
    wr_bytes(w, k->cka_id, k->cka_id_len);
    wr_u16(w, (uint16_t)k->spki_len);
    wr_bytes(w, k->spki, k->spki_len);
}

static size_t capped_bytes(struct rd *r, uint8_t *out, size_t cap)
{
    size_t len = rd_u16(r);

    if (len > cap) {
        r->failed = true;
        return 0;
    }
    rd_copy(r, out, len);
    return len;
}

static void entry_read(struct rd *r, struct table_key *k)
{
    *k = (struct table_key){0};
    rd_copy(r, k->id, TABLE_ID_LEN);
    k->version = rd_u64(r);
    k->type = rd_u8(r);
    k->state = (enum key_state)rd_u8(r);
    k->purposes = rd_u32(r);
    rd_text(r, k->tenant, sizeof(k->tenant));
    rd_text(r, k->name, sizeof(k->name));
    k->cka_id_len = capped_bytes(r, k->cka_id, sizeof(k->cka_id));
    k->spki_len = capped_bytes(r, k->spki, sizeof(k->spki));
}

void table_put_msg(struct chan *c, const struct table_key *key)
{
    uint8_t bytes[ENTRY_MAX];
    struct wr w = wr_of(bytes, sizeof(bytes));

    entry_write(&w, key);
    put_raw(c, bytes, w.len);
}

void table_get_msg(struct msg *m, struct table_key *ret)
{
    entry_read(&m->body, ret);
}

/* ---- memory file */

bool table_to_fd(const struct table *t, int *ret_fd, struct err *err)
{
    size_t cap = 20 + t->count * ENTRY_MAX;
    AUTO_FREE uint8_t *bytes = mem_new(cap);

    if (!bytes)
        return err_set(err, ERR_INTERNAL, "no memory for a table of %zu keys", t->count);
    struct wr w = wr_of(bytes, cap);
    wr_u64(&w, MAGIC);
    wr_u64(&w, t->version);
    wr_u32(&w, (uint32_t)t->count);
    for (size_t i = 0; i < t->slot_count; i++) {
        if (t->slots[i])
            entry_write(&w, t->slots[i]);
    }
    if (!wr_ok(&w))
        return err_set(err, ERR_INTERNAL, "the table of keys outgrew its buffer");
    return sealed_make(WHAT, bytes, w.len, ret_fd, err);
}

static bool read_entries(struct table *t, struct rd r, struct err *err)
{
    struct table_key key;

    if (rd_u64(&r) != MAGIC)
        return err_set(err, ERR_INTERNAL, "the memory file is no table of keys");
    uint64_t version = rd_u64(&r);
    for (uint32_t n = rd_u32(&r); n > 0 && !r.failed; n--) {
        entry_read(&r, &key);
        if (!r.failed && !table_put(t, &key))
            return err_set(err, ERR_INTERNAL, "no memory for the table of keys");
    }
    if (!rd_end(&r))
        return err_set(err, ERR_INTERNAL, "the table of keys is damaged");
    if (version > t->version)
        t->version = version;
    return true;
}

bool table_from_fd(struct table *t, int fd, struct err *err)
{
    const uint8_t *p;
    size_t len;

    TRY(sealed_map(WHAT, fd, &p, &len, err));
    bool ok = read_entries(t, rd_of(p, len), err);
    munmap((void *)p, len);
    return ok;
}
