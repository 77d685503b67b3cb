"""Widths that stock code fixes itself: refused where stock loaders must open the result, else named layer by layer."""

import json

import pytest
import torch
import transformers

import penjing
from penjing.core import Keep, Plan
from penjing.errors import CheckpointError, LayoutError, PlanError
from penjing.pipeline.request import Choice
from penjing.surgery import masked

SMALL = {"vocab_size": 99, "n_layer": 2, "n_head": 2}
MODELS = {
    "bloom": ("BloomForCausalLM", {**SMALL, "hidden_size": 16}),
    "openai-gpt": ("OpenAIGPTLMHeadModel", {**SMALL, "n_embd": 16, "n_positions": 32}),
    "convnext": (
        "ConvNextForImageClassification",
        {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2, "image_size": 32},
    ),
    "mobilenet_v2": (
        "MobileNetV2ForImageClassification",
        {"depth_multiplier": 0.25, "min_depth": 4, "depth_divisible_by": 4, "image_size": 32},
    ),
}
BEYOND = Choice(method="magnitude", keep=0.5, opens_with="penjing")


def inputs(module):
    generator = torch.Generator().manual_seed(1)
    if module.main_input_name == "pixel_values":
        return {"pixel_values": torch.randn((2, 3, 32, 32), generator=generator)}
    return {"input_ids": torch.randint(99, (2, 7), generator=generator)}


def logits(module):
    with torch.no_grad():
        return module.eval()(**inputs(module)).logits


@pytest.fixture(scope="module", params=["bloom", *(pytest.param(n, marks=pytest.mark.slow) for n in list(MODELS)[1:])])
def whole(request, tmp_path_factory):  # the others take some seconds more each, and go the same way
    name, sizes = MODELS[request.param]
    torch.manual_seed(0)
    config = transformers.CONFIG_MAPPING[request.param](**sizes)
    folder = tmp_path_factory.mktemp(request.param) / "whole"
    module = getattr(transformers, name)._from_config(config).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    module.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cut(whole, tmp_path_factory):
    plan = penjing.plan(whole, choice=BEYOND)
    out = tmp_path_factory.mktemp("cut") / "out"
    penjing.apply(whole, plan, out, opens_with="penjing", reopening=False)
    return plan, out


def test_by_default_it_is_refused_before_any_work_and_the_option_is_named(whole):
    with pytest.raises(LayoutError, match="--opens-with penjing"):
        penjing.plan(whole, method="magnitude", keep=0.5)


def test_a_plan_for_it_is_refused_where_stock_loaders_must_open_it(whole, cut, tmp_path):
    with pytest.raises(PlanError, match="--opens-with penjing"):
        penjing.apply(whole, cut[0], tmp_path / "out", reopening=False)
    assert not (tmp_path / "out").exists()


def test_the_folder_opens_smaller_and_equals_the_mask(whole, cut):
    plan, out = cut
    before, small = penjing.load(whole), penjing.load(out)
    count = sum(p.numel() for p in small.parameters())
    assert count < sum(p.numel() for p in before.parameters())
    torch.testing.assert_close(logits(small), logits(masked(before, penjing.layout(whole), plan)), rtol=1e-4, atol=1e-5)
    assert penjing.look(out).parameters == count
    assert {t["kind"] for t in json.loads((out / "penjing.json").read_text())["modules"].values()} == {"resized"}


def test_stock_code_refuses_the_folder_rather_than_opening_something_else(whole, cut):
    kind = getattr(transformers, json.loads((whole / "config.json").read_text())["architectures"][0])
    with pytest.raises(RuntimeError, match=r"size mismatch|mismatched"):
        kind.from_pretrained(cut[1])


def test_it_is_cut_on(cut, tmp_path):
    _, out = cut
    plan = penjing.plan(out, method="magnitude", keep=0.5)
    assert plan.keeps()
    penjing.apply(out, plan, tmp_path / "again", reopening=False)
    before, small = penjing.load(out), penjing.load(tmp_path / "again")
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in before.parameters())
    torch.testing.assert_close(logits(small), logits(masked(before, penjing.layout(out), plan)), rtol=1e-4, atol=1e-5)


def test_a_record_changed_by_hand_is_refused(cut, tmp_path):
    copied = tmp_path / "copy"
    copied.mkdir()
    for file in cut[1].iterdir():
        if file.is_file():
            (copied / file.name).write_bytes(file.read_bytes())
    table = json.loads((copied / "penjing.json").read_text())
    next(iter(table["modules"].values()))["settings"]["shapes"] = "weight=3x_"
    (copied / "penjing.json").write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match="digest of its 'modules'"):
        penjing.load(copied)


def test_heads_that_the_code_counts_itself_are_refused(tmp_path):
    name, sizes = MODELS["bloom"]
    config = transformers.CONFIG_MAPPING["bloom"](**{**sizes, "hidden_size": 32})
    module = getattr(transformers, name)._from_config(config)
    module.save_pretrained(tmp_path / "whole")
    layout = penjing.layout(tmp_path / "whole")
    axis = next(a for a in layout.axes.values() if a.kind in ("head_dims", "value_dims", "heads") and a.state == "free")
    plan = Plan((Keep(axis.name, tuple(range(axis.size // 2))),))
    with pytest.raises(PlanError):
        penjing.apply(tmp_path / "whole", plan, tmp_path / "out", opens_with="penjing", reopening=False)
    assert not (tmp_path / "out").exists()
