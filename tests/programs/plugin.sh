#!/bin/bash
# The plugin as a file: what it exports, needs and asks of a process that loads and unloads it.
#
#     tests/programs/plugin.sh BUILD-FOLDER     from the top of the tree
set -u
. "$(dirname "$0")/../count.sh"

build=$1
plugin=$build/libnccl-tuner-span.so
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

none() # WHAT OFFENDERS
{
	if [ -z "$2" ]; then
		pass
	else
		fail "$1"
		printf '%s\n' "$2"
	fi
}

# The plugin's own objects and what it carries of topo.
objects()
{
	ls "$build"/obj/plugin/*.o "$build"/obj/topo/status.o "$build"/obj/topo/nccl/profile*.o \
		"$build"/obj/topo/nccl/nccl_model*.o
}

check_file()
{
	local dynamic

	dynamic=$(readelf -dW "$plugin")
	none "exports NCCL's symbols and nothing else" \
		"$(nm -D --defined-only "$plugin" | grep -vE ' (ncclTunerPlugin|ncclProfiler)_v[0-9]+$')"
	for version in 1 2 3 4 5 6; do
		try "exports tuner v$version" grep -q " D ncclTunerPlugin_v$version\$" \
			<(nm -D --defined-only "$plugin" | sed 's/ R / D /')
	done
	none "needs nothing but the C library" "$(grep NEEDED <<<"$dynamic" |
		grep -vE '\[(libc|libm|libdl|libpthread|ld-linux[^]]*|libasan|libubsan|libtsan)\.so')"
	try "has a soname" grep -q 'SONAME.*\[libnccl-tuner-span\.so\]' <<<"$dynamic"
	try "is resolved when loaded" grep -qE 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic"
}

check_calls()
{
	none "only options.c reads the environment" \
		"$(nm -A --undefined-only $(objects) | grep -E ' U (secure_)?getenv$' | grep -v '/options\.o:')"
	none "prints nothing and never ends the process" \
		"$(nm -A --undefined-only $(objects) |
			grep -E ' U (v?printf|puts|putchar|perror|_?exit|abort|atexit|stdout|stderr)$')"
}

ask() # WHAT EXPECTED ENVIRONMENT... OBJECT
{
	local what=$1 expected=$2 output

	shift 2
	if output=$(env "${@:1:$#-1}" "$scratch/host" "${@: -1}" 2>&1) && [ "$output" = "$expected" ]; then
		pass
	else
		fail "$what: expected"
		printf '%s\n%s\n%s\n' "$expected" "but got" "$output"
	fi
}

three_times() # TEXT...
{
	for _ in 1 2 3; do
		printf '%s\n' "$@"
	done
}

check_life()
{
	local off="3 SPAN: off by SPAN_ENABLE; NCCL decides everything"
	local empty="3 SPAN: no SPAN_RULES and no SPAN_PROFILE: NCCL decides everything"

	try "plugin_host.c compiles" ${CC:-cc} -std=gnu11 -Wall -Wextra -I. -o "$scratch/host" \
		"$(dirname "$0")/plugin_host.c" -ldl || return
	ask "loads, says so and unloads, three times" "$(three_times "$empty")" "$plugin"
	ask "by soname" "$(three_times "$off")" SPAN_ENABLE=0 LD_LIBRARY_PATH="$build" \
		libnccl-tuner-span.so
	echo 'allreduce,0,-1,ring,simple,3,-1,-1' >"$scratch/rules"
	ask "answers by rules" "$(three_times "$(env SPAN_RULES="$scratch/rules" "$scratch/host" \
		"$plugin" | head -n 1)" "cell 5 channels 3")" SPAN_RULES="$scratch/rules" "$plugin"
	mkdir -p "$scratch/usr/lib" "$scratch/usr/share/span/profiles"
	cp "$plugin" "$scratch/usr/lib/"
	cp plugin/profiles/*.profile "$scratch/usr/share/span/profiles/"
	ask "names the place where a shipped profile is missing" "$(three_times \
		"2 SPAN: profile $scratch/usr/lib/../share/span/profiles/mine.profile: No such file or directory; NCCL decides everything")" \
		SPAN_PROFILE=mine "$scratch/usr/lib/libnccl-tuner-span.so"
	cp plugin/profiles/a100x8.profile "$scratch/own.profile"
	ask "takes a file of this folder for a path, and says when nothing in it acts" "$(three_times \
		"$(env SPAN_PROFILE="$scratch/own.profile" "$scratch/host" "$plugin" | head -n 1 |
			grep 'rank; nothing in it acts here: NCCL decides everything')")" \
		-C "$scratch" SPAN_PROFILE=own.profile "$(realpath "$plugin")"
	if grep -qs 0x10de /sys/bus/pci/devices/*/vendor; then
		skip "SPAN_UNIFORM without GPUs" "there are some"
		return
	fi
	ask "says when no shipped profile is of these GPUs" "$(three_times \
		"${empty/:*/: no SPAN_RULES and no SPAN_PROFILE, and no shipped profile is of these GPUs: NCCL decides everything}")" \
		SPAN_UNIFORM=1 "$plugin"
}

# Every shipped profile, by name, from where an installation puts it.
check_profiles()
{
	local profile name output

	for profile in plugin/profiles/*.profile; do
		name=$(basename "$profile" .profile)
		output=$(SPAN_PROFILE=$name "$scratch/host" "$scratch/usr/lib/libnccl-tuner-span.so")
		none "profile $name is read and told" "$(grep -vE \
			'^3 SPAN: 8 ranks on 1 node: profile ".*", decision [0-9a-f]{16}, the same on every rank(; nothing in it acts here: NCCL decides everything)?$|^cell ' \
			<<<"$output")"
	done
}

check_file
check_calls
check_life
check_profiles
close_count
