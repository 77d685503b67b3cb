"""The layout of a source, with its free axes proved where they can be."""

from penjing.core import Layout
from penjing.core.progress import Progress, silent
from penjing.errors import LayoutError
from penjing.layouts.prove.small import prove_config
from penjing.running.outline import Outline


def proved(source: Outline, progress: Progress = silent) -> Layout:
    """The layout with its proofs: each free axis cut at random in a small build of the same code, against its mask.

    Raises:
        LayoutError: the model has no config to build it from, or an axis did not equal its mask.
    """
    if not source.config:
        how = "call penjing.layouts.prove.proofs.prove(module, example)"
        raise LayoutError(f"{source.name} has no config to build it from; {how}")
    progress("proving axes on a small build", 0, 0)
    return prove_config(source.config, source.layout)
