"""The layouts of a release's plugin interfaces beside those of our headers, both from debug information."""
import gdb

from library import Comm, OracleError
from tuner import Tuner

PAIRS = [("ncclNvlDomainInfo_v5_t", "nccl_nvl_domains"), ("ncclTunerConstants_v5_t", "nccl_tuner_constants")]
PAIRS += [("ncclTuner_v%d_t" % v, "nccl_tuner_v%d" % v) for v in range(1, 7)]
PROFILERS = {1: 1, 2: 1, 3: 1, 4: 4, 5: 5, 6: 5}  # which of our structures has the functions of an interface
EVENTS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 5}  # and which its descriptors
PAIRS += [("ncclProfiler_v%d_t" % v, "nccl_profiler_v%d" % ours) for v, ours in PROFILERS.items()]
MEMBERS = {"coll": "coll", "p2p": "p2p", "proxy": "proxyOp", "kernel": "kernelCh"}  # of a descriptor: ours, theirs


def leaves(t, at=0):
    """Every number and pointer of a type: (offset, bytes, kind), functions with the bytes of their parameters."""
    t = t.strip_typedefs()
    if t.code == gdb.TYPE_CODE_STRUCT:
        return [leaf for f in t.fields() for leaf in leaves(f.type, at + f.bitpos // 8)]
    if t.code == gdb.TYPE_CODE_ARRAY:
        each = t.target()
        count = t.sizeof // each.strip_typedefs().sizeof
        return [leaf for i in range(count) for leaf in leaves(each, at + i * each.strip_typedefs().sizeof)]
    if t.code == gdb.TYPE_CODE_PTR and t.target().strip_typedefs().code == gdb.TYPE_CODE_FUNC:
        function = t.target().strip_typedefs()
        return [(at, t.sizeof, "function of %s" % [f.type.strip_typedefs().sizeof for f in function.fields()])]
    kind = {gdb.TYPE_CODE_PTR: "pointer", gdb.TYPE_CODE_FLT: "float"}.get(t.code, "integer")
    return [(at, t.sizeof, kind)]


def fields(t, at=0):
    """Offset, bytes and type of each field by name; those of our head and of unnamed unions as if they stood alone."""
    out = {}
    for f in t.strip_typedefs().fields():
        if f.name and f.name != "head":
            out[f.name] = (at + f.bitpos // 8, f.type.sizeof, f.type)
        else:
            out.update(fields(f.type, at + f.bitpos // 8))
    return out


def described(t, type_name, parent, rank, members):
    """A descriptor by the names of our members: its size, its head, then the members that SPAN reads."""
    have = fields(t)
    out = {"size": t.sizeof, "type": have[type_name][:2], "parent": have[parent][:2], "rank": have[rank][:2]}
    for ours, name in members.items():
        if name in have:
            at, size, member = have[name]
            out[ours] = (size, leaves(member, at))
    return out


def compare_descriptors(out):
    """The descriptors of the profiler, as far as ours go."""
    for version, ours in EVENTS.items():
        theirs = look_up("ncclProfilerEventDescr_v%d_t" % version)
        event = look_up("struct nccl_event_v%d" % ours)
        if theirs is None:
            continue
        if event is None:
            raise OracleError("the plugin has no debug information: build it with -g")
        b = described(event, "type64" if version > 4 else "type8", "parent", "rank", {m: m for m in MEMBERS})
        a = described(theirs, "type", "parentObj", "rank", {m: t for m, t in MEMBERS.items() if m in b})
        for piece in b:
            name = "ncclProfilerEventDescr_v%d_t, %s" % (version, piece)
            if a.get(piece) == b[piece]:
                out["same"].append(name)
            else:
                out["differ"][name] = {"theirs": a.get(piece), "ours": b[piece]}


def look_up(name):
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        return None


def layout_job(lib, job):
    """Compare whatever this release has of PAIRS; the plugin is loaded for its own debug information."""
    tuner = Tuner(lib, Comm(lib))
    if not tuner.load():
        raise OracleError("NCCL did not load the plugin")
    out = {"release": lib.release, "same": [], "differ": {}}
    for theirs, ours in PAIRS:
        a, b = look_up(theirs), look_up("struct " + ours)
        if b is None:
            raise OracleError("the plugin has no debug information: build it with -g")
        if a is None:
            continue
        if a.strip_typedefs().sizeof == b.sizeof and leaves(a) == leaves(b):
            out["same"].append(theirs)
        else:
            out["differ"][theirs] = {"theirs": leaves(a), "ours": leaves(b)}
    compare_descriptors(out)
    return out
