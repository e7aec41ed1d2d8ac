#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# broken: a state that is broken is said for what it is, by the start, by status, by the list of
# keys and by the verb that fails; nothing is mended by deleting; what can be served is served.
# shellcheck source=lib.sh

# File systems of its own are mounted where nobody else sees them.
if [ "$(id -u)" = 0 ] && [ -z "${KEYD_TEST_MOUNTS-}" ]; then
    how=private
    unshare --mount --propagation private true 2> /dev/null || how=unchanged # / is no mount in a chroot
    KEYD_TEST_MOUNTS=1 exec unshare --mount --propagation "$how" bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
trap 'umount -q -l "$T/disk" 2> /dev/null; cleanup' EXIT

SOCKET=$T/run/frontend/keyd.sock CONTROL=$T/run/control/control.sock
RUN="signers = 1
[sockets]
run-dir = $T/run"

# A state with the keys acme/a, b and c, of which every case takes a copy.
prepare() {
    local name
    STATE=$T/whole
    configure "$RUN"
    init_token
    start_keyd
    for name in a b c; do make_key acme/$name ec-p256; done
    stop_keyd
    cp -a "$STATE" "$T/later"
    STATE=$T/later
    move_conf "$STATE"
    configure "$RUN"
    start_keyd
    make_key acme/d ec-p256
    make_key acme/e ec-p256
    stop_keyd
}

# move_conf STATE: SoftHSM's configuration names the folder of the tokens.
move_conf() { sed -i "s|^directories.tokendir = .*|directories.tokendir = $1/tokens|" "$1/softhsm2.conf"; }

# take FROM: $STATE is a copy of that state, and keyd.conf names it.
take() {
    STATE=$T/state
    rm -rf "$STATE"
    cp -a "$T/$1" "$STATE"
    rm -rf "$STATE/guard" # its path is that of the copy's original
    move_conf "$STATE"
    configure "$RUN"
    : > "$T/log/keyd.log"
}

begin prepare

tokens_sum() { (cd "$STATE/tokens" && find . -name '*.object' ! -name token.object -exec sha256sum {} + | sort); }
notes() { ctl status --json | jq -r '.token.notes[]'; }
state_of() { ctl keys-show "$1" --json | jq -r .state; }
signs() {
    ctl csr --key "$1" --subject CN=x > "$T/x.csr"
    openssl req -in "$T/x.csr" -verify -noout 2>&1 | grep -q 'verify OK' || fail "$1 does not sign"
    "$LOAD" --socket "$SOCKET" --key "$T/${1#*/}.ref.pem" --threads 1 --seconds 1 \
        --deadline $((2000 * SLOW)) > "$T/load.out" 2>&1 || fail "$1: $(cat "$T/load.out")"
}
generate() { ctl keys-generate --tenant acme --name "$1" --type ec-p256; }
refused_start() {
    refused 1 keyd_with --foreground
    has "$said" "$@"
}

# ---- full and read-only file systems

# mounted SIZE FOLDER...: a file system of that size at $T/disk, in place of a folder of the state.
on_disk() {
    [ "$(id -u)" = 0 ] || skip "needs root: it mounts a small file system"
    umount -q -l "$T/disk" 2> /dev/null || true
    mkdir -p "$T/disk"
    mount -t tmpfs -o "size=$1,mode=0700" keyd-test "$T/disk"
}
fill() { dd if=/dev/zero of="$T/disk/filling" bs=4k status=none 2> /dev/null || true; }

case_full_disk_under_registry() {
    take whole
    on_disk 3m
    cp -a "$STATE/." "$T/disk/"
    STATE=$T/disk
    move_conf "$STATE"
    configure "$RUN"
    start_keyd
    fill
    refused 4 ctl tenants-add other
    has "$said" "registry $STATE/registry.db" "disk is full" "nothing was changed: make room on the file system of"
    refused 4 generate f
    has "$said" "disk is full"
    refused 4 ctl keys-destroy acme/b --yes
    refused 4 ctl backup "$T/full"
    has "$said" "full"
    signs acme/a
    signs acme/b
    stop_keyd
    start_keyd # full, but it serves
    equal 3 "$(ctl keys-list --json | jq '[.keys[] | select(.state == "enabled")] | length')"
    signs acme/b
    rm "$T/disk/filling"
    generate f > /dev/null
    signs acme/c
    stop_keyd
}

