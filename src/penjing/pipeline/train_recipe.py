"""What a recipe of training says: the network, the data, the loop, and how it is judged. The file is the experiment."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penjing.errors import PenjingError, RequestError, nearest
from penjing.pipeline.option import option, options, settle
from penjing.pipeline.tables import below

VERSION = 1
BUDGETS = ("steps", "examples", "tokens", "minutes")


@dataclass(frozen=True, kw_only=True)
class Network:
    """One of: an architecture of penjing's own by `name` and `size`, a `config` of a stock one, a `checkpoint`."""

    name: str | None = option(None, "An architecture; see 'penjing models'.")
    size: str = option("tiny", "A size of it.")
    config: str | None = option(None, "A config.json, of which a new network is made.", kind="path")
    checkpoint: str | None = option(None, "A folder whose weights are where it begins.", kind="path")
    settings: Mapping[str, Any] = option({}, "Entries of the config that are other than there.")

    def __post_init__(self) -> None:
        settle(self)
        _one_of(self, ("name", "config", "checkpoint"), "the network")
        if self.checkpoint and self.settings:
            raise RequestError("a checkpoint has its config; leave the settings out, or name its config.json instead")


@dataclass(frozen=True, kw_only=True)
class Material:
    """One of: `images` with classes, `texts`, or `tensors` with classes."""

    images: str | None = option(None, "A folder with one of each class, an .npz file, or an idx file.", kind="path")
    labels: str | None = option(None, "The labels of an idx file.", kind="path")
    size: int | None = option(None, "Pixels that images of a folder are brought to.", least=1)
    texts: tuple[str, ...] = option((), "Text files (.txt, .jsonl).", kind="path")
    tokenizer: str | None = option(None, "A folder with the tokenizer of the texts.", kind="path")
    length: int = option(256, "Tokens of a row.", least=2)
    tensors: str | None = option(None, "A .safetensors file with 'inputs' [n ...] and 'labels' [n].", kind="path")
    held_out: float = option(0.1, "The share that is not trained on, and judges the result.")
    limit: int | None = option(None, "Examples at most, drawn by the seed.", least=2)

    def __post_init__(self) -> None:
        settle(self)
        _one_of(self, ("images", "texts", "tensors"), "the data")
        if not 0 < self.held_out < 1:
            raise RequestError(f"held_out is {self.held_out:g}; needed a share above 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How images are changed before they are seen; with both mixup and cutmix each batch has one, by a coin."""

    crop: int = option(0, "Pixels by which images are moved at most.", least=0)
    flip: bool = option(False, "Mirror half of the images.")
    erase: float = option(0.0, "The share of images of which a rectangle becomes noise.", least=0)
    mixup: float = option(0.0, "Alpha of mixup; 0 does without.", least=0)
    cutmix: float = option(0.0, "Alpha of cutmix; 0 does without.", least=0)

    def __post_init__(self) -> None:
        settle(self)
        if self.erase > 1:
            raise RequestError(f"erase is {self.erase:g}; needed a share up to 1")


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long, in what batches, at what rate; one of steps, examples, tokens and minutes."""

    steps: int | None = option(None, "Steps of the optimiser.", least=1)
    examples: int | None = option(None, "Examples that are seen, as 100K.", kind="count", least=1)
    tokens: int | None = option(None, "Tokens that are seen, as 10M.", kind="count", least=1)
    minutes: float | None = option(None, "As many steps as fit into so many minutes.")
    batch: int = option(32, "Examples, or rows, of a batch.", least=1)
    learning_rate: float = option(1e-3, "The highest learning rate.")

    def __post_init__(self) -> None:
        settle(self)
        _one_of(self, BUDGETS, "the budget")
        for name in ("minutes", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RequestError(f"{name} is {value:g}; needed more than 0")


@dataclass(frozen=True, kw_only=True)
class Mup:
    """The maximal update parametrisation: the learning rate is that of the network with the `base`'s widths."""

    base: Mapping[str, Any] = option({}, "Entries of the config, and what they are in the base network.")
    zero_readout: bool = option(False, "Begin with a last layer of zeros.")

    def __post_init__(self) -> None:
        settle(self)
        wrong = [k for k, v in self.base.items() if not _is_width(v)]
        if wrong or not self.base:
            found = f"'{wrong[0]}' is {self.base[wrong[0]]!r}" if wrong else "there is none"
            raise RequestError(f"base has the widths of the base network, as base = {{hidden_size = 64}}; {found}")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """How the result is judged on the held-out part."""

    views: tuple[str, ...] = option((), "Also average over views of an image: flip, shift.")

    def __post_init__(self) -> None:
        settle(self)
        for name in self.views:
            if name not in ("flip", "shift"):
                hint = nearest(name, ("flip", "shift"))
                raise RequestError(f"there is no view '{name}'{hint}; known are flip, shift")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All of a training; `loop` has the settings of `penjing.train.Settings`."""

    model: Network
    data: Material
    train: Course
    augment: Augment = field(default_factory=Augment)
    loop: Mapping[str, Any] = field(default_factory=dict)
    mup: Mup | None = None
    judge: Judge = field(default_factory=Judge)
    seed: int = 0
    device: str = "auto"
    out: str | None = None


TABLES: dict[str, type] = {
    "model": Network, "data": Material, "train": Course, "augment": Augment, "mup": Mup, "judge": Judge,
}  # fmt: skip
TOP = ("version", "out", "seed", "device", *TABLES, "loop")


def read_training(path: str | Path) -> Recipe:
    """The training that a TOML file says; places in it are taken from its folder.

    Raises:
        RequestError: it cannot be read, a key is not known, or a value does not serve.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); name a recipe, such as train.toml") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path} is not TOML ({error}); mend it there") from error
    found = placed(training_from(given, str(path)), below(path.parent))
    return found if found.out is None else replace(found, out=str(path.parent / Path(found.out).expanduser()))


