"""From a plan to a folder that is known to open, or to a smaller module."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.core import Plan
from penjing.core.progress import Progress, counter, silent
from penjing.errors import PlanError
from penjing.io import check_finite
from penjing.layouts.graph.inputs import example
from penjing.pipeline.unfinished import Unfinished
from penjing.running.lending import Lender
from penjing.running.source import Source, as_folder
from penjing.surgery import ReopenResult, Verified, apply, reopen, stream, verify


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A finished folder, the plan, what was verified before it was written, and what its re-opening gave."""

    folder: Path
    plan: Plan
    verified: Verified
    reopened: ReopenResult | None


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a plan is carried out: what is allowed, whether the result is opened, what `penjing.json` also tells.

    `dtype` is what the result is stored in; None keeps what each tensor is. `check` may refuse what was verified,
    before it is written.
    """

    allow_sensitive: bool = False
    by_layer: bool = False
    allow_nonfinite: bool = False
    reopening: bool = True
    dtype: torch.dtype | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Verified], None] = lambda verified: None


def carry_out(
    source: Source, plan: Plan, out: Path, manner: Manner | None = None, *, cache: Path, lender: Lender | None = None,
    unfinished: Unfinished | None = None, progress: Progress = silent,
) -> Applied:  # fmt: skip
    """Verify the plan, stream it into `out`, and open the result with the stock loader in a fresh process.

    The model that the outcome is compared with is had from the `lender`, or opened for this alone. Of an
    `unfinished` run only what is missing is done.

    Raises:
        PlanError: the plan cannot be carried out (nothing is written), or the result does not compute what the
            same edits give in memory (the folder stays, for a look).
        OutputError: `out` cannot be written.
        CheckpointError: stored weights hold NaN or infinity, and that was not allowed.
    """
    checkpoint, how = source.weights(), manner or Manner()
    progress("verifying the plan", 0, 0)
    verified = verify(
        checkpoint, source.layout, plan, allow_sensitive=how.allow_sensitive, allow_nonfinite=how.allow_nonfinite,
        dtype=how.dtype, by_layer=how.by_layer,
    )  # fmt: skip
    how.check(verified)
    if unfinished is None or not unfinished.is_written:
        if not how.allow_nonfinite:
            progress("looking for NaN and infinity", 0, 0)
            check_finite(checkpoint, within=how.dtype)
        stream(
            checkpoint, source.layout, plan, out, verified=verified, told=how.told,
            progress=counter(progress, "writing", verified.after.bytes),
            replacing=unfinished is not None and unfinished.replacing,
        )  # fmt: skip
    if unfinished is not None:
        unfinished.keep_written()
    reopened = unfinished.reopened if unfinished is not None else None
    if how.reopening and source.config and reopened is None:
        folder = as_folder(source, cache, progress)
        progress("carrying the plan out in memory, to compare", 0, 0)
        reopened = _reopen(
            out, *_in_memory(folder, source, plan, verified, lender, how.dtype), verified.strangers, progress
        )
        if unfinished is not None:
            unfinished.keep_reopened(reopened)
    return Applied(folder=out, plan=plan, verified=verified, reopened=reopened)


def _in_memory(
    folder: Path, source: Source, plan: Plan, verified: Verified, lender: Lender | None, dtype: torch.dtype | None
) -> tuple[dict[str, Tensor], Tensor]:
    """(inputs, outputs) of the same edits in memory, on the processor, as the fresh process computes them."""
    with ExitStack() as stack:
        # Another type is opened by itself: values that a plan brings are to be rounded once.
        known = lender if lender is not None and dtype is None else stack.enter_context(Lender())
        with known.lend(folder, dtype, stored=dtype is None) as before:
            inputs = {k: v for k, v in example(before, device="cpu").items() if isinstance(v, Tensor)}
            smaller = apply(before, source.layout, plan, verified=verified).to("cpu")
        del before
    with torch.inference_mode():
        return inputs, first_output(smaller(**inputs))


def _reopen(
    out: Path, inputs: dict[str, Tensor], expected: Tensor, strangers: tuple[str, ...], progress: Progress
) -> ReopenResult:
    progress("opening the result in a fresh process", 0, 0)
    result = reopen(out, inputs, expected, strangers=strangers)
    if not result.ok:
        raise PlanError(
            f"{out} was written, but opened by {result.loader} it does not compute what the same edits give in memory "
            f"(largest difference {result.max_abs_difference}, missing {list(result.missing)[:3]}, unexpected "
            f"{list(result.unexpected)[:3]}); do not use it, and report the model and the plan"
        )
    return result


def first_output(output: Any) -> Tensor:
    """The logits of a stock model's output, or else its last hidden state, or else its first entry."""
    for name in ("logits", "last_hidden_state"):
        found = getattr(output, name, None)
        if found is not None:
            return found
    return output[0]
