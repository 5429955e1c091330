#!/bin/bash
# The command line of span-topo lint: exit codes, what is left out, standard input, formats.
#
#     tests/programs/lint.sh BUILD
set -u
. "$(dirname "$0")/../count.sh"

files=$(cd "$(dirname "$0")/../data/lint" && pwd) || exit 2
tool=$(cd "${1:?the build folder}" && pwd)/span-topo || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Run lint; its exit code must be CODE. Output goes to $work/out, messages to $work/err.
expect() # CODE ARGUMENTS...
{
	local code=$1 found

	shift
	"$tool" lint "$@" >"$work/out" 2>"$work/err"
	found=$?
	if [ $found -ne "$code" ]; then
		fail "lint $*: exit code $found, not $code: $(cat "$work/err")"
		return 1
	fi
	pass
}

says() # WHAT FILE
{
	try "\"$1\" in what lint says" grep -qF -e "$1" "$work/$2"
}

expect 1 "$files/nvlink-lost.xml"
says "error nvlink-lost: a GPU without NVLinks among GPUs that have them" out
says "1 error, 0 warnings, " out
expect 1 "$files/nic-order.xml"
says "0 errors, 1 warning, " out
expect 0 "$files/nic-shared.xml"
says "info nic-shared" out
{
	printf '\tGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\n'
	printf '%s\n' 'GPU0 X SYS SYS SYS 0-3' 'GPU1 SYS X SYS SYS 4-7' 'GPU2 SYS SYS X SYS 8-11' \
		'NIC0 SYS SYS SYS X'
} >"$work/no-rates.txt"
expect 0 "$work/no-rates.txt"
says "3 GPUs share 1 port" out
try "a rate that nobody knows is not told" bash -c '! grep "GPUs share" "$1"/out | grep "GB/s"' - "$work"
expect 0 "$files/nvlink-lost-healthy.xml"

expect 1 --format json "$files/nic-behind-slow-pcie.xml"
says '"more": 3' out
says '"warnings": 4' out
says '"not_listed": 0' out

expect 0 --ignore nvlink-lost "$files/nvlink-lost.xml"
says "0 errors, 0 warnings, " out
expect 1 --ignore nic-order,nic-shared "$files/nvlink-lost.xml"
expect 0 --ignore nic-order,nvlink-lost "$files/nvlink-lost.xml"
expect 2 --ignore nvlink "$files/nvlink-lost.xml"
says "\"nvlink\" is no rule" err
expect 2 --ignore nvlink-lost,,nic-order "$files/nvlink-lost.xml"

expect 2 "$work/nothing"
expect 2 "$files/README.md"
try "one line for a bad file" test "$(wc -l <"$work/err")" -eq 1
expect 2 a b
expect 2 --format svg "$files/nvlink-lost.xml"

# Both views come out of one input, be it a pipe, a file, or the rest of a file.
"$tool" lint "$files/pcie-uplink-slow.xml" | grep -v pcie-uplink-slow.xml >"$work/file"
for how in pipe file rest; do
	case $how in
	pipe) cat "$files/pcie-uplink-slow.xml" | "$tool" lint - ;;
	file) "$tool" lint - <"$files/pcie-uplink-slow.xml" ;;
	rest)
		echo "a line that is read before" | cat - "$files/pcie-uplink-slow.xml" >"$work/two"
		{ read -r _ && "$tool" lint -; } <"$work/two"
		;;
	esac | grep -v 'standard input' >"$work/$how.out"
	try "standard input as a $how" diff "$work/file" "$work/$how.out"
done

expect 1 --as-nccl "$files/pcie-uplink-slow.xml"
expect 1 --format json -o "$work/json" "$files/pcie-uplink-slow.xml"
cp "$work/json" "$work/out"
says '"rule": "pcie-uplink-slow"' out
says '"place": "h0/pci2"' out
says '"warnings": 1' out
if have python3; then
	try "the JSON is JSON" python3 -m json.tool "$work/json"
else
	skip python3 "JSON was not parsed a second time"
fi

expect 0 --rules
rules=$(grep -c '^[a-z]' "$work/out")
try "each rule has two files" test $((2 * rules)) -le "$(find "$files" -name '*.[xt][mx][lt]' | wc -l)"
expect 0 --rules --format json
try "as many rules as JSON" test "$rules" -eq "$(grep -c '"rule"' "$work/out")"

for file in "$files"/*.xml "$files"/*.txt; do
	"$tool" lint "$file"
done >"$work/all"
"$tool" lint --rules >>"$work/all"
try "100 columns" awk 'length($0) > 100 && !/^[^ ]*tests\/data/ { print; bad = 1 } END { exit bad }' \
	"$work/all"
close_count
