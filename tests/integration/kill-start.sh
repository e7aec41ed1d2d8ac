#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kill-start: token processes are killed while they start, 200 times, at any moment of it: the token
# lives (SoftHSM empties its master-key file at every login before it writes it anew).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

KILLS=$((200 / ROUNDS_OF))

with_keyd "signers = 2"
begin make_key acme/www ec-p256

# starting_token_process: the pid of a child of keyd that is a signer or custodian and not ready yet.
# Asked from /proc, not from status: that would take longer than a start does.
children() { cat "/proc/$1/task/$1/children" 2> /dev/null; }

case_token_processes() {
    local kills=0 pid known
    known=" $(pids_of "gate" | tr '\n' ' ') $(pids_of "signing" | tr '\n' ' ') $(pids_of "control" | tr '\n' ' ') "
    local parent
    parent=$(cat "$T/keyd.pid")
    local end=$(($(now_ms) + 300000 * SLOW))
    while [ $kills -lt $KILLS ]; do
        [ "$(now_ms)" -lt $end ] || fail "only $kills of $KILLS kills in the time there was"
        alive "$parent" || fail "keyd ended after $kills kills: $(tail -n 2 "$T/log/keyd.log")"
        for pid in $(children "$parent"); do
            [[ $known != *" $pid "* ]] || continue
            # somewhere in the first 30 ms of what it does
            sleep "0.0$((RANDOM % 3))$((RANDOM % 10))"
            kill -KILL "$pid" 2> /dev/null && kills=$((kills + 1))
            [ $kills -lt $KILLS ] || break
        done
        sleep 0.01
    done
    soon 60 ready
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
    equal 0 "$(ctl status --json | jq .keys_missing)"
    stop_keyd
    start_keyd
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
}

# The same through the whole of keyd: kill -9 of the parent while everything starts.
case_whole_starts() {
    local round
    stop_keyd
    for ((round = 0; round < KILLS / 5; round++)); do
        launch
        sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
        kill -KILL "$KEYD_PID" 2> /dev/null || true
        soon 5 dead "$KEYD_PID"
    done
    start_keyd
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
    equal 0 "$(ctl status --json | jq .keys_missing)"
}

run_cases "$@"
