"""A libnccl mapped in a host process under gdb, and the means to call into it.

Only functions that stay on the host are called: nothing needs a GPU or a driver."""
import re
import struct

import gdb

COLLS = {"Broadcast": 0, "Reduce": 1, "AllGather": 2, "ReduceScatter": 3, "AllReduce": 4}
PROTOS = ["LL", "LL128", "Simple"]
ALGOS = ["Tree", "Ring", "CollNetDirect", "CollNetChain", "NVLS", "NVLSTree", "PAT"]
TREE, RING, CND, CNC, NVLS, NVLSTREE, PAT = range(7)
PATTERN_BALANCED_TREE, PATTERN_TREE, PATTERN_RING, PATTERN_NVLS, PATTERN_CND = 1, 3, 4, 5, 6
CONFIG_UNDEF_INT = -2147483648
RESULTS = ["ncclSuccess", "ncclUnhandledCudaError", "ncclSystemError", "ncclInternalError", "ncclInvalidArgument",
           "ncclInvalidUsage", "ncclRemoteError", "ncclInProgress"]


class OracleError(Exception):
    """The library refused, or this release lacks what the job needs."""


def float32(x):
    """The shortest decimal that reads back as the same 32-bit float."""
    x = float(x)
    for digits in range(1, 10):
        s = "%.*g" % (digits, x)
        if struct.pack("f", float(s)) == struct.pack("f", x):
            break
    return float(s)


class Library:
    """A libnccl mapped in the host process, and the means to call into it."""

    def __init__(self):
        self.inferior = gdb.selected_inferior()
        self._types = {}
        self._functions = {}
        version = self.zalloc("int")
        self.call("ncclGetVersion", version)
        v = int(version.dereference())
        self.version = (v // 10000, v % 10000 // 100, v % 100)
        self.release = "%d.%d.%d" % self.version

    def type(self, name):
        if name not in self._types:
            try:
                self._types[name] = gdb.lookup_type(name)
            except gdb.error:
                self._types[name] = gdb.lookup_type("struct " + name)
        return self._types[name]

    def has(self, function):
        try:
            self.function(function)
            return True
        except OracleError:
            return False

    def function(self, name):
        if name not in self._functions:
            try:
                f = gdb.parse_and_eval(name)
            except gdb.error as e:
                raise OracleError("no function %s: %s" % (name, e))
            if f.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
                f = f.dereference()
            self._functions[name] = f
        return self._functions[name]

    def call(self, name, *args):
        return self.function(name)(*args)

    def check(self, name, *args):
        """Call a function that returns ncclResult_t; raise if it is not ncclSuccess."""
        rc = int(self.call(name, *args))
        if rc:
            raise OracleError("%s returned %s" % (name, RESULTS[rc] if rc < len(RESULTS) else rc))

    def zalloc(self, of, count=1):
        """Zeroed memory for COUNT objects of a type (name or gdb.Type); returns a typed pointer."""
        t = self.type(of) if isinstance(of, str) else of
        raw = self.function("oracle_zalloc")(max(1, t.sizeof * count))
        return raw.cast(t.pointer())

    def free(self, pointer):
        self.function("oracle_free")(pointer.cast(self.type("void").pointer()))

    def cstring(self, s):
        data = s.encode() + b"\0"
        p = self.zalloc("char", len(data))
        self.inferior.write_memory(int(p), data)
        return p

    def ints(self, values):
        p = self.zalloc("int", max(1, len(values)))
        self.inferior.write_memory(int(p), struct.pack("%di" % len(values), *values))
        return p

    def poke(self, lvalue, value):
        """Assign an int, float or pointer to an lvalue in the host process."""
        t = lvalue.type.strip_typedefs()
        value = int(value) if t.code != gdb.TYPE_CODE_FLT else float(value)
        if t.code == gdb.TYPE_CODE_FLT:
            data = struct.pack("f" if t.sizeof == 4 else "d", value)
        else:
            data = (value & ((1 << (8 * t.sizeof)) - 1)).to_bytes(t.sizeof, "little")
        self.inferior.write_memory(int(lvalue.address), data)

    def strings(self, name, count=None):
        """A global array of C strings.  Its debug type has no bound, so without a count it ends at the first thing
        that is not a short upper-case word (what follows may be another such array: harmless, nothing indexes it)."""
        a = gdb.parse_and_eval("&%s" % name).cast(self.type("char").pointer().pointer())
        out = []
        while len(out) != count:
            try:
                word = a[len(out)].string(length=8, errors="replace").split("\0")[0]
            except gdb.error:
                break
            if not re.fullmatch("[A-Z0-9]{2,5}", word):
                break
            out.append(word)
        return out


def fields_of(value_or_type):
    t = value_or_type if isinstance(value_or_type, gdb.Type) else value_or_type.type
    return {f.name for f in t.strip_typedefs().fields()}


class Comm:
    """A hand-made ncclComm: zeroed, then just the fields that the called functions read."""

    def __init__(self, lib):
        self.lib = lib
        self.pointer = lib.zalloc("ncclComm")
        self.value = self.pointer.dereference()
        self.fields = fields_of(self.value)

    def __getitem__(self, name):
        return self.value[name]

    def has(self, name):
        return name in self.fields

    def set(self, **values):
        """Set the fields that this release has; unknown names are skipped."""
        for name, value in values.items():
            if name in self.fields:
                self.lib.poke(self.value[name], value)

    def default_config(self):
        """Let NCCL fill comm->config from a configuration in which the user set nothing."""
        lib = self.lib
        user = lib.zalloc(self.value["config"].type)
        for f in self.value["config"].type.strip_typedefs().fields():
            t = f.type.strip_typedefs()
            if t.code == gdb.TYPE_CODE_INT and t.sizeof == 4:
                lib.poke(user[f.name], CONFIG_UNDEF_INT)
        a, b, c = lib.version
        for name, value in (("size", user.type.target().sizeof), ("magic", 0xcafebeef), ("version", a * 10000 + b * 100 + c)):
            lib.poke(user[name], value)
        lib.check("parseCommConfig", self.pointer, user)



def algorithms(lib):
    """NCCL_NUM_ALGORITHMS of this release, from the shape of a known array."""
    for owner, array in (("ncclComm", "initAlgoChannels"), ("ncclComm", "graphs"), ("ncclComm", "latencies")):
        for f in lib.type(owner).fields():
            if f.name == array:
                t = f.type if array != "latencies" else f.type.target()
                return t.range()[1] + 1
    raise OracleError("cannot tell the number of algorithms")
