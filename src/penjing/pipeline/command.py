"""The line that asks for the same on the command line: what the page says under "reproduce"."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from penjing.pipeline.option import default_of, flag_of, options
from penjing.pipeline.request import Request
from penjing.pipeline.tables import from_python, without_folders


def shrink_command(request: Request) -> str:
    """The `penjing shrink` that says the same, where the files lie in the folder that one is in.

    Empty where something was given that only Python can give.
    """
    if from_python(request):
        return ""
    request = without_folders(request)
    heal = request.heal
    healing = heal is not None and heal.teacher is not None
    words = [*typed(request.source), "-o", str(request.out)]
    words += _shorter(typed(heal)) if healing else [*typed(request.choice), *typed(request.data), *typed(heal)]
    if healing and request.data.seed:
        words += ["--seed", str(request.data.seed)]
    words += ["--no-measure"] if request.measure is None else typed(request.measure)
    words += [*typed(request.export), *typed(request.run)]
    return shlex.join(["penjing", "heal" if healing else "shrink", *words])


def _shorter(words: list[str]) -> list[str]:
    """The words as `penjing heal` takes them."""
    return [short_flag(word) if word.startswith("--") else word for word in words]


def short_flag(flag: str) -> str:
    """How a flag of healing is called where nothing else is done: without the word.

    >>> short_flag("--heal-minutes")
    '--minutes'
    """
    return flag.replace("--heal-", "--", 1)


def typed(part: Any) -> list[str]:
    """The words for what is not the default in one class of a request; none for None."""
    return [] if part is None else [word for name in options(type(part)) for word in _words(part, name)]


def _words(part: Any, name: str) -> Iterator[str]:
    one, told = options(type(part))[name]
    value, flag = getattr(part, name), flag_of(one)
    if told.argument:
        yield str(value)
        return
    if flag is None or value is None or value == default_of(one):
        return
    if isinstance(value, bool):
        yield flag if value else told.off
    elif isinstance(value, Mapping):
        for key, setting in value.items():
            yield from (flag, f"{key}={_setting(setting)}")
    elif isinstance(value, tuple) and not told.joined:
        for each in value:
            yield from (flag, str(each))
    else:
        yield from (flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _setting(value: Any) -> str:
    """A setting as it is typed: text as it is, unless it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except json.JSONDecodeError:
        return value
    return json.dumps(value)
