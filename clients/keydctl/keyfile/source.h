/* SPDX-License-Identifier: Apache-2.0
 *
 * source: a file or stdin into locked memory, byte for byte.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_SOURCE_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_SOURCE_H

#include "proto/base/secret.h"

/* Reads the file at path ("-": stdin) to its end. ERR_NOT_FOUND, ERR_DENIED, ERR_STORAGE;
 * ERR_TOO_LARGE: more than cap bytes. */
bool source_read(const char *path, size_t cap, struct secret *ret, struct err *err) MUST_USE;

#endif
