#!/bin/bash
# Recorded machines: each folder of tests/data/machines is a machine and what span-topo has to
# say of it. A machine is added by files alone.
#
#     tests/programs/machines.sh BUILD                    compare all
#     tests/programs/machines.sh BUILD --record NAME...   write what it says now
#
# The source is a file source.*, or what the one line of the file `source` names: a path as
# seen from the folder, or "synthetic:...". What is compared is what the folder holds:
#
#     show.txt paths.txt paths.json topology.json picture.svg lint.txt order.txt order.json
#     order.svg
#     explain.A.B.txt    A and B are devices, such as gpu0, or h3_gpu0 for h3/gpu0
#
# --record writes those that are there; in a folder that holds none, the first set below.
set -u
. "$(dirname "$0")/../count.sh"

machines=$(cd "$(dirname "$0")/../data/machines" && pwd) || exit 2
tool=$(cd "${1:?the build folder}" && pwd)/span-topo || exit 2
usual="show.txt lint.txt order.txt picture.svg order.svg"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

source_of() # in the folder of the machine
{
	local file

	if [ -f source ]; then
		head -n 1 source
		return
	fi
	for file in source.*; do
		[ -f "$file" ] && echo "$file" && return
	done
	return 1
}

# What span-topo says, under the name of the file that records it.
say() # FILE SOURCE
{
	local rest=${1#explain.} code

	case $1 in
	show.txt) "$tool" show "$2" ;;
	paths.txt) "$tool" paths "$2" ;;
	paths.json) "$tool" paths --format json "$2" ;;
	topology.json) "$tool" convert --to json "$2" ;;
	picture.svg) "$tool" show --format svg --ring "$2" ;;
	order.txt) "$tool" order "$2" ;;
	order.json) "$tool" order --format json "$2" ;;
	order.svg) "$tool" order --format svg "$2" ;;
	explain.*.*.txt)
		rest=${rest%.txt}
		rest=${rest//_//}
		"$tool" explain "${rest%%.*}" "${rest#*.}" "$2"
		;;
	lint.txt)
		"$tool" lint "$2"
		code=$?
		[ $code -lt 2 ]
		;;
	*)
		echo "$1 is no file that a machine has" >&2
		return 2
		;;
	esac
}

recorded() # the names of the folder's files that record something
{
	local file

	for file in *.txt *.json *.svg; do
		case $file in
		source.* | README* | '*'*) ;;
		*) echo "$file" ;;
		esac
	done
}

compare() # FILE SOURCE
{
	say "$1" "$2" >"$work/said" 2>"$work/errors" || { head -n 5 "$work/errors"; return 1; }
	[ ! -s "$work/errors" ] || { head -n 5 "$work/errors"; return 1; }
	diff "$1" "$work/said"
}

record() # NAME
{
	local source file files

	cd "$machines/$1" || return 1
	source=$(source_of) || { echo "$1 has no source" >&2; return 1; }
	files=$(recorded)
	for file in ${files:-$usual}; do
		say "$file" "$source" >"$work/said" || return 1
		cp "$work/said" "$file"
	done
}

if [ "${2:-}" = --record ]; then
	shift 2
	for name; do
		(record "$name") || exit 1
	done
	exit
fi
for folder in "$machines"/*/; do
	cd "$folder" || exit 2
	name=$(basename "$folder")
	if ! source=$(source_of); then
		fail "$name: has no source"
		continue
	fi
	[ -n "$(recorded)" ] || fail "$name: records nothing"
	for file in $(recorded); do
		try "$name/$file" compare "$file" "$source"
	done
done
close_count
