"""PyTorch's scaled_dot_product_attention beside libspan, interleaved in one process.

    python peers.py LIBSPAN.SO [JSON-FILE]

One thread, process CPU time, f32, B 1, H 4, [B,H,S,D]. Each round times both, one after the
other; a figure is the ratio of the best times (above 1: libspan is faster), its note has both
times and the lowest and highest ratio of a round. Results are compared first: a fast wrong
answer is worth nothing. Closes with the number of comparisons that passed and failed.
"""

import json
import sys
import time

import span_ctypes
import torch

BATCH, HEADS, TILE = 1, 4, 256
ROUNDS = {1024: 15, 4096: 5}
# Both sum in f32, in different orders: chains of up to 4096 terms. Relative to the largest
# element that is some 4096 x 2^-24, were all roundings in one direction.
BOUND = 4096 * 2.0**-24


def describe(tensor):
    """A [B,H,S,D] torch tensor as span_tensor."""
    strides = tensor.stride()
    return span_ctypes.Tensor(
        tensor.data_ptr(), span_ctypes.F32, strides[0], strides[2], strides[1]
    )


class Span:
    """One attention op of libspan on [B,H,S,D] tensors."""

    def __init__(self, library, tokens, head_size, causal):
        self.attention = span_ctypes.Attention(
            library, span_ctypes.make_options(BATCH, HEADS, tokens, head_size, causal, TILE)
        )

    def forward(self, q, k, v, out, lse):
        self.attention.forward(*map(describe, (q, k, v, out)), lse.data_ptr())

    def backward(self, q, k, v, out, dout, lse, gradients):
        inputs = map(describe, (q, k, v, out, dout))
        self.attention.backward(*inputs, lse.data_ptr(), list(map(describe, gradients)))

    def close(self):
        self.attention.close()


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
    library = span_ctypes.load(sys.argv[1])
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
