"""Runs inside gdb (oracle.py starts it): reads jobs from $ORACLE_SPEC, writes one JSON result per job."""
import json
import os
import sys
import time
import traceback

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from library import COLLS, Comm, Library, OracleError, algorithms  # noqa: E402
from layout import layout_job  # noqa: E402
from model import CostModel  # noqa: E402
from profiler import profiler_job, profiler_version  # noqa: E402
from system import graphs_json, load_system, search_graphs  # noqa: E402
from tuner import tuner_job, type_version  # noqa: E402

def topo_job(lib, job):
    """System, paths, graphs and (optionally) cost tables of one XML for several node counts."""
    out = {"release": lib.release}
    system = load_system(lib, job)
    system.compute_paths()
    out["system"] = system.describe()
    out["paths"] = system.all_paths()
    if not system.count("GPU"):
        return out
    out["graphs"], built = {}, {}
    for nodes in job.get("nodes", [1]):
        key = "one node" if nodes == 1 else "many nodes"
        if key in built or key in out.get("skipped", {}):
            continue
        try:
            t = time.monotonic()
            built[key] = search_graphs(lib, job, nodes)
            out["graphs"][key] = graphs_json(built[key][0], built[key][2])
            out["graphs"][key]["seconds"] = round(time.monotonic() - t, 2)
        except OracleError as e:
            out.setdefault("skipped", {})[key] = str(e)
    cost = job.get("cost")
    if not cost:
        return out
    out["cost"] = {"sizes": cost["sizes"], "nodes": {}}
    for nodes in job["nodes"]:
        key = "one node" if nodes == 1 else "many nodes"
        if key not in built:
            continue
        system, _, graphs = built[key]
        if system.count("GPU") * nodes < 2:
            continue
        model = CostModel(lib, system, graphs, nodes, cost.get("nvls_channels"))
        entry = {"ranks": model.ranks, "channels": model.channel_json(), "model": model.model_json()}
        if type_version(model.comm["tuner"].type.target()) >= 3:
            entry["tables"] = model.tables(cost["colls"], cost["sizes"], cost["datatype"], cost["width"], model.can_decide())
        out["cost"]["nodes"][str(nodes)] = entry
    return out


def decide_job(lib, job):
    """Topology, time model and a real tuner plugin together: what the core ends up launching for each collective."""
    out = {"release": lib.release, "nodes": {}}
    for nodes in job["nodes"]:
        system, _, graphs = search_graphs(lib, job, nodes)
        model = CostModel(lib, system, graphs, nodes, job.get("nvls_channels"), plugin=job.get("plugin", False))
        entry = {"ranks": model.ranks, "nChannels": int(model.comm["nChannels"]), "choice": {}}
        if model.tuner:
            entry["tuner"] = model.tuner.name()
        for coll in job["colls"]:
            entry["choice"][coll] = [model.chosen(model.run_core(COLLS[coll], s, job["datatype"], job["width"]))
                                     for s in job["sizes"]]
        if model.tuner:
            entry["finalize_rc"] = model.tuner.finalize()
            model.tuner.unload()
        out["nodes"][str(nodes)] = entry
    return out




def info_job(lib, job):
    """What this library is."""
    comm = Comm(lib)
    return {"release": lib.release, "algorithms": algorithms(lib),
            "core_tuner_version": type_version(comm["tuner"].type.target()),
            "core_profiler_version": profiler_version(lib)}


def main():
    with open(os.environ["ORACLE_SPEC"]) as f:
        spec = json.load(f)
    for command in ("pagination off", "confirm off", "breakpoint pending on", "max-value-size unlimited",
                    "print elements 0", "unwindonsignal on", "debuginfod enabled off", "print thread-events off",
                    "startup-with-shell off"):
        try:
            gdb.execute("set " + command)
        except gdb.error:
            pass
    start = time.monotonic()
    gdb.execute("break oracle_ready", to_string=True)
    gdb.execute("run", to_string=True)
    jobs = {"info": info_job, "layout": layout_job, "tuner": tuner_job, "topo": topo_job, "decide": decide_job,
            "profiler": profiler_job}
    results = []
    try:
        lib = Library()
        ready = time.monotonic()
    except (gdb.error, OracleError) as e:
        results, spec["jobs"] = [{"error": "%s" % e}], []
    for job in spec["jobs"]:
        t = time.monotonic()
        try:
            result = jobs[job["kind"]](lib, job)
        except Exception as e:  # report it and go on with the next job
            result = {"error": str(e), "trace": traceback.format_exc().splitlines()[-6:]}
        result["seconds"] = round(time.monotonic() - t, 2)
        result["startup_seconds"] = round(ready - start, 2)
        results.append(result)
        with open(spec["out"], "w") as f:
            json.dump(results, f)
    with open(spec["out"], "w") as f:
        json.dump(results, f)
    gdb.execute("kill", to_string=True)


main()
