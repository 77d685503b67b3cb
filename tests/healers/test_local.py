"""Blocks healed by themselves: the error, and that only what they say is trained, in order, and goes on when killed."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.healers.conftest import blocks_of, drawn, run_of, states
from tests.world import subject

from penjing.calibrate.batches import run as forward
from penjing.errors import RequestError, UnsupportedError
from penjing.healers import HEALERS
from penjing.train import Pair, Place, alone, heal


def naive(student, teacher, counts=None):
    """Squared distance over squared length, position by position, and their mean."""
    each = []
    flat = (x.flatten(0, -2).tolist() for x in (student, teacher))
    for i, (one, other) in enumerate(zip(*flat, strict=True)):
        if counts is None or counts.flatten()[i]:
            each.append(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / sum(b * b for b in other))
    return sum(each) / len(each)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_equals_the_loop(rows, length, width, masked, seed):
    ours, theirs = (drawn(rows, length, width, seed=seed + i) for i in (0, 1))
    counts = torch.arange(rows * length).view(rows, length) % 2 == 0 if masked else None
    found = HEALERS.build("local").loss(None, None, states([ours], counts), states([theirs]))
    assert float(found) == pytest.approx(naive(ours, theirs, counts), rel=1e-3)


def damaged(**how):
    run = run_of("decoder", **{"steps": 6, **how})
    with torch.no_grad():
        for parameter in run.module.parameters():
            parameter.mul_(0.8)
    return run


def pair():
    return Pair(blocks=blocks_of("decoder"), teacher=subject("decoder").module, teacher_blocks=blocks_of("decoder"))


def test_one_block_after_the_other_as_in_a_loop_written_out():
    """Each block by plain descent on its own error, behind the student's blocks as they are by then."""
    data, blocks, teacher = subject("decoder").data[:1], blocks_of("decoder"), copy.deepcopy(subject("decoder").module)
    run = damaged(average=0.0, clip=0.0, optimiser="sgd", momentum=0.0)
    module = copy.deepcopy(run.module).eval()
    heal(HEALERS.build("local"), run, data, pair=pair())
    for path in blocks:
        wanted = output_of(teacher, path, data[0]).detach()
        optimiser = torch.optim.SGD(module.get_submodule(path).parameters(), lr=1e-2)
        for step in range(6):
            optimiser.zero_grad()
            got = output_of(module, path, data[0])
            each = (got - wanted).square().sum(-1) / wanted.square().sum(-1)
            each[data[0]["attention_mask"] != 0].mean().backward()
            for group in optimiser.param_groups:
                group["lr"] = 1e-2 * min(1.0, (6 - step) / 1.5)
            optimiser.step()
    wanted = module.state_dict()
    for name, found in run.module.state_dict().items():
        torch.testing.assert_close(found, wanted[name], rtol=1e-3, atol=1e-4, msg=name)


def output_of(module, path, batch):
    kept = []
    hook = module.get_submodule(path).register_forward_hook(
        lambda part, given, out: kept.append(out if isinstance(out, torch.Tensor) else out[0])
    )
    forward(module, batch)
    hook.remove()
    return kept[0]


def test_it_comes_nearer_to_the_teacher_and_leaves_what_lies_around_the_blocks():
    run, data = damaged(steps=40), subject("decoder").data
    before = copy.deepcopy(run.module.state_dict())
    far = distance(run.module, data)
    heal(HEALERS.build("local"), run, data, pair=pair())
    assert distance(run.module, data) < 0.5 * far
    assert len(run.losses) == run.step == 40
    start = blocks_of("decoder")[0].rpartition(".")[0]
    moved = {n for n, t in run.module.state_dict().items() if not torch.equal(t, before[n])}
    assert moved
    assert all(n.startswith(start) for n in moved)


@torch.no_grad()
def distance(module, data):
    teacher, last = subject("decoder").module, blocks_of("decoder")[-1]
    module.eval()
    return sum(float((output_of(module, last, b) - output_of(teacher, last, b)).square().sum()) for b in data)


def test_it_goes_on_where_it_was_stopped_to_the_same_bits(tmp_path, monkeypatch):
    data, whole = subject("decoder").data, damaged()
    heal(HEALERS.build("local"), whole, data, pair=pair(), place=Place(folder=tmp_path / "a", identity="x"))
    monkeypatch.setattr("penjing.train.keeper.Keeper.due", lambda self: True)
    steps = [0]

    def stop(self, **told):
        steps[0] += 1
        if steps[0] == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr("penjing.train.log.StepLog.write", stop)
    with pytest.raises(KeyboardInterrupt):
        heal(HEALERS.build("local"), damaged(), data, pair=pair(), place=Place(folder=tmp_path / "b", identity="x"))
    again = damaged()
    heal(HEALERS.build("local"), again, data, pair=pair(), place=Place(folder=tmp_path / "b", identity="x"))
    assert 0 < steps[0] - 9 < 6 * len(blocks_of("decoder"))
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], tensor), name


def test_states_that_lie_in_a_file_give_the_same(monkeypatch):
    one, other = damaged(), damaged()
    heal(HEALERS.build("local"), one, subject("decoder").data, pair=pair())
    monkeypatch.setattr(alone, "ROOM", 100)
    heal(HEALERS.build("local"), other, subject("decoder").data, pair=pair())
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))


def test_minutes_are_made_into_steps(tmp_path):
    run = damaged()
    place = Place(folder=tmp_path, identity="x")
    heal(HEALERS.build("local"), run, subject("decoder").data, pair=pair(), place=place, minutes=0.01)
    assert run.step == run.steps >= 1
    assert (tmp_path / "decided.json").is_file()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == run.step


def test_zeros_stay():
    run = damaged()
    name = next(n for n in run.layout.patterns if n.endswith("up_proj.weight"))
    with torch.no_grad():
        weight = run.module.get_parameter(run.names.get(name, name))
        weight[::2] = 0.0
    heal(HEALERS.build("local"), run, subject("decoder").data, pair=pair())
    assert not run.module.get_parameter(run.names.get(name, name))[::2].any()
    assert run.module.get_parameter(run.names.get(name, name))[1::2].all()


def test_what_means_nothing_is_refused():
    with pytest.raises(RequestError, match="patience"):
        heal(HEALERS.build("local"), damaged(patience=2), subject("decoder").data, pair=pair())
    with pytest.raises(UnsupportedError, match="same shape"):
        HEALERS.build("local").prepare(None, states([drawn(2, 3, 4)]), states([drawn(2, 3, 5)]))
