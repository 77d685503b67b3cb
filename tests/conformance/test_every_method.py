"""What every file in methods/ must do; nothing here names a method but `random`, the one to beat."""

import hashlib
import json
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.conformance.conftest import Subject, load, perplexity
from torch import Tensor

from penjing import surgery
from penjing.calibrate.moments import KNOWN
from penjing.core import Budget, Card, Stats
from penjing.core.method import Promise
from penjing.layouts import costs
from penjing.pipeline import catalog

METHODS = pytest.mark.parametrize("name", catalog.names())
APPROXIMATES = 1.05
"""How much the perplexity of the tiny trained model may grow at keep 0.75 when a method only approximates."""


def same_edits(first, second) -> bool:
    return len(first.edits) == len(second.edits) and all(a == b for a, b in zip(first, second, strict=True))


def stored(folder) -> dict[str, Tensor]:
    return {n: t for path in sorted(folder.glob("*.safetensors")) for n, t in load_file(path).items()}


def streamed(subject: Subject, plan, out):
    with subject.open() as checkpoint:
        return surgery.stream(checkpoint, subject.layout, plan, out)


def logits(module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return module(rows).logits


@METHODS
def test_the_card_is_complete(name):
    card = catalog.load(name).CARD
    assert isinstance(card, Card)
    assert all([card.title, card.paper, card.removes, card.opens])
    assert card.promise in typing.get_args(Promise)
    assert card.needs <= set(KNOWN)


@METHODS
def test_builds_with_no_arguments_and_survives_toml(name):
    method = catalog.build(name)
    given = {s.name: s.default for s in catalog.settings(name) if s.default is not None}
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in given.items())
    assert catalog.build(name, tomllib.loads(text)) == method


@METHODS
def test_the_same_seed_gives_the_same_plan(name, trained):
    first, again = (trained.plan(name, Budget(keep=0.5), seed=3) for _ in range(2))
    assert same_edits(first, again)
    assert first.made == again.made


@METHODS
def test_the_plan_says_where_it_came_from(name, trained):
    made = trained.plan(name, Budget(keep=0.5)).made
    assert made["method"] == name
    assert set(made["settings"]) == {s.name for s in catalog.settings(name)}
    assert made["budget"] == "keep 0.5"


@METHODS
def test_the_model_is_untouched(name, trained):
    def digest():
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in trained.folder.iterdir() if p.is_file()}

    @dataclass(frozen=True)
    class InMemory:
        values: Mapping[str, Tensor]
        config: Mapping[str, Any] = field(default_factory=dict)

        shapes = property(lambda self: {n: tuple(t.shape) for n, t in self.values.items()})
        dtypes = property(lambda self: {n: t.dtype for n, t in self.values.items()})

        def __getitem__(self, tensor: str) -> Tensor:
            return self.values[tensor]

    before, values = digest(), stored(trained.folder)
    trained.plan(name, Budget(keep=0.5))
    catalog.build(name).plan(InMemory(values), trained.layout, trained.stats, Budget(keep=0.5))
    assert digest() == before
    assert all(torch.equal(values[n], t) for n, t in stored(trained.folder).items())


@METHODS
@pytest.mark.parametrize("keep", [0.9, 0.51, 0.2])
def test_keep_is_met_to_within_one_unit(name, trained, keep):
    for axis, units in trained.plan(name, Budget(keep=keep), multiple=1).keeps().items():
        assert abs(len(units) - keep * trained.layout.axes[axis].size) <= 1
        assert list(units) == sorted(set(units))


@METHODS
@pytest.mark.parametrize("unit", ["parameters", "bytes", "macs"])
def test_a_limit_is_met_and_one_unit_more_would_break_it(name, trained, unit):
    layout = trained.layout
    with trained.open() as checkpoint:
        dtypes = dict(checkpoint.dtypes)

    def cost(sizes=None):
        if unit == "bytes":
            return costs.weight_bytes(layout, dtypes, sizes)
        return (costs.parameters if unit == "parameters" else costs.macs_per_token)(layout, sizes)

    limit = int(cost() * 0.8)
    keeps = trained.plan(name, Budget(**{unit: limit}), multiple=1).keeps()
    found = {axis: len(units) for axis, units in keeps.items()}
    assert cost(found) <= limit < cost({axis: n + 1 for axis, n in found.items()})


