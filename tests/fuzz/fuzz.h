/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz: what each target has. Without a fuzzer main.c calls it, with one libFuzzer does (run).
 */
#ifndef KEYD_TESTS_FUZZ_FUZZ_H
#define KEYD_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs the target over one input; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

/* Called once before; returns 0. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must hold for every input. */
#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
