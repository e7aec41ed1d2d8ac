/* SPDX-License-Identifier: Apache-2.0
 *
 * tlsfiles: the files of the TLS listeners, read by the parent for the gates, which open none. They
 * are read as keyd's user, so that what works at the start works at SIGHUP too, and looked at
 * before any gate gets them: a bad file changes nothing.
 */
#ifndef KEYD_TLSFILES_H
#define KEYD_TLSFILES_H

#include "keyd/config.h"

/* Reads the files of [tls] into a sealed memory file, the bundle of gate.h; *ret_fd is -1 if none
 * is configured. What expires soon is said in *ret_warning (empty: nothing). Errors name the
 * setting, the file, and what is wrong with it. The caller owns *ret_fd. */
bool tlsfiles_read(const struct config *c, int *ret_fd, char *ret_warning, size_t size,
                   struct err *err) MUST_USE;

#endif
