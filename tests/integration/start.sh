#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# start: how keyd starts, refuses to start, re-reads its settings and ends.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Every case has a state of its own, below $T/CASE.
at() {
    STATE=$T/$1/state CONF=$T/$1/keyd.conf
    SOCKET=$STATE/run/frontend/keyd.sock CONTROL=$STATE/run/control/control.sock
    mkdir -p "$T/$1"
    configure "${2-}"
    T_LOG=$T/log/$1.log
}

# fails_to_start: keyd ends by itself, with a status that is not 0, within 10 s; what it said is
# left in $said.
fails_to_start() {
    local got=0
    said=$(timeout -k 5 $((10 * SLOW)) "$KEYD" --foreground --config "$CONF" 2>&1) || got=$?
    printf '%s\n' "$said" >> "$T_LOG"
    [ $got != 0 ] || fail "keyd ended as if all was well"
    [ $got -lt 124 ] || fail "it went on, or died of a signal (status $got): ${said: -300}"
}

case_init_token() {
    at init
    keyd_with --init-token
    local pin
    for pin in user so; do
        equal 600 "$(stat -c %a "$STATE/$pin.pin")"
        [ "$(tr -d '\n' < "$STATE/$pin.pin" | wc -c)" -ge 32 ] || fail "$pin.pin has under 128 bits"
    done
    ! cmp -s "$STATE/user.pin" "$STATE/so.pin" || fail "both PINs are the same"
    equal 700 "$(stat -c %a "$STATE")" "mode of the state directory"
    has "$(SOFTHSM2_CONF=$STATE/softhsm2.conf softhsm2-util --show-slots)" "keyd"
    # once more: refused, and nothing is lost
    cp "$STATE/user.pin" "$T/init/user.pin"
    refused any keyd_with --init-token
    cmp "$T/init/user.pin" "$STATE/user.pin"
    start_keyd
    stop_keyd
}

# No PIN on a command line, in an environment or in a log, at init or later.
case_pins_are_nowhere() {
    at pins
    strace -f -qq -e trace=execve -s 4096 -v -o "$T/pins/trace" "$KEYD" --init-token --config "$CONF" ||
        [ "$PRESET" = asan ] || fail "init-token under strace"
    [ -s "$STATE/user.pin" ] || keyd_with --init-token # the sanitizer does not like to be traced
    start_keyd
    local pin pid
    for pin in "$(cat "$STATE/user.pin")" "$(cat "$STATE/so.pin")"; do
        lacks "$(cat "$T/pins/trace" "$T/log/keyd.log")" "$pin"
        for pid in $(pids_of ""); do
            lacks "$(tr '\0' ' ' < "/proc/$pid/cmdline")" "$pin"
        done
        ! grep -rqF "$pin" "$STATE" --include='*.conf' --include='*.db*' || fail "a PIN in the state"
    done
    stop_keyd
}

case_state_without_token() {
    at empty
    fails_to_start
    has "$said" "--init-token"
}

case_wrong_pin() {
    at wrong
    keyd_with --init-token
    (umask 077 && echo 00000000000000000000000000000000 > "$STATE/user.pin")
    fails_to_start
    has "$said" "$STATE/user.pin" "PIN" "keyd"
    # it was tried once, not again into a lockout
    equal 1 "$(grep -c 'ended: .*CKR_PIN_INCORRECT' <<< "$said")"
}

case_pin_file_missing() {
    at nopin
    keyd_with --init-token
    mv "$STATE/user.pin" "$STATE/away"
    fails_to_start
    has "$said" "$STATE/user.pin"
    mv "$STATE/away" "$STATE/user.pin"
    chmod 0644 "$STATE/user.pin"
    fails_to_start
    has "$said" "$STATE/user.pin"
    chmod 0600 "$STATE/user.pin"
    start_keyd
    stop_keyd
}

case_module_missing() {
    at module "[token]
uri = pkcs11:token=keyd?module-path=/no/such/module.so&pin-source=file:$T/module/pin"
    (umask 077 && echo 1234567890abcdef > "$T/module/pin")
    fails_to_start
    has "$said" /no/such/module.so
    refused any keyd_with --init-token
    has "$said" /no/such/module.so
}

case_module_that_is_none() {
    at nomodule "[token]
uri = pkcs11:token=keyd?module-path=/usr/lib/x86_64-linux-gnu/libcrypto.so.3&pin-source=file:$T/nomodule/pin"
    (umask 077 && echo 1234567890abcdef > "$T/nomodule/pin")
    fails_to_start
    has "$said" libcrypto
}

