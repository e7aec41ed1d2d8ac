/* SPDX-License-Identifier: Apache-2.0
 *
 * trace: kill -9 of the custodian between any two of its system calls that change something for
 * others: files of token and registry, and what it tells its neighbours. Between two of them a kill
 * is the same wherever it comes, so these are all the points there are.
 */
#ifndef KEYD_TESTS_FAULTS_TRACE_H
#define KEYD_TESTS_FAULTS_TRACE_H

/* Traces every custodian that the rig starts from now on. */
void trace_init(void);

/* The running custodian dies before its n-th changing call from now on; 0: they are only counted.
 */
void trace_arm(unsigned n);

/* The same for the custodian that is started next, from its first instruction on. */
void trace_arm_next(unsigned n);

/* Lets the running custodian go on untraced. */
void trace_disarm(void);

/* Changing calls since it was armed, and whether it was killed for them. */
unsigned trace_count(void);

#endif
