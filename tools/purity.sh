#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves by the linker's symbol table that the cores touch nothing outside: every undefined
# symbol of each core library must be one of another core library, of libsodium's primitives,
# of libcbor's codec, or on the short list below; and none has a variable that can be written.
# usage: purity.sh LIB.a...     prints one line a finding and exits 1 if there is any
set -eu
[ $# -gt 0 ] || { echo "usage: purity.sh LIB.a..." >&2; exit 2; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT

# C library: memory, strings, arithmetic and formatting into memory. No clock, file, socket,
# entropy, environment or locale change. malloc and friends: base/mem.c only (checked below).
allowed='memcpy|memmove|memset|memcmp|memchr|memmem|strlen|strcmp|strncmp|strchr|strrchr|strstr|strcpy_chk|strnlen|snprintf|vsnprintf|__snprintf_chk|__vsnprintf_chk|__memcpy_chk|__memset_chk|__memmove_chk|strtod|strtoull|qsort|bsearch|__assert_fail|__stack_chk_fail|abort|ldexp|frexp|floor|ceil|fabs|pow|log|log2|log10|exp|sqrt|trunc|round|fmod|isfinite|nextafter|strcspn|strspn|strpbrk|lround|llround|__isoc99_sscanf|__errno_location|__popcountdi2|__udivti3|__umodti3|__divti3|_GLOBAL_OFFSET_TABLE_'
# mbedTLS over memory buffers (node/tls.c): none of its sockets, files, clocks or entropy sources.
mbedtls='mbedtls_(ssl|pk|ecp|mpi|x509write|x509_crt)_.*'
tools='__asan_.*|__ubsan_.*|__sanitizer_.*|__gcov.*|__afl.*|__lsan_.*|__tsan_.*'
sodium='crypto_.*|sodium_memzero|sodium_memcmp|sodium_init|sodium_is_zero|sodium_increment|randombytes_buf_deterministic|randombytes_seedbytes'

for lib in "$@"; do
    nm "$lib" >"$tmp/nm" 2>&1 || { tail -n 3 "$tmp/nm"; echo "purity: cannot read $lib"; exit 1; }
    grep -q ' T ' "$tmp/nm" || { echo "purity: no function in $lib"; exit 1; }
done
nm --defined-only "$@" 2>/dev/null | awk '$2 ~ /[A-Z]/ {print $3}' | sort -u >"$tmp/defined"
status=0
for lib in "$@"; do
    nm -A -u "$lib" 2>/dev/null | awk '{print $1, $NF}' | sed 's/^[^:]*:\([^:]*\):/\1/' |
    while read -r object symbol; do
        case $symbol in
        malloc|calloc|realloc|free)
            case $object in *mem.c.o*) continue ;; esac ;;
        esac
        grep -qxF "$symbol" "$tmp/defined" && continue
        printf '%s\n' "$symbol" | grep -qxE "$allowed|$tools|$sodium|$mbedtls|cbor_stream_decode|cbor_encode_.*|cbor_empty_callbacks" && continue
        echo "$(basename "$lib"): $object uses $symbol, which a core must not"
    done >"$tmp/found"
    # no variable that can be written: constants with pointers lie in .data.rel.ro, not in .data
    objdump -t "$lib" | awk -v lib="$(basename "$lib")" '
        /file format/ {object = $1; sub(/:$/, "", object); sub(/.*\//, "", object)}
        / O / && $0 ~ / (\.data|\.bss|\*COM\*|\.tdata|\.tbss)(\.[a-z.]*)?\t/ && !/\.data\.rel\.ro/ &&
            $NF !~ /^__(asan|ubsan|gcov)/ {print lib ": " object " has the variable " $NF}' >>"$tmp/found"
    if [ -s "$tmp/found" ]; then cat "$tmp/found"; status=1; fi
done
[ $status -ne 0 ] || echo "purity: ok"
exit $status
