"""What is asked of every healer: it is a frozen dataclass with a source, and its loss falls when it is trained."""

import copy
import dataclasses

import pytest
import torch
from tests.healers.conftest import blocks_of, run_of
from tests.house import tree
from tests.world import subject

from penjing.core import Heals
from penjing.errors import RequestError
from penjing.healers import HEALERS
from penjing.train import Pair, heal

VISION = ("amp", "similarity")
"""Those whose papers heal encoders of images."""


@pytest.mark.parametrize("name", HEALERS.names())
def test_it_is_complete(name):
    file, of = HEALERS.load(name), HEALERS.type_of(name)
    assert dataclasses.is_dataclass(of)
    assert of.__dataclass_params__.frozen
    assert all(f.kw_only for f in dataclasses.fields(of))
    assert isinstance(HEALERS.build(name), Heals)
    assert "Source:" in file.__doc__
    test = tree.ROOT / "tests" / "healers" / f"test_{name}.py"
    assert test.is_file(), f"write {test.relative_to(tree.ROOT)}"
    assert "def naive" in test.read_text(encoding="utf-8"), "it has no naive loop"


@pytest.mark.parametrize("name", HEALERS.names())
def test_its_loss_falls_and_the_teacher_stays(name):
    model = "vit" if name in VISION else "decoder"
    found = subject(model)
    run = run_of(model, steps=30)
    with torch.no_grad():
        for parameter in run.module.parameters():
            if parameter.ndim > 1:
                parameter.mul_(0.7)
    before = copy.deepcopy(found.module.state_dict())
    blocks = blocks_of(model)
    batches = [{k: v for k, v in b.items() if k != "labels"} for b in found.data] if model == "vit" else found.data
    heal(HEALERS.build(name), run, batches, pair=Pair(blocks=blocks, teacher=found.module, teacher_blocks=blocks))
    assert sum(run.losses[-4:]) < 0.9 * sum(run.losses[:4])
    assert all(torch.equal(t, before[n]) for n, t in found.module.state_dict().items())
    assert not [p for p in found.module.parameters() if p.grad is not None]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in found.module.modules())


@pytest.mark.parametrize("name", [n for n in HEALERS.names() if n != "sft"])
def test_without_the_teacher_that_it_looks_at_it_is_refused(name):
    with pytest.raises(RequestError, match=f"{name} looks at a teacher"):
        heal(HEALERS.build(name), run_of("decoder"), subject("decoder").data, pair=Pair(blocks=blocks_of("decoder")))
