"""Angle, length and margin of the last features: why a classifier is right, and how sure it is.

Scores are z_c = w_c . h + b_c, with h the input of the last linear layer. The angle between h and w_c says which class
wins, the length of h how confidently, the margin how far the decision boundary is.

Source: Li et al., "Understanding Robustness Lottery", arXiv:2206.07918; the margin's relative form, the rank
correlations and the treatment of zero lengths are ours. Angles to one model's own W only: another model's features may
be rotated.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import MeasureError
from penjing.maths.correlation import pearson, spearman


@dataclass(frozen=True, eq=False)
class Geometry:
    """One entry per image, float64 [n]; `rival` int64 and `correct` bool.

    `angle`: degrees between features and the label's direction, 0 to 180; 90 where a length is 0 (`dead` counts these).
    `length`: of the features. `margin`: distance to the nearest rival's boundary, below 0 on the wrong side, infinite
    where there is no boundary. `relative`: margin / length, 0 where the length is 0. `rival`: the class of that
    boundary; `rival_angle` its angle. `confidence`: the label's probability.
    """

    angle: Tensor
    length: Tensor
    margin: Tensor
    relative: Tensor
    rival: Tensor
    rival_angle: Tensor
    confidence: Tensor
    correct: Tensor
    dead: int


def geometry(found: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Geometry:
    """From features [n f], the last layer's `weight` [c f] and `bias` [c] or None, and `labels` [n].

    With the predicted class for `labels` it is the geometry of confidence, for which no labels are needed.

    Raises:
        MeasureError: there are fewer than two classes, shapes do not fit, or features are not finite.
    """
    _check(found, weight, labels)
    h, w = found.double(), weight.double()
    b = torch.zeros(len(w), dtype=torch.float64) if bias is None else bias.double()
    each = torch.arange(len(h))
    scores = h @ w.T + b
    length, sizes = h.norm(dim=1), w.norm(dim=1)
    angles = _degrees(h @ w.T, length[:, None] * sizes)
    gap = scores[each, labels][:, None] - scores
    apart = torch.cdist(w, w, compute_mode="donot_use_mm_for_euclid_dist")[labels]
    distance = torch.where(apart > 0, gap / apart.clamp_min(1e-300), _without_boundary(gap))
    distance[each, labels] = torch.inf
    margin, rival = distance.min(1)
    return Geometry(
        angle=angles[each, labels],
        length=length,
        margin=margin,
        relative=torch.where(length > 0, margin / length.clamp_min(1e-300), 0.0),
        rival=rival,
        rival_angle=angles[each, rival],
        confidence=scores.softmax(1)[each, labels],
        correct=scores.argmax(1) == labels,
        dead=int((length == 0).sum()),
    )


def _check(found: Tensor, weight: Tensor, labels: Tensor) -> None:
    if found.ndim != 2 or weight.ndim != 2 or found.shape[1] != weight.shape[1] or len(found) != len(labels):
        raise MeasureError(
            f"found features {list(found.shape)}, weights {list(weight.shape)} and {len(labels)} labels; needed "
            "[n f], [c f] and n"
        )
    if len(weight) < 2:
        raise MeasureError("the last layer has one output, so there is no rival class; geometry needs two or more")
    if not bool(found.isfinite().all()) or not bool(weight.isfinite().all()):
        raise MeasureError("features or weights are not finite numbers; check the weights, or use float32")
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= len(weight)):
        raise MeasureError(f"a label is outside the {len(weight)} outputs of the last layer")


def _degrees(products: Tensor, lengths: Tensor) -> Tensor:
    """Angles from inner products and products of lengths; 90 where a length is 0. Rounding may pass 1: clamped."""
    cosine = torch.where(lengths > 0, products / lengths.clamp_min(1e-300), 0.0)
    return cosine.clamp(-1, 1).acos().rad2deg()


def _without_boundary(gap: Tensor) -> Tensor:
    """For two equal rows of weights: infinitely far on the side that the biases choose, or on the boundary."""
    return torch.where(gap == 0, 0.0, gap.sign() * torch.inf)


def class_angles(weight: Tensor) -> Tensor:
    """[c c] float64: degrees between the directions of the classes, from the last layer's weights [c f]."""
    w = weight.double()
    sizes = w.norm(dim=1)
    out = _degrees(w @ w.T, sizes[:, None] * sizes)
    return out.fill_diagonal_(0.0)


