/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/mem.h"

#include <stdlib.h>
#include <string.h>

void *mem_new(size_t n)
{
    return calloc(1, n ? n : 1);
}

void *mem_array(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1);
}

void *mem_resize(void *p, size_t count, size_t size)
{
    return reallocarray(p, count ? count : 1, size ? size : 1);
}

void *mem_dup(const void *p, size_t n)
{
    void *copy = mem_new(n);

    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

char *mem_str(const char *s)
{
    return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

void mem_free(void *p)
{
    free(p);
}

void mem_cleanup(void *pointer_to_variable)
{
    void *p;

    memcpy(&p, pointer_to_variable, sizeof(p));
    mem_free(p);
}