@METHODS
def test_keeping_everything_keeps_the_function(name, trained, held_out):
    kept = surgery.apply(trained.module(), trained.layout, trained.plan(name, Budget(keep=1.0)))
    assert torch.equal(logits(kept, held_out[:4]), logits(trained.module(), held_out[:4]))


@METHODS
def test_keeps_its_promise(name, trained, held_out, dense):
    plan = trained.plan(name, Budget(keep=0.75))
    module, promise = trained.module(torch.float64), catalog.load(name).CARD.promise
    smaller = surgery.apply(module, trained.layout, plan)
    if promise == "approximates":
        assert perplexity(smaller, held_out) <= APPROXIMATES * dense
        return
    reference = module if promise == "keeps the function" else surgery.masked(module, trained.layout, plan)
    wanted = logits(reference, held_out[:8])
    # float64 throughout, but for the norms, whose stock code works in float32.
    torch.testing.assert_close(logits(smaller, held_out[:8]), wanted, rtol=1e-5, atol=1e-5)


@METHODS
def test_the_result_opens_at_home_and_is_the_same_as_in_memory(name, shape, tmp_path):
    from transformers import AutoModelForCausalLM

    plan = shape.plan(name, Budget(keep=0.6))
    out = streamed(shape, plan, tmp_path / "out")
    opened, told = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True, dtype="auto")
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    before, after = stored(shape.folder), stored(out)
    assert list(after) == list(before)
    assert {n: t.dtype for n, t in after.items()} == {n: t.dtype for n, t in before.items()}
    in_memory = surgery.apply(shape.module(), shape.layout, plan).state_dict()
    assert all(torch.equal(t, in_memory[n]) for n, t in after.items())
    assert opened.config.intermediate_size == len(next(iter(plan.keeps().values())))
    rows = torch.arange(24).view(2, 12)
    assert logits(opened.eval(), rows).isfinite().all()


@METHODS
def test_asks_only_for_declared_statistics(name, trained):
    asked = set()

    class Watched(Stats):
        def __getitem__(self, key):
            asked.add(key)
            return super().__getitem__(key)

    needs = catalog.load(name).CARD.needs
    wanted = catalog.build(name).wants(trained.layout) if needs else {}
    declared = {(tensor, statistic) for tensor, statistics in wanted.items() for statistic in statistics}
    stats = Watched({key: trained.stats[key] for key in declared}, trained.stats.samples)
    with trained.open() as checkpoint:
        catalog.build(name).plan(checkpoint, trained.layout, stats, Budget(keep=0.5))
    assert asked <= declared
    assert {statistic for _, statistic in declared} == set(needs)


@METHODS
def test_protected_axes_are_left_whole(name, trained):
    axis = trained.layout.match("neurons.*")[0].name
    assert axis not in trained.plan(name, Budget(keep=0.5), protect=(axis,)).keeps()


@METHODS
def test_heads_can_be_cut(name, trained, held_out):
    plan = trained.plan(name, Budget(keep=0.5), axes="heads")
    smaller = surgery.apply(trained.module(), trained.layout, plan)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in trained.module().parameters())
    assert logits(smaller, held_out[:2]).isfinite().all()


@pytest.fixture(scope="module")
def chance(trained, held_out) -> float:
    """The mean perplexity of random choice over five seeds at keep 0.75."""
    plans = [trained.plan("random", Budget(keep=0.75), seed=seed) for seed in range(5)]
    found = [perplexity(surgery.apply(trained.module(), trained.layout, p), held_out) for p in plans]
    return sum(found) / len(found)


@pytest.mark.parametrize("name", [n for n in catalog.names() if n != "random"])
def test_beats_random_choice_at_equal_budget(name, trained, held_out, chance):
    plan = trained.plan(name, Budget(keep=0.75))
    assert perplexity(surgery.apply(trained.module(), trained.layout, plan), held_out) < chance


def test_the_tiny_model_has_learned_something(dense, trained):
    assert dense < 12  # 256 is chance; a model of single bytes reaches about 20
    assert load(trained.folder).config.tie_word_embeddings
