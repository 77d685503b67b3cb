"""One file per way to score training examples: how hard each is. The folder is the registry.

A file says in its first line what its score is, and defines `Scorer`, a frozen dataclass that is a
`core.ScoresExamples`, and `TRAINS`: whether it looks at networks that are trained on the examples. Higher is harder in
every file.
"""

from typing import TYPE_CHECKING

from penjing.core.registry import Registry

if TYPE_CHECKING:
    from penjing.core import ScoresExamples

SCORERS: "Registry[ScoresExamples]" = Registry("penjing.scorers", kind="scorer", attribute="Scorer", calls=("score",))
"""Every scorer, by name; other packages add theirs through the entry-point group `penjing.scorers`."""


def trains(name: str) -> bool:
    """Whether a scorer looks at networks that are trained on the examples.

    Raises:
        PenjingError: no scorer has this name, or it cannot be imported.
    """
    return bool(getattr(SCORERS.load(name), "TRAINS", False))
