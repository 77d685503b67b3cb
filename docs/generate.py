"""Write docs/look-up from the commands' help, the docstrings, the methods' cards and the folders that are registries.

`python docs/generate.py` writes all pages, with the names of methods only theirs, and `--check` says what would change.
A house test compares, and lets statistics and tasks that are new wait for the next writing. What people write by hand
there (json-keys.md, files-and-settings.md, methods.md) is left alone.
"""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent / "look-up"
MADE = "<!-- made by `make docs`; edit the source instead -->\n\n"
MODULE = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")


def commands() -> str:
    """Each command's help, as the command prints it."""
    from penjing.cli import COMMANDS, GROUPS

    parts = ["# Commands\n\n", MADE, _block(_help())]
    for name in COMMANDS:
        parts += [f"\n## penjing {name}\n\n", _block(_help(name))]
    for name in GROUPS:
        parts.append(f"\n## penjing {name}\n\n")
        parts += [f"{_block(_help(name, one))}" for one in import_module(f"penjing.cli.{name}").COMMANDS]
    return "".join(parts)


def _help(*arguments: str) -> str:
    plain = {**os.environ, "TYPER_USE_RICH": "0", "COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}
    code = "from penjing.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=plain).stdout


def _block(text: str) -> str:
    return "```text\n" + "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n```\n"


def method(name: str) -> str:
    """A method's card, settings and docstring."""
    from penjing.methods import METHODS
    from penjing.report.methods import opens_in, type_in_words

    module = METHODS.load(name)
    card = module.CARD
    needs = ", ".join(sorted(card.needs)) or "no data"
    rows = [(s.name, type_in_words(s.kind), s.default) for s in METHODS.settings(name)]
    parts = [
        f"# {name}\n\n", MADE, f"{inspect.cleandoc(module.__doc__ or '')}\n\n",
        f"- **title** {card.title}; **paper** {card.paper}\n- **removes** {card.removes}\n",
        f"- **promise** {card.promise}; **opens in** {', '.join(opens_in(card))}\n- **needs** {needs}\n\n",
        "| setting | type | default |\n|---|---|---|\n",
        *(f"| `{n}` | {kind} | `{default!r}` |\n" for n, kind, default in rows),
        f"\n{inspect.cleandoc(METHODS.type_of(name).__doc__ or '')}\n",
    ]  # fmt: skip
    return "".join(parts)


def recipes() -> str:
    """Each table of a recipe, with its keys."""
    from penjing.pipeline.option import flag_of, options
    from penjing.pipeline.request import TABLES

    parts = ["# Recipes\n\n", MADE]
    parts.append("The keys of a recipe, which are the flags of `penjing shrink` and the fields of Python's classes.\n")
    parts.append("How to use one: [repeat a run](../do/repeat-a-run.md).\n\n")
    parts.append("At the top stand `version = 1`, `out` (the folder to write) and, if nothing is to be measured,\n")
    parts.append("`measure = false`.\n")
    for table, cls in TABLES.items():
        parts.append(f"\n## [{table}]\n\n{inspect.cleandoc(cls.__doc__ or '')}\n\n")
        parts.append("| key | type | default | flag | what |\n|---|---|---|---|---|\n")
        for key, (one, told) in options(cls).items():
            flag = told.metavar if told.argument else flag_of(one)
            if flag is None or not told.recorded:
                continue
            default = "needed" if told.argument else told.shown or f"`{_toml(one)}`"
            parts.append(f"| `{key}` | {_toml_type(one, told)} | {default} | `{flag}` | {told.help} |\n")
    return "".join(parts)


def _toml(one: Any) -> str:
    import json

    from penjing.pipeline.option import default_of

    found = default_of(one)
    return "left out" if found is None else json.dumps(list(found) if isinstance(found, tuple) else found)


def _toml_type(one: Any, told: Any) -> str:
    from penjing.pipeline.option import kinds_of

    names = {str: "text", int: "number", float: "number", bool: "true or false", tuple: "list", dict: "table"}
    found = names.get(kinds_of(one.type)[0], "text")
    example = {"bytes": ", or text such as 200MB", "count": ", or text such as 100M"}
    return found + example.get(told.kind, "")


def statistics() -> str:
    """What each statistic is, where it is read, what it costs."""
    from penjing.calibrate import OBJECTIVES, STATISTICS
    from penjing.calibrate.statistic import DERIVATIVES

    objectives = ", ".join(f"`{name}`" for name in OBJECTIVES.names())
    parts = [
        "# Statistics\n\n",
        MADE,
        "What methods ask for, a file each in `calibrate/statistics/`. Before those of an objective stands the ",
        f"objective's name ({objectives}), as in `loss_gradient`.\n",
    ]
    for name in STATISTICS.names():
        file = STATISTICS.load(name)
        own = file.STATISTIC
        before = "OBJECTIVE_" if own.reads in DERIVATIVES else ""
        parts.append(f"\n## {name}\n\n`{before}{name}` {own.shape}\n\n{inspect.cleandoc(file.__doc__ or '')}\n\n")
        parts.append(f"- **read from** {own.reads}\n- **costs** {own.cost}\n")
    return "".join(parts)


def tasks() -> str:
    """How each kind of task is asked for, and its settings."""
    from penjing.tasks.kinds import TASKS, typed

    parts = ["# Tasks\n\n", MADE, "What `--task` takes, a file each in `tasks/kinds/`.\n"]
    for name in TASKS.names():
        file = TASKS.load(name)
        parts.append(f"\n## {typed(name)}\n\n{inspect.cleandoc(file.__doc__ or '')}\n\n")
        better = {"": "as the data say"}.get(file.KIND.better, file.KIND.better)
        parts.append(f"- **better** {better}\n")
        parts += [f"- **{setting}=** {does}\n" for setting, does in file.KIND.settings.items()]
    return "".join(parts)


def models() -> str:
    """What each architecture of penjing's own is, and its sizes."""
    from penjing.report.models import models_json

    parts = ["# Models\n\n", MADE, "What `penjing create` makes, a file each in `models/`.\n"]
    for row in models_json():
        parts.append(f"\n## {row['name']}\n\n{row['about']}\n\n")
        parts += [f"- **{key}** {row[key]}\n" for key in ("paper", "weights", "licence")]
        parts.append("\n| size | parameters | multiply-adds |\n|---|---|---|\n")
        for size, told in row["sizes"].items():
            counts = ("" if told[k] is None else f"{told[k]:,}" for k in ("parameters", "macs"))
            parts.append(f"| {size} | {' | '.join(counts)} |\n")
    return "".join(parts)


def formats() -> str:
    """What each format of `penjing export` is, and how its files are opened."""
    from penjing.exporters.formats import FORMATS

    parts = ["# Formats\n\n", MADE, "What `penjing export --to` takes, a file each in `exporters/formats/`.\n"]
    for name in FORMATS.names():
        file = FORMATS.load(name)
        told = file.EXPORTER
        ends = f"FILE ends in `{told.suffix}`." if told.suffix else "FILE is a folder."
        parts.append(f"\n## {name}\n\n{inspect.cleandoc(file.__doc__ or '')}\n\n{ends}\n\n")
        parts.append(f"```text\n{told.opens}\n```\n")
        if told.variants:
            parts.append("\n| type | what |\n|---|---|\n")
            parts += [f"| `{name}:{variant}` | {what} |\n" for variant, what in told.variants.items()]
    return "".join(parts)


def python() -> str:
    """Every public name with its signature and docstring."""
    import penjing

    parts = ["# Python\n\n", MADE, "Everything here is imported from `penjing`.\n"]
    for name in sorted(penjing.__all__, key=lambda n: (n[0].isupper(), n)):
        thing = getattr(penjing, name)
        parts.append(f"\n## {name}\n\n{_block(_signature(name, thing))}\n{_prose(thing)}\n")
        if inspect.isclass(thing):
            parts += [f"\n**{m}** {_prose(f)}\n" for m, f in _own_methods(thing)]
    return "".join(parts)


def _signature(name: str, thing: Any) -> str:
    if inspect.isclass(thing) and (issubclass(thing, Exception) or getattr(thing, "_is_protocol", False)):
        return f"class {name}"
    found = inspect.signature(thing)
    lines, star = [], False
    for p in found.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            star = True
            lines.append("    *,")
        lines.append(f"    {_parameter(p)},")
    gives = "" if inspect.isclass(thing) else f" -> {_type(found.return_annotation)}"
    return f"{name}(\n" + "\n".join(lines) + f"\n){gives}"


def _parameter(p: inspect.Parameter) -> str:
    text = f"{p.name}: {_type(p.annotation)}"
    if p.default is p.empty:
        return text
    # The repr of a dataclass' default factory holds an address.
    default = p.default.__name__ if callable(p.default) else repr(p.default)
    return text + (" = ..." if "factory" in default else f" = {default}")


def _type(annotation: Any) -> str:
    return MODULE.sub("", inspect.formatannotation(annotation)).strip("'")


def _prose(thing: Any) -> str:
    text = inspect.cleandoc(thing.__doc__ or "")
    head, raises, after = text.partition("\nRaises:\n")
    return head + (f"\n\nRaises:\n\n{_block(after)}" if raises else "")


def _own_methods(thing: type) -> list[tuple[str, Any]]:
    found = [(n, f.fget if isinstance(f, property) else f) for n, f in vars(thing).items() if not n.startswith("_")]
    return [(n, f) for n, f in found if inspect.isfunction(f) and f.__doc__]


def errors() -> str:
    """The tree of errors."""
    from penjing import errors as ours

    return f"# Errors\n\n{MADE}{inspect.cleandoc(ours.__doc__ or '')}\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "statistics.md": statistics,
    "tasks.md": tasks,
    "models.md": models,
    "formats.md": formats,
    "recipes.md": recipes,
    "python.md": python,
    "errors.md": errors,
}


