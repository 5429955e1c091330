#!/bin/bash
# The command line of span-topo: every option, right and wrong, exit codes, output, help.
#
#     tests/programs/test_span_topo.sh BUILD
set -u
. "$(dirname "$0")/../count.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
tool=$(cd "${1:?the build folder}" && pwd)/span-topo || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2

small="synthetic:gpus:2 nics:1"
cluster="synthetic:nodes:2 gpus:2 nics:1 leaf:2"
readonly small cluster

# --- what a run gives ----------------------------------------------------------------------

# Run it; leaves code, out and err in the work folder.
run()
{
	timeout 20 "$tool" "$@" >out 2>err
	echo $? >code
}

ended() # CODE
{
	[ "$(cat code)" = "$1" ] || { echo "exit status $(cat code), expected $1"; cat err; return 1; }
}

fine() # ARGUMENT...
{
	run "$@"
	ended 0 && [ ! -s err ] || { cat err; return 1; }
}

# Bad input: status 2, nothing on standard output, one line that begins with the program's name
# and holds WORDS.
bad() # WORDS ARGUMENT...
{
	local words=$1

	shift
	run "$@"
	ended 2 || return 1
	[ ! -s out ] || { echo "something on standard output"; head -n 3 out; return 1; }
	[ "$(wc -l <err)" -eq 1 ] || { echo "not one line:"; cat err; return 1; }
	grep -q "^span-topo: " err && grep -qF -- "$words" err ||
		{ echo "no \"$words\" in:"; cat err; return 1; }
}

says() # WORDS
{
	grep -qF -- "$1" out || { echo "no \"$1\" in:"; head -n 20 out; return 1; }
}

columns() # MOST: of what was said
{
	local wide

	wide=$(awk -v most="$1" 'length($0) > most' out | head -n 3)
	[ -z "$wide" ] || { echo "wider than $1 columns:"; echo "$wide"; return 1; }
}

json() # PYTHON: an expression over d
{
	python3 -c 'import json,sys; d = json.load(open("out")); sys.exit(not ('"$1"'))'
}

# --- help and version ----------------------------------------------------------------------

commands=$("$tool" --help | sed -n '/^  [a-z]/s/^  \([a-z]*\) .*/\1/p' | sort -u)

help_of() # COMMAND
{
	fine "$1" --help && says "usage: span-topo $1" && columns 100 || return 1
	case $1 in
	paths) ;;
	*) says "span-topo $1" && grep -q "^Examples:" out ;;
	esac
}

# Examples of the help that need no file of the user's are run as they stand.
examples()
{
	local line ran=0

	run --help
	while read -r line; do
		(eval "$line") >said 2>&1 || { echo "$line"; cat said; return 1; }
		ran=$((ran + 1))
	done < <(grep -h '^  span-topo.*synthetic:' out | sed "s|^  span-topo|'$tool'|; s|   .*||")
	[ $ran -gt 0 ]
}

man_has() # WORD
{
	sed 's/\\-/-/g' "$root/topo/span-topo.1" | grep -qF -- "$1" ||
		{ echo "the man page does not have $1"; return 1; }
}

try "--help" fine --help
try "--help fits" columns 100
try "--help has examples" says "Examples:"
try "-h" fine -h
try "--version" fine --version
try "--version says it" grep -Eq '^span-topo [0-9]+\.[0-9]+\.[0-9]+$' out
try "all commands" test "$(wc -w <<<"$commands")" -ge 6
try "examples" examples
for command in $commands; do
	try "$command --help" help_of "$command"
	try "man page: $command" man_has "$command"
	for option in $("$tool" "$command" --help | grep -o '^  \(-o, \)\?--[a-z-]*' | tr -d ' ,' |
		sed 's/^-o//' | sort -u); do
		try "man page: $option" man_has "$option"
	done
done
if have groff; then
	try "man page: groff" test -z "$(groff -man -ww -z -Tutf8 "$root/topo/span-topo.1" 2>&1)"
else
	skip groff "is not installed"
fi

# --- options, wrong in every way -----------------------------------------------------------

