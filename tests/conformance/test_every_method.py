"""What every file in methods/ must do, whatever it takes away; nothing here names a method."""

import hashlib
import json
import tomllib
import typing
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from tests.conformance.conftest import SHAPES, built, dropping, logits, methods, stored, streamed, trains
from tests.trained import load, perplexity
from torch import Tensor

from penjing import surgery
from penjing.calibrate import known
from penjing.core import Bridge, Budget, Card, Mask, Rotate, Stats
from penjing.core.method import Promise
from penjing.errors import ExportError
from penjing.exporters.formats import FORMATS
from penjing.methods import METHODS

EVERY = pytest.mark.parametrize("name", METHODS.names())
PAIR = ("magnitude", "sparsegpt")
"""One that looks at weights and cuts, one that looks at data, masks and changes what stays."""
APPROXIMATES = 1.05
"""How much the perplexity of the tiny trained model may grow at keep 0.75 when a method sees data and approximates."""


def same_edits(first, second) -> bool:
    return len(first.edits) == len(second.edits) and all(a == b for a, b in zip(first, second, strict=True))


def timeless(told: Any) -> Any:
    """What a plan tells, without how long it took."""
    if isinstance(told, Mapping):
        return {k: timeless(v) for k, v in told.items() if k != "seconds"}
    return [timeless(v) for v in told] if isinstance(told, list) else told


@EVERY
def test_the_card_is_complete(name):
    card = METHODS.load(name).CARD
    assert isinstance(card, Card)
    assert all([card.title, card.paper, card.removes, card.opens])
    assert card.promise in typing.get_args(Promise)
    assert card.needs <= {*known(), "live", "blocks", "data"}


@EVERY
def test_builds_with_no_arguments_and_survives_toml(name):
    method = METHODS.build(name)
    given = {s.name: s.default for s in METHODS.settings(name) if s.default is not None}
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in given.items())
    assert METHODS.build(name, tomllib.loads(text)) == method


@EVERY
def test_the_same_seed_gives_the_same_plan(name, trained):
    first, again = (trained.plan(name, Budget(keep=0.5), seed=3, anew=True) for _ in range(2))
    assert same_edits(first, again)
    assert timeless(first.made) == timeless(again.made)


@EVERY
def test_the_plan_says_where_it_came_from(name, trained):
    made = trained.plan(name, Budget(keep=0.5)).made
    assert made["method"] == name
    assert set(made["settings"]) == {s.name for s in METHODS.settings(name)}
    assert made["budget"] == "keep 0.5"


@EVERY
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
    on_disk = trained.plan(name, Budget(keep=0.5), anew=True)
    assert same_edits(trained.asked(built(name, seed=0), InMemory(values), Budget(keep=0.5)), on_disk)
    assert digest() == before
    assert all(torch.equal(values[n], t) for n, t in stored(trained.folder).items())


@EVERY
def test_keeping_everything_keeps_the_function(name, trained, held_out):
    plan = trained.plan(name, Budget(keep=1.0))
    if trains(name):  # the function is trained further, and nothing is taken
        assert not plan.keeps()
        assert all(e.kept.all() for e in plan if isinstance(e, Mask))
        return
    if any(isinstance(e, Bridge | Rotate) for e in plan):  # the same function in another basis, to rounding
        module = trained.module(torch.float64)
        turned = logits(surgery.apply(module, trained.layout, plan), held_out[:4])
        torch.testing.assert_close(turned, logits(module, held_out[:4]), rtol=1e-5, atol=1e-5)
        return
    kept = surgery.apply(trained.module(), trained.layout, plan)
    assert torch.equal(logits(kept, held_out[:4]), logits(trained.module(), held_out[:4]))


