"""NCCL's own model of a topology XML: nodes, paths, and the graphs it searches."""
import gdb

from library import (CNC, CND, NVLS, NVLSTREE, PAT, PATTERN_BALANCED_TREE, PATTERN_CND, PATTERN_NVLS,
                     PATTERN_RING, PATTERN_TREE, RING, TREE, Comm, OracleError, fields_of, float32)

class System:
    """NCCL's own model of a topology XML: the node sets, the path between every pair, and the graphs it searches."""

    def __init__(self, lib, xml_path, host_hash):
        self.lib = lib
        xml = self._new_xml()
        lib.check("ncclTopoGetXmlFromFile", lib.cstring(xml_path), xml, 1)
        if int(xml["maxIndex"]) == 0:
            raise OracleError("no XML node read from %s" % xml_path)
        handle = lib.zalloc(lib.type("ncclTopoSystem").pointer())
        args = [xml, handle]
        if len(lib.function("ncclTopoGetSystemFromXml").type.fields()) > 2:
            args.append(host_hash)
        lib.check("ncclTopoGetSystemFromXml", *args)
        lib.free(xml)
        self.pointer = handle.dereference()
        self.nodes = self.pointer.dereference()["nodes"]
        types = lib.strings("topoNodeTypeStr", count=self.nodes.type.range()[1] + 1)
        self.kind = {name: i for i, name in enumerate(types)}
        self.paths = lib.strings("topoPathTypeStr")

    def _new_xml(self):
        """An empty ncclXml; older releases have a fixed node array, newer ones size it at allocation."""
        lib, t, nodes = self.lib, self.lib.type("ncclXml"), 4096
        if "maxNodes" not in fields_of(t):
            return lib.zalloc(t)
        node = t["nodes"].type.target().sizeof
        raw = lib.function("oracle_zalloc")(t.sizeof + node * nodes)
        xml = raw.cast(t.pointer())
        lib.poke(xml["maxNodes"], nodes)
        return xml

    def compute_paths(self):
        self.lib.check("ncclTopoComputePaths", self.pointer, gdb.Value(0).cast(self.lib.type("ncclComm").pointer()))

    def count(self, kind):
        return int(self.nodes[self.kind[kind]]["count"]) if kind in self.kind else 0

    def node(self, kind, i):
        return self.nodes[self.kind[kind]]["nodes"][i]

    def compcaps(self):
        return [int(self.node("GPU", g)["gpu"]["cudaCompCap"]) for g in range(self.count("GPU"))]

    def ranks(self):
        return [int(self.node("GPU", g)["gpu"]["rank"]) for g in range(self.count("GPU"))]

    def describe(self):
        gpus = []
        for g in range(self.count("GPU")):
            n = self.node("GPU", g)
            gpus.append({"rank": int(n["gpu"]["rank"]), "dev": int(n["gpu"]["dev"]), "sm": int(n["gpu"]["cudaCompCap"]),
                         "gdr": int(n["gpu"]["gdrSupport"]), "id": "0x%x" % (int(n["id"]) & (2**64 - 1))})
        nets = []
        for i in range(self.count("NET")):
            n = self.node("NET", i)
            net = n["net"]
            nets.append({"id": "0x%x" % (int(n["id"]) & (2**64 - 1)), "bw": float32(net["bw"]), "latency": float32(net["latency"]),
                         "gdr": int(net["gdrSupport"])})
            if "dev" in fields_of(net):
                nets[-1]["dev"] = int(net["dev"])
        cpus = [{"id": "0x%x" % (int(self.node("CPU", i)["id"]) & (2**64 - 1)), "arch": int(self.node("CPU", i)["cpu"]["arch"]),
                 "vendor": int(self.node("CPU", i)["cpu"]["vendor"]), "model": int(self.node("CPU", i)["cpu"]["model"])}
                for i in range(self.count("CPU"))]
        return {"gpus": gpus, "nets": nets, "cpus": cpus, "nvs": self.count("NVS")}

    def matrix(self, kind, other):
        """Path type, GB/s and number of links from every node of one kind to every node of another."""
        out = {"type": [], "bw": [], "hops": []}
        column = self.kind[other]
        for i in range(self.count(kind)):
            rows = [[], [], []]
            paths = self.node(kind, i)["paths"][column]
            if int(paths) == 0:
                return None
            for j in range(self.count(other)):
                p = paths[j]
                rows[0].append(self.paths[int(p["type"])])
                rows[1].append(float32(p["bw"]))
                rows[2].append(int(p["count"]))
            out["type"].append(rows[0])
            out["bw"].append(rows[1])
            out["hops"].append(rows[2])
        return out

    def all_paths(self):
        out = {}
        for a, b in (("GPU", "GPU"), ("GPU", "NET"), ("NET", "GPU"), ("GPU", "CPU"), ("CPU", "CPU")):
            if self.count(a) and self.count(b):
                out["%s-%s" % (a, b)] = self.matrix(a, b)
        return out

    def search(self, graph_id, pattern, min_channels, max_channels, collnet=0):
        lib = self.lib
        graph = lib.zalloc("ncclTopoGraph")
        for name, value in (("id", graph_id), ("pattern", pattern), ("minChannels", min_channels),
                            ("maxChannels", max_channels), ("collNet", collnet)):
            lib.poke(graph[name], value)
        lib.check("ncclTopoCompute", self.pointer, graph)
        return graph

    def graph_json(self, graph):
        n, gpus = int(graph["nChannels"]), self.count("GPU")
        names = fields_of(graph.dereference())
        out = {k: int(graph[k]) for k in ("pattern", "nChannels", "sameChannels", "crossNic")}
        out.update(bwIntra=float32(graph["bwIntra"]), bwInter=float32(graph["bwInter"]),
                   typeIntra=self.paths[int(graph["typeIntra"])], typeInter=self.paths[int(graph["typeInter"])])
        if "latencyInter" in names:
            out["latencyInter"] = float32(graph["latencyInter"])
        out["intra"] = [[int(graph["intra"][c * gpus + g]) for g in range(gpus)] for c in range(n)]
        if self.count("NET"):
            out["inter"] = [["0x%x" % int(graph["inter"][2 * c + k]) for k in (0, 1)] for c in range(n)]
        return out


