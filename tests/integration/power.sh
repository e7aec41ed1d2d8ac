#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# power: power loss, imitated. The custodian is stopped (strace) after each system call of a verb
# that changes a file, and the state directory is copied; then a keyd is started on each copy: no
# finished key is lost, no object of ours is unowned, no intent is left, and the verb repeated
# succeeds. Every tenth copy as a rule; all of them with KEYD_TEST_POWER=all (about 10 minutes).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

EVERY=$((10 * (ROUNDS_OF > 1 ? 4 : 1)))
[ "${KEYD_TEST_POWER-}" != all ] || EVERY=1
CHANGES=write,pwrite64,pwritev,ftruncate,fallocate,unlink,unlinkat,rename,renameat,mkdir,link

# The sockets are not in the state directory, which is copied as a whole.
SOCKET=$T/run/frontend/keyd.sock CONTROL=$T/run/control/control.sock

import() { HOME=$T ctl keys-import --tenant acme --name "$1" --key "$T/$1.key" --timeout 300; }

prepare() {
    local name
    for name in kept off gone; do make_key acme/$name ec-p256; done
    for name in here in; do
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/$name.key"
    done
    import here > /dev/null # makes the import key
}

with_keyd "signers = 1
[sockets]
run-dir = $T/run"
begin prepare

# ---- the copies

# stops: how often the custodian was stopped.
stops() { grep -c 'stopped by SIGSTOP' "$T/strace.log" 2> /dev/null || true; }

copy_state() {
    local to=$T/copies/$1
    mkdir -p "$to"
    cp -a "$STATE/." "$to/"
    rm -f "$to/lock"
    find "$to" -type f -exec md5sum {} + | cut -c1-32 | sort | md5sum > "$to.sum"
    [ ! -e "$T/last.sum" ] || ! cmp -s "$to.sum" "$T/last.sum" || rm -r "$to" # it says the same
    mv "$to.sum" "$T/last.sum"
}

# lay VERB COMMAND...: runs it, and copies the state after every EVERYth call that changes a file.
lay() {
    local verb=$1 pid strace job n=0 seen
    shift
    rm -f "$T/last.sum"
    soon 20 ready
    pid=$(pid_of custodian)
    strace -q -o "$T/strace.log" -p "$pid" -e "trace=$CHANGES" \
        -e "inject=$CHANGES:signal=SIGSTOP" 2> "$T/log/strace.log" &
    strace=$!
    started "$strace"
    soon 10 traced "$pid"
    "$@" > "$T/verb.out" 2>&1 &
    job=$!
    while alive "$job"; do
        seen=$(stops)
        if [ "${seen:-0}" -gt "$n" ]; then
            n=$seen
            if [ $((n % EVERY)) = 0 ] || [ "$n" -lt 4 ]; then copy_state "$verb.$n"; fi
            kill -CONT "$pid"
        else
            sleep 0.001
        fi
    done
    wait "$job" || fail "$verb: $(cat "$T/verb.out")"
    # what it still does after the answer
    while kill -CONT "$pid" 2> /dev/null && kill -TERM "$strace" 2> /dev/null; do sleep 0.01; done
    kill -CONT "$pid" 2> /dev/null || true
    copy_state "$verb.end"
    echo "$n" > "$T/copies/$verb.stops"
    [ "$n" -gt 1 ] || fail "$verb: the custodian was stopped $n times only"
}
traced() { [ "$(awk '/^TracerPid/ { print $2 }' "/proc/$1/status")" != 0 ]; }

case_copies() {
    lay generate ctl keys-generate --tenant acme --name new --type ec-p256 --timeout 300
    lay disable ctl keys-disable acme/off --timeout 300
    lay destroy ctl keys-destroy acme/gone --yes --timeout 300
    lay import import in
    lay rotate ctl import-key-rotate --timeout 300
    soon 20 ready
    stop_keyd
    mv "$STATE" "$T/whole"
}

# ---- what must be true of each

