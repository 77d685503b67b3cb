"""The key-value cache is counted on few blocks, and the count is that of all of them."""

import json
from typing import Any

import pytest
import torch
from tests.layouts.zoo import ZOO

from penjing.errors import LayoutError
from penjing.layouts import build, cache, kv_cache
from penjing.layouts.graph import growth as counting
from penjing.layouts.graph.thin import Group

DEPTH = 6
LENGTH = 11


def deep(name: str) -> dict[str, Any]:
    """The config of a family with so many blocks that some are left out."""
    config = dict(ZOO[name].config)
    entry = next(k for k in ("num_hidden_layers", "n_layer", "num_layers") if k in config)
    config[entry] = DEPTH
    if "layer_types" in config:
        config["layer_types"] = [config["layer_types"][k % 2] for k in range(DEPTH)]
    return config


def naive(module: Any) -> int:
    """Run every block, and count what grew with the tokens."""
    with torch.no_grad():
        out = module(input_ids=torch.zeros((1, LENGTH), dtype=torch.long, device="meta"), use_cache=True)
    held = [t for layer in getattr(out, "past_key_values", ()).layers for t in vars(layer).values()]
    return sum(t.numel() // LENGTH for t in held if isinstance(t, torch.Tensor) and LENGTH in t.shape)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "mixtral", "gpt_oss", "deepseek_v3"])
def test_few_blocks_tell_what_all_hold(name, monkeypatch):
    config = deep(name)
    module = build(config)
    runs = []
    real = counting._by_layer
    monkeypatch.setattr(counting, "_by_layer", lambda *a: runs.append(a) or real(*a))
    assert counting.growth(module, config) == naive(module) > 0
    assert len(runs) == 1


def test_all_blocks_are_run_where_few_do_not_tell(monkeypatch):
    config = deep("llama")
    module = build(config)

    def refuse(*_):
        raise counting._UnlikeError

    monkeypatch.setattr(counting, "_of_all", refuse)
    assert counting.growth(module, config) == naive(module)


def test_blocks_that_differ_do_not_stand_for_others():
    module = torch.nn.Module()
    module.layers = torch.nn.ModuleList(torch.nn.Identity() for _ in range(6))
    group = Group("layers", (0, 1, 5), (2, 3, 4))
    assert counting._of_all([group], {0: 4, 1: 4, 5: 4}, module) == 24
    assert counting._of_all([group], {}, module) == 0
    for counts in ({0: 4, 1: 4, 5: 8}, {0: 4, 1: 4, 5: 4, 9: 4}):
        with pytest.raises(counting._UnlikeError):
            counting._of_all([group], counts, module)


def test_a_model_that_writes_no_text_keeps_no_cache():
    config = ZOO["vit"].config
    assert counting.growth(build(config), config) == 0


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))


@pytest.mark.usefixtures("own_cache")
def test_what_was_counted_once_is_read(monkeypatch):
    config = ZOO["llama"].config
    first = kv_cache.values_per_token(config)
    monkeypatch.setattr(counting, "growth", None)
    assert kv_cache.values_per_token(config) == first == 2 * 2 * 2 * 8


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 100_000, "3", '{"format": "penjing key-value cache 2"}',
     '{"format": "penjing key-value cache 2", "values_per_token": -1}',
     '{"format": "penjing key-value cache 2", "values_per_token": true}',
     '{"format": "penjing key-value cache 2", "values_per_token": 1e3}',
     '{"format": "penjing key-value cache 1", "values_per_token": 7}'],
    ids=range(9),
)  # fmt: skip
def test_a_count_that_is_none_is_made_again(text):
    config = ZOO["llama"].config
    name = kv_cache._name(config)
    cache.write_text(name, text)
    assert kv_cache.values_per_token(config) == 64
    assert cache.read_text(name) == '{"format": "penjing key-value cache 2", "values_per_token": 64}'


@pytest.mark.usefixtures("own_cache")
def test_a_model_that_cannot_be_run_leaves_the_layout_whole(monkeypatch):
    def refuse(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(counting, "growth", refuse)
    config = ZOO["llama"].config
    kv_cache.remember(config, None)
    assert cache.read_text(kv_cache._name(config)) is None
    with pytest.raises(LayoutError, match="could not be counted: no"):
        kv_cache.values_per_token(config)


def test_a_model_that_cannot_be_run_without_values_costs_the_figure_alone(monkeypatch, tmp_path):
    import penjing

    def fails(*_):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))
    monkeypatch.setattr(counting, "growth", fails)
    config = dict(ZOO["llama"].config)
    with pytest.raises(LayoutError, match=r"cache of 'llama' could not be counted: Tensor.item"):
        kv_cache.values_per_token(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = penjing.look(tmp_path / "config.json")
    assert found.kv_cache_bytes_per_token is None
    assert any("could not be counted" in n for n in found.layout.notes)
