#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# formats: keys in every form that the openssl command writes. Each is imported, signs, is switched
# off and destroyed. What cannot be taken says what it is, and how to convert it: that is done, too.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export HOME=$T/home XDG_CONFIG_HOME=
mkdir "$HOME"

# The keys, named k-TYPE.pem, each with a certificate; `chain` is one of a CA.
make_files() {
    local bits
    cd "$T"
    (umask 077 && printf 'correct horse\n' > pass)
    for bits in 2048 3072 4096; do openssl genrsa -out k-rsa-$bits.pem $bits; done
    openssl ecparam -genkey -name prime256v1 -out k-ec-p256.pem
    openssl ecparam -genkey -name secp384r1 -out k-ec-p384.pem
    openssl genpkey -algorithm ED25519 -out k-ed25519.pem
    printf '[req]\ndistinguished_name=d\n[d]\n' > req.cnf
    openssl req -config req.cnf -x509 -key k-ec-p384.pem -subj /CN=ca.example -days 9 -out ca.crt
    openssl req -config req.cnf -x509 -key k-ec-p256.pem -subj /CN=crt.example -days 9 -out crt
}

with_keyd
begin make_files
begin ctl tenants-add acme

# ---- the table: a form, the key it is made of, and a person's command that makes it (f is the file)

plain() {
    local t
    for t in rsa-2048 rsa-3072 rsa-4096; do
        cat << END
PKCS#1 PEM|$t|openssl rsa -traditional -in k -out f
PKCS#1 DER|$t|openssl rsa -traditional -in k -outform DER -out f
END
    done
    for t in ec-p256 ec-p384; do
        cat << END
SEC1 PEM after EC PARAMETERS|$t|cp k f
SEC1 PEM|$t|openssl ec -in k -out f
SEC1 DER|$t|openssl ec -in k -outform DER -out f
END
    done
    for t in rsa-2048 rsa-3072 rsa-4096 ec-p256 ec-p384; do
        cat << END
PKCS#8 PEM|$t|openssl pkcs8 -topk8 -nocrypt -in k -out f
PKCS#8 DER|$t|openssl pkey -in k -outform DER -out f
PKCS#8 encrypted PEM|$t|openssl pkey -in k -aes256 -passout file:pass -out f
PKCS#8 encrypted DER|$t|openssl pkcs8 -topk8 -in k -passout file:pass -outform DER -out f
PKCS#12|$t|openssl pkcs12 -export -inkey k -nocerts -passout file:pass -out f
END
    done
    cat << END
SEC1 compressed point|ec-p256|openssl ec -in k -conv_form compressed -out f
SEC1 hybrid point|ec-p384|openssl ec -in k -conv_form hybrid -out f
SEC1 without its point|ec-p256|openssl ec -in k -no_public -out f
PKCS#8 compressed point|ec-p256|openssl ec -in k -conv_form compressed | openssl pkcs8 -topk8 -nocrypt -out f
END
}

encrypted() {
    local c
    for c in aes-128-cbc aes-192-cbc aes-256-cbc des3 camellia-256-cbc aria-256-cbc; do
        echo "PBES2 $c|ec-p256|openssl pkcs8 -topk8 -v2 $c -in k -passout file:pass -out f"
    done
    for c in hmacWithSHA1 hmacWithSHA224 hmacWithSHA256 hmacWithSHA384 hmacWithSHA512 \
        hmacWithSHA512-224 hmacWithSHA512-256; do
        echo "PBES2 $c|ec-p256|openssl pkcs8 -topk8 -v2 aes256 -v2prf $c -in k -passout file:pass -out f"
    done
    cat << END
PBES2 200,000 rounds|ec-p256|openssl pkcs8 -topk8 -iter 200000 -in k -passout file:pass -out f
PBES2 scrypt|ec-p256|openssl pkcs8 -topk8 -scrypt -in k -passout file:pass -out f
PBES1 SHA1-3DES|rsa-2048|openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in k -passout file:pass -out f
PBES1 SHA1-2DES|ec-p256|openssl pkcs8 -topk8 -v1 PBE-SHA1-2DES -in k -passout file:pass -out f
END
    for c in aes128 aes192 aes256 des3 camellia128 camellia192 camellia256 aria128 aria192 aria256; do
        echo "SEC1 PEM $c|ec-p256|openssl ec -in k -$c -passout file:pass -out f"
    done
    for c in aes256 des3; do
        echo "PKCS#1 PEM $c|rsa-2048|openssl rsa -traditional -in k -$c -passout file:pass -out f"
    done
}

