#!/bin/bash
# The plugin in released NCCLs, through their own loaders, without a GPU.
#
#     tests/nccl/check.sh BUILD-FOLDER [VERSION...]     from the top of the tree
#
# Each release is a wheel of 200 to 450 MB. It is fetched with pip into BUILD-FOLDER/nccl, one
# on disk at a time, and removed again. SPAN_NCCL_LIBRARIES names a folder with
# VERSION/libnccl.so.2 to use instead. A release that cannot be had is skipped by name, and so
# is everything without gdb.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../count.sh"

build=$1
shift
versions=("$@")
if [ ${#versions[@]} -eq 0 ]; then
	versions=(2.19.3 2.20.5 2.21.5 2.22.3 2.23.4 2.24.3 2.25.1 2.26.5 2.27.3 2.27.7 2.28.9
		2.29.7 2.30.7 2.31.2 2.32.3)
fi
tuner=$build/libnccl-tuner-span.so
profiler=$build/libnccl-profiler-span.so
xml=$here/../data/topologies/nccl/oci/H100-topology.xml
scratch=$build/nccl
closing='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'

# The library of a release, in $library; false if it cannot be had.
fetch() # VERSION
{
	library=${SPAN_NCCL_LIBRARIES:-}/$1/libnccl.so.2
	[ -n "${SPAN_NCCL_LIBRARIES:-}" ] && [ -f "$library" ] && return
	library=$scratch/$1/nvidia/nccl/lib/libnccl.so.2
	mkdir -p "$scratch/$1" &&
		pip download -q --no-deps --only-binary=:all: --disable-pip-version-check \
			-d "$scratch/$1" "nvidia-nccl-cu12==$1" >"$scratch/pip.log" 2>&1 &&
		python3 -m zipfile -e "$scratch/$1"/*.whl "$scratch/$1" &&
		rm -f "$scratch/$1"/*.whl && [ -f "$library" ]
}

check_release() # VERSION
{
	local log=$scratch/$1.log last

	if ! fetch "$1"; then
		skip "NCCL $1" "cannot be fetched: $(tail -n 1 "$scratch/pip.log" 2>/dev/null)"
	else
		python3 "$here/check_release.py" "$scratch/host" "$library" "$tuner" "$profiler" \
			"$xml" >"$log" 2>&1
		last=$(tail -n 1 "$log")
		if [[ $last =~ $closing ]]; then
			passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
			skipped=$((skipped + BASH_REMATCH[3]))
			echo "NCCL $1: $last"
			grep -E '^(FAILED|SKIPPED): ' "$log" | head -n 20 | sed "s/^[A-Z]*: /&NCCL $1: /"
		else
			fail "NCCL $1: no closing line"
			tail -n 20 "$log"
		fi
	fi
	rm -rf "${scratch:?}/$1"
}

for tool in gdb python3 pip; do
	if ! have "$tool"; then
		skip "$tool" "is not installed: no release is checked"
		close_count
		exit
	fi
done
mkdir -p "$scratch"
try "tests/nccl/host.c compiles" "${CC:-cc}" -g -O1 -Wall -Wextra -o "$scratch/host" "$here/host.c" -ldl
try "the plugin is built" test -f "$tuner" -a -f "$profiler"
if [ "$failed" -eq 0 ]; then
	for version in "${versions[@]}"; do
		check_release "$version"
	done
fi
close_count
