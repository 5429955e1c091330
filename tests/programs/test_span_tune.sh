#!/bin/bash
# The command line of span-tune: every command, right and wrong, exit codes, output, help.
#
#     tests/programs/test_span_tune.sh BUILD
set -u
. "$(dirname "$0")/../count.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
tool=$(cd "${1:?the build folder}" && pwd)/span-tune || exit 2
logs=$root/tests/data/nccl-tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2

# --- what a run gives ----------------------------------------------------------------------

# Run it; leaves code, out and err in the work folder.
run()
{
	timeout 60 "$tool" "$@" >out 2>err
	echo $? >code
}

# One test: the exit code, and a pattern each that standard output and error contain ("" for
# nothing at all). WHAT CODE OUT ERR ARGUMENTS...
expect()
{
	local what=$1 code=$2 out=$3 err=$4

	shift 4
	run "$@"
	if [ "$(cat code)" != "$code" ]; then
		fail "$what: exit status $(cat code), expected $code: $(head -n 2 err)"
	elif [ -z "$out" ] && [ -s out ]; then
		fail "$what: prints: $(head -n 2 out)"
	elif [ -n "$out" ] && ! grep -qE -- "$out" out; then
		fail "$what: no \"$out\" in: $(head -n 12 out)"
	elif [ -z "$err" ] && [ -s err ]; then
		fail "$what: says: $(head -n 2 err)"
	elif [ -n "$err" ] && ! grep -qE -- "^span-tune: .*$err" err; then
		fail "$what: no \"$err\" in: $(head -n 2 err)"
	elif [ -n "$err" ] && [ "$(wc -l <err)" -ne 1 ]; then
		fail "$what: $(wc -l <err) lines of error, not one"
	else
		pass
	fi
}

# A field of the JSON that predict wrote, by a Python expression over j.
json()
{
	python3 -c "import json, sys; j = json.load(open('out')); print($1)"
}

equal() # WHAT FOUND EXPECTED
{
	[ "$2" = "$3" ] && pass || fail "$1: \"$2\", not \"$3\""
}

# --- fit -----------------------------------------------------------------------------------

g4=("$logs"/wayne_h100_scaling_attributed_g4_*.txt)
expect "fit reports noise and knots" 0 'AllReduce +4 +1 +NVLS/Simple +6 +6' '' \
	fit "${g4[@]}" -o g4.profile --name 'four H100'
cp "${g4[0]}" copy.txt
expect "fit reads no log twice" 0 'AllReduce +4 +1 +NVLS/Simple +6 +6' \
	'copy.txt: its times were read before' fit "${g4[@]}" copy.txt -o twice.profile
cmp -s <(grep -v '^source' g4.profile | grep -v '^name') <(grep -v '^source' twice.profile | grep -v '^name') &&
	pass || fail "nor does a copy change the profile"
expect "fit passes a log without times over" 1 'Any/Any' 'none with a time' \
	fit "$logs/superbench_a100x8_allreduce.txt" "$logs/gce_a3ultra_h200.txt" -o one.profile
expect "fit with nothing to read fails" 2 '' 'no row of nccl-tests' \
	fit "$logs/wayne_h100_topology_host.txt" -o none.profile
[ ! -e none.profile ] && pass || fail "a failed fit leaves a profile"
expect "fit asks for what a log does not say" 2 '' '3 of unknown ranks or nodes' \
	fit "$logs/wayne_h100_proto_sweep.txt"
expect "options say what a log does not" 0 'AllReduce +4 +1 +Any/LL' '' \
	fit "$logs/wayne_h100_proto_sweep.txt" --nodes 1 -o p.profile
grep -q '^Algorithm or protocol alone is told of 3 curves' out && pass || fail "fit tells what tells half"
grep '' "${g4[0]}" | "$tool" fit - --nodes 1 >stdin.profile 2>report
grep -q '^curve' stdin.profile && grep -q 'held out' report && pass ||
	fail "fit from standard input to standard output"

for gpu in H100 H200; do
	printf '%s\n' '# nThread 1 nGpus 8' "#  Rank 0 Group 0 Pid 1 on h device 0 [0x1] $gpu" \
		'1024 256 float sum -1 34.27 100.00 175.00 0' >all_reduce.$gpu.txt