# A token that is not there may still come: keyd goes on trying and says so, and serves when it is.
case_token_missing() {
    at missing
    keyd_with --init-token
    mv "$STATE/tokens" "$STATE/away"
    mkdir -m 0700 "$STATE/tokens"
    : > "$T/log/keyd.log"
    launch
    soon 10 grep -qi "token" "$T/log/keyd.log"
    if alive "$KEYD_PID"; then
        rmdir "$STATE/tokens"
        mv "$STATE/away" "$STATE/tokens"
        soon 30 ready
        stop_keyd
    else
        fail "keyd ended: $(tail -n 2 "$T/log/keyd.log")"
    fi
}

case_second_keyd() {
    at second
    keyd_with --init-token
    start_keyd
    fails_to_start
    has "$said" "$STATE" "$KEYD_PID"
    ready || fail "the first one suffered"
    refused any keyd_with --init-token
    stop_keyd
    start_keyd # and once the first has gone, nothing is in the way
    stop_keyd
}

case_check_config() {
    at check
    keyd_with --check-config
    configure "[token]
no-such = 1"
    refused any keyd_with --check-config
    has "$said" no-such "$CONF"
    configure "sigers = 2"
    refused any keyd_with --check-config
    has "$said" sigers signers # the nearest known one
    configure "signers = many"
    refused any keyd_with --check-config
    has "$said" signers many
    configure "signers = 65"
    refused any keyd_with --check-config
    has "$said" signers 64
    configure "[nosuch]
x = 1"
    refused any keyd_with --check-config
    has "$said" nosuch
    configure "[token]
uri = pkcs11:token=keyd?module-path=/x.so&pin-value=1234"
    refused any keyd_with --check-config
    has "$said" pin-value
    lacks "$said" 1234
    configure "[token]
uri = https://example.com"
    refused any keyd_with --check-config
    refused any "$KEYD" --check-config --config "$T/no/such/file"
    has "$said" "$T/no/such/file"
}

case_socket_path_too_long() {
    local long
    long=$T/$(printf 'd%.0s' {1..100})
    printf '[keyd]\nstate-dir = %s\n' "$long" > "$T/long.conf"
    CONF=$T/long.conf
    refused any keyd_with --check-config
    has "$said" 107 "$long"
}

case_bad_config_does_not_start() {
    at bad "no-such-setting = 1"
    fails_to_start
    has "$said" no-such-setting
}

