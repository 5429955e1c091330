"""The checks of the profiler in one release: what NCCL's event functions leave in the files of a communicator."""
import json
import os
import tempfile

from oracle import profiler_env, run_jobs

NEWEST = 6  # profiler interface of the plugin
COLL, P2P, PROXY_OP, KERNEL_CHANNEL = 1 << 1, 1 << 2, 1 << 3, 1 << 6
RANKS, NODES, RANK, ID, NAME = 8, 2, 3, 0x5ba9c0de00000001, 'check "1"'
ROUNDS, OVERLAP = 2, 2
FORGETS = (2, 27, 3)  # of one file that is tuner and profiler it closes one handle and forgets the other
BYTES = {"ncclFloat32": 4, "ncclBfloat16": 2, "ncclInt64": 8, "ncclFloat16": 2, "ncclFloat64": 8}


def task(func, count, datatype, root, proto, most, channels, first=0, last=0):
    """A task of `most` channels at most, `channels` of which run from `first` to `last` (ns); 0: nobody sees them."""
    return {"func": func, "count": count, "datatype": datatype, "root": root, "proto": proto, "most": most,
            "channels": channels or most, "ran": channels, "first": first, "last": last}


TASKS = [task("AllReduce", 1000, "ncclFloat32", 0, "LL128", 8, 2, 5000000, 5250000),
         task("AllGather", 4096, "ncclBfloat16", 0, "Simple", 4, 4, 6000000, 6100000),
         task("AllReduce", 1 << 28, "ncclFloat32", 0, "Simple", 3, 3, 6500000, 9500000),
         task("Broadcast", 77, "ncclInt64", 5, "LL", 1, 0),
         task("Send", 333, "ncclFloat16", 6, "LL", 0, 1, 7000000, 7500000),
         task("Recv", 444, "ncclFloat64", 7, "LL", 0, 2, 7000000, 7400000)]


def is_p2p(t):
    return t["func"] in ("Send", "Recv")


def wanted_bytes(version, t):
    """Up to v3 nobody tells how many ranks there are, so the bytes of some collectives are not known."""
    gathers = t["func"] == "AllGather"
    return None if gathers and version < 4 else t["count"] * BYTES[t["datatype"]] * (RANKS if gathers else 1)


def wanted_row(version, t, sequence):
    """The members of a line that do not depend on the clock."""
    row = {"func": t["func"], "count": t["count"], "datatype": t["datatype"], "bytes": wanted_bytes(version, t),
           "clock": "launch" if not t["ran"] else "gpu" if version >= 4 else "host",
           "channels": t["channels"] if version >= 4 else 0 if is_p2p(t) else t["most"]}
    if is_p2p(t):
        row["peer"] = t["root"]
    else:
        proto = t["proto"] if version == 1 else t["proto"].upper()
        row.update(root=t["root"], sequence=sequence, algo="Ring" if version == 1 else "RING", proto=proto)
    return row


def check_time(count, version, what, t, row):
    if not t["ran"]:
        count.check("us" not in row, "%s: a time without an end: %s" % (what, row))
    elif version >= 4:
        count.check(row.get("us") == (t["last"] - t["first"]) / 1000.0, "%s: %s us, not those of the GPU's clock" %
                    (what, row.get("us")))
    else:
        count.check(0 < row.get("us", 0) < 60e6, "%s: %s us" % (what, row.get("us")))
    sized, timed = row.get("bytes") is not None, t["ran"] > 0
    rates = {"algbw_GBps": timed and sized, "busbw_GBps": timed and version >= 4}
    got = {k: k in row for k in rates}
    count.check(got == rates, "%s: bandwidths %s, not %s" % (what, got, rates))


def wanted_rows(version):
    """NCCL numbers the collectives of a kind, and tells collectives before sends and receives."""
    seen, rows = {}, []
    for t in [t for t in TASKS if not is_p2p(t)] + [t for t in TASKS if is_p2p(t)]:
        rows.append((t, wanted_row(version, t, seen.get(t["func"], 0))))
        seen[t["func"]] = seen.get(t["func"], 0) + 1
    return rows


def check_rows(count, version, what, rows, events, rank, id_):
    wanted = wanted_rows(version)
    count.check(len(rows) == len(wanted) and len(events) == len(wanted), "%s: %d lines, %d events of %d tasks" %
                (what, len(rows), len(events), len(wanted)))
    whole = {"communicator": "%016x" % id_, "rank": rank, "ranks": RANKS if version >= 4 else 0,
             "nodes": NODES if version >= 4 else 0}
    for (t, want), row, event in zip(wanted, rows, events):
        line = "%s: %s of %d" % (what, t["func"], t["count"])
        got = {k: row.get(k) for k in want}
        count.check(got == want, "%s gives %s, not %s" % (line, got, want))
        count.check({k: row.get(k) for k in whole} == whole, "%s: communicator %s" % (line, row))
        check_time(count, version, line, t, row)
        inner = {k: v for k, v in row.items() if k not in whole and k != "start_us"}
        count.check(event["args"] == inner, "%s: the trace has %s, the line %s" % (line, event["args"], inner))
        shown = (event["name"], event["cat"], event["pid"], event["ts"])
        count.check(shown == (t["func"], "p2p" if is_p2p(t) else "coll", rank, row["start_us"]),
                    "%s: the trace shows %s" % (line, shown))