signs() {
    ctl csr --key "$1" --subject "CN=x" > "$T/x.csr"
    openssl req -in "$T/x.csr" -verify -noout 2> "$T/openssl.out" || fail "$1: $(cat "$T/openssl.out")"
}
state_of() {
    local said
    if said=$(ctl keys-show "$1" --json 2>&1); then
        jq -r .state <<< "$said"
    else
        has "$said" "has no key" # and not that it cannot say
    fi
}

# made KEY COMMAND...: it is there and signs, or the command makes it.
made() {
    local key=$1
    shift
    [ -n "$(state_of "$key")" ] || "$@" > "$T/repeat.out" 2>&1 || fail "again: $(cat "$T/repeat.out")"
    equal enabled "$(state_of "$key")" "$key"
    signs "$key"
}

after_generate() { made acme/new ctl keys-generate --tenant acme --name new --type ec-p256; }
after_import() {
    made acme/in import in
    equal "$(openssl pkey -in "$T/in.key" -pubout -outform DER | sha256sum | cut -c1-64)" \
        "$(key_id acme/in)" "the imported key"
}
after_disable() {
    ctl keys-disable acme/off > /dev/null
    equal disabled "$(state_of acme/off)"
    ctl keys-enable acme/off > /dev/null
    signs acme/off
}
after_destroy() {
    [ -z "$(state_of acme/gone)" ] || ctl keys-destroy acme/gone --yes > /dev/null
    equal "" "$(state_of acme/gone)"
}
after_rotate() {
    ctl import-key-rotate > /dev/null
    rm -rf "$T/nobody"
    mkdir "$T/nobody" # no import key is pinned there
    HOME=$T/nobody ctl keys-import --tenant acme --name again --key "$T/again.key" > /dev/null
    signs acme/again
}

# As lib.sh has it, and which copy it was.
fail() {
    printf '%s\n' "${COPY:+$COPY: }$*" > "$T/reason"
    exit 1
}

# check VERB NAME: a keyd on that copy.
check() {
    local notes objects unowned
    rm -rf "$STATE"
    mv "$T/copies/$2" "$STATE"
    start_keyd
    notes=$(ctl status --json | jq -r '.token.notes[]')
    lacks "$notes" "missing" "not keyd's" "not served"
    equal 0 "$(sqlite3 "file:$STATE/registry.db?mode=ro" 'SELECT count(*) FROM intents')" "intents"
    objects=$(ctl token-objects --json)
    unowned=$(jq '[.objects[] | select(.key == null)] | length' <<< "$objects")
    if [ "$unowned" != 0 ]; then # of an object that was cut short, and told for what it is
        echo "$2" >> "$T/fragments"
        equal "$unowned" "$(jq '[.findings[] | select(.kind == "fragment")] | length' <<< "$objects")"
    fi
    signs acme/kept
    signs acme/here
    "after_$1"
    stop_keyd
}

# check_all VERB
check_all() {
    local copy n=0
    [ -d "$T/whole" ] || skip_rest
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/again.key"
    for copy in $(cd "$T/copies" && printf '%s\n' "$1".* | sort -V); do
        [ -d "$T/copies/$copy" ] || continue
        COPY=$copy
        echo "# $copy"
        check "$1" "$copy" # not in a condition: set -e must hold in it
        n=$((n + 1))
    done
    [ "$n" -ge 2 ] || fail "$n copies"
    echo "# $FILE/$1: $(cat "$T/copies/$1.stops") stops, $n different states started" |
        tee -a "$T/log/points.log"
}
skip_rest() { fail "there are no copies"; }

case_generate() { check_all generate; }
case_import() { check_all import; }
case_disable() { check_all disable; }
case_destroy() { check_all destroy; }
case_rotate() { check_all rotate; }

run_cases "$@"
[ ! -e "$T/log/points.log" ] || cat "$T/log/points.log"
[ ! -e "$T/fragments" ] || echo "# fragments were reported in $(wc -l < "$T/fragments") states"
