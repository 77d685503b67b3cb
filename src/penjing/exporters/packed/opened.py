"""A packed folder opened by transformers' own loader: what it predicts and what it writes."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import CheckpointError, ExportError, MissingExtraError
from penjing.exporters.exporter import Inputs
from penjing.exporters.packed.scheme import KIND
from penjing.io import open_checkpoint
from penjing.layouts.config.stock import build


def installed() -> None:
    """See that what opens packed folders is there.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("compressed_tensors") is None:
        raise MissingExtraError(KIND, "quantize", "opening a folder of packed weights")


def open_module(folder: Path, dtype: torch.dtype | str = "auto") -> nn.Module:
    """The model in a packed folder, as `AutoModelForCausalLM.from_pretrained` gives it, in evaluation mode.

    On a processor transformers unpacks the weights when the model first runs: from then on they take the memory that
    they took before they were packed.

    Raises:
        MissingExtraError: compressed-tensors is not installed.
        ExportError: it does not open.
    """
    installed()
    from transformers import AutoModelForCausalLM

    with _quiet():
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype, local_files_only=True, output_loading_info=True
            )
            module, found = loaded
        except Exception as error:  # each part of the loader has errors of its own
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"transformers does not open {folder.name}: {line[:200]}") from error
        if lost := sorted(found["missing_keys"]):
            raise ExportError(f"transformers misses {lost[0]} in {folder.name}; get the whole folder again")
        with torch.no_grad():
            module.eval()(input_ids=torch.zeros(1, 1, dtype=torch.long))  # the first pass unpacks the weights
    return module


class OpenFolder:
    """A packed folder that is open, in the type that it says; use it in a `with` block.

    Raises:
        MissingExtraError: compressed-tensors is not installed.
        ExportError: it does not open.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = f"transformers {version('transformers')} with {KIND} {version(KIND)}"
        self._folder = folder
        self._module: Any = open_module(folder)
        config = self._module.config
        self.vocabulary = int(config.vocab_size)
        self.positions = getattr(config, "max_position_embeddings", None)
        self.parameters = _parameters(folder)

    @torch.no_grad()
    def logits(self, tokens: Sequence[int]) -> Tensor:
        """float32 [tokens vocabulary]: after each token."""
        return self._module(torch.tensor([list(tokens)])).logits[0].float()

    @torch.no_grad()
    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest token, `count` times over, with the cache."""
        out: list[int] = []
        given, cache = torch.tensor([list(tokens)]), None
        for _ in range(count):
            found = self._module(given, past_key_values=cache, use_cache=True)
            out.append(int(found.logits[0, -1].argmax()))
            given, cache = torch.tensor([out[-1:]]), found.past_key_values
        return out

    def tokenize(self, texts: Sequence[str], *, special: bool) -> list[list[int]] | None:
        """The tokens of texts by the tokenizer in the folder; None where it has none."""
        with open_checkpoint(self._folder) as checkpoint:
            try:
                tokenizer = checkpoint.tokenizer()
            except CheckpointError:
                return None
        return [tokenizer(text, add_special_tokens=special)["input_ids"] for text in texts]

    @torch.no_grad()
    def output(self, inputs: Inputs) -> Tensor:
        """The first output, from inputs by name."""
        return self._module(**inputs)[0]

    def __enter__(self) -> "OpenFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._module


def _parameters(folder: Path) -> int:
    """How many weights there were before they were packed; a tied head counts once."""
    with open_checkpoint(folder) as checkpoint:
        return sum(prod(p.shape) for p in build(checkpoint.config).parameters())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars and warnings of the two libraries, which have no switch for all of them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
