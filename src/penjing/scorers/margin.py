"""How little the right class is ahead of the next in trained networks: the example nearest to a border is hardest.

Source: Sorscher et al., arXiv:2206.14486, section 2, whose theory prunes by the margin of a probe.
"""

from dataclasses import dataclass

from torch import Tensor

from penjing.core import ExampleView

TRAINS = True


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """The mean over all networks."""

    def score(self, seen: ExampleView) -> Tensor:
        """[n]: minus the margin in logits.

        Raises:
            UnsupportedError: there are no labels to train by.
        """
        return -seen.of_training("margin").margin.double().mean(0)