pfx() {
    local x
    while IFS='|' read -r form x; do
        echo "PKCS#12 $form|ec-p256|openssl pkcs12 -export -inkey k -in crt $x -out f"
    done << END
certificate|-passout file:pass
certificate and chain|-certfile ca.crt -passout file:pass
legacy|-legacy -passout file:pass
empty password|-passout pass:
SHA1-3DES|-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -passout file:pass
AES-128|-keypbe AES-128-CBC -certpbe AES-128-CBC -passout file:pass
AES-256, certificate open|-keypbe AES-256-CBC -certpbe NONE -passout file:pass
key open|-keypbe NONE -passout file:pass
all open|-keypbe NONE -certpbe NONE -nomac -passout pass:
without MAC|-nomac -passout file:pass
MAC by SHA-512|-macalg sha512 -passout file:pass
with a name|-name "the shop's key" -passout file:pass
END
}

around() {
    cat << 'END'
text before it|ec-p256|openssl ec -in k -text -out f
certificate first|ec-p256|cat crt k > f
key first, then a chain|ec-p256|cat k crt ca.crt > f
Bag Attributes|ec-p256|openssl pkcs12 -export -inkey k -in crt -passout pass:x -out g && openssl pkcs12 -in g -passin pass:x -nodes -out f
CRLF|rsa-2048|sed 's/$/\r/' k > f
CRLF, encrypted|rsa-2048|openssl rsa -traditional -in k -aes128 -passout file:pass | sed 's/$/\r/' > f
UTF-8 byte order mark|ec-p256|{ printf '\357\273\277'; cat k; } > f
no newline at the end|ec-p256|printf %s "$(cat k)" > f
one line of base64|ec-p256|{ echo '-----BEGIN PRIVATE KEY-----'; openssl pkey -in k -outform DER | base64 -w0; echo; echo '-----END PRIVATE KEY-----'; } > f
indented|ec-p256|sed 's/^/    /' k > f
END
}

# made FORM TYPE COMMAND: the file f of it.
made() {
    rm -f "$T/f"
    (cd "$T" && cp "k-$2.pem" k && umask 077 && eval "$3") > "$T/make.log" 2>&1 ||
        fail "$1: $3: $(tail -n 2 "$T/make.log")"
}

# The life of one key.
lives() {
    local ref=acme/$1 key=$2
    ctl csr --key "$ref" --subject CN=life.example > "$T/life.csr"
    openssl req -in "$T/life.csr" -verify -noout
    equal "$(openssl pkey -in "$key" -pubout)" "$(openssl req -in "$T/life.csr" -pubkey -noout)"
    ctl keys-disable "$ref"
    refused 1 ctl csr --key "$ref" --subject CN=life.example
    has "$said" "the key is disabled" "keys-enable"
    ctl keys-destroy "$ref" --yes
}

tried() { # TABLE: all of its rows
    local form type make count=0
    while IFS='|' read -r form type make; do
        echo "-- $form, $type"
        made "$form" "$type" "$make"
        count=$((count + 1))
        ctl keys-import --tenant acme --name "f-$1-$count" --key "$T/f" \
            --passphrase-file "$T/pass" > "$T/imported" 2>&1 || fail "$form of $type: $(cat "$T/imported")"
        has "$(cat "$T/imported")" "read $(words_of "$type") key"
        lives "f-$1-$count" "$T/k-$type.pem"
    done < <("$1")
    echo "$count" >> "$T/count"
}
words_of() {
    case $1 in
        rsa-*) echo "RSA-${1#rsa-}" ;;
        ec-p*) echo "EC P-${1#ec-p}" ;;
    esac
}

case_plain() { tried plain; }
case_encrypted() { tried encrypted; }
case_pfx() { tried pfx; }
case_around() { tried around; }

# ---- what is refused with a way out, and the way is walked

