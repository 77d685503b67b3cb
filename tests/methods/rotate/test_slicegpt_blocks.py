"""A rotation for each block: what stays in each, what the matrices between them take, and what is refused."""

import pytest
import torch
from tests import trained as tiny
from tests.conformance.conftest import held_out, logits, streamed, subject, trained  # noqa: F401

import penjing
from penjing import surgery
from penjing.core import Budget
from penjing.errors import BudgetError, PlanError
from penjing.methods.rotate.slicegpt_blocks import NAMES
from penjing.select.streams import moment_of, read_of


def applied(trained, name, keep, **settings):  # noqa: F811
    plan = trained.plan(name, Budget(keep=keep), **settings)
    return plan, surgery.apply(trained.module(), trained.layout, plan)


def naive(basis, moment):
    """The share of the energy in a basis, column by column: the sum of b' M b over that of all units."""
    stays = 0.0
    for column in basis.double().T:
        stays += float(sum(a * sum(m * b for m, b in zip(row, column.tolist(), strict=True))
                           for a, row in zip(column.tolist(), moment.tolist(), strict=True)))  # fmt: skip
    return stays / float(sum(moment[i, i] for i in range(len(moment))))


def test_everything_kept_is_the_same_function(trained):  # noqa: F811
    _, module = applied(trained, "slicegpt_blocks", 1.0)
    before = logits(trained.module(torch.float32), trained.rows[:4])
    torch.testing.assert_close(logits(module, trained.rows[:4]), before, rtol=0, atol=1e-4)


def test_each_block_keeps_the_most_energy_of_its_own_norms(trained):  # noqa: F811
    plan = trained.plan("slicegpt_blocks", Budget(keep=0.75), damping=0.0, ahead=0)
    axis = trained.layout.axes["residual"]
    with trained.open() as checkpoint:
        moments = [moment_of(checkpoint, trained.stats, n, r, NAMES) for n, r in read_of(trained.layout, axis)]
    each = [moments[0] + moments[1], moments[2] + moments[3], moments[4]]  # two norms a block, and the last
    for found, energy, m in zip(plan.edits[0].bases, plan.made["kept"]["residual"]["energy"], each, strict=True):
        values = torch.linalg.eigvalsh(m.double()).flip(0)
        assert energy == pytest.approx(naive(found, m.double()), rel=1e-4)
        assert energy == pytest.approx(float(values[: found.shape[1]].sum() / values.sum()), rel=1e-4)
    together = trained.plan("slicegpt", Budget(keep=0.75), damping=0.0).made["kept"]["residual"]["energy"]
    assert sum(plan.made["kept"]["residual"]["energy"]) / 3 > together


def test_the_first_block_s_axes_are_those_of_all_that_follow(trained):  # noqa: F811
    own = trained.plan("slicegpt_blocks", Budget(keep=0.75), spread=False).edits[0].bases
    one = trained.plan("slicegpt", Budget(keep=0.75), spread=False).edits[0].basis
    torch.testing.assert_close(own[0] @ own[0].T, one @ one.T, rtol=1e-3, atol=1e-4)
    near = trained.plan("slicegpt_blocks", Budget(keep=0.75), spread=False, ahead=0).edits[0].bases
    assert torch.equal(own[-1], near[-1])
    assert not torch.equal(own[0], near[0])
    with pytest.raises(PlanError, match="found ahead -1"):
        trained.plan("slicegpt_blocks", Budget(keep=0.75), ahead=-1)


def test_principal_axes_beat_axes_at_random(trained, held_out):  # noqa: F811
    def loses(name, **settings):
        return tiny.perplexity(applied(trained, name, 0.6, **settings)[1], held_out)

    for name in ("slicegpt_blocks", "slicegpt"):
        assert loses(name) < loses(name, basis="random")


def test_the_matrices_are_told_and_counted_and_the_result_opens(trained, tmp_path):  # noqa: F811
    plan = trained.plan("slicegpt_blocks", Budget(keep=0.6))
    width = plan.made["kept"]["residual"]["units"]
    assert plan.made["bridges"] == {"matrices": 2, "parameters": 2 * width**2}
    with trained.open() as checkpoint:
        told = surgery.verify(checkpoint, trained.layout, plan).after
        one = surgery.verify(checkpoint, trained.layout, trained.plan("slicegpt", Budget(keep=0.6))).after
    assert told.parameters == one.parameters + 2 * width**2
    assert told.macs_per_token == one.macs_per_token + 2 * width**2
    opened = penjing.load(streamed(trained, plan, tmp_path / "out"))
    assert sum(p.numel() for p in opened.parameters()) == told.parameters
    in_memory = surgery.apply(trained.module(), trained.layout, plan)
    assert torch.equal(logits(opened, trained.rows[:2]), logits(in_memory, trained.rows[:2]))


def test_a_limit_of_parameters_holds_with_the_matrices_in_it(trained):  # noqa: F811
    with trained.open() as checkpoint:
        whole = surgery.verify(checkpoint, trained.layout, penjing.Plan()).after.parameters
        plan = trained.plan("slicegpt_blocks", Budget(parameters=int(0.8 * whole)))
        assert 0.6 * whole < surgery.verify(checkpoint, trained.layout, plan).after.parameters <= 0.8 * whole


def test_a_small_tied_model_that_would_grow_is_refused_with_the_arithmetic(tmp_path):
    config = {**tiny.CONFIG, "tie_word_embeddings": True, "vocab_size": 200, "intermediate_size": 16}
    tiny.build(config).save_pretrained(tmp_path / "m")
    rows = torch.arange(64).view(2, 32)
    found = r"the result would have [\d,]+ parameters, and the model has [\d,]+.*are those of 2 matrices between blocks"
    with pytest.raises(BudgetError, match=found):
        subject(tmp_path / "m", rows).plan("slicegpt_blocks", Budget(keep=0.9))