@pytest.mark.parametrize("name", [n for n in METHODS.names() if n not in dropping()])
def test_keeps_its_promise(name, trained, held_out, dense):
    plan = trained.plan(name, Budget(keep=0.75))
    module, promise = trained.module(torch.float64), METHODS.load(name).CARD.promise
    smaller = surgery.apply(module, trained.layout, plan)
    if promise == "approximates":
        more = (APPROXIMATES - 1) * (1 if METHODS.load(name).CARD.needs else 2)  # one that sees no data loses more
        assert perplexity(smaller, held_out) <= (1 + more) * dense
        return
    reference = module if promise == "keeps the function" else surgery.masked(module, trained.layout, plan)
    wanted = logits(reference, held_out[:8])
    # float64 throughout, but for the norms, whose stock code works in float32.
    torch.testing.assert_close(logits(smaller, held_out[:8]), wanted, rtol=1e-5, atol=1e-5)


def shaped():
    """Every method that cuts or zeros on odd sizes in half precision; every shape with two, the rest nightly."""
    for name in (*methods(sparse=False), *methods(sparse=True)):
        for kind in SHAPES:
            marks = () if kind == "odd sizes" or name in PAIR else pytest.mark.nightly
            yield pytest.param(name, kind, marks=marks)


@pytest.mark.parametrize(("name", "kind"), list(shaped()))
def test_the_result_opens_at_home_and_is_the_same_as_in_memory(name, kind, shapes, tmp_path):
    from transformers import AutoModelForCausalLM

    shape = shapes(kind)
    plan = shape.plan(name, Budget(keep=0.6))
    out = streamed(shape, plan, tmp_path / "out")
    opened, told = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True, dtype="auto")
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    before, after = stored(shape.folder), stored(out)
    assert list(after) == list(before)
    assert {n: t.dtype for n, t in after.items()} == {n: t.dtype for n, t in before.items()}
    in_memory = surgery.apply(shape.module(), shape.layout, plan).state_dict()
    assert all(torch.equal(t, in_memory[n]) for n, t in after.items())
    if keeps := plan.keeps():
        assert opened.config.intermediate_size == len(next(iter(keeps.values())))
    else:
        assert {n: t.shape for n, t in after.items()} == {n: t.shape for n, t in before.items()}
    rows = torch.arange(24).view(2, 12)
    assert logits(opened.eval(), rows).isfinite().all()


@EVERY
def test_reads_all_that_it_declared_and_no_more_and_its_card_says_so(name, trained):
    asked = set()

    class Watched(Stats):
        def __getitem__(self, key):
            asked.add(key)
            return super().__getitem__(key)

    method = built(name)
    with trained.open() as checkpoint:
        view = trained.view(method, checkpoint, Budget(keep=0.5))
        if not trains(name):
            method.plan(replace(view, stats=Watched(view.stats.values, view.stats.samples)))
    assert asked == set(view.stats)
    assert METHODS.build(name).wants(trained.layout).names == METHODS.load(name).CARD.needs


def test_the_tiny_model_has_learned_something(dense, trained):
    assert dense < 12  # 256 is chance; a model of single bytes reaches about 20
    assert load(trained.folder).config.tie_word_embeddings


@contextmanager
def suppress_widths():
    """Let a format refuse the tiny model's widths, which its groups do not divide, and nothing else."""
    try:
        yield
    except ExportError as error:
        assert "values in a row" in str(error)  # noqa: PT017 - what is no refusal is wanted too


@EVERY
def test_the_result_goes_where_the_card_says(name, trained):
    """The loader, and which formats hold the modules that were put in, follow from the card: held to a real plan."""
    card, plan = METHODS.load(name).CARD, trained.plan(name, Budget(keep=0.5))
    with trained.open() as checkpoint:
        told = surgery.verify(checkpoint, trained.layout, plan, allow_sensitive=True)
    kinds = {spec.kind for spec in told.modules.values()}
    assert kinds <= card.inserts
    assert bool(kinds) == bool(card.inserts)
    assert (told.opens_with == "stock") == (card.opens == "transformers")
    for format_name in FORMATS.names():
        exporter = FORMATS.load(format_name).EXPORTER
        variant = next(iter(exporter.variants), "")
        if exporter.modules is None or card.inserts <= exporter.modules:
            with suppress_widths():
                exporter.refuse(told.config, told.shapes, variant)
        else:
            with pytest.raises(ExportError, match="is a module of kind"):
                exporter.refuse(told.config, told.shapes, variant)