done
expect "logs of two kinds of GPU are told" 0 'AllReduce +1 +1 .* 2 +1 ' \
	'H200.txt: measured on H200, logs before it on H100' \
	fit all_reduce.H100.txt all_reduce.H200.txt -o mixed.profile
grep -q '^source 0 nccl-tests on H100 and others: ' mixed.profile && pass ||
	fail "their profile names one of them"
expect "logs of one kind are not" 0 'AllReduce +1 +1 .* 2 +1 ' '' \
	fit all_reduce.H100.txt all_reduce.H100.txt -o mixed.profile

cp all_reduce.H100.txt kept.txt
ln -s kept.txt link.txt
expect "a log is no output" 2 '' '--output link.txt is one of the logs' \
	fit all_reduce.H200.txt kept.txt -o link.txt
cmp -s kept.txt all_reduce.H100.txt && pass || fail "it was written over"
expect "unlike a file that is there" 0 'AllReduce' '' fit kept.txt -o mixed.profile

cat >broken.txt <<'END'
# nThread 1 nGpus 8 minBytes 8 agg iters: 1
# size count type redop root time algbw busbw #wrong time algbw busbw #wrong
1024 256 float sum -1 34.27 100.00 175.00 0 34.27 100.00 175.00 0
2048 512 float sum -1 34.27 100.00 175.00 9 34.27 100.00 175.00 9
# nThread 1 nGpus 8 minBytes 8 agg iters: 4
4096 1024 float sum -1 34.27 100.00 175.00 0 34.27 100.00 175.00 0
END
expect "rows that are no measurement are told" 0 '1 rows were passed over because .* wrong' '' \
	fit broken.txt --coll AllReduce -o broken.profile
grep -q '1 rows of aggregated iterations' out && [ "$(grep -c '^knot' broken.profile)" = 1 ] && pass ||
	fail "rows of aggregated iterations are not"

cat >nvbandwidth.json <<'END'
{"nvbandwidth": {"testcases": [
  {"name": "device_to_device_memcpy_read_ce", "status": "Passed",
   "bandwidth_matrix": [["N/A", "390.5"], ["391.5", "N/A"]]},
  {"name": "host_to_device_memcpy_ce", "bandwidth_matrix": [[55.5, 54.5, 56.5]]},
  {"name": "waived", "status": "Waived"}]}}
END
expect "fit reads nvbandwidth's JSON" 0 '' '' fit nvbandwidth.json -o nv.profile
equal "a machine number with its spread" \
	"$(grep host-to nv.profile)" \
	"number nvbandwidth.host-to-device-memcpy-ce 55.5 spread 0.018018018018018018 samples 3 source 0"
echo '{"a": [1, ' >broken.json
expect "broken JSON is refused by line and column" 2 '' 'broken.json:2:' fit broken.json
echo '{"a": 1}' >other.json
expect "other JSON is refused" 2 '' 'neither results of nccl-tests nor' fit other.json
expect "and passed over beside others" 1 'AllReduce +4 +1 +NVLS/Simple' 'other.json: JSON' \
	fit other.json "${g4[@]}" -o beside.profile

# The rows of a log as nccl-tests writes them into JSON. --coll, --algo and --proto for the text
# say what the JSON says by itself.
python3 - "$logs/wayne_h100_quiet_all_reduce.txt" >rows.json <<'END'
import json, sys
rows = [line.split() for line in open(sys.argv[1])]
rows = [r for r in rows if len(r) == 13 and r[0].isdigit() and r[2] == "float"]
times = lambda r, i: {"time": float(r[i]), "alg_bw": float(r[i + 1]), "bus_bw": float(r[i + 2])}
devices = [{"rank": i, "group": 0, "hostname": "h", "device_info": "H100"} for i in (0, 2)]
json.dump({"version": 3, "args": ["/opt/all_reduce_perf"],
           "env": ["NCCL_PROTO=Simple", "NCCL_ALGO=Ring"],
           "config": {"nthreads": 1, "ngpus": 2, "devices": devices},
           "results": [{"size": int(r[0]), "out_of_place": times(r, 5), "in_place": times(r, 9)}
                       for r in rows]}, sys.stdout)
