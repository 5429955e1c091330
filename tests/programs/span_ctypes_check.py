"""Whether ../bench/span_ctypes.py is what the headers and the library say.

    python3 span_ctypes_check.py LIBSPAN.SO     from the top of the tree; CC: the compiler

Sizes and offsets of all structs against the headers, as the compiler lays them out; wrong sizes
are refused by the library, which names its own; forward and backward of a small problem against
attention written out in Python. Closes with the number of checks that passed and failed.
"""

import ctypes
import math
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
import span_ctypes  # noqa: E402

STRUCTS = (span_ctypes.Mask, span_ctypes.Options, span_ctypes.Tensor)
HEADS, TOKENS, HEAD_SIZE, TILE = 2, 40, 8, 16
# No result is more than four sums deep (scores, weights, delta or dP, gradient), none of more
# than S + D terms. Relative to the largest element, were all roundings in one direction.
BOUND = 4 * (TOKENS + HEAD_SIZE) * 2.0**-24

passed = failed = 0


def expect(what, good):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED: {what}")


# ---- sizes ----


def in_python():
    """{struct or struct.member: (offset, size)}; the docstring of a struct is its name in C."""
    places = {}
    for struct in STRUCTS:
        places[struct.__doc__] = (0, ctypes.sizeof(struct))
        for name, _ in struct._fields_:
            member = getattr(struct, name)
            places[f"{struct.__doc__}.{name}"] = (member.offset, member.size)
    return places


def in_c():
    """The same, by the compiler."""
    lines = ['#include "attention/span_attention.h"', "#include <stdio.h>", "int main(void)", "{"]
    for place in in_python():
        struct, _, member = place.partition(".")
        where = f"offsetof({struct}, {member})" if member else "(size_t)0"
        size = f"sizeof((({struct} *)0)->{member})" if member else f"sizeof({struct})"
        lines.append(f'printf("{place} %zu %zu\\n", {where}, {size});')
    lines += ["return 0;", "}", ""]
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "places")
        command = shlex.split(os.environ.get("CC", "cc"))
        command += ["-I.", "-x", "c", "-", "-o", program]
        subprocess.run(command, input="\n".join(lines), text=True, check=True)
        output = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {p: (int(o), int(s)) for p, o, s in (line.split() for line in output.splitlines())}


def check_places():
    theirs = in_c()
    for place, ours in in_python().items():
        expect(f"{place}: offset, size {ours}; in C {theirs[place]}", ours == theirs[place])


class Messages:
    """The log of the library, in place of print_cause while it is watched."""

    def __init__(self, library):
        self.span, self.lines = library, []
        self.hook = span_ctypes.LOG(lambda _u, _s, message: self.lines.append(message.decode()))

    def __enter__(self):
        self.span.span_set_log(self.hook, None)
        return self.lines

    def __exit__(self, *_error):
        self.span.span_set_log(span_ctypes.print_cause, None)


def options(causal):
    return span_ctypes.make_options(1, HEADS, TOKENS, HEAD_SIZE, causal, TILE)


def check_refused(library, what, wrong, size):
    """Options with a wrong size are refused, in a message that names the right one."""
    op = ctypes.c_void_p()
    with Messages(library) as said:
        status = library.span_attention_create(wrong, op)
    expect(f"{what} of another size was accepted", status != 0 and not op)
    known = [int(n) for line in said for n in re.findall(r"\d+", line)]
    expect(f"{what}: {size} bytes here; libspan: {said}", len(said) == 1 and size in known[1:])


def check_sizes(library):
    for off in (-8, 8):
        wrong = options(True)
        wrong.size += off
        check_refused(library, "options", wrong, ctypes.sizeof(span_ctypes.Options))
        wrong = options(True)
        wrong.mask.size += off
        check_refused(library, "mask", wrong, ctypes.sizeof(span_ctypes.Mask))


# ---- results ----


class Rows:
    """[H][S][D] floats, and as the library wants them."""

    def __init__(self, source=None):
        n = HEADS * TOKENS * HEAD_SIZE
        self.data = (ctypes.c_float * n)(*([source.uniform(-1, 1) for _ in range(n)] if source
                                           else [math.nan] * n))
        self.tensor = span_ctypes.Tensor(ctypes.addressof(self.data), span_ctypes.F32, n,
                                         HEAD_SIZE, TOKENS * HEAD_SIZE)

    def head(self, h):
        start = h * TOKENS * HEAD_SIZE
        return [list(self.data[start + i * HEAD_SIZE:start + (i + 1) * HEAD_SIZE])
                for i in range(TOKENS)]


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def combine(weights, rows):
    return [dot(weights, column) for column in zip(*rows)]


def transposed(matrix):
    return [list(column) for column in zip(*matrix)]


def attend(q, k, v, dout, causal):
    """out, lse, dq, dk, dv of one head, as mathematics."""
    scale = HEAD_SIZE**-0.5
    out, lse, p, ds = [], [], [], []
    for i in range(TOKENS):
        seen = i + 1 if causal else TOKENS
        scores = [scale * dot(q[i], k[j]) for j in range(seen)]
        lse.append(math.log(math.fsum(map(math.exp, scores))))
        p.append([math.exp(s - lse[i]) for s in scores] + [0.0] * (TOKENS - seen))
        out.append(combine(p[i], v))
        delta = dot(out[i], dout[i])
        ds.append([scale * p[i][j] * (dot(dout[i], v[j]) - delta) for j in range(TOKENS)])
    return (out, lse, [combine(row, k) for row in ds],
            [combine(row, q) for row in transposed(ds)],
            [combine(row, dout) for row in transposed(p)])


def is_close(ours, theirs):
    """Within BOUND of the largest element; a NaN is never close."""
    most = max(map(abs, theirs))
    return all(abs(a - b) <= BOUND * most for a, b in zip(ours, theirs))


def flat(rows):
    return [x for row in rows for x in row]


def check_results(library, causal):
    source = random.Random(7 + causal)
    q, k, v, dout = (Rows(source) for _ in range(4))
    out, dq, dk, dv = (Rows() for _ in range(4))
    lse = (ctypes.c_float * (HEADS * TOKENS))(*[math.nan] * (HEADS * TOKENS))
    attention = span_ctypes.Attention(library, options(causal))
    attention.forward(q.tensor, k.tensor, v.tensor, out.tensor, ctypes.addressof(lse))
    attention.backward(q.tensor, k.tensor, v.tensor, out.tensor, dout.tensor,
                       ctypes.addressof(lse), [dq.tensor, dk.tensor, dv.tensor])
    attention.close()
    for h in range(HEADS):
        theirs = attend(q.head(h), k.head(h), v.head(h), dout.head(h), causal)
        ours = (out.head(h), lse[h * TOKENS:(h + 1) * TOKENS], dq.head(h), dk.head(h),
                dv.head(h))
        for name, a, b in zip(("out", "lse", "dq", "dk", "dv"), ours, theirs):
            good = is_close(a, b) if name == "lse" else is_close(flat(a), flat(b))
            expect(f"{name} of head {h}, causal {causal}, differs by more than {BOUND:.1e}", good)


def main():
    library = span_ctypes.load(sys.argv[1])
    check_places()
    check_sizes(library)
    for causal in (False, True):
        try:
            check_results(library, causal)
        except SystemExit as refusal:
            expect(f"causal {causal}: {refusal}", False)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
