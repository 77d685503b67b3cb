"""What every method that zeroes single weights must do; nothing here names a method."""

import math

import pytest
import torch
from tests.conformance.conftest import SPARSE, methods, stored, streamed, trains
from tests.trained import perplexity

from penjing import surgery
from penjing.core import Budget, Mask, Plan, Update
from penjing.errors import BudgetError
from penjing.io import open_checkpoint
from penjing.methods import METHODS
from penjing.profiling.zeros import count_zeros

EVERY = pytest.mark.parametrize("name", methods(sparse=True))
PATTERNS = [n for n in methods(sparse=True) if "pattern" in {s.name for s in METHODS.settings(n)}]


def masks(plan: Plan) -> dict[str, torch.Tensor]:
    return {e.tensor: e.kept for e in plan if isinstance(e, Mask)}


def rows_of(layout, tensor, kept) -> int:
    """How many outputs the weights feed."""
    return kept.numel() // math.prod(kept.shape[d] for d in layout.reads[tensor])


def test_the_family_is_found():
    assert methods(sparse=True)
    assert {family for family, _ in METHODS.places().values()} > {SPARSE}


@EVERY
@pytest.mark.parametrize("keep", [0.9, 0.51, 0.2])
def test_the_density_is_met_to_within_one_weight_of_each_row(name, trained, keep):
    plan = trained.plan(name, Budget(keep=keep))
    if any(s.name == "scope" and s.default == "global" for s in METHODS.settings(name)):  # one ranking over all
        assert abs(plan.made["zeros"] - (1 - keep) * plan.made["weights"]) <= 1
    else:
        for tensor, kept in masks(plan).items():
            assert abs(int(kept.sum()) - keep * kept.numel()) <= rows_of(trained.layout, tensor, kept)
    assert plan.made["zeros"] == sum(int((~kept).sum()) for kept in masks(plan).values())
    assert plan.made["weights"] == sum(kept.numel() for kept in masks(plan).values())


@EVERY
def test_it_only_zeroes_and_updates_matrices_of_blocks(name, trained):
    plan = trained.plan(name, Budget(keep=0.5))
    assert all(isinstance(e, Mask | Update) for e in plan)
    assert {len(kept.shape) for kept in masks(plan).values()} == {2}
    assert all(f"{trained.layout.blocks[0].path}." in tensor for tensor in masks(plan))
    assert {e.tensor for e in plan} == set(masks(plan)) or trains(name)


@EVERY
def test_zeros_in_the_files_are_those_that_were_promised_and_no_other_tensor_moves(name, shapes, tmp_path):
    shape = shapes("odd sizes")
    plan = shape.plan(name, Budget(keep=0.6))
    out = streamed(shape, plan, tmp_path / "out")
    with shape.open() as before, open_checkpoint(out) as after:
        grown = count_zeros(after, shape.layout).zeros - count_zeros(before, shape.layout).zeros
    assert grown == plan.made["zeros"]
    old, new = stored(shape.folder), stored(out)
    assert trains(name) or all(torch.equal(old[n], new[n]) for n in old if n not in masks(plan))
    assert all((new[n][~kept] == 0).all() for n, kept in masks(plan).items())


@EVERY
def test_a_limit_on_size_is_refused(name, trained):
    with pytest.raises(BudgetError, match="leaves every shape as it is"):
        trained.plan(name, Budget(parameters=1000))


@EVERY
def test_protected_tensors_are_left_alone(name, trained):
    tensor = next(t for t in trained.layout.patterns if "mlp" in t)
    plan = trained.plan(name, Budget(keep=0.5), protect=(tensor,))
    assert tensor not in masks(plan)
    assert trains(name) or tensor not in {e.tensor for e in plan}


@pytest.mark.parametrize("name", PATTERNS)
def test_two_of_four_neighbours_stay(name, trained):
    found = masks(trained.plan(name, Budget(keep=0.5), pattern="2:4"))
    assert all((kept.reshape(-1, 4).sum(1) == 2).all() for kept in found.values())


def drawn(plan: Plan, seed: int) -> Plan:
    """Masks of the same counts in each tensor, drawn at random."""
    generator, edits = torch.Generator().manual_seed(seed), []
    for tensor, kept in masks(plan).items():
        flat = kept.flatten()[torch.randperm(kept.numel(), generator=generator)]
        edits.append(Mask(tensor, flat.view(kept.shape)))
    return Plan(tuple(edits))


@EVERY
def test_beats_zeros_at_random_at_equal_density(name, trained, held_out):
    def of(plan: Plan) -> float:
        return perplexity(surgery.apply(trained.module(), trained.layout, plan), held_out)

    plan = trained.plan(name, Budget(keep=0.5))
    assert of(plan) < min(of(drawn(plan, seed)) for seed in range(3))
