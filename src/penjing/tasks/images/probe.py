"""A linear probe: how well a line through a model's features tells the classes apart."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.data.images import Images
from penjing.errors import DataError, MeasureError
from penjing.tasks.images.forward import evaluating
from penjing.tasks.images.preparation import Preparation
from penjing.tasks.task import Progress


def pooled(output: Any) -> Tensor:
    """[b features] from what a backbone gives: its pooled output, first token, or mean over places.

    Raises:
        MeasureError: it gives none of these.
    """
    found = getattr(output, "pooler_output", None)
    if found is None and getattr(output, "last_hidden_state", None) is not None:
        found = output.last_hidden_state
        found = found[:, 0] if found.ndim == 3 else found
    found = output if found is None else found
    if isinstance(found, Tensor) and found.ndim == 4:
        found = found.mean((2, 3))
    if not isinstance(found, Tensor) or found.ndim != 2:
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise MeasureError(f"the backbone gave {shape}, needed features [images features], [b t f] or [b f h w]")
    return found


def features(
    body: nn.Module, images: Images, prepare: Preparation, *, batch: int = 32, progress: Progress | None = None
) -> Tensor:
    """[n features] float32: the pooled features of all images.

    Raises:
        MeasureError: the body gives no features.
        DataError: an image cannot be read.
    """
    out: list[Tensor] = []
    with evaluating(body):
        for places in torch.arange(len(images)).split(batch):
            out.append(pooled(body(prepare(images.pixels[places]))).float().cpu())
            if progress:
                progress(int(places[-1]) + 1, len(images))
    return torch.cat(out)


@dataclass(frozen=True, eq=False)
class Probe:
    """Scores = features @ `weight`.T + `bias`, with `weight` [classes features] and `bias` [classes]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, found: Tensor) -> Tensor:
        """[n classes], from features [n features]."""
        return found @ self.weight.T + self.bias


def fit_probe(found: Tensor, labels: Tensor, *, classes: int, ridge: float = 1e-3, steps: int = 200) -> Probe:
    """Multinomial logistic regression on features [n features], each brought to mean 0 and deviation 1 before.

    `ridge` times the squared weights (of the scaled features) is added to the mean loss. The scaling is folded into
    the weights. Full-batch L-BFGS from zero, so the same data give the same probe.

    Raises:
        DataError: there are no features, or a label is outside the classes.
    """
    if not len(found) or len(found) != len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(
            f"found features {list(found.shape)} and {len(labels)} labels of {classes} classes; needed a label from 0 "
            f"to {classes - 1} for each"
        )
    mean, deviation = found.double().mean(0), found.double().std(0, unbiased=False).clamp_min(1e-6)
    x = (found.double() - mean) / deviation
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def closure() -> Tensor:
        solver.zero_grad()
        loss = nn.functional.cross_entropy(x @ weight.T + bias, labels) + ridge * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    scaled = weight.detach() / deviation
    return Probe(scaled.float(), (bias.detach() - scaled @ mean).float())


class WithProbe(nn.Module):
    """A backbone with a probe as its last linear layer: a classifier like any other."""

    def __init__(self, body: nn.Module, probe: Probe) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(probe.weight.shape[1], probe.weight.shape[0])
        with torch.no_grad():
            self.head.weight.copy_(probe.weight)
            self.head.bias.copy_(probe.bias)
        self.train(body.training)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[b classes], from prepared images [b c h w]."""
        return self.head(pooled(self.body(pixel_values)))
