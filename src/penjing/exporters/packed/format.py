"""The format of packed folders, for whichever schemes a file of `formats/` offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from penjing.core.progress import Progress
from penjing.exporters.exporter import Given, Written
from penjing.exporters.packed.checking import compare, prompts_of
from penjing.exporters.packed.matrices import matrices
from penjing.exporters.packed.opened import OpenFolder, installed, open_module
from penjing.exporters.packed.scheme import Scheme, is_packed, share
from penjing.exporters.packed.writing import write
from penjing.exporters.runtime import size_of
from penjing.io import open_checkpoint
from penjing.io.recorded import with_modules
from penjing.io.shards import read_config

ROOM = 10**6
"""Positions of a model that names no limit."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A format whose `schemes` bear the names of its types, each with what it is; "" where it has no types."""

    name: str
    schemes: Mapping[str, tuple[Scheme, str]]
    runtime: str = "transformers with compressed-tensors"
    modules: frozenset[str] | None = frozenset()
    suffix: str = ""
    opens: str = "from transformers import AutoModelForCausalLM\nmodel = AutoModelForCausalLM.from_pretrained(FILE)"

    @property
    def variants(self) -> Mapping[str, str]:
        """Type -> what it is."""
        return {name: what for name, (_, what) in self.schemes.items() if name}

    def multiple(self, variant: str) -> int:
        """The values of a group."""
        return self.schemes[variant][0].group or 1

    def refuse(
        self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], variant: str, folder: Path | None = None
    ) -> None:
        """See that stock loaders can open such a folder, and that rows are made of whole groups.

        Raises:
            MissingExtraError: compressed-tensors is not installed.
            ExportError: they cannot, or rows are not.
        """
        del folder
        installed()
        self.schemes[variant][0].refuse(matrices(config, shapes).packed, shapes, self._asked(variant))

    def holds(self, folder: Path) -> bool:
        """Whether a folder is of this kind, whoever packed it."""
        return (folder / "config.json").is_file() and is_packed(read_config(folder))

    def open(self, path: Path, *, context: int, threads: int) -> OpenFolder:
        """The folder in transformers.

        Raises:
            MissingExtraError: compressed-tensors is not installed.
            ExportError: transformers does not open it.
        """
        del context
        return OpenFolder(path, threads=threads)

    def make(self, given: Given, path: Path, variant: str, progress: Progress) -> Written:
        """Write the folder, open it by the stock loader, and hold it against what its codes stand for.

        Raises:
            MissingExtraError: compressed-tensors is not installed.
            ExportError: the model cannot be written so, or what opens computes something else.
            OutputError: the folder cannot be written.
        """
        installed()
        scheme = self.schemes[variant][0]
        with open_checkpoint(given.folder) as checkpoint:
            config = with_modules(checkpoint.config, given.folder)
            found = matrices(config, checkpoint.shapes)
            scheme.refuse(found.packed, checkpoint.shapes, self._asked(variant))
            write(path, checkpoint, found, scheme, progress)
            progress("opening the model", 0, 0)
            model: Any = given.load(torch.float32)
            positions = getattr(model.config, "max_position_embeddings", None) or ROOM
            prompts = prompts_of(checkpoint, positions, int(model.config.vocab_size))
            progress("running the folder in transformers", 0, 0)
            told = compare(model, lambda: open_module(path, torch.float32), checkpoint, found, scheme, prompts)
            part = share(found.packed, checkpoint.shapes)
        exact = f"to {told.exact:.1e} of the largest logit" if told.exact else "exactly"
        notes = (
            f"what opens is what the codes stand for, {exact}, so the difference is that of rounding",
            f"divergence {told.divergence:.2g} nats; at {told.same} of {told.places} places the likeliest token is "
            "the model's",
            f"{part:.0%} of the weights are packed, in {scheme.bits} bits and their scales; the embedding, the head "
            "and the norms are not",
        )
        compared = tuple(f"input_ids [1, {len(p)}]" for p in prompts)
        return Written(path=path, bytes=size_of(path), difference=told.difference, compared=compared, notes=notes)

    def _asked(self, variant: str) -> str:
        return f"{self.name}:{variant}" if variant else self.name
