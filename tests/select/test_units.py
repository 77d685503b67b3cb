"""Which weights belong to which unit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import Tensors, layout_of, llama

from penjing.core import Axis
from penjing.core.pattern import kept_positions, parse, resolve, size
from penjing.errors import UnsupportedError
from penjing.select.units import all_rows, places, rows, written_rows

DIMS = ["a", "(a 3)", "(2 a)", "(b a 2)", "(a + a)", "(a + 3 + b)", "((a b) + b + (2 a))", "(3 (a + b) 2)"]


@given(dim=st.sampled_from(DIMS), units=st.integers(1, 4), others=st.integers(1, 3), data=st.data())
def test_the_places_of_a_unit_are_those_that_go_when_it_is_cut(dim, units, others, data):
    sizes = {"a": units, "b": others}
    length = size(resolve_dim(dim, sizes)[0], {})
    unit = data.draw(st.integers(0, units - 1))
    kept = torch.ones(units, dtype=torch.bool)
    kept[unit] = False
    stays = kept_positions(resolve_dim(dim, sizes), {"a": kept})[0]
    gone = sorted(set(range(length)) - set(stays.tolist()))
    found = [p for spots in places(resolve_dim(dim, sizes)[0], "a") for p in spots[unit].tolist()]
    assert sorted(found) == gone


def resolve_dim(dim, sizes):
    pattern = parse(dim)

    def length(part):
        if hasattr(part, "name"):
            return sizes.get(part.name, part.size)
        total = [length(p) for p in part.parts]
        out = 1
        for n in total:
            out *= n
        return sum(total) if type(part).__name__ == "Concat" else out

    return resolve(pattern, [length(pattern[0])], sizes)


def test_rows_hold_every_weight_of_a_unit():
    tensor = torch.arange(24).reshape(2, 6, 2)
    spots = places(resolve_dim("(a 2)", {"a": 3})[0], "a")[0]
    assert rows(tensor, 1, spots)[1].tolist() == [4, 5, 16, 17, 6, 7, 18, 19]


def test_gate_and_up_are_written_and_down_and_biases_are_not():
    model, layout = llama()
    found = list(written_rows(model, layout, "neurons.1"))
    at = "model.layers.1.mlp."
    assert torch.equal(found[0], model[at + "gate_proj.weight"])
    assert torch.equal(found[1], model[at + "up_proj.weight"])
    assert len(found) == 2


def test_a_fused_gate_up_gives_two():
    values = {"gate_up": torch.randn(8, 3), "bias": torch.randn(8), "down": torch.randn(3, 4)}
    model = Tensors(values, {})
    patterns = {"gate_up": "(neurons.0 + neurons.0) 3", "bias": "(neurons.0 + neurons.0)", "down": "3 neurons.0"}
    layout = layout_of(model, patterns, [Axis(name="neurons.0", size=4, state="free")], {"gate_up": (1,), "down": (1,)})
    gate, up = written_rows(model, layout, "neurons.0")
    assert torch.equal(gate, values["gate_up"][:4])
    assert torch.equal(up, values["gate_up"][4:])


def test_bfloat16_is_scored_in_float32():
    model, layout = llama(dtype=torch.bfloat16)
    assert {r.dtype for r in all_rows(model, layout, "neurons.0")} == {torch.float32}


def test_an_axis_that_nothing_writes_is_refused():
    model = Tensors({"bias": torch.randn(4)}, {})
    layout = layout_of(model, {"bias": "neurons.0"}, [Axis(name="neurons.0", size=4, state="free")], {})
    with pytest.raises(UnsupportedError, match=r"no weight matrix writes axis 'neurons.0'"):
        list(written_rows(model, layout, "neurons.0"))
