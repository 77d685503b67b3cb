import json

import pytest
import torch
from tests.evaluate.models import folder, llama, tokens

from penjing.errors import DataError
from penjing.evaluate import KEYS, Blocks, Rolling, perplexity, to_json
from penjing.evaluate.costs import costs
from penjing.evaluate.figures import plain
from penjing.pipeline.measure import measure, measure_many
from penjing.profiling.predicted import decode_bytes, decode_ratio, prefill_ratio
from penjing.profiling.speed import Speed

TINY = Speed(tokens=16, context=16, rounds=5, steps=2, threads=1, timeout=60)
TEXTS = {"plain": [("some text", tokens(40)), ("more of it", tokens(25, seed=1))]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    where = tmp_path_factory.mktemp("models")
    return folder(where / "base"), folder(where / "small", neurons=20)


@pytest.fixture(scope="module")
def compared(pair):
    return measure_many(pair[0], [pair[1]], texts=TEXTS, protocols=(Blocks(window=11), Rolling(prefix=1)), speed=TINY)


def test_costs_are_those_of_the_module(pair):
    found = {f.name: f for f in costs(pair[0]).figures}
    module = llama()
    assert found["parameters"].value == sum(p.numel() for p in module.parameters())
    assert found["bytes"].value == (pair[0] / "model.safetensors").stat().st_size
    assert found["kv_cache_bytes_per_token"].value == 2 * 2 * 1 * 8 * 4
    assert "macs_per_image" not in found
    matrices = sum(p.numel() for n, p in module.named_parameters() if p.ndim == 2 and "embed" not in n)
    assert found["macs_per_token"].value == pytest.approx(matrices + 2 * 2 * 512 * 24, rel=0.02)


@pytest.mark.parametrize("tied", [False, True])
def test_decoding_reads_every_weight_but_a_table_that_is_looked_up(tmp_path, tied):
    model = costs(folder(tmp_path / "model", tied=tied))
    module = llama(tied=tied)
    read = sum(p.numel() * 4 for n, p in module.named_parameters() if tied or "embed" not in n)
    assert decode_bytes(model, 10) == read + 10 * 2 * 2 * 8 * 4


def test_predictions_are_one_for_the_same_model_and_less_for_a_smaller(pair):
    base, small = costs(pair[0]), costs(pair[1])
    assert decode_ratio(base, base, 64) == prefill_ratio(base, base, 64) == 1
    assert 0 < decode_ratio(small, base, 64) < 1
    assert 0 < prefill_ratio(small, base, 64) < 1


def test_every_figure_is_there(compared):
    base, small = compared.subjects
    for key in ("parameters", "bytes", "perplexity", "decode_seconds_per_token", "prefill_seconds"):
        assert small.figure(key).value > 0
        assert base.figure(key).value > 0
    assert small.figure("divergence").value > 0
    assert base.figure("divergence") is None
    assert small.figure("perplexity:plain:rolling:2").details["bits_per_byte"] > 0
    assert small.widths["neurons.0"] == 20


def test_perplexities_are_those_of_each_model(compared):
    for subject, neurons in zip(compared.subjects, (44, 20), strict=True):
        expected = perplexity(llama(neurons=neurons), TEXTS["plain"], protocol=Blocks(window=11))
        assert subject.figure("perplexity").value == pytest.approx(expected.value, rel=1e-6)
        assert subject.figure("perplexity").protocol == expected.protocol


def test_ratios_have_predictions_beside_them(compared):
    found = {r.name: r for r in compared.ratios}
    base, small = compared.subjects
    for key in ("parameters", "bytes", "perplexity"):
        expected = small.figure(key).value / base.figure(key).value
        assert found[f"{key}_ratio"].value == pytest.approx(expected, rel=1e-6)
    for key in ("prefill_ratio", "decode_ratio"):
        assert 0 < found[key].details["predicted"] < 1
        assert "predicted" in found[key].note
        assert found[key].details["subject"] == "small"
    assert found["perplexity_ratio"].spread > 0


def test_the_same_folder_twice_has_two_names_and_ratio_one(pair):
    found = measure_many(pair[0], [pair[0]], texts={"plain": tokens(40)}, protocols=(Blocks(window=10),), speed=False)
    assert [s.name for s in found.subjects] == ["base", "base (2)"]
    ratios = {r.name: r for r in found.ratios}
    assert ratios["perplexity_ratio"].value == 1
    assert ratios["perplexity_ratio"].spread == 0
    assert ratios["parameters_ratio"].value == 1


def test_json_has_every_key_and_reads_back(compared):
    for subject in compared.subjects:
        found = json.loads(json.dumps(to_json(subject), allow_nan=False))
        assert set(KEYS) <= set(found)
        for key in KEYS:
            assert (found[key] is None) == (key in found["missing"])
            assert found[key] is None or isinstance(found[key], int | float)
        assert {f["name"] for f in found["figures"]} == {f.name for f in subject.figures}


def test_what_was_not_asked_for_is_missing_with_a_reason(pair):
    found = to_json(measure(pair[0], speed=False))
    assert found["perplexity"] is None
    assert found["missing"]["perplexity"] == "no text was given"
    assert found["missing"]["decode_seconds_per_token"] == "speed was not asked for"
    assert found["parameters"] > 0


def test_speed_that_fails_leaves_the_other_figures(pair):
    found = measure(pair[0], speed=Speed(tokens=5000, context=8, threads=1, timeout=60))
    assert found.figure("parameters").value
    assert found.figure("prefill_seconds").value is None
    assert "96 positions" in found.figure("prefill_seconds").note


def test_a_short_text_is_refused(pair):
    with pytest.raises(DataError, match="the text has 5 tokens"):
        measure(pair[0], texts={"short": tokens(5)}, protocols=(Blocks(window=10),), speed=False)


def test_a_model_that_gives_nan_has_no_perplexity_and_the_original_keeps_its_own(tmp_path, pair):
    module = llama(neurons=20)
    with torch.no_grad():
        module.model.norm.weight[0] = torch.nan
    module.save_pretrained(tmp_path / "nan")
    found = measure_many(
        pair[0], [tmp_path / "nan"], texts={"t": tokens(40)}, protocols=(Blocks(window=10),), speed=False
    )
    base, broken = found.subjects
    assert base.figure("perplexity").value > 0
    assert broken.figure("perplexity").value is None
    assert "NaN logits in block 0" in broken.figure("perplexity").note
    assert broken.figure("divergence").value is None


def test_an_image_model_is_counted_and_timed_per_image(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=36, image_size=32, patch_size=8
    )
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    found = to_json(measure(tmp_path / "vit", speed=TINY, texts={"t": tokens(40)}))
    assert found["macs_per_image"] > 0
    assert found["macs_per_token"] is None
    assert found["prefill_seconds"] > 0
    assert found["decode_seconds_per_token"] is None
    assert found["missing"]["perplexity"] == "the model does not generate text"


def test_plain_data_has_no_numbers_that_json_lacks():
    assert plain({"a": (float("nan"), 2048.0, 0.5, True), 3: None}) == {"a": [None, 2048, 0.5, True], "3": None}
