#!/bin/bash
# The trainer does what it says: equal bits on any ranks, saves that resume elsewhere and
# refuse damage, options that name their mistakes, a gradient that is the loss's slope.
#
#     ext-examples/train/test_train.sh BUILD-FOLDER      after make trainer
set -u
here=$(dirname "$0")
. "$here/../../tests/count.sh"

build=$(cd "${1:?a build folder}" && pwd)
trainer=$build/span-train
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# A model small enough for seconds: 20 tiles, the last one short; 2 query heads a KV head.
small="--seq 312 --tile 16 --width 32 --heads 4 --kv-heads 2 --steps 3"

train() # OPTION...
{
	(cd "$root" && "$trainer" $small "$@")
}

# --- equal bits --------------------------------------------------------------------------

identical() # RANKS OPTION...
{
	local ranks=$1 output

	shift
	output=$(train --ranks "$ranks" "$@") || { echo "$output" && return 1; }
	[ "$(tail -n 1 <<<"$output")" = "losses on 1 and $ranks ranks: identical to the bit" ] ||
		{ echo "$output" && return 1; }
}

# The order that auto takes, and the one line that says why.
says() # WHAT OPTION...
{
	local what=$1 output

	shift
	output=$(train --no-verify "$@") || { echo "$output" && return 1; }
	[ "$(grep -c '^ *order ' <<<"$output")" = 1 ] && grep -q "$what" <<<"$output" ||
		{ echo "$output" && return 1; }
}

check_reasons()
{
	try "auto on this machine" says "order ring: the 4 ranks share " --ranks 4
	try "auto of one rank" says "order ring: one rank, nothing travels" --ranks 1
	try "auto on nodes of 5 and 3" says "order node-first: 2 pretended nodes: .* 3 steps or" \
		--ranks 8 --group 5,3
	try "auto on nodes of one rank" says "order ring: each of the 3 pretended nodes has one" \
		--ranks 3 --group 1
	try "an order that is asked for" says "order pairwise: as asked" --order pairwise
	try "auto on a topology with rails" says \
		"order node-first: links inside a host (450 GB/s) .* on 4 NICs at once" --ranks 8 \
		--topology "synthetic:nodes:2 gpus:4 nvlink:450GB/s nics:4 nic:25GB/s"
	try "auto on a topology of one host" says "order ring: the 4 GPUs are in one host" \
		--topology "synthetic:gpus:4 nvlink:450GB/s"
	try "bits on a topology" identical 8 \
		--topology "synthetic:nodes:2 gpus:4 nvlink:450GB/s nics:4 nic:25GB/s"
}

check_bits()
{
	local order

	for order in auto ring node-first pairwise all-gather; do
		try "order $order" identical 4 --order $order
		try "order $order on nodes of 5 and 3" identical 8 --order $order --group 5,3
	done
	try "7 ranks in nodes of 2" identical 7 --group 2
	try "more ranks than tiles" identical 24
	try "contiguous layout" identical 3 --layout contiguous
	try "bf16" identical 4 --dtype bf16
	try "f16" identical 4 --dtype f16 --order pairwise
	try "three threads a rank" identical 2 --threads 3
	try "two sequences a step" identical 4 --batch 2
	try "heads without groups" identical 4 --kv-heads 4
	try "the library's own tile" identical 2 --tile 0
}

# --- losses ------------------------------------------------------------------------------

losses() # JSON: the losses of its last training, one a line
{
	sed -n 's/.*"loss": \[\(.*\)\].*/\1/p' "$1" | tail -n 1 | tr -d ' ' | tr ',' '\n'
}

weights() # JSON: the digest of the weights after its last training
{
	sed -n 's/.*"weights": "\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1
}

# Before the first step every byte is about as likely as any other: ln 256 = 5.545.
starts_at_chance()
{
	losses "$root/whole.json" | awk 'NR == 1 { exit !($1 > 5.4 && $1 < 5.7) }'
}

learns()
{
	train --steps 12 --no-verify --json long.json >"$root/log" || return 1
	losses "$root/long.json" | awk 'NR == 1 { first = $1 } END { exit !($1 < first - 1) }'
}

