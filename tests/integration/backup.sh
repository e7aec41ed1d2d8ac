#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# backup: keydctl backup while clients sign; the machine is lost; keyd --restore; every key signs
# again under the key reference that its frontend has. What is no whole backup is refused by name.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

TYPES="rsa-2048 rsa-3072 rsa-4096 ec-p256 ec-p384 ed25519"
BACKUP=$T/backup

make_keys() {
    local type
    for type in $TYPES; do make_key "acme/$type" "$type"; done
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/own.key"
    HOME=$T ctl keys-import --tenant acme --name own --key "$T/own.key" > /dev/null
    ctl keys-ref acme/own > "$T/own.ref.pem"
    ctl keys-disable acme/rsa-3072 > /dev/null
}

with_keyd "signers = 2"
begin make_keys

scheme_of() {
    case $1 in
        rsa-*) echo 0804 ;;
        ec-p384) echo 0503 ;;
        ed25519) echo 0807 ;;
        *) echo 0403 ;;
    esac
}

# signs NAME: under its old reference, each signature verified; its CSR too.
signs() {
    "$LOAD" --socket "$SOCKET" --key "$T/$1.ref.pem" --scheme "$(scheme_of "$1")" --threads 1 \
        --seconds 1 --deadline $((4000 * SLOW)) > "$T/load.out" 2>&1 || fail "$1: $(cat "$T/load.out")"
    ctl csr --key "acme/$1" --subject "CN=$1" > "$T/$1.csr"
    openssl req -in "$T/$1.csr" -verify -noout 2>&1 | grep -q 'verify OK' || fail "CSR of $1"
}

# no_trace DIR: neither it nor an unfinished one is there.
no_trace() {
    [ ! -e "$1" ] || fail "$1 is there"
    [ -z "$(compgen -G "$1.unfinished.*")" ] || fail "an unfinished $1 is there"
}

case_while_clients_sign() {
    local load
    "$LOAD" --socket "$SOCKET" --key "$T/ec-p256.ref.pem" --threads 2 --deadline $((2000 * SLOW)) \
        > "$T/load.out" 2> "$T/log/load.log" &
    load=$!
    started $load
    soon 10 grep -q running "$T/load.out"
    ctl backup "$BACKUP" > "$T/backup.out"
    kill -TERM $load
    wait $load || fail "signatures failed: $(tail -n 1 "$T/load.out")"
    has "$(cat "$T/backup.out")" "keys:         7" "private keys: 8" "the token's PIN    $STATE/user.pin" \
        "so.pin" "keyd.conf" "keyd --restore $BACKUP"
    equal 700 "$(stat -c %a "$BACKUP")"
    equal "" "$(find "$BACKUP" -type f ! -perm 0600)" "modes"
    equal "" "$(find "$BACKUP" -type d ! -perm 0700)" "modes"
    (cd "$BACKUP" && sed -n 's/^file [0-9]* \([0-9a-f]*\) /\1  /p' MANIFEST | sha256sum -c --quiet)
    equal "$(cd "$BACKUP" && find . -type f ! -name MANIFEST | wc -l)" \
        "$(grep -c ^file "$BACKUP/MANIFEST")" "files"
    ! grep -rqF -e "$(cat "$STATE/user.pin")" -e "$(cat "$STATE/so.pin")" "$BACKUP" ||
        fail "a PIN is in the backup"
    equal "" "$(find "$STATE" -name 'backup*')" "what is left in the state"
}

case_json() {
    ctl backup "$T/json" --json | jq -e --arg d "$T/json" '.folder == $d and .keys == 7 and
        .token_private_keys == 8 and .token_files and (.pin_source | endswith("/user.pin"))' > /dev/null
    rm -r "$T/json"
}

case_folder_that_is_there() {
    refused 1 ctl backup "$BACKUP"
    has "$said" "$BACKUP is there already, and not empty" "hint:"
    refused 1 ctl backup "$T/keyd.conf"
    has "$said" "no folder"
    refused 4 ctl backup "$T/nowhere/backup"
    has "$said" "$T/nowhere/backup" "No such file"
    mkdir -m 0755 "$T/empty"
    ctl backup "$T/empty/" > /dev/null
    equal 700 "$(stat -c %a "$T/empty")"
    refused 2 ctl backup
}

