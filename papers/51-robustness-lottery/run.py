"""Small-scale check of "Understanding Robustness Lottery" (arXiv:2206.07918) on 8 x 8 digits.

`python -m papers.51-robustness-lottery.run [seeds]` prints the figures as JSON; with `--write` it rewrites
expected.json.
"""

import sys
import time
from dataclasses import dataclass

import torch
from papers.assets.pictures import digits
from papers.expected import record, text
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.data.images import Images
from penjing.maths.correlation import pearson
from penjing.tasks.images import CorruptedImages, Geometry, geometry, redundancy
from penjing.tasks.images.geometry import by_parts
from penjing.tasks.images.redundancy import kendall_tau

KINDS = ("gaussian_noise", "impulse_noise", "gaussian_blur", "motion_blur", "fog", "contrast")
SEVERITIES = (3, 5)
MODELS = (("magnitude", 0.2), ("magnitude", 0.05), ("snip", 0.2), ("snip", 0.05), ("random", 0.2), ("random", 0.05))
TRAIN_SHARE, EPOCHS, FINE_EPOCHS, BATCH = 0.7, 30, 10, 64


class Net(nn.Module):
    """Two convolutions (32, 64), pooling, a layer of 64, and the last linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """[b 10]."""
        return self.head(self.body(x))


def weights(net: Net) -> list[nn.Parameter]:
    """Those that may be pruned: all but the last layer's, and no biases."""
    return [m.weight for m in net.body if isinstance(m, nn.Conv2d | nn.Linear)]


def train(net: Net, x: Tensor, y: Tensor, epochs: int, seed: int, masks: list[Tensor] | None = None) -> None:
    """Adam at 1e-3; masked weights stay 0."""
    order = torch.Generator().manual_seed(seed)
    solver = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for places in torch.randperm(len(x), generator=order).split(BATCH):
            solver.zero_grad()
            F.cross_entropy(net(x[places]), y[places]).backward()
            solver.step()
            if masks is not None:
                mask(net, masks)


def mask(net: Net, masks: list[Tensor]) -> None:
    """Put the masks on."""
    with torch.no_grad():
        for weight, kept in zip(weights(net), masks, strict=True):
            weight.mul_(kept)


def chosen(net: Net, how: str, keep: float, x: Tensor, y: Tensor, seed: int) -> list[Tensor]:
    """Masks of the highest scores over all layers: magnitude, |weight x gradient| at the trained weights, random."""
    if how == "snip":
        net.zero_grad()
        F.cross_entropy(net(x), y).backward()
        scores = [(w * w.grad).abs().detach() for w in weights(net) if w.grad is not None]
    elif how == "magnitude":
        scores = [w.detach().abs() for w in weights(net)]
    else:
        g = torch.Generator().manual_seed(seed)
        scores = [torch.rand(w.shape, generator=g) for w in weights(net)]
    every = torch.cat([s.flatten() for s in scores])
    least = every.kthvalue(int(len(every) * (1 - keep)) + 1).values
    return [(s >= least).float() for s in scores]


def prepared(pixels: Tensor) -> Tensor:
    """[b 1 h w] from 0 to 1."""
    return pixels.permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Seen:
    """One model's geometry on clean images and on each corruption and severity."""

    clean: Geometry
    corrupted: dict[tuple[str, int], Geometry]


def look(net: Net, test: Images, made: CorruptedImages) -> Seen:
    """All geometries of one model."""
    w, b = net.head.weight.detach(), net.head.bias.detach()

    def of(pixels: Tensor) -> Geometry:
        with torch.inference_mode():
            return geometry(net.body(prepared(pixels)), w, b, test.labels)

    everything = torch.arange(len(test))
    found = {c: of(torch.cat([p for _, p in made.batches(*c, batch=512)])) for c in made.cells}
    return Seen(of(test.pixels[everything]), found)


def over(seen: Seen, what: str) -> Tensor:
    """[cells n]: one column of the geometry under every corruption."""
    return torch.stack([getattr(g, what).double() for g in seen.corrupted.values()])


def row(seen: Seen, dense: Seen) -> dict[str, float]:
    """The figures of one model in the table."""
    out = {}
    for what in ("correct", "angle", "length", "margin"):
        out[f"clean {what}"] = float(getattr(seen.clean, what).double().mean())
        out[f"corrupted {what}"] = float(over(seen, what).mean())
    out["margin correlation"] = float(pearson(dense.clean.margin, seen.clean.margin))
    for part, value in enumerate(by_parts(dense.clean.margin, 1 - over(seen, "correct").mean(0)), start=1):
        out[f"error in part {part}"] = value
    out["auc"] = auc(seen)
    return out