case_full_disk_under_token() {
    take whole
    on_disk 256k
    cp -a "$STATE/tokens/." "$T/disk/"
    rm -r "$STATE/tokens"
    mkdir -m 0700 "$STATE/tokens"
    mount --move "$T/disk" "$STATE/tokens"
    start_keyd
    dd if=/dev/zero of="$STATE/tokens/filling" bs=4k status=none 2> /dev/null || true
    refused 4 generate f
    has "$said" "CKR_" "the file system of $STATE/tokens is full: make room"
    signs acme/a
    stop_keyd
    start_keyd
    equal 3 "$(ctl keys-list --json | jq '[.keys[] | select(.state == "enabled")] | length')"
    signs acme/b
    rm "$STATE/tokens/filling"
    generate f > /dev/null
    stop_keyd
    umount "$STATE/tokens"
}

# Read-only: what signs goes on signing, also after a restart; a key that was to be destroyed signs
# no more, and goes when the token can be written again.
case_read_only_token() {
    take whole
    on_disk 256k
    cp -a "$STATE/tokens/." "$T/disk/"
    rm -r "$STATE/tokens"
    mkdir -m 0700 "$STATE/tokens"
    mount --move "$T/disk" "$STATE/tokens"
    start_keyd
    mount -o remount,ro "$STATE/tokens"
    refused 4 generate f
    has "$said" "CKR_" "$STATE/tokens is on a file system that is read-only"
    signs acme/a
    refused 4 ctl keys-destroy acme/b --yes
    has "$said" "C_DestroyObject" "read-only"
    equal destroyed "$(state_of acme/b)"
    refused 4 ctl keys-destroy acme/c --yes
    mount -o remount,rw "$STATE/tokens"
    ctl keys-destroy acme/c --yes > /dev/null # repeated, it succeeds
    refused 1 ctl keys-show acme/c
    mount -o remount,ro "$STATE/tokens"
    stop_keyd
    start_keyd
    has "$(notes)" "a key could not be destroyed to the end: acme/b" "read-only"
    equal destroyed "$(state_of acme/b)"
    signs acme/a
    stop_keyd
    mount -o remount,rw "$STATE/tokens"
    start_keyd
    refused 1 ctl keys-show acme/b
    lacks "$(notes)" "destroyed to the end"
    signs acme/a
    stop_keyd
    umount "$STATE/tokens"
}

# ---- permissions: root may do anything, so keyd runs as somebody else then

as_user() {
    [ "$(id -u)" = 0 ] || return 0
    mkdir -p "$T/nobody"
    cp -a "$STATE" "$T/nobody/state"
    cp "$KEYD" "$T/nobody/keyd"
    STATE=$T/nobody/state KEYD=$T/nobody/as-nobody
    rm -rf "$STATE/guard"
    move_conf "$STATE"
    chown -R nobody "$T/nobody"
    printf '#!/bin/sh\nexec setpriv --reuid=nobody --regid=nogroup --clear-groups %s/nobody/keyd "$@"\n' \
        "$T" > "$KEYD"
    chmod 0755 "$KEYD"
    configure "signers = 1"
    chmod 0644 "$CONF"
    SOCKET=$STATE/run/frontend/keyd.sock CONTROL=$STATE/run/control/control.sock
}