schedule_is_judged() # OPTION...
{
	local output

	output=$(train --ranks 4 --numerics schedule "$@") || { echo "$output" && return 1; }
	[[ $(tail -n 1 <<<"$output") == "first step on 1 and 4 ranks: differs, loss by "* ]] ||
		{ echo "$output" && return 1; }
}

# Two ranks, half the tiles each: the first rank's keys and values travel once forward, once
# backward, and their gradients back, in f32. 160 tokens, 2 KV heads of 16, 2 layers:
# 3 * 160 * 2 * 16 * 2 * 4 * 2 bytes; and 64 bytes of digests in front of 10 tiles, 2 * 2 times.
counts_bytes()
{
	train --ranks 2 --width 64 --layout contiguous --no-verify >"$root/log" || return 1
	[ "$(grep -c '^step .* inside 248.32 kB  between *0 B ' "$root/log")" -eq 3 ] || return 1
	train --ranks 2 --width 64 --layout contiguous --no-verify --group 1 >"$root/log"
	[ "$(grep -c '^step .* inside *0 B  between 248.32 kB ' "$root/log")" -eq 3 ]
}

check_losses()
{
	train --ranks 4 --steps 6 --no-verify --json whole.json >"$root/log" ||
		fail "six steps in one go: $(tail -n 3 "$root/log")"
	try "the first loss is that of chance" starts_at_chance
	try "the loss falls" learns
	try "bytes are counted, by tier" counts_bytes
	try "schedule numerics claim no bits" schedule_is_judged
	try "schedule numerics in f16" schedule_is_judged --dtype f16
	try "schedule numerics in bf16" schedule_is_judged --dtype bf16 --layers 5
}

# --- saves -------------------------------------------------------------------------------

same_as_whole() # JSON
{
	diff <(losses "$root/whole.json" | tail -n 3) <(losses "$1") &&
		[ "$(weights "$root/whole.json")" = "$(weights "$1")" ]
}

resumes() # RANKS OPTION...
{
	local ranks=$1

	shift
	train --steps 6 --resume half.span --ranks "$ranks" --json rest.json "$@" >"$root/log" &&
		same_as_whole "$root/rest.json" && grep -q 'identical to the bit' "$root/log"
}

refused() # WHY COMMAND...
{
	local why=$1 output status

	shift
	output=$("$@" 2>&1 >/dev/null)
	status=$?
	[ $status -eq 2 ] && [[ $output == *"$why"* ]] && [ "$(wc -l <<<"$output")" -eq 1 ] &&
		return
	echo "exit status $status, message: $output"
	return 1
}

resume_bad()
{
	train --steps 6 --resume bad.span
}

# Change one byte of a copy of the save.
damage() # OFFSET
{
	local byte

	cp "$root/half.span" "$root/bad.span"
	byte=$(od -An -tu1 -j "$1" -N 1 "$root/bad.span")
	printf "\\x$(printf %x $((byte ^ 64)))" |
		dd of="$root/bad.span" bs=1 seek="$1" conv=notrunc status=none
}

check_damage()
{
	local size offset

	size=$(stat -c %s "$root/half.span")
	for offset in 0 7 8 16 95 112 120 175 176 1000 $((size / 2)) $((size - 1)); do
		damage "$offset"
		try "byte $offset changed" refused "bad.span: " resume_bad
	done
	for offset in 0 100 176 $((size / 2)) $((size - 1)); do
		head -c "$offset" "$root/half.span" >"$root/bad.span"
		try "cut off after $offset bytes" refused "bad.span: " resume_bad
	done
	{ cat "$root/half.span" && echo; } >"$root/bad.span"
	try "a byte too many" refused "bad.span: damaged: goes on behind" resume_bad
}

# What stood at the place stays when a save cannot be written, and nothing is left beside.
keeps_old_save()
{
	mkdir -p "$root/folder"
	echo old >"$root/folder/there"
	! (ulimit -f 40 && trap '' XFSZ && train --save folder/there --ranks 1) >"$root/log" 2>&1 &&
		grep -q -- '--save folder/there: File too large' "$root/log" &&
		[ "$(ls "$root/folder")" = there ] && [ "$(<"$root/folder/there")" = old ]
}

