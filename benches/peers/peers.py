"""The same arrays to PyTorch and to thalweg, in turns: forward and backward, single precision, two pinned threads.

    OMP_PROC_BIND=true OMP_PLACES=cores python benches/peers/peers.py [--compile] [CASE..]

Prints medians over the repetitions, their ratio, the MiB that a step must at least move, the step's time over that of
copying as many, and the peak memory of both processes.
With --compile PyTorch's side is what torch.compile makes of it, in the cases of one loss (it needs a C++ compiler).
Before it times a case it holds value and gradients of both against each other.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# Before PyTorch binds this thread to one of them, which a child would inherit.
CORES = os.sched_getaffinity(0)

import numpy
import torch
import torch.nn.functional as F

import training
import pairs

REPETITIONS = 15
# A case that takes longer than so many seconds gets fewer, but not fewer than so many.
LONGEST, FEWEST = 60, 5
# Seconds between turns: threads of the other side go on spinning for a while after their work is done. A turn is a step
# that is not timed and one that is: in training, too, the layer before has just written what a loss reads.
PAUSE = 0.02
ROOT = pathlib.Path(__file__).resolve().parents[2]


def log_p(logits, targets):
    return F.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]


def gce(logits, targets, q=0.7):
    return ((1 - torch.exp(q * log_p(logits, targets))) / q).mean()


def focal(logits, targets):
    log = log_p(logits, targets)
    return (-((1 - log.exp()) ** 2) * log).mean()


def ldr_kl(logits, targets, scale=10.0, margin=0.1):
    own = logits.gather(1, targets[:, None])
    delta = (logits - own + margin).scatter(1, targets[:, None], 0.0)
    return (scale * (torch.logsumexp(delta / scale, 1) - numpy.log(logits.shape[1]))).mean()


def aldr_kl(lambdas, logits, targets, lambda0=10.0, alpha=2.0, margin=0.1):
    own = logits.gather(1, targets[:, None])
    delta = (logits - own + margin).scatter(1, targets[:, None], 0.0)
    log_classes = numpy.log(logits.shape[1])
    with torch.no_grad():
        log_weights = torch.log_softmax(delta / lambdas[:, None], 1)
        divergence = (log_weights.exp() * log_weights).sum(1) + log_classes
        lambdas.copy_(lambda0 * (1 - (divergence / log_classes).clamp(0, 1) / alpha))
    losses = lambdas * (torch.logsumexp(delta / lambdas[:, None], 1) - log_classes)
    return (losses - 0.5 * alpha * log_classes / lambda0 * (lambdas - lambda0) ** 2).mean()


def taylor(logits, targets):
    terms = 1 + logits + 0.5 * logits**2
    return -(torch.log(terms.gather(1, targets[:, None])[:, 0]) - torch.log(terms.sum(1))).mean()


def z_loss(logits, targets):
    mean = logits.mean(1, keepdim=True)
    deviation = logits.std(1, keepdim=True, correction=0)
    z = ((logits - mean) / deviation).gather(1, targets[:, None])[:, 0]
    return F.softplus(-z).mean()


def kd(logits, teacher, temperature=4.0):
    student = F.log_softmax(logits / temperature, 1)
    taught = F.log_softmax(teacher / temperature, 1)
    return temperature**2 * F.kl_div(student, taught, reduction="batchmean", log_target=True)


def linear_cross_entropy(hidden, weight, targets):
    return F.cross_entropy(hidden @ weight.T, targets)


# Name: (function, shapes of its variables, other arrays, passes over the largest array that a step cannot do without).
LOGITS = {
    "cross_entropy": F.cross_entropy,
    "generalized_cross_entropy": gce,
    "mean_absolute_error": lambda logits, targets: (1 - log_p(logits, targets).exp()).mean(),
    "focal": focal,
    "ldr_kl": ldr_kl,
    "taylor_softmax": taylor,
    "z_loss": z_loss,
}
CASES = [(name, [("logits", (4096, 1000))]) for name in LOGITS]
CASES += [
    ("aldr_kl", [("logits", (4096, 1000))]),
    ("cross_entropy", [("logits", (512, 32000))]),
    ("kd", [("logits", (4096, 1000)), ("teacher", (4096, 1000))]),
    ("linear_cross_entropy", [("hidden", (2048, 512)), ("weight", (32000, 512))]),
    ("linear_cross_entropy", [("hidden", (512, 512)), ("weight", (256000, 512))]),
]
CASES += pairs.CASES


def binary(name="peer"):
    """Builds the other side and finds it."""
    command = ["cargo", "bench", "--workspace", "--bench", name, "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in built.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == name and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo built no peer")


def arrays(shapes, folder):
    generator = numpy.random.default_rng(0)
    made = {}
    for name, shape in shapes:
        scale = 3.0 if name in ("logits", "teacher") else shape[-1] ** -0.5 if name == "weight" else 1.0
        made[name] = (scale * generator.standard_normal(shape)).astype(numpy.float32)
        made[name].tofile(folder / f"{name}.f32")
        (folder / f"{name}.shape").write_text(" ".join(map(str, shape)))
    first = shapes[0][1]
    classes = shapes[-1][1][0] if shapes[-1][0] == "weight" else first[1]
    targets = generator.integers(0, classes, first[0])
    targets.astype(numpy.int64).tofile(folder / "targets.i64")
    return made, torch.from_numpy(targets)


def torch_step(name, made, targets):
    tensors = {key: torch.from_numpy(value) for key, value in made.items()}
    if name == "kd":
        variables = [tensors["logits"].requires_grad_()]
        return variables, lambda: kd(variables[0], tensors["teacher"])
    variables = [tensor.requires_grad_() for tensor in tensors.values()]
    if name == "aldr_kl":
        lambdas = torch.full((len(targets),), 10.0)
        return variables, lambda: aldr_kl(lambdas, variables[0], targets)
    if name in pairs.LOSSES:
        return variables, lambda: pairs.LOSSES[name](*variables)
    if name == "linear_cross_entropy":
        return variables, lambda: linear_cross_entropy(*variables, targets)
    return variables, lambda: LOGITS[name](variables[0], targets)


def timed(variables, step):
    for variable in variables:
        variable.grad = None
    started = time.perf_counter()
    loss = step()
    loss.backward()
    return 1e3 * (time.perf_counter() - started), loss


def copying(count):
    """Milliseconds that it takes to move so many bytes: half are read, half written."""
    source = torch.zeros(count // 8)
    target = torch.zeros_like(source)
    times = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        target.copy_(source)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def peak(process):
    """The most memory that a process held at once, in MiB: arrays, their gradients and the library itself."""
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) >> 10
    raise SystemExit("the system tells no peak memory")


def run(peer, name, shapes, compiled):
    # Forgets the peak so far.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        made, targets = arrays(shapes, folder)
        variables, step = torch_step(name, made, targets)
        if compiled:
            step = torch.compile(step)
        process = subprocess.Popen(
            [peer, "--bench", name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, CORES),
        )

        def ask(word):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        ask("check")
        _, loss = timed(variables, step)
        ours = numpy.fromfile(folder / "checked.f32", numpy.float32)
        theirs = numpy.concatenate([[loss.item()]] + [v.grad.numpy().ravel() for v in variables])
        worst = numpy.abs(ours - theirs).max() / numpy.abs(theirs[1:]).max()
        value = abs(ours[0] - theirs[0]) / abs(theirs[0])
        if value > 1e-4 or numpy.abs(ours[1:] - theirs[1:]).max() > 1e-3 * numpy.abs(theirs[1:]).max():
            raise SystemExit(f"{name}: values differ by {value:.1e}, gradients by {worst:.1e}")
        rows = []
        started = time.perf_counter()
        while len(rows) < REPETITIONS and (len(rows) < FEWEST or time.perf_counter() - started < LONGEST):
            time.sleep(PAUSE)
            ask("time")
            ours = ask("time")
            time.sleep(PAUSE)
            timed(variables, step)
            rows.append((ours, timed(variables, step)[0]))
        peaks = peak(process.pid), peak(os.getpid())
        process.stdin.close()
        process.wait()
    ours, theirs = (statistics.median(column) for column in zip(*rows))
    # Every input is read once and every gradient written once.
    moved = sum(4 * numpy.prod(shape) for _, shape in shapes) + 4 * sum(v.numel() for v in variables)
    limit = copying(int(moved))
    shape = " ".join("x".join(map(str, shape)) for _, shape in shapes)
    print(
        f"{name:26} {shape:22} {ours:9.2f} {theirs:9.2f} {ours / theirs:7.2f} {moved / 2**20:8.0f} {ours / limit:7.2f} {peaks[0]:6} {peaks[1]:6}",
        flush=True,
    )


def main():
    torch.set_num_threads(2)
    print(f"PyTorch {torch.__version__}, {os.cpu_count()} cores, medians of {REPETITIONS}")
    print(f"{'case':26} {'arrays':22} {'thalweg':>9} {'PyTorch':>9} {'ratio':>7} {'MiB':>8} {'/copy':>7} {'peak':>6} {'MiB':>6}")
    peer = binary()
    compiled = "--compile" in sys.argv
    wanted = [word for word in sys.argv[1:] if word != "--compile"]
    for name, shapes in CASES:
        if not wanted or name in wanted:
            run(peer, name, shapes, compiled)
    training.main(peer, wanted, copying)


if __name__ == "__main__":
    main()