GROWING = ("statistics.md", "tasks.md", "models.md", "formats.md")
"""Pages with a section for each file of a folder: a new file may wait for the next writing."""
LISTED = re.compile(r"One of (?:(?!--).)*?; may be repeated|The format: [\w, ]+\.|small, one of [\w, ]+\.")
"""Where help lists the kinds of tasks, the formats and the healers, which may wait as well."""


def stale(name: str, stored: str, made: str) -> list[str]:
    """What a stored page says otherwise than it would be written now; sections of new files may be missing."""
    if name not in GROWING:
        old, new = (LISTED.sub("", " ".join(text.split())) for text in (stored, made))
        return [] if old == new else [name]
    now = dict(_sections(made))
    return [title for title, text in _sections(stored) if now.get(title) != text]


def _sections(text: str) -> list[tuple[str, str]]:
    """(title, text) of what stands before the first section, and of each section."""
    parts = text.rstrip().split("\n## ")
    return [("the beginning", parts[0].rstrip()), *((p.partition("\n")[0], p.rstrip()) for p in parts[1:])]


def main() -> None:
    """Write every page that is made, or those of the methods named; with `--check`, name those that would change."""
    from penjing.methods import METHODS

    named = [n for n in sys.argv[1:] if n != "--check"]
    pages = {} if named else PAGES
    made = {name: make() for name, make in pages.items()}
    made |= {f"methods/{name}.md": method(name) for name in named or METHODS.names()}
    if "--check" in sys.argv[1:]:
        there = {n: (HERE / n).read_text(encoding="utf-8") for n in made if (HERE / n).is_file()}
        old = [n for n, text in made.items() if there.get(n) != text]
        sys.exit(f"run `make docs`: {', '.join(old)} would change" if old else None)
    for name, text in made.items():
        (HERE / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"wrote look-up/{name}")


if __name__ == "__main__":
    main()
