"""Every method that takes units away, on every architecture: the smaller model runs, and is what was planned.

Methods named after the gated MLPs of their paper (maw, vow, pon, l2_rows) score whatever rows write a unit, so they
work on any axis that a matrix writes.
"""

import pytest
import torch
from tests.methods.architectures import OWN, STOCK, subject

import penjing
from penjing import surgery
from penjing.errors import PenjingError
from penjing.methods import METHODS

CUTTING = [n for n, (family, _) in sorted(METHODS.places().items()) if family == "prune"]
CASES = [(name, "*") for name in OWN] + [(name, "neurons.*") for name in STOCK if name != "resnet"]
CASES += [(name, "heads.*") for name in ("llama", "qwen2", "bert", "vit", "dinov2", "swin")] + [("resnet", "*")]
DATA = {"activation", "amp", "measured", "minitron"}
ROWS = {"l2_rows", "maw", "pon", "vow"}
BETWEEN_KINDS = {"nirvana"}
"""Methods that take more of one kind of axis than of another, so that the share holds of one kind alone."""

REFUSED = {
    **{(method, "kan"): "two.coefficients cannot be measured: it belongs to KanLayer" for method in DATA},
    **{(method, "tied autoencoder"): "it belongs to TiedAutoencoder" for method in DATA},
    **{(method, "tied autoencoder"): "no weight matrix writes axis 'neurons'" for method in ROWS},
}
"""(method, architecture) -> what it says, where a method cannot serve. The others all work.

A KAN's coefficients and the autoencoder's one matrix are multiplied by code of the model's own, where no hook reaches;
and of the one matrix, the axis is only ever read.
"""


def settings(method: str, axes: str) -> dict:
    known = {s.name for s in METHODS.settings(method)}
    return {k: v for k, v in {"axes": axes, "multiple": 1}.items() if k in known}


@pytest.mark.parametrize(("name", "axes"), CASES)
@pytest.mark.parametrize("method", CUTTING)
def test_the_smaller_model_is_what_was_planned(method, name, axes, tmp_path, monkeypatch):
    model = subject(name)
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))
    given = {"example": model.example, "table": model.table}

    def planned():
        wish = {"method": method, "keep": 0.5, "settings": settings(method, axes), "data": model.data}
        return penjing.plan(model.module, **wish, **given)

    if (method, name) in REFUSED:
        with pytest.raises(PenjingError, match=REFUSED[method, name]):
            planned()
        return
    plan = planned()
    axes_cut = [model.layout.axes[a] for a in plan.keeps()]
    assert axes_cut
    if method not in BETWEEN_KINDS or len({a.kind for a in axes_cut}) == 1:
        assert all(abs(len(plan.keeps()[a.name]) - a.size / 2) < 1 for a in axes_cut)
    smaller = penjing.apply(model.module, plan, stock=False, **given)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model.module, smaller))
    assert after < before
    found, masked = model.output(smaller), model.output(surgery.masked(model.module, model.layout, plan))
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found, masked, rtol=1e-5, atol=1e-5 * float(masked.abs().max()))
