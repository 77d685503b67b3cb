"""Tasks as people name them: `FILE`, `BENCHMARK:FILE`, `images:PATH`, `instructions` or `lm-eval:NAME`."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penjing.data import READERS, read_bigbench, read_choices, read_exact
from penjing.data.instructions import read_instructions, shipped_instructions
from penjing.errors import DataError, nearest
from penjing.pipeline.attacking import read_attack
from penjing.pipeline.vision import read_vision
from penjing.tasks.choices import MultipleChoice, TruthfulQA
from penjing.tasks.generation import ExactMatch, bigbench_exact, gsm8k
from penjing.tasks.instructions import Instructions
from penjing.tasks.lm_eval import HarnessTask
from penjing.tasks.task import Task

PICTURES = {"images": "", "corruptions": "-corrupted", "probe": "-probe"}
"""Kinds of tasks of pictures, and what their names end in."""
BENCHMARKS = (*READERS, "instructions", "choices", "exact", "bigbench", "lm-eval", *PICTURES, "attack")
NEW_TOKENS = 256
"""Tokens that an answer to an instruction may have, unless told otherwise: enough for the shipped prompts."""


def read_tasks(wishes: Sequence[str], *, limit: int | None = None, shots: int = 0, seed: int = 0) -> tuple[Task, ...]:
    """The tasks that are named, in order; `limit` items each at most, drawn by `seed`.

    A bare `FILE` is a BIG-bench `task.json` (or its folder), or a `.jsonl` of questions with "choices". With a
    benchmark before it, the file holds that benchmark's records: `arc:test.jsonl`. `shots` solved examples precede each
    question of the tasks that have choices, and of gsm8k (there 5 when 0).

    Pictures are a folder of class folders, an .npz or an idx file: `images:PATH` for accuracy and calibration,
    `corruptions:PATH` for common corruptions, `probe:TRAIN,TEST` for a linear probe on the features of a model. Texts
    with labels are attacked by `attack:RECIPE:FILE.jsonl`. Settings follow a comma: `images:photos,size=224`.

    Raises:
        DataError: a benchmark is unknown, a file cannot be read, or two tasks have one name.
    """
    out: list[Task] = []
    for wish in wishes:
        kind, file = _parted(wish)
        out += _read(kind, file, limit, shots, seed)
    names = [t.name for t in out]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{names.count(name)} tasks are called '{name}'; give their files different names")
    return tuple(out)


def _parted(wish: str) -> tuple[str, str]:
    """(benchmark, file) of what was typed."""
    kind, colon, file = wish.partition(":")
    if colon and not Path(wish).exists():
        if kind not in BENCHMARKS:
            raise DataError(
                f"no benchmark is named '{kind}'{nearest(kind, BENCHMARKS)}; there are {', '.join(BENCHMARKS)}"
            )
        return kind, file
    if wish == "instructions":
        return "instructions", str(shipped_instructions())
    path = Path(wish)
    if path.is_dir() or path.suffix == ".json":
        return "bigbench", wish
    return "choices", wish


def _read(kind: str, file: str, limit: int | None, shots: int, seed: int) -> list[Task]:
    if kind == "lm-eval":
        return [HarnessTask(name=named(file), task=file, limit=limit, shots=shots or None)]
    if kind in PICTURES:
        # the last path is what is judged; settings may follow it
        judged = [part for part in file.split(",") if "=" not in part][-1:] or [file]
        return [read_vision(kind, file, named(judged[0]) + PICTURES[kind], limit, seed)]
    if kind == "attack":
        return [read_attack(file, limit, seed, named(file.partition(":")[2].split(",")[0]))]
    if kind == "bigbench":
        return _bigbench(file, limit, shots, seed)
    name = named(kind if kind not in {"choices", "exact"} else file)
    settings: dict[str, Any] = {"name": name, "limit": limit, "seed": seed}
    if kind == "instructions":
        return [Instructions(name=name, prompts=read_instructions(file)[:limit], max_new_tokens=NEW_TOKENS)]
    if kind == "exact":
        return [ExactMatch(name=name, items=tuple(read_exact(file)), limit=limit)]
    if kind == "gsm8k":
        return [gsm8k(READERS[kind](file), limit=limit, shots=shots or 5)]
    if kind == "truthfulqa":
        single, several = READERS[kind](file)
        return [TruthfulQA(**settings, single=tuple(single), several=tuple(several))]
    read: Callable[[str], Any] = read_choices if kind == "choices" else READERS[kind]
    style = "plain" if kind == "choices" else kind
    return [MultipleChoice(**settings, items=tuple(read(file)), style=style, shots=shots)]


def _bigbench(file: str, limit: int | None, shots: int, seed: int) -> list[Task]:
    """A task with choices where there are some; only what has none is generated and compared."""
    out: list[Task] = []
    for task in read_bigbench(file):
        if task.choices:
            out.append(
                MultipleChoice(
                    name=spelt(task.name), items=task.choices, style="bigbench", shots=shots, limit=limit, seed=seed
                )
            )
        elif task.exact:
            out.append(bigbench_exact(task, limit=limit))
    return out


def named(file: str) -> str:
    """A short name from a file's: lower case, no colons; of `task.json` the folder's.

    >>> named("tasks/Arithmetic/task.json")
    'arithmetic'
    """
    path = Path(file)
    stem = path.parent.name if path.name == "task.json" else path.stem
    return spelt(stem)


def spelt(name: str) -> str:
    """A name as a figure's: lower case, no colons; dots stay, so a subtask keeps its own part of the name.

    >>> spelt("cause_and_effect.Two Sentences")
    'cause_and_effect.two-sentences'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "task"
