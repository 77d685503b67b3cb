"""Corrupted versions of a set of images: made once, the same for every model, hashed."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

import torch
from torch import Tensor

from penjing.data.images import Images
from penjing.errors import MeasureError
from penjing.tasks.images.corruptions import SEVERITIES, VERSION, check_kinds, corrupt

MEMORY = 1 << 30


class CorruptedImages:
    """All cells, one per corruption and severity, of `images`. Cells are kept while `memory` bytes last.

    What does not fit is made again for each model and held to the hash of the first time.

    Raises:
        DataError: a corruption or severity is unknown, or named twice.
    """

    def __init__(
        self,
        images: Images,
        kinds: Sequence[str],
        severities: Sequence[int] = SEVERITIES,
        *,
        seed: int = 0,
        memory: int = MEMORY,
    ) -> None:
        check_kinds(kinds, severities)
        self.images, self.seed = images, seed
        self.kinds, self.severities = tuple(kinds), tuple(severities)
        self._room = memory
        self._held: dict[tuple[str, int], Tensor] = {}
        self._digests: dict[tuple[str, int], str] = {}

    @property
    def cells(self) -> tuple[tuple[str, int], ...]:
        """Every (corruption, severity), severities of one corruption together."""
        return tuple((kind, severity) for kind in self.kinds for severity in self.severities)

    def key(self) -> str:
        """What makes the pixels: kinds, severities, seed and the version of the code."""
        told = f"{','.join(self.kinds)};{','.join(map(str, self.severities))}"
        return (
            f"corrupt/{VERSION} kinds={len(self.kinds)} severities={len(self.severities)} seed={self.seed} "
            f"which=sha256:{sha256(told.encode()).hexdigest()[:16]}"
        )

    def digest(self) -> str:
        """16 hex digits over the pixels of all cells; those not yet made are made now."""
        for cell in self.cells:
            if cell not in self._digests:
                for _ in self.batches(*cell, batch=64):
                    pass
        return sha256("".join(self._digests[c] for c in self.cells).encode()).hexdigest()[:16]

    def batches(self, kind: str, severity: int, *, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(places [b], pixels uint8 [b h w c]) of one cell, in order.

        Raises:
            MeasureError: the pixels are not those of the first time.
        """
        cell = (kind, severity)
        if cell in self._held:
            for places in torch.arange(len(self.images)).split(batch):
                yield places, self._held[cell][places]
            return
        digest, made = sha256(), []
        keep = self._takes(cell)
        for places in torch.arange(len(self.images)).split(batch):
            ids = [self.images.ids[i] for i in places.tolist()]
            pixels = corrupt(self.images.pixels[places], kind, severity, ids=ids, seed=self.seed)
            digest.update(pixels.numpy().data)
            if keep:
                made.append(pixels)
            yield places, pixels
        if self._digests.setdefault(cell, digest.hexdigest()) != digest.hexdigest():
            raise MeasureError(
                f"the images of '{kind}' at severity {severity} are not those that an earlier model saw; the files in "
                f"{self.images.source} have changed: measure all models again"
            )
        if keep:
            self._held[cell] = torch.cat(made)
            self._room -= self._held[cell].numel()

    def _takes(self, cell: tuple[str, int]) -> bool:
        n, h, w, c = self.images.pixels.shape
        return cell not in self._held and n * h * w * c <= self._room
