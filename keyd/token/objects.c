/* SPDX-License-Identifier: Apache-2.0
 *
 * Every object of the token with its attributes in words, for auditors. PKCS#11 has no call that
 * lists the attributes of an object, so each is asked for by name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/names.h"
#include "keyd/token/search.h"
#include "proto/base/mem.h"

#define VALUE_MAX 4096 /* bytes of an attribute that are looked at */
#define SHOWN_MAX 64   /* bytes of an attribute that are shown */

enum form {
    FORM_BOOL,
    FORM_NUMBER,
    FORM_BYTES,
    FORM_TEXT,
    FORM_CLASS,
    FORM_KEY,
    FORM_MECHANISMS,
    FORM_UNSEEN /* never read, only whether it could be: it may be a key */
};

enum { /* which classes have an attribute */
       DATA = 1,
       CERTIFICATE = 2,
       PUBLIC = 4,
       PRIVATE = 8,
       SECRET = 16,
       OTHER = 32,
       KEYS = PUBLIC | PRIVATE | SECRET,
       ANY = 63
};

static const struct {
    CK_ATTRIBUTE_TYPE type;
    enum form form;
    unsigned classes;
} asked[] = {
    {CKA_CLASS, FORM_CLASS, ANY},
    {CKA_KEY_TYPE, FORM_KEY, KEYS},
    {CKA_CERTIFICATE_TYPE, FORM_NUMBER, CERTIFICATE},
    {CKA_LABEL, FORM_TEXT, ANY},
    {CKA_ID, FORM_BYTES, KEYS | CERTIFICATE},
    {CKA_TOKEN, FORM_BOOL, ANY},
    {CKA_PRIVATE, FORM_BOOL, ANY},
    {CKA_MODIFIABLE, FORM_BOOL, ANY},
    {CKA_COPYABLE, FORM_BOOL, ANY},
    {CKA_DESTROYABLE, FORM_BOOL, ANY},
    {CKA_SENSITIVE, FORM_BOOL, PRIVATE | SECRET},
    {CKA_EXTRACTABLE, FORM_BOOL, PRIVATE | SECRET},
    {CKA_ALWAYS_SENSITIVE, FORM_BOOL, PRIVATE | SECRET},
    {CKA_NEVER_EXTRACTABLE, FORM_BOOL, PRIVATE | SECRET},
    {CKA_LOCAL, FORM_BOOL, KEYS},
    {CKA_KEY_GEN_MECHANISM, FORM_MECHANISMS, KEYS},
    {CKA_ALLOWED_MECHANISMS, FORM_MECHANISMS, KEYS},
    {CKA_SIGN, FORM_BOOL, PRIVATE | SECRET},
    {CKA_SIGN_RECOVER, FORM_BOOL, PRIVATE},
    {CKA_VERIFY, FORM_BOOL, PUBLIC | SECRET},
    {CKA_VERIFY_RECOVER, FORM_BOOL, PUBLIC},
    {CKA_ENCRYPT, FORM_BOOL, PUBLIC | SECRET},
    {CKA_DECRYPT, FORM_BOOL, PRIVATE | SECRET},
    {CKA_WRAP, FORM_BOOL, PUBLIC | SECRET},
    {CKA_UNWRAP, FORM_BOOL, PRIVATE | SECRET},
    {CKA_DERIVE, FORM_BOOL, KEYS},
    {CKA_TRUSTED, FORM_BOOL, CERTIFICATE | PUBLIC | SECRET},
    {CKA_WRAP_WITH_TRUSTED, FORM_BOOL, PRIVATE | SECRET},
    {CKA_ALWAYS_AUTHENTICATE, FORM_BOOL, PRIVATE},
    {CKA_START_DATE, FORM_TEXT, KEYS | CERTIFICATE},
    {CKA_END_DATE, FORM_TEXT, KEYS | CERTIFICATE},
    {CKA_SUBJECT, FORM_BYTES, PUBLIC | PRIVATE | CERTIFICATE},
    {CKA_ISSUER, FORM_BYTES, CERTIFICATE},
    {CKA_SERIAL_NUMBER, FORM_BYTES, CERTIFICATE},
    {CKA_URL, FORM_TEXT, CERTIFICATE},
    {CKA_APPLICATION, FORM_TEXT, DATA},
    {CKA_OBJECT_ID, FORM_BYTES, DATA},
    {CKA_CHECK_VALUE, FORM_BYTES, SECRET | CERTIFICATE},
    {CKA_VALUE_LEN, FORM_NUMBER, SECRET},
    {CKA_MODULUS_BITS, FORM_NUMBER, PUBLIC},
    {CKA_MODULUS, FORM_BYTES, PUBLIC | PRIVATE},
    {CKA_PUBLIC_EXPONENT, FORM_BYTES, PUBLIC | PRIVATE},
    {CKA_EC_PARAMS, FORM_BYTES, PUBLIC | PRIVATE},
    {CKA_EC_POINT, FORM_BYTES, PUBLIC},
    {CKA_PUBLIC_KEY_INFO, FORM_BYTES, PUBLIC | PRIVATE | CERTIFICATE},
    {CKA_VALUE, FORM_BYTES, CERTIFICATE},
    {CKA_VALUE, FORM_UNSEEN, DATA | PUBLIC | PRIVATE | SECRET | OTHER},
    {CKA_PRIVATE_EXPONENT, FORM_UNSEEN, PRIVATE},
};