def check_samples(count, version, what, text):
    """What `span-tune fit` reads: a note and a row for each collective with an end, where the ranks are known."""
    wanted = []
    for t, row in wanted_rows(version):
        if not is_p2p(t) and t["ran"] and version >= 4:
            wanted.append(["#", "span:", "ranks", str(RANKS), "nodes", str(NODES),
                           {"AllReduce": "all_reduce_perf", "AllGather": "all_gather_perf"}[t["func"]],
                           "ALGO=RING", "PROTO=" + row["proto"]])
            wanted.append([str(row["bytes"]), str(row["count"]), "%.2f" % ((t["last"] - t["first"]) / 1000.0)])
    lines = [line.split() for line in text.splitlines()]
    got = [line if line[0] == "#" else [line[0], line[1], line[5]] for line in lines]
    count.check(got == wanted, "%s: samples %s, not %s" % (what, got, wanted))


def check_files(count, version, what, folder, id_, rank):
    path = os.path.join(folder, "span-%016x-rank%d." % (id_, rank))
    try:
        with open(path + "jsonl") as f:
            rows = [json.loads(line) for line in f]
        with open(path + "trace.json") as f:
            trace = json.load(f)
        with open(path + "samples.txt") as f:
            samples = f.read()
    except (OSError, ValueError) as e:
        count.check(False, "%s: %s" % (what, e))
        return
    told = {"name": NAME, "begun": len(TASKS), "dropped": 0, "overwritten": 0, "communicator": "%016x" % id_}
    got = {k: trace["otherData"].get(k) for k in told}
    count.check(got == told, "%s: the trace is headed %s, not %s" % (what, got, told))
    check_rows(count, version, what, rows, [e for e in trace["traceEvents"] if e["ph"] == "X"], rank, id_)
    check_samples(count, version, what, samples)


# --- what NCCL's loader makes of it ----------------------------------------------------------------

def form_works(release, form):
    """Before 2.26 a name stands for nothing but itself; 2.27.3 takes no paths."""
    if form == "path":
        return release != (2, 27, 3)
    return form == "file" or release >= (2, 26, 0)


def check_made(count, version, what, made, recording):
    """What a communicator holds after init."""
    newest = min(version, NEWEST)
    mask = COLL | P2P | (PROXY_OP if version < 3 else KERNEL_CHANNEL) if recording else 0
    count.check(made["name"] == "SPAN", "%s: the profiler's name is %s" % (what, made["name"]))
    count.check(made["uses"] == newest, "%s: NCCL uses %s; the newest that both know is v%d" %
                (what, made["uses"], newest))
    count.check(bool(made["context"]) == recording, "%s: context %#x" % (what, made["context"]))
    count.check(made["mask"] == mask, "%s: NCCL is asked for events %#x, not %#x" % (what, made["mask"], mask))


def check_round(count, version, what, round_, recording, release):
    check_made(count, version, what, round_, recording)
    handles = round_["handles"]
    count.check(len(handles) == len(TASKS) and all(bool(h) == recording for h in handles),
                "%s: handles %s" % (what, handles))
    count.check(len(set(handles)) == (len(TASKS) if recording else 1), "%s: a handle twice: %s" % (what, handles))
    if "tuner" in round_:
        count.check(round_["tuner"], "%s: the same file is no tuner beside it" % what)
        count.check(round_["mapped_after_tuner"], "%s: unmapped with its tuner, while it records" % what)
    stays = release == FORGETS and "tuner" in round_
    count.check(round_["mapped_after_unload"] == stays, "%s: mapped after its only communicator ended: %s" %
                (what, not stays))


def check_overlap(count, version, overlap, folder, release):
    made = overlap["communicators"]
    count.check(all(c["loaded"] for c in made), "several at once: loaded is %s" % [c["loaded"] for c in made])
    for c in [c for c in made if c["loaded"]]:
        check_made(count, version, "several at once", c, True)
    count.check(len({c.get("context") for c in made}) == OVERLAP, "several at once: contexts %s" % made)
    stays = release == FORGETS
    count.check(overlap["mapped_after_unload"] == stays, "several at once: mapped after the last: %s" % (not stays))
    for rank in range(OVERLAP):
        check_files(count, version, "several at once, rank %d" % rank, folder, ID + ROUNDS, rank)


def check_form(count, host, lib, plugin, form, folder, recording):
    """By one form of name. By file name a tuner of the same file is loaded as well, and communicators overlap."""
    full = form == "file"
    job = {"kind": "profiler", "plugin": plugin, "ranks": RANKS, "nodes": NODES, "rank": RANK, "id": ID, "name": NAME,
           "tasks": TASKS, "rounds": ROUNDS, "overlap": OVERLAP if full else 0, "tuner": full}
    env = profiler_env(plugin, form, full)
    if recording:
        env["SPAN_TRACE"] = folder
    r = run_jobs(host, lib, [job], env)[0]
    if "error" in r:
        count.check(False, "profiler by %s: %s" % (form, r["error"]))
        return
    release = tuple(int(n) for n in r["release"].split("."))
    version = r["core_profiler_version"]
    for i, round_ in enumerate(r["rounds"]):
        what = "profiler by %s, round %d" % (form, i + 1)
        wanted = form_works(release, form)
        count.check(round_["loaded"] == wanted, "%s: loaded is %s" % (what, round_["loaded"]))
        if round_["loaded"]:
            check_round(count, version, what, round_, recording, release)
            if recording:
                check_files(count, version, what, folder, ID + i, RANK)
    if full:
        check_overlap(count, version, r["overlap"], folder, release)
    count.check(recording or not os.listdir(folder), "profiler by %s: files without SPAN_TRACE" % form)


def check_profiler(count, host, lib, plugin):
    """By file name and by name with a trace; by path without one."""
    for form, recording in (("file", True), ("name", True), ("path", False)):
        with tempfile.TemporaryDirectory() as folder:
            check_form(count, host, lib, plugin, form, folder, recording)
