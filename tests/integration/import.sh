#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# import: keys from files into the token, as a person brings them. Every form of a file is in
# formats.sh, what it may look like in detail in tests/unit/keydctl/keyfile.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export HOME=$T/home XDG_CONFIG_HOME=
PINS=$HOME/.config/keydctl/import-keys
mkdir "$HOME"
PASSWORD="correct horse"

key_files() {
    cd "$T"
    (umask 077 && printf '%s\n' "$PASSWORD" > pass)
    printf '[req]\ndistinguished_name=d\n[d]\n' > req.cnf
    openssl genrsa -out rsa.pem 2048
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem
    openssl genpkey -algorithm ED25519 -out ed25519.pem
    for k in rsa p256 p384; do
        openssl req -config req.cnf -x509 -key $k.pem -subj "/CN=$k.example" -days 9 -out $k.crt
    done
}

with_keyd
begin key_files
begin new_tenant acme
begin new_tenant bravo

# id_of FILE: what keyd must call the key.
id_of() { openssl pkey -in "$1" -pubout -outform DER | openssl sha256 -r | cut -d' ' -f1; }

# fresh: a P-256 key that was never imported, in new.pem.
fresh() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/new.pem"; }

# imported NAME KEYFILE: acme/NAME is that key: it has its id, and signs as it does.
imported() {
    equal "$(id_of "$2")" "$(key_id "acme/$1")"
    ctl csr --key "acme/$1" --subject "CN=$1.example" > "$T/$1.csr"
    openssl req -in "$T/$1.csr" -verify -noout
    equal "$(openssl pkey -in "$2" -pubout)" "$(openssl req -in "$T/$1.csr" -pubkey -noout)"
}

import() { ctl keys-import --tenant acme "$@"; }

case_words() {
    local said
    said=$(import --name rsa --key "$T/rsa.pem" --cert "$T/rsa.crt")
    has "$said" "read RSA-2048 key from $T/rsa.pem (PKCS#8)" \
        "the certificate in $T/rsa.crt is for this key" \
        "pinned import key " "wrapped under import key " \
        "keyd proved it and keeps it as acme/rsa" "no longer needed here" "$(id_of "$T/rsa.pem")"
    imported rsa "$T/rsa.pem"
    said=$(import --name p384 --key "$T/p384.pem")
    has "$said" "is the one that is pinned"
    imported p384 "$T/p384.pem"
}

case_from_stdin() {
    fresh
    import --name stdin --key - < "$T/new.pem"
    imported stdin "$T/new.pem"
    fresh
    openssl pkcs8 -topk8 -in "$T/new.pem" -passout "file:$T/pass" -out "$T/f"
    import --name stdin2 --key "$T/f" --passphrase-file - < "$T/pass"
    imported stdin2 "$T/new.pem"
    fresh
    openssl pkcs8 -topk8 -in "$T/new.pem" -passout "file:$T/pass" -out "$T/f"
    import --name stdin3 --key "$T/f" --passphrase-file <(printf '%s' "$PASSWORD")
    imported stdin3 "$T/new.pem"
}

# On a terminal the passphrase is asked for, three times at most.
case_from_terminal() {
    fresh
    openssl pkcs8 -topk8 -in "$T/new.pem" -passout "file:$T/pass" -out "$T/f"
    cat > "$T/type" << END
exec "$KEYDCTL" --socket "$CONTROL" keys-import --tenant acme --name typed --key "$T/f"
END
    (
        sleep 0.5
        echo wrong
        sleep 0.5
        echo "$PASSWORD"
        sleep 1
    ) | script -qec "sh $T/type" "$T/typescript" > /dev/null
    has "$(cat "$T/typescript")" "passphrase of $T/f:" "wrong; once more" "keeps it as acme/typed"
    lacks "$(cat "$T/typescript")" "$PASSWORD"
    imported typed "$T/new.pem"
}

# Nothing goes to keyd for any of these.
case_no_key() {
    local n
    n=$(ctl keys-list --json | jq '.keys | length')
    refused 1 import --name x --key "$T/rsa.crt"
    has "$said" "rsa.crt: this is a certificate (CN = rsa.example), and no private key" "--cert"
    refused 1 import --name x --key "$T/nowhere"
    has "$said" "cannot open"
    ctl keys-ref acme/rsa > "$T/rsa.ref"
    refused 1 import --name x --key "$T/rsa.ref"
    has "$said" "its private key is in keyd already"
    fresh
    openssl pkcs8 -topk8 -in "$T/new.pem" -passout pass:other -out "$T/f"
    refused 1 import --name x --key "$T/f" --passphrase-file "$T/pass"
    has "$said" "$T/f: the passphrase is wrong"
    refused 1 setsid -w "$KEYDCTL" --socket "$CONTROL" keys-import --tenant acme --name x --key "$T/f"
    has "$said" "no terminal to ask at" "--passphrase-file"
    openssl genrsa -out "$T/f" 1024
    refused 1 import --name x --key "$T/f"
    has "$said" "1024 bits, which can be broken"
    refused 1 import --name x --key "$T/p256.pem" --cert "$T/rsa.crt"
    has "$said" "$(id_of "$T/p256.pem")" "$(id_of "$T/rsa.pem")" "for another key"
    equal "$n" "$(ctl keys-list --json | jq '.keys | length')"
}

