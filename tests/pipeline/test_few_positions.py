"""Defaults are fitted to a model that has fewer positions than they ask for, and what is told says so."""

import pytest
from tests.house.tiny import tiny_model

import penjing
from penjing.evaluate.scoring import fitting


@pytest.fixture
def short(tmp_path, monkeypatch):
    from transformers import AutoConfig, LlamaForCausalLM

    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    folder = tiny_model(tmp_path / "model")
    config = AutoConfig.from_pretrained(folder)
    config.max_position_embeddings = 48
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_rows_and_windows_are_as_long_as_the_model_has_positions(short):
    plan = penjing.plan(short, keep=0.5, rows=4)
    assert plan.made["calibration"]["length"] == 48
    subject = penjing.measure(short, speed=False).subjects[0]
    assert subject.figure("perplexity").value > 1
    assert "48" in subject.figure("perplexity").protocol


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, 512), ({"n_positions": 64}, 64), ({"max_position_embeddings": 4096}, 512), ({"n_positions": None}, 512),
        ({"text_config": {"max_position_embeddings": 77}}, 77),
    ],
)  # fmt: skip
def test_a_length_is_bounded_by_any_entry_that_bounds_positions(config, length):
    assert fitting(512, config) == length
    assert fitting(512, {"n_positions": 9}, config) == 9
