"""Cases of all pairs of a batch, of sorting networks, and of singular values, as PyTorch users write them."""

import functools
import math

import torch
import torch.nn.functional as F


def nt_xent(first, second, temperature=0.1):
    z = F.normalize(torch.cat([first, second]), dim=1)
    scores = z @ z.T / temperature
    scores.fill_diagonal_(-torch.inf)
    batch = first.shape[0]
    others = torch.cat([torch.arange(batch, 2 * batch), torch.arange(batch)])
    return F.cross_entropy(scores, others)


def clip(first, second, temperature=0.07):
    scores = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
    own = torch.arange(first.shape[0])
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))


def sig_lip(first, second, temperature=0.1, bias=-10.0):
    logits = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature + bias
    signs = 2 * torch.eye(first.shape[0]) - 1
    return -F.logsigmoid(signs * logits).sum() / first.shape[0]


def odd_even(n):
    return [[(i, i + 1) for i in range(layer % 2, n - 1, 2)] for layer in range(n)]


def bitonic(n):
    """Of a power of two."""
    layers = []
    for block in range(int(math.log2(n))):
        for stride in (1 << power for power in range(block, -1, -1)):
            wires = [i for i in range(n) if not i & stride]
            turned = [(i + stride, i) if (i >> (block + 1)) % 2 else (i, i + stride) for i in wires]
            layers.append(turned)
    return layers


@functools.cache
def wiring(network, n):
    """For each layer the matrices that pick the wires of the smaller and of the larger number, and those that pass."""
    made = []
    for layer in network(n):
        low, high = torch.zeros(len(layer), n), torch.zeros(len(layer), n)
        passing = torch.eye(n)
        for row, (a, b) in enumerate(layer):
            low[row, a] = high[row, b] = 1
            passing[a, a] = passing[b, b] = 0
        made.append((low, high, passing))
    return made


def relaxed_sort(x, network, steepness=1.0):
    """Sorted rows and permutation [batch, input, rank], by the dense matrices that split and combine wires in each layer."""
    batch, n = x.shape
    permutation = torch.eye(n).expand(batch, n, n)
    for low, high, passing in wiring(network, n):
        a, b = x @ low.T, x @ high.T
        alpha = torch.atan(steepness * (b - a)) / math.pi + 0.5
        x = (alpha * a + (1 - alpha) * b) @ low + ((1 - alpha) * a + alpha * b) @ high + x @ passing
        a, b, alpha = permutation @ low.T, permutation @ high.T, alpha[:, None]
        smaller, larger = alpha * a + (1 - alpha) * b, (1 - alpha) * a + alpha * b
        permutation = smaller @ low + larger @ high + permutation @ passing
    return x, permutation


def group_ordering(positives, negatives, network):
    k = negatives.shape[1]
    x = torch.cat([negatives.sort(dim=1).values, positives.sort(dim=1).values], dim=1)
    _, permutation = relaxed_sort(x, network)
    mass = permutation[:, :, :k].sum(dim=2).clamp(0, 1)
    return F.binary_cross_entropy(mass, (torch.arange(x.shape[1]) < k).to(mass).expand_as(mass))


def permutation_bce(x, network):
    _, permutation = relaxed_sort(x, network)
    target = torch.eye(x.shape[1]).expand_as(permutation)
    return F.binary_cross_entropy(permutation.clamp(0, 1), target)


def singular_value_gram(z):
    z = F.normalize(z, dim=1)
    count, width = z.shape
    return (z.T @ z / count - torch.eye(width) / width).square().sum()


def singular_value_sigma(z):
    z = F.normalize(z, dim=1)
    return (torch.linalg.svdvals(z) - z.norm() / min(z.shape) ** 0.5).square().mean()


LOSSES = {
    "nt_xent": nt_xent,
    "clip": clip,
    "sig_lip": sig_lip,
    "group_ordering_odd_even": functools.partial(group_ordering, network=odd_even),
    "group_ordering_bitonic": functools.partial(group_ordering, network=bitonic),
    "permutation_odd_even": functools.partial(permutation_bce, network=odd_even),
    "permutation_bitonic": functools.partial(permutation_bce, network=bitonic),
    "singular_value_gram": singular_value_gram,
    "singular_value_sigma": singular_value_sigma,
}
CASES = [
    ("nt_xent", [("first", (1024, 128)), ("second", (1024, 128))]),
    ("nt_xent", [("first", (2048, 128)), ("second", (2048, 128))]),
    ("clip", [("first", (2048, 128)), ("second", (2048, 128))]),
    ("sig_lip", [("first", (2048, 128)), ("second", (2048, 128))]),
    ("group_ordering_odd_even", [("first", (512, 32)), ("second", (512, 32))]),
    ("group_ordering_bitonic", [("first", (512, 32)), ("second", (512, 32))]),
    ("permutation_odd_even", [("x", (512, 64))]),
    ("permutation_bitonic", [("x", (512, 64))]),
    ("singular_value_gram", [("z", (4096, 256))]),
    ("singular_value_gram", [("z", (512, 2048))]),
    ("singular_value_sigma", [("z", (1024, 128))]),
]
