"""The inverse of the empirical Fisher information by M-FAC: PyTorch and thalweg on the same gradients, in turns.

    OMP_PROC_BIND=true OMP_PLACES=cores python benches/peers/m_fac.py [GRADIENTS WIDTH]

Single precision, two pinned threads, the least of the repetitions. PyTorch's side is the paper's algorithms written out as
they are told there: the static one row after row (`rows`, which takes minutes and is run once), and, since that is a method
of pairs of vectors, once more by products of matrices of 64 rows (`tiles`); the product with a vector; and the sliding window,
a gradient replaced and its product. Before it times anything it holds the products of both sides against one in double precision.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

# Before PyTorch binds this thread to one of them, which a child would inherit.
CORES = os.sched_getaffinity(0)

import numpy
import torch

import peers

DAMP = 1e-5
REPETITIONS = 3
TILE = 64


def rows(g):
    """v in place of g, and the denominators, a gradient at a time."""
    m = len(g)
    denominators = torch.empty(m)
    for i in range(m):
        own = g[i].clone()
        v = own / DAMP
        if i:
            v -= ((g[:i] @ own) / denominators[:i]) @ g[:i]
        denominators[i] = m + own @ v
        g[i] = v
    return g, denominators


def tiles(g):
    """The same, with what earlier tiles take off computed for a tile at once."""
    m = len(g)
    denominators = torch.empty(m)
    for start in range(0, m, TILE):
        end = min(m, start + TILE)
        own = g[start:end].clone()
        g[start:end] /= DAMP
        if start:
            g[start:end] -= (own @ g[:start].T / denominators[:start]) @ g[:start]
        for i in range(start, end):
            if i > start:
                g[i] -= ((g[start:i] @ own[i - start]) / denominators[start:i]) @ g[start:i]
            denominators[i] = m + own[i - start] @ g[i]
    return g, denominators


def product(v, denominators, x):
    return x / DAMP - (v @ x / denominators) @ v


class Window:
    """The last m gradients, their products, and D and B of these."""

    def __init__(self, g):
        self.g, self.last = g, 0
        self.products = g @ g.T

    def replace(self, gradient):
        self.g[self.last] = gradient
        along = self.g @ gradient
        self.products[self.last] = along
        self.products[:, self.last] = along
        self.last = (self.last + 1) % len(self.g)
        m = len(self.g)
        self.d = torch.zeros(m, m)
        self.b = torch.zeros(m, m)
        for i in range(m):
            self.d[i, i:] = self.products[i, i:] / DAMP
            self.b[i, i] = 1 / DAMP
            if i:
                share = self.d[:i, i] / (m + self.d.diagonal()[:i])
                self.d[i, i:] -= share @ self.d[:i, i:]
                self.b[i, :i] = -share @ self.b[:i, :i]

    def product(self, x):
        m = len(self.g)
        t = self.g @ x / DAMP
        denominators = m + self.d.diagonal()
        for i in range(1, m):
            t[i:] -= self.d[i - 1, i:] * (t[i - 1] / denominators[i - 1])
        return x / DAMP - (self.b.T @ (t / denominators)) @ self.g


def exact(g, x):
    """By Woodbury in double precision, the gradients in pieces."""
    m = len(g)
    between = torch.zeros(m, m, dtype=torch.float64)
    along = torch.zeros(m, dtype=torch.float64)
    pieces = range(0, g.shape[1], 1 << 16)
    for start in pieces:
        piece = g[:, start : start + (1 << 16)].double()
        between += piece @ piece.T
        along += piece @ x[start : start + (1 << 16)].double()
    y = torch.linalg.solve(between + DAMP * m * torch.eye(m, dtype=torch.float64), along)
    parts = [g[:, start : start + (1 << 16)].double().T @ y for start in pieces]
    return (x.double() - torch.cat(parts)) / DAMP


def timed(step):
    started = time.perf_counter()
    out = step()
    return 1e3 * (time.perf_counter() - started), out


def main():
    torch.set_num_threads(2)
    m, d = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (512, 1_000_000)
    peer = peers.binary("m_fac")
    generator = torch.Generator().manual_seed(0)
    g = 1e-2 * torch.randn(m, d, generator=generator)
    x = 1e-2 * torch.randn(d, generator=generator)
    print(f"PyTorch {torch.__version__}, {m} gradients of {d} numbers, the least of {REPETITIONS}, milliseconds", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        g.numpy().tofile(folder / "gradients.f32")
        x.numpy().tofile(folder / "x.f32")
        process = subprocess.Popen(
            [peer, "--bench", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, CORES),
        )

        def ask(word):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        ours, theirs = {}, {}

        def keep(of, name, spent):
            of[name] = min(of.get(name, float("inf")), spent)

        for round in range(REPETITIONS):
            keep(ours, "rows", ask("precompute"))
            time.sleep(0.1)
            for name, method in [("rows", rows), ("tiles", tiles)][round > 0 :]:
                copy = g.clone()
                spent, (v, denominators) = timed(lambda: method(copy))
                keep(theirs, name, spent)
            for _ in range(5):
                keep(ours, "product", ask("product"))
                time.sleep(0.05)
                keep(theirs, "product", timed(lambda: product(v, denominators, x))[0])
        ours["tiles"] = ours["rows"]
        ask("check")
        expected = exact(g, x)
        size = expected.abs().max()
        found = torch.from_numpy(numpy.fromfile(folder / "checked.f32", numpy.float32))
        off = [((one.double() - expected).abs().max() / size).item() for one in (found, product(v, denominators, x))]
        print(f"off the product in double precision, of its largest number: thalweg {off[0]:.1e}, PyTorch {off[1]:.1e}")
        if off[0] > 1e-3:
            raise SystemExit("the products differ")
        del v
        window = Window(g)
        for _ in range(5):
            keep(ours, "window", ask("window"))
            time.sleep(0.05)
            keep(theirs, "window", timed(lambda: (window.replace(x), window.product(x)))[0])
        process.stdin.close()
        process.wait()
    print(f"{'':10} {'thalweg':>10} {'PyTorch':>10} {'ratio':>8}")
    for name in ("rows", "tiles", "product", "window"):
        print(f"{name:10} {ours[name]:10.1f} {theirs[name]:10.1f} {theirs[name] / ours[name]:8.2f}")


if __name__ == "__main__":
    main()
