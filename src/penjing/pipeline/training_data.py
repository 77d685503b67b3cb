"""What a network is trained on: examples by their places, changed as the recipe says, and those that are held out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from penjing.data import read_texts, tokenise, windows
from penjing.data.images import Images, read_images
from penjing.errors import DataError
from penjing.pipeline.train_recipe import Augment, Material
from penjing.running.stock import tokenizer
from penjing.tasks.images.preparation import Preparation
from penjing.train.augment import crop, cutmix, erase, flip, mixup, views

SEEN = 10_000
"""Images of which the mean and the deviation of each channel are taken, at most."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A batch as the network takes it; where examples were mixed, the labels of the `others`, and the own weight."""

    batch: Any
    others: Tensor | None = None
    own: float = 1.0


class Lessons(Protocol):
    """What is trained on, and judged by."""

    unit: str
    classes: int
    names: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        """Examples, or rows, to train on."""
        ...

    @property
    def per(self) -> int:
        """Units of an example: tokens of a row, or 1."""
        ...

    def take(self, places: Tensor, draw: torch.Generator) -> Taken:
        """The examples at places, changed."""
        ...

    def held_out(self, size: int) -> Sequence[Any]:
        """The held-out part, in batches."""
        ...

    def stand_in(self, rows: int) -> Tensor:
        """A tensor that is counted as so many examples are."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Images with classes."""

    training: Images
    judged: Images
    prepare: Preparation
    augment: Augment
    digest: str
    unit: str = "examples"

    def __len__(self) -> int:
        return len(self.training)

    @property
    def per(self) -> int:
        """1."""
        return 1

    @property
    def classes(self) -> int:
        """How many classes the two parts have together."""
        return max(self.training.classes, self.judged.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names, if they are known."""
        return self.training.names

    def take(self, places: Tensor, draw: torch.Generator) -> Taken:
        """Pixels and labels, changed as the recipe says."""
        how, labels = self.augment, self.training.labels[places]
        images = self.prepare(self.training.pixels[places])
        images = crop(images, how.crop, draw) if how.crop else images
        images = flip(images, draw) if how.flip else images
        images = erase(images, draw, share=how.erase) if how.erase else images
        ways = [(way, alpha) for way, alpha in ((mixup, how.mixup), (cutmix, how.cutmix)) if alpha]
        if not ways:
            return Taken(batch=(images, labels))
        way, alpha = ways[int(torch.randint(len(ways), (), generator=draw))]
        mixed = way(images, alpha, draw)
        return Taken(batch=(mixed.images, labels), others=labels[mixed.others], own=mixed.own)

    def held_out(self, size: int) -> list[Any]:
        """Pixels and labels, as they are."""
        parts = torch.arange(len(self.judged)).split(size)
        return [(self.prepare(self.judged.pixels[p]), self.judged.labels[p]) for p in parts]

    def views(self, batch: Any, names: tuple[str, ...]) -> list[Tensor]:
        """The images of a batch, and as they are looked at besides."""
        return views(batch[0], names, by=max(1, self.augment.crop // 2))

    def stand_in(self, rows: int) -> Tensor:
        """[rows 0]: nothing but a count."""
        return torch.empty(rows, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Rows of tokens [rows length]."""

    training: Tensor
    judged: Tensor
    digest: str
    classes: int
    unit: str = "tokens"
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.training)

    @property
    def per(self) -> int:
        """Tokens of a row."""
        return self.training.shape[1]

    def take(self, places: Tensor, draw: torch.Generator) -> Taken:
        """The rows."""
        return Taken(batch=self.training[places])

    def held_out(self, size: int) -> list[Any]:
        """The rows, in batches."""
        return list(self.judged.split(size))

    def stand_in(self, rows: int) -> Tensor:
        """[rows length] of whole numbers."""
        return torch.empty(rows, self.per, dtype=torch.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """Inputs [n ...] with classes [n]; `parts` are those to train on, and those held out."""

    inputs: Tensor
    labels: Tensor
    parts: tuple[Tensor, Tensor]
    digest: str
    unit: str = "examples"
    names: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def per(self) -> int:
        """1."""
        return 1

    @property
    def classes(self) -> int:
        """One more than the largest label."""
        return int(self.labels.max()) + 1

    def take(self, places: Tensor, draw: torch.Generator) -> Taken:
        """Inputs and labels."""
        found = self.parts[0][places]
        return Taken(batch=(self.inputs[found], self.labels[found]))

    def held_out(self, size: int) -> list[Any]:
        """Inputs and labels, in batches."""
        return [(self.inputs[p], self.labels[p]) for p in self.parts[1].split(size)]

    def stand_in(self, rows: int) -> Tensor:
        """[rows 0]: nothing but a count."""
        return torch.empty(rows, 0)


def lessons(
    data: Material, augment: Augment, *, seed: int, side: int | None, channels: int | None
) -> Pictures | Rows | Vectors:
    """The data of a recipe, parted by the seed; images are brought to the network's `side` and `channels`.

    Raises:
        DataError: they cannot be read, or a part is empty.
    """
    if data.images:
        return _pictures(data, augment, seed, side, channels)
    if augment != Augment():
        raise DataError("only images are augmented; leave [augment] out")
    return _rows(data, seed) if data.texts else _vectors(data, seed)


def _pictures(data: Material, augment: Augment, seed: int, side: int | None, channels: int | None) -> Pictures:
    found = read_images(str(data.images), labels=data.labels, size=data.size, limit=data.limit, seed=seed)
    judged, training = found.split((data.held_out, 1 - data.held_out), seed=seed)
    plain = Preparation(
        channels=channels, resize=(side, side) if side and tuple(found.pixels.shape[1:3]) != (side, side) else None
    )
    some = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))[:SEEN]
    pixels = torch.cat([plain(training.pixels[part]) for part in some.split(500)])
    mean = tuple(round(float(v), 4) for v in pixels.mean((0, 2, 3)))
    std = tuple(max(1e-4, round(float(v), 4)) for v in pixels.std((0, 2, 3)))
    prepare = Preparation(channels=channels, resize=plain.resize, mean=mean, std=std)
    return Pictures(training=training, judged=judged, prepare=prepare, augment=augment, digest=found.sha256)


