/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry says what should be, the token says what is (design D4).
 *   - An object with the CKA_ID of an open intent is ours and was never reported to anyone: it
 * goes.
 *   - A registered key without an object is *missing*, which proves nothing (a wrong permission
 * looks the same): the registry stays as it is. If more than one is missing, something is wrong
 * with the token, and changes are refused.
 *   - Import keys that were retired and that no import needs any more go.
 *   - Everything else in the token is left alone and reported.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/softhsm.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define PAGE 500

void custodian_note(struct custodian *c, const char *fmt, ...)
{
    va_list ap;

    if (c->note_count == NOTES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(c->notes[c->note_count++], NOTE_SIZE, fmt, ap);
    va_end(ap);
}

/* ---- private keys of the token, sorted by CKA_ID */

struct census {
    struct token_private *list;
    size_t count;
};

static void census_free(struct census *s)
{
    mem_free(s->list);
}

static int compare_ids(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_cka_id(const void *a, const void *b)
{
    const struct token_private *x = a, *y = b;

    return compare_ids(x->cka_id, x->cka_id_len, y->cka_id, y->cka_id_len);
}

static bool census_take(struct custodian *c, struct census *ret, struct err *err)
{
    TRY(token_list_private(c->token, &ret->list, &ret->count, err));
    qsort(ret->list, ret->count, sizeof(ret->list[0]), by_cka_id);
    return true;
}

/* How many private keys have this CKA_ID; *ret_first is the place of the first. */
static size_t census_find(const struct census *s, const uint8_t *cka_id, size_t len,
                          size_t *ret_first)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_ids(s->list[mid].cka_id, s->list[mid].cka_id_len, cka_id, len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_first = low;
    while (high < s->count &&
           compare_ids(s->list[high].cka_id, s->list[high].cka_id_len, cka_id, len) == 0)
        high++;
    return high - low;
}

/* ---- intents */

static bool is_registered(struct custodian *c, const struct registry_intent *intent, bool *ret,
                          struct err *err)
{
    struct registry_import_key import_key;
    struct registry_key key;

    *ret = registry_key_by_cka_id(c->registry, intent->cka_id, intent->cka_id_len, &key, err);
    if (*ret || err->code != ERR_NOT_FOUND)
        return *ret;
    *ret = registry_import_by_cka_id(c->registry, intent->cka_id, intent->cka_id_len, &import_key,
                                     err);
    return *ret || err->code == ERR_NOT_FOUND;
}

/* Undone is what was begun and not committed. What the registry holds is never destroyed. */
static bool undo(struct custodian *c, const struct registry_intent *intent,
                 const struct census *census, struct err *err)
{
    bool registered = false;
    size_t first;

    TRY(is_registered(c, intent, &registered, err));
    if (registered)
        return registry_intent_drop(c->registry, intent->id, err);
    size_t count = census_find(census, intent->cka_id, intent->cka_id_len, &first);
    for (size_t i = first; i < first + count; i++)
        TRY(token_destroy(c->token, census->list[i].handle, err));
    TRY(softhsm_sync(c->state_dir, err));
    return registry_intent_drop(c->registry, intent->id, err);
}

bool reconcile_intents(struct custodian *c, struct err *err)
{
    AUTO_FREE struct registry_intent *intents = NULL;
    CLEANUP(census_free) struct census census = {.list = NULL};
    size_t count;

    TRY(registry_intent_list(c->registry, &intents, &count, err));
    if (count == 0)
        return true;
    TRY(census_take(c, &census, err));
    for (size_t i = 0; i < count; i++)
        TRY(undo(c, &intents[i], &census, err));
    return true;
}

/* ---- keys that are being destroyed */

static bool finish_page(struct custodian *c, const struct registry_key *rows, size_t count,
                        struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].state == REGISTRY_KEY_DESTROYING && !destroy_finish(c, &rows[i], err)) {
            if (err->code != ERR_CONFLICT)
                return err_prefix(err, "%s/%s", rows[i].tenant, rows[i].name);
            custodian_note(c, "%s/%s is not destroyed yet: %s", rows[i].tenant, rows[i].name,
                           err->text); /* that is no reason not to serve the others */
        }
    return true;
}

