"""The length of the difference between what networks predict early in training and the right class.

Source: Paul et al., "Deep Learning on a Data Diet", arXiv:2107.07075, as compared in Sorscher et al., arXiv:2206.14486:
the mean over several networks.
"""

from dataclasses import dataclass

from torch import Tensor

from penjing.core import ExampleView

TRAINS = True


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """The mean over all networks."""

    def score(self, seen: ExampleView) -> Tensor:
        """[n], 0 to the root of 2.

        Raises:
            UnsupportedError: there are no labels to train by.
        """
        return seen.of_training("el2n").error.double().mean(0)
