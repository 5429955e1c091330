#!/bin/bash
# Who may include what, what the library exports, whether its headers stand alone, and whether the
# tests that tests/README.md names exist.
#
#     tests/layers.sh BUILD-FOLDER PUBLIC-HEADER...     from the top of the tree
#
# The rules are those of CONTRIBUTING.md, "Layers".
set -u
. "$(dirname "$0")/count.sh"

build=$1
shift
headers=("$@")
CC=${CC:-cc}
CXX=${CXX:-c++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

sources() # FOLDER...
{
	find "$@" -name '*.[ch]' 2>/dev/null | sort
}

# Lines "file:number:#include ..." that match PATTERN.
includes() # PATTERN FILE...
{
	local pattern=$1

	shift
	[ $# -eq 0 ] || grep -HnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*$pattern" "$@"
}

none() # WHAT OFFENDERS
{
	if [ -z "$2" ]; then
		pass
	else
		fail "$1"
		printf '%s\n' "$2"
	fi
}

only_ours() # FOLDER ALLOWED-FOLDERS
{
	none "$1 includes in quotes only from: $2" \
		"$(includes '"' $(sources "$1") | grep -vE "\"(${2// /|})/")"
}

home() # HEADER-PATTERN PLACE
{
	none "$1 is included only in $2" \
		"$(includes "[<\"]($1)[>\"]" $(sources topo attention plugin) | grep -vE "^$2")"
}

check_includes()
{
	only_ours topo "topo"
	only_ours attention "attention topo"
	only_ours plugin "plugin topo"
	home 'hwloc(/.*)?\.h' topo/host/discover
	home 'expat\.h' topo/read/xml.c
	home 'jansson\.h' 'topo/json/|^topo/tool/|^plugin/tune/'
	home 'mpi\.h' attention/transport_mpi.c
	home 'nccl[^/]*\.h' attention/transport_nccl.c
	home 'cu(da|blas|dnn|rand)[^/]*\.h' attention/cuda/
	home '[a-z]*mmintrin\.h|x86intrin\.h' attention/kernels/
	none "public headers include only public headers and the C library" "$(
		includes '' "${headers[@]}" |
			grep -vE '"(topo|attention)/span_[a-z_]+\.h"|<(stddef|stdint|stdio)\.h>'
	)"
}

# Names of functions that the public headers declare with SPAN_API. A declaration may go over
# several lines; its name is the word before the first bracket.
declared()
{
	sed -e 's/^SPAN_API/\n&/' "${headers[@]}" | tr '\n' ' ' | grep -oE 'SPAN_API [^(;]*\(' |
		grep -oE 'span_[a-z0-9_]+ *\($' | tr -d ' (' | sort -u
}

check_symbols()
{
	nm -D --defined-only "$build/libspan.so" | awk '{print $3}' | sort -u >"$scratch/exported"
	declared >"$scratch/declared"
	none "libspan.so exports only span_*" "$(grep -v '^span_' "$scratch/exported")"
	none "every exported symbol is declared in a public header" \
		"$(comm -23 "$scratch/exported" "$scratch/declared")"
	none "every declared function is exported" \
		"$(comm -13 "$scratch/exported" "$scratch/declared")"
	none "libspan.a defines the exported symbols and no others" "$(
		nm --defined-only --extern-only "$build/libspan.a" | awk 'NF == 3 { print $3 }' |
			sort | comm -3 - "$scratch/exported"
	)"
	none "every function of a public header is marked SPAN_API" "$(
		grep -HnE '^[a-z][a-z0-9_ ]*[ *]span_[a-z0-9_]+\(' "${headers[@]}" |
			grep -vE ':(static inline|typedef) '
	)"
	none "the library neither prints, exits nor aborts" "$(
		nm -A --undefined-only "$build/libspan-inside.a" |
			grep -E ' U (v?printf|puts|putchar|perror|_?exit|abort|stdout|stderr)(@|$)'
	)"
	none "only kernels/select.c reads the environment" "$(
		nm -A --undefined-only "$build/libspan-inside.a" |
			grep -E ' U (secure_)?getenv(@|$)' | grep -v ':select\.o:'
	)"
	for isa in avx2 avx512; do
		[ -f "$build/obj/attention/kernels/$isa.o" ] || continue
		none "kernels/$isa.c defines its table and nothing else that could be called" "$(
			nm --defined-only --extern-only "$build/obj/attention/kernels/$isa.o" |
				grep -v " span_kernels_$isa\$"
		)"
	done
}

