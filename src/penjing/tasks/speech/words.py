"""How many words a model of speech gets wrong."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.data.features import Features
from penjing.data.sounds import Sounds
from penjing.errors import DataError, MeasureError, MissingExtraError
from penjing.layouts.config.stock import quiet
from penjing.tasks.task import Examined, Progress

VERSION = 1
NEW_TOKENS = 224
"""Most tokens that a model writes for one recording."""


@dataclass(frozen=True, kw_only=True)
class WordErrors:
    """The word error rate of a model's greedy transcripts: (substitutions + deletions + insertions) / words said.

    Words and characters are counted after both texts were brought to lower case without punctuation. Over all
    recordings together, so long ones weigh more; the standard error is that of this ratio over recordings.

    Source: the usual definition; counted by the package jiwer.
    """

    sounds: Sounds
    name: str
    batch: int = 4
    label: str = ""

    def key(self) -> str:
        """The protocol: everything that changes the figures."""
        ids = ",".join(self.sounds.ids)
        return (
            f"word_errors/{VERSION} greedy max_new_tokens={NEW_TOKENS} lower case, no punctuation "
            f"sounds=sha256:{self.sounds.sha256[:16]} items={len(self.sounds)} ids={hash_of(ids)}"
        )

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The word error rate, and `name:characters`.

        Raises:
            MeasureError: the model writes no words.
            DataError: a recording cannot be read, or the folder lacks its feature extractor or tokenizer.
            MissingExtraError: the packages that read sound, or count words, are not installed.
        """
        heard = transcripts(model, self.sounds, self.batch, progress)
        said, found = [plain(t) for t in self.sounds.texts], [plain(t) for t in heard]
        if lost := [i for i, t in zip(self.sounds.ids, said, strict=True) if not t]:
            raise DataError(f"{self.sounds.source}: no words are given for {lost[0]}; write them, or take it out")
        label = self.label or self.name
        records = {"id": list(self.sounds.ids), "said": said, "heard": found}
        return (
            self._rate(self.name, f"{label}: words wrong", "errors per word", *counts(said, found), records),
            self._rate(
                f"{self.name}:characters", f"{label}: characters wrong", "errors per character",
                *counts(said, found, characters=True), {"id": records["id"]},
            ),
        )  # fmt: skip

    def _rate(
        self, name: str, label: str, unit: str, wrong: list[int], of: list[int], records: dict[str, Any]
    ) -> Measurement:
        value, spread = ratio_with_error(wrong, of)
        # Two models are paired by the ratio of these columns' sums, in which each recording weighs as its words do.
        items = {**records, "errors": wrong, "tokens": of}
        return Measurement(
            name=name, value=value, unit=unit, n=len(wrong), spread=spread, spread_kind="standard error",
            protocol=self.key(), label=label, better="lower", group="quality", items=items,
            note="" if len(wrong) > 1 else "one recording has no spread",
        )  # fmt: skip


@torch.no_grad()
def transcripts(model: Examined, sounds: Sounds, batch: int, progress: Progress | None = None) -> list[str]:
    """What a model writes down of each recording, greedily.

    Raises:
        MeasureError: the model is of no kind that writes words.
    """
    if model.folder is None:
        raise MeasureError(f"{model.name} lies in no folder, so its feature extractor is not known; save it first")
    features, module = Features(model.folder), model.module
    how = writer_of(module)
    if how is None:
        raise MeasureError(f"{model.name} ({type(module).__name__}) writes no words: it is no CTC or seq2seq model")
    device = next(module.parameters()).device
    dtype = next(p.dtype for p in module.parameters() if p.is_floating_point())
    out: list[str] = []
    for start in range(0, len(sounds), batch):
        places = range(start, min(start + batch, len(sounds)))
        made = features([sounds.wave(i, features.rate) for i in places])
        inputs = {k: v.to(device, dtype) if v.is_floating_point() else v.to(device) for k, v in made.items()}
        out += features.words(how(module, inputs).cpu())
        if progress:
            progress(len(out), len(sounds))
    return out


def writer_of(module: Any) -> Any:
    """(module, inputs) -> token ids [batch length], or None for a model that writes no words."""
    if type(module).__name__.endswith("ForCTC"):
        return _best_path
    config = getattr(module, "config", None)
    if getattr(config, "is_encoder_decoder", False) and callable(getattr(module, "generate", None)):
        return _written
    return None


def _best_path(module: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The likeliest token of each frame; the tokenizer drops blanks and repetitions."""
    return module(**inputs).logits.argmax(-1)


def _written(module: Any, inputs: dict[str, Tensor]) -> Tensor:
    room = getattr(module.config, "max_target_positions", None) or NEW_TOKENS
    with quiet():  # of settings that the model's own generation config has twice
        return module.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=min(NEW_TOKENS, room // 2))


def counts(said: Sequence[str], heard: Sequence[str], *, characters: bool = False) -> tuple[list[int], list[int]]:
    """(errors, words said) of each recording, or of its characters.

    Raises:
        MissingExtraError: jiwer is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtraError("jiwer", "audio", "counting wrong words") from error
    count = jiwer.process_characters if characters else jiwer.process_words
    wrong, of = [], []
    for one, other in zip(said, heard, strict=True):
        found = count([one], [other])
        wrong.append(found.substitutions + found.deletions + found.insertions)
        of.append(found.hits + found.substitutions + found.deletions)
    return wrong, of


def ratio_with_error(above: Sequence[float], below: Sequence[float]) -> tuple[float, float | None]:
    """(sum / sum, its standard error over items): the error of a ratio of means, by its linear part.

    >>> ratio_with_error([1, 1], [10, 10])
    (0.1, 0.0)
    """
    n, total = len(above), sum(below)
    value = sum(above) / total
    if n < 2:
        return value, None
    residuals = [a - value * b for a, b in zip(above, below, strict=True)]
    return value, math.sqrt(n / (n - 1) * sum(r * r for r in residuals)) / total


def plain(text: str) -> str:
    """Lower case, letters, digits and apostrophes, single spaces.

    >>> plain("Go  forward — ten METERS, it's said.")
    "go forward ten meters it's said"
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return " ".join(re.sub(r"[^\w' ]|_", " ", text).split())


def hash_of(text: str) -> str:
    """12 hex digits of a text."""
    from hashlib import sha256

    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