END
expect "fit reads the JSON of nccl-tests" 0 'AllReduce +4 +1 +Ring/Simple +31 +31' '' \
	fit rows.json -o json.profile
"$tool" fit "$logs/wayne_h100_quiet_all_reduce.txt" --coll AllReduce --algo Ring --proto Simple \
	--ranks 4 --nodes 1 -o text.profile >report 2>&1
equal "and makes of it what it makes of the text" "$(grep -vE '^(name|source)' json.profile)" \
	"$(grep -vE '^(name|source)' text.profile)"
"$tool" fit - <rows.json >stdin.profile 2>report
grep -q '^curve AllReduce Ring/Simple ranks 4 nodes 1' stdin.profile && pass ||
	fail "fit of JSON from standard input"

# --- predict, table, explain ---------------------------------------------------------------

ask=(--coll AllReduce --ranks 4 --nodes 1)
expect "predict" 0 '"collective": "AllReduce"' '' predict g4.profile "${ask[@]}" --bytes 256M 1G
equal "keys of the document" "$(json 'sorted(j)')" "['collective', 'nodes', 'ranks', 'rows']"
equal "keys of a row" "$(json 'sorted(j["rows"][0])')" "['bytes', 'choice', 'us']"
equal "bytes" "$(json '[r["bytes"] for r in j["rows"]]')" "[268435456, 1073741824]"
equal "measured times come back" "$(json 'j["rows"][0]["us"]')" \
	"{'Ring/Simple': 1185.92, 'NVLS/Simple': 1121.71}"
equal "the choice is the faster one" "$(json 'j["rows"][1]["choice"]')" "NVLS/Simple"
expect "predict of what NCCL chose" 0 '"choice": "Any/Any"' '' \
	predict one.profile --coll all_reduce --ranks 8 --nodes 1 --bytes 64K
expect "predict of what was not measured" 2 '' 'measured ranks/nodes are 8/1' \
	predict one.profile --coll AllReduce --ranks 16 --nodes 2 --bytes 64K
expect "predict with the machine's model" 0 '"Tree/LL"' '' predict \
	"$root/plugin/profiles/h100x8.profile" --coll AllReduce --ranks 8 --nodes 1 --bytes 64K
# tests/data/nccl-golden/oci__H100-topology.json, one node, AllReduce of 64 KiB.
equal "which is NCCL's" "$(json '"%.4f" % j["rows"][0]["us"]["Ring/LL"]')" \
	"$(python3 -c "
import json
t = json.load(open('$root/tests/data/nccl-golden/oci__H100-topology.json'))['cost']
print('%.4f' % t['nodes']['1']['tables']['AllReduce']['us']['Ring/LL'][t['sizes'].index(65536)])")"
expect "table" 0 '1G +NVLS/Simple +4333.74 +not known .*measured' '' table g4.profile "${ask[@]}"
expect "table shows NCCL's own choice" 0 '64K +Ring/LL +[0-9.]+ +Ring/LL .*own' '' table \
	"$root/plugin/profiles/h100x8.profile" --coll AllReduce --ranks 8 --nodes 1 --from 64K --to 64K
expect "a model of whole nodes is none of a part of one" 0 '1G +NVLS/Simple +[0-9.]+ +not known' '' \
	table "$root/plugin/profiles/h100x8.profile" "${ask[@]}" --from 1G --to 1G
expect "explain" 0 '^chosen +NVLS/Simple, 4333.74 us' '' explain AllReduce 1G 4 1 \
	--profile g4.profile
grep -q '^runner-up   Ring/Simple' out && grep -q '^reason      measured' out && pass ||
	fail "explain names runner-up and reason"
SPAN_PROFILE=g4.profile expect "explain finds the profile in the environment" 0 'chosen' '' \
	explain allreduce 1G 4 1
SPAN_PROFILE=h100x8 expect "and a shipped one by its name there" 0 '^chosen +NVLS/Simple, 4333.74 us' '' \
	explain allreduce 1G 4 1
