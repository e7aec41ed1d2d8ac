/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed: memory files that nobody can change any more (memfd_create(2), F_ADD_SEALS in fcntl(2)):
 * one process writes a whole table, and the others read it without believing the writer's timing.
 */
#ifndef KEYD_PROCESS_SEALED_H
#define KEYD_PROCESS_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* A sealed memory file with these bytes; `what` names it in errors. The caller owns *ret_fd. */
bool sealed_make(const char *what, const uint8_t *bytes, size_t len, int *ret_fd,
                 struct err *err) MUST_USE;

/* Maps a memory file that must be sealed and not empty; unmapped with munmap(2). fd stays the
 * caller's. */
bool sealed_map(const char *what, int fd, const uint8_t **ret, size_t *ret_len,
                struct err *err) MUST_USE;

#endif