# form|type|command|what it says|the command that it advises, with g for the new file
ways_out() {
    cat << 'END'
explicit parameters|ec-p256|openssl ec -in k -param_enc explicit -out f|spells its curve out|openssl ec -in f -param_enc named_curve -no_public -out g
PVK|rsa-2048|openssl rsa -in k -outform PVK -pvk-none -out f|Microsoft's PVK|openssl rsa -inform PVK -in f -out g
MSBLOB|rsa-2048|openssl rsa -in k -outform MSBLOB -out f|Microsoft's BLOB|openssl rsa -inform MSBLOB -in f -out g
OpenSSH|rsa-2048|cp k f && chmod 600 f && ssh-keygen -q -p -N '' -f f|an SSH private key|cp f g && ssh-keygen -q -p -m PKCS8 -N '' -f g
PBES1 MD5-DES|ec-p256|openssl pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy -provider default -in k -passout file:pass -out f|too old or too rare|openssl pkey -provider default -provider legacy -in f -passin file:pass -aes256 -passout 'pass:correct horse' -out g
PBES1 RC2-40|ec-p256|openssl pkcs8 -topk8 -v1 PBE-SHA1-RC2-40 -provider legacy -provider default -in k -passout file:pass -out f|too old or too rare|openssl pkey -provider default -provider legacy -in f -passin file:pass -aes256 -passout 'pass:correct horse' -out g
PBES1 RC4-128|ec-p256|openssl pkcs8 -topk8 -v1 PBE-SHA1-RC4-128 -provider legacy -provider default -in k -passout file:pass -out f|too old or too rare|openssl pkey -provider default -provider legacy -in f -passin file:pass -aes256 -passout 'pass:correct horse' -out g
SEC1 PEM DES|ec-p256|openssl ec -provider legacy -provider default -in k -des -passout file:pass -out f|too old or too rare|openssl pkey -provider default -provider legacy -in f -passin file:pass -aes256 -passout 'pass:correct horse' -out g
END
}
case_ways_out() {
    local form type make words way count=0
    while IFS='|' read -r form type make words way; do
        echo "-- $form"
        made "$form" "$type" "$make"
        refused 1 ctl keys-import --tenant acme --name x --key "$T/f" --passphrase-file "$T/pass"
        has "$said" "$words" "hint:"
        echo "$said"
        (cd "$T" && rm -f g && umask 077 && eval "$way") > "$T/make.log" 2>&1 ||
            fail "$form: $way: $(tail -n 2 "$T/make.log")"
        count=$((count + 1))
        ctl keys-import --tenant acme --name "way-$count" --key "$T/g" --passphrase-file "$T/pass"
        lives "way-$count" "$T/k-$type.pem"
    done < <(ways_out)
    echo "$count" >> "$T/count"
}

# ---- what is no key, or none for keyd