static bool finish_destroys(struct custodian *c, struct err *err)
{
    AUTO_FREE struct registry_key *rows = mem_array(PAGE, sizeof(*rows));
    char after[2 * NAME_MAX_LEN + 2] = "";
    size_t count;
    bool more = true;

    if (!rows)
        return err_set(err, ERR_INTERNAL, "no memory for a list of keys");
    while (more) {
        TRY(registry_key_list(c->registry, "", after, rows, PAGE, &count, &more, err));
        TRY(finish_page(c, rows, count, err));
        if (more)
            snprintf(after, sizeof(after), "%s/%s", rows[count - 1].tenant, rows[count - 1].name);
    }
    return true;
}

/* ---- keys */

struct comparison {
    struct census census;
    uint32_t registered, missing, doubled;
    size_t known;                    /* private keys of the token that are registered */
    char example[120], doubles[120]; /* names of missing and of doubled keys */
};

static void comparison_free(struct comparison *f)
{
    census_free(&f->census);
}

/* Counts the key; the names of the first three stand in `names`. */
static void note_name(uint32_t *count, char *names, size_t size, const struct registry_key *key)
{
    size_t at = strlen(names);

    if (++*count <= 3)
        snprintf(names + at, size - at, "%s%s/%s", at ? ", " : "", key->tenant, key->name);
    else if (*count == 4)
        snprintf(names + at, size - at, ", ...");
}

static enum key_state state_in(const struct registry_key *key, size_t there)
{
    if (key->state == REGISTRY_KEY_DESTROYING)
        return KEY_DESTROYED;
    if (key->state == REGISTRY_KEY_DISABLED)
        return KEY_DISABLED;
    return there == 1 ? KEY_ENABLED : KEY_MISSING;
}

static bool compare_key(struct custodian *c, struct comparison *f, const struct registry_key *key,
                        struct err *err)
{
    size_t first;
    size_t there = census_find(&f->census, key->cka_id, key->cka_id_len, &first);

    f->registered++;
    f->known += there;
    if (there > 1)
        note_name(&f->doubled, f->doubles, sizeof(f->doubles), key);
    if (there == 0 && key->state != REGISTRY_KEY_DESTROYING)
        note_name(&f->missing, f->example, sizeof(f->example), key);
    return publish_put(c, key, state_in(key, there), c->first_version, 0, err);
}

static bool compare_all(struct custodian *c, struct comparison *f, struct err *err)
{
    AUTO_FREE struct registry_key *rows = mem_array(PAGE, sizeof(*rows));
    char after[2 * NAME_MAX_LEN + 2] = "";
    size_t count;
    bool more = true;

    if (!rows)
        return err_set(err, ERR_INTERNAL, "no memory for a list of keys");
    while (more) {
        TRY(registry_key_list(c->registry, "", after, rows, PAGE, &count, &more, err));
        for (size_t i = 0; i < count; i++)
            TRY(compare_key(c, f, &rows[i], err));
        if (more)
            snprintf(after, sizeof(after), "%s/%s", rows[count - 1].tenant, rows[count - 1].name);
    }
    return true;
}

/* Import keys are in the token, too. One that is missing stops imports, not keyd. */
static bool compare_import_keys(struct custodian *c, struct comparison *f, struct err *err)
{
    AUTO_FREE struct registry_import_key *list = NULL;
    size_t count, first;

    TRY(registry_import_list(c->registry, &list, &count, err));
    for (size_t i = 0; i < count; i++) {
        size_t there = census_find(&f->census, list[i].cka_id, list[i].cka_id_len, &first);

        f->known += there;
        if (there == 0 && list[i].state == REGISTRY_IMPORT_CURRENT)
            custodian_note(c, "the import key is missing in the token: no key can be imported; "
                              "keydctl import-key-rotate makes a new one");
    }
    return true;
}

