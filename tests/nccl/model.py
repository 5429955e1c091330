"""NCCL's time model of a communicator, and the decisions it leads to."""
import struct

import gdb

from library import (ALGOS, COLLS, NVLS, PROTOS, RING, TREE, Comm, OracleError, algorithms, fields_of,
                     float32)
from tuner import Tuner, type_version

class CostModel:
    """A communicator of NODES identical machines, taken through the channel set-up and the time model."""

    def __init__(self, lib, system, graphs, nodes, nvls_channels=None, plugin=False):
        self.lib, self.system, self.nodes, self.tuner = lib, system, nodes, None
        self.plugin = plugin
        self.algos = algorithms(lib)
        gpus = self.gpus = system.count("GPU")
        self.ranks = gpus * nodes
        caps = system.compcaps()
        comm = self.comm = Comm(lib)
        # The searches' own graphs stay untouched: initTransportsRank levels channel counts in place.
        copy = {}
        for g in graphs.values():
            if int(g) not in copy:
                c = lib.zalloc("ncclTopoGraph")
                size = lib.type("ncclTopoGraph").sizeof
                lib.inferior.write_memory(int(c), lib.inferior.read_memory(int(g), size).tobytes())
                copy[int(g)] = c
        self.graphs = {a: copy[int(g)] for a, g in graphs.items() if a < self.algos}
        has_nvls = int(self.graphs[NVLS]["nChannels"]) > 0
        if nvls_channels is None:  # NCCL sets it where it probes the driver for multicast; same rule here
            nvls_channels = 16
            if min(caps) >= 100 and lib.version >= (2, 25, 0):
                nvls_channels = 24 if nodes == 1 and lib.version >= (2, 27, 0) else 32
        comm.set(rank=0, nRanks=self.ranks, nNodes=nodes, topo=system.pointer, node=0, localRank=0, localRanks=gpus,
                 maxLocalRanks=gpus, minLocalRanks=gpus, minCompCap=min(caps), maxCompCap=max(caps), compCap=caps[0],
                 cudaArch=caps[0] * 10, nvlsSupport=int(has_nvls), nvlsChannels=nvls_channels if has_nvls else 0,
                 collNetSupport=0, isOneRPN=int(gpus == 1), maxTreePattern=int(self.graphs[TREE]["pattern"]))
        comm.default_config()
        if comm.has("nvlDomainInfo"):
            for name, value in (("nNvlDomains", nodes), ("minRanksPerNvlDomain", gpus), ("maxRanksPerNvlDomain", gpus)):
                lib.poke(comm["nvlDomainInfo"][name], value)
        if comm.has("regCache"):
            lib.poke(comm["regCache"]["pageSize"], 4096)  # a look-up divides by it
        if comm.has("sharedRes"):
            shared = lib.zalloc("ncclSharedResources")
            comm.set(sharedRes=shared)
            lib.poke(shared["owner"], comm.pointer)
        self.scratch = lib.zalloc("char", 64)
        self._ranks()
        self._cpu()
        self._channels()
        self.table_of_graphs = self._graph_array()
        self._tune()

    def _ranks(self):
        lib, comm, gpus, ranks = self.lib, self.comm, self.gpus, self.ranks
        comm.set(rankToNode=lib.ints([r // gpus for r in range(ranks)]),
                 rankToLocalRank=lib.ints([r % gpus for r in range(ranks)]))
        if comm.has("nodeRanks"):
            t = comm["nodeRanks"].type.target()
            node_ranks = lib.zalloc(t, self.nodes)
            everyone = int(lib.ints(list(range(ranks))))
            for n in range(self.nodes):
                lib.poke(node_ranks[n]["localRanks"], gpus)
                lib.poke(node_ranks[n]["localRankToRank"], everyone + 4 * gpus * n)
            comm.set(nodeRanks=node_ranks, localRankToRank=everyone)

    def _cpu(self):
        if self.lib.has("ncclTopoComputeCommCPU"):
            self.lib.check("ncclTopoComputeCommCPU", self.comm.pointer)
        elif self.comm.has("cpuArch"):
            model = self.lib.ints([0])
            self.lib.check("ncclTopoCpuType", self.system.pointer, self.comm["cpuArch"].address,
                           self.comm["cpuVendor"].address, model)

    def _graph_array(self):
        lib = self.lib
        array = lib.zalloc(lib.type("ncclTopoGraph").pointer(), max(self.algos, 7))
        for a, g in self.graphs.items():
            lib.poke(array[a], g)
        return array

    def _channels(self):
        """Preset every local rank, replicate the answer over the nodes, Postset rank 0: final channels and rings."""
        lib, comm, gpus = self.lib, self.comm, self.gpus
        array = self._graph_array()
        n = min(int(self.graphs[RING]["nChannels"]), int(self.graphs[TREE]["nChannels"]))
        for a in (RING, TREE):
            lib.poke(self.graphs[a]["nChannels"], n)
        comm.set(nChannels=n)
        t = lib.type("ncclTopoRanks")
        own = []
        for r in range(gpus - 1, -1, -1):
            comm.set(rank=r, localRank=r)
            topo_ranks = lib.zalloc(t)
            lib.check("ncclTopoPreset", comm.pointer, array, topo_ranks)
            own.insert(0, topo_ranks)
        ranked = [f for f in t.fields() if f.type.code == gdb.TYPE_CODE_ARRAY]
        everyone = lib.zalloc(t.pointer(), self.ranks)
        pool = lib.zalloc(t, self.ranks)
        for r in range(gpus):
            blob = lib.inferior.read_memory(int(own[r]), t.sizeof).tobytes()
            for node in range(self.nodes):
                data = bytearray(blob)
                if node:
                    for f in ranked:
                        at, cells = f.bitpos // 8, f.type.sizeof // 4
                        values = struct.unpack_from("%di" % cells, data, at)
                        struct.pack_into("%di" % cells, data, at, *[v + node * gpus if v >= 0 else v for v in values])
                index = node * gpus + r
                lib.inferior.write_memory(int(pool) + index * t.sizeof, bytes(data))
                lib.poke(everyone[index], int(pool) + index * t.sizeof)
        first = int(self.graphs[RING]["intra"][0])
        first_ranks = lib.ints([node * gpus + first for node in range(self.nodes)])
        patterns = lib.ints([int(self.graphs[TREE]["pattern"])] * self.nodes)
        channels = lib.type("ncclComm")["channels"].type.range()[1] + 1
        rings = self.rings = lib.zalloc("int", self.ranks * channels)
        args = [comm.pointer, first_ranks, patterns, everyone, rings, array]
        if len(lib.function("ncclTopoPostset").type.fields()) > 6:
            args.append(gdb.Value(0).cast(comm.pointer.type))
        lib.check("ncclTopoPostset", *args)

    def _tune(self):
        """Fill the communicator's latency and bandwidth tables."""
        lib, comm = self.lib, self.comm
        if self.plugin and lib.has("ncclTopoTuneModel"):
            # between the default constants and the model, where a v5 tuner may edit the constants
            self.tuner = Tuner(lib, comm)
            if not self.tuner.load():
                raise OracleError("NCCL did not load the tuner plugin")
            rc = self.tuner.init(self.ranks, self.nodes)
            if rc:
                raise OracleError("the tuner's init returned %d" % rc)
        if lib.has("ncclTopoTuneModel"):  # up to 2.30
            if lib.has("ncclTopoInitTunerConstants") and not self.plugin:
                lib.check("ncclTopoInitTunerConstants", comm.pointer)
            lib.check("ncclTopoTuneModel", comm.pointer, comm["minCompCap"], comm["maxCompCap"], self.table_of_graphs)
            self.model = comm.value
            return
        # 2.31 and later read the graphs from the communicator itself
        size = lib.type("ncclTopoGraph").sizeof
        for a, g in self.graphs.items():
            lib.inferior.write_memory(int(comm["graphs"][a].address), lib.inferior.read_memory(int(g), size).tobytes())
        lib.check("ncclTuningInit", comm.pointer)  # loads and initialises the tuner itself
        self.model = comm["tuningContext"]
        if self.plugin:
            self.tuner = Tuner(lib, comm)
            if not int(comm["tuner"]):
                raise OracleError("NCCL did not load the tuner plugin")

    def channel_json(self):
        n, comm = int(self.comm["nChannels"]), self.comm
        out = {"nChannels": n}
        for name in ("collChannels", "nvlsChannels"):
            if comm.has(name):
                out[name] = int(comm[name])
        if self.nodes <= 2:
            out["ring0"] = [int(self.rings[r]) for r in range(self.ranks)]
        return out

    def arm_capture(self):
        """Give the communicator a tuner whose getCollInfo records its arguments and stops the core."""
        tuner = self.lib.zalloc(self.comm["tuner"].type.target())
        version = type_version(tuner.type.target())
        function = "oracle_capture_v3" if version == 3 else "oracle_capture_v4"
        self.lib.poke(tuner["getCollInfo"], int(gdb.parse_and_eval("(unsigned long)&%s" % function)))
        self.comm.set(tuner=tuner)

    def new_task(self, func, count, datatype):
        task = self.lib.zalloc("ncclTaskColl")
        for name, value in (("func", func), ("count", count), ("datatype", datatype), ("opHost", 0),
                            ("sendbuff", 4096), ("recvbuff", 4096), ("trafficBytes", 1)):
            self.lib.poke(task[name], value)
        return task

    def captured(self):
        c = gdb.parse_and_eval("oracle_capture")
        cells = int(c["algos"]) * int(c["protos"])
        table = struct.unpack("%df" % cells, self.lib.inferior.read_memory(int(c["table"].address), 4 * cells).tobytes())
        return int(c["bytes"]), table

    def run_core(self, func, size, datatype, width):
        """Let the core pick an algorithm for one queued collective, tuner included; returns the task."""
        lib, comm = self.lib, self.comm
        per_rank = func in (COLLS["AllGather"], COLLS["ReduceScatter"])
        count = max(1, size // width // (self.ranks if per_rank else 1))
        task = self.new_task(func, count, datatype)
        if lib.has("ncclGetAlgoInfo"):  # 2.29 and later
            self._get_algo_info(task)
        elif lib.has("ncclPrepareTasks"):  # 2.22 .. 2.28: the step that picks algorithms, with one task queued
            planner = comm["planner"]
            lib.poke(planner["collSorter"]["head"], task)
            lib.poke(planner["nTasksColl"], 1)
            try:
                lib.call("ncclPrepareTasks", comm.pointer, self.scratch, self.scratch, self._null("ncclPrepareTasks", 3))
            except gdb.error:  # past the choice it may want a GPU; gdb unwinds, the task keeps what was chosen
                pass
        else:
            raise OracleError("the core hands out no cost table before 2.22")
        return task

    def core_table(self, func, size, datatype, width):
        """The cost table exactly as the core hands it to a tuner for one collective, and its byte count."""
        calls = int(gdb.parse_and_eval("oracle_capture.calls"))
        task = self.run_core(func, size, datatype, width)
        if int(gdb.parse_and_eval("oracle_capture.calls")) != calls + 1:
            raise OracleError("the core did not call the tuner")
        size, table = self.captured()
        return size, table, task

    @staticmethod
    def chosen(task):
        a, p = int(task["algorithm"]), int(task["protocol"])
        if a < 0 or p < 0:
            return None
        return "%s/%s/%d/%d" % (ALGOS[a], PROTOS[p], int(task["nMaxChannels"]), int(task["nWarps"]))

    def _null(self, function, parameter):
        return gdb.Value(0).cast(self.lib.function(function).type.fields()[parameter].type)

    def _get_algo_info(self, task):
        return int(self.lib.call("ncclGetAlgoInfo", self.comm.pointer, task, 0, self.comm["nvlsSupport"], 1,
                                 self._null("ncclGetAlgoInfo", 5)))

    def can_decide(self):
        return self.lib.has("topoGetAlgoInfo") or self.lib.has("ncclGetAlgoInfo")

    def decision(self, task, size, table):
        """What the core makes of that table: algorithm/protocol/channels/warps."""
        if self.lib.has("topoGetAlgoInfo"):
            cells = len(table)
            t = self.lib.zalloc("float", cells)
            self.lib.inferior.write_memory(int(t), struct.pack("%df" % cells, *table))
            self.lib.check("topoGetAlgoInfo", self.comm.pointer, task, size,
                           t.cast(self.lib.type("float").pointer().pointer()), self._null("topoGetAlgoInfo", 4))
        else:
            tuner = int(self.comm["tuner"])
            self.comm.set(tuner=0)
            rc = self._get_algo_info(task)
            self.comm.set(tuner=tuner)
            if rc:
                raise OracleError("ncclGetAlgoInfo returned %d" % rc)
        return self.chosen(task)

    def model_json(self):
        """Latency (us) and bandwidth (GB/s) per collective, algorithm, protocol, and the thread limits."""
        where = self.model
        names = fields_of(where)
        latencies, bandwidths = ("latencies", "bandwidths") if "latencies" in names else ("generalLatencies", "generalBandwidths")
        out = {}
        for coll, f in COLLS.items():
            row = {}
            for a in range(self.algos):
                for p in range(3):
                    bw = float32(where[bandwidths][f][a][p])
                    if bw:
                        row["%s/%s" % (ALGOS[a], PROTOS[p])] = [float32(where[latencies][f][a][p]), bw]
            out[coll] = row
        return out

    def tables(self, colls, sizes, datatype, width, decide):
        """Per collective: byte counts, microseconds per selectable cell, and the core's choice."""
        self.arm_capture()
        out = {}
        for coll in colls:
            f, bytes_, cells, choice = COLLS[coll], [], {}, []
            for i, s in enumerate(sizes):
                size, table, task = self.core_table(f, s, datatype, width)
                bytes_.append(size)
                for k, v in enumerate(table):
                    if v >= 0:
                        name = "%s/%s" % (ALGOS[k // 3], PROTOS[k % 3])
                        cells.setdefault(name, [None] * len(sizes))[i] = float32(v)
                if decide:
                    choice.append(self.decision(task, size, table))
            out[coll] = {"us": cells}
            if bytes_ != list(sizes):
                out[coll]["bytes"] = bytes_
            if decide:
                out[coll]["choice"] = choice
        return out
