"""A profiler plugin driven through NCCL's own loader, event functions and version shims."""
import re

import gdb

from library import COLLS, PROTOS, Comm
from profiler_ends import ends, event_mask, in_profiler_cc, set_fields
from tuner import Tuner, type_version


def profiler_version(lib):
    """The interface of the core itself; None before 2.23."""
    return type_version(lib.type("ncclProfiler_t")) if lib.has("ncclProfilerPluginInit") else None


def plugin_version(profiler):
    """Which of the plugin's symbols the core's profiler leads to: itself, or the one that a shim calls through."""
    behind = [s.value() for v in range(1, 10) for s in gdb.lookup_static_symbols("ncclProfiler_v%d" % v)
              if s.addr_class == gdb.SYMBOL_LOC_STATIC]
    for pointer in [profiler] + behind:
        symbol = gdb.execute("info symbol 0x%x" % int(pointer), to_string=True)
        found = re.match(r"ncclProfiler_v(\d+) in section .* of .*/libnccl-(profiler|tuner)-", symbol)
        if found:
            return int(found.group(1))
    return symbol.strip()


class Profiler:
    """The profiler of one communicator, as communicator initialisation, launches and teardown use it."""

    def __init__(self, lib, rank, ranks, nodes, id_, name):
        self.lib = lib
        self.comm = comm = Comm(lib)
        comm.set(rank=rank, nRanks=ranks, nNodes=nodes, commHash=id_)
        owner = comm.value if comm.has("commName") else comm["config"]
        lib.poke(owner["commName"], lib.cstring(name))
        self.ends = ends(lib, comm)

    def init(self):
        """Load the plugin, if it is not loaded, and make a context; what NCCL then holds."""
        self.lib.check("ncclProfilerPluginInit", self.comm.pointer)
        profiler = in_profiler_cc("ncclProfiler")
        if not int(profiler):
            return {"loaded": False}
        self.ends.open()
        return {"loaded": True, "uses": plugin_version(profiler), "name": profiler["name"].string(),
                "context": int(self.comm["profilerContext"]), "mask": event_mask()}

    def finalize(self):
        self.ends.close()
        self.lib.check("ncclProfilerPluginFinalize", self.comm.pointer)

    # --- a launch ---------------------------------------------------------------------------------

    def _task(self, task):
        """A collective, send or receive as the scheduler leaves it. Where nothing is to be seen of channels, the first
        lies behind the last."""
        coll = task["func"] in COLLS
        t = self.lib.zalloc("ncclTaskColl" if coll else "ncclTaskP2p")
        func = int(gdb.parse_and_eval("ncclFunc" + task["func"]))
        set_fields(t, func=func, collAPI=func, count=task["count"], root=task["root"], nWarps=16, algorithm=1,
                   datatype=int(gdb.parse_and_eval(task["datatype"])), protocol=PROTOS.index(task["proto"]),
                   nMaxChannels=task["most"], nChannels=task["channels"], channelLo=0 if task["ran"] else 1,
                   channelHi=max(task["ran"] - 1, 0), channelMask=(1 << task["ran"]) - 1,
                   eActivationMask=event_mask())
        return t

    def _plan(self, tasks):
        """A plan with the tasks in its two queues."""
        plan = self.lib.zalloc("ncclKernelPlan")
        set_fields(plan, comm=self.comm.pointer)
        made = [self._task(t) for t in tasks]
        for queue, type_ in (("collTaskQueue", "ncclTaskColl"), ("p2pTaskQueue", "ncclTaskP2p")):
            last = None
            for t in made:
                if type_ not in str(t.type):
                    continue
                if last is None:
                    self.lib.poke(plan[queue]["head"], t)
                else:
                    self.lib.poke(last["next"], t)
                self.lib.poke(plan[queue]["tail"], t)
                last = t
        return plan, made

    def _api(self, tasks):
        """What the user's calls tell before the launch, from 2.28 on."""
        lib = self.lib
        if not lib.has("ncclProfilerStartGroupApiEvent"):
            return
        for task in tasks:
            info = lib.zalloc("ncclInfo")
            set_fields(info, comm=self.comm.pointer, coll=int(gdb.parse_and_eval("ncclFunc" + task["func"])),
                       count=task["count"], datatype=int(gdb.parse_and_eval(task["datatype"])), root=task["root"])
            kind = "Coll" if task["func"] in COLLS else "P2p"
            lib.check("ncclProfilerStartGroupApiEvent", info, 0)
            lib.check("ncclProfilerStart%sApiEvent" % kind, info, 0)
            lib.check("ncclProfilerStop%sApiEvent" % kind)
            lib.check("ncclProfilerStopGroupApiEvent")

    def launch(self, tasks):
        """Run the tasks through NCCL's event functions, in the order of a launch; the handles they got."""
        self._api(tasks)
        plan, made = self._plan(tasks)
        for what in ("StartGroupEvent", "StartTaskEvents"):
            self.lib.check("ncclProfiler" + what, plan)
        handles = [int(t["eventHandle"]) for t in made]  # later releases forget them when the tasks stop
        self.ends.launch(plan)
        for what in ("StopTaskEvents", "StopGroupEvent"):
            self.lib.check("ncclProfiler" + what, plan)
        self.ends.after(tasks, handles)
        return handles


def make(lib, job, id_, rank):
    return Profiler(lib, rank, job["ranks"], job["nodes"], id_, job["name"])


def profiler_job(lib, job):
    """init, a launch, finalize; then the same again; then communicators at once. With a tuner if one is named."""
    out = {"release": lib.release, "core_profiler_version": profiler_version(lib), "rounds": []}
    plugin = lib.cstring(job["plugin"])
    for i in range(job["rounds"]):
        profiler = make(lib, job, job["id"] + i, job["rank"])
        round_ = profiler.init()
        out["rounds"].append(round_)
        if not round_["loaded"]:
            continue
        tuner = Tuner(lib, profiler.comm) if job.get("tuner") else None
        if tuner:
            round_["tuner"] = tuner.load() and tuner.init(job["ranks"], job["nodes"]) == 0
        round_["handles"] = profiler.launch(job["tasks"])
        if tuner:
            tuner.finalize()
            tuner.unload()
            round_["mapped_after_tuner"] = bool(lib.call("oracle_is_loaded", plugin))
        profiler.finalize()
        round_["mapped_after_unload"] = bool(lib.call("oracle_is_loaded", plugin))
    if job.get("overlap"):
        out["overlap"] = overlap(lib, job, plugin)
    return out


def overlap(lib, job, plugin):
    """Ranks of one communicator in one process, their launches mixed."""
    profilers = [make(lib, job, job["id"] + job["rounds"], rank) for rank in range(job["overlap"])]
    out = [p.init() for p in profilers]
    for task in job["tasks"]:
        for p in profilers:
            p.launch([task])
    for p in profilers:
        p.finalize()
    return {"communicators": out, "mapped_after_unload": bool(lib.call("oracle_is_loaded", plugin))}
