"""A tuner plugin driven through NCCL's own loader and shims, as communicators do it."""
import re
import struct

import gdb

from library import COLLS, PROTOS, Comm, algorithms, fields_of, float32

def type_version(t):
    """'ncclTuner_v5_t' -> 5"""
    m = re.search(r"_v(\d+)_t", str(t.strip_typedefs()))
    return int(m.group(1)) if m else None


class Tuner:
    """Drives a tuner plugin through NCCL's loader, as communicator initialisation and teardown do."""

    def __init__(self, lib, comm):
        self.lib, self.comm = lib, comm
        if lib.has("ncclTunerPluginLoad"):
            self.load_name, self.unload_name = "ncclTunerPluginLoad", "ncclTunerPluginUnload"
        else:
            self.load_name, self.unload_name = "ncclLoadTunerPlugin", "ncclCloseTunerPlugin"
        parameter = lib.function(self.load_name).type.fields()[0].type
        self.takes_comm = "ncclComm" in str(parameter.strip_typedefs().target())
        self.core_version = type_version(comm["tuner"].type.target())

    def _argument(self):
        return self.comm.pointer if self.takes_comm else self.comm["tuner"].address

    def load(self):
        self.lib.check(self.load_name, self._argument())
        return int(self.comm["tuner"]) != 0

    def unload(self):
        self.lib.check(self.unload_name, self._argument())

    def uses(self):
        """Versions of the plugin's data symbols that the core's tuner leads to: the symbol itself, or, where the
        core puts a shim in front, the static pointer that the shim calls through."""
        symbol = gdb.execute("info symbol 0x%x" % int(self.comm["tuner"]), to_string=True)
        direct = re.match(r"ncclTunerPlugin_v(\d+)", symbol)
        return int(direct.group(1)) if direct else symbol.strip()

    def name(self):
        return self.comm["tuner"]["name"].string()

    def _context(self):
        return self.comm["tunerContext"]

    def init(self, ranks, nodes):
        init = self.comm["tuner"]["init"].dereference()
        logger = gdb.parse_and_eval("(void*)ncclDebugLog")
        if self.core_version == 1:
            return int(init(ranks, nodes, logger))
        if self.core_version <= 4:
            return int(init(ranks, nodes, logger, self._context().address))
        constants = self._constants()
        domains = self.comm["nvlDomainInfo"]
        for name, value in (("nNvlDomains", nodes), ("minRanksPerNvlDomain", ranks // nodes),
                            ("maxRanksPerNvlDomain", ranks // nodes)):
            self.lib.poke(domains[name], value)
        return int(init(self._context().address, 0x1234, ranks, nodes, logger, domains.address, constants))

    def _constants(self):
        """The constants a v5 or v6 tuner may edit, filled with the release's defaults."""
        lib, comm = self.lib, self.comm
        field = comm["tuningContext"]["tuningConstants"] if comm.has("tuningContext") else comm["tunerConstants"]
        for fill in ("ncclTopoInitTunerConstants", "ncclTuningCostModelPreInit"):
            if lib.has(fill):
                lib.check(fill, comm.pointer)
                return field.address
        defaults = gdb.parse_and_eval("&ncclTunerConstantsDefaults")
        lib.inferior.write_memory(int(field.address), lib.inferior.read_memory(int(defaults), field.type.sizeof).tobytes())
        return field.address

    def coll_info(self, func, size, table, algos, protos, pipe_ops=1, reg_buff=0, collnet=0, nvls=0):
        """One getCollInfo call; returns what the plugin left in its arguments."""
        info = self.comm["tuner"]["getCollInfo"].dereference()
        channels = self.lib.ints([0])
        if self.core_version <= 2:
            out = self.lib.ints([-1, -1])
            args = [func, size, collnet, nvls, pipe_ops, out, out + 1, channels]
            if self.core_version == 2:
                args.insert(0, self._context())
            rc = int(info(*args))
            return {"rc": rc, "algo": int(out.dereference()), "proto": int((out + 1).dereference()),
                    "channels": int(channels.dereference())}
        cells = algos * protos
        t = self.lib.zalloc("float", cells)
        self.lib.inferior.write_memory(int(t), struct.pack("%df" % cells, *table[:cells]))
        args = [self._context(), func, size, pipe_ops, t.cast(self.lib.type("float").pointer().pointer()), algos, protos]
        if self.core_version >= 4:
            args.append(reg_buff)
        rc = int(info(*args, channels))
        after = struct.unpack("%df" % cells, self.lib.inferior.read_memory(int(t), 4 * cells).tobytes())
        changed = {"%d,%d" % divmod(i, protos): float32(v) for i, v in enumerate(after) if v != struct.unpack("f", struct.pack("f", table[i]))[0]}
        return {"rc": rc, "channels": int(channels.dereference()), "changed": changed}

    def chunk_size(self, func, size, algo, proto, channels, chunk):
        if self.core_version < 6 or not int(self.comm["tuner"]["getChunkSize"]):
            return None
        out = self.lib.zalloc("unsigned long")
        self.lib.poke(out.dereference(), chunk)
        rc = int(self.comm["tuner"]["getChunkSize"].dereference()(self._context(), func, size, algo, proto, channels, out))
        return {"rc": rc, "chunk": int(out.dereference())}

    def finalize(self):
        t = self.comm["tuner"].dereference()
        end = t["finalize" if "finalize" in fields_of(t) else "destroy"].dereference()
        return int(end()) if self.core_version == 1 else int(end(self._context()))


def tuner_job(lib, job):
    """load, init, getCollInfo ..., finalize, unload; then the same again on a second communicator."""
    out = {"release": lib.release, "rounds": []}
    algos = algorithms(lib)
    plugin = lib.cstring(job["plugin"])
    for _ in range(job.get("rounds", 2)):
        comm = Comm(lib)
        ranks, nodes = job["ranks"], job["nodes"]
        comm.set(nRanks=ranks, nNodes=nodes, rank=0, localRanks=ranks // nodes, maxLocalRanks=ranks // nodes,
                 minLocalRanks=ranks // nodes)
        tuner = Tuner(lib, comm)
        out["core_tuner_version"] = tuner.core_version
        out["algorithms"] = algos
        round_ = {"loaded": tuner.load()}
        out["rounds"].append(round_)
        if not round_["loaded"]:
            continue
        round_["uses"] = tuner.uses()
        round_["name"] = tuner.name()
        round_["init_rc"] = tuner.init(ranks, nodes)
        round_["calls"] = []
        for c in job["calls"]:
            table = c.get("table") or [-1.0] * (algos * len(PROTOS))
            table = (table + [-1.0] * (algos * len(PROTOS)))[:algos * len(PROTOS)]
            func = COLLS[c["func"]]
            r = tuner.coll_info(func, c["bytes"], table, algos, len(PROTOS), c.get("pipe", 1), c.get("reg", 0),
                                c.get("collnet", 0), c.get("nvls", 0))
            r.update(func=c["func"], bytes=c["bytes"])
            round_["calls"].append(r)
        chunk = tuner.chunk_size(4, 1 << 20, 1, 2, 8, 524288)
        if chunk is not None:
            round_["chunk"] = chunk
        round_["finalize_rc"] = tuner.finalize()
        tuner.unload()
        round_["mapped_after_unload"] = bool(lib.call("oracle_is_loaded", plugin))
    if job.get("overlap"):
        out["overlap"] = overlap(lib, job, plugin)
    return out


def overlap(lib, job, plugin):
    """Several communicators at once, torn down in the order they were made."""
    tuners, out = [], []
    for _ in range(job["overlap"]):
        comm = Comm(lib)
        comm.set(nRanks=job["ranks"], nNodes=job["nodes"])
        tuner = Tuner(lib, comm)
        if tuner.load():
            tuners.append(tuner)
            out.append({"init_rc": tuner.init(job["ranks"], job["nodes"])})
            if comm.has("tunerContext"):
                out[-1]["context"] = int(comm["tunerContext"])
    for tuner, o in zip(tuners, out):
        o["finalize_rc"] = tuner.finalize()
        tuner.unload()
        o["mapped_after_unload"] = bool(lib.call("oracle_is_loaded", plugin))
    return out
