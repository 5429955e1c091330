#!/bin/bash
# The same attention by PyTorch, beside ours, in one process.
#
#     tests/bench/peers.sh BUILD-FOLDER     from the top of the tree, after make
#
# PyTorch is pinned and lives in an environment of its own in the build folder. Its wheel for
# Linux names the CUDA libraries as dependencies and does not load without them (tried with
# 2.15.0: libcudart, libcupti, libcufile, libcudnn), so some 3 GB are downloaded once.
set -u
. "$(dirname "$0")/../count.sh"

torch=2.15.0
build=$1
python=$build/peers/bin/python

version_here()
{
	"$python" -c 'import torch; print(torch.__version__.split("+")[0])' 2>/dev/null
}

if [ "$(version_here)" != $torch ]; then
	echo "installing torch $torch into $build/peers"
	python3 -m venv "$build/peers" &&
		"$python" -m pip install -q "torch==$torch"
fi
if [ "$(version_here)" != $torch ]; then
	skip torch "version $torch could not be installed"
	close_count
	exit
fi
exec "$python" -B -W "ignore:Failed to initialize NumPy" "$(dirname "$0")/peers.py" \
	"$build/libspan.so" "$build/peers.json"
