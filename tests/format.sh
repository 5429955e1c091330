#!/bin/bash
# Whether the C sources have the shape that CONTRIBUTING.md and .clang-format describe.
#
#     tests/format.sh             check
#     tests/format.sh --rewrite   let clang-format rewrite the files that fail
#
# Where a statement breaks into lines, and how lists and trailing comments are aligned, is the
# author's: files are compared with what clang-format makes of them statement by statement,
# runs of blanks counting as one. Headers are laid out by hand as manuals, and clang-format
# would set each of their comment columns anew: for them only the plain rules hold.
set -u
. "$(dirname "$0")/count.sh"

columns=104 # with tabs of 8: 90 columns of text, and the indentation they stand at

files() # PATTERN
{
	find topo attention plugin ext-examples tests -name "$1" 2>/dev/null | sort
}

# One statement a line: its first line's indentation, then its text with single blanks. A
# statement ends at a line that ends in ; { } : or a comment, at a blank line or a directive.
statements()
{
	awk '
	function flush() { if (text != "") print text; text = "" }
	{
		line = $0
		sub(/[ \t]+$/, "", line)
		indent = line
		sub(/[^ \t].*/, "", indent)
		sub(/^[ \t]+/, "", line)
		gsub(/[ \t]+/, " ", line)
		if (line == "" || line == "{" || line ~ /^#/)
			flush()
		text = text == "" ? indent line : text " " line
		if (line == "" || line ~ /([;{}:]|\*\/)$/ || line ~ /^#/ || line ~ /^\/\*/)
			flush()
	}
	END { flush() }'
}

plain_rules() # FILE
{
	expand -t 8 "$1" | awk -v most=$columns '
	function bad(why) { print FNR ": " why; failed = 1 }
	length($0) > most { bad("longer than " most " columns") }
	/[ \r]$/ { bad("blanks at the end") }
	/^ *\/\// || /[;{}] *\/\/ / { bad("a // comment") }
	END { exit failed }' || return 1
	[ -z "$(tail -c 1 "$1")" ] || { echo "no newline at the end" && return 1; }
}

as_clang_format() # FILE
{
	diff <(statements <"$1") <(clang-format --style=file "$1" | statements)
}

rewrite()
{
	local file

	for file in $(files '*.c'); do
		as_clang_format "$file" >/dev/null || clang-format --style=file -i "$file"
	done
}

if [ "${1:-}" = --rewrite ]; then
	have clang-format || { echo "format: clang-format is not installed" >&2 && exit 2; }
	rewrite
	exit
fi
for file in $(files '*.[ch]'); do
	try "$file: plain rules" plain_rules "$file"
done
if have clang-format; then
	for file in $(files '*.c'); do
		try "$file: not as clang-format has it (make format)" as_clang_format "$file"
	done
else
	skip clang-format "is not installed"
fi
close_count
