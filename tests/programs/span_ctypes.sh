#!/bin/bash
# The structs and calls of ../bench/span_ctypes.py, by which bench-peers calls libspan, against
# the headers and the library; no PyTorch is needed.
#
#     tests/programs/span_ctypes.sh BUILD-FOLDER     from the top of the tree
set -u
. "$(dirname "$0")/../count.sh"

library=$1/libspan.so
check=$(dirname "$0")/span_ctypes_check.py

if ! have python3; then
	skip python3 "is not installed"
	close_count
	exit
fi

# A library built with AddressSanitizer wants its runtime loaded before anything of Python's,
# whose own leaks at exit are none of ours.
runtime=$(ldd "$library" | awk '/libasan/ { print $3 }')
if [ -n "$runtime" ]; then
	export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
	exec env LD_PRELOAD="$runtime" python3 -B "$check" "$library"
fi
exec python3 -B "$check" "$library"