static size_t count_fragments(const struct census *s)
{
    size_t n = 0;

    while (n < s->count && s->list[n].cka_id_len == 0)
        n++;
    return n;
}

/* Private keys with a CKA_ID of our form that no row of the registry has. */
static size_t count_unregistered(struct custodian *c, const struct census *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct token_private *p = &s->list[i];
        struct registry_intent id = {.cka_id_len = p->cka_id_len};
        struct err ignored;
        bool known;

        if (!intent_id_is_ours(p->cka_id, p->cka_id_len))
            continue;
        memcpy(id.cka_id, p->cka_id, p->cka_id_len);
        n += is_registered(c, &id, &known, &ignored) && !known;
    }
    return n;
}

static void report_missing(struct custodian *c, const struct comparison *f)
{
    const struct token_info *token = token_info(c->token);

    if (f->missing > 1 && f->missing == f->registered)
        custodian_note(c,
                       "none of the %u registered keys is in the token \"%s\" (serial %s): is it "
                       "another one than it was?",
                       f->registered, token->label, token->serial);
    if (f->missing > 0)
        custodian_note(c, "%u of %u keys are missing in the token: %s", f->missing, f->registered,
                       f->example);
    if (f->doubled > 0)
        custodian_note(c, "not served, for the token has several objects with its CKA_ID: %s",
                       f->doubles);
}

static void report(struct custodian *c, const struct comparison *f)
{
    size_t fragments = count_fragments(&f->census);
    size_t strangers = f->census.count - f->known - fragments;
    size_t unregistered = strangers > 0 ? count_unregistered(c, &f->census) : 0;

    c->missing = f->missing + f->doubled;
    report_missing(c, f);
    if (c->missing > 1)
        snprintf(c->frozen, sizeof(c->frozen), "%u of %u keys are missing in the token", c->missing,
                 f->registered);
    if (fragments > 0)
        custodian_note(c,
                       "%zu private keys in the token have no CKA_ID: fragments of a generation "
                       "that was cut short, or not keyd's: keydctl token-objects tells",
                       fragments);
    if (unregistered > 0)
        custodian_note(c,
                       "%zu private keys in the token have a CKA_ID of keyd's, but the registry "
                       "does not know them: is it older than the token?",
                       unregistered);
    if (strangers > unregistered)
        custodian_note(c, "%zu private keys in the token are not keyd's", strangers - unregistered);
}

/* What was cut short and cannot be finished now (a token that is read-only, or full) is no reason
 * not to serve the rest: it is said, and tried again at the next start. */
static bool go_on_without(struct custodian *c, bool done, const char *what, struct err *err)
{
    if (done)
        return true;
    if (err->code != ERR_TOKEN && err->code != ERR_CONFLICT && err->code != ERR_STORAGE)
        return false;
    if (token_lost(c->token))
        return false;
    softhsm_explain(c->state_dir, err);
    custodian_note(c, "%s: %s%s%s", what, err->text, *err->hint ? "; " : "", err->hint);
    return true;
}

bool reconcile_all(struct custodian *c, struct err *err)
{
    CLEANUP(comparison_free) struct comparison f = {.registered = 0};

    TRY(go_on_without(c, reconcile_intents(c, err),
                      "what a change left that was cut short could not be removed", err));
    TRY(go_on_without(c, finish_destroys(c, err), "a key could not be destroyed to the end", err));
    TRY(census_take(c, &f.census, err));
    c->first_version = clock_us();
    c->table.version = c->first_version;
    TRY(compare_all(c, &f, err));
    TRY(compare_import_keys(c, &f, err));
    report(c, &f);
    import_tidy(c);
    return true;
}
