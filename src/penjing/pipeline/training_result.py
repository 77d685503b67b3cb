"""What training made: judged on the held-out part, and written as a folder like any other, with report and card."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any

import torch
from torch import Tensor

from penjing.calibrate.batches import run as forward
from penjing.calibrate.objectives.loss import loss as losses_of
from penjing.calibrate.outputs import scores
from penjing.core import Measurement, Report, Subject
from penjing.io import writing
from penjing.pipeline.train_recipe import told
from penjing.pipeline.training import Prepared, told_of
from penjing.pipeline.training_data import Pictures, Rows
from penjing.running.loading import without_bars
from penjing.running.stock import tokenizer
from penjing.train.seeing import placed

LEVEL, DEVIATIONS = 0.95, 1.959964
"""Of intervals, and how many standard errors that is."""


@torch.no_grad()
def judged(found: Prepared) -> tuple[Measurement, ...]:
    """The loss on the held-out part, and accuracy or perplexity, each with its standard error and its chance level."""
    module, data, recipe = found.run.module.eval(), found.data, found.recipe
    device = next(module.parameters()).device
    each: list[Tensor] = []
    right: list[Tensor] = []
    seen: list[Tensor] = []
    for one in data.held_out(recipe.train.batch):
        batch = placed(one, device)
        output = forward(module, batch)
        each.append(losses_of(output, batch).double().cpu())
        if isinstance(data, Rows):
            continue
        labels = batch[1]
        right.append((scores(output).argmax(-1) == labels).cpu())
        if recipe.judge.views and isinstance(data, Pictures):
            looks = data.views(batch, recipe.judge.views)
            mean = torch.stack([scores(forward(module, (x, labels))).softmax(-1) for x in looks]).mean(0)
            seen.append((mean.argmax(-1) == labels).cpu())
    losses = torch.cat(each)
    figures = [_mean_loss(losses, data.unit)]
    if isinstance(data, Rows):
        return _perplexity(losses, data.classes), *figures
    figures.insert(0, accuracy("accuracy", torch.cat(right), data.classes))
    if seen:
        names = " and ".join(recipe.judge.views)
        figures.insert(1, accuracy("accuracy_of_views", torch.cat(seen), data.classes, f"mean over views: {names}"))
    return tuple(figures)


def accuracy(name: str, right: Tensor, classes: int, protocol: str = "as they are") -> Measurement:
    """The share of `right` [n] bool, with Wilson's 95 % interval; chance is one class of all."""
    n, value = len(right), float(right.double().mean())
    return Measurement(
        name=name, value=value, unit="share of examples", n=n, better="higher", group="quality", chance=1 / classes,
        spread=math.sqrt(value * (1 - value) / (n - 1)) if n > 1 else None, spread_kind="standard error",
        protocol=f"train/1 held out, largest score, {protocol}", label=name.replace("_", " ").capitalize(),
        details={"classes": classes, "interval": wilson(value, n)},
    )  # fmt: skip


def wilson(share: float, n: int) -> dict[str, float]:
    """The 95 % interval of a share of n.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    z = DEVIATIONS
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return {"low": middle - half, "high": middle + half, "level": LEVEL}


def _mean_loss(losses: Tensor, unit: str) -> Measurement:
    n = len(losses)
    return Measurement(
        name="held_out_loss", value=float(losses.mean()), unit=f"nats per {unit.removesuffix('s')}", n=n,
        spread=float(losses.std()) / math.sqrt(n) if n > 1 else None, spread_kind="standard error", better="lower",
        group="quality", label="Held-out loss", protocol="train/1 held out, without smoothing",
    )  # fmt: skip


def _perplexity(losses: Tensor, words: int) -> Measurement:
    n, mean = len(losses), float(losses.mean())
    error = float(losses.std()) / math.sqrt(n) if n > 1 else None
    ends = {} if error is None else {
        "interval": {
            "low": math.exp(mean - DEVIATIONS * error), "high": math.exp(mean + DEVIATIONS * error), "level": LEVEL
        }
    }  # fmt: skip
    return Measurement(
        name="perplexity", value=math.exp(min(mean, 700.0)), unit="perplexity per token", n=n, better="lower",
        group="quality", chance=float(words), spread=None if error is None else math.exp(min(mean, 700.0)) * error,
        spread_kind="standard error over rows, by the delta method", protocol="train/1 held-out rows", details=ends,
    )  # fmt: skip


def report_of(found: Prepared, name: str, figures: tuple[Measurement, ...], notes: tuple[str, ...]) -> Report:
    """The report of a trained network."""
    module = found.run.module
    sizes = (("parameters", sum(p.numel() for p in module.parameters()), ""),
             ("bytes", sum(p.nbytes for p in module.parameters()), "bytes"))  # fmt: skip
    counted = tuple(
        Measurement(name=key, value=float(value), unit=unit, n=1, group="size", better="lower")
        for key, value, unit in sizes
    )
    return Report(
        title=f"{name}, trained", notes=notes,
        subjects=(Subject(name=name, source=name, figures=(*counted, *figures)),),
        provenance={"architecture": type(module).__name__, "recipe": told(found.recipe), "training": told_of(found)},
    )  # fmt: skip


def write(
    found: Prepared, place: Path, asked: Mapping[str, Any], *, log: Path | None, pages: Callable[[Path], None]
) -> None:  # fmt: skip
    """Write the network and what goes with it into a folder that is not there yet; `pages` writes the report.

    Raises:
        OutputError: the disk refuses.
    """
    module: Any = found.run.module
    with writing(place):
        rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if found.data.names and getattr(module.config, "num_labels", 0) == len(found.data.names):
            module.config.id2label = dict(enumerate(found.data.names))
            module.config.label2id = {name: i for i, name in enumerate(found.data.names)}
        with without_bars():
            module.cpu().save_pretrained(place)
        if found.recipe.data.tokenizer:
            tokenizer(found.recipe.data.tokenizer).save_pretrained(place)
        if isinstance(found.data, Pictures):
            processor = json.dumps(_processor(found.data), indent=2) + "\n"
            (place / "preprocessor_config.json").write_text(processor, "utf-8")
        if log is not None and log.is_file():
            copyfile(log, place / "training.jsonl")
        table = {"training": dict(asked), "trained": told_of(found), "versions": _versions()}
        files = sorted(p.name for p in place.iterdir())  # pages are known by their names
        (place / "penjing.json").write_text(json.dumps({**table, "files": files}, indent=2) + "\n", "utf-8")
        pages(place)


def _processor(data: Pictures) -> dict[str, Any]:
    how = data.prepare
    size = how.resize if isinstance(how.resize, tuple) else tuple(data.training.pixels.shape[1:3])
    return {
        "image_processor_type": "ViTImageProcessor", "do_resize": how.resize is not None, "resample": 3,
        "size": {"height": int(size[0]), "width": int(size[1])}, "do_rescale": True, "rescale_factor": how.scale,
        "do_normalize": True, "image_mean": list(how.mean), "image_std": list(how.std),
    }  # fmt: skip


def opening(found: Prepared) -> str:
    """Code that opens the folder."""
    if type(found.run.module).__module__.startswith("transformers."):
        name = type(found.run.module).__name__
        return f'from transformers import {name}\n\nmodel = {name}.from_pretrained(".")'
    return 'import penjing\n\nmodel = penjing.load(".")'


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    from penjing import __version__

    return {"penjing": __version__, "torch": str(torch.__version__), "transformers": version("transformers")}

