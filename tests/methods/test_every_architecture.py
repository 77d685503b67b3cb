"""Methods on architectures: the smaller model runs and is what was planned, or the method says why it cannot serve.

A sum and no product: every method on two models, every architecture with two methods; the rest of the product nightly.
Methods named after the gated MLPs of their paper (maw, vow, pon, l2_rows) score whatever rows write a unit, so they
work on any axis that a matrix writes.
"""

import pytest
import torch
from tests.world import NAMED, OWN, STOCK, subject

import penjing
from penjing import surgery
from penjing.calibrate.statistics import find
from penjing.core import Mask
from penjing.errors import PlanError, UnsupportedError
from penjing.methods import METHODS
from penjing.select.weights import matrices

MODELS = {NAMED["decoder"], NAMED["cnn"]}
PAIR = {"magnitude", "activation"}
CUT, SPARSE, FACTOR = "prune", "sparsify", "factor"
CASES = [(name, "*") for name in OWN] + [(name, "neurons.*") for name in STOCK if name != "resnet"]
CASES += [(name, "heads.*") for name in ("llama", "qwen2", "bert", "vit", "dinov2", "swin")] + [("resnet", "*")]
QUICK = {"multiple": 1, "steps": 3, "batch": 4, "rounds": 2}
BETWEEN_KINDS = {"nirvana"}
"""Methods that take more of one kind of axis than of another, so that the share holds of one kind alone."""
HOOKED = {"inputs", "inputs of examples", "windows", "outputs of examples", "saliencies of examples"}
"""What is read where a layer is called."""
OWN_PRODUCTS = {
    "kan": "it belongs to KanLayer",
    "tied autoencoder": "it belongs to TiedAutoencoder",
    "mixtral": "it belongs to MixtralExperts",
}
"""Models whose code multiplies weights itself, where no hook reaches."""
HELD = {
    "activation", "amp", "gradual_magnitude", "icbs", "l2_rows", "magnitude", "maw", "measured", "minitron", "nirvana",
    "pon", "random", "sparsegpt", "taylor", "vow", "wanda", "weight_magnitude", "zeros",
}  # fmt: skip
"""Methods that have to work wherever `refusal` does not speak against it; one that is newer may say why it cannot."""


def pairs(*, sparse: bool):
    """(method, model, axes) of all methods that zero single weights, or of all that take units away."""
    for method, (family, _) in sorted(METHODS.places().items()):
        if family != (SPARSE if sparse else CUT):
            continue
        for name, axes in dict.fromkeys((n, "" if sparse else a) for n, a in CASES):
            fast = name in MODELS or method in PAIR
            yield pytest.param(method, name, axes, marks=() if fast else pytest.mark.nightly)


def settings(method: str, axes: str) -> dict:
    known = {s.name for s in METHODS.settings(method)}
    return {k: v for k, v in {**QUICK, **({"axes": axes} if axes else {})}.items() if k in known}


def refusal(method: str, name: str) -> str:
    """What a method must say that cannot serve a model, by what its card says it reads; empty where it should work."""
    card = METHODS.load(method).CARD
    reads = {find(s).reads for s in card.needs - {"live", "blocks", "data"}}
    if METHODS.places()[method].family == SPARSE:
        if name == "tied autoencoder":
            return "no weight that a product reads in one direction only"
        if "input_second_moment" in card.needs and not all(m.plain for m in matrices(subject(name).layout)):
            return "is a convolution with a window"
    if name in OWN_PRODUCTS and reads & HOOKED:
        return OWN_PRODUCTS[name]
    return "no weight matrix writes axis" if name == "tied autoencoder" and card.reads == "writing rows" else ""


def planned(method: str, name: str, axes: str):
    """The plan, or None where the method rightly refused with its reason."""
    model, wanted = subject(name), refusal(method, name)
    wish = {"method": method, "keep": 0.5, "settings": settings(method, axes), "data": model.data}
    plan, said = None, ""
    try:
        plan = penjing.plan(model.module, **wish, example=model.example, table=model.table)
    except UnsupportedError as error:
        said = error.reason
    assert bool(said) == (plan is None)
    if wanted or method in HELD:
        assert bool(wanted) == bool(said), f"'{method}' on {name}: needed a refusal '{wanted}', found '{said}'"
    assert wanted in said
    return plan


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))


@pytest.mark.parametrize(("method", "name", "axes"), list(pairs(sparse=False)))
def test_the_smaller_model_is_what_was_planned(method, name, axes):
    model, plan = subject(name), planned(method, name, axes)
    if plan is None:
        return
    axes_cut = [model.layout.axes[a] for a in plan.keeps()]
    assert axes_cut
    if method not in BETWEEN_KINDS or len({a.kind for a in axes_cut}) == 1:
        assert all(abs(len(plan.keeps()[a.name]) - a.size / 2) < 1 for a in axes_cut)
    smaller = penjing.apply(model.module, plan, stock=False, example=model.example, table=model.table)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model.module, smaller))
    assert after < before
    found, masked = model.output(smaller), model.output(surgery.masked(model.module, model.layout, plan))
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found, masked, rtol=1e-5, atol=1e-5 * float(masked.abs().max()))


@pytest.mark.parametrize(("method", "name", "axes"), list(pairs(sparse=True)))
def test_the_sparse_model_has_the_zeros_that_were_planned(method, name, axes):
    model, plan = subject(name), planned(method, name, axes)
    if plan is None:
        return
    masks = {e.tensor: e.kept for e in plan if isinstance(e, Mask)}
    assert masks
    assert sum(int((~kept).sum()) for kept in masks.values()) == plan.made["zeros"]
    smaller = penjing.apply(model.module, plan, example=model.example, table=model.table)
    state = smaller.state_dict()
    assert all(bool((state[tensor][~kept] == 0).all()) for tensor, kept in masks.items())
    assert bool(model.output(smaller).isfinite().all())


def factored():
    """(method, model) of all methods that write matrices as products."""
    for method, (family, _) in sorted(METHODS.places().items()):
        for name in (*OWN, *STOCK) if family == FACTOR else ():
            yield pytest.param(method, name, marks=() if name in MODELS else pytest.mark.nightly)


@pytest.mark.parametrize(("method", "name"), list(factored()))
def test_the_factored_model_is_smaller_and_is_its_mask(method, name):
    whitens = "whiten" in {s.name for s in METHODS.settings(method)}
    model, wish = subject(name), {"method": method, "keep": 0.5, "settings": {"whiten": False} if whitens else {}}
    smaller, plan, said = None, None, ""
    try:
        plan = penjing.plan(model.module, **wish, example=model.example, table=model.table)
        smaller = penjing.apply(model.module, plan, stock=False, example=model.example, table=model.table)
    except (UnsupportedError, PlanError) as error:  # no layer, or one that is used otherwise than by being called
        said = str(error)
    if smaller is None or plan is None:
        assert name not in MODELS
        assert any(words in said for words in ("protect", "nothing has a rank", "none has rows to rank"))
        return
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model.module, smaller))
    assert after < before
    found, masked = model.output(smaller), model.output(surgery.masked(model.module, model.layout, plan))
    torch.testing.assert_close(found, masked, rtol=1e-5, atol=1e-5 * float(masked.abs().max()))
