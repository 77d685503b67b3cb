"""BIG-bench JSON tasks: a task.json, or a folder of them, as plain items.

Source: Srivastava et al., TMLR 2023, arXiv:2206.04615, and the JSON schema in BIG-bench's documentation.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.data.items import AnyChoice, ChoiceItem, ExactItem, ScoredItem, scores_of, unique
from penjing.data.jsonl import Record, brief, check_file, parsed
from penjing.errors import DataError

DEFAULT_REGEX = r"[^\.\?\!\;\n]+"
"""What is read off a reply when a task names neither a regular expression nor a string to stop at."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a task writes its examples; the defaults are the schema's."""

    task_prefix: str = ""
    input_prefix: str = "\nQ: "
    output_prefix: str = "\nA: "
    choice_prefix: str = "\n  choice: "
    append_choices: bool = True
    separator: str = "\n"


@dataclass(frozen=True, kw_only=True)
class BigBench:
    """One task.json: its questions with choices, and its questions whose replies are compared.

    A question that has both is in both. `name` is the folder's, of a subtask `task.subtask`. The choices of a
    question are shuffled, the same way each time, since many tasks list the right one first. Each item's
    `extra` holds the `form` as "form" and the name as "group".
    """

    name: str
    form: Form
    choices: tuple[AnyChoice, ...]
    exact: tuple[ExactItem, ...]
    metrics: tuple[str, ...] = ()
    regex: str | None = DEFAULT_REGEX
    stop: str | None = None


def read_bigbench(path: str | Path) -> list[BigBench]:
    """The tasks in a task.json or a folder: one for the folder's own examples, one for each subtask that has some.

    Raises:
        DataError: there is no task.json, a field has the wrong type, or no task has examples; the file is named.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("task*.json") if p.is_file())
    if not files:
        what = "no task.json in the folder" if path.is_dir() else "nothing at"
        raise DataError(f"found {what} {path}, needed a BIG-bench task; name a task.json or a folder that holds some")
    top = path.parent if path.is_file() else path
    tasks = [_task(p, ".".join((top.resolve().name, *p.parent.relative_to(top).parts))) for p in files]
    found = [t for t in tasks if t is not None]
    if not found:
        raise DataError(f"none of the {len(files)} task files in {path} has examples; name another task")
    return found


def _task(path: Path, name: str) -> BigBench | None:
    check_file(path, "task.json")
    fields = parsed(path, "line 1", path.read_bytes())
    if not isinstance(fields, dict):
        raise DataError(f"{path}: found {brief(fields)}, needed an object with 'examples'")
    if "examples" not in fields:
        return None
    r = Record(path, "task", fields)
    examples = fields["examples"]
    if not isinstance(examples, list) or not examples:
        raise r.wrong(f"{brief(examples)} as 'examples'", "a list of one or more objects")
    form = _form(r)
    rows = [Record(path, f"example {i}", e) for i, e in enumerate(examples, start=1)]
    extra = {"form": form, "group": name}
    choices, exact = [], []
    for row in rows:
        if not isinstance(row.fields, dict):
            raise row.wrong(brief(row.fields), "an object with 'input'")
        if "target_scores" in row.fields:
            choices.append((_choices(row, name, extra), row))
        if "target" in row.fields:
            exact.append((_exact(row, name, form, extra), row))
        elif "target_scores" not in row.fields:
            raise row.wrong("neither 'target' nor 'target_scores'", "one of them")
    regex, stop = _optional(r, "output_regex"), _optional(r, "stop_string")
    return BigBench(
        name=name,
        form=form,
        choices=tuple(unique(choices)),
        exact=tuple(unique(exact)),
        metrics=r.texts(fields["metrics"], "metrics") if "metrics" in fields else (),
        regex=DEFAULT_REGEX if regex is None and stop is None else regex,
        stop=stop,
    )


def _form(r: Record) -> Form:
    usual = Form()
    append = r.fields.get("append_choices_to_input", True)
    if not isinstance(append, bool):
        raise r.wrong(f"{brief(append)} as 'append_choices_to_input'", "true or false")
    return Form(
        task_prefix=r.text("task_prefix", usual.task_prefix),
        input_prefix=r.text("example_input_prefix", usual.input_prefix),
        output_prefix=r.text("example_output_prefix", usual.output_prefix),
        choice_prefix=r.text("choice_prefix", usual.choice_prefix),
        append_choices=append,
        separator=r.text("few_shot_example_separator", usual.separator),
    )


def _optional(r: Record, key: str) -> str | None:
    return None if r.fields.get(key) is None else r.text(key)


def _choices(r: Record, task: str, extra: Mapping[str, Any]) -> AnyChoice:
    given = r.fields["target_scores"]
    if not isinstance(given, dict) or len(given) < 2:
        found = f"{len(given)} choices" if isinstance(given, dict) else brief(given)
        raise r.wrong(f"{found} as 'target_scores'", "an object of two or more choices with their scores")
    question = r.text("input")
    order = sorted(given)
    random.Random(f"bigbench {question}").shuffle(order)
    choices = tuple(r.as_text(c, "target_scores") for c in order)
    scores = scores_of(r, [given[c] for c in order], choices)
    name = f"{task}:{r.place.rpartition(' ')[2]}"
    if sorted(scores)[-2:] == [0.0, 1.0]:
        return ChoiceItem(id=name, question=question, choices=choices, answer=scores.index(1.0), extra=extra)
    return ScoredItem(id=name, question=question, choices=choices, scores=scores, extra=extra)


def _exact(r: Record, task: str, form: Form, extra: Mapping[str, Any]) -> ExactItem:
    target = r.fields["target"]
    targets = r.texts([target] if isinstance(target, str) else target, "target")
    name = f"{task}:{r.place.rpartition(' ')[2]}"
    prompt = form.task_prefix + form.input_prefix + r.text("input") + form.output_prefix
    return ExactItem(id=name, prompt=prompt, targets=targets, extra=extra)