PATH=$(dirname "$tool"):$PATH
expect "so does every command" 0 '1G +NVLS/Simple' '' table h100x8 "${ask[@]}" --from 1G --to 1G
equal "however it was called" "$(cd / && span-tune table h100x8 "${ask[@]}" --from 1G --to 1G 2>&1)" \
	"$(cat out)"
printf 'span-profile 1\nname own\nend\n' >a100x8
expect "a file of that name goes first" 2 '' 'profile "own" knows' table a100x8 "${ask[@]}"
rm a100x8
expect "explain without a profile" 2 '' '--profile FILE is missing' explain AllReduce 1G 4 1
for wrong in '1G 4x 1' '1G 4 1x' '1G 4294967300 1' '1G 4 0' '1G 4 -1'; do
	expect "explain with wrong numbers: $wrong" 2 '' 'expected COLL BYTES RANKS NODES|no option' \
		explain AllReduce $wrong --profile g4.profile
done
expect "explain with a wrong word" 2 '' 'expected COLL BYTES RANKS NODES' \
	explain AllReduce huge 4 1 --profile g4.profile

# Where a log told the algorithm and not the protocol, or two cells were measured at other sizes.
cat >halves.profile <<'END'
span-profile 1
name halves
source 0 made up
curve AllReduce Tree/Any ranks 16 nodes 2 spread 0.01 samples 3 source 0
knot 1024 10
knot 1048576 20
curve AllReduce Any/LL ranks 16 nodes 2 spread 0.01 samples 3 source 0
knot 1024 11
knot 1048576 22
curve AllGather Ring/LL ranks 16 nodes 2 spread 0.01 samples 3 source 0
knot 1024 10
knot 65536 40
curve AllGather Ring/Simple ranks 16 nodes 2 spread 0.01 samples 3 source 0
knot 1048576 20
knot 4194304 60
end
END
halves=(--ranks 16 --nodes 2)
expect "predict knows what tells its algorithm alone" 0 '"choice": "Any/Any"' '' \
	predict halves.profile --coll AllReduce "${halves[@]}" --bytes 1K
equal "and what tells its protocol alone" "$(json 'j["rows"][0]["us"]')" \
	"{'Tree/Any': 10.0, 'Any/LL': 11.0}"
expect "explain tells what is missing" 0 'Tree/Any +10.00 us  measured, protocol not told' '' \
	explain AllReduce 1K 16 2 --profile halves.profile
grep -q '^  Any/LL  .* measured, algorithm not told' out && grep -q 'one half' out && pass ||
	fail "explain tells which half is known"
expect "and that a cell is named, not chosen" 0 'not tell which it is:$' '' \
	explain AllGather 16K 16 2 --profile halves.profile
grep -q '^ .*the fastest of what was measured at this size' out && pass || fail "which it is"
expect "so does the picture" 0 '>Tree/Any</text>' '' plot halves.profile --coll AllReduce "${halves[@]}"
expect "what was measured at a size goes before what was not" 0 '16K +Ring/LL .*own' '' \
	table halves.profile --coll AllGather "${halves[@]}" --from 16K --to 16K
expect "sizes that are none" 2 '' 'no size from 2048 to 1024' \
	table halves.profile --coll AllGather "${halves[@]}" --from 2K --to 1K

echo 'allreduce,0,2G,tree,simple,-1,-1,-1' >rules.csv
expect "rules come first" 0 '1G +Tree/Simple .*rule' '' table g4.profile "${ask[@]}" \
	--rules rules.csv
expect "and are explained by line" 0 'the rule of line 1' '' explain AllReduce 1G 4 1 \
	--profile g4.profile --rules rules.csv

# --- the machine instead of a profile ------------------------------------------------------

topologies=$root/tests/data/topologies/nccl
golden() # FILE NODES COLL CELL: the time of 64 MiB in a golden file
{
	python3 -c "
import json
cost = json.load(open('$root/tests/data/nccl-golden/$1.json'))['cost']
i = cost['sizes'].index(67108864)
print('%.2f' % cost['nodes']['$2']['tables']['$3']['us']['$4'][i])"
}

