#!/usr/bin/env python3
"""The plugin in one released NCCL: check_release.py HOST LIBNCCL TUNER PROFILER XML

Everything goes through NCCL's own loader, version shims and selection. Prints what failed, and
"N passed, N failed, N skipped".
"""
import os
import sys
import tempfile

from check_profiler import check_profiler
from oracle import PRETEND, TABLE, Trouble, decide_job, plugin_env, run_jobs

ALGOS = ["tree", "ring", "collnet_direct", "collnet_chain", "nvls", "nvls_tree", "pat"]
PROTOS = ["ll", "ll128", "simple"]
NAMES = {"tree": "Tree", "ring": "Ring", "nvls": "NVLS", "nvls_tree": "NVLSTree", "pat": "PAT", "ll": "LL",
         "ll128": "LL128", "simple": "Simple"}
COLLS = ["AllReduce", "AllGather", "ReduceScatter", "Broadcast", "Reduce"]
NEWEST = 6  # tuner interface of the plugin

# (collective, first and last byte, algorithm, protocol, channels); the first that is to be had wins.
RULES = [("AllReduce", 0, 4095, "ring", "simple", 2), ("AllReduce", 4096, 65536, "nvls", "ll", 0),
         ("AllReduce", 4096, 1 << 20, "tree", "simple", 4), ("AllReduce", (1 << 20) + 1, 1 << 32, "ring", "ll", 0),
         ("AllGather", 0, 1 << 26, "ring", "simple", 0), ("ReduceScatter", 1 << 20, 1 << 40, "ring", "ll", 8),
         ("Broadcast", 0, 1 << 16, "ring", "simple", 0)]
SIZES = [1, 1023, 4095, 4096, 65536, 65537, 1 << 20, (1 << 20) + 1, 1 << 26, (1 << 26) + 1, 1 << 32]
CHUNK = 131072  # of every rule for rings


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, held, what):
        self.passed += bool(held)
        self.failed += not held
        if not held:
            print("FAILED: %s" % what)

    def skip(self, what):
        self.skipped += 1
        print("SKIPPED: %s" % what)


def write_rules(folder):
    path = os.path.join(folder, "check.rules")
    with open(path, "w") as f:
        for coll, low, high, algo, proto, channels in RULES:
            chunk = ",chunk=%d" % CHUNK if algo == "ring" else ""
            f.write("%s,%d,%d,%s,%s,%d,-1,-1%s\n" % (coll.lower(), low, high, algo, proto, channels or -1, chunk))
    return path


def rule_for(coll, size, can):
    """The rule that should act; can(algorithm, protocol): whether that is to be had."""
    for rule in RULES:
        if rule[0] == coll and rule[1] <= size <= rule[2] and can(rule[3], rule[4]):
            return rule
    return None


def can_in_table(table):
    return lambda algo, proto: table[ALGOS.index(algo) * 3 + PROTOS.index(proto)] >= 0


# --- what NCCL's loader and shims make of the plugin -------------------------------------------

def expected_call(version, coll, size):
    """What a call leaves behind: from v3 on the lowered cell, before that algorithm and protocol."""
    if version >= 3:
        rule = rule_for(coll, size, can_in_table(TABLE))
        changed = {"%d,%d" % (ALGOS.index(rule[3]), PROTOS.index(rule[4])): 0.0} if rule else {}
        return {"rc": 0, "channels": rule[5] if rule else 0, "changed": changed}
    rule = rule_for(coll, size, lambda algo, proto: algo == "ring" or (algo == "tree" and coll == "AllReduce"))
    if not rule:
        return {"rc": 0, "channels": 0, "algo": -1, "proto": -1}
    channels = rule[5] if version >= 2 else 0  # 2.19 and 2.20 do not bound them
    return {"rc": 0, "channels": channels, "algo": ALGOS.index(rule[3]), "proto": PROTOS.index(rule[4])}


def check_round(count, release, core, what, round_):
    count.check(round_["name"] == "SPAN", "%s: the tuner's name is %s" % (what, round_["name"]))
    count.check(round_["uses"] == min(core, NEWEST),
                "%s: NCCL uses %s; the newest that both know is v%d" % (what, round_["uses"], min(core, NEWEST)))
    count.check(round_["init_rc"] == 0 and round_["finalize_rc"] == 0, "%s: init or finalize failed" % what)
    for c in round_["calls"]:
        wanted = expected_call(core, c["func"], c["bytes"])
        got = {k: c[k] for k in wanted}
        count.check(got == wanted, "%s: %s of %d bytes gives %s, not %s" % (what, c["func"], c["bytes"], got, wanted))
    if core >= 6:
        count.check(round_["chunk"] == {"rc": 0, "chunk": 524288}, "%s: chunk %s" % (what, round_["chunk"]))
    count.check(not round_["mapped_after_unload"], "%s: still mapped after its only communicator ended" % what)


def form_works(release, form):
    """What NCCL's loader accepts as a name, release by release."""
    if form == "path":
        return release != (2, 27, 3)
    return form == "file" or release >= (2, 21, 0)


