#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# pin: pin-change, also when it is cut short: the custodian and the parent are killed at every system
# call of a kind that a change is made of (strace does it, so root is needed), and at random moments.
# After each, keyd signs with every key, the change is finished or undone, and another one works.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd "signers = 2"
begin make_key acme/www ec-p256
begin make_key acme/rsa rsa-2048

PIN=$STATE/user.pin

# settled: the last change is proven: one PIN is left, keyd runs.
settled() { [ ! -e "$PIN.new" ] && ready; }

# restart: keyd ends and starts: by the PIN in the file, and by no other.
restart() {
    stop_keyd
    start_keyd
}

# signs: both keys, here by the signers and there by the custodian.
signs() {
    local key
    for key in www rsa; do
        ossl "$CONTROL" req -new -key "$T/$key.ref.pem" -subj "/CN=$key" -out "$T/$key.csr"
        openssl req -in "$T/$key.csr" -noout -verify
    done
    : > "$T/load.out"
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --scheme 0403 --threads 2 --seconds 20 \
        --deadline $((5000 * SLOW)) > "$T/load.out" 2>&1 &
    soon 20 grep -q running "$T/load.out"
    kill -TERM $!
    wait $! || fail "no signature: $(cat "$T/load.out")"
    has "$(cat "$T/load.out")" "failed=0"
}

# change: pin-change, once the last one is proven.
change() {
    soon 60 settled
    ctl pin-change "$@"
}

# refused_with FILE: whether the token refuses the PIN in FILE: tried by another keyd, on a copy.
refused_with() {
    rm -rf "$T/copy"
    cp -a "$STATE" "$T/copy"
    rm -rf "$T/copy/run" "$T/copy/guard" "$T/copy/user.pin"*
    cp "$1" "$T/copy/user.pin"
    sed "s|$STATE|$T/copy|g" "$CONF" > "$T/copy.conf"
    sed -i "s|$STATE|$T/copy|g" "$T/copy/softhsm2.conf"
    refused any timeout $((30 * SLOW)) "$KEYD" --foreground --config "$T/copy.conf"
    has "$said" CKR_PIN_INCORRECT
}

case_changes() {
    local old said
    cp "$PIN" "$T/old.pin"
    old=$(cat "$PIN")
    said=$(ctl pin-change)
    has "$said" "is changed" "$PIN"
    lacks "$(cat "$PIN")" "$old"
    equal 600 "$(stat -c %a "$PIN")"
    [[ $(cat "$PIN") =~ ^[0-9]{39}$ ]] || fail "a PIN of another form"
    lacks "$said" "$(cat "$PIN")"
    soon 30 settled
    signs
    restart
    signs
    refused_with "$T/old.pin"
    # the guarded copy of the token's file goes with the new PIN
    : > "$(echo "$STATE"/tokens/*/token.object)"
    kill -KILL "$(pid_of "signer 0")"
    soon 30 settled
    restart
    signs
}

# The signers stay who they are, and lose no signature.
case_signing_goes_on() {
    local before i
    soon 60 settled
    before=$(pids_of signer)
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --scheme 0403 --threads 2 --seconds 3 \
        --deadline $((5000 * SLOW)) > "$T/load.out" &
    for i in 1 2 3; do change > "$T/change.$i"; done
    wait $! || fail "load: $(cat "$T/load.out")"
    has "$(cat "$T/load.out")" "failed=0"
    equal "$before" "$(pids_of signer)" "signers"
}

# A signer that starts later gets the new one.
case_new_signers() {
    local old
    change > "$T/change"
    old=$(pid_of "signer 1")
    kill -KILL "$old"
    soon 30 settled
    [ "$(pid_of "signer 1")" != "$old" ] || fail "it lives"
    signs
}

case_ones_own() {
    soon 60 settled
    (umask 077 && echo "correct-horse-battery" > "$PIN.next")
    equal "true $PIN" "$(ctl pin-change --json | jq -r '"\(.given) \(.file)"')"
    equal correct-horse-battery "$(cat "$PIN")"
    soon 60 settled
    [ ! -e "$PIN.next" ] || fail "$PIN.next is still there"
    restart
    signs
}