# Killed while it writes (a file may have 1 KiB): no folder of that name; and keyd serves on.
case_cut_short() {
    (
        ulimit -f 1
        ctl backup "$T/cut"
    ) > "$T/cut.out" 2>&1 && fail "it was not cut short"
    [ ! -e "$T/cut" ] || fail "a cut-short backup has the name of a whole one"
    [ -n "$(compgen -G "$T/cut.unfinished.*")" ] || fail "nothing was begun"
    refused 3 ctl backup "$T/cut2" --timeout 2
    has "$said" "another backup is being read" "forgotten after 60 s"
    no_trace "$T/cut2"
    make_key acme/meanwhile ec-p256
    ctl keys-destroy acme/meanwhile --yes > /dev/null
    kill -KILL "$(pid_of custodian)"
    soon 20 ready
    ctl backup "$T/cut2" > /dev/null # the snapshot went with the custodian
    equal "" "$(find "$STATE" -name 'backup*')" "what is left in the state"
}

# Names that a killed custodian has left go at its next start.
case_left_over() {
    echo left > "$STATE/backup.spool"
    echo left > "$STATE/backup.db"
    kill -KILL "$(pid_of custodian)"
    soon 20 ready
    equal "" "$(find "$STATE" -name 'backup*')"
}

# A login truncates and rewrites the token's master keys; the snapshot never has them so.
case_while_signers_start() {
    local i sum first=
    for ((i = 0; i < 20 / ROUNDS_OF + 1; i++)); do
        kill -KILL "$(pid_of "signer $((i % 2))")" 2> /dev/null || true
        ctl backup "$T/race$i" > /dev/null
        # its first 8 bytes count the logins
        sum=$(tail -c +9 "$T/race$i"/tokens/*/token.object | sha256sum)
        equal 320 "$(stat -c %s "$T/race$i"/tokens/*/token.object)" "bytes"
        equal "${first:=$sum}" "$sum" "the master keys"
    done
    soon 20 ready
}