def load_system(lib, job):
    return System(lib, job["xml"], int(job.get("host_hash") or "0", 16))


def search_graphs(lib, job, nodes):
    """What initTransportsRank does with a topology: paths, trimming for one node or many, then the searches.
    Returns the system, the communicator used for trimming and the graphs by algorithm index."""
    system = load_system(lib, job)
    system.compute_paths()
    gpus = system.count("GPU")
    if gpus == 0:
        raise OracleError("the topology has no usable <gpu>")
    if sorted(system.ranks()) != list(range(gpus)):
        raise OracleError("GPU ranks are %s, not 0..%d" % (system.ranks(), gpus - 1))
    comm = Comm(lib)
    comm.set(rank=0, nRanks=gpus * nodes, topo=system.pointer)
    lib.check("ncclTopoTrimSystem", system.pointer, comm.pointer)
    system.compute_paths()
    if system.count("GPU") != gpus:
        raise OracleError("%d of %d GPUs cannot reach the first one" % (gpus - system.count("GPU"), gpus))
    lib.check("ncclTopoSearchInit", system.pointer)
    if nodes > 1 and system.count("NET") == 0:
        raise OracleError("no <net>: no multi-node graph")
    max_channels = lib.type("ncclComm")["channels"].type.range()[1] + 1
    ring = system.search(0, PATTERN_RING, 1, max_channels // 2)
    n = int(ring["nChannels"])
    tree = system.search(1, PATTERN_BALANCED_TREE, n, n)
    empty = lib.zalloc("ncclTopoGraph")
    chain = direct = empty
    if job.get("collnet"):
        chain = system.search(2, PATTERN_TREE, n, n, 1)
        direct = system.search(4, PATTERN_CND, 1, max_channels, 1)
    nvls = empty
    nvls_wanted = job.get("nvls", "auto")
    if nvls_wanted is True or (nvls_wanted == "auto" and min(system.compcaps()) >= 90 and gpus > 1):
        nvls = system.search(3, PATTERN_NVLS, 1, max_channels)
    graphs = {TREE: tree, RING: ring, CND: direct, CNC: chain, NVLS: nvls, NVLSTREE: nvls, PAT: tree}
    return system, comm, graphs


def graphs_json(system, graphs):
    out = {"ring": system.graph_json(graphs[RING]), "tree": system.graph_json(graphs[TREE])}
    for name, a in (("collnet_chain", CNC), ("collnet_direct", CND), ("nvls", NVLS)):
        if int(graphs[a]["nChannels"]):
            out[name] = system.graph_json(graphs[a])
    out["maxBw"] = float32(system.pointer["maxBw"])
    out["totalBw"] = float32(system.pointer["totalBw"])
    return out
