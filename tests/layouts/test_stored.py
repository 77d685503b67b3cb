"""Patterns under the names that files use: prefixes, older names, experts one by one."""

import pytest
from tests.layouts.zoo import ZOO

from penjing.core import Axis, Layout
from penjing.core.pattern import cut, parse, show
from penjing.errors import CheckpointError
from penjing.layouts.config.left_open import shapes_of
from penjing.layouts.config.stock import build
from penjing.layouts.config.stored import under_stored


def plain(module, special=None):
    """A layout of bare sizes, but for some tensors: what is tested is names, not inference."""
    special = special or {}
    axes = {"experts.0": 5, "experts.1": 5, "neurons.0": 44, "neurons.1": 44, "residual": 32}
    patterns = {}
    for name, shape in shapes_of(module).items():
        text = special.get(name) or " ".join(str(n) for n in shape) or ""
        patterns[name] = cut(parse(text), axes)
    return Layout(patterns=patterns, axes={n: Axis(name=n, size=s, state="free") for n, s in axes.items()})


def test_the_same_names_change_nothing():
    module = build(ZOO["bert"].config)
    layout = plain(module)
    assert under_stored(layout, module, shapes_of(module)) is layout


def test_a_prefix_of_the_base_model_is_taken_off_and_put_on():
    config = ZOO["vit"].config
    head, bare = build(config), build({k: v for k, v in config.items() if k != "architectures"})
    stored = {n.removeprefix("vit."): s for n, s in shapes_of(head).items()}
    found = under_stored(plain(head), head, stored)
    assert set(found.patterns) == set(stored)
    names = {n for n in shapes_of(bare) if not n.startswith("pooler")}
    longer = {f"vit.{n}": s for n, s in shapes_of(bare).items()}
    assert {n.removeprefix("vit.") for n in under_stored(plain(bare), bare, longer).patterns} >= names


def test_experts_stored_one_by_one_take_their_share_of_the_fused_pattern():
    module = build(ZOO["mixtral"].config)
    special = {}
    for i in range(2):
        base = f"model.layers.{i}.mlp.experts"
        special[f"{base}.gate_up_proj"] = f"experts.{i} (neurons.{i} + neurons.{i}) residual"
        special[f"{base}.down_proj"] = f"experts.{i} residual neurons.{i}"
        special[f"model.layers.{i}.mlp.gate.weight"] = f"experts.{i} residual"
    shapes = shapes_of(module)
    stored = {n.replace(".mlp.", ".block_sparse_moe."): s for n, s in shapes.items() if ".experts." not in n}
    for i in range(2):
        for e in range(5):
            base = f"model.layers.{i}.block_sparse_moe.experts.{e}"
            stored |= {f"{base}.w1.weight": (44, 32), f"{base}.w2.weight": (32, 44), f"{base}.w3.weight": (44, 32)}
    found = under_stored(plain(module, special), module, stored)
    one = "model.layers.1.block_sparse_moe.experts.3"
    assert [show(found.patterns[f"{one}.{w}.weight"]) for w in ("w1", "w2", "w3")] == [
        "neurons.1 residual", "residual neurons.1", "neurons.1 residual",
    ]  # fmt: skip
    assert found.axes["experts.1"].state == "uncut"
    assert "one tensor for each of its units" in found.axes["experts.1"].reason
    assert found.axes["neurons.1"].state == "free"


def test_what_the_model_does_not_know_is_kept_whole_and_said():
    module = build(ZOO["bert"].config)
    found = under_stored(plain(module), module, {**shapes_of(module), "extra.weight": (3, 4)})
    assert show(found.patterns["extra.weight"]) == "3 4"
    assert "extra.weight" in found.unreached
    assert "does not use extra.weight" in found.notes[-1]


def test_missing_tensors_are_named():
    module = build(ZOO["llama"].config)
    stored = {n: s for n, s in shapes_of(module).items() if ".mlp." not in n}
    with pytest.raises(CheckpointError, match=r"lack 6 of the .*gate_proj.*and 1 more"):
        under_stored(plain(module), module, stored)


def test_a_shape_that_disagrees_is_told_with_both():
    module = build(ZOO["llama"].config)
    stored = {**shapes_of(module), "model.norm.weight": (31,)}
    with pytest.raises(
        CheckpointError, match=r"model.norm.weight is \[31\] in the file, but the config makes it \[32\]"
    ):
        under_stored(plain(module), module, stored)