def flips(base: Tensor, other: Tensor) -> dict[str, Tensor]:
    """Places [k] of each kind, from what two models have right [n]: the base first.

    "fragile": right, then wrong. "rescued": wrong, then right. "stable right", "stable wrong": the same in both.

    Raises:
        MeasureError: the two are of different numbers of images.
    """
    if base.shape != other.shape:
        raise MeasureError(f"found {len(base)} and {len(other)} images; needed the same ones for both models")
    one, two = base.bool(), other.bool()
    kinds = {"fragile": one & ~two, "rescued": ~one & two, "stable right": one & two, "stable wrong": ~one & ~two}
    return {name: held.nonzero()[:, 0] for name, held in kinds.items()}


@dataclass(frozen=True, kw_only=True)
class Shift:
    """From one model to another on the same images: mean changes, and how alike margins and answers are.

    `angle` in degrees, `length` and `margin` in each model's own units, `relative` the relative margin. Correlations
    are None where one side is constant; images with an infinite margin are left out of those of margins and counted.
    """

    angle: float
    length: float
    margin: float
    relative: float
    margin_correlation: float | None
    margin_rank_correlation: float | None
    agreement: float
    infinite: int


def shift(base: Geometry, other: Geometry, *, predicted: tuple[Tensor, Tensor]) -> Shift:
    """How `other` differs from `base`; `predicted` are the classes both find most likely, [n] each.

    Raises:
        MeasureError: the two are of different numbers of images.
    """
    if base.angle.shape != other.angle.shape:
        raise MeasureError(f"found {len(base.angle)} and {len(other.angle)} images; needed the same ones for both")
    whole = base.margin.isfinite() & other.margin.isfinite()
    one, two = base.margin[whole], other.margin[whole]
    return Shift(
        angle=float((other.angle - base.angle).mean()),
        length=float((other.length - base.length).mean()),
        margin=float((two - one).mean()),
        relative=float((other.relative - base.relative)[whole].mean()),
        margin_correlation=_number(pearson(one, two)),
        margin_rank_correlation=_number(spearman(one, two)),
        agreement=float((predicted[0] == predicted[1]).double().mean()),
        infinite=int((~whole).sum()),
    )


def _number(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else float(value)


def by_parts(order: Tensor, values: Tensor, parts: int = 5) -> list[float]:
    """The mean of `values` [n] in each of `parts` equally large groups of images, from the lowest `order` [n] up.

    Raises:
        MeasureError: there are fewer images than parts.
    """
    if len(order) < parts:
        raise MeasureError(f"found {len(order)} images for {parts} parts; needed one or more for each")
    groups = values.double()[order.argsort(stable=True)].tensor_split(parts)
    return [float(group.mean()) for group in groups]


def last_linear(module: nn.Module, prepared: Tensor) -> tuple[str, nn.Linear]:
    """The name and layer whose output is the model's scores, found by running `prepared` images [b c h w] through it.

    Raises:
        MeasureError: no linear layer gives the scores as they are.
    """
    seen: list[tuple[str, nn.Linear, Tensor]] = []

    def watch(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            if isinstance(layer, nn.Linear):
                seen.append((name, layer, output))

        return hook

    handles = [m.register_forward_hook(watch(n)) for n, m in module.named_modules() if isinstance(m, nn.Linear)]
    try:
        with torch.inference_mode():
            found = module(prepared)
    finally:
        for handle in handles:
            handle.remove()
    found = getattr(found, "logits", found)
    for name, layer, output in reversed(seen):
        if isinstance(found, Tensor) and output.shape == found.shape and torch.equal(output, found):
            return name, layer
    raise MeasureError(
        f"none of the {len(seen)} linear layers that ran gives the model's scores as they are; name the layer whose "
        "input is to be looked at"
    )