def training_from(given: Mapping[str, Any], where: str) -> Recipe:
    """The training that these tables say; `where` names the file for errors.

    Raises:
        RequestError: a key is not known, or a value does not serve.
    """
    _known(given, TOP, where, "")
    if type(given.get("version", VERSION)) is not int or given.get("version", VERSION) != VERSION:
        raise RequestError(f"{where} is of version {given['version']!r}, needed {VERSION}; write it anew")
    parts: dict[str, Any] = {}
    for name, cls in TABLES.items():
        if name not in given and name not in ("model", "data", "train"):
            continue
        table = given.get(name, {})
        if not isinstance(table, Mapping):
            raise RequestError(f"{where}: {name} is {table!r}; needed a table, such as [{name}]")
        _known(table, tuple(options(cls)), where, name)
        try:
            parts[name] = cls(**table)
        except PenjingError as error:
            raise type(error)(f"{where}: in [{name}], {error}") from error
    loop = given.get("loop", {})
    if not isinstance(loop, Mapping):
        raise RequestError(f"{where}: loop is {loop!r}; needed a table, such as [loop]")
    plain = {k: given[k] for k in ("out", "seed", "device") if k in given}
    for key, kind in (("out", str), ("seed", int), ("device", str)):
        if key in plain and type(plain[key]) is not kind:
            needed = "text" if kind is str else "a whole number"
            raise RequestError(f"{where}: {key} is {plain[key]!r}; needed {needed}")
    return Recipe(**parts, loop=dict(loop), **plain)


def with_base(recipe: Recipe, widths: Mapping[str, Any]) -> Recipe:
    """The recipe whose base network has these widths instead of those in its table; itself where none are given.

    Raises:
        RequestError: a width is not a whole number above 0.
    """
    if not widths:
        return recipe
    given = Mup(base=widths) if recipe.mup is None else replace(recipe.mup, base=widths)
    return replace(recipe, mup=given)


def placed(recipe: Recipe, at: Callable[[str], str]) -> Recipe:
    """The recipe with each place in it changed by `at`."""
    new: dict[str, Any] = {}
    for name in ("model", "data"):
        part = getattr(recipe, name)
        moved: dict[str, Any] = {}
        for key, (_, told) in options(type(part)).items():
            value = getattr(part, key)
            if told.kind == "path" and value:
                moved[key] = at(value) if isinstance(value, str) else tuple(map(at, value))
        new[name] = replace(part, **moved)
    return replace(recipe, **new)


def told(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain tables, places by their last names: what the result tells of it."""
    bare = placed(recipe, lambda place: Path(place).name)
    out: dict[str, Any] = {"seed": bare.seed, "loop": dict(bare.loop)}
    for name in TABLES:
        part = getattr(bare, name)
        if part is not None:
            out[name] = {
                k: dict(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v
                for k in options(type(part))
                if (v := getattr(part, k)) not in (None, (), {})
            }
    return out


def _known(table: Mapping[str, Any], names: tuple[str, ...], where: str, home: str) -> None:
    for key in table:
        if key not in names:
            homes = [n for n, cls in TABLES.items() if key in options(cls)]
            hint = f", which belongs in [{homes[0]}]" if homes else nearest(key, names)
            inside = f"[{home}] has" if home else "it has"
            raise RequestError(f"{where}: {inside} the unknown key '{key}'{hint or '; known are ' + ', '.join(names)}")


def _one_of(part: Any, names: tuple[str, ...], what: str) -> None:
    given = [n for n in names if getattr(part, n)]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise RequestError(f"{what} is one of {', '.join(names)}; found {found}")


def _is_width(value: Any) -> bool:
    members = value if isinstance(value, list | tuple) else [value]
    return bool(members) and all(type(v) is int and v > 0 for v in members)
