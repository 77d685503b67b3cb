"""What the shell offers after a flag. Nothing heavy is imported: a key was pressed, and someone waits."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

DEVICES = ("auto", "cpu", "cuda", "mps")
AXES = ("neurons", "heads", "channels", "experts", "blocks", "residual", "queries", "value_dims", "head_dims", "rank")
"""Kinds of axes that models have; each model's own are those that `penjing layout` lists."""


def methods(incomplete: str) -> list[str]:
    """The methods whose names begin so, and `auto`."""
    return sorted({*one_method(incomplete), *(["auto"] if "auto".startswith(incomplete) else [])})


def one_method(incomplete: str) -> list[str]:
    """The methods whose names begin so."""
    return _named("penjing.methods", "*/*.py", incomplete)


def models(incomplete: str) -> list[str]:
    """The architectures of penjing's own whose names begin so."""
    return _named("penjing.models", "*.py", incomplete)


def formats(incomplete: str) -> list[str]:
    """The formats of export whose names begin so."""
    return _named("penjing.exporters.formats", "*.py", incomplete)


def tasks(incomplete: str) -> list[str]:
    """The kinds of task that begin so, each as it is typed before what it reads: `speech:`."""
    kinds = (name.replace("_", "-") for name in _named("penjing.tasks.kinds", "*.py", ""))
    return [f"{kind}:" for kind in kinds if f"{kind}:".startswith(incomplete)]


def axes(incomplete: str) -> list[str]:
    """Kinds of axes, each of which stands for all of it, for the last of several that commas part."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{kind}" for kind in AXES if kind.startswith(last)]


def _named(package: str, glob: str, incomplete: str) -> list[str]:
    """The names of the files of a registry that begin so, and those of other packages; nothing is imported."""
    spec = find_spec(package.partition(".")[0])
    folders = [Path(p).joinpath(*package.split(".")[1:]) for p in spec.submodule_search_locations or ()] if spec else []
    found = {p.stem for folder in folders for p in folder.glob(glob) if not p.stem.startswith("_")}
    found |= {point.name for point in metadata.entry_points(group=package)}
    return sorted(name for name in found if name.startswith(incomplete))


def devices(incomplete: str) -> list[str]:
    """The devices whose names begin so, whether this machine has them or not."""
    return [name for name in DEVICES if name.startswith(incomplete)]


OFFERED = {"method": methods, "device": devices, "tasks": tasks, "to": formats, "axes": axes, "protect": axes}
"""Option -> what completes it; one that knows its values offers these."""
