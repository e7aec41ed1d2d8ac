#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# presets: release
#
# install: what `cmake --install` puts where, that others can build on it, and that it is hardened.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

DEST=$T/dest
LIBDIR=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' "$BUILD/CMakeCache.txt")
begin env DESTDIR="$DEST" cmake --install "$BUILD" --prefix /usr > "$T/log/install.log"
LIB=$DEST/usr/$LIBDIR
EXAMPLES=$DEST/usr/share/doc/keyd/examples

case_files() {
    local f
    for f in "$DEST/usr/sbin/keyd" "$DEST/usr/bin/keydctl" "$LIB/libkeyd.so" "$LIB/libkeyd.so.0" \
        "$LIB/ossl-modules/keyd.so" "$LIB/pkgconfig/libkeyd.pc" "$DEST/usr/include/keyd.h" \
        "$DEST/usr/share/keyd/openssl.cnf" "$EXAMPLES/nginx.conf" "$EXAMPLES/haproxy.cfg" \
        "$EXAMPLES/apache.conf" "$EXAMPLES/stunnel.conf"; do
        [ -e "$f" ] || fail "no ${f#"$DEST"}"
    done
    # an example names what is installed
    has "$(cat "$EXAMPLES/nginx.conf")" "OPENSSL_CONF=/"
    lacks "$(cat "$EXAMPLES/"*)" "@"
    # nothing else of ours slips in: no test programs, no static rooms
    lacks "$(find "$DEST" -type f | tr '\n' ' ')" .a cmocka /load /wire
}

# exported FILE: names of functions; "A" is a symbol version.
exported() { nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'; }

case_exports() {
    local names
    names=$(exported "$LIB/libkeyd.so")
    [ "$(wc -l <<< "$names")" -ge 10 ] || fail "exports: $names"
    equal "" "$(grep -v '^keyd_' <<< "$names")" "exported besides the API"
    equal OSSL_provider_init "$(exported "$LIB/ossl-modules/keyd.so")"
    # every function of the header is there
    local f
    for f in $(grep -oE '\bkeyd_[a-z_]+\(' "$DEST/usr/include/keyd.h" | tr -d '(' | sort -u); do
        grep -qx "$f" <<< "$names" || fail "$f is in keyd.h and not in the library"
    done
}

# A program outside the tree, with what is installed alone.
case_build_on_it() {
    local flags
    flags=$(PKG_CONFIG_SYSROOT_DIR=$DEST PKG_CONFIG_PATH=$LIB/pkgconfig pkg-config --cflags --libs libkeyd)
    sed 's,"clients/libkeyd/keyd.h",<keyd.h>,' "$ROOT/clients/libkeyd/example.c" > "$T/example.c"
    # shellcheck disable=SC2086
    gcc -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE "$T/example.c" -o "$T/example" -I"$DEST/usr/include" \
        -L"$LIB" $flags -lcrypto
    printf '#include <keyd.h>\nint main() { return keyd_code_name(0) == nullptr; }\n' > "$T/cxx.cc"
    ! command -v g++ > /dev/null || g++ -I"$DEST/usr/include" -fsyntax-only "$T/cxx.cc"
    configure
    init_token
    start_keyd
    make_key acme/www ec-p256
    has "$(LD_LIBRARY_PATH=$LIB "$T/example" "$SOCKET" "$(key_id acme/www)")" "verif"
    ! LD_LIBRARY_PATH=$LIB "$T/example" "$SOCKET" "$(printf '0%.0s' {1..64})" || fail "an unknown key"
    stop_keyd
}

# The installed programs run without anything of the build tree.
case_run_installed() {
    has "$(LD_LIBRARY_PATH=$LIB "$DEST/usr/bin/keydctl" --version)" keydctl
    has "$(LD_LIBRARY_PATH=$LIB "$DEST/usr/sbin/keyd" --version)" keyd
    local f
    for f in "$DEST/usr/bin/keydctl" "$DEST/usr/sbin/keyd" "$LIB/ossl-modules/keyd.so" "$LIB/libkeyd.so"; do
        lacks "$(readelf -d "$f" | grep -E 'RPATH|RUNPATH' || true)" "$ROOT"
    done
}

# PIE, RELRO with immediate binding, no executable stack, stack protector, FORTIFY_SOURCE, CET.
case_hardened() {
    local f elf
    for f in "$DEST/usr/sbin/keyd" "$DEST/usr/bin/keydctl" "$LIB/libkeyd.so" "$LIB/ossl-modules/keyd.so"; do
        elf=$(readelf -W -h -l -d -n --dyn-syms "$f")
        has "$elf" "DYN (" "GNU_RELRO" "BIND_NOW" "__stack_chk_fail"
        [[ $elf =~ GNU_STACK[^$'\n']*' RW ' ]] || fail "${f##*/}: executable stack"
        lacks "$elf" TEXTREL
        # Our code is fit for CET; whether the program is marked so is up to the C library's start code.
        [ "$(uname -m)" != x86_64 ] || [ "$(objdump -d "$f" | grep -c endbr64)" -gt 20 ] ||
            fail "${f##*/}: no branch protection"
    done
    for f in "$DEST/usr/sbin/keyd" "$DEST/usr/bin/keydctl"; do
        elf=$(readelf -W -h -d --dyn-syms "$f")
        has "$elf" "PIE" "_chk@GLIBC"
    done
}

# Rooms are static libraries: of two functions with one name the linker takes one, without a word.
case_no_name_twice() {
    local twice
    twice=$(find "$BUILD/proto" "$BUILD/keyd" -name '*.a' -exec nm -g --defined-only {} + |
        awk 'NF == 3 { print $3 }' | sort | uniq -d)
    [ "$(find "$BUILD/keyd" -name '*.a' | wc -l)" -gt 5 ] || fail "no libraries found"
    equal "" "$twice" "defined in two rooms"
}

# keyd itself links what its house allows, and no more.
case_libraries_of_keyd() {
    local needed
    needed=$(readelf -d "$DEST/usr/sbin/keyd" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
    lacks "$needed" jansson smartcols curl libkeyd
    has "$needed" libp11-kit libsqlite3 libseccomp libprotobuf-c
}

run_cases "$@"
