"""How often networks get an example wrong that they had right before; never right is the most.

Source: Toneva et al., "An Empirical Study of Example Forgetting", arXiv:1812.05159, as compared in Sorscher et al.,
arXiv:2206.14486. Deviation: examples are looked at at a few steps, all together, not whenever a batch holds them.
"""

from dataclasses import dataclass

from torch import Tensor

from penjing.core import ExampleView

TRAINS = True


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """The mean over all networks."""

    def score(self, seen: ExampleView) -> Tensor:
        """[n]: from 0 to the number of looks.

        Raises:
            UnsupportedError: there are no labels to train by.
        """
        right = seen.of_training("forgetting").right
        lost = (right[:, :-1] & ~right[:, 1:]).double().sum(1)
        never = ~right.any(1)
        return lost.masked_fill(never, float(right.shape[1])).mean(0)
