"""What the shell offers after a flag. Nothing heavy is imported: a key was pressed, and someone waits."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

DEVICES = ("auto", "cpu", "cuda", "mps")


def methods(incomplete: str) -> list[str]:
    """The methods whose names begin so."""
    spec = find_spec("penjing.methods")
    roots = [Path(p) for p in spec.submodule_search_locations or ()] if spec is not None else []
    found = {p.stem for root in roots for p in root.glob("*/*.py") if not p.stem.startswith("_")}
    found |= {point.name for point in metadata.entry_points(group="penjing.methods")}
    return sorted(name for name in {*found, "auto"} if name.startswith(incomplete))


def devices(incomplete: str) -> list[str]:
    """The devices whose names begin so, whether this machine has them or not."""
    return [name for name in DEVICES if name.startswith(incomplete)]


OFFERED = {"method": methods, "device": devices}
"""Option -> what completes it; one that knows its values offers these."""
