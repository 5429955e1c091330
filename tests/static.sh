#!/bin/bash
# Static analysis: cppcheck, and the sources compiled without a warning by both compilers.
#
#     tests/static.sh SOURCE...     the sources of the library, from the top of the tree
set -u
. "$(dirname "$0")/count.sh"

# Extra warnings of which the sources are free; not in the everyday build, where a new
# compiler's opinion should not stop a user.
warnings="-std=gnu11 -Werror -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
	-Wpointer-arith -Wcast-qual -Wvla -Wundef -I. -fsyntax-only"

# The kernels of an instruction set need its flags to be read at all.
isa_flags() # SOURCE
{
	case $1 in
	*/avx2.c) echo -mavx2 -mfma -mf16c -mpclmul ;;
	*/avx512.c) echo -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx2 -mfma -mf16c -mpclmul ;;
	esac
}

check_compiler() # COMPILER FILE...
{
	local compiler=$1 file

	shift
	if ! have "$compiler"; then
		skip "$compiler" "is not installed"
		return
	fi
	for file in "$@"; do
		try "$file: $compiler" "$compiler" $warnings $(isa_flags "$file") "$file"
	done
}

# A workspace is one piece of bytes that is cut into typed areas: invalidPointerCast is its
# daily bread and says nothing (alignment is UBSan's to check).
check_cppcheck() # FILE...
{
	local file

	if ! have cppcheck; then
		skip cppcheck "is not installed"
		return
	fi
	for file in "$@"; do
		try "$file: cppcheck" cppcheck --quiet --error-exitcode=1 --std=c11 -I. \
			--enable=warning,performance,portability --inline-suppr \
			--suppress=missingIncludeSystem --suppress=invalidPointerCast "$file"
	done
}

check_compiler gcc "$@"
check_compiler clang "$@"
check_cppcheck "$@"
close_count