case_wrong_permission() {
    local folder file
    take whole
    as_user
    folder=$(echo "$STATE"/tokens/*)
    start_keyd
    chmod 0500 "$folder"
    refused 4 generate f
    has "$said" "CKR_" "may not read and write $folder" "mode 0500"
    signs acme/a
    stop_keyd
    start_keyd
    signs acme/b
    stop_keyd

    chmod 0000 "$folder"
    refused_start "may not read and write $folder" "mode 0000"
    lacks "$said" "init-token"
    refused 1 keyd_with --init-token # no second token beside the one that cannot be seen
    has "$said" "a token may be there that cannot be seen" "mode 0000"
    chmod 0700 "$folder"
    equal 1 "$(find "$STATE/tokens" -mindepth 1 -maxdepth 1 | wc -l)" "tokens"

    chmod 0000 "$STATE/tokens"
    refused_start "may not read and write $STATE/tokens" "mode 0000"
    chmod 0700 "$STATE/tokens"

    file=$(find "$folder" -name '*.object' ! -name token.object | head -n 1)
    chmod 0000 "$file"
    start_keyd
    has "$(notes)" "1 of 3 keys are missing in the token: acme/"
    equal 1 "$(ctl keys-list --json | jq '[.keys[] | select(.state == "missing")] | length')"
    stop_keyd
    chmod 0600 "$file"
    start_keyd
    equal 3 "$(ctl keys-list --json | jq '[.keys[] | select(.state == "enabled")] | length')"
    stop_keyd
}

# ---- another token, another registry

case_token_gone() {
    take whole
    mv "$STATE/tokens" "$T/aside"
    mkdir -m 0700 "$STATE/tokens"
    refused_start "no token" "keyd has keys in its registry" "put its folder back, or a backup"
    rmdir "$STATE/tokens"
    mv "$T/aside" "$STATE/tokens"
    start_keyd
    signs acme/a
    stop_keyd
}

# Same label, same PIN, another token: everything is missing, nothing is changed or forgotten.
case_token_swapped() {
    local before
    take whole
    start_keyd # learns what the token is
    stop_keyd
    mv "$STATE/tokens" "$T/aside"
    keyd_with --init-token > /dev/null
    before=$(sqlite3 "$STATE/registry.db" 'SELECT * FROM keys')
    start_keyd
    has "$(notes)" "none of the 3 registered keys is in the token \"keyd\" (serial " "is it another one" \
        "3 of 3 keys are missing in the token: acme/a, acme/b, acme/c"
    refused 1 generate f
    has "$said" "3 of 3 keys are missing" "keydctl status"
    refused any ctl csr --key acme/a --subject CN=x
    has "$said" "does not show this key"
    stop_keyd
    equal "$before" "$(sqlite3 "$STATE/registry.db" 'SELECT * FROM keys')" "the registry"
    rm -r "$STATE/tokens"
    mv "$T/aside" "$STATE/tokens"
    start_keyd
    signs acme/a
    lacks "$(notes)" missing
    stop_keyd
}

# The guarded file of a token that is not there any more is not made anew.
case_token_swapped_other_pin() {
    take whole
    start_keyd
    stop_keyd
    mv "$STATE/tokens" "$T/aside"
    mkdir "$T/pins"
    mv "$STATE/user.pin" "$STATE/so.pin" "$STATE/guard" "$T/pins"
    keyd_with --init-token > /dev/null
    rm -r "$STATE/guard" # of the token that was made just now
    mv "$T/pins/user.pin" "$T/pins/guard" "$STATE/"
    : > "$T/log/keyd.log"
    refused_start "CKR_PIN_INCORRECT" "the folder $STATE/tokens/" "is this another token?"
    equal 1 "$(find "$STATE/tokens" -mindepth 1 -maxdepth 1 | wc -l)" "tokens"
    rm -r "$T/aside"
}

case_registry_older_than_token() {
    local before
    take later
    rm "$STATE"/registry.db*
    cp -a "$T"/whole/registry.db* "$STATE/"
    before=$(tokens_sum)
    start_keyd
    has "$(notes)" "2 private keys in the token have a CKA_ID of keyd's" \
        "the registry does not know them: is it older than the token?"
    signs acme/a
    refused 1 ctl keys-show acme/d
    generate f > /dev/null
    equal 2 "$(ctl token-objects --json | jq '[.objects[] | select(.key == null)] | length')" unowned
    stop_keyd
    [ -z "$(comm -23 <(echo "$before") <(tokens_sum))" ] || fail "an object was changed or removed"
    rm "$STATE"/registry.db*
    cp -a "$T"/later/registry.db* "$STATE/" # the newer one is found again
    start_keyd
    signs acme/d
    stop_keyd
}

case_registry_newer_than_token() {
    take later
    rm -r "$STATE/tokens"
    cp -a "$T/whole/tokens" "$STATE/"
    start_keyd
    has "$(notes)" "2 of 5 keys are missing in the token: acme/d, acme/e"
    lacks "$(notes)" "none of"
    equal "enabled enabled enabled missing missing" \
        "$(ctl keys-list --json | jq -r '[.keys[].state] | join(" ")')"
    signs acme/a
    refused 1 generate f
    has "$said" "2 of 5 keys are missing in the token"
    ctl keys-disable acme/a > /dev/null # what takes away is never refused
    stop_keyd
}

case_no_registry() {
    take whole
    rm "$STATE"/registry.db*
    start_keyd
    has "$(notes)" "3 private keys in the token have a CKA_ID of keyd's"
    stop_keyd
    equal 3 "$(find "$STATE/tokens" -name '*.object' ! -name token.object | wc -l)" objects
}

case_registry_of_a_newer_keyd() {
    take whole
    sqlite3 "$STATE/registry.db" 'PRAGMA user_version = 99'
    refused_start "registry $STATE/registry.db has schema version 99" "knows versions up to" \
        "a newer keyd wrote it"
    equal 99 "$(sqlite3 "$STATE/registry.db" 'PRAGMA user_version')"
}

case_registry_that_is_none() {
    take whole
    rm "$STATE"/registry.db*
    head -c 8192 /dev/zero | tr '\0' x > "$STATE/registry.db"
    refused_start "registry.db: file is not a database" "put a backup back"
    equal 8192 "$(stat -c %s "$STATE/registry.db")" "it is left as it is"
}

# ---- objects that others removed or planted

case_object_destroyed() {
    local file
    take whole
    start_keyd
    file=$(find "$STATE/tokens" -name '*.object' ! -name token.object -printf '%T@ %p\n' |
        sort -n | tail -n 1 | cut -d' ' -f2)
    mv "$file" "$T/aside"
    refused any ctl csr --key acme/c --subject CN=x
    has "$said" "hint:"
    signs acme/a
    stop_keyd
    start_keyd
    has "$(notes)" "1 of 3 keys are missing in the token: acme/c"
    equal missing "$(state_of acme/c)"
    refused any ctl csr --key acme/c --subject CN=x
    has "$said" "the token does not show this key"
    generate f > /dev/null # one alone does not stop changes
    stop_keyd
    mv "$T/aside" "$file"
    start_keyd
    signs acme/c
    stop_keyd
}

# plant LABEL ID [ARG...]: with the token's own tool, keyd being down.
plant() {
    SOFTHSM2_CONF=$STATE/softhsm2.conf softhsm2-util --import "$T/planted.key" --token keyd \
        --label "$1" --id "$2" --pin "$(cat "$STATE/user.pin")" "${@:3}" > "$T/log/plant.log" 2>&1
}

case_object_planted() {
    local id before
    take whole
    start_keyd
    id=$(ctl keys-show acme/b --json | jq -r .cka_id)
    stop_keyd
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/planted.key"
    plant keyd/acme/planted 0909
    before=$(tokens_sum)
    start_keyd
    has "$(notes)" "1 private keys in the token are not keyd's"
    refused 1 ctl keys-show acme/planted
    equal 1 "$(ctl token-objects --json |
        jq '[.objects[] | select(.label == "keyd/acme/planted" and .class == "CKO_PRIVATE_KEY" and .key == null)] | length')"
    generate f > /dev/null
    signs acme/a
    stop_keyd

    plant keyd/acme/b "$id" --force
    start_keyd
    has "$(notes)" "not served, for the token has several objects with its CKA_ID: acme/b"
    equal missing "$(state_of acme/b)"
    refused any ctl csr --key acme/b --subject CN=x
    signs acme/a
    signs acme/c
    refused 1 ctl keys-destroy acme/b --yes
    has "$said" "the key acme/b is not destroyed" "keydctl token-objects shows both"
    stop_keyd
    [ -z "$(comm -23 <(echo "$before") <(tokens_sum))" ] || fail "an object was changed or removed"
    start_keyd
    has "$(notes)" "acme/b"
    stop_keyd
}

run_cases "$@"