# What NCCL looks for and nothing else; loads wherever there is a C library.
check_plugin()
{
	local plugin=$build/libnccl-tuner-span.so

	[ -f "$plugin" ] || return
	none "the plugin exports only NCCL's symbols" "$(
		nm -D --defined-only "$plugin" | awk '{print $3}' |
			grep -vE '^nccl(TunerPlugin|Profiler)_v[0-9]+$'
	)"
	none "the plugin needs only the C library" "$(
		readelf -d "$plugin" | grep NEEDED |
			grep -vE '\[(libc|libm|libdl|libpthread|ld-linux[a-z0-9-]*)\.so'
	)"
	none "only plugin/options.c of the plugin reads the environment" "$(
		nm -A --undefined-only "$build"/obj/plugin/*.o |
			grep -E ' U (secure_)?getenv(@|$)' | grep -v '/options\.o:'
	)"
}

# Each header by itself, from a folder that holds the public ones only.
check_headers()
{
	local header strict="-pedantic -Wall -Wextra -Werror -c -o /dev/null -I$scratch"

	mkdir -p "$scratch/topo" "$scratch/attention"
	for header in "${headers[@]}"; do
		cp "$header" "$scratch/$header"
	done
	for header in "${headers[@]}"; do
		echo "#include \"$header\"" >"$scratch/alone.c"
		try "$header alone as C11" $CC -std=c11 $strict "$scratch/alone.c"
		if have "$CXX"; then
			try "$header alone as C++" $CXX -x c++ -std=c++11 $strict "$scratch/alone.c"
		fi
	done
	have "$CXX" || skip "c++" "headers were not compiled as C++"
}

# What the last column of the table of mutations names: suite/name or a pattern of it, and scripts. A
# name alone has the suite before it in its row, or is a plain program.
named_tests()
{
	sed -n '/^## Mutations/,$p' tests/README.md | awk -F'|' '
	/^\| / && !/^\| mutation / {
		cell = $(NF - 1)
		gsub(/[,;:()`]/, " ", cell)
		n = split(cell, word, " ")
		suite = ""
		for (i = 1; i <= n; i++) {
			if (word[i] ~ /^[a-z0-9_]+\/[a-z0-9_*]+$/) {
				print word[i]
				suite = word[i]
				sub(/\/.*/, "/", suite)
			} else if (word[i] ~ /^[a-z0-9]+_[a-z0-9_*]+$/)
				print suite word[i]
			else if (word[i] ~ /\.(sh|py)$/)
				print word[i]
		}
	}' | sort -u
}

# Names that stand for nothing.
missing_tests()
{
	local name

	{
		grep -rhE --include='*.c' '^(Parameterized)?Test\(' tests |
			sed -E 's/^Test\(|^ParameterizedTest\([^,]*, *//; s/, */\//; s/[,)].*//'
		find tests ext-examples -name '*.sh' -o -name '*.py'
	} >"$scratch/tests"
	named_tests >"$scratch/named"
	[ -s "$scratch/named" ] || echo "none at all"
	while read -r name; do
		grep -qxE "(.*/)?${name//\*/.*}" "$scratch/tests" ||
			[ -f "tests/tsan/${name##*/}.c" ] || echo "$name"
	done <"$scratch/named"
}

check_mutations()
{
	none "tests/README.md names tests that exist" "$(missing_tests)"
}

check_includes
check_symbols
check_plugin
check_headers
check_mutations
close_count
