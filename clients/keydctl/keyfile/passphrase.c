/* SPDX-License-Identifier: Apache-2.0
 *
 * Passphrases: from a file that nobody else can read, or from the terminal; never from argv or the
 * environment, which others can see.
 */
#include <bsd/readpassphrase.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/keydctl/keyfile/keyfile.h"
#include "proto/x509/quote.h"

#define PASSPHRASE_MAX 1024 /* bytes */

bool keyfile_pass_from_file(void *arg, const char *file, unsigned attempt, struct secret *ret,
                            struct err *err)
{
    const char *path = arg;

    (void)file, (void)attempt;
    if (strcmp(path, "-") == 0)
        return secret_read_fd(ret, STDIN_FILENO, PASSPHRASE_MAX, "the passphrase on stdin", err);
    return secret_read_file(ret, path, PASSPHRASE_MAX, err);
}

/* What is typed at the terminal, unseen; `nobody` is the error when there is none. */
static bool ask(const char *prompt, const char *nobody, struct secret *ret, struct err *err)
{
    struct secret s = {0};

    TRY(secret_new(&s, PASSPHRASE_MAX + 1, err));
    if (!readpassphrase(prompt, (char *)s.bytes, PASSPHRASE_MAX + 1,
                        RPP_ECHO_OFF | RPP_REQUIRE_TTY)) {
        int e = errno;

        secret_free(&s);
        return err_set(err, ERR_DENIED, "%s", e == EINTR ? "nothing was given" : nobody);
    }
    s.len = strlen((char *)s.bytes);
    *ret = s;
    return true;
}

bool keyfile_ask(const char *prompt, struct secret *ret, struct err *err)
{
    return ask(prompt, "there is no terminal to ask at", ret, err);
}

bool keyfile_pass_from_terminal(void *arg, const char *file, unsigned attempt, struct secret *ret,
                                struct err *err)
{
    char prompt[QUOTE_SIZE + 64], name[QUOTE_SIZE];

    (void)arg;
    snprintf(prompt, sizeof(prompt),
             "%spassphrase of %s: ", attempt > 1 ? "wrong; once more, " : "", quote(file, name));
    return ask(prompt, "the private key is encrypted, and there is no terminal to ask at", ret,
               err) ||
           err_hint(err, "--passphrase-file FILE");
}
