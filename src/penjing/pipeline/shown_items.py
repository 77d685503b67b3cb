"""A few pictures or recordings of a task with what each model made of them, from the items that were measured."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from penjing.core import Subject
from penjing.data.images import Images
from penjing.data.sounds import Sounds
from penjing.tasks.task import Task

CHANGED, ALIKE = 4, 2
"""How many are shown on which a model differs from the original, and on which none does."""
SIDE = 96
"""Pixels of a picture's longer side at most."""


def shown_items(subjects: Sequence[Subject], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """For a report's provenance: pictures and recordings in the order of their task, those with a difference first.

    A row has `of` ("images" or "recordings"), `prompt`, `answers` by model, `right` by model (of pictures), and
    `image`, a PNG as a data URI, where Pillow is installed. `differs` of `items` says how many differ in all.
    """
    return [row for task in tasks for row in _of_task(subjects, task)]


def _of_task(subjects: Sequence[Subject], task: Task) -> list[dict[str, Any]]:
    found = {s.name: f.items for s in subjects if (f := s.figure(task.name)) is not None and f.items}
    if len(found) < len(subjects) or not found:
        return []
    images, sounds = getattr(getattr(task, "task", task), "images", None), getattr(task, "sounds", None)
    if isinstance(images, Images) and all("predicted" in items for items in found.values()):
        rows = _pictures(images, found)
    elif isinstance(sounds, Sounds) and all("heard" in items for items in found.values()):
        rows = _recordings(found)
    else:
        return []
    changed = [r for r in rows if len(set(r["answers"].values())) > 1]
    alike = [r for r in rows if len(set(r["answers"].values())) == 1]
    chosen = [*changed[:CHANGED], *alike[: ALIKE + max(0, CHANGED - len(changed))]]
    told = {"task": task.name, "differs": len(changed), "items": len(rows)}
    for row in chosen:
        place = row.pop("place")
        if isinstance(images, Images) and (uri := _png(images, place)):
            row["image"] = uri
    return [{**row, **told} for row in chosen]


def _pictures(images: Images, found: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[dict[str, Any]]:
    where = {name: i for i, name in enumerate(images.ids)}
    first = next(iter(found.values()))

    def called(label: int) -> str:
        return images.names[label] if label < len(images.names) else f"class {label}"

    return [
        {
            "of": "images", "place": where[one], "prompt": called(first["label"][i]),
            "answers": {n: called(items["predicted"][i]) for n, items in found.items()},
            "right": {n: bool(items["correct"][i]) for n, items in found.items()},
        }
        for i, one in enumerate(first["id"])
        if one in where and all(items["id"][i] == one for items in found.values())
    ]  # fmt: skip


def _recordings(found: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[dict[str, Any]]:
    first = next(iter(found.values()))
    return [
        {
            "of": "recordings", "place": i, "prompt": first["said"][i],
            "answers": {n: items["heard"][i] for n, items in found.items()},
        }
        for i, one in enumerate(first["id"])
        if all(items["id"][i] == one for items in found.values())
    ]  # fmt: skip


def _png(images: Images, place: int) -> str:
    """A picture as a data URI; empty where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return ""
    pixels = images.pixels[torch.tensor([place])][0].numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
