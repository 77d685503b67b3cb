"""Modules that nobody wrote a rule for: what is found free, and that cutting it equals masking it."""

import pytest
from tests.layouts import modules

from penjing.layouts.graph.infer import infer
from penjing.layouts.prove.proof import prove


def states(layout):
    free = [a.name for a in layout.axes.values() if a.state == "free"]
    return free, [a.name for a in layout.axes.values() if a.state == "sensitive"]


@pytest.mark.parametrize("name", modules.HONEST)
def test_the_axes_counted_by_hand_are_found(name):
    make, example, free, sensitive = modules.HONEST[name]
    layout = infer(make(), (example,))
    found = states(layout)
    assert (len(found[0]), len(found[1])) == (free, sensitive), found
    assert layout.notes == ()


@pytest.mark.parametrize("name", modules.HONEST)
def test_cutting_a_free_axis_equals_masking_it(name):
    make, example, _, _ = modules.HONEST[name]
    results = prove(make(), (example,))
    assert results
    assert all(r.ok for r in results.values()), results


def test_each_layer_of_an_lstm_has_its_own_axis():
    layout = infer(*_pair("lstm"))
    assert states(layout)[0] == ["neurons.rnn.weight_ih_l0", "neurons.rnn.weight_ih_l1"]


def test_a_gram_matrix_has_the_axis_twice_in_one_dimension():
    layout = infer(*_pair("gram"))
    names = [leaf.name for leaf in layout.patterns["out.weight"][1].parts]
    assert names == ["channels.a", "channels.a"]


def test_concatenations_name_their_stretches():
    from penjing.core.pattern import show

    layout = infer(*_pair("dense"))
    assert show(layout.patterns["c.weight"]) == "neurons.c (inputs + neurons.a + neurons.b)"


def test_a_tied_weight_is_listed_once():
    layout = infer(*_pair("tied"))
    assert list(layout.patterns) == ["weight"]
    assert layout.reads["weight"] == (0, 1)


def _pair(name):
    make, example, _, _ = modules.HONEST[name]
    return make(), (example,)
