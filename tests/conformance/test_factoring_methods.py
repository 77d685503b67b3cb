"""What every method that writes matrices as products must do; nothing here names a method."""

import math

import pytest
import torch
from tests.conformance.conftest import SHAPES, factoring, logits, stored, streamed
from tests.trained import perplexity
from torch import nn

import penjing
from penjing import surgery
from penjing.core import Budget, Plan, Replace
from penjing.layouts import costs
from penjing.maths.low_rank import root_of
from penjing.methods import METHODS
from penjing.nn import kind_of, settings_of

EVERY = pytest.mark.parametrize("name", factoring())
MOMENT = "input_second_moment"


def product(edit: Replace) -> torch.Tensor:
    """[out in]: what the module multiplies by, as its kind itself writes it dense."""
    sizes = {"low_rank": lambda v: (v["up.weight"].shape[0], v["down.weight"].shape[1])}
    kind, settings = kind_of(edit.spec), settings_of(edit.spec)
    out, into = sizes.get(edit.spec.kind, lambda _: shape_of(settings))(edit.values)
    return kind.dense(nn.Linear(into, out, bias=False, device="meta"), settings, edit.values)["weight"].double()


def shape_of(settings) -> tuple[int, int]:
    """The sizes that digits number; of these models none is padded."""
    return math.prod(settings.out_digits), math.prod(settings.in_digits)


def numbers(edit: Replace) -> int:
    """How many numbers stand for the matrix."""
    return sum(v.numel() for n, v in edit.values.items() if not n.endswith("bias"))


def thin(edit: Replace) -> bool:
    """Whether it is a product of two."""
    return edit.spec.kind == "low_rank"


def test_the_family_is_found():
    assert factoring()


@EVERY
@pytest.mark.parametrize("keep", [0.9, 0.51, 0.2])
def test_the_share_of_each_matrix_is_met_to_within_one_rank(name, trained, keep):
    plan = trained.plan(name, Budget(keep=keep))
    assert plan.edits
    with trained.open() as checkpoint:
        for edit in plan:
            out, into = checkpoint.shapes[f"{edit.module}.weight"]
            assert 0.5 * keep * out * into < numbers(edit) <= keep * out * into
            if not thin(edit):
                continue
            rank = edit.values["down.weight"].shape[0]
            assert rank * (out + into) <= keep * out * into < (rank + 1) * (out + into)


@EVERY
@pytest.mark.parametrize("unit", ["parameters", "bytes", "macs"])
def test_a_limit_is_met_and_what_was_told_is_what_is_written(name, trained, unit):
    with trained.open() as checkpoint:
        dtypes = dict(checkpoint.dtypes)
        layout = trained.layout
        before = costs.weight_bytes(layout, dtypes) if unit == "bytes" else costs.parameters(layout)
        limit = int((costs.macs_per_token(layout) if unit == "macs" else before) * 0.8)
        plan = trained.plan(name, Budget(**{unit: limit}))
        told = surgery.verify(checkpoint, layout, plan).after
    found = told.macs_per_token if unit == "macs" else getattr(told, unit)
    # of a product a rank more costs little; of a chain a bond more may cost a tenth of all multiply-adds
    least = 0.93 if unit != "macs" or all(thin(edit) for edit in plan) else 0.75
    assert least * limit < found <= limit


@EVERY
@pytest.mark.parametrize("whiten", [False, True])
def test_the_error_that_is_told_is_what_the_products_miss(name, trained, whiten):
    """The bound of its promise: of the matrix itself, or of what it gives for the inputs that were measured."""
    plan = trained.plan(name, Budget(keep=0.5), whiten=whiten)
    with trained.open() as checkpoint:
        for edit in plan:
            tensor = f"{edit.module}.weight"
            weight = checkpoint[tensor].double()
            root = torch.eye(weight.shape[1], dtype=torch.float64)
            if plan.made["settings"].get("whiten"):
                root = root_of(trained.stats[tensor, MOMENT], plan.made["settings"]["damping"])[0]
            told = plan.made["dropped"][tensor]["error"]
            error = float(torch.linalg.matrix_norm((weight - product(edit)) @ root))
            assert error == pytest.approx(told, rel=1e-3)
            if thin(edit):
                values = torch.linalg.svdvals(weight @ root)[edit.values["down.weight"].shape[0] :]
                assert told == pytest.approx(math.sqrt(float(values.square().sum())), rel=1e-6)


@EVERY
def test_protected_tensors_are_left_alone(name, trained):
    tensor = next(t for t in trained.layout.patterns if "mlp" in t)
    plan = trained.plan(name, Budget(keep=0.5), protect=(tensor,))
    assert plan.edits
    assert tensor.removesuffix(".weight") not in {e.module for e in plan}


@EVERY
@pytest.mark.parametrize(
    "kind", [k if k == "odd sizes" else pytest.param(k, marks=pytest.mark.nightly) for k in SHAPES]
)
def test_the_result_opens_with_penjing_and_is_the_same_as_in_memory(name, kind, shapes, tmp_path):
    shape = shapes(kind)
    plan = shape.plan(name, Budget(keep=0.6))
    out = streamed(shape, plan, tmp_path / "out")
    opened, in_memory = penjing.load(out), surgery.apply(shape.module(), shape.layout, plan)
    after, before = stored(out), stored(shape.folder)
    assert all(torch.equal(t, in_memory.state_dict()[n]) for n, t in after.items())
    assert {str(t.dtype) for t in after.values()} == {str(t.dtype) for t in before.values()}
    rows = torch.arange(24).view(2, 12)
    assert torch.equal(logits(opened, rows), logits(in_memory.eval(), rows))


@EVERY
def test_beats_directions_at_random_at_equal_sizes(name, trained, held_out):
    def of(plan: Plan) -> float:
        return perplexity(surgery.apply(trained.module(), trained.layout, plan), held_out)

    def drawn(edit: Replace) -> Replace:
        if not thin(edit):
            generator = torch.Generator().manual_seed(0)
            mixed = {n: v.flatten()[torch.randperm(v.numel(), generator=generator)].reshape(v.shape)
                     for n, v in edit.values.items()}  # fmt: skip
            return Replace(edit.module, edit.spec, mixed)
        rank, into = edit.values["down.weight"].shape
        generator = torch.Generator().manual_seed(rank + into)
        down = torch.linalg.qr(torch.randn(into, rank, generator=generator))[0].T.contiguous()
        with trained.open() as checkpoint:
            up = checkpoint[f"{edit.module}.weight"].float() @ down.T
        return Replace(edit.module, edit.spec, {**edit.values, "down.weight": down, "up.weight": up})

    plan = trained.plan(name, Budget(keep=0.5))
    assert METHODS.load(name).CARD.promise == "approximates"
    assert of(plan) < of(Plan(tuple(drawn(e) for e in plan)))
