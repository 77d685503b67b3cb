"""What a file for another runtime is worth there: its predictions, how far it is from its model, its rates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.core.progress import Progress
from penjing.errors import LayoutError
from penjing.evaluate.costs import BYTES, PARAMETERS
from penjing.evaluate.fidelity import AGREEMENT
from penjing.evaluate.greedy import greedy_agreement
from penjing.exporters.exporter import another, graph_of
from penjing.exporters.runtime import OpenFile, size_of
from penjing.layouts.graph.inputs import example
from penjing.pipeline import quality
from penjing.pipeline.in_memory import ERROR
from penjing.pipeline.quality import Reading

NO_TOKENIZER = "neither the file nor a folder beside it has a tokenizer, so no text was read"
PROMPTS, PROMPT, COUNT = 8, 32, 32
"""How many prompts are gone on with, how long they are, and how many tokens are written after each."""
RATES = {
    "prefill_seconds": ("prefill_tokens_per_second", "Tokens read per second"),
    "decode_seconds_per_token": ("decode_tokens_per_second", "Tokens written per second"),
}
"""Figure of time -> the rate that is the same in another unit, and its label."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """Figures of a file, and those of its model that the same pass gave."""

    own: tuple[Measurement, ...]
    base: tuple[Measurement, ...] = ()


def sizes(file: OpenFile, path: Path) -> list[Measurement]:
    """The weights, where the file tells their number, and the bytes of the file."""
    counted = (
        replace(PARAMETERS, value=float(file.parameters), n=1, protocol=f"told by {file.version}")
        if file.parameters is not None
        else replace(PARAMETERS, note="the file does not tell")
    )
    return [counted, replace(BYTES, value=float(size_of(path)), n=1, protocol="size of the file")]


def read(file: OpenFile, name: str, reading: Reading, original: nn.Module | None) -> Read:
    """The perplexities of a file and, beside its model, how far it is from that.

    Raises:
        DataError: a text is shorter than a window.
        MeasureError: a window is longer than the file's positions.
    """
    if not file.vocabulary:
        return Read(own=tuple(_outputs(file, original, reading.progress) if original is not None else ()))
    if not reading.texts:
        return Read(own=tuple(quality.missing(NO_TOKENIZER)))
    act = acting(file)
    if original is None:
        own = quality.first_perplexity(act, name, reading)
        return Read(own=(*_by(own, file), *_by(quality.later_perplexities(act, name, reading), file)))
    own, base = quality.beside(original, act, name, reading)
    reading.progress("writing tokens with both", 0, 0)
    written = greedy_agreement(original, file.greedy, _prompts(reading), _count(file))
    later = quality.later_perplexities(act, name, reading)
    return Read(
        own=(*_by([*own, written, *later], file),),
        base=(*base, *quality.later_perplexities(original, "the checkpoint", reading)),
    )


def acting(file: OpenFile) -> Any:
    """The file as what is measured: from tokens [batch tokens] to logits [batch tokens vocabulary]."""

    def act(tokens: Tensor) -> Tensor:
        return torch.stack([file.logits(row.tolist()) for row in tokens])

    positions = {} if file.positions is None else {"max_position_embeddings": file.positions}
    act.config = SimpleNamespace(vocab_size=file.vocabulary, **positions)  # type: ignore[attr-defined]
    return act


def _by(figures: Sequence[Measurement], file: OpenFile) -> list[Measurement]:
    """The figures, that say which runtime they are of; their protocol stays, as it tells what is comparable."""
    return [replace(f, details={**f.details, "runtime": file.version}) for f in figures]


def _prompts(reading: Reading) -> list[Tensor]:
    """Beginnings of equal stretches of the first text."""
    ids = reading.texts[reading.first[0]]
    if not isinstance(ids, Tensor):
        ids = torch.cat([tokens for _, tokens in ids])
    step = max(PROMPT, len(ids) // PROMPTS)
    return [ids[i : i + PROMPT] for i in range(0, len(ids) - PROMPT + 1, step)][:PROMPTS]


def _count(file: OpenFile) -> int:
    return COUNT if file.positions is None else max(1, min(COUNT, file.positions - PROMPT))


@torch.no_grad()
def _outputs(file: OpenFile, original: nn.Module, progress: Progress) -> list[Measurement]:
    """How far the outputs of a graph are from the model's, on inputs drawn at random of two sizes."""
    progress("outputs of both", 0, 0)
    try:
        drawn = [example(original, device="cpu", seed=seed) for seed in range(4)]
    except LayoutError as error:
        return [replace(ERROR, note=f"no example is known for the model: {error}")]
    apart = size = same = shown = 0.0
    for given in drawn:
        graph, inputs = graph_of(original, given)
        for each in (inputs, another(inputs)):
            wanted, found = graph(**each).double(), file.output(each).double()
            apart, size = apart + float((wanted - found).square().sum()), size + float(wanted.square().sum())
            same += float((wanted.argmax(-1) == found.argmax(-1)).sum())
            shown += wanted.numel() / wanted.shape[-1]
    count, how = 2 * len(drawn), f"on random inputs of two sizes, in {file.version}"
    error = replace(ERROR, value=(apart / size) ** 0.5 if size else None, n=count, protocol=f"outputs/1 {how}")
    alike = replace(
        AGREEMENT, label="Same largest output as the model", unit="share of outputs", value=same / shown, n=int(shown),
        protocol=f"outputs/1 argmax, {how}",
    )  # fmt: skip
    return [error, alike]


def with_rates(figures: Sequence[Measurement], prompt: int) -> list[Measurement]:
    """The figures of time with, after each of text, the same as tokens a second; `prompt` is the tokens of a pass."""
    out = []
    for figure in figures:
        out.append(figure)
        tokens = {"prefill_seconds": prompt}.get(figure.name, 1)
        if figure.name in RATES and figure.value and "tokens=" in figure.protocol:
            name, label = RATES[figure.name]
            bare = replace(figure, name=name, label=label, unit="tokens per second", better="higher", details={})
            out.append(replace(bare, value=tokens / figure.value, spread=None, spread_kind=""))
    return out


def reader_of(file: OpenFile) -> Callable[..., Mapping[str, Any]] | None:
    """The file's own tokenizer, called as those of transformers are; None where it has none."""
    if file.tokenize([""], special=False) is None:
        return None

    def encode(text: str, **_: Any) -> Mapping[str, Any]:
        return {"input_ids": (file.tokenize([text], special=False) or [[]])[0]}

    return encode