def check_form(count, host, lib, plugin, rules, form):
    calls = [{"func": coll, "bytes": size, "table": TABLE} for coll in COLLS for size in SIZES]
    env = dict(plugin_env(plugin, form), SPAN_RULES=rules)
    job = {"kind": "tuner", "plugin": os.path.abspath(plugin), "ranks": 8, "nodes": 1, "calls": calls, "rounds": 2,
           "overlap": 3 if form == "file" else 0}
    r = run_jobs(host, lib, [job], env)[0]
    if "error" in r:
        count.check(False, "by %s: %s" % (form, r["error"]))
        return
    release = tuple(int(n) for n in r["release"].split("."))
    core = r["core_tuner_version"]
    for i, round_ in enumerate(r["rounds"]):
        what = "by %s, round %d" % (form, i + 1)
        # 2.21.5 never loads a tuner again once it has unloaded one.
        wanted = form_works(release, form) and not (release == (2, 21, 5) and i)
        count.check(round_["loaded"] == wanted, "%s: loaded is %s" % (what, round_["loaded"]))
        if round_["loaded"] and wanted:
            check_round(count, release, core, what, round_)
    if job["overlap"] and release != (2, 21, 5):
        check_overlap(count, core, r["overlap"], job["overlap"])


def check_overlap(count, core, communicators, wanted):
    count.check(len(communicators) == wanted, "%d of %d communicators at once" % (len(communicators), wanted))
    for c in communicators:
        count.check(c["init_rc"] == 0 and c["finalize_rc"] == 0, "several at once: init or finalize failed")
    if core >= 2:
        contexts = {c["context"] for c in communicators}
        count.check(len(contexts) == wanted and 0 not in contexts, "several at once: contexts %s" % contexts)


# --- what NCCL then runs -----------------------------------------------------------------------

def check_choice(count, release, what, coll, size, own, ours):
    """The rule decides where NCCL offers its cell; else NCCL's own choice stands."""
    got = ours.split("/")[:2]
    channels = int(ours.split("/")[2])
    for rule in RULES:
        if rule[0] != coll or not rule[1] <= size <= rule[2]:
            continue
        if got == [NAMES[rule[3]], NAMES[rule[4]]]:
            # Since 2.31 a tuner's channels are a bound, before that they are taken as they come.
            fits = not rule[5] or (channels <= rule[5] if release >= (2, 31, 0) else channels == rule[5])
            count.check(fits, "%s: %s channels, the rule has %d" % (what, ours, rule[5]))
            return
        if rule[3] == "ring" or (rule[3] == "tree" and coll == "AllReduce"):
            count.check(False, "%s: NCCL runs %s, the rule says %s/%s" % (what, ours, rule[3], rule[4]))
            return
    count.check(ours == own, "%s: no rule, yet NCCL runs %s instead of %s" % (what, ours, own))


def check_decisions(count, host, lib, plugin, rules, xml):
    sizes = [s for s in SIZES if s % 16 == 0]
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for with_plugin in (False, True):
            env = dict(PRETEND, **(plugin_env(plugin, "file") if with_plugin else {}))
            if with_plugin:
                env["SPAN_RULES"] = rules
            runs.append(run_jobs(host, lib, [decide_job(xml, folder, [1, 2], sizes, with_plugin)], env)[0])
    for r in runs:
        if "error" in r:
            count.check(False, "decisions: %s" % r["error"])
            return
    release = tuple(int(n) for n in runs[0]["release"].split("."))
    for nodes, theirs in runs[0]["nodes"].items():
        ours = runs[1]["nodes"][nodes]
        count.check(ours["finalize_rc"] == 0, "decisions: finalize failed")
        for coll, choices in theirs["choice"].items():
            for size, own, choice in zip(sizes, choices, ours["choice"][coll]):
                what = "%s of %d bytes on %s nodes" % (coll, size, nodes)
                if coll in ("AllGather", "ReduceScatter"):
                    size = max(1, size // 2 // ours["ranks"]) * 2 * ours["ranks"]
                check_choice(count, release, what, coll, size, own, choice)


def check_layouts(count, host, lib, plugin):
    r = run_jobs(host, lib, [{"kind": "layout"}], plugin_env(plugin, "file"))[0]
    if "error" in r:
        count.check(False, "layouts: %s" % r["error"])
        return
    for name, sides in r["differ"].items():
        count.check(False, "%s: NCCL has %s, we have %s" % (name, sides["theirs"], sides["ours"]))
    for name in r["same"]:
        count.check(True, name)
    count.check(r["same"], "layouts: this release has none of the interfaces")


def main():
    host, lib, plugin, profiler, xml = sys.argv[1:]
    count = Count()
    try:
        info = run_jobs(host, lib, [{"kind": "info"}])[0]
        if "error" in info:
            raise Trouble(info["error"])
        with tempfile.TemporaryDirectory() as folder:
            rules = write_rules(folder)
            check_layouts(count, host, lib, plugin)
            for form in ("file", "name", "path"):
                check_form(count, host, lib, plugin, rules, form)
            if info["core_tuner_version"] >= 3:
                check_decisions(count, host, lib, plugin, rules, xml)
        if info["core_profiler_version"]:
            check_profiler(count, host, lib, os.path.abspath(profiler))
    except Trouble as t:
        count.check(False, t)
    print("%d passed, %d failed, %d skipped" % (count.passed, count.failed, count.skipped))
    return count.failed != 0


if __name__ == "__main__":
    sys.exit(main())
