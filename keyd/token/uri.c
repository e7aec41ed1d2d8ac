/* SPDX-License-Identifier: Apache-2.0
 *
 * No error here shows the URI itself: a wrong one may carry a PIN.
 */
#include "keyd/token/uri.h"

#include <p11-kit/p11-kit.h>
#include <string.h>

#include "keyd/token/token.h"
#include "proto/base/mem.h"

#define EXAMPLE "pkcs11:token=keyd?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/..."
#define NO_SLOT ((CK_SLOT_ID)-1)

static bool is_set(const CK_UTF8CHAR *field, size_t size)
{
    return field[0] != 0 && p11_kit_space_strlen(field, size) > 0;
}

static bool selects(P11KitUri *uri)
{
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);

    return is_set(token->label, sizeof(token->label)) ||
           is_set(token->serialNumber, sizeof(token->serialNumber)) ||
           p11_kit_uri_get_slot_id(uri) != NO_SLOT;
}

static bool check(P11KitUri *uri, struct err *err)
{
    const char *module = p11_kit_uri_get_module_path(uri);
    CK_ULONG attributes = 0;

    if (p11_kit_uri_get_pin_value(uri)) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI holds a PIN (pin-value)");
        return err_hint(err,
                        "put the PIN into a file of mode 0600 and name it by pin-source=file:/...");
    }
    (void)p11_kit_uri_get_attributes(uri, &attributes);
    if (attributes > 0 || p11_kit_uri_any_unrecognized(uri)) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI has an attribute that selects no token");
        return err_hint(err, "object, type and id have no place here; misspelt: " EXAMPLE);
    }
    if (!module || module[0] != '/') {
        err_set(err, ERR_BAD_REQUEST, "the token's URI needs module-path with an absolute path");
        return err_hint(err, EXAMPLE);
    }
    if (!selects(uri)) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI selects no token: token, serial or slot-id");
        return err_hint(err, EXAMPLE);
    }
    return true;
}

bool uri_parse(const char *uri, P11KitUri **ret, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = p11_kit_uri_new();

    if (!parsed)
        return err_set(err, ERR_INTERNAL, "no memory for a URI");
    int rc = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, parsed);
    if (rc != P11_KIT_URI_OK) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI is no RFC 7512 URI: %s",
                p11_kit_uri_message(rc));
        return err_hint(err, EXAMPLE);
    }
    TRY(check(parsed, err));
    *ret = parsed;
    parsed = NULL;
    return true;
}

/* ---- of an object */

#define OBJECT_EXAMPLE "pkcs11:object=www;id=%%01;type=private"

static bool check_object(P11KitUri *uri, struct err *err)
{
    const CK_ATTRIBUTE *type = p11_kit_uri_get_attribute(uri, CKA_CLASS);

    if (p11_kit_uri_get_pin_value(uri) || p11_kit_uri_get_pin_source(uri) ||
        p11_kit_uri_get_module_path(uri) || p11_kit_uri_get_module_name(uri)) {
        err_set(err, ERR_BAD_REQUEST, "the object's URI has a '?': keyd knows its token and PIN");
        return err_hint(err, OBJECT_EXAMPLE);
    }
    if (p11_kit_uri_any_unrecognized(uri)) {
        err_set(err, ERR_BAD_REQUEST, "the object's URI has an attribute that RFC 7512 has not");
        return err_hint(err, OBJECT_EXAMPLE);
    }
    if (type && *(const CK_OBJECT_CLASS *)type->pValue != CKO_PRIVATE_KEY)
        return err_set(err, ERR_BAD_REQUEST, "the object's URI names no private key (type=)");
    if (!p11_kit_uri_get_attribute(uri, CKA_LABEL) && !p11_kit_uri_get_attribute(uri, CKA_ID)) {
        err_set(err, ERR_BAD_REQUEST, "the object's URI needs object= or id=, or both");
        return err_hint(err, OBJECT_EXAMPLE);
    }
    return true;
}

bool uri_parse_object(const char *uri, P11KitUri **ret, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = p11_kit_uri_new();

    if (!parsed)
        return err_set(err, ERR_INTERNAL, "no memory for a URI");
    int rc = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, parsed);
    if (rc != P11_KIT_URI_OK) {
        err_set(err, ERR_BAD_REQUEST, "the object's URI is no RFC 7512 URI: %s",
                p11_kit_uri_message(rc));
        return err_hint(err, OBJECT_EXAMPLE);
    }
    TRY(check_object(parsed, err));
    *ret = parsed;
    parsed = NULL;
    return true;
}

void uri_cleanup(P11KitUri **uri)
{
    p11_kit_uri_free(*uri);
}

bool uri_matches(const P11KitUri *uri, CK_SLOT_ID slot, const CK_TOKEN_INFO *token,
                 const CK_INFO *module)
{
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id((P11KitUri *)(uintptr_t)uri);

    return (wanted == NO_SLOT || wanted == slot) && p11_kit_uri_match_token_info(uri, token) &&
           p11_kit_uri_match_module_info(uri, module);
}

const CK_UTF8CHAR *uri_label(P11KitUri *uri)
{
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);

    return is_set(token->label, sizeof(token->label)) ? token->label : NULL;
}

bool token_uri_check(const char *uri, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = NULL;

    return uri_parse(uri, &parsed, err);
}

/* The path of "file:/p", "file:///p", "file://localhost/p" (RFC 8089) or "/p"; NULL otherwise. */
static const char *path_of(const char *source)
{
    static const char *const heads[] = {"file://localhost", "file://", "file:", ""};

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t n = strlen(heads[i]);

        if (strncmp(source, heads[i], n) == 0)
            return source[n] == '/' ? source + n : NULL;
    }
    return NULL;
}

bool token_uri_pin_source(const char *uri, char *path, size_t size, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = NULL;

    TRY(uri_parse(uri, &parsed, err));
    const char *source = p11_kit_uri_get_pin_source(parsed);
    if (!source) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI has no pin-source");
        return err_hint(err, EXAMPLE);
    }
    const char *found = path_of(source);
    if (!found) {
        err_set(err, ERR_BAD_REQUEST, "pin-source in the token's URI is no absolute path");
        return err_hint(err, "pin-source=file:/path or pin-source=/path");
    }
    size_t n = strlen(found) + 1;
    if (n > size)
        return err_set(err, ERR_BAD_REQUEST, "the path in pin-source is longer than %zu bytes",
                       size - 1);
    memcpy(path, found, n);
    return true;
}

bool token_uri_module_dir(const char *uri, char *path, size_t size, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = NULL;

    TRY(uri_parse(uri, &parsed, err));
    const char *module = p11_kit_uri_get_module_path(parsed); /* absolute: it has a '/' */
    size_t n = (size_t)(strrchr(module, '/') - module);
    if (n == 0)
        n = 1;
    if (n >= size)
        return err_set(err, ERR_BAD_REQUEST, "the path in module-path is longer than %zu bytes",
                       size - 1);
    memcpy(path, module, n);
    path[n] = 0;
    return true;
}
