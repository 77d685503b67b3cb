"""Which axes a method may touch."""

import pytest
from tests.methods.tiny import llama

from penjing.errors import LayoutError
from penjing.select.axes import choose


def names(*args, **settings):
    return [a.name for a in choose(llama()[1], *args, **settings)]


def test_globs_choose_and_protection_takes_away():
    assert names("neurons.*, heads") == ["neurons.0", "heads.0", "neurons.1", "heads.1"]
    assert names("*", protect=("heads", "*.1")) == ["neurons.0", "queries.0"]


@pytest.mark.parametrize("protect", ["heads, *.1", ("heads, *.1",), ["heads", "*.1"]])
def test_one_text_protects_all_that_it_names(protect):
    assert names("*", protect=protect) == ["neurons.0", "queries.0"]


def test_sensitive_axes_need_to_be_allowed():
    with pytest.raises(LayoutError, match=r"only axes that are sensitive .*mean in model.norm"):
        names("residual")
    assert names("residual", allow=("sensitive",)) == ["residual"]


def test_protecting_everything_is_refused():
    with pytest.raises(LayoutError, match=r"'neurons' matches 2 axes and all are protected by 'neurons.0, neurons.1'"):
        names("neurons", protect=("neurons.0", "neurons.1"))


def test_protection_that_names_nothing_is_refused():
    with pytest.raises(LayoutError, match=r"no axis matches 'nuerons.0'"):
        names("neurons", protect=("nuerons.0",))
