"""What was measured of a model on data: (name, statistic) -> Tensor."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from penjing.core.live import Live, Walk
from penjing.errors import DataError


@dataclass(frozen=True)
class Stats:
    """Statistics by parameter (or block) and name, with the number of samples (tokens, positions) behind them.

    All are float32. Of what goes into the layer that owns a parameter, over all samples:

    - `input_mean` [in]; `input_energy` [in], the mean of each squared input; `input_second_moment` [in in], the mean
      of x xᵀ; `input_activity` [in], the share of samples in which an input is not zero;
    - `window_second_moment` [in in], of a convolution: the mean, over the places of its window, of x xᵀ, where x is all
      that it multiplies there, channel by channel;
    - `input_magnitude` [in]: the root of the mean, over examples, of the squared mean of |x| over an example's
      positions; `output_magnitude` [out]: the same of what comes out of the layer (of a norm, as a rule);
    - `target_moment` [out in]: the mean of t xᵀ, where t is what the layer should give so that the residual stream
      after it is again that of the dense model. Only a walk block by block has it.

    With the derivative of an objective, `loss`, `output` or `entropy`, which stands in front:

    - `loss_gradient` [as the parameter]: the derivative of the objective's mean over all examples;
    - `loss_fisher` [as the parameter]: the mean, over examples, of the squared derivative of each example's objective;
    - `loss_taylor` [in]: the mean, over examples, of |sum over positions of x * d objective / d x|.

    Of a block, by the path of its module: `block_cosine` [], the mean cosine between its input and its output.

    `live` is the model itself, for methods whose card says `runs`; `walk` goes through it for those that go block by
    block.
    """

    values: Mapping[tuple[str, str], Tensor] = field(default_factory=dict)
    samples: int = 0
    live: Live | None = None
    walk: Walk | None = None

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        """The statistic of one tensor.

        Raises:
            DataError: it was not collected.
        """
        if key not in self.values:
            raise DataError(f"statistic '{key[1]}' of {key[0]} was not collected; declare it in the method's card")
        return self.values[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.values)

    def running(self) -> Live:
        """The model itself.

        Raises:
            DataError: it is not there.
        """
        if self.live is None:
            raise DataError(
                "this method tries things on the model itself, and no running model was given; "
                "plan through penjing.plan or penjing.shrink, which load it"
            )
        return self.live

    def walking(self) -> Walk:
        """The walk through the model's blocks.

        Raises:
            DataError: it is not there.
        """
        if self.walk is None:
            raise DataError(
                "going block by block needs the model and its data, and neither was given; "
                "plan through penjing.plan or penjing.shrink, which load them"
            )
        return self.walk