like_nccl() # WHAT XML GOLDEN RANKS NODES COLL CELL
{
	run predict --topology "$2" --coll "$6" --ranks "$4" --nodes "$5" --bytes 64M
	equal "$1" "$(json "'%.2f' % j['rows'][0]['us']['$7']")" "$(golden "$3" "$5" "$6" "$7")"
}

h100=$topologies/oci/H100-topology.xml
like_nccl "one node of H100" "$h100" oci__H100-topology 8 1 AllReduce NVLS/Simple
like_nccl "64 nodes of H100" "$h100" oci__H100-topology 512 64 AllReduce NVLSTree/Simple
like_nccl "16 nodes of A100" "$topologies/oci-oke/BM.GPU4.8.xml" oci-oke__BM.GPU4.8 128 16 \
	AllGather Ring/LL128
like_nccl "2 nodes of A100 without NVSwitch" "$topologies/transcribed/perlmutter-a100x4-cxi.xml" \
	transcribed__perlmutter-a100x4-cxi 8 2 AllReduce Tree/Simple
expect "table of a machine" 0 '64M +Ring/LL128 .*own' '' table --topology "$h100" \
	--coll AllReduce --ranks 16 --nodes 2 --from 64M --to 64M
expect "explain of a machine" 0 "Ring/LL128 +[0-9.]+ us  NCCL's model" '' explain AllReduce 64M 16 2 \
	--topology "$h100"
sed 's/^end/number comm.cc 90 spread 0 samples 0 source 0\nend/' g4.profile >cc.profile
expect "a machine of which no capability is known" 2 '' 'compute capability' table g4.profile \
	"${ask[@]}" --topology "synthetic:gpus:4 nics:0"
expect "unless the profile says it; its measurements stay" 0 '1G +NVLS/Simple +4333.74 +Ring/Simple' '' table cc.profile "${ask[@]}" \
	--topology "synthetic:gpus:4 nics:0"
matrix=$root/tests/data/topologies/matrices/smi-two-sockets.txt
expect "a text without speeds: what the times rest on" 0 '1M +Ring' 'smi-two-sockets.*leaves out' \
	table cc.profile --topology "$matrix" --coll AllReduce --ranks 8 --nodes 2 --to 1M
expect "another machine than the profile's" 2 '' 'of nodes of 8 GPUs, those of the topology have 4' \
	table "$root/plugin/profiles/h100x8.profile" --coll AllReduce --ranks 16 --nodes 2 \
	--topology "$topologies/transcribed/perlmutter-a100x4-cxi.xml"
expect "a part of a node" 2 '' 'one of whole nodes of 8 GPUs' table --topology "$h100" \
	--coll AllReduce --ranks 12 --nodes 2
expect "nodes without a NIC" 2 '' 'knows nothing of AllReduce on 8 ranks, 2 nodes' table cc.profile \
	--topology "synthetic:gpus:4 nics:0" --coll AllReduce --ranks 8 --nodes 2
expect "a machine that is not there" 2 '' 'nowhere' table --topology nowhere "${ask[@]}"
expect "neither profile nor machine" 2 '' 'PROFILE is missing, or --topology SOURCE' \
	table "${ask[@]}"

# --- fit with a topology: a machine whose constants are not NCCL's ---------------------------

cat >slow.profile <<'END'
span-profile 1
name slow
source 0 made up: a network of higher latency
number nccl.base.ring.ll 13 spread 0 samples 0 source 0
number nccl.hw.net.ring.ll 9 spread 0 samples 0 source 0
number nccl.hw.net.ring.simple 45 spread 0 samples 0 source 0
number nccl.hw.net.tree.ll 21 spread 0 samples 0 source 0
end
END
ladder=(1K 16K 256K 4M 64M 1G)

