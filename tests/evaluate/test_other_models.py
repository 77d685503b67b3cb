"""What a model that takes other inputs cannot give costs that figure, with a reason."""

import pytest
import torch

from penjing.core import Measurement, Subject
from penjing.errors import MeasureError
from penjing.evaluate.scoring import logits
from penjing.evaluate.statistics import compare_figures


class Picky(torch.nn.Module):
    """Raises as stock models do that want a second input."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, tokens):
        raise self.error


@pytest.mark.parametrize("error", [ValueError("give decoder_input_ids"), AttributeError("'NoneType'"), TypeError("x")])
def test_a_model_of_other_inputs_has_no_logits_and_says_why(error):
    with pytest.raises(MeasureError, match="Picky cannot be run on tokens alone"):
        logits(Picky(error), torch.zeros(1, 4, dtype=torch.long))


def test_a_recovery_that_some_draws_do_not_have_costs_the_recovery_alone():
    figure = Measurement(
        name="quiz", value=0.75, unit="share right", n=20, spread=0.1, spread_kind="standard error", chance=0.5,
        better="higher", items={"id": list(range(20)), "correct": [1] * 15 + [0] * 5},
    )  # fmt: skip
    one, other = (Subject(name=n, source="", figures=(figure,)) for n in ("one", "other"))
    (row,) = compare_figures(one, other)
    assert (row.difference, row.recovery) == (0.0, None)
    assert "not a number" in row.note
