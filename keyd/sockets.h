/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets: the listening sockets: two by path, each in a folder of its own that can be mounted into
 * a chroot: <run_dir>/frontend/keyd.sock and <run_dir>/control/control.sock, folders 0750 and
 * sockets 0660 of the configured group: who may enter the folder may ask. And for TLS two by
 * address, if they are configured.
 */
#ifndef KEYD_SOCKETS_H
#define KEYD_SOCKETS_H

#include "keyd/config.h"

/* Makes folders, binds and listens. A socket that an earlier keyd left is replaced; anything else
 * that stands in its place is refused. */
bool sockets_open(const struct config *c, int ret_fds[SOCKETS], struct err *err) MUST_USE;

/* Binds the TLS listeners that are configured; -1 for those that are not. */
bool sockets_open_tls(const struct config *c, int ret_fds[SOCKETS], struct err *err) MUST_USE;

/* Removes the sockets' names. */
void sockets_remove(const struct config *c);

#endif
