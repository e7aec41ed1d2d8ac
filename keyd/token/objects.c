/* SPDX-License-Identifier: Apache-2.0
 *
 * Every object of the token with its attributes in words, for auditors. PKCS#11 has no call that
 * lists the attributes of an object, so all that there are in the standard are asked for by name,
 * in one call.
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
       ANY = 63,
       ONLY_RSA = 64, /* and which types of key */
       ONLY_CURVES = 128
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
    {CKA_MODULUS_BITS, FORM_NUMBER, PUBLIC | ONLY_RSA},
    {CKA_MODULUS, FORM_BYTES, PUBLIC | PRIVATE | ONLY_RSA},
    {CKA_PUBLIC_EXPONENT, FORM_BYTES, PUBLIC | PRIVATE | ONLY_RSA},
    {CKA_EC_PARAMS, FORM_BYTES, PUBLIC | PRIVATE | ONLY_CURVES},
    {CKA_EC_POINT, FORM_BYTES, PUBLIC | ONLY_CURVES},
    {CKA_PUBLIC_KEY_INFO, FORM_BYTES, PUBLIC | PRIVATE | CERTIFICATE},
    {CKA_VALUE, FORM_BYTES, CERTIFICATE},
    {CKA_VALUE, FORM_UNSEEN, DATA | PUBLIC | PRIVATE | SECRET | OTHER | ONLY_CURVES},
    {CKA_PRIVATE_EXPONENT, FORM_UNSEEN, PRIVATE | ONLY_RSA},
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

/* What one call asks for (PKCS#11 v2.40 5.7, C_GetAttributeValue): all that an object of any class
 * may have, into room that is used again for the next object. */
struct reader {
    CK_ATTRIBUTE list[COUNT(asked)]; /* as asked[], but for rows that are asked alone */
    uint8_t values[COUNT(asked)][VALUE_MAX];
    CK_RV rv;
};

/* A certificate's CKA_VALUE: the others' is never read, and the class is not known before. */
static bool is_alone(size_t row)
{
    return asked[row].type == CKA_VALUE && asked[row].form != FORM_UNSEEN;
}

static void prepare(struct reader *r)
{
    for (size_t i = 0; i < COUNT(asked); i++) {
        bool unseen = asked[i].form == FORM_UNSEEN || is_alone(i);

        r->list[i] = (CK_ATTRIBUTE){.type = asked[i].type,
                                    .pValue = unseen ? NULL : r->values[i],
                                    .ulValueLen = unseen ? 0 : VALUE_MAX};
    }
}

/* One answer of the call; what it leaves open (refused, but not why; or the call as such failed) is
 * asked for by itself. The value is in r->values[row]. */
static enum attr_state answer(struct token *t, struct reader *r, token_handle object, size_t row,
                              size_t *ret_len, struct err *err)
{
    const CK_ATTRIBUTE *a = &r->list[row];
    bool unseen = asked[row].form == FORM_UNSEEN, refused = false;

    if (!is_alone(row) && (r->rv == CKR_OK || r->rv == CKR_ATTRIBUTE_TYPE_INVALID ||
                           r->rv == CKR_ATTRIBUTE_SENSITIVE || r->rv == CKR_BUFFER_TOO_SMALL)) {
        refused = a->ulValueLen == CK_UNAVAILABLE_INFORMATION;
        if (refused && r->rv == CKR_OK)
            return ATTR_ABSENT;
        if (!refused && !unseen && a->ulValueLen > VALUE_MAX)
            return ATTR_TOO_LONG;
        *ret_len = a->ulValueLen;
        if (!refused)
            return ATTR_FOUND;
    }
    return attr_get(t, object, asked[row].type, unseen ? NULL : r->values[row],
                    unseen ? 0 : VALUE_MAX, ret_len, err);
}

/* Appends one attribute, if the object has it. False: err is set. */
static bool read_one(struct token *t, struct reader *r, struct token_object *o, size_t row,
                     enum attr_state *ret, struct err *err)
{
    char words[512] = "";
    struct text x = {.at = words, .size = sizeof(words)};
    size_t len;

