"""A study as its file asks for it: the experiment, every setting by name, the seeds, and what carries it out."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from penjing.core.experiment import Experiment
from penjing.errors import PenjingError, RequestError, nearest
from penjing.experiments import EXPERIMENTS
from penjing.studies.executors import EXECUTORS

VERSION = 1
TABLES: dict[str, tuple[str, ...]] = {
    "": ("version", "out", "experiment", "seeds", "settings", "grid", "setting", "run", "show"),
    "run": ("executor", "together"),
    "show": ("base", "figures"),
}
"""The keys at the top of a study and in its tables; [run] has those of its executor besides."""
TOGETHER, MOST_SEEDS = 64, 1_000_000


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of the experiment: what it is called, and its values where they are not the defaults."""

    name: str
    values: Mapping[str, Any]

    def build(self, experiment: str) -> Experiment:
        """The experiment with these values."""
        return EXPERIMENTS.build(experiment, self.values)


@dataclass(frozen=True, kw_only=True)
class Study:
    """All that a file asks for. `together` is how many runs are stacked at most, where the experiment can."""

    file: Path
    out: Path
    experiment: str
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    executor: str = "here"
    how: Mapping[str, Any] = field(default_factory=dict)
    together: int = TOGETHER
    base: str = ""
    figures: tuple[str, ...] = ()


def read_study(path: str | Path) -> Study:
    """The study in a TOML file.

    Raises:
        RequestError: it cannot be read, a key is not known, or a value does not serve.
        PenjingError: the experiment or the executor is not known, or refuses a setting.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); name a study, such as study.toml") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path} is not TOML ({error}); mend it there") from error
    try:
        return _study(given, path)
    except PenjingError as error:
        raise type(error)(f"{path}: {error}") from error


def _study(given: Mapping[str, Any], path: Path) -> Study:
    _known(given, "")
    if given.get("version", VERSION) != VERSION:
        raise RequestError(f"found version {given['version']!r}, needed {VERSION}; use the penjing it was written for")
    name = _text(given, "experiment")
    EXPERIMENTS.load(name)
    settings = tuple(_settings(given, name))
    run, show = _table(given, "run"), _table(given, "show")
    executor = run.get("executor", "here")
    how = {k: v for k, v in run.items() if k not in TABLES["run"]}
    EXECUTORS.build(executor, how)
    together = run.get("together", TOGETHER)
    if type(together) is not int or together < 1:
        raise RequestError(f"together is {together!r}; needed a whole number, 1 or more")
    _known(show, "show")
    base, names = show.get("base", ""), [s.name for s in settings]
    if base and base not in names:
        raise RequestError(f"the base is '{base}'{nearest(base, names)}; the settings are {'; '.join(names)}")
    return Study(
        file=path, out=path.parent / Path(_text(given, "out")).expanduser(), experiment=name, settings=settings,
        seeds=_seeds(given.get("seeds", 1)), executor=executor, how=how, together=together, base=base or names[0],
        figures=tuple(show.get("figures", ())),
    )  # fmt: skip


def _known(table: Mapping[str, Any], name: str) -> None:
    for key in table:
        if key not in TABLES[name]:
            where = f"[{name}] has the" if name else "it has the"
            homes = [n for n, keys in TABLES.items() if key in keys]
            hint = f", which belongs {'in [' + homes[0] + ']' if homes[0] else 'at the top'}" if homes else ""
            hint = hint or nearest(key, TABLES[name]) or f"; known are {', '.join(TABLES[name])}"
            raise RequestError(f"{where} unknown key '{key}'{hint}")


def _text(given: Mapping[str, Any], key: str) -> str:
    found = given.get(key)
    if not isinstance(found, str) or not found:
        raise RequestError(f'{key} is {found!r}; needed a name, as {key} = "..."')
    return found


def _table(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = given.get(key, {})
    if not isinstance(found, Mapping):
        raise RequestError(f"{key} is {found!r}; needed a table, such as [{key}]")
    return found


def _seeds(found: Any) -> tuple[int, ...]:
    if type(found) is int and 1 <= found <= MOST_SEEDS:
        return tuple(range(found))
    given = found if isinstance(found, list) else []
    if given and all(type(s) is int and 0 <= s < 1 << 63 for s in given) and len(set(given)) == len(given):
        return tuple(given)
    raise RequestError(
        f"seeds is {found!r}; needed how many, 1 to {MOST_SEEDS:,}, or a list of whole numbers that differ, each below "
        "2^63, as [0, 1, 2]"
    )


def _settings(given: Mapping[str, Any], experiment: str) -> Iterator[Setting]:
    """Every entry of [[setting]] with every combination of [grid]; names are of what differs."""
    shared, grid, listed = _table(given, "settings"), _table(given, "grid"), given.get("setting", [{}])
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed) or not listed:
        raise RequestError("setting is no list of tables; write [[setting]] above each")
    axes = dict(_axes(grid))
    seen: dict[str, str] = {}
    for one in listed:
        own = {k: v for k, v in one.items() if k != "name"}
        for combination in product(*axes.values()):
            chosen = dict(zip(axes, combination, strict=True))
            values: dict[str, Any] = merged(merged(shared, own), nested(chosen))
            label = ", ".join(
                [*_label(one, own, listed), *(f"{k.rpartition('.')[2]} {say(v)}" for k, v in chosen.items())]
            )
            told = _plain(EXPERIMENTS.build(experiment, values), experiment)
            setting = Setting(name=label or experiment, values=told)
            if setting.name in seen or str(setting.values) in seen.values():
                raise RequestError(
                    f"the setting '{setting.name}' stands there twice; each must differ, in name and values"
                )
            seen[setting.name] = str(setting.values)
            yield setting


def _label(one: Mapping[str, Any], own: Mapping[str, Any], listed: Sequence[Any]) -> list[str]:
    if "name" in one:
        return [_text(one, "name")]
    if own:
        return [f"{k.rpartition('.')[2]} {say(v)}" for k, v in _flat(own)]
    return [] if len(listed) == 1 else ["usual"]


def _axes(grid: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, list[Any]]]:
    for key, values in grid.items():
        if isinstance(values, Mapping):
            yield from _axes(values, f"{above}{key}.")
        elif isinstance(values, list) and values:
            yield f"{above}{key}", values
        else:
            raise RequestError(f"[grid] has {above}{key} = {values!r}; needed a list of values to try")


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of dotted keys.

    >>> nested({"a": 1, "b.c": 2})
    {'a': 1, 'b': {'c': 2}}
    """
    out: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        table = out
        for name in above:
            table = table.setdefault(name, {})
        table[last] = value
    return out


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables, tables within them too; where both have a value the other's holds."""
    out = dict(one)
    for key, value in other.items():
        known = out.get(key)
        out[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return out


def say(value: Any) -> str:
    """A value as it stands in a name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value:g}"
        if isinstance(value, float)
        else " ".join(map(say, value))
        if isinstance(value, list | tuple)
        else str(value)
    )


def _plain(built: Any, experiment: str) -> dict[str, Any]:
    """The values of an experiment that are not its defaults, as JSON has them: what tells a run from another."""
    usual = {one.name: one.default for one in EXPERIMENTS.settings(experiment)}
    found = {k: v for k, v in asdict(built).items() if v != usual[k]}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
