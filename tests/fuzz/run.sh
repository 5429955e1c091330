#!/bin/bash
# Fuzz the readers for a bounded time each, seeded with the files of tests/data.
#
#     tests/fuzz/run.sh BUILD-FOLDER SECONDS [FUZZER...]     from the top of the tree
#
# SPAN_EXTRA_DATA adds its files to the seeds. What fuzzers find interesting is kept in
# BUILD-FOLDER/fuzz/corpus, so that the next run begins where this one ended. What makes one fail
# is left in BUILD-FOLDER/fuzz; once mended, put it into tests/data/crashers, where a test has all
# of them read again.
set -u
. "$(dirname "$0")/../count.sh"

[ $# -ge 2 ] || { echo "usage: tests/fuzz/run.sh BUILD-FOLDER SECONDS [FUZZER...]" >&2 && exit 2; }
build=$1/fuzz
program=$1/span-topo
seconds=$2
shift 2
data=$PWD/tests/data
CLANG=${CLANG:-clang}
flags="-std=gnu11 -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all -I."

# NAME SOURCE READER SEED-FOLDERS: a reader of its own is called without recognition before it.
fuzzers()
{
	cat <<-END
	topo       fuzz_topo   -                topologies lint crashers
	tell       fuzz_tell   -                topologies lint crashers nccl-random
	hwloc      fuzz_hwloc  -                topologies/hwloc crashers
	nccl       fuzz_reader read_nccl_xml    topologies/nccl lint
	json       fuzz_reader read_topo_json   machines
	nvidia-smi fuzz_reader read_nvidia_smi  topologies/matrices
	rocm-smi   fuzz_reader read_rocm_smi    topologies/matrices
	synthetic  fuzz_reader read_synthetic   topologies/cluster
	cluster    fuzz_reader read_cluster     topologies/cluster lint
	order      fuzz_order  -                orders
	rules      fuzz_rules  -                rules
	profile    fuzz_profile -               ../../plugin/profiles
	nccl-log   fuzz_nccl_log -              nccl-tests nccl-json
	END
}

can_fuzz()
{
	echo 'int LLVMFuzzerTestOneInput(const void *d, unsigned long n) { return d == (void *)n; }' |
		$CLANG -x c - -fsanitize=fuzzer,address,undefined -o "$build/try" 2>/dev/null
}

# Objects are made again when their source or any header is newer.
compile() # SOURCE OBJECT FLAGS...
{
	local source=$1 object=$2

	shift 2
	if [ -f "$object" ] && [ "$object" -nt "$source" ] &&
		[ -z "$(find topo plugin tests/fuzz -name '*.h' -newer "$object")" ]; then
		return
	fi
	$CLANG $flags -fsanitize=fuzzer-no-link,address,undefined $(pkg-config --cflags hwloc) "$@" \
		-c "$source" -o "$object"
}

compile_library()
{
	local source object

	for source in $(find topo -name '*.c' ! -path 'topo/tool/*') plugin/*.c tests/fuzz/fuzz.c; do
		object=${source%.c}.o
		compile "$source" "$build/obj/${object//\//-}" || return 1
	done
}

link_fuzzer() # NAME SOURCE READER
{
	local object=$build/$1.o

	compile "tests/fuzz/$2.c" "$object" -DREADER="$3" &&
		$CLANG -fsanitize=fuzzer,address,undefined "$object" "$build"/obj/*.o \
			$(pkg-config --libs hwloc expat jansson) -ldl -lm -pthread -o "$build/$1"
}

# JSON of ours, as this version writes it.
write_json_seeds()
{
	local seeds=$build/seeds/json source

	[ -x "$program" ] || return
	for source in "$data"/topologies/*/*.{xml,txt}; do
		"$program" convert --to json -o "$seeds/$(basename "$source").json" "$source"
	done >/dev/null 2>&1
	find "$seeds" -size +64k -delete
}

# Copies, because a fuzzer writes to the first folder and reads the others by directory.
gather_seeds() # NAME SEED-FOLDERS...
{
	local name=$1 folder root file

	shift
	mkdir -p "$build/corpus/$name" "$build/seeds/$name"
	for root in "$data" "${SPAN_EXTRA_DATA:-}"; do
		for folder in "$@"; do
			[ -n "$root" ] && [ -d "$root/$folder" ] || continue
			find "$root/$folder" -type f -size -64k ! -name '*.md' ! -name '*.bz2' |
				while read -r file; do
					cp "$file" "$build/seeds/$name/$(md5sum <"$file" | cut -c1-12)"
				done
		done
	done
}

# Runs in a folder of its own, since a cluster description names files.
fuzz() # NAME
{
	local status log=$build/$1.log scratch

	scratch=$(mktemp -d)
	(cd "$scratch" && ASAN_OPTIONS=allocator_may_return_null=1 "$build/$1" \
		-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2500 -max_len=65536 \
		-artifact_prefix="$build/$1-" -print_final_stats=1 \
		"$build/corpus/$1" "$build/seeds/$1") >"$log" 2>&1
	status=$?
	rm -rf "$scratch"
	if [ $status -eq 0 ]; then
		pass
		printf '  fuzz  %-10s %s inputs\n' "$1" \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
	else
		fail "fuzzing $1: exit status $status; the input is under $build"
		grep -E '^(==|SUMMARY|#[0-9]+ 0x|    #|artifact|Test unit)' "$log" | head -n 30
	fi
}

mkdir -p "$build/obj" && build=$(cd "$build" && pwd)
if ! have "$CLANG" || ! can_fuzz; then
	skip fuzz "$CLANG has no runtime for fuzzing (Debian: libclang-rt-14-dev)"
	close_count
	exit
fi
if ! compile_library; then
	fail "the library does not compile with $CLANG"
	close_count
	exit 1
fi
while read -r name source reader seeds; do
	[ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
	gather_seeds "$name" $seeds
	[ "$name" != json ] || write_json_seeds
	if link_fuzzer "$name" "$source" "$reader"; then
		fuzz "$name"
	else
		fail "$name does not link"
	fi
done < <(fuzzers)
close_count
