"""The layouts of a release's plugin interfaces beside those of our headers, both from debug information."""
import gdb

from library import Comm, OracleError
from tuner import Tuner

PAIRS = [("ncclNvlDomainInfo_v5_t", "nccl_nvl_domains"), ("ncclTunerConstants_v5_t", "nccl_tuner_constants")]
PAIRS += [("ncclTuner_v%d_t" % v, "nccl_tuner_v%d" % v) for v in range(1, 7)]


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
    return out
