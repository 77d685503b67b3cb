"""One file per experiment that a study can run. The folder is the registry.

A file says in its first line what it measures, and defines `Experiment`, a frozen dataclass whose fields are the
settings, with `run(seed)`; `FIGURES` says how its figures are shown.
"""

from collections.abc import Mapping

from penjing.core.experiment import Experiment, Figure
from penjing.core.registry import Registry

EXPERIMENTS: Registry[Experiment] = Registry(
    "penjing.experiments", kind="experiment", attribute="Experiment", calls=("run",)
)
"""Every experiment, by name; other packages add theirs through the entry-point group `penjing.experiments`."""


def figures_of(name: str) -> Mapping[str, Figure]:
    """How an experiment's figures are shown; one that it does not tell of is shown by its name.

    Raises:
        PenjingError: no experiment has this name, or it cannot be imported.
    """
    return getattr(EXPERIMENTS.load(name), "FIGURES", {})
