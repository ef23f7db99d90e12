"""Training steps, and the layers and optimisers in them, beside PyTorch's: called by peers.py.

Medians of 60 steps on each side, in twelve turns.
"""

import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy
import torch
import torch.nn.functional as F

TURNS = 12
STEPS = 3


def write(folder, name, values):
    values = numpy.ascontiguousarray(values, numpy.float32)
    values.tofile(folder / f"{name}.f32")
    (folder / f"{name}.shape").write_text(" ".join(map(str, values.shape)))


def uniform(generator, shape, fan_in):
    return generator.uniform(-1, 1, shape).astype(numpy.float32) * fan_in**-0.5


def data(folder, generator, rows, width):
    inputs = generator.standard_normal((rows, width)).astype(numpy.float32)
    targets = generator.integers(0, 10, rows)
    write(folder, "inputs", inputs)
    targets.astype(numpy.int64).tofile(folder / "targets.i64")
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def linear(folder, generator, index, inputs, outputs):
    """A layer, whose weight the other side keeps transposed."""
    weight = uniform(generator, (inputs, outputs), inputs)
    bias = uniform(generator, (outputs,), inputs)
    write(folder, f"weight{index}", weight)
    write(folder, f"bias{index}", bias)
    layer = torch.nn.Linear(inputs, outputs)
    layer.weight.data = torch.from_numpy(weight.T.copy())
    layer.bias.data = torch.from_numpy(bias)
    return layer


def training(model, inputs, targets):
    optimizer = torch.optim.Adam(model.parameters())

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp_step(folder, generator):
    inputs, targets = data(folder, generator, 256, 784)
    widths = [784, 512, 512, 10]
    layers = [linear(folder, generator, i, *widths[i : i + 2]) for i in range(3)]
    relu = torch.nn.ReLU()
    model = torch.nn.Sequential(layers[0], relu, layers[1], relu, layers[2])
    return training(model, inputs, targets)


def conv(folder, generator, index, inputs, outputs):
    weight = uniform(generator, (outputs, inputs, 3, 3), 9 * inputs)
    bias = uniform(generator, (outputs,), 9 * inputs)
    write(folder, f"weight{index}", weight)
    write(folder, f"bias{index}", bias)
    layer = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
    layer.weight.data = torch.from_numpy(weight)
    layer.bias.data = torch.from_numpy(bias)
    return layer


def conv_step(folder, generator):
    inputs, targets = data(folder, generator, 128, 784)
    first, second = conv(folder, generator, 0, 1, 32), conv(folder, generator, 1, 32, 64)
    last = linear(folder, generator, 2, 64 * 7 * 7, 10)
    relu, pool = torch.nn.ReLU(), torch.nn.MaxPool2d(2)
    image = torch.nn.Unflatten(1, (1, 28, 28))
    layers = [image, first, relu, pool, second, relu, pool, torch.nn.Flatten(), last]
    return training(torch.nn.Sequential(*layers), inputs, targets)


def conv2d(folder, generator, inputs, outputs):
    layer = conv(folder, generator, 0, inputs, outputs)
    images = generator.standard_normal((128, inputs, 28, 28)).astype(numpy.float32)
    upstream = generator.standard_normal((128, outputs, 28, 28)).astype(numpy.float32)
    write(folder, "inputs", images)
    write(folder, "upstream", upstream)
    variable, upstream = torch.from_numpy(images).requires_grad_(), torch.from_numpy(upstream)

    def step():
        variable.grad = None
        layer.zero_grad()
        (layer(variable) * upstream).sum().backward()
        return variable.grad[0, 0, 5, 5] + layer.weight.grad[0, 0, 0, 0]

    return step


def adamw(folder, generator, **options):
    parameters, gradient = generator.standard_normal((2, 10_000_000)).astype(numpy.float32)
    write(folder, "parameters", parameters)
    write(folder, "gradient", gradient)
    variable = torch.nn.Parameter(torch.from_numpy(parameters.copy()))
    variable.grad = torch.from_numpy(gradient.copy())
    optimizer = torch.optim.AdamW([variable], **options)

    def step():
        optimizer.step()
        return variable.detach()[0].clone()

    return step


# Name printed: (case of the other side, PyTorch's side, bytes that a step must at least move).
CASES = {
    "mlp_step": ("mlp_step", mlp_step, None),
    "mlp_step_by_burn": ("mlp_step_by_burn", mlp_step, None),
    "conv2d 128x1x28x28 -> 32": ("conv2d", lambda *folder: conv2d(*folder, 1, 32), None),
    "conv2d 128x32x28x28 -> 64": ("conv2d", lambda *folder: conv2d(*folder, 32, 64), None),
    "conv_step": ("conv_step", conv_step, None),
    "conv_step_by_burn": ("conv_step_by_burn", conv_step, None),
    "adamw": ("adamw", adamw, 280_000_000),
    "adamw_foreach": ("adamw", lambda *folder: adamw(*folder, foreach=True), 280_000_000),
    "adamw_fused": ("adamw", lambda *folder: adamw(*folder, fused=True), 280_000_000),
}


# Steps of training follow one another: each side takes a few in its turn, of which the first ones, on cores that the other
# side's waiting threads and data have not left yet, do not count.
TURN = 8
SETTLING = 3


def timed(step):
    started = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - started)


def run(peer, name, copying):
    case, make, moved = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def fresh():
            torch.manual_seed(0)
            return make(folder, numpy.random.default_rng(0))

        step = fresh()
        command = [peer, "--bench", case, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ask(word):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        ask("check")
        ours = numpy.fromfile(folder / "checked.f32", numpy.float32)
        theirs = numpy.array([step().item() for _ in range(STEPS)])
        if numpy.abs(ours - theirs).max() > 1e-3 * numpy.abs(theirs).max():
            raise SystemExit(f"{name}: {ours} here, {theirs} there")
        turns = [
            ([ask("time") for _ in range(TURN)], [timed(step) for _ in range(TURN)]) for _ in range(TURNS)
        ]
        process.stdin.close()
        process.wait()
    ours, theirs = (
        statistics.median(time for times in side for time in times[SETTLING:]) for side in zip(*turns)
    )
    line = f"{name:49} {ours:9.2f} {theirs:9.2f} {ours / theirs:7.2f}"
    if moved:
        line += f" {moved / 2**20:8.0f} {ours / copying(moved):7.2f}"
    print(line, flush=True)


def main(peer, wanted, copying):
    for name in CASES:
        if not wanted or name.split()[0] in wanted:
            run(peer, name, copying)
