/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/provider/errors.h"

#include <stdarg.h>

const OSSL_ITEM provider_reasons[] = {
    {REASON_KEYD + KEYD_BAD_REQUEST, (char *)"keyd refused: bad request"},
    {REASON_KEYD + KEYD_UNSUPPORTED, (char *)"keyd refused: not supported"},
    {REASON_KEYD + KEYD_DENIED, (char *)"keyd refused: not allowed to use this key"},
    {REASON_KEYD + KEYD_NOT_FOUND, (char *)"keyd refused: no such key"},
    {REASON_KEYD + KEYD_AMBIGUOUS, (char *)"keyd refused: ambiguous"},
    {REASON_KEYD + KEYD_EXISTS, (char *)"keyd refused: exists"},
    {REASON_KEYD + KEYD_CONFLICT, (char *)"keyd refused: key not in a usable state"},
    {REASON_KEYD + KEYD_BAD_SHAPE, (char *)"keyd refused: message of no shape this key may sign"},
    {REASON_KEYD + KEYD_BAD_SCHEME, (char *)"keyd refused: signature scheme does not fit"},
    {REASON_KEYD + KEYD_TOO_LARGE, (char *)"keyd refused: message too large"},
    {REASON_KEYD + KEYD_BUSY, (char *)"keyd is busy"},
    {REASON_KEYD + KEYD_DEADLINE, (char *)"keyd did not answer in time"},
    {REASON_KEYD + KEYD_UNAVAILABLE, (char *)"keyd is not available"},
    {REASON_KEYD + KEYD_INTERNAL, (char *)"keyd failed: internal error"},
    {REASON_KEYD + KEYD_TOKEN, (char *)"keyd failed: the token failed"},
    {REASON_KEYD + KEYD_STORAGE, (char *)"keyd failed: storage"},
    {REASON_REFERENCE, (char *)"broken key reference"},
    {REASON_SETTING, (char *)"bad setting"},
    {REASON_MEMORY, (char *)"out of memory"},
    {REASON_DIGEST, (char *)"digest not supported"},
    {REASON_PADDING, (char *)"padding not supported"},
    {REASON_SALT, (char *)"PSS salt must be as long as the digest"},
    {REASON_MGF1, (char *)"MGF1 digest must be the signature's digest"},
    {REASON_NO_KEY, (char *)"no key to sign with"},
    {REASON_MESSAGE, (char *)"message too large"},
    {REASON_BUFFER, (char *)"room for the signature too small"},
    {REASON_PRIVATE, (char *)"the private half stays in keyd"},
    {0, NULL}};

int raise_error(const struct provider *p, enum reason reason, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    p->new_error(p->core);
    p->set_error_debug(p->core, "keyd", 0, "keyd");
    p->vset_error(p->core, reason, fmt, ap);
    va_end(ap);
    return 0;
}

int raise_keyd(const struct provider *p, const struct keyd_error *error, const char *what)
{
    return raise_error(p, REASON_KEYD + error->code, "%s: %s%s%s", what, error->message,
                       error->hint[0] ? "; " : "", error->hint);
}
