#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kill: kill -9 of each process, 20 times in turn, while clients sign without pause. Signers,
# custodian and management gate: not one failed signature. The signing gate: clients repeat within
# their deadline. The parent: all children are gone within a second, and the next start needs no
# cleaning.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=$((20 / ROUNDS_OF))

with_keyd "signers = 2
restart-delay-max-ms = 100"
begin make_key acme/www ec-p256
begin make_key acme/rsa rsa-2048

# load_begin ARG...: signing load on two keys; load_end ends it and fails if a signature did.
load_begin() {
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --threads 2 --deadline $((2000 * SLOW)) "$@" \
        > "$T/load1.out" 2> "$T/log/load1.log" &
    LOADS=$!
    "$LOAD" --socket "$SOCKET" --key "$T/rsa.ref.pem" --scheme 0804 --threads 1 \
        --deadline $((2000 * SLOW)) "$@" > "$T/load2.out" 2> "$T/log/load2.log" &
    LOADS="$LOADS $!"
    for pid in $LOADS; do started "$pid"; done
    soon 10 grep -q running "$T/load1.out"
    soon 10 grep -q running "$T/load2.out"
}
load_end() {
    local pid status=0
    for pid in $LOADS; do
        kill -TERM "$pid"
        wait "$pid" || status=$?
    done
    tail -qn 1 "$T"/load?.out # to the log of the cases
    [ $status = 0 ] || fail "$(tail -qn 1 "$T"/load?.out | tr '\n' ' ') $(head -qn 2 "$T"/log/load?.log)"
}

# kill_in_turn NAME: kills the process of that name, waits until its successor is ready, again.
kill_in_turn() {
    local round pid
    for ((round = 0; round < ROUNDS; round++)); do
        soon 20 has_pid "$1"
        pid=$(pid_of "$1")
        kill -KILL "$pid"
        soon 20 replaced "$1" "$pid"
    done
}
has_pid() { [ -n "$(pid_of "$1")" ]; }
replaced() {
    local new
    new=$(pid_of "$1")
    [ -n "$new" ] && [ "$new" != "$2" ]
}

case_signers() {
    load_begin
    local round pid
    for ((round = 0; round < ROUNDS; round++)); do
        soon 20 has_pid "signer $((round % 2))"
        soon 20 ready # two signers dead at once are another test
        pid=$(pid_of "signer $((round % 2))")
        kill -KILL "$pid"
        soon 20 replaced "signer $((round % 2))" "$pid"
    done
    load_end
}

case_custodian() {
    load_begin
    kill_in_turn custodian
    load_end
    soon 20 ready
    ctl tenants-add after-custodian
}

case_management_gate() {
    load_begin
    kill_in_turn "control gate"
    load_end
    soon 20 ready
    ctl tenants-add after-gate
}

# An open management call gets a broken connection, told as such, and not silence.
case_open_management_call() {
    local call status=0
    "$KEYDCTL" --socket "$CONTROL" keys-generate --tenant acme --name big --type rsa-4096 \
        > "$T/call.out" 2>&1 &
    call=$!
    sleep 0.1
    kill -KILL "$(pid_of "control gate")"
    wait $call || status=$?
    equal 3 $status "exit status ($(cat "$T/call.out"))" # try again later
    soon 20 ready
    # whether it was made or not, keyd knows: a second try is told so or makes it
    ctl keys-show acme/big > /dev/null 2>&1 ||
        ctl keys-generate --tenant acme --name big --type rsa-4096 > /dev/null
    equal acme/big "$(ctl keys-show acme/big --json | jq -r .key)"
}

case_signing_gate() {
    load_begin --repeat
    kill_in_turn "signing gate"
    load_end
}

# Killed in the middle of making keys: no key that was answered is lost, none is there twice, and
# the custodian cleans up what was cut short.
case_custodian_while_it_makes_keys() {
    local round i name made=0
    for ((round = 0; round < ROUNDS; round++)); do
        (for ((i = 0; i < 50; i++)); do
            name=m-$round-$i
            ctl keys-generate --tenant acme --name $name --type ec-p256 > /dev/null 2>&1 || break
            echo $name >> "$T/made"
        done) &
        sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
        kill -KILL "$(pid_of custodian)" 2> /dev/null || true
        wait $!
        soon 20 ready
    done
    while read -r name; do
        made=$((made + 1))
        equal "acme/$name" "$(ctl keys-show "acme/$name" --json | jq -r .key)"
    done < "$T/made"
    [ $made -gt 0 ] || fail "not one key was made"
    equal 0 "$(ctl status --json | jq .keys_missing)"
    # every key of the registry signs
    ctl keys-list --tenant acme --json | jq -r '.keys[].key | select(startswith("acme/m-"))' |
        tail -n 5 | while read -r name; do
        ctl keys-ref "$name" > "$T/made.ref.pem"
        "$LOAD" --socket "$SOCKET" --key "$T/made.ref.pem" --threads 1 --seconds 1 > /dev/null
    done
}

case_parent() {
    local round children pid killed
    for ((round = 0; round < ROUNDS; round++)); do
        children=$(pids_of "" | grep -vx "$(cat "$T/keyd.pid")")
        [ "$(wc -w <<< "$children")" -ge 5 ] || fail "children: $children"
        killed=$(now_ms)
        kill -KILL "$(cat "$T/keyd.pid")"
        for pid in $children; do
            while alive "$pid"; do
                [ $(($(now_ms) - killed)) -lt $((1000 * SLOW)) ] ||
                    fail "process $pid ($(tr '\0' ' ' < "/proc/$pid/cmdline")) outlived its parent by a second"
                sleep 0.02
            done
        done
        start_keyd
    done
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
}

run_cases "$@"
