"""Two real vision models and their shrunk versions on CIFAR-10, clean and corrupted, as one page and its JSON.

`python -m papers.vision-battery.run [FOLDER] [pictures]` writes report.html, report.json and items.jsonl into FOLDER
(default out/vision-battery) and prints the figures; with `--write` they are kept in expected.json.
"""

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from papers.assets.pictures import cifar10_test
from papers.assets.vision import Lite0Features, dinov2_small, efficientnet_lite0
from papers.expected import record
from torch import Tensor, nn

import penjing
from penjing.core import Measurement, Report, Subject
from penjing.data.images import Images
from penjing.evaluate.costs import PARAMETERS
from penjing.evaluate.similarity import similarity
from penjing.pipeline.battery import paired, swept
from penjing.pipeline.cka_figure import CKA
from penjing.report import save
from penjing.running.stock import load
from penjing.tasks.images import Corrupted, ImageAccuracy, Preparation
from penjing.tasks.images.probed import Probed, Training
from penjing.tasks.task import Examined

SIDE = {"lite0": 128, "dinov2": 98}
POINTS = {"lite0": "model._blocks.1[1-5]"}
"""The blocks of the last stage: earlier ones see more places of a picture, and are not compared with later ones."""
KINDS = ("gaussian_noise", "defocus_blur", "snow", "fog", "contrast", "jpeg_compression")
SEVERITIES = (1, 3, 5)
TRAIN, CALIBRATION = 400, 32
KEEP, LITE_KEEP = (0.75, 0.5), (0.9, 0.75)


def prepare(name: str) -> Preparation:
    """32 pixels brought to the family's side, in the scale that its weights were trained with."""
    size = (SIDE[name], SIDE[name])
    if name == "lite0":
        return Preparation(resize=size, scale=1.0, mean=(127.0,), std=(128.0,))
    return Preparation(resize=size, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def parts(pictures: int) -> tuple[Images, Images, Images]:
    """(training of the probe, calibration of the cut, test): disjoint, drawn by one seed."""
    every = cifar10_test()
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    ends = (TRAIN, TRAIN + CALIBRATION, TRAIN + CALIBRATION + pictures)
    first, second, third = order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] : ends[2]]
    return every.subset(first), every.subset(second), every.subset(third)


def batches(images: Images, how: Preparation) -> list[Tensor]:
    """Prepared pictures [8 3 side side]."""
    return [how(images.pixels[places]) for places in torch.arange(len(images)).split(8)]


def lite0() -> dict[str, nn.Module]:
    """EfficientNet-lite0's features, whole and with fewer channels, cut in memory by the size of their rows."""
    example = torch.zeros(1, 3, SIDE["lite0"], SIDE["lite0"])
    out: dict[str, nn.Module] = {"lite0": Lite0Features(efficientnet_lite0())}
    for keep in LITE_KEEP:
        whole = Lite0Features(efficientnet_lite0())
        settings = {"axes": "channels.[0-9]*"}
        made = penjing.shrink(whole, method="l2_rows", keep=keep, settings=settings, example=example).module
        if made is not None:
            out[f"lite0 {keep:g}"] = made
    return out


def dinov2(folder: Path, calibration: list[Tensor]) -> dict[str, nn.Module]:
    """The backbone derived from DINOv2-S, whole and with fewer neurons, kept by how active they are on pictures."""
    source = dinov2_small()
    out: dict[str, nn.Module] = {"dinov2": load(source)}
    for keep in KEEP:
        place = folder / f"dinov2-{keep:g}"
        if not (place / "config.json").exists():
            penjing.shrink(source, place, method="activation", keep=keep, data=calibration, measure=False)
        out[f"dinov2 {keep:g}"] = load(place)
    return out


def subject(name: str, module: nn.Module, tasks: list[Probed], base: nn.Module, seen: list[Tensor]) -> Subject:
    """One model's size, figures, and likeness to the uncut model."""
    began = time.perf_counter()
    count = sum(p.numel() for p in module.parameters())
    figures: list[Measurement] = [replace(PARAMETERS, value=count)]
    for task in tasks:
        figures += task.run(Examined(name=name, module=module))
    if module is not base:
        found = similarity(base, module, seen, points=POINTS.get(name.split()[0]))
        figures.append(replace(found, name=CKA.name, label=CKA.label))
    sys.stderr.write(f"{name}: {time.perf_counter() - began:.0f} seconds\n")
    return Subject(name=name, source="", figures=tuple(figures))


def family(models: dict[str, nn.Module], train: Images, test: Images, seen: list[Tensor], how: Preparation) -> Report:
    """All models of one family on the same pictures, compared with the first and together."""
    training = Training(images=train, prepare=how)
    corrupted = Corrupted(images=test, kinds=KINDS, severities=SEVERITIES, prepare=how, name="cifar10-corrupted")
    inner = (ImageAccuracy(images=test, prepare=how, name="cifar10-probe"), corrupted)
    tasks = [Probed(task=t, training=training) for t in inner]
    base = next(iter(models.values()))
    subjects = tuple(subject(n, m, tasks, base, seen) for n, m in models.items())
    return Report(title="", subjects=subjects, ratios=(*paired(subjects), *swept(subjects)))


def run(folder: Path, pictures: int) -> dict[str, object]:
    """The figures of each family; their pages are in sub-folders of `folder`."""
    torch.manual_seed(0)
    train, calibration, test = parts(pictures)
    out: dict[str, object] = {"pictures": pictures, "kinds": list(KINDS), "severities": list(SEVERITIES)}
    for name in SIDE:
        how = prepare(name)
        seen = batches(calibration, how)
        models = lite0() if name == "lite0" else dinov2(folder, seen)
        found = family(models, train, test, seen, how)
        told = {
            "evaluation": f"{pictures} pictures of CIFAR-10 at {SIDE[name]} pixels, a probe fitted on {TRAIN} others",
            "command": f"python -m papers.vision-battery.run {folder} {pictures}",
            "versions": {"penjing": penjing.__version__, "torch": torch.__version__},
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }
        notes = (
            f"one seed and {pictures} pictures of {SIDE[name]} pixels, which is below what the model was trained with",
            "a probe tells how well features separate the classes, not how a head of the model's own does",
            "the probe is fitted on pictures of the test set, none of which is judged",
            "nothing was trained after the cut",
        )
        title = f"{name} and its cuts on CIFAR-10"
        save(replace(found, title=title, provenance=told, notes=notes), folder / name)
        out[name] = {s.name: rounded(s) for s in found.subjects} | {
            "classes": {str(r.details["figure"]): r.details["class"] for r in found.ratios if "class" in r.details}
        }
    return out


def rounded(one: Subject) -> dict[str, list[float | int | None]]:
    """{figure: [value, standard error]} of one model, to four digits after the point."""
    return {
        f.name: [None if v is None else round(v, 4) for v in (f.value, f.spread)]
        for f in one.figures
        if f.name == "parameters" or f.value is not None
    }


def main() -> None:
    """Write the pages and print the figures."""
    words = [a for a in sys.argv[1:] if not a.startswith("--")]
    folder, pictures = Path(words[0] if words else "out/vision-battery"), int(words[1]) if len(words) > 1 else 200
    folder.mkdir(parents=True, exist_ok=True)
    found = run(folder, pictures)
    print(json.dumps(found, indent=1))
    record(__file__, found, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
