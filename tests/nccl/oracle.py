#!/usr/bin/env python3
"""Asks a released libnccl.so.2 what it thinks, with no GPU and no driver (README.md).

    oracle.py info   --host H --lib libnccl.so.2
    oracle.py tuner  --host H --lib L --plugin P [--ranks 8 --nodes 1 --rounds 2 --overlap 0]
    oracle.py topo   --host H --lib L --xml X [--nodes 1,2] [--cost]
    oracle.py decide --host H --lib L --xml X [--nodes 1,2] [--plugin P]

The answer is JSON on stdout.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import topology_xml

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [1 << k for k in range(10, 33)]  # 1 KiB .. 4 GiB
COLLS = ["AllGather", "ReduceScatter", "AllReduce", "Broadcast"]
FLOAT16, FLOAT16_BYTES = 6, 2

# NCCL's own switch for "this is not the machine described": no questions to NVML.
PRETEND = {"NCCL_IGNORE_DISABLED_P2P": "2"}

# One node of 8 H100, AllReduce, some size: [algorithm][protocol], microseconds, -1: not to be had.
TABLE = [40.0, 60.0, 90.0, 30.0, 50.0, 70.0, -1, -1, -1, -1, -1, -1, -1, -1, 35.0, -1, -1, -1, -1, -1, -1]


class Trouble(Exception):
    """The library or gdb did not answer."""


def run_jobs(host, lib, jobs, env=None, timeout=500, verbose=False):
    """Run jobs (dicts with a "kind") on one library in one host process; returns their results."""
    with tempfile.TemporaryDirectory() as d:
        spec = {"jobs": jobs, "out": os.path.join(d, "out.json")}
        path = os.path.join(d, "spec.json")
        with open(path, "w") as f:
            json.dump(spec, f)
        # Only what we set: a stray NCCL_* or SPAN_* variable or a file in /etc would change the answers.
        e = {k: v for k, v in os.environ.items() if not k.startswith(("NCCL_", "SPAN_"))}
        e.update(ORACLE_SPEC=path, NCCL_CONF_FILE=os.devnull, **(env or {}))
        command = ["gdb", "-nx", "-q", "-batch", "-x", os.path.join(HERE, "jobs.py"), "--args", host,
                   os.path.abspath(lib)]
        try:
            p = subprocess.run(command, env=e, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=timeout, stdin=subprocess.DEVNULL)
            log = p.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as x:
            log = (x.stdout or b"").decode(errors="replace") + "\ntimed out"
        if verbose:
            sys.stderr.write(log)
        try:
            with open(spec["out"]) as f:
                return json.load(f)
        except (OSError, ValueError):
            raise Trouble("no result from gdb: " + log[-2000:].strip())


def named(variable, prefix, plugin, form):
    """A variable with a plugin's path, its file name, or the name between the prefix and ".so"."""
    if form == "path":
        return {variable: os.path.abspath(plugin)}
    name = os.path.basename(plugin)
    if form == "name":
        name = name[len(prefix):-len(".so")]
    folder = os.path.dirname(os.path.abspath(plugin))
    return {variable: name, "LD_LIBRARY_PATH": folder + ":" + os.environ.get("LD_LIBRARY_PATH", "")}


def plugin_env(plugin, form="path"):
    """How NCCL is told about the tuner."""
    return named("NCCL_TUNER_PLUGIN", "libnccl-tuner-", plugin, form)


def profiler_env(profiler, form, tuner):
    """How NCCL is told about the profiler, and, if asked, about the tuner in the same file."""
    env = named("NCCL_PROFILER_PLUGIN", "libnccl-profiler-", profiler, form)
    if tuner:
        env.update(plugin_env(profiler.replace("libnccl-profiler-", "libnccl-tuner-"), form))
    return env


def topo_job(xml, folder, nodes, cost):
    prepared, host_hash = topology_xml.prepare_file(xml, folder)
    job = {"kind": "topo", "xml": prepared, "host_hash": host_hash, "nodes": nodes}
    if cost:
        job["cost"] = {"sizes": SIZES, "colls": COLLS, "datatype": FLOAT16, "width": FLOAT16_BYTES}
    return job


def decide_job(xml, folder, nodes, sizes, plugin):
    """What the core launches; with the plugin that the environment names, if asked."""
    return dict(topo_job(xml, folder, nodes, False), kind="decide", sizes=sizes, colls=COLLS,
                datatype=FLOAT16, width=FLOAT16_BYTES, plugin=plugin)


def cmd_info(a):
    return run_jobs(a.host, a.lib, [{"kind": "info"}], verbose=a.verbose)[0]


def cmd_tuner(a):
    calls = [{"func": f, "bytes": b, "table": TABLE} for f in ("AllReduce", "AllGather")
             for b in (1 << 10, 1 << 20, 1 << 30)]
    env = plugin_env(a.plugin, a.form)
    env.update(setting.split("=", 1) for setting in a.env)
    return run_jobs(a.host, a.lib, [{"kind": "tuner", "plugin": env["NCCL_TUNER_PLUGIN"], "ranks": a.ranks,
                                     "nodes": a.nodes, "calls": calls, "rounds": a.rounds,
                                     "overlap": a.overlap}], env, verbose=a.verbose)[0]


def cmd_topo(a):
    with tempfile.TemporaryDirectory() as d:
        return run_jobs(a.host, a.lib, [topo_job(a.xml, d, a.nodes, a.cost)], PRETEND, verbose=a.verbose)[0]


def cmd_decide(a):
    out = {"sizes": SIZES}
    with tempfile.TemporaryDirectory() as d:
        for plugin in [False, True] if a.plugin else [False]:
            env = dict(PRETEND, **(plugin_env(a.plugin) if plugin else {}))
            env.update(setting.split("=", 1) for setting in a.env)
            out["plugin" if plugin else "nccl"] = run_jobs(
                a.host, a.lib, [decide_job(a.xml, d, a.nodes, SIZES, plugin)], env, verbose=a.verbose)[0]
    return out


def numbers(text):
    return [int(n) for n in text.split(",")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("command", choices=["info", "tuner", "topo", "decide"])
    p.add_argument("--host", required=True, help="the program made of host.c")
    p.add_argument("--lib", required=True, help="libnccl.so.2 with debug information")
    p.add_argument("--plugin")
    p.add_argument("--form", default="path", choices=["path", "file", "name"], help="how the plugin is named")
    p.add_argument("--ranks", type=int, default=8)
    p.add_argument("--nodes", type=numbers, default=[1])
    p.add_argument("--rounds", type=int, default=2, help="load and unload so often")
    p.add_argument("--overlap", type=int, default=0, help="then so many communicators at once")
    p.add_argument("--xml")
    p.add_argument("--cost", action="store_true", help="with channels, model and cost tables")
    p.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    p.add_argument("--verbose", action="store_true", help="gdb's and NCCL's own output on stderr")
    a = p.parse_args()
    if a.command == "tuner":
        a.nodes = a.nodes[0]
    commands = {"info": cmd_info, "tuner": cmd_tuner, "topo": cmd_topo, "decide": cmd_decide}
    try:
        json.dump(commands[a.command](a), sys.stdout, indent=1)
        print()
    except Trouble as t:
        sys.exit("oracle.py: %s" % t)


if __name__ == "__main__":
    main()
