"""The axes that are cut where nobody names any."""

import pytest
import torch
from tests.methods.tiny import Tensors, layout_of, llama

from penjing.core import Axis, Budget, Entry
from penjing.errors import LayoutError
from penjing.select.axes import choose
from penjing.select.uniform import sizes
from penjing.select.usual import by_kind, holdable, usual


def of(**axes):
    """A layout with these axes, name -> (state, entries), each read by one product."""
    names = {n.replace("__", "."): v for n, v in axes.items()}
    made = [Axis(name=n, size=16, state=s, reason="why not", entries=e) for n, (s, e) in names.items()]
    model = Tensors({f"{n}.up": torch.zeros(16, 3) for n in names}, {})
    return layout_of(model, {f"{n}.up": f"{n} 3" for n in names}, made, {})


def chosen(**axes):
    return [a.name for a in usual(of(**axes))]


def test_an_mlp_is_cut_along_its_neurons():
    assert [a.name for a in usual(llama()[1])] == ["neurons.0", "neurons.1"]
    assert choose(llama()[1], None) == usual(llama()[1])


def test_channels_are_cut_beside_neurons_where_there_is_no_attention():
    free = ("free", ())
    assert chosen(channels__0=free, neurons__0=free) == ["channels.0", "neurons.0"]
    assert chosen(channels__0=free, neurons__0=free, heads__0=free) == ["neurons.0"]


def test_experts_come_before_heads_and_heads_before_the_rest():
    free = ("free", ())
    assert chosen(heads__0=free, experts__0=free, dims__0=free) == ["experts.0"]
    assert chosen(dims__0=free, heads__0=free) == ["heads.0"]
    assert chosen(dims__0=free) == ["dims.0"]


def test_what_no_entry_holds_is_left_whole():
    assert chosen(neurons__0=("free", ("width",)), neurons__1=("free", ())) == ["neurons.0"]
    assert chosen(neurons__0=("free", ()), heads__0=("free", ("heads",))) == ["heads.0"]


def test_an_entry_that_moves_another_axis_too_holds_neither():
    layout = of(neurons__0=("free", ("width",)), residual=("sensitive", ("width",)), heads__0=("free", ("heads",)))
    assert holdable(layout, layout.match("*")) == {"heads.0"}


def test_nothing_free_is_refused_with_the_reason():
    with pytest.raises(LayoutError, match=r"no axis of this model is free \(as neurons.0: why not\)"):
        usual(of(neurons__0=("uncut", ())))


def test_nothing_that_a_config_holds_is_refused():
    with pytest.raises(LayoutError, match=r"1 free axes \(neurons\), and no config entry holds"):
        usual(of(neurons__0=("free", ()), residual=("uncut", ("width",))))


def test_protection_of_all_of_them_names_them():
    with pytest.raises(LayoutError, match=r"'neurons \(2 axes\)' matches 2 axes"):
        choose(llama()[1], None, protect=("neurons",))
    assert by_kind(usual(llama()[1])) == "neurons (2 axes)"


def stages(value, *, whole):
    model = Tensors({"one": torch.zeros(48, 3), "two": torch.zeros(96, 3)}, {})
    axes = [Axis(name=f"neurons.{k}", size=n, state="free", entries=("ratio",)) for k, n in enumerate((48, 96))]
    layout = layout_of(model, {"one": "neurons.0 3", "two": "neurons.1 3"}, axes, {"one": (0,), "two": (0,)})
    entry = Entry(path="ratio", value=value, moves={"neurons.0": 1.0, "neurons.1": 1.0}, whole=whole)
    return model, type(layout)(**{**vars(layout), "entries": (entry,)})


@pytest.mark.parametrize(("whole", "keep", "counts"), [(False, 0.7, (32, 64)), (True, 0.7, (36, 72))])
def test_axes_of_one_ratio_shrink_by_one_ratio_that_it_can_hold(whole, keep, counts):
    model, layout = stages(4.0, whole=whole)
    found = sizes(layout, layout.match("*"), Budget(keep=keep), model=model)
    assert tuple(found.values()) == counts


def test_an_entry_that_is_one_already_holds_nothing_smaller():
    whole = Entry(path="ratio", value=1.0, moves={"neurons.0": 1.0, "neurons.1": 1.0}, whole=True)
    heads = Entry(path="heads", value=4.0, moves={"heads.0": 1.0}, whole=True)
    model = of(neurons__0=("free", ("ratio",)), neurons__1=("free", ("ratio",)), heads__0=("free", ("heads",)))
    layout = type(model)(**{**vars(model), "entries": (whole, heads)})
    assert [a.name for a in usual(layout)] == ["heads.0"]
    with pytest.raises(LayoutError, match="no config entry holds another size"):
        usual(type(model)(**{**vars(model), "entries": (whole,)}))
