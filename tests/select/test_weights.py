"""Which weights sparse methods touch, and that a matrix of them is the right way round."""

import pytest
import torch
from tests.methods.tiny import llama

from penjing import layouts
from penjing.core import Budget
from penjing.errors import BudgetError, DataError, LayoutError
from penjing.select.weights import Matrix, density, group_of, matrices


def test_a_language_model_gives_its_projections_and_nothing_else():
    _, layout = llama(blocks=1)
    assert {m.tensor.split(".")[-2] for m in matrices(layout)} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(matrices(layout, "*.mlp.*", protect=("*.up_proj.*",))) == 2
    assert len(matrices(layout, "*.mlp.*", protect="*.up_proj.*,*.down_proj.*")) == 1


def test_embeddings_and_what_gives_words_are_left_alone():
    layout = layouts.from_config(
        {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2,
         "vocab_size": 30, "n_positions": 16}
    )  # fmt: skip
    found = matrices(layout)
    assert [m.tensor.split("h.0.")[1] for m in found] == [
        "attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"
    ]  # fmt: skip
    assert [m.columns for m in found] == [16, 16, 16, 64]
    with pytest.raises(LayoutError, match="no weight of a product"):
        matrices(layout, "*wte*")


@pytest.mark.parametrize(("shape", "inputs"), [((3, 5), (1,)), ((5, 3), (0,)), ((2, 3, 4, 5), (1, 2, 3)),
                                               ((3, 2, 4, 5), (0, 2, 3)), ((2, 3, 4), (2,))])  # fmt: skip
def test_rows_and_back_are_inverse_and_columns_are_inputs(shape, inputs):
    matrix = Matrix(tensor="t", shape=shape, inputs=inputs)
    tensor = torch.arange(torch.Size(shape).numel()).view(shape)
    assert torch.equal(matrix.back(matrix.rows(tensor)), tensor)
    first = tensor[tuple(slice(None) if d in inputs else 0 for d in range(len(shape)))].flatten()
    assert torch.equal(matrix.rows(tensor)[0], first)


def test_a_statistic_spreads_over_the_window_and_the_groups():
    window = Matrix(tensor="t", shape=(4, 2, 1, 2), inputs=(1, 2, 3))
    assert window.spread(torch.tensor([1.0, 2.0])).tolist() == [[1, 1, 2, 2]]
    groups = window.spread(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert groups.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    with pytest.raises(DataError, match="reads 2 inputs"):
        window.spread(torch.ones(3))


def test_convolutions_count_with_their_window():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(36, 3))
    conv, last = matrices(layouts.from_module(net, torch.randn(2, 2, 5, 5)))
    assert (conv.columns, conv.plain, last.columns, last.plain) == (18, False, 36, True)


def test_refusals_name_what_is_wrong():
    _, layout = llama(blocks=1, neurons=22)
    with pytest.raises(LayoutError, match="no tensor matches 'nothing'"):
        matrices(layout, protect=("nothing",))
    with pytest.raises(BudgetError, match="leaves every shape"):
        density(Budget(parameters=100))
    with pytest.raises(BudgetError, match=r"down_proj.weight has 22 inputs"):
        group_of("2:4", 0.5, matrices(layout))
    with pytest.raises(BudgetError, match=r"keeps 0.5 of the weights, not 0.6"):
        group_of("2:4", 0.6, matrices(layout))
    for wrong in ("2", "0:4", "5:4", "a:b"):
        with pytest.raises(BudgetError, match="no pattern"):
            group_of(wrong, 0.5, matrices(layout))