# An emptied file is not taken: the backup is refused until it is mended.
case_emptied_token_file() {
    local file
    file=$(echo "$STATE"/tokens/*/token.object)
    cp -p "$file" "$T/token.object"
    : > "$file"
    refused 3 ctl backup "$T/emptied" --timeout 5
    has "$said" "token.object is empty or being rewritten"
    no_trace "$T/emptied"
    cat "$T/token.object" > "$file"
    ctl backup "$T/emptied" > /dev/null
}

# ---- restore

restore() { keyd_with --restore "$1"; }

# copy NAME: a copy of the backup, to be damaged.
copy() {
    rm -rf "${T:?}/$1"
    cp -a "$BACKUP" "$T/$1"
}

case_restore_refuses() {
    local before
    stop_keyd
    cp "$STATE/user.pin" "$STATE/so.pin" "$T/"
    before=$(cd "$STATE" && find . | sort)
    refused 1 restore "$BACKUP"
    has "$said" "is not empty: it holds" "nothing is overwritten"
    equal "$before" "$(cd "$STATE" && find . | sort)" "the state directory"
    mv "$STATE" "$T/lost"

    refused 1 restore "$T/nowhere"
    has "$said" "the backup has no MANIFEST" "$T/nowhere"
    copy missing
    rm "$T"/missing/tokens/*/token.object
    refused 1 restore "$T/missing"
    has "$said" "the backup has no tokens/" "token.object"
    copy damaged
    printf x | dd of="$T/damaged/registry.db" bs=1 seek=5000 conv=notrunc status=none
    refused 1 restore "$T/damaged"
    has "$said" "registry.db is damaged" "SHA-256"
    copy short
    truncate -s -1 "$(find "$T/short/tokens" -name '*.object' -size +1 | head -n 1)"
    refused 1 restore "$T/short"
    has "$said" "is damaged" "more or fewer"
    copy manifest
    sed -i 's/^keys 7/keys 8/' "$T/manifest/MANIFEST"
    refused 1 restore "$T/manifest"
    has "$said" "MANIFEST is damaged or cut short"
    copy version
    sed -i '1s/1/2/' "$T/version/MANIFEST"
    refused 1 restore "$T/version"
    has "$said" "format version 2" "restore it with the keyd that wrote it"
    [ ! -e "$STATE" ] || fail "a refused restore has made $STATE"
}

# Cut short at any moment the same command begins again, and keyd does not start before.
case_restore_cut_short() {
    mkdir -m 0700 "$STATE" "$STATE/restoring" "$STATE/tokens"
    echo half > "$STATE/restoring/registry.db"
    echo half > "$STATE/tokens/half"
    refused 1 keyd_with --foreground
    has "$said" "a restore into $STATE was cut short" "keyd --restore"
    restore "$BACKUP" > "$T/restore.out"
    equal "" "$(find "$STATE" -name restoring -o -name half)" "halves that are left"
    rm -r "$STATE"
}

case_restore() {
    restore "$BACKUP" > "$T/restore.out"
    has "$(cat "$T/restore.out")" "Restored to $STATE" "7 keys" "every checksum right" \
        "Still needed: the token's PIN" "$STATE/user.pin"
    equal "" "$(find "$STATE" \( -type d ! -perm 0700 -o -type f ! -perm 0600 \))" "modes"
    refused 1 keyd_with --foreground
    has "$said" "user.pin" "hint: put the token's PIN there"
    lacks "$said" "init-token"
    echo 1234567890 > "$STATE/user.pin"
    chmod 0600 "$STATE/user.pin"
    refused 1 keyd_with --foreground
    has "$said" "CKR_PIN_INCORRECT" "the PIN came from $STATE/user.pin"
    cp "$T/user.pin" "$STATE/user.pin"
    start_keyd
}

case_every_key_signs() {
    local name
    equal 7 "$(ctl keys-list --json | jq '.keys | length')"
    equal disabled "$(ctl keys-show acme/rsa-3072 --json | jq -r .state)"
    ctl keys-enable acme/rsa-3072 > /dev/null
    for name in $TYPES own; do signs "$name"; done
    lacks "$(ctl status)" "are missing" "not keyd's" "fragments"
    make_key acme/after ec-p256
    signs after
    equal 0 "$(ctl token-objects --json | jq '[.objects[] | select(.key == null)] | length')" unowned
}

# Root restores for the user that keyd runs as, from a folder that only root can read.
case_restore_for_another_user() {
    [ "$(id -u)" = 0 ] || skip "needs root to become another user"
    local state=$T/state3
    {
        principals
        printf '[keyd]\nstate-dir = %s\nuser = nobody\nsigners = 1\n' "$state"
        printf '[sockets]\nfrontend-group = nogroup\ncontrol-group = nogroup\n'
    } > "$T/nobody.conf"
    "$KEYD" --restore "$BACKUP" --config "$T/nobody.conf" > "$T/restore.out" 2>&1 ||
        fail "$(cat "$T/restore.out")"
    equal "" "$(find "$state" ! -user nobody)" "files of others"
    install -m 0600 -o nobody "$T/user.pin" "$state/user.pin"
    setsid "$KEYD" --foreground --config "$T/nobody.conf" > "$T/log/nobody.log" 2>&1 < /dev/null &
    started $!
    SOCKET=$state/run/frontend/keyd.sock CONTROL=$state/run/control/control.sock
    soon 20 ready
    signs ec-p256
    end $!
}

# A token whose files are not with keyd stands for an HSM: the registry alone, and what is said.
case_other_token() {
    local state=$T/state2
    STATE=$state CONF=$T/hsm.conf CONTROL=$state/run/control/control.sock
    mkdir -m 0700 "$state" "$state/tokens" "$state/tokens/elsewhere"
    printf 'directories.tokendir = %s\nobjectstore.backend = file\n' "$state/tokens/elsewhere" \
        > "$state/softhsm2.conf"
    configure "signers = 1"
    keyd_with --init-token > /dev/null 2>&1 || fail "no token"
    setsid "$KEYD" --foreground --config "$CONF" > "$T/log/hsm.log" 2>&1 < /dev/null &
    started $!
    soon 20 ready
    make_key acme/www ec-p256
    ctl backup "$T/hsm" > "$T/backup.out"
    has "$(cat "$T/backup.out")" "registry alone" "the HSM itself must cover all 1 private keys" \
        "serial" "CKA_ID"
    equal "MANIFEST registry.db" "$(cd "$T/hsm" && echo *)"
    end $!
    mv "$state/user.pin" "$state/softhsm2.conf" "$state/tokens" "$T/"
    rm -r "$state"
    keyd_with --restore "$T/hsm" > "$T/restore.out"
    has "$(cat "$T/restore.out")" "The token is not in it" "1 private keys"
    mv "$T/user.pin" "$T/softhsm2.conf" "$T/tokens" "$state/"
    setsid "$KEYD" --foreground --config "$CONF" > "$T/log/hsm.log" 2>&1 < /dev/null &
    started $!
    soon 20 ready
    ctl csr --key acme/www --subject CN=www | openssl req -verify -noout 2>&1 | grep -q 'verify OK'
    end $!
}

run_cases "$@"
