"""Examples that a plan is made from, and others that it is judged on; none is in both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from penjing.calibrate.batches import Batch, labels, some, tokens
from penjing.calibrate.batches import examples as count_of
from penjing.core.progress import Progress
from penjing.data import read_texts, shipped, token_rows
from penjing.data.datasets import NAMED, named_texts
from penjing.errors import DataError
from penjing.planning.batches import batches_digest
from penjing.planning.examples import TOKEN_ROWS, examples
from penjing.planning.order import Order
from penjing.running.source import Source, as_folder
from penjing.running.stock import tokenizer

EVERY = 4
"""Of images and batches of one's own every fourth example is held out."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """`order` asks for plans from what is left; `batches` are held out, and `told` says what they are.

    `objective` is `loss`, or `divergence` from the original's predictions for data without tokens and labels.
    """

    order: Order
    batches: Sequence[Batch]
    told: dict[str, Any]
    objective: str


def split(source: Source, order: Order, rows: int, *, cache: Path, progress: Progress) -> Split:
    """Hold out `rows` rows of the calibration text that are not calibrated on, or every fourth example of other data.

    Raises:
        DataError: there is too little, or it cannot be read.
    """
    if order.batches is not None or order.images or order.audio:
        return _of_examples(source, order, cache, progress)
    found = _of_text(source, order, rows, cache, progress)
    batches = list(found.split(order.batch or TOKEN_ROWS))
    told = {"rows": len(found), "length": order.length, "sha256": batches_digest(batches)}
    return Split(order=order, batches=batches, told=told, objective="loss")


def _of_text(source: Source, order: Order, rows: int, cache: Path, progress: Progress) -> torch.Tensor:
    """[rows length]: the rows that the same draw would have taken next, less any that say what a calibration row says.

    The calibration rows are the first of a permutation by the order's seed, as `data.tokens.windows` draws them.
    """
    examples_needed = order.rows + rows
    if not source.config:
        raise DataError("trying plans needs data and none was given; pass data=[...], batches as the module takes them")
    reader = tokenizer(as_folder(source, cache, progress))
    named = [str(p) for p in order.texts]
    files = [Path(n) for n in named if not n.startswith(NAMED)] or ([] if named else shipped("calibration"))
    texts = read_texts(files) if files else []
    for name in (n for n in named if n.startswith(NAMED)):
        texts += named_texts(name, examples_needed * order.length * 8)
    whole = token_rows(reader, texts, length=order.length)
    drawn = torch.randperm(len(whole), generator=torch.Generator().manual_seed(order.seed))
    seen = {tuple(r) for r in whole[drawn[: order.rows]].tolist()}
    fresh = [p for p in drawn[order.rows :].tolist() if tuple(whole[p].tolist()) not in seen][:rows]
    if len(fresh) < 2:
        raise DataError(
            f"found {len(whole)} rows of {order.length} tokens and {order.rows} are calibrated on, which leaves "
            f"{len(fresh)} to try plans on; needed 2 or more, so give more text or ask for shorter or fewer rows"
        )
    return whole[sorted(fresh)]


def _of_examples(source: Source, order: Order, cache: Path, progress: Progress) -> Split:
    wanted = replace(order, rows=math.ceil(order.rows * EVERY / (EVERY - 1))) if order.batches is None else order
    data = examples(source, wanted, cache=cache, progress=progress, purpose="trying plans")
    kept: list[Batch] = []
    held: list[Batch] = []
    start = 0
    for batch in data.again():
        count = count_of(batch)
        for into, out in ((held, True), (kept, False)):
            places = [i for i in range(count) if ((start + i) % EVERY == EVERY - 1) is out]
            if places:
                into.append(some(batch, places))
        start += count
    if sum(map(count_of, held)) < 2:
        raise DataError(
            f"found {start} examples, of which every {EVERY}th is held out to try plans on; needed {2 * EVERY} or more"
        )
    judged = all(labels(b) is not None or tokens(b) is not None for b in held)
    told = {"examples": sum(map(count_of, held)), "every": EVERY, "sha256": batches_digest(held)}
    return Split(
        order=replace(order, batches=kept), batches=held, told=told, objective="loss" if judged else "divergence"
    )
