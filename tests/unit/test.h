/* SPDX-License-Identifier: Apache-2.0
 *
 * test: cmocka with the headers that it wants before it.
 */
#ifndef KEYD_TESTS_UNIT_TEST_H
#define KEYD_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Fails unless `text` contains `part`, and shows both. */
#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("\"%s\" does not contain \"%s\"", (text), (part));                            \
    } while (0)

#endif