    *ret = answer(t, r, o->handle, row, &len, err);
    if (*ret == ATTR_FOUND)
        in_words(asked[row].form, r->values[row], len, &x);
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

/* The value of an attribute that the call brought; NULL: it did not. */
static const uint8_t *brought(const struct reader *r, CK_ATTRIBUTE_TYPE type, size_t *ret_len)
{
    for (size_t i = 0; i < COUNT(asked); i++) {
        if (asked[i].type != type)
            continue;
        *ret_len = r->list[i].ulValueLen;
        return *ret_len <= VALUE_MAX ? r->values[i] : NULL;
    }
    return NULL;
}

static void take_label_and_id(const struct reader *r, struct token_object *o)
{
    struct text x = {.at = o->label, .size = sizeof(o->label)};
    size_t len = 0;
    const uint8_t *p = brought(r, CKA_LABEL, &len);

    if (p)
        add_printable(&x, p, len);
    p = brought(r, CKA_ID, &len);
    if (p && len <= sizeof(o->cka_id)) {
        memcpy(o->cka_id, p, len);
        o->cka_id_len = len;
    }
}

static bool fits(unsigned classes, CK_ULONG cls, CK_ULONG key_type)
{
    bool curve = key_type == CKK_EC || key_type == CKK_EC_EDWARDS;

    return (classes & class_bit(cls)) && !(classes & ONLY_RSA && curve) &&
           !(classes & ONLY_CURVES && key_type == CKK_RSA);
}

static bool read_rows(struct token *t, struct reader *r, struct token_object *o, CK_ULONG cls,
                      CK_ULONG key_type, bool *ret_gone, struct err *err)
{
    enum attr_state state = ATTR_FOUND;

    for (size_t i = 0; i < COUNT(asked) && state != ATTR_GONE; i++) {
        if (fits(asked[i].classes, cls, key_type))
            TRY(read_one(t, r, o, i, &state, err));
    }
    *ret_gone = state == ATTR_GONE;
    return true;
}

/* A number that decides what else the object has. */
static bool read_number(struct token *t, struct reader *r, token_handle object, size_t row,
                        CK_ULONG *ret, bool *ret_gone, struct err *err)
{
    size_t len = 0;
    enum attr_state state = answer(t, r, object, row, &len, err);

    *ret_gone = state == ATTR_GONE;
    if (state == ATTR_FOUND)
        *ret = number_at(r->values[row], len);
    return state != ATTR_FAILED;
}

enum { ROW_CLASS = 0, ROW_KEY_TYPE = 1 }; /* in asked[] */

/* Its class and, of a key, its type. *ret_unreadable: it is there, and that is all that the token
 * tells (SoftHSM of a file that a kill has cut off before the first attribute). */
static bool read_kind(struct token *t, struct reader *r, token_handle object, CK_ULONG *ret_class,
                      CK_ULONG *ret_key_type, bool *ret_gone, bool *ret_unreadable, struct err *err)
{
    *ret_unreadable = !read_number(t, r, object, ROW_CLASS, ret_class, ret_gone, err);
    if (*ret_unreadable || *ret_gone)
        return !token_lost(t);
    return !(class_bit(*ret_class) & KEYS) ||
           read_number(t, r, object, ROW_KEY_TYPE, ret_key_type, ret_gone, err);
}

/* *ret_gone: somebody destroyed it meanwhile. */
static bool read_object(struct token *t, struct reader *r, struct token_object *o, bool *ret_gone,
                        struct err *err)
{
    CK_ULONG cls = CKO_VENDOR_DEFINED, key_type = CKK_VENDOR_DEFINED;
    bool unreadable = false;

    prepare(r);
    r->rv = t->p11->C_GetAttributeValue(t->session, o->handle, r->list, COUNT(asked));
    TRY(read_kind(t, r, o->handle, &cls, &key_type, ret_gone, &unreadable, err));
    o->cls = TOKEN_UNREADABLE;
    if (unreadable || *ret_gone)
        return true;
    const char *name = names_find(NAMES_CLASS, cls);
    o->cls = name ? name : "CKO_VENDOR_DEFINED";
    o->attributes = mem_array(COUNT(asked), sizeof(*o->attributes));
    if (!o->attributes)
        return err_set(err, ERR_INTERNAL, "no memory for an object's attributes");
    TRY(read_rows(t, r, o, cls, key_type, ret_gone, err));
    take_label_and_id(r, o);
    return true;
}

/* Session objects are left out; but what was cut short has the default of CKA_TOKEN, which is
 * false, or none. */
static bool is_of_token(const struct token_object *o)
{
    const char *token = token_object_value(o, "CKA_TOKEN");

    return !token || strcmp(token, "false") != 0 || looks_cut_short(o);
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
    for (size_t i = 0; objects && i < count; i++)
        object_done(&objects[i]);
    mem_free(objects);
}

static bool read_all(struct token *t, const token_handle *handles, size_t count,
                     struct token_object *list, size_t *ret_read, struct err *err)
{
    AUTO_FREE struct reader *r = mem_new(sizeof(*r));

    if (!r)
        return err_set(err, ERR_INTERNAL, "no memory for an object's attributes");
    for (size_t i = 0; i < count; i++) {
        struct token_object *o = &list[*ret_read];
        bool gone;

        o->handle = handles[i];
        (*ret_read)++; /* from here on it is freed with the list */
        TRY(read_object(t, r, o, &gone, err));
        if (gone || !is_of_token(o)) {
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

bool token_read_object(struct token *t, token_handle object, struct token_object **ret,
                       struct err *err)
{
    struct token_object *one = mem_array(1, sizeof(*one));
    size_t have = 0;

    if (!one)
        return err_set(err, ERR_INTERNAL, "no memory for an object");
    if (!read_all(t, &object, 1, one, &have, err)) {
        token_objects_free(one, have);
        return false;
    }
    if (have == 0) {
        mem_free(one);
        return err_set(err, ERR_NOT_FOUND, "the object is gone from the token");
    }
    *ret = one;
    return true;
}

const char *token_object_value(const struct token_object *o, const char *name)
{
    for (size_t i = 0; i < o->attribute_count; i++) {
        if (strcmp(o->attributes[i].name, name) == 0)
            return o->attributes[i].value;
    }
    return NULL;
}

bool token_list_objects(struct token *t, struct token_object **ret, size_t *ret_count,
                        struct err *err)
{
    size_t total;

    return token_page_objects(t, 0, SIZE_MAX, ret, ret_count, &total, err);
}
