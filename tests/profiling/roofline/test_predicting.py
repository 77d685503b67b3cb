"""Predictions of a Llama on a machine of known speed; what cutting does; what is refused."""

import pytest
from tests.profiling.roofline import machine

from penjing.layouts import from_config
from penjing.profiling.roofline import Job, describe, free_width, points, predict, what_if, without_blocks

SIZE = {"hidden_size": 640, "intermediate_size": 1920, "heads": 10, "vocab_size": 3000}
DECODE, PREFILL = Job(kind="decode", context=200), Job(kind="prefill", tokens=96)


@pytest.fixture(scope="module")
def profile():
    return machine.profile()


@pytest.fixture(scope="module")
def layout():
    return from_config(points.config(SIZE, 4))


@pytest.fixture(scope="module")
def shape(layout):
    return describe(layout, cache_bytes=2 * 4 * 640 * 4)


def true(what, tokens, layers=4):
    return machine.stock_seconds({"config": points.config(SIZE, layers), "what": what, "tokens": tokens})


def test_the_shape_holds_every_weight_once(layout, shape):
    f, d, v = 1920, 640, 3000
    assert shape.weight_bytes == 4 * (4 * (4 * d * d + 3 * d * f) + d * v + 9 * d)
    assert {p.part for p in shape.products} == {"attention", "mlp", "head"}
    assert all(p.per_token and p.rows == 1 for p in shape.products)


def test_a_pass_and_a_step_take_what_the_machine_takes(profile, shape):
    assert predict(profile, shape, PREFILL).seconds == pytest.approx(true("prefill", 96), rel=0.05)
    assert predict(profile, shape, DECODE).seconds == pytest.approx(true("decode", 200), rel=0.05)


def test_parts_add_up_and_say_what_they_wait_for(profile, shape):
    step, whole = predict(profile, shape, DECODE), predict(profile, shape, PREFILL)
    assert sum(step.parts.values()) == pytest.approx(step.seconds)
    assert step.bound["mlp"] == "bytes"
    assert whole.bound["mlp"] == "arithmetic"


def test_fewer_blocks_take_what_a_shallower_model_takes(profile, shape):
    two = without_blocks(shape, "model.layers", (0, 3), 4)
    assert predict(profile, two, DECODE).seconds == pytest.approx(true("decode", 200, layers=2), rel=0.05)
    assert predict(profile, two, PREFILL).seconds == pytest.approx(true("prefill", 96, layers=2), rel=0.05)


def test_logits_of_the_last_position_save_the_head(profile, shape):
    last = predict(profile, shape, Job(kind="prefill", tokens=96, last_only=True))
    assert last.parts["head"] < predict(profile, shape, PREFILL).parts["head"] / 5


def test_eight_at_once_take_less_than_eight_times_one(profile, shape):
    eight = predict(profile, shape, Job(kind="decode", context=200, batch=8)).seconds
    one = predict(profile, shape, DECODE).seconds
    assert one < eight < 8 * one


def test_narrower_layers_are_predicted_before_anything_is_cut(profile, layout):
    narrow = {a: 960 for a in layout.axes if a.startswith("neurons")}
    cache = 2 * 4 * 640 * 4
    found = what_if(profile, layout, narrow, DECODE, cache_bytes=(cache, cache))
    small = points.config({**SIZE, "intermediate_size": 960}, 4)
    expected = machine.stock_seconds({"config": small, "what": "decode", "tokens": 200})
    assert found.after.seconds == pytest.approx(expected, rel=0.05)
    assert found.ratio == pytest.approx(expected / true("decode", 200), rel=0.05)
    assert found.warnings == ()


def test_a_cut_that_would_not_be_faster_is_warned_of(profile, layout):
    odd = {a: 1919 for a in layout.axes if a.startswith("neurons")}
    found = what_if(profile, layout, odd, Job(kind="prefill", tokens=256))
    assert found.ratio > 1
    assert any("no faster" in w for w in found.warnings)
    assert any("round the width" in w for w in found.warnings)
    assert not any("down_proj" in t for t in found.slower)


def test_width_up_to_the_next_round_one_is_free(profile):
    assert free_width(profile, 1009, 640, rows=64) >= 1024
    assert free_width(profile, 1024, 640, rows=64) == 1024


def test_an_image_model_is_one_pass():
    config = {
        "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    shape = describe(from_config(config))
    assert not shape.by_token
    (up,) = [p for p in shape.products if "layers.0" in p.tensor.replace("layer.0", "layers.0") and p.outputs == 128]
    assert up.rows == 17
