"""Class scores of images from any vision model, in batches."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from penjing.data.images import Images
from penjing.errors import MeasureError
from penjing.tasks.images.preparation import Preparation
from penjing.tasks.task import Progress

Vision = nn.Module | Callable[[Tensor], Any]
Outputs = Sequence[Sequence[int]]


def scores(model: Vision, prepared: Tensor) -> Tensor:
    """[b classes] float32, from `prepared` images [b c h w].

    `model` gives class scores as a tensor or as `.logits`.

    Raises:
        MeasureError: it gives something else, or scores that are not numbers.
    """
    module = model if isinstance(model, nn.Module) else None
    parameter = next(module.parameters(), None) if module is not None else None
    if parameter is not None:
        prepared = prepared.to(parameter.device, parameter.dtype if parameter.is_floating_point() else None)
    main = getattr(model, "main_input_name", "pixel_values")
    if module is not None and main != "pixel_values":
        raise MeasureError(f"the model takes '{main}', needed one that takes images ('pixel_values')")
    call: Callable[..., Any] = model
    found = call(prepared)
    found = getattr(found, "logits", found)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(prepared):
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise MeasureError(
            f"the model gave {shape} for {len(prepared)} images; needed scores [images classes]: give a classifier, or "
            "fit a probe on its features"
        )
    if not found.isfinite().all():
        raise MeasureError("the model gave scores that are not finite numbers; check its weights, or use float32")
    return found.float().cpu()


def grouped(logits: Tensor, outputs: Outputs, classes: int) -> Tensor:
    """[b labels] float64: for each label the log of the summed exponentials of its `outputs`; none means one each.

    Raises:
        MeasureError: an output that is named is not there, or a label has none.
    """
    logits = logits.double()
    if not outputs:
        if logits.shape[1] < classes:
            raise MeasureError(
                f"the model has {logits.shape[1]} outputs, the images have {classes} classes; say which outputs stand "
                "for each class, or fit a probe"
            )
        return logits
    if len(outputs) < classes or min(map(len, outputs)) < 1:
        raise MeasureError(f"outputs are named for {len(outputs)} of {classes} classes; needed one or more for each")
    worst = max(max(group) for group in outputs)
    if worst >= logits.shape[1] or min(min(group) for group in outputs) < 0:
        raise MeasureError(f"output {worst} was named for a class, the model has {logits.shape[1]}; number them from 0")
    return torch.stack([logits[:, list(group)].logsumexp(1) for group in outputs], dim=1)


def all_scores(
    model: Vision,
    images: Images,
    prepare: Preparation,
    *,
    outputs: Outputs = (),
    batch: int = 32,
    change: Callable[[Tensor, tuple[str, ...]], Tensor] | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """[n labels] float64: the model's scores of all images, each batch first through `change` (pixels, ids) if given.

    Raises:
        MeasureError: the model is no classifier of these classes.
        DataError: an image cannot be read.
    """
    out: list[Tensor] = []
    with evaluating(model):
        for places in torch.arange(len(images)).split(batch):
            pixels = images.pixels[places]
            if change is not None:
                pixels = change(pixels, tuple(images.ids[i] for i in places.tolist()))
            out.append(grouped(scores(model, prepare(pixels)), outputs, images.classes))
            if progress:
                progress(int(places[-1]) + 1, len(images))
    return torch.cat(out)


class evaluating:  # noqa: N801 - reads as a word after `with`
    """Evaluation mode without gradients while the block runs; the module's own mode comes back afterwards."""

    def __init__(self, model: Vision) -> None:
        self._module = model if isinstance(model, nn.Module) and model.training else None
        self._inference = torch.inference_mode()

    def __enter__(self) -> None:
        if self._module is not None:
            self._module.eval()
        self._inference.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._inference.__exit__(*error)
        if self._module is not None:
            self._module.train()


def protocol_of(images: Images, outputs: Outputs = ()) -> str:
    """Which images these are and which outputs stand for their classes, for a protocol."""
    digest = sha256(f"{images.sha256};".encode())
    for each in images.ids:
        digest.update(f"{each};".encode("utf-8", "surrogateescape"))
    mapped = f" outputs=sha256:{sha256(repr([list(g) for g in outputs]).encode()).hexdigest()[:16]}" if outputs else ""
    return f"images={len(images)} classes={images.classes}{mapped} text=sha256:{digest.hexdigest()[:16]}"