# what@command@what it says@...and more
no_keys() {
    cat << 'END'
certificate@cp crt f@this is a certificate (CN = crt.example), and no private key@--cert
certificate, DER@openssl x509 -in crt -outform DER -out f@this is a certificate (CN = crt.example)@--cert
request@openssl req -config req.cnf -new -key k -subj /CN=x -out f@this is a certificate signing request@-keyout
public key@openssl pkey -in k -pubout -out f@this is a public key@in another file
public key, DER@openssl pkey -in k -pubout -outform DER -out f@this is a public key@in another file
RSA public key@openssl rsa -in k-rsa-2048.pem -RSAPublicKey_out -out f@this is a public key@in another file
CRL@crl f@this is a certificate revocation list@in another file
PKCS#7@openssl crl2pkcs7 -nocrl -certfile crt -out f@a bundle of certificates (PKCS#7)@in another file
DH parameters@openssl dhparam -out f -2 512@this is a set of parameters, without a private key@keys-generate
EC parameters@openssl ecparam -name prime256v1 -out f@this is a set of parameters, without a private key@keys-generate
web page@printf '<!DOCTYPE html>\n<html><body>404</body></html>\n' > f@a web page (HTML)@fetch the file again
empty@: > f@the file is empty@is the path right?
blank@printf '\n\n  \n' > f@the file is blank@is the path right?
directory@mkdir -p dir && ln -sfn dir f@is a directory@and no file
noise@head -c 300 /dev/zero | tr '\0' '\1' > f@binary data of no form@PEM, DER and PKCS#12
text@echo 'Please find the key attached.' > f@text without a private key@-----BEGIN
OpenPGP@printf -- '-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n-----END PGP PRIVATE KEY BLOCK-----\n' > f@an OpenPGP file@TLS cannot use it
JWK@printf '{"kty":"EC","crv":"P-256","d":"AAAA"}' > f@JSON (a JWK?)@PEM, DER and PKCS#12
key reference@reference f@its private key is in keyd already@keys-list
gzip@gzip -c k > f@compressed by gzip@gunzip
half a file@head -c 150 k-rsa-2048.pem > f@breaks off@copy the file again
half a file, DER@openssl pkey -in k-rsa-2048.pem -outform DER | head -c 500 > f@the file breaks off: 500 bytes of@copy the file again
two keys@cat k k-rsa-2048.pem > f@it holds 2 private keys@a file of its own
bytes behind it@{ openssl pkey -in k -outform DER; printf more; } > f@bytes follow the private key@copy it again
Ed25519@cp k-ed25519.pem f@cannot take in an Ed25519 key; it takes rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384@keys-generate
X25519@openssl genpkey -algorithm X25519 -out f@of the type X25519, which keyd does not keep@keyd keeps
RSA-PSS@openssl genpkey -algorithm RSA-PSS -out f@of the type rsassaPss, which keyd does not keep@keyd keeps
DSA@openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -out g && openssl genpkey -paramfile g -out f@of the type dsaEncryption, which keyd does not keep@keyd keeps
DH@openssl genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out f@of the type dhKeyAgreement, which keyd does not keep@keyd keeps
RSA-1024@openssl genrsa -out f 1024@1024 bits, which can be broken@keys-generate
RSA-2056@openssl genrsa -out f 2056@2056 bits, an unusual length@keys-generate
RSA-16384@big_rsa 16384 65537 f@16384 bits, more than keyd keeps@keys-generate
even exponent@big_rsa 2048 65536 f@public exponent is even@65537 in a sound key
exponent 1@big_rsa 2048 1 f@public exponent is 1@65537 in a sound key
numbers of no key@big_rsa 2048 65537 f@do not belong together@damaged
P-521@openssl ecparam -name secp521r1 -genkey -noout -out f@secp521r1, which public TLS does not use@P-256 and P-384
secp256k1@openssl ecparam -name secp256k1 -genkey -noout -out f@secp256k1, which public TLS does not use@P-256 and P-384
brainpool@openssl ecparam -name brainpoolP256r1 -genkey -noout -out f@brainpoolP256r1, which public TLS does not use@P-256 and P-384
SM2@openssl genpkey -algorithm SM2 -out f@the curve sm2, which public TLS does not use@P-256 and P-384
no passphrase@openssl ec -in k -aes256 -passout pass:other -out f@the passphrase is wrong@if you are sure of it
PKCS#12, no passphrase@openssl pkcs12 -export -inkey k -nocerts -passout pass:other -out f@the passphrase is wrong@if you are sure of it
PKCS#12 without a key@openssl pkcs12 -export -nokeys -in crt -passout file:pass -out f@no private key@certificate
END
}
crl() {
    touch index
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\n' > ca.cnf
    openssl ca -config ca.cnf -gencrl -crldays 1 -keyfile k-ec-p384.pem -cert ca.crt -out "$1"
}
reference() {
    ctl keys-show acme/there || ctl keys-generate --tenant acme --name there --type ec-p256
    ctl keys-ref acme/there > "$1"
}
# big_rsa BITS E FILE: PKCS#1 of odd numbers that are no key.
big_rsa() {
    local i half=$(($1 / 16)) whole=$(($1 / 8))
    {
        printf 'asn1 = SEQUENCE:key\n[key]\nversion = INTEGER:0\n'
        printf 'n = INTEGER:0xC0%s01\n' "$(openssl rand -hex $((whole - 2)))"
        printf 'e = INTEGER:%s\n' "$2"
        printf 'd = INTEGER:0x40%s01\n' "$(openssl rand -hex $((whole - 2)))"
        for i in p q dp dq qinv; do
            printf '%s = INTEGER:0xC0%s01\n' $i "$(openssl rand -hex $((half - 2)))"
        done
    } > rsa.cnf
    openssl asn1parse -genconf rsa.cnf -noout -out "$3"
}

# Nothing goes to keyd for any of these.
case_no_keys() {
    local form make words more n count=0
    reference "$T/r"
    n=$(ctl keys-list --json | jq '.keys | length')
    while IFS=@ read -r form make words more; do
        echo "-- $form"
        rm -rf "$T/f"
        made "$form" ec-p256 "$make"
        refused 1 ctl keys-import --tenant acme --name x --key "$T/f" --passphrase-file "$T/pass"
        echo "$said"
        has "$said" "$T/f" "$words" "$more"
        count=$((count + 1))
    done < <(no_keys)
    equal "$n" "$(ctl keys-list --json | jq '.keys | length')"
    printf '# %s files that are no key for keyd\n' "$count" > "$T/said"
}

# A terminal is what it wants; here is none.
case_no_passphrase() {
    made encrypted ec-p256 "openssl ec -in k -aes256 -passout file:pass -out f"
    refused 1 setsid -w "$KEYDCTL" --socket "$CONTROL" keys-import --tenant acme --name x --key "$T/f"
    has "$said" "no terminal to ask at" "--passphrase-file"
}

case_unreadable() {
    local -a as=()
    made unreadable ec-p256 "cp k f && chmod 0 f"
    [ "$(id -u)" != 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups) # nobody
    refused 1 "${as[@]}" "$KEYDCTL" keys-import --tenant acme --name x --key "$T/f"
    has "$said" "cannot open $T/f: Permission denied"
}

case_count() {
    equal 5 "$(wc -l < "$T/count")" "tables"
    printf '# %s forms of keys imported\n' "$(($(paste -sd+ "$T/count")))" >> "$T/said"
}

run_cases "$@"
[ ! -e "$T/said" ] || cat "$T/said"