for command in show paths lint; do
	try "$command: unknown option" bad '"--nonsense" is not known' $command --nonsense
	try "$command: unknown letter" bad '"-x"' $command -x
	try "$command: --format without a word" bad "needs an argument" $command "$small" --format
	try "$command: --format nonsense" bad 'it is one of: text' $command --format yaml "$small"
	try "$command: --format nothing" bad 'it is one of: text' $command --format "" "$small"
	try "$command: -o without a word" bad "needs an argument" $command "$small" -o
	try "$command: a flag with a word" bad "takes no argument" $command --as-nccl=1 "$small"
	try "$command: two sources" bad "is one too many" $command "$small" "$small"
	try "$command: no such file" bad "No such file" $command nothing.xml
	try "$command: a folder" bad "$work" $command "$work"
done
try "no such command" bad '"shwo" is neither a command nor a file' shwo
try "no such command is no such file" bad "shwo.xml: No such file" shwo.xml
try "explain: one device and a file" bad 'is a file; expected "span-topo explain A B' explain gpu0 \
	"$root/tests/data/topologies/matrices/smi-two-sockets.txt"
try "show: --ring without a picture" bad "--ring is for --format svg" show --ring "$small"
try "explain: one device" bad 'expected "span-topo explain A B' explain gpu0
try "explain: no such device" bad '"gpu9" is not in' explain gpu0 gpu9 "$small"
try "explain: a switch" bad "paths are between" explain gpu0 pci0 "$small"
try "explain: a host is missing" bad '"gpu0" is not in' explain gpu0 h1/gpu0 "$cluster"
try "explain: four words" bad "one too many" explain gpu0 gpu1 "$small" more
try "explain: no picture" bad 'it is one of: text json' explain --format svg gpu0 gpu1 "$small"
try "diff: one source" bad 'expected "span-topo diff X Y"' diff "$small"
try "diff: bad second source" bad "No such file" diff "$small" nothing.xml
try "convert: --to is missing" bad "--to is missing" convert "$small"
try "convert: --to nonsense" bad 'it is one of: json' convert --to yaml "$small"
try "convert: --host not a number" bad "it is a number from 0 to 0" convert --to nccl --host x "$small"
try "convert: --host too large" bad "it is a number from 0 to 1" convert --to nccl --host 2 "$cluster"
try "convert: --host negative" bad "it is a number from 0 to 1" convert --to nccl --host=-1 "$cluster"
try "convert has no --format" bad "is not known" convert --to json --format text "$small"

# --- sources -------------------------------------------------------------------------------

piped() # ARGUMENT...: of a source on standard input
{
	timeout 20 "$tool" "$@" <source.json >out 2>err
	echo $? >code
	ended 0 && [ ! -s err ]
}

same() # FILE FILE
{
	cmp "$1" "$2"
}

try "this host" fine
try "this host by name" fine show host
try "a source is read" fine convert --to json -o source.json "$small"
try "--output says nothing" test ! -s out
try "from standard input" piped show -
try "text of standard input" says "standard input (json)"
try "twice from standard input" piped explain gpu0 nic0 -
try "in both views" says "With --as-nccl: the same."
try "lint reads it twice too" piped lint -
try "an empty source" bad "empty" show /dev/null
try "a source after options" fine show --as-nccl -- "$small"
head -c 100 source.json >cut.json
try "a truncated source" bad "cut.json:" show cut.json
printf 'hello\n' >text
try "no source at all" bad "text:" show text
head -c 3000 /dev/urandom >noise
try "noise" bad "noise:" show noise
printf '{"a": 1}' >other.json
try "other JSON" bad "other.json" show other.json

# --- results -------------------------------------------------------------------------------

for source in "$small" "$cluster" "synthetic:nodes:2048 gpus:16 nics:16 leaf:32"; do
	for command in show paths lint; do
		run $command "$source"
		try "$command \"$source\" fits" columns 100
		try "$command \"$source\" has no colours" test -z "$(grep -l $'\e' out)"
	done
done

paths_are_all() # SOURCE DEVICES
{
	fine paths --format json "$1" &&
		json "len(d['devices']) == $2 and len(d['paths']) == $2 ** 2" &&
		json "len({x['id'] for x in d['devices']}) == $2" &&
		json "all(set(x) == {'id','kind','host','bus','name','dev','rank'} for x in d['devices'])" &&
		json "all(set(x) == {'from','to','class','GBps'} for x in d['paths'])" &&
		json "[(x['from'],x['to']) for x in d['paths']] == [(a['id'],b['id']) for a in d['devices'] for b in d['devices']]"
}

if have python3; then
	try "every ordered pair, in the order of the devices" paths_are_all "$small" 5
	try "the same in a cluster" paths_are_all "$cluster" 10
	for command in "show" "paths" "lint" "explain gpu0 gpu1"; do
		run $command --format json "$small"
		try "$command --format json is JSON" json "True"
	done
