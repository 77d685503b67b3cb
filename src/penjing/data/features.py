"""What a model of sound takes, made of recordings by the model's own processor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.errors import DataError


class Features:
    """The feature extractor of a folder, and its tokenizer where it has one.

    Raises:
        DataError: the folder has no feature extractor that transformers can read.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoFeatureExtractor, AutoTokenizer

        try:
            self._extract: Any = AutoFeatureExtractor.from_pretrained(str(folder))
        except Exception as error:  # each class of extractors has errors of its own for files that it misses
            raise DataError(
                f"{folder} has no feature extractor that transformers can read; copy its preprocessor_config.json there"
            ) from error
        try:
            self._reader: Any = AutoTokenizer.from_pretrained(str(folder))
        except Exception:  # a classifier has none, and what needs words says so
            self._reader = None
        self.rate = int(getattr(self._extract, "sampling_rate", 16_000))
        """Samples a second that the model wants."""

    def __call__(self, waves: Sequence[Tensor]) -> dict[str, Tensor]:
        """The model's inputs for some waves [samples] at its rate, padded to one length."""
        given: dict[str, Any] = {"sampling_rate": self.rate, "return_tensors": "pt"}
        made = self._extract([w.numpy() for w in waves], **given, padding=self._padding())
        return {k: v for k, v in made.items() if isinstance(v, Tensor)}

    def _padding(self) -> str:
        """Extractors of windows of one length (as Whisper's) pad to it; the others to the longest."""
        return "max_length" if getattr(self._extract, "nb_max_frames", None) else "longest"

    def words(self, ids: Tensor) -> list[str]:
        """The texts of token ids [batch length], without special tokens.

        Raises:
            DataError: there is no tokenizer.
        """
        return self.reader().batch_decode(ids, skip_special_tokens=True)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """[batch length]: the ids of texts, -100 behind the end of each.

        Raises:
            DataError: there is no tokenizer.
        """
        rows = [torch.tensor(self.reader()(t)["input_ids"] or [0]) for t in texts]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)

    def reader(self) -> Any:
        """The tokenizer.

        Raises:
            DataError: there is none.
        """
        if self._reader is None:
            raise DataError("the folder has no tokenizer, which words are read and written with; copy its files there")
        return self._reader

    def key(self) -> str:
        """What the extractor does, as text."""
        held: Mapping[str, Any] = self._extract.to_dict()
        plain = {k: v for k, v in sorted(held.items()) if isinstance(v, int | float | str | bool)}
        return f"{type(self._extract).__name__} {plain}"


