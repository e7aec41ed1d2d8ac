/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal: one line a call, written by one write(2) when the call is over, so that processes
 * may share a file. Types of attributes stand in it, never values; no PIN, no data, no key.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyd/token/names.h"
#include "tests/mock-token/mock.h"

static int fd = -1;
static char line[2048];
static size_t len;
static CK_FUNCTION_LIST *asked;

__attribute__((format(printf, 1, 2))) static void add(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
    va_end(ap);
    len += n > 0 ? (size_t)n : 0;
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
}

void journal_open(const char *path)
{
    if (fd >= 0)
        close(fd);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void journal_begin(const char *function)
{
    len = 0;
    add("%s", function);
}

void say_nothing(void)
{
}

void say_mechanism_type(CK_MECHANISM_TYPE type)
{
    char buf[NAMES_TEXT_MAX];

    add(" %s", names_text(NAMES_MECHANISM, type, buf));
}

void say_mechanism(const CK_MECHANISM *mechanism)
{
    if (mechanism)
        say_mechanism_type(mechanism->mechanism);
}

void say_template(const CK_ATTRIBUTE *list, CK_ULONG count)
{
    char buf[NAMES_TEXT_MAX];

    add(" {");
    for (CK_ULONG i = 0; i < count; i++)
        add("%s%s%s", i ? " " : "", names_text(NAMES_ATTRIBUTE, list[i].type, buf),
            list[i].pValue ? "" : "?");
    add("}");
}

void journal_ask(CK_FUNCTION_LIST *real)
{
    asked = real;
}

void say_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    CK_BBOOL token = CK_FALSE;
    CK_OBJECT_CLASS cls = CKO_DATA;
    CK_BYTE id[64];
    CK_ATTRIBUTE list[] = {{CKA_TOKEN, &token, sizeof(token)},
                           {CKA_CLASS, &cls, sizeof(cls)},
                           {CKA_ID, id, sizeof(id)}};
    char buf[NAMES_TEXT_MAX];

    if (asked->C_GetAttributeValue(session, object, list, 2) != CKR_OK)
        return;
    add(" %s %s ", token ? "token" : "session", names_text(NAMES_CLASS, cls, buf));
    if (asked->C_GetAttributeValue(session, object, &list[2], 1) != CKR_OK)
        return;
    for (CK_ULONG i = 0; i < list[2].ulValueLen && i < sizeof(id); i++)
        add("%02x", id[i]);
}

void journal_end_word(const char *word)
{
    add(" = %s", word);
    line[len++] = '\n';
    if (fd >= 0 && write(fd, line, len) < 0)
        fd = -1;
}

void journal_end(CK_RV rv)
{
    char buf[NAMES_TEXT_MAX];

    journal_end_word(names_text(NAMES_RESULT, rv, buf));
}
