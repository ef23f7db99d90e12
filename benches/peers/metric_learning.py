"""Losses of labelled embeddings and of views, beside pytorch-metric-learning: the same batches to both, in double precision.

    pip install torch pytorch-metric-learning
    python benches/peers/metric_learning.py THALWEG        # values and gradients, through `thalweg eval`
    OMP_PROC_BIND=true OMP_PLACES=cores python benches/peers/metric_learning.py --time

The first prints, for each loss and batch, by how much values and gradients differ at most, relative to the largest of its kind,
and what had to be translated from the one convention into the other. The second builds the peer of peers.py and times forward
and backward of both sides in turns, single precision, two pinned threads.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peers

import numpy
import torch
from pytorch_metric_learning import distances, losses, miners, reducers

SEEDS = range(5)
# What rounding and a softplus that is cut off may differ by.
ALLOWED = 1e-8
WIDTH = 16
CLASSES = 8
EUCLIDEAN = distances.LpDistance(normalize_embeddings=False)
SQUARED = distances.LpDistance(normalize_embeddings=False, power=2)
COSINE = distances.CosineSimilarity()
DOT = distances.DotProductSimilarity(normalize_embeddings=False)


def labels_of(batch, generator):
    if batch == "balanced":
        return generator.permutation(numpy.repeat(numpy.arange(CLASSES), 6))
    # From about half of the batch to classes of one embedding.
    shares = 1 / numpy.arange(1, 25) ** 1.5
    return generator.choice(24, 64, p=shares / shares.sum())


def of_labels(loss, miner=None):
    """The loss of embeddings and labels, with the pairs or triplets that a miner finds."""

    def run(tensors):
        mined = miner and miner(tensors["x"], tensors["labels"])
        return loss(tensors["x"], tensors["labels"], mined)

    return run


def of_views(loss, first, second):
    def run(tensors):
        x = torch.cat([tensors[first], tensors[second]])
        return loss(x, torch.arange(len(tensors[first])).repeat(2))

    return run


def semi_hard(distance):
    """Of each pair the closest negative that is farther away than the positive."""

    def mine(x, labels):
        with torch.no_grad():
            far = distance(x) if not distance.is_inverted else -distance(x)
        triplets = []
        for a, p in (labels[:, None] == labels[None]).nonzero().tolist():
            beyond = torch.where((labels != labels[a]) & (far[a] > far[a, p]), far[a], torch.inf)
            if a != p and beyond.min() < torch.inf:
                triplets.append((a, p, int(beyond.argmin())))
        return tuple(torch.tensor(triplets, dtype=torch.long).reshape(-1, 3).T)

    return mine


def margin_softmax(kind, **settings):
    def run(tensors):
        classes, width = tensors["weights"].shape
        loss = kind(num_classes=classes, embedding_size=width, **settings)
        # Class weights are columns of a parameter of its own there.
        weights = {"W": tensors["weights"].T}
        return torch.func.functional_call(loss, weights, (tensors["features"], tensors["labels"]))

    return run


def triplets(distance, theirs):
    """Every way of mining at one distance."""
    margin = 0.3
    loss = losses.TripletMarginLoss(margin=margin, distance=theirs)
    mean = losses.TripletMarginLoss(margin=margin, distance=theirs, reducer=reducers.MeanReducer())
    ours = {"margin": margin, "distance": distance}
    return [
        (f"TripletMargin {distance}", "triplet_margin_loss", ours, of_labels(loss), ""),
        (
            f"TripletMargin {distance}, MeanReducer",
            "triplet_margin_loss",
            ours | {"mean_over": "all"},
            of_labels(mean),
            "mean_over all",
        ),
        (
            f"TripletMargin {distance}, TripletMarginMiner all",
            "triplet_margin_loss",
            ours,
            of_labels(loss, miners.TripletMarginMiner(margin, "all", distance=theirs)),
            "drops triplets of cost 0, as mean_over non_zero does",
        ),
        (
            f"TripletMargin {distance}, BatchHardMiner",
            "triplet_margin_loss",
            ours | {"mining": "hard"},
            of_labels(loss, miners.BatchHardMiner(distance=theirs)),
            "mining hard",
        ),
        (
            f"TripletMargin {distance}, FaceNet semi-hard",
            "triplet_margin_loss",
            ours | {"mining": "semi_hard"},
            of_labels(loss, semi_hard(theirs)),
            "no such miner there: triplets handed over",
        ),
    ]


def contrastive(distance, theirs, **settings):
    loss = losses.ContrastiveLoss(distance=theirs, **settings)
    if distance == "cosine":
        margins = 1 - settings["pos_margin"], 1 - settings["neg_margin"]
        note = "margins are similarities there: 1 minus them"
    else:
        margins = settings["pos_margin"], settings["neg_margin"]
        note = ""
    ours = {"positive_margin": margins[0], "negative_margin": margins[1], "distance": distance}
    return (f"Contrastive {distance}", "contrastive_pair_loss", ours, of_labels(loss), note)


CHORD = distances.LpDistance()
LABELLED = [
    ("SupCon", "sup_con_loss", {"tau": 0.1}, of_labels(losses.SupConLoss(0.1)), ""),
    *triplets("chord", CHORD),
    *triplets("euclidean", EUCLIDEAN),
    *triplets("squared_euclidean", SQUARED),
    *triplets("cosine", COSINE),
    (
        "NPairs",
        "n_pairs_loss",
        {"regularization": 0.0, "distance": "cosine"},
        of_labels(losses.NPairsLoss()),
        "brings rows to unit length unless told otherwise; no regulariser",
    ),
    (
        "NPairs, normalize_embeddings=False",
        "n_pairs_loss",
        {"regularization": 0.0},
        of_labels(losses.NPairsLoss(distance=DOT)),
        "no regulariser",
    ),
    contrastive("chord", CHORD, pos_margin=0.2, neg_margin=1.0),
    contrastive("euclidean", EUCLIDEAN, pos_margin=1.0, neg_margin=5.0),
    contrastive("squared_euclidean", SQUARED, pos_margin=1.0, neg_margin=25.0),
    contrastive("cosine", COSINE, pos_margin=0.8, neg_margin=0.1),
    (
        "Circle",
        "circle_loss",
        {},
        of_labels(losses.CircleLoss()),
        "softplus is linear above 20 there",
    ),
    (
        "Circle, faces",
        "circle_loss",
        {"margin": 0.25, "gamma": 256},
        of_labels(losses.CircleLoss(m=0.25, gamma=256)),
        "softplus is linear above 20 there",
    ),
    (
        "MultiSimilarity",
        "multi_similarity_loss",
        {"mining": "none"},
        of_labels(losses.MultiSimilarityLoss()),
        "mining none",
    ),
    (
        "MultiSimilarity, MultiSimilarityMiner",
        "multi_similarity_loss",
        {},
        of_labels(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner(0.1)),
        "",
    ),
    (
        "CosFace",
        "margin_softmax_loss",
        {"head": "cosface", "s": 64, "m": 0.35},
        margin_softmax(losses.CosFaceLoss),
        "class weights are columns there",
    ),
    (
        "ArcFace",
        "margin_softmax_loss",
        {"head": "arcface", "s": 64, "m": float(numpy.radians(28.6))},
        margin_softmax(losses.ArcFaceLoss),
        "margin in degrees there; past a half turn linear there",
    ),
]
VIEWS = [
    (
        "NTXent",
        "nt_xent_loss",
        {"tau": 0.07},
        of_views(losses.NTXentLoss(0.07), "z1", "z2"),
        "views as pairs of one label",
    ),
    (
        "VICReg",
        "vicreg_loss",
        {},
        lambda tensors: losses.VICRegLoss()(tensors["x"], ref_emb=tensors["y"]),
        "",
    ),
]


def inputs(quantity, batch, seed):
    generator = numpy.random.default_rng([seed, len(batch)])
    normal = generator.standard_normal
    if quantity in ("nt_xent_loss", "vicreg_loss"):
        names = ("z1", "z2") if quantity == "nt_xent_loss" else ("x", "y")
        first = normal((40, WIDTH))
        return {names[0]: first, names[1]: first + 0.5 * normal((40, WIDTH))}
    labels = labels_of(batch, generator)
    centres = normal((24, WIDTH))
    x = 0.7 * centres[labels] + normal((len(labels), WIDTH))
    if quantity == "margin_softmax_loss":
        return {"features": x, "weights": normal((24, WIDTH)), "labels": labels}
    return {"x": x, "labels": labels}


def cases():
    for name, quantity, params, theirs, note in LABELLED:
        for batch in ("balanced", "imbalanced"):
            yield name, batch, quantity, params, theirs, note
    for name, quantity, params, theirs, note in VIEWS:
        yield name, "two views", quantity, params, theirs, note


def document():
    asked = []
    for at, (_, batch, quantity, params, _, _) in enumerate(cases()):
        for seed in SEEDS:
            given = {
                key: {"shape": list(value.shape), "data": value.ravel().tolist()}
                for key, value in inputs(quantity, batch, seed).items()
            }
            asked.append({"id": f"{at} {seed}", "quantity": quantity, "params": params, "inputs": given})
    return {"cases": asked}


def difference(found, expected):
    largest = numpy.abs(expected).max()
    return numpy.abs(found - expected).max() / (largest if largest > 0 else 1.0)


def compare(thalweg):
    asked = subprocess.run(
        [thalweg, "eval", "-"], input=json.dumps(document()), capture_output=True, text=True
    )
    answers = {answer["id"]: answer for answer in json.loads(asked.stdout)["cases"]}
    print(f"{len(SEEDS)} batches each, embeddings of width {WIDTH}, double precision")
    print(f"{'pytorch-metric-learning':54} {'batch':11} {'value':>8} {'gradient':>9}  translated")
    unequal = []
    for at, (name, batch, quantity, _, theirs, note) in enumerate(cases()):
        worst = [0.0, 0.0]
        for seed in SEEDS:
            answer = answers[f"{at} {seed}"]
            if "error" in answer:
                worst = answer["error"]
                break
            tensors = {key: torch.from_numpy(value) for key, value in inputs(quantity, batch, seed).items()}
            variables = {key: tensor.requires_grad_() for key, tensor in tensors.items() if key != "labels"}
            value = theirs(tensors)
            value.backward()
            outputs = answer["outputs"]
            worst[0] = max(worst[0], difference(outputs["value"], value.item()))
            for key, variable in variables.items():
                ours = numpy.reshape(outputs[f"grad_{key}"]["data"], variable.shape)
                worst[1] = max(worst[1], difference(ours, variable.grad.numpy()))
        if isinstance(worst, str):
            print(f"{name:54} {batch:11} not compared: {worst}")
        else:
            print(f"{name:54} {batch:11} {worst[0]:8.0e} {worst[1]:9.0e}  {note}")
            if not max(worst) <= ALLOWED:
                unequal.append(f"{name}, {batch}")
    if unequal:
        raise SystemExit("differ: " + "; ".join(unequal))


TIMED = {
    "triplet_all": of_labels(losses.TripletMarginLoss(margin=0.2)),
    "multi_similarity": of_labels(losses.MultiSimilarityLoss()),
    "multi_similarity_mined": of_labels(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner(0.1)),
}


def time_case(peer, case, classes, samples=512, width=128, rounds=11):
    generator = numpy.random.default_rng(0)
    labels = generator.permutation(numpy.arange(samples) % classes)
    x = generator.standard_normal((samples, width)).astype(numpy.float32)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        x.tofile(folder / "x.f32")
        (folder / "x.shape").write_text(f"{samples} {width}")
        labels.astype(numpy.int64).tofile(folder / "targets.i64")
        tensors = {"x": torch.from_numpy(x).requires_grad_(), "labels": torch.from_numpy(labels)}
        process = subprocess.Popen(
            [peer, "--bench", case, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: peers.os.sched_setaffinity(0, peers.CORES),
        )

        def ask(word):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        ask("check")
        checked = numpy.fromfile(folder / "checked.f32", numpy.float32)
        _, loss = peers.timed([tensors["x"]], lambda: TIMED[case](tensors))
        off = difference(checked[:1], loss.item()), difference(checked[1:], tensors["x"].grad.numpy().ravel())
        if max(off) > 1e-3:
            raise SystemExit(f"{case}: values differ by {off[0]:.1e}, gradients by {off[1]:.1e}")
        rows = []
        for _ in range(rounds):
            time.sleep(peers.PAUSE)
            ask("time")
            ours = ask("time")
            time.sleep(peers.PAUSE)
            rows.append((ours, peers.timed([tensors["x"]], lambda: TIMED[case](tensors))[0]))
        process.stdin.close()
        process.wait()
    ours, theirs = (statistics.median(column) for column in zip(*rows))
    print(f"{case:24} {samples}x{width}, {classes:3} classes {ours:9.2f} {theirs:9.2f} {ours / theirs:8.3f}", flush=True)


def main():
    if sys.argv[1:] == ["--time"]:
        torch.set_num_threads(2)
        peer = peers.binary()
        print(f"{'case':24} {'batch':19} {'thalweg':>10} {'theirs':>9} {'ratio':>8}  (ms, medians)")
        for case in TIMED:
            for classes in (8, 64):
                time_case(peer, case, classes)
    elif len(sys.argv) == 2:
        compare(sys.argv[1])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
