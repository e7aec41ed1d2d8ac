/* SPDX-License-Identifier: Apache-2.0
 *
 * mem: the only place that calls malloc and free. Memory comes zeroed; NULL means there is none.
 */
#ifndef KEYD_PROTO_BASE_MEM_H
#define KEYD_PROTO_BASE_MEM_H

#include <stddef.h>

#include "proto/base/err.h"

/* n zeroed bytes, freed with mem_free; NULL without memory. n = 0 gives one byte. */
void *mem_new(size_t n) MUST_USE;

/* count zeroed elements of size bytes; NULL without memory or when the product overflows. */
void *mem_array(size_t count, size_t size) MUST_USE;

/* p (or NULL) grown or shrunk to count elements of size bytes, contents kept, new bytes NOT zeroed;
 * NULL leaves p as it was. */
void *mem_resize(void *p, size_t count, size_t size) MUST_USE;

/* A copy of n bytes; NULL without memory. */
void *mem_dup(const void *p, size_t n) MUST_USE;

/* A copy of the string; NULL without memory or if s is NULL. */
char *mem_str(const char *s) MUST_USE;

/* Frees; NULL is fine. */
void mem_free(void *p);

/* For _cleanup_: frees what the variable points to. */
void mem_cleanup(void *pointer_to_variable);

/* Runs fn(&variable) when the variable goes out of scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
/* A pointer that mem_free takes care of. */
#define AUTO_FREE CLEANUP(mem_cleanup)
/* Gives the pointer away: its value is returned, the variable becomes NULL. */
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#endif