def auc(seen: Seen) -> float:
    """Of a logistic regression of "right" on angle, length and the rival's angle, on the half it was not fitted to."""
    parts = [over(seen, what).flatten() for what in ("angle", "length", "rival_angle")]
    x = torch.stack(parts, dim=1)
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-9)
    y = over(seen, "correct").flatten()
    n = over(seen, "correct").shape[1]
    fit = (torch.arange(len(y)) % n) % 2 == 0  # by image, so that no image is on both sides
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([w, b], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x[fit] @ w + b, y[fit]) + 1e-4 * w.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    score, truth = (x[~fit] @ w.detach()), y[~fit] > 0.5
    right, wrong = score[truth], score[~truth].sort().values
    if not len(right) or not len(wrong):
        return float("nan")
    below = torch.searchsorted(wrong, right.contiguous()).double()
    upto = torch.searchsorted(wrong, right.contiguous(), right=True).double()
    return float(((below + upto) / 2).mean() / len(wrong))


def one_seed(seed: int) -> tuple[dict[str, dict[str, float]], list[list[str]]]:
    """({model: figures}, groups of corruptions of the dense model)."""
    train_part, test = digits().split([TRAIN_SHARE, 1 - TRAIN_SHARE], seed=seed)
    x, y = prepared(train_part.pixels[torch.arange(len(train_part))]), train_part.labels
    made = CorruptedImages(test, KINDS, SEVERITIES, seed=0)
    torch.manual_seed(seed)
    net = Net()
    train(net, x, y, EPOCHS, seed)
    start = {k: v.clone() for k, v in net.state_dict().items()}
    dense = look(net, test, made)
    out = {"dense": row(dense, dense)}
    for how, keep in MODELS:
        net.load_state_dict(start)
        masks = chosen(net, how, keep, x, y, seed)
        mask(net, masks)
        train(net, x, y, FINE_EPOCHS, seed + 1, masks)
        out[f"{how} {1 - keep:.0%}"] = row(look(net, test, made), dense)
    drops = []
    for kind in KINDS:
        margins = [dense.corrupted[kind, severity].margin for severity in SEVERITIES]
        drops.append(dense.clean.margin - torch.stack(margins).mean(0))
    groups = redundancy(torch.stack(drops, dim=1), KINDS, cut=0.5).groups
    return out, [list(g) for g in groups]


def run(seeds: int) -> dict:
    """Means and standard deviations over seeds, of each model's figures."""
    began = time.perf_counter()
    each = [one_seed(seed) for seed in range(seeds)]
    table = {}
    for model in each[0][0]:
        columns = {k: torch.tensor([e[0][model][k] for e in each], dtype=torch.float64) for k in each[0][0][model]}
        table[model] = {
            k: [round(float(v.mean()), 4), round(float(v.std()) if seeds > 1 else 0.0, 4)] for k, v in columns.items()
        }
    gain = [e[0]["magnitude 80%"]["corrupted correct"] - e[0]["dense"]["corrupted correct"] for e in each]
    seconds = round(time.perf_counter() - began, 1)
    sys.stderr.write(f"{seconds} seconds\n")
    return {
        "seeds": seeds,
        "columns": "[mean, standard deviation over seeds]",
        "models": table,
        "gain of magnitude 80% under corruption, by seed": [round(g, 4) for g in gain],
        "groups of corruptions, seed 0": each[0][1],
        "readings": readings(table, gain),
    }


def readings(table: dict[str, dict[str, list[float]]], gain: list[float]) -> dict[str, bool]:
    """Which of the readings in README.md hold in these means."""
    dense, light = table["dense"], table["magnitude 80%"]
    parts = [[figures[f"error in part {i}"][0] for i in range(1, 6)] for figures in table.values()]
    pruned = [figures for name, figures in table.items() if name != "dense"]
    tau = kendall_tau([f["margin correlation"][0] for f in pruned], [f["clean correct"][0] for f in pruned])
    return {
        "1 pruning shortens features while angle and accuracy stay": (
            light["clean length"][0] < 0.9 * dense["clean length"][0]
            and abs(light["clean angle"][0] - dense["clean angle"][0]) < 2
            and abs(light["clean correct"][0] - dense["clean correct"][0]) < 0.01
        ),
        "2 corruption raises the angle and shortens features, in every model": all(
            f["corrupted angle"][0] > f["clean angle"][0] and f["corrupted length"][0] < f["clean length"][0]
            for f in table.values()
        ),
        "3 magnitude 80% is more robust than dense, at every seed": min(gain) > 0,
        "4 the dense margin orders the errors of every model": all(p == sorted(p, reverse=True) for p in parts),
        "5 margin correlation ranks the pruned models as accuracy does (tau > 0.8)": (tau or 0) > 0.8,
        "6 angle, length and rival angle tell right from wrong (AUC > 0.95)": all(
            f["auc"][0] > 0.95 for f in table.values()
        ),
    }


def main() -> None:
    """Print the figures; with --write keep them beside this file."""
    numbers = [a for a in sys.argv[1:] if a.isdigit()]
    found = run(int(numbers[0]) if numbers else 5)
    sys.stdout.write(text(found))
    record(__file__, found, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