case_sockets_and_modes() {
    at modes
    keyd_with --init-token
    start_keyd
    [ -S "$SOCKET" ] || fail "no $SOCKET"
    [ -S "$CONTROL" ] || fail "no $CONTROL"
    equal 750 "$(stat -c %a "$(dirname "$CONTROL")")"
    local f
    while read -r f; do fail "others may write $f"; done < <(find "$STATE" -perm /o+w ! -type s ! -type l)
    for f in "$STATE"/registry.db* "$STATE"/softhsm2.conf "$STATE"/*.pin; do
        equal 600 "$(stat -c %a "$f")" "mode of $f"
    done
    stop_keyd
}

# Each process is confined, and none can be read by its own user.
case_confined() {
    at confined
    keyd_with --init-token
    start_keyd
    local pid status n=0
    for pid in $KEYD_PID $(pids_of ""); do
        status=$(cat "/proc/$pid/status")
        [[ $status =~ NoNewPrivs:[[:space:]]+1 ]] || fail "$pid may gain privileges"
        [[ $status =~ Seccomp:[[:space:]]+2 ]] || fail "$pid has no seccomp filter"
        has "$(grep 'Max core file size' "/proc/$pid/limits" | tr -s ' ')" "size 0 0"
        n=$((n + 1))
    done
    [ $n -ge 6 ] || fail "only $n processes: a parent, two gates, two signers and a custodian were expected"
    # SIGSYS or a line that names a forbidden call would stand in the log
    lacks "$(cat "$T/log/keyd.log")" SIGSYS
    stop_keyd
}

case_reload() {
    at reload "signers = 2"
    keyd_with --init-token
    start_keyd
    local before
    before=$(ctl status --json | jq -c '[.processes[] | [.name, .pid]]')
    configure "sigers = 3"
    kill -HUP "$KEYD_PID"
    soon 5 grep -q sigers "$T/log/keyd.log"
    ready || fail "a bad file disturbed it"
    equal "$before" "$(ctl status --json | jq -c '[.processes[] | [.name, .pid]]')"
    configure "signers = 2"
    kill -HUP "$KEYD_PID"
    ctl tenants-add after
    stop_keyd
}

# SIGTERM drains: what was begun is finished, then all processes are gone, and so are the sockets.
case_sigterm_drains() {
    at drain
    keyd_with --init-token
    start_keyd
    make_key acme/www ec-p256
    local pids load
    pids=$(pids_of "")
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --threads 2 --batch 16 --deadline 1000 \
        > "$T/drain/load.out" 2> "$T/log/drain-load.log" &
    load=$!
    started $load
    soon 10 grep -q running "$T/drain/load.out"
    stop_keyd
    kill -TERM $load
    soon 10 dead $load
    local pid
    for pid in $pids; do
        dead "$pid" || fail "process $pid is still there"
    done
    # nobody got an answer that is none: only the socket that is gone, and calls that were refused
    ! grep -E 'INTERNAL|TOKEN|STORAGE|does not verify' "$T/log/drain-load.log" ||
        fail "$(head -n 1 "$T/log/drain-load.log")"
}

# What the registry says is there after a restart: same keys, same ids, still signing.
case_restart_keeps_all() {
    at keep
    keyd_with --init-token
    start_keyd
    make_key acme/www ec-p256
    local before
    before=$(ctl keys-list --json)
    stop_keyd
    start_keyd
    equal "$before" "$(ctl keys-list --json)"
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
    stop_keyd
}

# Objects of a key that keyd knows have vanished: it serves what it has, refuses changes, says why.
case_missing_objects() {
    at gone
    keyd_with --init-token
    start_keyd
    make_key acme/a ec-p256
    make_key acme/b ec-p256
    make_key acme/c ec-p256
    local known
    known=$(ctl keys-list --json | jq '.keys | length')
    stop_keyd
    # the newest two objects of the token, put aside
    mkdir "$T/gone/aside"
    find "$STATE/tokens" -name '*.object' ! -name token.object -printf '%T@ %p\n' | sort -n |
        tail -n 2 | cut -d' ' -f2 > "$T/gone/files"
    while read -r f; do mv "$f" "$T/gone/aside/"; done < "$T/gone/files"
    start_keyd
    equal "$known" "$(ctl keys-list --json | jq '.keys | length')" "absence is no proof"
    equal 2 "$(ctl status --json | jq .keys_missing)"
    "$LOAD" --socket "$SOCKET" --key "$T/a.ref.pem" --seconds 1
    refused any ctl keys-generate --tenant acme --name d --type ec-p256
    has "$said" missing
    stop_keyd
    while read -r f; do mv "$T/gone/aside/$(basename "$f")" "$f"; done < "$T/gone/files"
    start_keyd
    equal 0 "$(ctl status --json | jq .keys_missing)"
    "$LOAD" --socket "$SOCKET" --key "$T/c.ref.pem" --seconds 1
    ctl keys-generate --tenant acme --name d --type ec-p256
    stop_keyd
}

# A master-key file that a killed login emptied is put back at the next start.
case_emptied_token_file() {
    at emptied
    keyd_with --init-token
    start_keyd
    make_key acme/www ec-p256
    stop_keyd
    : > "$(find "$STATE/tokens" -name token.object)"
    : > "$T/log/keyd.log"
    start_keyd
    has "$(cat "$T/log/keyd.log")" token.object
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
    stop_keyd
}

# As another user, in a directory of his own (only root can become somebody else).
case_as_another_user() {
    [ "$(id -u)" = 0 ] || skip "needs root: it becomes another user"
    mkdir "$T/nobody"
    chown nobody "$T/nobody"
    STATE=$T/nobody/state CONF=$T/nobody/keyd.conf
    SOCKET=$STATE/run/frontend/keyd.sock CONTROL=$STATE/run/control/control.sock
    configure
    chmod 0644 "$CONF"
    # the build may lie where nobody can read it
    local program=$T/nobody/keyd
    cp "$KEYD" "$program"
    setpriv --reuid=nobody --regid=nogroup --clear-groups "$program" --init-token --config "$CONF"
    KEYD=$program
    setsid setpriv --reuid=nobody --regid=nogroup --clear-groups "$program" --foreground \
        --config "$CONF" >> "$T/log/keyd.log" 2>&1 < /dev/null &
    KEYD_PID=$!
    echo $KEYD_PID > "$T/keyd.pid"
    started $KEYD_PID
    soon 20 ready_or_dead
    equal nobody "$(stat -c %U "$SOCKET")"
    make_key acme/www ec-p256
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --seconds 1
    stop_keyd
}

run_cases "$@"
