"""How a profiler learns that the tasks of a launch began and ended: three ways, by release.

Each takes the tasks of a launch (see profiler.py) and NCCL's own structures for them, plays what the network or the
GPU does, and lets NCCL's functions find it."""
import gdb

from library import OracleError, fields_of

WILD = 0x5a5a5a5a0000  # an address of another process
STEP = 1000  # between the clocks of two channels, nanoseconds


def set_fields(pointer, **values):
    """Fields of a structure, bit fields among them; those that a release lacks are left out."""
    have = fields_of(pointer.dereference())
    for name, value in values.items():
        if name in have:
            gdb.parse_and_eval("((%s *)%d)->%s = %d" % (pointer.type.target(), int(pointer), name, int(value)))


def in_profiler_cc(name):
    """A static variable of profiler.cc; the shims have one of the same name, of another type."""
    for symbol in gdb.lookup_static_symbols(name):
        if symbol.symtab.filename.endswith("/profiler.cc") and symbol.addr_class != gdb.SYMBOL_LOC_TYPEDEF:
            return symbol.value()
    return None


def event_mask():
    """Up to 2.25 a variable of profiler.cc, then one of the library."""
    own = in_profiler_cc("eActivationMask")
    return int(own if own is not None else gdb.parse_and_eval("ncclProfilerEventMask"))


class Ends:
    """What all ways share; nothing is to be done where a method is empty."""

    def __init__(self, lib, comm):
        self.lib, self.comm = lib, comm

    def open(self):
        pass

    def launch(self, plan):
        pass

    def after(self, tasks, handles):
        """Let the tasks that run begin and end; their handles are 0 where nothing is recorded."""
        for task, handle in zip(tasks, handles):
            if task["ran"]:
                self.run(task, handle)

    def close(self):
        pass

    def args(self, task, handle):
        """The proxy's view of a task: one part for each channel that runs."""
        args = self.lib.zalloc("ncclProxyArgs")
        context, pid = self.comm["profilerContext"], self.pid()
        set_fields(args, nsubs=task["ran"], sliceSteps=1, chunkSteps=1, profilerContext=context, pid=pid)
        for c in range(task["ran"]):
            set_fields(args["subs"][c].address, channelId=c, nsteps=1, workCounter=1, rank=int(self.comm["rank"]),
                       pid=pid, eActivationMask=event_mask(), taskEventHandle=handle, profilerContext=context)
        return args

    def pid(self):
        op = self.lib.zalloc("ncclProxyOp")
        self.lib.check("ncclProfilerAddPidToProxyOp", op)
        return int(op["pid"])


class NetworkOperations(Ends):
    """Up to 2.25 only operations of the network are told, those of other processes among them."""

    def run(self, task, handle):
        args, stranger = self.args(task, handle), self.args(task, handle)
        set_fields(stranger, pid=self.pid() + 1)
        set_fields(stranger["subs"][0].address, pid=self.pid() + 1, taskEventHandle=WILD, profilerContext=WILD)
        calls = [(stranger, 0)] + [(args, c) for c in range(task["ran"])]
        for a, c in calls:
            self.lib.check("ncclProfilerStart%sProxyOpEvent" % ("Send" if c % 2 else "Recv"), c, a)
        for a, c in calls:
            self.lib.check("ncclProfilerStopProxyOpEvent", c, a)


class ProxyCounters(Ends):
    """From 2.26 to 2.30 the proxy watches counters that kernels raise; from 2.27 on they bring the GPU's clock."""

    def run(self, task, handle):
        lib, args = self.lib, self.args(task, handle)
        clocks = lib.version >= (2, 27, 0)
        started, ended = (lib.zalloc("ncclDevProfiler" if clocks else "unsigned long", task["ran"]) for _ in range(2))
        for c in range(task["ran"]):
            set_fields(args["subs"][c].address, sendbuff=started, recvbuff=ended)
        set_fields(args, state=gdb.parse_and_eval("ncclProxyOpReady"))
        nobody = gdb.parse_and_eval("(struct ncclProxyState *)0")
        lib.check("profilerProxyProgress", nobody, args)  # nothing has begun yet
        for counters, clock, step in ((started, task["first"], STEP), (ended, task["last"], -STEP)):
            for c in range(task["ran"]):
                if clocks:
                    raise_counter(lib, counters[c], 1, clock + c * step)
                else:
                    lib.poke(counters[c], 1)
            lib.check("profilerProxyProgress", nobody, args)


def raise_counter(lib, of_channel, counter, clock):
    """What a kernel writes when it begins or ends."""
    ring = of_channel["data"]
    entry = ring[counter % (ring.type.range()[1] + 1)]
    lib.poke(entry["counter"], counter)
    lib.poke(entry["timestamp"], clock)


class ProfilerThread(Ends):
    """From 2.31 on a thread of the profiler's own watches the counters, and NCCL makes the list of what to watch."""

    CHANNELS = 64  # of a communicator, at most

    def open(self):
        lib = self.lib
        self.comm.set(abortFlag=lib.ints([0]))
        for counters in ("workStarted", "workCompleted"):
            lib.poke(self.comm["profiler"][counters], lib.zalloc("ncclDevProfiler", self.CHANNELS))
        lib.check("ncclProfilerThreadCreate", self.comm.pointer, gdb.parse_and_eval("(struct ncclComm *)0"))
        if not int(self.comm["profiler"]["profilerThread"]):
            raise OracleError("the profiler's thread was not made")

    def launch(self, plan):
        self.lib.check("ncclProfilerPostPlanWork", self.comm.pointer, plan)

    def watched(self):
        """What the thread has before it."""
        thread = self.comm["profiler"]["profilerThread"]
        for name in ("pending", "active"):
            op = thread[name]
            while int(op):
                yield op
                op = op["next"]

    def after(self, tasks, handles):
        lib, told = self.lib, dict(zip(handles, tasks))
        for op in self.watched():
            task = told[int(op["taskEventHandle"])]
            channel, counter = int(op["channelId"]), int(op["workCounter"])
            raise_counter(lib, op["workStarted"][channel], counter, task["first"] + channel * STEP)
            raise_counter(lib, op["workCompleted"][channel], counter, task["last"] - channel * STEP)
        for _ in range(1000):
            if not int(self.comm["profiler"]["profilerThread"]["inflight"]):
                return
            lib.call("oracle_sleep", 5)
        raise OracleError("the profiler's thread does not see the end of the channels")

    def close(self):
        self.lib.check("ncclProfilerThreadDestroy", self.comm.pointer)


def ends(lib, comm):
    """The way of this release."""
    if lib.has("ncclProfilerThreadCreate"):
        return ProfilerThread(lib, comm)
    return (ProxyCounters if lib.has("profilerProxyProgress") else NetworkOperations)(lib, comm)
