/* SPDX-License-Identifier: Apache-2.0
 *
 * The n-th PKCS#11 call of a verb fails, or the process dies at it, for n = 1 to the end.
 */
#include <stdio.h>

#include "tests/faults/faults.h"

/* "fail-after": the token does it and says that it did not, as a lost answer looks. */
static const struct kind {
    const char *what, *word;
} kinds[] = {
    {"fail CKR_DEVICE_ERROR", "CKR_DEVICE_ERROR"},
    {"fail CKR_FUNCTION_FAILED", "CKR_FUNCTION_FAILED"},
    {"crash", NULL},
    {"fail-after CKR_FUNCTION_FAILED", "CKR_FUNCTION_FAILED"},
    {"fail CKR_SESSION_HANDLE_INVALID", "CKR_SESSION_HANDLE_INVALID"},
    {"crash-after", NULL},
    {"fail CKR_DEVICE_MEMORY", "CKR_DEVICE_MEMORY"},
    {"fail-after CKR_DEVICE_REMOVED", "CKR_DEVICE_REMOVED"},
};

static long armed_at;

static void arm(unsigned n, unsigned kind)
{
    armed_at = faults_journal_size();
    mock_script(rig.state, "journal %s\nat %u %s\n", faults_journal(), n, kinds[kind].what);
}

static void disarm(void)
{
    mock_script(rig.state, "journal %s\n", faults_journal());
}

/* A line of the journal is a call. */
static unsigned count(void)
{
    FILE *f = fopen(faults_journal(), "r");
    unsigned lines = 0;
    int c;

    assert_non_null(f);
    assert_int_equal(fseek(f, armed_at, SEEK_SET), 0);
    while ((c = fgetc(f)) != EOF)
        lines += c == '\n';
    fclose(f);
    return lines;
}

static const char *word(unsigned kind)
{
    return kinds[kind].word;
}

int main(void)
{
    const struct fault calls = {
        "PKCS#11 calls", sizeof(kinds) / sizeof(kinds[0]), 1, arm, arm, disarm, count, word};

    return faults_run(&calls);
}