else
	skip python3 "is not installed"
fi
try "too many paths" bad "at most 10000" paths --format json "synthetic:nodes:2048 gpus:8 nics:8"
try "a picture" fine show --format svg "$small"
try "it is one" says "</svg>"
try "with the ring" fine show --format svg --ring "$small"
try "has the ring" says "Ring: gpu0"

fine convert --to nccl -o nccl.xml "$small"
try "made-up addresses are told in NCCL's XML" grep -q "made up" nccl.xml
try "NCCL's XML is read back" fine show nccl.xml
fine convert --to nccl -o real.xml "$root/tests/data/topologies/nccl/oci/H100-topology.xml"
try "those of the source are not" bash -c '[ -s real.xml ] && ! grep "made up" real.xml'
fine convert --to synthetic -o line.txt "$small"
try "the line of words is read back" fine show line.txt

# --- diff ----------------------------------------------------------------------------------

differ() # X Y
{
	run diff "$@"
	ended 1 && [ ! -s err ]
}

try "no difference" fine diff "$small" source.json
try "no difference says nothing" test ! -s out
try "a GPU more" differ "$small" "synthetic:gpus:3 nics:1"
try "is named" says "+ gpu2"
try "a GPU less" differ "synthetic:gpus:3 nics:1" "$small"
try "is named too" says "- gpu2"
try "a slower link" differ "$small" "synthetic:gpus:2 nics:1 nvlink:25GB/s"
try "is counted" says "2 paths: NVL"
try "a host more" differ "synthetic:nodes:2" "synthetic:nodes:3"
try "hosts are counted" says "2 hosts in X, 3 in Y"

try "slower uplinks" differ "synthetic:nodes:8 leaf:4" "synthetic:nodes:8 leaf:4 oversubscription:2:1"
try "are named" says "~ fabric1: uplinks"
try "another leaf" differ "synthetic:nodes:8 leaf:4" "synthetic:nodes:8 leaf:2"
try "is named" says "~ h2: switch above leaf0 in X, leaf1 in Y"
try "a switch more" says "+ fabric3 leaf2: only in Y"

# --- anonymise -----------------------------------------------------------------------------

printf 'hosts secret[1-2] like host.json\n' >named.txt
"$tool" convert --to json -o host.json "$small"
nameless() # COMMAND...
{
	fine "$@" --anonymise named.txt && ! grep -qi secret out
}
for command in "show" "show --format svg" "paths" "lint" "convert --to json" "convert --to nccl"; do
	try "$command --anonymise" nameless $command
done

# --- output --------------------------------------------------------------------------------

untouched() # a file that a failing run was to write
{
	echo kept >keep
	run show -o keep nothing.xml
	ended 2 && [ "$(cat keep)" = kept ]
}

full() # ARGUMENT...: a disk that is full
{
	"$tool" "$@" >/dev/full 2>err
	echo $? >code
	ended 2 && grep -q "not everything could be written" err
}

# A reader that stops: either the signal ends the program, quietly, or it tells that its output
# failed; it neither hangs nor crashes.
closed() # SIGPIPE ignored: yes or no
{
	local code

	[ "$1" = yes ] && trap '' PIPE
	timeout 20 "$tool" paths --format json "synthetic:nodes:40 gpus:8 nics:8" 2>err |
		head -c 100 >/dev/null
	code=${PIPESTATUS[0]}
	trap - PIPE
	[ "$code" -eq 141 ] || { [ "$code" -eq 2 ] && [ "$(wc -l <err)" -eq 1 ]; } ||
		{ echo "status $code"; cat err; return 1; }
}

try "a failing run leaves the file" untouched
try "-o where nothing can be" bad "No such file" show -o nowhere/file "$small"
try "-o to a folder" bad "directory" show -o . "$small"
if [ -w /dev/full ]; then
	try "a full disk" full show "$small"
	try "a full disk by -o" bad "not everything" show -o /dev/full "$small"
	try "a full disk, JSON" full paths --format json "$cluster"
	try "a full disk, a picture" full show --format svg "$cluster"
fi
try "a closed pipe" closed no
try "a closed pipe, ignored" closed yes

# Names of files and devices reach the terminal as text on one line, whatever is in them.
evil=$'a\nb\e[31m.xml'
try "an evil name is one line" bad "a" show "$evil"
try "without its escapes" test -z "$(grep -l $'\e' err)"

close_count
