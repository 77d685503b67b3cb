"""The layout of a source, with its free axes proved where they can be."""

from penjing.core import Layout
from penjing.core.progress import Progress, silent
from penjing.errors import LayoutError
from penjing.layouts.prove.small import prove_config
from penjing.running.source import Source


def proved(source: Source, progress: Progress = silent) -> Layout:
    """The layout with its proofs: each free axis cut at random in a small build of the same code, against its mask.

    Raises:
        LayoutError: the model has no config to build it from, or an axis did not equal its mask.
    """
    if not source.config:
        raise LayoutError(f"{source.name} has no config to build it from; call penjing.layouts.prove(module, example)")
    progress("proving axes on a small build", 0, 0)
    return prove_config(source.config, source.layout)
