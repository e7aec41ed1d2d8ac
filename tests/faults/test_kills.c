/* SPDX-License-Identifier: Apache-2.0
 *
 * kill -9 before the n-th system call of a verb that changes something, for n = 1 to the end.
 */
#include "tests/faults/faults.h"
#include "tests/faults/trace.h"

static void arm(unsigned n, unsigned kind)
{
    (void)kind;
    trace_arm(n);
}

static void arm_next(unsigned n, unsigned kind)
{
    (void)kind;
    trace_arm_next(n);
}

static void disarm(void)
{
    trace_disarm();
    mock_script(rig.state, "journal %s\n", faults_journal());
}

static const char *word(unsigned kind)
{
    (void)kind;
    return NULL;
}

int main(void)
{
    const struct fault kills = {
        "changing system calls", 1, 2, arm, arm_next, disarm, trace_count, word};

    trace_init();
    return faults_run(&kills);
}