# A drawing or JSON that cannot be written costs neither the save nor the verdict.
fails_last() # OPTION
{
	local output

	rm -f "$root/kept.span"
	output=$(train "--$1" /dev/full --save kept.span 2>"$root/log")
	[ $? -eq 1 ] && grep -q -- "--$1 /dev/full: No space left" "$root/log" &&
		[ "$(tail -n 1 <<<"$output")" = "losses on 1 and 4 ranks: identical to the bit" ] &&
		train --steps 4 --resume kept.span >"$root/log"
}

# And a save that cannot be written costs no drawing, JSON or verdict.
draws_without_save()
{
	local output

	output=$(ulimit -f 40 && trap '' XFSZ && train --ranks 2 --save lost.span --svg drawn.svg \
		--json drawn.json 2>"$root/log")
	[ $? -eq 1 ] && grep -q -- "--save lost.span: File too large" "$root/log" &&
		[ "$(tail -n 1 <<<"$output")" = "losses on 1 and 2 ranks: identical to the bit" ] &&
		grep -q '</svg>' "$root/drawn.svg" && grep -q '"loss"' "$root/drawn.json"
}

check_saves()
{
	train --ranks 4 --steps 3 --save half.span --no-verify >"$root/log" ||
		fail "three steps and a save: $(tail -n 3 "$root/log")"
	try "resumed on 2 ranks" resumes 2
	try "resumed on 8 ranks in two nodes" resumes 8 --group 5,3 --order node-first
	check_damage
	try "a failed save leaves nothing behind" keeps_old_save
	try "no room for the drawing" fails_last svg
	try "no room for JSON" fails_last json
	try "no room for the save" draws_without_save
	try "no such save" refused "--resume no.span: No such file" train --resume no.span
	try "another setting" refused "--seed 2: half.span was trained with 1" \
		train --seed 2 --steps 6 --resume half.span
	try "nothing left to do" refused "--steps 3: half.span has taken 3" \
		train --resume half.span
	try "another text" refused "half.span: was trained on another text" \
		train --resume half.span --steps 6 --text "$trainer"
}

# --- options -----------------------------------------------------------------------------

check_options()
{
	try "ranks 0" refused "--ranks 0: a number from 1 to 256" train --ranks 0
	try "ranks x" refused "--ranks 4x: a number from 1 to 256" train --ranks 4x
	try "order" refused "--order star: one of auto, ring" train --order star
	try "dtype" refused "--dtype f64: one of f32, bf16, f16" train --dtype f64
	try "lr" refused "--lr nan: a number above 0" train --lr nan
	try "tile" refused "--tile 24: 0 or a power of two" train --tile 24
	try "heads" refused "--heads 3: with --width 32" train --heads 3
	try "kv-heads" refused "--kv-heads 3: a divisor" train --kv-heads 3
	try "topology" refused "--topology synthetic:gpus:3: it has 3 devices; --ranks 4 must" \
		train --topology synthetic:gpus:3
	try "no topology" refused "nothing: No such file" train --topology nothing
	try "topology and groups" refused "--group 2: --topology says which" \
		train --group 2 --topology synthetic:gpus:4
	try "groups" refused "--group 5,2: accepted are" train --ranks 8 --group 5,2
	try "groups 0" refused "--group 0: accepted are" train --ranks 8 --group 0
	try "unknown" refused "--rank-s: no such option" train --rank-s
	try "no value" refused "--steps: a value is missing" train --steps
	try "a word" refused "ring: only options" train ring
	try "one place for two" refused "--save and --svg: both are to be written to a" \
		train --save a --svg a
	try "no text" refused "--text nothing: No such file" train --text nothing
	try "a text without an end" refused "--text /dev/zero: more than 256 MiB" train --text /dev/zero
	try "a short text" refused "--text one: holds 1 bytes" train --text one
	try "no folder" refused "--svg no/a.svg: its folder: No such" train --svg no/a.svg
	try "help" train --help
}

