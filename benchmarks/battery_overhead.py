"""What the battery costs over the forwards it is made of: multiple choice against the bare model on the same tokens.

    python -m benchmarks.battery_overhead MODEL_FOLDER [--task BIGBENCH_FOLDER] [--items 24] [--rounds 5] [--threads 1]

Two ratios, each the median over rounds in which both sides ran back to back:
- `overhead`: the whole task (writing questions, tokenising, batching, reading off log-likelihoods) over the time that
  its own forwards took, with the contexts' keys shared. To hold: at most 1.10.
- `whole`: the same with sharing off, over a replay of exactly those token batches through the bare model.
`shared_by_whole` is what sharing is worth: the task with sharing over the bare forwards without it (below 1 is faster).
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from penjing.data import ChoiceItem, read_bigbench, read_texts, shipped
from penjing.running.loading import load
from penjing.tasks.choices import MultipleChoice
from penjing.tasks.choices.styles import PLAIN, Style
from penjing.tasks.kinds.bigbench import STYLE
from penjing.tasks.task import Examined


def questions(task: Path | None, count: int) -> tuple[tuple[Any, ...], Style]:
    """Items and their style: of a BIG-bench task, or made of the shipped text (which of four lines comes next)."""
    if task is not None:
        return tuple(i for t in read_bigbench(task) for i in t.choices), STYLE
    lines = [x.strip() for x in read_texts(shipped("evaluation"))[0].split(". ") if 40 < len(x.strip()) < 200]
    out = []
    for i in range(min(count, len(lines) // 8)):
        at = 8 * i
        out.append(
            ChoiceItem(
                id=str(i), question=". ".join(lines[at : at + 4]), choices=tuple(lines[at + 4 : at + 8]), answer=0
            )
        )
    return tuple(out), PLAIN


class Stopwatch:
    """Adds up the time that a module spends in its forward, and remembers what it was given."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module, self.seconds, self.given = module, 0.0, []

    def __enter__(self) -> "Stopwatch":
        self.hooks = [
            self.module.register_forward_pre_hook(self.begin, with_kwargs=True),
            self.module.register_forward_hook(self.end),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def begin(self, _: Any, args: Any, kwargs: Any) -> None:
        self.given.append((args, kwargs))
        self.began = time.perf_counter()

    def end(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self.began


def timed(task: MultipleChoice, model: Examined) -> tuple[float, Stopwatch]:
    with Stopwatch(model.module) as watch:
        began = time.perf_counter()
        task.run(model)
        return time.perf_counter() - began, watch


def bare(module: torch.nn.Module, given: list[Any]) -> float:
    with torch.inference_mode():
        began = time.perf_counter()
        for args, kwargs in given:
            module(*args, **kwargs)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--task", type=Path)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    from transformers import AutoTokenizer

    items, style = questions(wish.task, wish.items)
    model = Examined(
        name=wish.model.name,
        module=load(wish.model, "cpu", torch.float32),
        tokenizer=AutoTokenizer.from_pretrained(wish.model, local_files_only=True),
    )
    settings = {"name": "overhead", "items": items, "style": style, "limit": wish.items}
    shared, whole = MultipleChoice(**settings), MultipleChoice(**settings, share=False)
    _, watch = timed(whole, model)  # the first round warms up
    given = watch.given
    rows: list[dict[str, float]] = []
    for _ in range(wish.rounds):
        with_sharing, inside = timed(shared, model)
        without, _ = timed(whole, model)
        plain = bare(model.module, given)
        rows.append(
            {
                "overhead": with_sharing / inside.seconds,
                "whole": without / plain,
                "shared_by_whole": with_sharing / plain,
            }
        )
    found = {
        key: {"median": statistics.median(r[key] for r in rows), "rounds": [r[key] for r in rows]} for key in rows[0]
    }
    where = {"model": wish.model.name, "items": min(wish.items, len(items)), "threads": wish.threads}
    print(json.dumps({**where, **found}, indent=1))


if __name__ == "__main__":
    main()
