"""What of libspan's C interface is called from Python, by ctypes alone.

The structs are those of the public headers, member by member, and their docstrings the names
there; tests/programs/span_ctypes.sh holds them against the headers and the library.
"""

import ctypes
import sys

c_int, c_int32, c_int64 = ctypes.c_int, ctypes.c_int32, ctypes.c_int64
c_size, c_void = ctypes.c_size_t, ctypes.c_void_p

F32 = 1
CAUSAL = 1
ALIGNMENT = 64


class Mask(ctypes.Structure):
    """span_mask"""

    _fields_ = [("size", c_size), ("kind", c_int), ("reserved", c_int64 * 6)]


class Options(ctypes.Structure):
    """span_attention_options"""

    _fields_ = [
        ("size", c_size),
        ("batch", c_int64),
        ("query_tokens", c_int64),
        ("key_tokens", c_int64),
        ("query_heads", c_int32),
        ("kv_heads", c_int32),
        ("head_size", c_int32),
        ("value_head_size", c_int32),
        ("dtype", c_int),
        ("scale", ctypes.c_float),
        ("mask", Mask),
        ("layout", c_int),
        ("numerics", c_int),
        ("tile", c_int32),
        ("threads", c_int32),
        ("transport", c_void),
        ("order", c_int),
        ("way_back", c_int),
        ("custom_order", c_void),
        ("timeout", ctypes.c_double),
    ]


class Tensor(ctypes.Structure):
    """span_tensor"""

    _fields_ = [
        ("data", c_void),
        ("dtype", c_int),
        ("batch_stride", c_int64),
        ("token_stride", c_int64),
        ("head_stride", c_int64),
    ]


LOG = ctypes.CFUNCTYPE(None, c_void, c_int, ctypes.c_char_p)


@LOG
def print_cause(_user, status, message):
    print(f"libspan: status {status}: {message.decode()}", file=sys.stderr)


def load(path):
    library = ctypes.CDLL(path)
    tensor = ctypes.POINTER(Tensor)
    library.span_attention_create.argtypes = [ctypes.POINTER(Options), ctypes.POINTER(c_void)]
    library.span_attention_workspace_bytes.restype = c_size
    library.span_attention_workspace_bytes.argtypes = [c_void]
    library.span_attention_forward.argtypes = [c_void] + [tensor] * 4 + [c_void] * 2
    library.span_attention_backward.argtypes = (
        [c_void] + [tensor] * 5 + [c_void] + [tensor] * 3 + [c_void]
    )
    library.span_attention_free.argtypes = [c_void]
    library.span_attention_free.restype = None
    library.span_set_log.argtypes = [LOG, c_void]
    library.span_set_log.restype = None
    library.span_set_log(print_cause, None)
    return library


def make_options(batch, heads, tokens, head_size, causal, tile):
    """Options of one rank, f32, as many KV heads as query heads."""
    return Options(
        size=ctypes.sizeof(Options),
        batch=batch,
        query_tokens=tokens,
        key_tokens=tokens,
        query_heads=heads,
        kv_heads=heads,
        head_size=head_size,
        dtype=F32,
        mask=Mask(size=ctypes.sizeof(Mask), kind=CAUSAL if causal else 0),
        tile=tile,
    )


def must(status):
    if status != 0:
        raise SystemExit(f"libspan returned {status}")


class Attention:
    """One attention op and its workspace. Tensors are Tensor, lse is the address of floats."""

    def __init__(self, library, options):
        self.span, self.op = library, c_void()
        must(library.span_attention_create(options, self.op))
        need = library.span_attention_workspace_bytes(self.op)
        self.memory = (ctypes.c_char * (need + ALIGNMENT))()
        start = ctypes.addressof(self.memory)
        self.workspace = (start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    def forward(self, q, k, v, out, lse):
        call = self.span.span_attention_forward
        must(call(self.op, q, k, v, out, lse, self.workspace))

    def backward(self, q, k, v, out, dout, lse, gradients):
        call = self.span.span_attention_backward
        must(call(self.op, q, k, v, out, dout, lse, *gradients, self.workspace))

    def close(self):
        self.span.span_attention_free(self.op)
