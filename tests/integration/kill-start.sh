#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kill-start: token processes are killed while they start, 200 times, at any moment of it: the token
# lives (SoftHSM empties its master-key file at every login before it writes it anew).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

KILLS=$((200 / ROUNDS_OF))

with_keyd "signers = 2
restart-delay-max-ms = 100"
begin make_key acme/www ec-p256

# is_token_process PID: by the title that keyd gives it; nothing of it is known before its exec.
is_token_process() {
    local title=
    IFS= read -r -d '' title 2> /dev/null < "/proc/$1/cmdline"
    [[ $title == "keyd: custodian" || $title == "keyd: signer"* ]]
}

# Children are read from /proc, not asked of status: that would take longer than a start does.
case_token_processes() {
    local kills=0 too_late=0 pid done=" " parent
    parent=$(cat "$T/keyd.pid")
    local end=$(($(now_ms) + 300000 * SLOW))
    # the first ones are ready: they must die for others to start
    for pid in $(pids_of signer) $(pids_of custodian); do kill -KILL "$pid"; done
    while [ $kills -lt $KILLS ]; do
        [ "$(now_ms)" -lt $end ] || fail "only $kills of $KILLS kills in the time there was"
        alive "$parent" || fail "keyd ended after $kills kills: $(tail -n 2 "$T/log/keyd.log")"
        for pid in $(< "/proc/$parent/task/$parent/children"); do
            [[ $done != *" $pid "* ]] || continue
            is_token_process "$pid" || continue
            # anywhere in its start: a signer's takes some 12 ms, the custodian's 200
            sleep "0.0$(printf '%02d' $((RANDOM % (RANDOM % 4 ? 12 : 90))))"
            kill -KILL "$pid" 2> /dev/null || continue
            done+="$pid "
            soon 5 dead "$pid"
            if grep -q " ready, pid $pid," "$T/log/keyd.log"; then
                too_late=$((too_late + 1))
            else
                kills=$((kills + 1))
            fi
            [ $kills -lt $KILLS ] || break
        done
    done
    echo "$kills kills while they started, $too_late after that, $(grep -c 'put back' "$T/log/keyd.log") files mended"
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
