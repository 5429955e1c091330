#!/bin/bash
# make install puts down a library that C and C++ programs can build against with pkg-config
# alone, the programs, the plugin with its profiles, and man pages; make uninstall takes all of it
# away.
#
#     tests/install/run.sh BUILD-FOLDER     from the top of the tree, after make
set -u
. "$(dirname "$0")/../count.sh"

build=$1
MAKE=${MAKE:-make}
CC=${CC:-cc}
CXX=${CXX:-c++}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
lib=$root/opt/span/lib
# A sysroot stands for DESTDIR: what span.pc says of /opt/span is looked up below $root.
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib

flags() # PKG-CONFIG-OPTION...
{
	pkg-config "$@" span
}

install_into_root()
{
	$MAKE -s O="$build" prefix=/opt/span DESTDIR="$root" "$1"
}

expected_files()
{
	printf '%s\n' libspan.a libspan.so "$soname" "libspan.so.$version" pkgconfig/span.pc \
		libnccl-tuner-span.so libnccl-profiler-span.so | sed 's|^|opt/span/lib/|'
	ls topo/span_*.h attention/span_*.h | sed 's|^|opt/span/include/span/|'
	printf 'opt/span/bin/%s\n' span-topo span-tune
	printf 'opt/span/share/man/man1/%s.1\n' span-topo span-tune
	(cd plugin && ls profiles/*.profile) | sed 's|^|opt/span/share/span/|'
}

found_files()
{
	(cd "$root" && find . ! -type d ! -path './made/*' | sed 's|^\./||')
}

strict="-Wall -Wextra -pedantic -Werror"
build_c()
{
	$CC -std=c11 $strict tests/install/consumer.c -o "$root/made/c" \
		$(flags --cflags --libs) -lm
}

build_static()
{
	$CC -std=c11 $strict tests/install/consumer.c -o "$root/made/static" \
		$(flags --cflags --static --libs | sed 's/-lspan /-l:libspan.a /')
}

build_cxx()
{
	$CXX -std=c++11 $strict tests/install/consumer.cc -o "$root/made/cxx" \
		$(flags --cflags --libs)
}

example=ext-examples/attention/attention.c
build_example()
{
	$CC -std=c11 $strict $example -o "$root/made/attention" $(flags --cflags --libs)
}

example_says_identical() # RANKS [ARGUMENT]
{
	local ranks=$1 output

	shift
	output=$("$root/made/attention" "$@") &&
		[ "$(grep -c "^rank [0-9]* of $ranks: [0-9]* pairs" <<<"$output")" = "$ranks" ] &&
		[ "$(tail -n 1 <<<"$output")" = \
			"out, dq, dk, dv on 1 and $ranks ranks: identical to the bit" ] && return
	echo "$output"
	return 1
}

example_refuses() # ARGUMENT...
{
	local output

	output=$("$root/made/attention" "$@" 2>&1)
	[ $? -eq 2 ] && grep -qF "\"$1\"" <<<"$output" && return
	echo "$output"
	return 1
}

# The C of README.md, "Use it", is lines of the example, comments and indentation apart.
readme_quotes_example()
{
	sed -n '/^## Use it/,/^## K/{/^```c/,/^```$/p}' README.md | sed 's/^[[:blank:]]*//' |
		grep -vE '^(```.*|/\*.*\*/|)$' >"$root/made/quoted"
	[ "$(wc -l <"$root/made/quoted")" -ge 10 ] || { echo "nothing is quoted" && return 1; }
	! sed 's/^[[:blank:]]*//' $example | grep -vxFf - "$root/made/quoted"
}

says_version() # PROGRAM
{
	[ "$("$root/made/$1")" = "$version" ]
}

program_says_version() # NAME
{
	[ "$("$root/opt/span/bin/$1" --version)" = "$1 $version" ]
}

needs_soname()
{
	LC_ALL=C readelf -d "$root/made/c" | grep -q "NEEDED.*\[$soname\]"
}

stands_alone() # PROGRAM
{
	! LC_ALL=C readelf -d "$root/made/$1" | grep -q 'NEEDED.*libspan'
}

mkdir "$root/made"
try "make install" install_into_root install
version=$(flags --modversion)
soname=$(LC_ALL=C readelf -d "$lib/libspan.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
try "exactly the promised files" diff <(expected_files | sort) <(found_files | sort)
try "a C program builds" build_c
try "a C program runs" says_version c
try "a C program asks for $soname" needs_soname
try "a static C program builds" build_static
try "a static C program runs" says_version static
try "a static C program needs no libspan.so" stands_alone static
try "the example builds" build_example
try "the example runs on 4 ranks" example_says_identical 4
for ranks in 2 3 13; do
	try "the example runs on $ranks ranks" example_says_identical $ranks $ranks
done
for wrong in 0 65 4x -1 '' 99999999999999999999; do
	try "the example refuses \"$wrong\" ranks" example_refuses "$wrong"
done
try "the example refuses two numbers" example_refuses 2 3
try "README.md quotes the example" readme_quotes_example
if have "$CXX"; then
	try "a C++ program builds" build_cxx
	try "a C++ program runs" says_version cxx
else
	skip "c++" "no C++ program was built"
fi
try "span-topo runs where it was put" program_says_version span-topo
try "span-tune runs where it was put" program_says_version span-tune
try "make uninstall" install_into_root uninstall
try "uninstall leaves no file" diff /dev/null <(found_files)
try "uninstall leaves no folder of headers" test ! -e "$root/opt/span/include/span"
try "uninstall leaves no folder of profiles" test ! -e "$root/opt/span/share/span"
close_count