case_refusals() {
    local before
    soon 60 settled
    before=$(cat "$PIN")
    echo another-one > "$PIN.next"
    chmod 0644 "$PIN.next"
    refused 1 ctl pin-change
    has "$said" "$PIN.next" 0644 0600
    chmod 0600 "$PIN.next"
    printf 'ab' > "$PIN.next"
    refused 1 ctl pin-change
    has "$said" "2 characters" "4 to 255"
    : > "$PIN.next"
    refused 1 ctl pin-change
    has "$said" "holds no PIN"
    cp "$PIN" "$PIN.next"
    refused 1 ctl pin-change
    has "$said" "in use already"
    rm "$PIN.next"
    echo somebody-was-here > "$PIN"
    refused 1 ctl pin-change
    has "$said" "was changed since" "restart keyd"
    mv "$PIN" "$T/elsewhere"
    (umask 077 && echo "$before" > "$T/elsewhere")
    ln -s "$T/elsewhere" "$PIN"
    refused 1 ctl pin-change
    has "$said" "no plain file" "vendor's tool"
    rm "$PIN"
    mv "$T/elsewhere" "$PIN"
    equal "$before" "$(cat "$PIN")"
    [ ! -e "$PIN.new" ] || fail "something is left"
    change > "$T/change"
}

# The PIN file may lie elsewhere; where keyd cannot write, it says so before anything is changed.
case_elsewhere() {
    local uri
    stop_keyd
    mkdir "$T/etc"
    mv "$PIN" "$T/etc/pin"
    cp "$CONF" "$T/usual.conf"
    uri="pkcs11:token=keyd?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:$T/etc/pin"
    configure "signers = 2
[token]
uri = $uri"
    start_keyd
    ctl pin-change > "$T/change"
    PIN=$T/etc/pin soon 60 settled
    restart
    signs
    stop_keyd
    cp "$T/etc/pin" "$PIN"
    cp "$T/usual.conf" "$CONF"
    start_keyd
}

case_no_pin_is_told() {
    local log=$T/log/keyd.log
    soon 60 settled
    lacks "$(cat "$log")" "$(cat "$PIN")" correct-horse
    has "$(cat "$log")" "the token's user PIN is changed"
}

# ---- cut short

# after_kill: whoever was killed, keyd is mended or starts again, all keys sign, one PIN is left.
after_kill() {
    if dead "$(cat "$T/keyd.pid")"; then start_keyd; fi
    soon 60 settled
    signs
}

# kill_at NAME SYSCALL N: kills the process NAME as it enters its N-th SYSCALL during a pin-change.
# Fails when it had no so many.
kill_at() {
    local pid tracer
    pid=$(pid_of "$1")
    strace -qq -o "$T/trace" -e trace="$2" -e signal=none \
        -e inject="$2:signal=KILL:when=$3" -p "$pid" 2> "$T/strace.err" &
    tracer=$!
    started "$tracer"
    soon 10 traced "$pid"
    ctl pin-change --timeout 30 > "$T/change" 2>&1 || true
    if alive "$pid" && [ "$1" = parent ]; then
        end "$tracer" || true
        return 1
    fi
    soon 60 dead_or_settled "$pid"
    if alive "$tracer"; then end "$tracer" || true; fi
    ! grep -q "is changed" "$T/change"
}
traced() { ! grep -q '^TracerPid:[[:space:]]*0$' "/proc/$1/status"; }
dead_or_settled() { dead "$1" || settled; }

# every_step NAME SYSCALL...: each call of each kind.
every_step() {
    local name=$1 call n killed=0
    shift
    [ "$(id -u)" = 0 ] || skip "only root may trace keyd's processes"
    [ "$PRESET" != asan ] || skip_steps=5
    for call; do
        for ((n = 1; n <= 40; n += ${skip_steps:-1})); do
            soon 60 settled
            kill_at "$name" "$call" "$n" || break
            killed=$((killed + 1))
            after_kill
        done
        after_kill
    done
    [ "$killed" -ge $((15 / ${skip_steps:-1})) ] || fail "only $killed kills"
    printf '%s was killed %s times\n' "$name" "$killed"
    restart
    change
    soon 60 settled
    signs
}

case_custodian_killed_at_every_step() { every_step custodian openat ftruncate write fsync; }

case_parent_killed_at_every_step() {
    every_step parent openat write fsync rename renameat2 pipe2 sendmsg
}

# All at once: the parent, and with it everyone.
case_killed_at_random() {
    local i who
    for ((i = 0; i < 20 / ROUNDS_OF; i++)); do
        soon 60 settled
        who=$(pid_of "$([ $((i % 2)) = 0 ] && echo parent || echo custodian)")
        ctl pin-change --timeout 30 > "$T/change" 2>&1 &
        sleep "0.0$((RANDOM % 60 + 10))"
        kill -KILL "$who" || true # a custodian may have been replaced meanwhile
        wait $! || true
        if [ $((i % 2)) = 0 ]; then soon 30 dead "$who"; fi
        after_kill
    done
    restart
    change
    soon 60 settled
    signs
    has "$(cat "$T/log/keyd.log")" "cut short"
}

run_cases "$@"