static unsigned class_bit(CK_ULONG cls)
{
    switch (cls) {
    case CKO_DATA:
        return DATA;
    case CKO_CERTIFICATE:
        return CERTIFICATE;
    case CKO_PUBLIC_KEY:
        return PUBLIC;
    case CKO_PRIVATE_KEY:
        return PRIVATE;
    case CKO_SECRET_KEY:
        return SECRET;
    default:
        return OTHER;
    }
}

/* ---- values in words; each writes a string into out, which has `size` bytes */

struct text {
    char *at;
    size_t len, size;
};

static void add(struct text *x, const char *s)
{
    size_t room = x->size - x->len;
    int n = snprintf(x->at + x->len, room, "%s", s);

    x->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* Printable ASCII as it is, the rest as \xNN. */
static void add_printable(struct text *x, const uint8_t *p, size_t n)
{
    char c[8];

    for (size_t i = 0; i < n && x->len + sizeof(c) < x->size; i++) {
        bool plain = p[i] >= 0x20 && p[i] <= 0x7e && p[i] != '\\';

        snprintf(c, sizeof(c), plain ? "%c" : "\\x%02x", p[i]);
        add(x, c);
    }
}

static void add_bytes(struct text *x, const uint8_t *p, size_t n)
{
    char hex[2 * SHOWN_MAX + 1], more[40];

    add(x, hex_encode(p, n < SHOWN_MAX ? n : SHOWN_MAX, hex));
    if (n > SHOWN_MAX) {
        snprintf(more, sizeof(more), "... (%zu bytes)", n);
        add(x, more);
    }
}

static CK_ULONG number_at(const uint8_t *p, size_t n)
{
    CK_ULONG v = CK_UNAVAILABLE_INFORMATION;

    if (n >= sizeof(v))
        memcpy(&v, p, sizeof(v));
    return v;
}

static void add_mechanisms(struct text *x, const uint8_t *p, size_t n)
{
    char name[NAMES_TEXT_MAX];

    for (size_t i = 0; i + sizeof(CK_ULONG) <= n; i += sizeof(CK_ULONG)) {
        CK_ULONG v = number_at(p + i, sizeof(v));
        bool none = v == CK_UNAVAILABLE_INFORMATION; /* CKA_KEY_GEN_MECHANISM of an import */

        add(x, i ? ", " : "");
        add(x, none ? "none" : names_text(NAMES_MECHANISM, v, name));
    }
}

static void add_number(struct text *x, CK_ULONG v)
{
    char s[24];

    snprintf(s, sizeof(s), "%lu", v);
    add(x, s);
}

static void in_words(enum form form, const uint8_t *p, size_t n, struct text *x)
{
    char name[NAMES_TEXT_MAX];

    switch (form) {
    case FORM_BOOL:
        add(x, n == 1 && p[0] ? "true" : "false");
        break;
    case FORM_NUMBER:
        add_number(x, number_at(p, n));
        break;
    case FORM_BYTES:
        add_bytes(x, p, n);
        break;
    case FORM_TEXT:
        add_printable(x, p, n);
        break;
    case FORM_CLASS:
        add(x, names_text(NAMES_CLASS, number_at(p, n), name));
        break;
    case FORM_KEY:
        add(x, names_text(NAMES_KEY_TYPE, number_at(p, n), name));
        break;
    case FORM_MECHANISMS:
        add_mechanisms(x, p, n);
        break;
    case FORM_UNSEEN:
        add(x, "(readable, not shown)");
        break;
    }
}

/* ---- reading one object */

/* Appends one attribute, if the object has it. False: err is set. */
static bool read_one(struct token *t, struct token_object *o, size_t row, enum attr_state *ret,
                     struct err *err)
{
    uint8_t value[VALUE_MAX];
    char words[512] = "";
    struct text x = {.at = words, .size = sizeof(words)};
    bool unseen = asked[row].form == FORM_UNSEEN;
    size_t len;

    *ret = attr_get(t, o->handle, asked[row].type, unseen ? NULL : value,
                    unseen ? 0 : sizeof(value), &len, err);
    if (*ret == ATTR_FOUND)
        in_words(asked[row].form, value, len, &x);
    else if (*ret == ATTR_SENSITIVE)
        add(&x, "(sensitive)");
    else if (*ret == ATTR_TOO_LONG)
        add(&x, "(long)");
    else
        return *ret != ATTR_FAILED;
    char *copy = mem_str(words);
    if (!copy)
        return err_set(err, ERR_INTERNAL, "no memory for an attribute");
    o->attributes[o->attribute_count++] = (struct token_attribute){
        .name = names_find(NAMES_ATTRIBUTE, asked[row].type), .value = copy};
    return true;
}

static bool read_label(struct token *t, struct token_object *o, enum attr_state *ret,
                       struct err *err)
{
    uint8_t label[VALUE_MAX];
    struct text x = {.at = o->label, .size = sizeof(o->label)};
    size_t len;

    *ret = attr_get(t, o->handle, CKA_LABEL, label, sizeof(label), &len, err);
    if (*ret == ATTR_FOUND)
        add_printable(&x, label, len);
    return *ret != ATTR_FAILED;
}

/* *ret_gone: somebody destroyed it meanwhile. */
static bool read_object(struct token *t, struct token_object *o, bool *ret_gone, struct err *err)
{
    enum attr_state state;
    CK_ULONG cls = CKO_VENDOR_DEFINED;
    size_t len;

    state = attr_get(t, o->handle, CKA_CLASS, &cls, sizeof(cls), &len, err);
    *ret_gone = state == ATTR_GONE;
    if (*ret_gone || state == ATTR_FAILED)
        return *ret_gone;
    const char *name = names_find(NAMES_CLASS, cls);
    o->cls = name ? name : "CKO_VENDOR_DEFINED";
    o->attributes = mem_array(COUNT(asked), sizeof(*o->attributes));
    if (!o->attributes)
        return err_set(err, ERR_INTERNAL, "no memory for an object's attributes");
    TRY(search_cka_id(t, o->handle, o->cka_id, &o->cka_id_len, err));
    TRY(read_label(t, o, &state, err));
    for (size_t i = 0; i < COUNT(asked) && state != ATTR_GONE; i++) {
        if (asked[i].classes & class_bit(cls))
            TRY(read_one(t, o, i, &state, err));
    }
    *ret_gone = state == ATTR_GONE;
    return true;
}

/* ---- all of them */

static void object_done(struct token_object *o)
{
    for (size_t i = 0; i < o->attribute_count; i++)
        mem_free(o->attributes[i].value);
    mem_free(o->attributes);
    *o = (struct token_object){0};
}

void token_objects_free(struct token_object *objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        object_done(&objects[i]);
    mem_free(objects);
}

static bool read_all(struct token *t, const token_handle *handles, size_t count,
                     struct token_object *list, size_t *ret_read, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct token_object *o = &list[*ret_read];
        bool gone;

        o->handle = handles[i];
        (*ret_read)++; /* from here on it is freed with the list */
        TRY(read_object(t, o, &gone, err));
        if (gone) {
            object_done(o);
            (*ret_read)--;
        }
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    token_handle x = *(const token_handle *)a, y = *(const token_handle *)b;

    return x < y ? -1 : x > y;
}

bool token_page_objects(struct token *t, size_t first, size_t max, struct token_object **ret,
                        size_t *ret_count, size_t *ret_total, struct err *err)
{
    struct attrs what = {0};
    AUTO_FREE token_handle *handles = NULL;
    size_t total, have = 0;

    attrs_bool(&what, CKA_TOKEN, true);
    TRY(search_objects(t, &what, &handles, &total, err));
    qsort(handles, total, sizeof(*handles), by_number);
    size_t at = first < total ? first : total, count = total - at < max ? total - at : max;
    struct token_object *list = mem_array(count, sizeof(*list));
    if (!list)
        return err_set(err, ERR_INTERNAL, "no memory for %zu objects", count);
    if (!read_all(t, handles + at, count, list, &have, err)) {
        token_objects_free(list, have);
        return false;
    }
    *ret = list;
    *ret_count = have;
    *ret_total = total;
    return true;
}

bool token_list_objects(struct token *t, struct token_object **ret, size_t *ret_count,
                        struct err *err)
{
    size_t total;

    return token_page_objects(t, 0, SIZE_MAX, ret, ret_count, &total, err);
}