def _rows(data: Material, seed: int) -> Rows:
    if data.tokenizer is None:
        raise DataError("texts need a tokenizer; name a folder with one as tokenizer under [data]")
    words = tokenizer(data.tokenizer)
    ids = tokenise(read_texts([Path(p) for p in data.texts]), words)
    rows = windows(ids, data.length, min(data.limit, ids.numel() // data.length) if data.limit else None, seed=seed)
    count = max(1, round(data.held_out * len(rows)))
    if len(rows) - count < 1:
        raise DataError(f"found {len(rows)} rows of {data.length} tokens, needed one to train on and one held out")
    # The last rows are held out: neighbours of a row say too much of it.
    digest = sha256(ids.numpy().tobytes()).hexdigest()
    return Rows(training=rows[:-count], judged=rows[-count:], digest=digest, classes=len(words))


def _vectors(data: Material, seed: int) -> Vectors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(str(data.tensors))
    try:
        held = load_file(path)
        inputs, labels = held["inputs"], held["labels"]
    except (OSError, SafetensorError, KeyError) as error:
        needed = "give a .safetensors file with 'inputs' and 'labels'"
        raise DataError(f"{path} cannot be read ({error}); {needed}") from error
    if labels.is_floating_point() or labels.ndim != 1 or len(labels) != len(inputs) or int(labels.min()) < 0:
        found = f"labels are {labels.dtype} {list(labels.shape)}"
        raise DataError(f"{path}: {found}, needed a class from 0 for each input")
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))[: data.limit]
    count = round(data.held_out * len(order))
    if not 0 < count < len(order):
        raise DataError(f"{path}: {len(order)} inputs leave {count} held out; give more, or another share")
    return Vectors(
        inputs=inputs.float() if inputs.is_floating_point() else inputs, labels=labels.long(),
        parts=(order[count:], order[:count]), digest=sha256(path.read_bytes()).hexdigest(),
    )  # fmt: skip