# What nccl-tests would print there, one cell a log. RANKS NODES ALGO PROTO
made_log()
{
	run predict slow.profile --topology "$h100" --coll AllReduce --ranks "$1" --nodes "$2" \
		--bytes "${ladder[@]}"
	python3 - "$1" "$3/$4" <<'END'
import json, sys
ranks = int(sys.argv[1])
for row in json.load(open('out'))['rows']:
    us = row['us'][sys.argv[2]]
    rate = row['bytes'] / us / 1000
    both = '%.4f %.4f %.4f 0' % (us, rate, rate * 2 * (ranks - 1) / ranks)
    print(row['bytes'], row['bytes'] // 4, 'float sum -1', both, both)
END
}

for count in "16 2" "32 4"; do
	for cell in "Ring LL" "Ring Simple" "Tree LL"; do
		set -- $count $cell
		made_log "$@" >made.log
		run fit made.log --coll AllReduce --ranks "$1" --nodes "$2" --algo "$3" --proto "$4" \
			--name made ${base:+--base "$base"} -o next.profile
		mv next.profile "${base:=made.profile}"
	done
done
unset base
made_log 32 4 Tree LL128 >made.log
last=(fit made.log --coll AllReduce --ranks 32 --nodes 4 --algo Tree --proto LL128)
expect "fit calibrates the model of a topology" 0 "model: [0-9]+ numbers moved by [0-9]+ times; off by [1-9][0-9].*%.*, 0\\.[0-9]% now, [0-9.]+% on ranks" \
	'' "${last[@]}" --base made.profile --topology "$h100" -o calibrated.profile
run predict slow.profile --topology "$h100" --coll AllReduce --ranks 128 --nodes 16 --bytes 64K
truth=$(json "j['rows'][0]['us']['Ring/LL']")
run predict calibrated.profile --coll AllReduce --ranks 128 --nodes 16 --bytes 64K
equal "so that nodes which were not measured are predicted" \
	"$(json "abs(j['rows'][0]['us']['Ring/LL'] / $truth - 1) < 0.02")" True
run predict --topology "$h100" --coll AllReduce --ranks 128 --nodes 16 --bytes 64K
equal "which NCCL's own constants do not" \
	"$(json "abs(j['rows'][0]['us']['Ring/LL'] / $truth - 1) > 0.1")" True
expect "times of one count calibrate, and choose nothing" 0 'nothing is chosen' '' "${last[@]}" \
	--topology "$h100" -o single.profile
grep -q '^number model.spread 1 ' single.profile && pass || fail "its spread is not 1"
expect "nothing to calibrate by" 0 'not calibrated: no four sizes' '' fit made.log --coll AllReduce \
	--ranks 32 --nodes 4 --topology "$h100" -o none.profile
expect "fit of another machine than the base's" 2 '' 'of nodes of 8 GPUs, those of the topology have 4' \
	"${last[@]}" --base "$root/plugin/profiles/h100x8.profile" \
	--topology "$topologies/transcribed/perlmutter-a100x4-cxi.xml" -o none.profile

expect "another machine than one whose graphs are all there" 2 '' 'nodes of 8 GPUs, those of the topology' \
	predict calibrated.profile --coll AllReduce --ranks 128 --nodes 16 --bytes 64K \
	--topology "$topologies/transcribed/perlmutter-a100x4-cxi.xml"

# --- check, compare, plot ------------------------------------------------------------------

expect "check reads a file, not a pipe" 2 '' 'a file is accepted, not a pipe' check <(cat "$root/tests/data/rules/ten.csv")
expect "rules may come through a pipe" 0 'rule' '' explain allreduce 1M 8 1 \
	--rules <(echo allreduce,0,-1,ring,simple,-1,-1,-1) --profile "$root/plugin/profiles/h100x8.profile"

expect "check finds nothing in a good profile" 0 '0 findings' '' check g4.profile
expect "check tells what cannot be chosen between" 1 'no algorithm told' '' check one.profile
expect "or where a half is missing" 1 'Tree/Any.*no protocol told' '' check halves.profile
grep -q 'Any/LL.*no algorithm told' out && ! grep -q 'AllGather.*told' out && pass ||
	fail "check tells each half: $(cat out)"
cat >odd.profile <<'END'
span-profile 1
name odd
source 0 made up
number nccl.base.ring.ll256 1 spread 0 samples 0 source 0
curve AllReduce Ring/LL ranks 8 nodes 1 spread 0.3 samples 1 source 0
knot 1024 100
knot 2048 10
knot 1048576 20
knot 1073741824 40
end
END
expect "check" 1 '6 findings' '' check odd.profile
for what in 'fall to' 'nothing measured between' 'a spread of 30%' 'GB/s' 'no constant'; do
	grep -q "$what" out && pass || fail "check does not find: $what"
done
printf '%s\n' 'allreduce,0,65536,tree,ll,-1,-1,-1' 'allreduce,0,1024,tree,ll,-1,-1,-1' \
	'allgather,0,1024,tree,ll,-1,-1,-1' >odd.csv
expect "check of rules" 1 '3 rules, 2 findings' '' check odd.csv
sed -i '$d' odd.profile
expect "check of a file cut short" 2 '' 'odd.profile:10:1: the file ends before' check odd.profile

expect "compare finds no difference between equals" 0 '^0 differences' '' \
	compare g4.profile g4.profile
awk '$1 == "knot" { $3 *= 1.1 } 1' g4.profile >slower.profile
expect "compare finds 10%" 1 '\+10.0% \(\+10.0% to \+10.0%\)$' '' compare g4.profile slower.profile
expect "compare finds what only one has" 1 'only in the second' '' compare g4.profile nv.profile

expect "plot" 0 '^<svg' '' plot g4.profile "${ask[@]}"
mv out first.svg
run plot g4.profile "${ask[@]}"
cmp -s out first.svg && pass || fail "two plots differ"
try "the plot is XML" python3 -c "import xml.dom.minidom as m; m.parse('first.svg')"
if have rsvg-convert; then
	try "the plot can be drawn" rsvg-convert -o plot.png first.svg
else
	skip rsvg-convert "is not installed"
fi

# --- the command line ----------------------------------------------------------------------

expect "help" 0 'span-tune COMMAND' '' --help
expect "help names --version" 0 ' --version  say the version' '' --help
expect "version" 0 '^span-tune [0-9]+\.[0-9]+\.[0-9]+$' '' --version
expect "no command" 2 '' 'a command is missing'
expect "a wrong command" 2 '' '"bake" is no command' bake
for command in fit predict table explain check compare plot; do
	expect "$command --help" 0 'Example' '' $command --help
	expect "$command with an option it has not" 2 '' 'is no option of it' $command --bake x
	grep -q "^.B $command\$\|span-tune $command" "$root/plugin/tune/span-tune.1" && pass ||
		fail "$command is not in the man page"
done
expect "an option without its value" 2 '' '--ranks lacks its value' predict g4.profile --ranks
expect "a number that is none" 2 '' '--ranks 0: it is a whole number' predict g4.profile --ranks 0
expect "a size that is none" 2 '' '--bytes 1X' predict g4.profile --bytes 1X
expect "a collective that is none" 2 '' '--coll gather' predict g4.profile --coll gather
expect "what is missing is named" 2 '' '--bytes SIZE is missing' predict g4.profile "${ask[@]}"
expect "a profile that is not there" 2 '' 'nowhere: No such file' predict nowhere "${ask[@]}" \
	--bytes 1
expect "output that cannot be written" 2 'held out' 'no/where: No such file' fit "${g4[0]}" -o no/where
expect "a full disk" 2 'held out' 'could not be written|writing failed' fit "${g4[0]}" -o /dev/full

# --- shipped profiles ----------------------------------------------------------------------

refit() # PROFILE LOG...
{
	local profile=$root/plugin/profiles/$1

	shift
	sed '/^curve/,/^knot/d; /^knot/d; /^source 2/d' "$profile" >numbers.profile
	(cd "$logs" && "$tool" fit --base "$work/numbers.profile" "$@" -o "$work/again.profile") \
		>/dev/null && diff "$profile" again.profile
}

try "h100x8 is what its logs give" refit h100x8.profile \
	wayne_h100_scaling_attributed_{g2,g4}_{NVLS,Ring,auto}.txt \
	wayne_h100_quiet_{all_gather,all_reduce,reduce_scatter}.txt
try "a100x8 is what its logs give" refit a100x8.profile \
	superbench_a100x8_{allgather,allreduce,alltoall,broadcast,reduce,reducescatter}.txt
close_count
