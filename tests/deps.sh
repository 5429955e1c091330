#!/bin/bash
# Make sure that what building, testing or checking needs is here; install what is missing.
#
#     tests/deps.sh [run] [test] [check] [peers]     default: run test
#
# Whether something is here is found by using it, not by asking a package database, so that
# it may come from anywhere; when all is here nothing is installed, offline and without root.
set -u

CC=${CC:-cc}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}
wanted=() missing=()

compiles() # SOURCE FLAGS...
{
	local source=$1

	shift
	printf '%s\n' "$source" | $CC -x c - -o /dev/null "$@" >/dev/null 2>&1
}

links() # HEADER PKG-CONFIG-NAME
{
	# Not quoted: these are lists of flags.
	compiles "#include <$1>
int main(void) { return 0; }" $($PKG_CONFIG --cflags --libs "$2" 2>/dev/null) &&
		$PKG_CONFIG --exists "$2" 2>/dev/null
}

# NAME OF THE DEBIAN PACKAGE, WHAT FOR, PROBE...
need()
{
	local package=$1 purpose=$2

	shift 2
	"$@" >/dev/null 2>&1 && return
	wanted+=("$package") missing+=("$(printf '%-18s %s' "$package" "$purpose")")
}

need_build()
{
	need gcc "a C11 compiler" $CC --version
	need libc6-dev "the C library's headers" compiles "#include <stdio.h>
int main(void) { return 0; }"
	need make "this build" make --version
	need pkg-config "finding libraries" $PKG_CONFIG --version
	need libhwloc-dev "hwloc: what this machine is" links hwloc.h hwloc
	need libexpat1-dev "expat: reading XML" links expat.h expat
	need libjansson-dev "jansson: JSON" links jansson.h jansson
}

need_run()
{
	need libopenblas-dev "OpenBLAS: the trainer's matrix products" links cblas.h openblas
}

need_test()
{
	need libcriterion-dev "Criterion: the tests" links criterion/criterion.h criterion
	need python3 "tests: JSON and XML read by somebody else" python3 --version
}

# Debian 12 has clang 14; the runtimes are a package of their own.
clang_version()
{
	local version

	version=$(clang -dumpversion 2>/dev/null)
	echo "${version:-14}" | cut -d. -f1
}

can_fuzz()
{
	echo 'int LLVMFuzzerTestOneInput(const void *d, unsigned long n) { return d == (void *)n; }' |
		clang -x c - -fsanitize=fuzzer,address,undefined -o /dev/null
}

need_check()
{
	need clang-format "checks: format" clang-format --version
	need cppcheck "checks: static analysis" cppcheck --version
	need valgrind "checks: memory" valgrind --version
	need g++ "checks: the headers as C++" c++ --version
	need clang "checks: a second compiler" clang --version
	need gdb "checks: the plugin in NCCL's released libraries" gdb --version
	need python3-pip "checks: fetching those libraries" pip --version
	need "libclang-rt-$(clang_version)-dev" "checks: fuzzing" can_fuzz
}

need_peers()
{
	need python3-venv "bench-peers: an environment of its own" \
		python3 -c 'import venv, ensurepip'
}

install_with_apt()
{
	local root=()

	[ "$(id -u)" -eq 0 ] || root=(sudo)
	if [ ${#root[@]} -ne 0 ] && ! command -v sudo >/dev/null; then
		return 1
	fi
	echo "installing: ${wanted[*]}"
	"${root[@]}" apt-get update -q &&
		"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends "${wanted[@]}"
}

find_missing() # SET...
{
	local set

	wanted=() missing=()
	need_build
	for set in "$@"; do
		case $set in
		run | test | check | peers) "need_$set" ;;
		*) echo "deps: no set '$set'; there are run, test, check, peers" >&2 && exit 2 ;;
		esac
	done
}

[ $# -gt 0 ] || set -- run test
find_missing "$@"
[ ${#missing[@]} -eq 0 ] && exit 0
if command -v apt-get >/dev/null && install_with_apt; then
	find_missing "$@"
	[ ${#missing[@]} -eq 0 ] && exit 0
fi
echo "Please install, then try again (names as Debian has them):" >&2
printf '    %s\n' "${missing[@]}" >&2
exit 2