case_what_keyd_refuses() {
    fresh
    refused 1 import --name rsa --key "$T/new.pem"
    has "$said" "acme/rsa"
    refused 1 import --name Rsa --key "$T/new.pem"
    refused 1 ctl keys-import --tenant nobody --name x --key "$T/new.pem"
    has "$said" "no tenant nobody"
    refused 1 import --name again --key "$T/rsa.pem"
    has "$said" "has this key already" "acme/rsa"
    refused 1 ctl keys-import --tenant bravo --name stolen --key "$T/rsa.pem"
    has "$said" "cannot be imported; make a new one"
    lacks "$said" acme
    refused 1 import --name ed --key "$T/ed25519.pem" # SoftHSM 2.6.1 has no way for it
    has "$said" "cannot take in an Ed25519 key" "keys-generate"
}

case_purposes() {
    fresh
    import --name one-purpose --key "$T/new.pem" --purposes tls13-server
    equal tls13-server "$(ctl keys-show acme/one-purpose --json | jq -r '.purposes | join(",")')"
    refused 1 ctl csr --key acme/one-purpose --subject CN=x
}

case_json() {
    fresh
    equal "acme/as-json $(id_of "$T/new.pem")" \
        "$(import --name as-json --key "$T/new.pem" --json | jq -r '"\(.key) \(.id)"')"
}

# The files of the whole state: no part of a key that was imported stands in one.
case_nothing_in_files() {
    local want
    want=$(openssl ec -in "$T/p384.pem" -text -noout 2> /dev/null |
        awk '/^pub/ { on = 0 } on; /^priv/ { on = 1 }' | tr -d ' :\n')
    want=${want: -96} # without a leading zero
    [ ${#want} = 96 ] || fail "the test finds no private number"
    openssl ec -in "$T/p384.pem" -outform DER -out "$T/planted" 2> /dev/null
    equal "$T/planted" "$(files_with "$want" "$T/planted")"
    equal "" "$(files_with "$want" "$STATE")"
}
# files_with HEX PLACE: files below PLACE that hold these bytes.
files_with() {
    find "$2" -type f | while read -r f; do
        if od -An -v -tx1 "$f" | tr -d ' \n' | grep -q "$1"; then echo "$f"; fi
    done
}

# ---- the import key

fingerprint() { ctl import-key --json | jq -r .fingerprint; }

case_pins() {
    local f other=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    rm -f "$PINS"
    has "$(ctl import-key)" "pinned:     yes, now" "takes in:   rsa-2048"
    has "$(ctl import-key)" "pinned:     yes"
    f=$(fingerprint)
    has "$(cat "$PINS")" "$f $CONTROL"
    # another one is refused, by import-key and by keys-import
    sed -i "s/^$f/$other/" "$PINS"
    refused 1 ctl import-key
    has "$said" "$f" "$other" "is pinned" "--pin"
    fresh
    refused 1 import --name pinned --key "$T/new.pem"
    has "$said" "$f" "$other"
    # what the operator said counts more, and is not pinned by an import
    import --name pinned --key "$T/new.pem" --fingerprint "$f"
    has "$(cat "$PINS")" "$other"
    fresh
    refused 1 import --name pinned2 --key "$T/new.pem" --fingerprint "$other"
    has "$said" "$f" "$other" "was given"
    refused 1 ctl import-key --fingerprint "$other"
    has "$(ctl import-key --fingerprint "${f^^}")" "pinned:     yes, instead of the one before"
    has "$(ctl import-key)" "pinned:     yes"
    sed -i "s/^$f/$other/" "$PINS"
    has "$(ctl import-key --pin)" "instead of the one before"
    has "$(ctl import-key --unpin)" "no longer pinned" "$f"
    has "$(ctl import-key --unpin)" "nothing is pinned"
    lacks "$(cat "$PINS")" "$f"
    # a first use without a place to keep it
    refused any env -u HOME -u XDG_CONFIG_HOME "$KEYDCTL" --socket "$CONTROL" import-key
    has "$said" "HOME is not set"
    fresh
    env -u HOME "$KEYDCTL" --socket "$CONTROL" keys-import --tenant acme --name homeless \
        --key "$T/new.pem" --fingerprint "$f"
}

case_rotate() {
    local before after
    ctl import-key --pin
    before=$(fingerprint)
    has "$(ctl import-key-rotate)" "instead of the one before"
    after=$(fingerprint)
    [ "$before" != "$after" ] || fail "it is the same"
    fresh
    import --name rotated --key "$T/new.pem"
    imported rotated "$T/new.pem"
    # another user, who has pinned the old one
    sed -i "s/^$after/$before/" "$PINS"
    fresh
    refused 1 import --name rotated2 --key "$T/new.pem"
    has "$said" "$before" "$after" "import-key --pin"
}

# A key that was brought is there after a restart, and signs.
case_restart() {
    stop_keyd
    start_keyd
    imported rsa "$T/rsa.pem"
    imported p384 "$T/p384.pem"
}

run_cases "$@"
