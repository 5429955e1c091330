#!/bin/bash
# The command line of span-topo order: orders to compare with, files for launchers, JSON, and
# options that name their mistakes.
#
#     tests/programs/order.sh BUILD
set -u
. "$(dirname "$0")/../count.sh"

tool=$(cd "${1:?the build folder}" && pwd)/span-topo || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cluster="synthetic:nodes:12 gpus:4 nvlink:450GB/s nics:4 nic:25GB/s leaf:4 oversubscription:2:1"
host="synthetic:gpus:4 nvlink:450GB/s"
pairs="synthetic:gpus:4 nvlink:none switches:2 sockets:1"

# What order says with exit code 0 has a line that matches.
says() # PATTERN ARGUMENTS...
{
	local pattern=$1

	shift
	"$tool" order "$@" >"$work/out" 2>"$work/err" || { cat "$work/err" && return 1; }
	grep -q -e "$pattern" "$work/out" || { cat "$work/out" && return 1; }
}

# Exit code 2, nothing on standard output, and one line that begins so.
refuses() # MESSAGE ARGUMENTS...
{
	local message=$1

	shift
	"$tool" order "$@" >"$work/out" 2>"$work/err"
	[ $? -eq 2 ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
		[[ $(cat "$work/err") == "span-topo: $message"* ]] || { cat "$work/err" && return 1; }
}

# --- what it says ------------------------------------------------------------------------

fits() # ARGUMENTS...
{
	"$tool" order "$@" | awk 'length($0) > 100 { exit 1 }'
}

begins_as_promised()
{
	"$tool" order --format json "$host" | tr -d '\n' | grep -qE '^\{"order": \["h0/gpu0", ("h0/gpu[0-9]"(, )?)+\], *"bottleneck_GBps": 450, "sum_inverse": 0.00888888889, "bound_GBps": 450, *"gather": "[a-z-]+", *"reason": "[^"]+"'
}

try "the ring of a host" says '^  h0: gpu0 gpu1 gpu2 gpu3$' "$host"
try "how good it is" says '^No ring is wider, and none as wide has a lesser sum\.$' "$host"
try "one flow an uplink" says '^  this order .*  12  *1  *[0-9.]* ms$' "$cluster"
try "rails" says '^\* node-first ' "$cluster"
try "the reason" says '^node-first, because links inside a host (450 GB/s) are faster' "$cluster"
try "compute hides a ring" says '^\* ring ' --shard 1MB --compute 200us "$cluster"
try "no rings behind a switch" says '^No rings side by side' --rings 2 "$host"
try "at most 100 columns" fits "$cluster"
try "JSON begins as promised" begins_as_promised
try "a picture" says '^<svg .* role="img"' --format svg "$cluster"
try "a picture of the ring" says '^<title id="t">.*Ring of 48 GPUs in 12 hosts' --format svg "$cluster"

# --- orders to compare with --------------------------------------------------------------

printf 'h0/gpu1 h0/gpu0\nh0/gpu3, h0/gpu2\n' >"$work/given"
printf 'h0/gpu1 h0/gpu0 h0/gpu3\n' >"$work/short"
printf 'h0/gpu1 h0/gpu0 h0/gpu3 h0/gpu3\n' >"$work/twice"
printf 'h0/gpu1 h0/gpu9\n' >"$work/unknown"
printf 'gpu0 gpu2 gpu1 gpu3\n' >"$work/crossed"
printf 'gpu0 gpu1 gpu2 gpu3 gpu0\n' >"$work/long"
try "an order from a file" says '^  given  *450 GB/s' --given "$work/given" "$host"
try "by how much it is worse" says '^Given: the gather takes 2 times as long\.$' \
	--given "$work/crossed" "$pairs"
try "the order of ranks" says '^  by rank  *450 GB/s' --given rank "$host"
try "a file that is too short" refuses "$work/short: 3 devices; " --given "$work/short" "$host"
try "a device twice" refuses "span_ring_measure_nodes: node " --given "$work/twice" "$host"
try "a device that is not there" refuses "$work/unknown: device 2 is \"h0/gpu9\", which is not" \
	--given "$work/unknown" "$host"
try "a file that is too long" refuses "$work/long: more than the 4" --given "$work/long" "$host"

# --- for launchers -----------------------------------------------------------------------

lines() # COUNT FIRST ARGUMENTS...
{
	local count=$1 first=$2

	shift 2
	"$tool" order "$@" >"$work/out" || return 1
	[ "$(wc -l <"$work/out")" -eq "$count" ] && [ "$(head -n 1 "$work/out")" = "$first" ] ||
		{ head -n 3 "$work/out" && return 1; }
}

try "a rankfile" lines 48 'rank 0=h0 slot=0:*' --emit rankfile "$cluster"
try "a hostfile" lines 12 'h0 slots=4' --emit hostfile "$cluster"
try "SLURM_HOSTFILE" lines 48 h0 --emit slurm "$cluster"
try "torchrun's ranks" lines 1 '[0, 1, 2, 3]' --emit torch "$host"
try "into a file" "$tool" order --emit slurm -o "$work/hosts" "$cluster"
try "of as many lines" test "$(wc -l <"$work/hosts")" -eq 48
try "a wrong option" refuses 'order: --emit "pbs"; it is rankfile' --emit pbs -o "$work/hosts" "$host"
try "two formats" refuses 'order: --emit torch is a format of its own' --emit torch --format svg "$host"
try "leaves the file as it was" test "$(wc -l <"$work/hosts")" -eq 48

# --- options -----------------------------------------------------------------------------

try "a size without sense" refuses 'order: --shard "3x"; expected' --shard 3x "$host"
try "no size" refuses 'order: --shard "0"; expected' --shard 0 "$host"
try "a time without a unit" refuses 'order: --compute "5"; expected' --compute 5 "$host"
try "a time that is not one" refuses 'order: --compute "nans"; expected' --compute nans "$host"
try "too many rings" refuses 'order: --rings "65"; it is from 1 to 64' --rings 65 "$host"
close_count