# Where results go is looked at before the first step, and what stands there stays.

writes_devices()
{
	mkfifo "$root/fifo"
	timeout 60 cat "$root/fifo" >"$root/came" 2>&1 &
	train --ranks 1 --svg /dev/null --json fifo >"$root/log" && wait $! &&
		grep -q '"loss"' "$root/came"
}

keeps_at_check()
{
	echo old >"$root/old.svg"
	refused "--text nothing" train --svg old.svg --json new.json --save new.span --text nothing &&
		[ "$(<"$root/old.svg")" = old ] && [ ! -e "$root/new.json" ] && [ ! -e "$root/new.span" ]
}

check_places()
{
	local option

	mkdir "$root/place" "$root/busy.part"
	touch "$root/fixed" && chmod a-w "$root/fixed"
	for option in save svg json; do
		try "--$option: a folder" refused "--$option place: Is a directory" \
			train --$option place
		try "--$option: a folder to be" refused "--$option new/: Is a directory" \
			train --$option new/
		try "--$option: nothing" refused "--$option '': the path of a file" train --$option ''
		try "--$option: below a file" refused "--$option one/a: Not a directory" \
			train --$option one/a
	done
	for option in svg json; do
		if [ -w "$root/fixed" ]; then
			skip "--$option: a file that must not be written" "root may write it"
		else
			try "--$option: a file that must not be written" refused \
				"--$option fixed: Permission denied" train --$option fixed
		fi
	done
	mkfifo "$root/pipe" # never a device: a trainer that does not look would replace it
	try "--save: not a file" refused "--save pipe: a regular file" train --save pipe
	try "--save: no place beside" refused "--save busy.part: Is a directory" train --save busy
	try "a device and a FIFO" writes_devices
	try "a check changes nothing" keeps_at_check
}

# --- the rest ----------------------------------------------------------------------------

same_drawing()
{
	train --ranks 4 --svg a.svg >"$root/log" && train --ranks 4 --svg b.svg >"$root/log" &&
		cmp "$root/a.svg" "$root/b.svg" && grep -q '<desc' "$root/a.svg"
}

# A verdict that nobody can read is no success.
says_when_unheard() # OPTION...
{
	train "$@" >/dev/full 2>"$root/log"
	[ $? -eq 1 ] && grep -q '^train: standard output: No space left' "$root/log" &&
		[ "$(wc -l <"$root/log")" -eq 1 ]
}

# A folder is its regular files, by the bytes of their names; links are left out.
reads_folder()
{
	mkdir "$root/texts" && printf 'to be ' >"$root/texts/B" && printf 'or not' >"$root/texts/a"
	ln -s B "$root/texts/A"
	train --text texts --no-verify --json folder.json >"$root/log" || return 1
	grep -q 'texts: 12 bytes, fewer than the .* it starts over' "$root/log" || return 1
	printf 'to be or not' >"$root/joined"
	train --text joined --no-verify --json joined.json >"$root/log" || return 1
	[ "$(weights "$root/folder.json")" = "$(weights "$root/joined.json")" ]
}

# A program of test/, which links the trainer but for its main, built with the compiler and
# the flags that built the library.
passes() # NAME
{
	local sources

	sources=$(ls "$here"/*.c | grep -v '/main\.c$')
	$compile "$here/test/$1.c" $sources -o "$root/$1" \
		$(pkg-config --cflags --libs span openblas) -Wl,-rpath,"$build/stage/lib" -lm &&
		"$root/$1"
}

compile=$(sed 's/ libspan[^ ]*//g' "$build/flags")
export PKG_CONFIG_PATH=$build/stage/lib/pkgconfig
printf 1 >"$root/one"
check_bits
check_reasons
check_losses
check_saves
check_options
check_places
try "the same drawing twice" same_drawing
try "no room for the verdict" says_when_unheard --ranks 2
try "no room for the help" says_when_unheard --help
try "a folder as text" reads_folder
try "the gradient is the slope of the loss" passes gradient
try "positions, optimizer, clipping, verdict" passes parts
try "the memory of a rank by its formula" passes memory
close_count
