"""`bigbench:task.json`: a BIG-bench task, or a folder of them; the file or folder alone will do.

Source: Srivastava et al., TMLR 2023, arXiv:2206.04615. A task with choices where there are some; only what has none is
generated and compared.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.bigbench import BigBench, Form, read_bigbench
from penjing.data.items import AnyChoice
from penjing.errors import DataError
from penjing.tasks.choices import MultipleChoice
from penjing.tasks.choices.styles import Pair, Style, texts
from penjing.tasks.generation import ExactMatch
from penjing.tasks.kind import Asked, Kind, spelt
from penjing.tasks.task import Task


def _form(item: AnyChoice) -> Form:
    form = item.extra.get("form", Form())
    if not isinstance(form, Form):
        raise DataError(f"item {item.id} has a form that is none of BIG-bench; read the task with read_bigbench")
    return form


def _pairs(item: AnyChoice) -> list[Pair]:
    form = _form(item)
    listed = "".join(form.choice_prefix + c for c in item.choices) if form.append_choices else ""
    context = form.input_prefix + item.question + listed + form.output_prefix
    return [(context, choice) for choice in item.choices]


STYLE = Style(
    name="bigbench", pairs=_pairs, lengths=texts, header=lambda item: _form(item).task_prefix,
    separator=lambda item: _form(item).separator, metrics=("acc",),
)  # fmt: skip
"""How the schema of BIG-bench writes a question."""


def exact(task: BigBench, *, limit: int | None = None, max_new_tokens: int = 64) -> ExactMatch:
    """A task's `exact_str_match`, zero-shot: the first match of its regular expression is compared."""
    reading = "exact" if task.regex is None else f"pattern:{task.regex}"
    stop = (task.stop,) if task.stop else ("\n",)
    return ExactMatch(
        name=task.name.lower(), items=task.exact, readings=(reading,), stops=stop, max_new_tokens=max_new_tokens,
        limit=limit,
    )  # fmt: skip


def read(data: str, asked: Asked) -> Sequence[Task]:
    """A task for each that the file or folder holds, named like its folder.

    Raises:
        DataError: there is no task, or a field has the wrong type; the file is named.
    """
    out: list[Task] = []
    for task in read_bigbench(data):
        if task.choices:
            name, seed = spelt(task.name), asked.seed
            out.append(
                MultipleChoice(
                    name=name, items=task.choices, style=STYLE, shots=asked.shots, limit=asked.limit, seed=seed
                )
            )
        elif task.exact:
            out.append(exact(task, limit=asked.limit))
    return out


def bare(path: Path) -> bool:
    """Whether a file or folder without a kind's name before it is such a task."""
    return path.is_dir() or path.suffix == ".json"


KIND = Kind(read=read, better="higher", bare=bare)
