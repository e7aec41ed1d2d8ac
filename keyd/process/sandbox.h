/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox: each process is confined to what its work needs. seccomp: one table of system calls by
 * profile (sandbox.c); a call that is not in the row ends the process with a line that names it.
 * Landlock: the files it may reach. Both only ever get narrower.
 */
#ifndef KEYD_PROCESS_SANDBOX_H
#define KEYD_PROCESS_SANDBOX_H

#include "proto/base/err.h"

enum sandbox_profile {
    SANDBOX_PARENT,    /* also everything that its children need: they inherit it */
    SANDBOX_GATE,      /* no file by path at all */
    SANDBOX_SIGNER,    /* no call that changes a file by path or attribute */
    SANDBOX_CUSTODIAN, /* token and registry */
    SANDBOX_PROFILES
};

/* At the start of every process: not dumpable, no core file, no new privileges, children die with
 * their parent (PR_SET_PDEATHSIG; not for the parent itself). */
bool sandbox_basics(bool is_child, struct err *err) MUST_USE;

struct sandbox_files {
    const char *const *read_exec; /* paths that may be read and executed; NULL-terminated */
    const char *const *read;      /* read only */
    const char *const *write;     /* everything below may be read, written, made, removed */
};

/* Confines to these files by Landlock; paths that do not exist are left out. Without Landlock in
 * the kernel: fails, unless `optional`, then *ret_applied is false. May be called again with less.
 */
bool sandbox_files(const struct sandbox_files *files, bool optional, bool *ret_applied,
                   struct err *err) MUST_USE;

/* Loads the profile's seccomp filter. */
bool sandbox_syscalls(enum sandbox_profile profile, struct err *err) MUST_USE;

#endif
