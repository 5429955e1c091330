"""PyTorch's scaled_dot_product_attention beside libspan, interleaved in one process.

    python peers.py LIBSPAN.SO [JSON-FILE]

One thread, process CPU time, f32, B 1, H 4, [B,H,S,D]. Each round times both, one after the
other; a figure is the ratio of the best times (above 1: libspan is faster), its note has both
times and the lowest and highest ratio of a round. Results are compared first: a fast wrong
answer is worth nothing. Closes with the number of comparisons that passed and failed.
"""

import ctypes
import json
import sys
import time

import torch

BATCH, HEADS, TILE = 1, 4, 256
ROUNDS = {1024: 15, 4096: 5}
# Both sum in f32, in different orders: chains of up to 4096 terms. Relative to the largest
# element that is some 4096 x 2^-24, were all roundings in one direction.
BOUND = 4096 * 2.0**-24

c_int, c_int32, c_int64 = ctypes.c_int, ctypes.c_int32, ctypes.c_int64
c_size, c_void = ctypes.c_size_t, ctypes.c_void_p


class Mask(ctypes.Structure):
    """span_mask"""

    _fields_ = [("size", c_size), ("kind", c_int)]


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
    library.span_attention_workspace_bytes.restype = c_size
    library.span_attention_workspace_bytes.argtypes = [c_void]
    library.span_attention_free.argtypes = [c_void]
    library.span_attention_free.restype = None
    library.span_set_log.restype = None
    library.span_set_log(print_cause, None)
    return library


def describe(tensor):
    """A [B,H,S,D] torch tensor as span_tensor."""
    strides = tensor.stride()
    return Tensor(tensor.data_ptr(), 1, strides[0], strides[2], strides[1])


class Span:
    """One attention op of libspan on [B,H,S,D] tensors."""

    def __init__(self, library, tokens, head_size, causal):
        options = Options(
            size=ctypes.sizeof(Options),
            batch=BATCH,
            query_tokens=tokens,
            key_tokens=tokens,
            query_heads=HEADS,
            kv_heads=HEADS,
            head_size=head_size,
            dtype=1,
            mask=Mask(ctypes.sizeof(Mask), int(causal)),
            tile=TILE,
        )
        self.span, self.op = library, c_void()
        must(library.span_attention_create(ctypes.byref(options), ctypes.byref(self.op)))
        need = library.span_attention_workspace_bytes(self.op)
        self.memory = torch.empty(need + 64, dtype=torch.uint8)
        self.workspace = c_void((self.memory.data_ptr() + 63) // 64 * 64)

    def forward(self, q, k, v, out, lse):
        tensors = [ctypes.byref(describe(t)) for t in (q, k, v, out)]
        must(
            self.span.span_attention_forward(
                self.op, *tensors, c_void(lse.data_ptr()), self.workspace
            )
        )

    def backward(self, q, k, v, out, dout, lse, gradients):
        inputs = [ctypes.byref(describe(t)) for t in (q, k, v, out, dout)]
        outputs = [ctypes.byref(describe(t)) for t in gradients]
        must(
            self.span.span_attention_backward(
                self.op, *inputs, c_void(lse.data_ptr()), *outputs, self.workspace
            )
        )

    def close(self):
        self.span.span_attention_free(self.op)


def must(status):
    if status != 0:
        raise SystemExit(f"libspan returned {status}")


def cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def is_close(ours, theirs):
    """Within BOUND of the largest element; a NaN is never close."""
    return bool((ours - theirs).abs().max() <= BOUND * theirs.abs().max())


def measure(ours, theirs, rounds):
    """Best times of both and the range of their ratio, timed in turns."""
    pairs = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(rounds)]
    ratios = [their / our for our, their in pairs]
    return min(p[0] for p in pairs), min(p[1] for p in pairs), min(ratios), max(ratios)


def one_case(library, tokens, head_size, causal):
    """Yields (name of the pass, whether results agree, times) of one shape."""
    shape = (BATCH, HEADS, tokens, head_size)
    torch.manual_seed(tokens + head_size + causal)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    dout, out = torch.randn(shape), torch.empty(shape)
    lse = torch.empty(BATCH, HEADS, tokens)
    gradients = [torch.empty(shape) for _ in range(3)]
    span = Span(library, tokens, head_size, causal)

    def attend():
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def their_forward():
        with torch.no_grad():
            attend()

    their_out = attend()

    def their_backward():
        return torch.autograd.grad(their_out, (q, k, v), dout, retain_graph=True)

    def our_forward():
        span.forward(q, k, v, out, lse)

    def our_backward():
        span.backward(q, k, v, out, dout, lse, gradients)

    our_forward()
    our_backward()
    agree = is_close(out, their_out.detach())
    yield "forward", agree, measure(our_forward, their_forward, ROUNDS[tokens])
    agree = all(map(is_close, gradients, their_backward()))
    yield "backward", agree, measure(our_backward, their_backward, ROUNDS[tokens])
    span.close()


def cases():
    for causal in (False, True):
        for tokens in (1024, 4096):
            for head_size in (64, 128):
                yield tokens, head_size, causal


def main():
    library = load(sys.argv[1])
    torch.set_num_threads(1)
    passed, failed, figures = 0, 0, []
    print(f"\nlibspan beside torch {torch.__version__}: times of torch over times of libspan")
    for tokens, head_size, causal in cases():
        mask = "causal" if causal else "full"
        for name, agree, (ours, theirs, low, high) in one_case(
            library, tokens, head_size, causal
        ):
            figure = {
                "name": f"peers.torch.{name}.f32.{mask}.s{tokens}.d{head_size}.speedup",
                "value": theirs / ours,
                "unit": "1",
                "note": f"libspan {ours:.4f} s, torch {theirs:.4f} s, "
                f"rounds {low:.2f} to {high:.2f}",
            }
            print(f"{figure['name']:60} {figure['value']:8.3f}  {figure['note']}", flush=True)
            passed, failed = passed + agree, failed + (not agree)
            if not agree:
                print(f"FAILED: {figure['name']}: results differ by more than {BOUND:.1e}")
            figures.append(figure)
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
