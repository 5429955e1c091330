# Counting tests in bash, and the closing line every test and check ends with. Sourced.

passed=0 failed=0 skipped=0

pass() # [COUNT]
{
	passed=$((passed + ${1:-1}))
}

fail() # WHAT...
{
	echo "FAILED: $*"
	failed=$((failed + 1))
}

skip() # NAME WHY...
{
	echo "SKIPPED: $*"
	skipped=$((skipped + 1))
}

# Run a command as one test; what it prints is shown only when it fails.
try() # WHAT COMMAND...
{
	local what=$1 output

	shift
	if output=$("$@" 2>&1); then
		pass
	else
		fail "$what"
		head -n 40 <<<"$output"
	fi
}

have() # COMMAND
{
	command -v "$1" >/dev/null 2>&1
}

close_count()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}
