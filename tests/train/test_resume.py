"""A run that is killed, wherever it is, and begun again ends in the very bits of one that was not."""

import json
import os
import signal
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from penjing import layouts
from penjing.core import Budget
from penjing.errors import TrainingError
from penjing.io import open_checkpoint
from penjing.train import keeper as keeping
from penjing.train.keeper import Keeper
from penjing.train.log import StepLog
from penjing.train.loop import fit, seeded
from penjing.train.run import Run
from penjing.train.settings import Settings

STEPS = 12
HOWS = {
    "averaged": Settings(average=0.5, accumulate=2),
    "moving": Settings(ema=0.9, schedule="cosine", weight_decay=0.1),
    "sgd": Settings(optimiser="sgd", patience=2),
}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 3))


def data():
    g = torch.Generator().manual_seed(1)
    return [(torch.randn(6, 4, generator=g), torch.randint(3, (6,), generator=g)) for _ in range(5)]


def trained(folder: Path | None, how: Settings, *, masked: bool = False) -> dict[str, torch.Tensor]:
    """All values of a run's module, and the steps of its log."""
    module, batches = net(), data()
    run = Run(
        module=module, model=open_checkpoint(net()), layout=layouts.from_module(net().eval(), torch.zeros(2, 4)),
        budget=Budget(keep=1.0), steps=STEPS, learning_rate=0.05, seed=3, how=how,
    )  # fmt: skip
    mask = torch.ones(9, 4, dtype=torch.bool)
    mask[0] = False

    def after():
        run.put({"0.weight": mask} if masked and run.step == 4 else None)
        if masked and run.step == 2:
            run.memory.update({n: t.clone() for n, t in module.state_dict().items()})
        if masked and run.step == 7:
            run.rewind(run.memory, steps=9, at=2)

    def held_out():
        module.eval()
        with torch.no_grad():
            found = float(F.cross_entropy(module(batches[0][0]), batches[0][1]))
        module.train()
        return found

    keeper = None if folder is None else Keeper(folder, "this run", every=0.0)
    if keeper is not None:
        keeper.due = lambda: True
    log = None if folder is None else StepLog(folder / "log.jsonl")
    with seeded(run):
        fit(
            run, batches, lambda i: F.cross_entropy(module(batches[i][0]), batches[i][1]), after=after,
            held_out=held_out, keeper=keeper, log=log,
        )  # fmt: skip
    return {n: t.clone() for n, t in module.state_dict().items()}


def in_child(work) -> int:
    """The signal that ended a process which did this work, 0 if it came to its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed of itself"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def kill_at(count: int, function):
    """The function, whose so manieth call is the end of the process, by the signal that nothing can catch."""
    left = [count]

    def inner(*given, **named):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)

    return inner


MOMENTS = {
    "before a step": lambda count: setattr(Run, "descend", kill_at(count, Run.descend)),
    "while tensors are written": lambda count: setattr(
        keeping, "write_tensors", kill_at(count, keeping.write_tensors)
    ),
    "before the facts": lambda count: setattr(keeping, "write_whole", kill_at(count, keeping.write_whole)),
    "before the name": lambda count: setattr(Path, "rename", kill_at(count, Path.rename)),
    "before the older one goes": lambda count: setattr(keeping, "rmtree", kill_at(2 * count, keeping.rmtree)),
    "while the log is written": lambda count: setattr(StepLog, "write", kill_at(count, StepLog.write)),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", HOWS)
def test_a_killed_run_ends_in_the_same_bits(tmp_path, how, moment):
    whole = trained(None, HOWS[how], masked=True)

    def dies():
        MOMENTS[moment](5)
        trained(tmp_path, HOWS[how], masked=True)

    assert in_child(dies) == signal.SIGKILL
    assert in_child(dies) in (0, signal.SIGKILL)
    gone_on = trained(tmp_path, HOWS[how], masked=True)
    assert set(gone_on) == set(whole)
    assert [n for n in whole if not torch.equal(whole[n], gone_on[n])] == []
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))


def test_the_test_can_fail(tmp_path):
    """A state that lacks the generator comes to other bits: dropout draws anew."""
    whole = trained(None, HOWS["averaged"])
    newest = Keeper.newest

    def forgetful(self):
        found = newest(self)
        return found and ({n: t for n, t in found[0].items() if not n.startswith("generator")}, found[1])

    def dies():
        MOMENTS["before a step"](5)
        trained(tmp_path, HOWS["averaged"])

    assert in_child(dies) == signal.SIGKILL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "newest", forgetful)
        other = trained(tmp_path, HOWS["averaged"])
    assert not torch.equal(whole["0.weight"], other["0.weight"])


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    first = trained(tmp_path, HOWS["averaged"])
    monkeypatch.setattr(Run, "descend", lambda self: pytest.fail("there was nothing to do"))
    again = trained(tmp_path, HOWS["averaged"])
    assert all(torch.equal(first[n], again[n]) for n in first)


def test_a_state_of_another_run_is_left_alone(tmp_path):
    Keeper(tmp_path, "another").save({"trained:x": torch.zeros(2)}, {"step": 3})
    assert Keeper(tmp_path, "this one").newest() is None
    assert Keeper(tmp_path, "another").newest()[1] == {"step": 3}


def test_only_the_newest_state_stays_and_a_damaged_one_is_passed_over(tmp_path, caplog):
    keeper = Keeper(tmp_path, "a")
    for step in (1, 2):
        assert keeper.save({"x": torch.full((3,), float(step))}, {"step": step})
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000002"]
    (tmp_path / "step-00000009").mkdir()
    (tmp_path / "step-00000009" / "state.json").write_text("{")
    tensors, facts = keeper.newest()
    assert facts["step"] == 2
    assert torch.equal(tensors["x"], torch.full((3,), 2.0))
    assert "damaged" in caplog.text


def test_a_full_disk_is_said_and_the_state_before_stays(tmp_path, monkeypatch, caplog):
    keeper = Keeper(tmp_path, "a")
    assert keeper.save({"x": torch.ones(3)}, {"step": 1})
    real = keeping.disk_usage
    monkeypatch.setattr(keeping, "disk_usage", lambda p: real(p)._replace(free=5))
    assert not keeper.save({"x": torch.ones(3)}, {"step": 2})
    assert keeper.newest()[1]["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert "12 bytes, and the disk has 5 free" in keeper.refused[0]
    assert "the state of step 00000001 stays" in caplog.text


def test_a_disk_that_fills_while_it_is_written_is_said_too(tmp_path, monkeypatch):
    keeper = Keeper(tmp_path, "a")
    assert keeper.save({"x": torch.ones(3)}, {"step": 1})

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping, "write_whole", full)
    assert not keeper.save({"x": torch.ones(3)}, {"step": 2})
    assert "no room" in keeper.refused[0]
    assert keeper.newest()[1]["step"] == 1


def test_a_loss_that_is_no_number_stops_with_its_step_and_the_state_before_it_stays(tmp_path):
    module, batches = net(), data()
    run = Run(
        module=module, model=open_checkpoint(net()), layout=layouts.from_module(net().eval(), torch.zeros(2, 4)),
        budget=Budget(keep=1.0), steps=STEPS, learning_rate=0.05,
    )  # fmt: skip
    keeper = Keeper(tmp_path, "a", every=0.0)

    def loss(place):
        found = F.cross_entropy(module(batches[place][0]), batches[place][1])
        return found * float("nan") if run.step == 7 else found

    with seeded(run), pytest.raises(TrainingError, match=r"the loss is nan after 7 steps"):
        fit(run, batches, loss, keeper=keeper)
    tensors, facts = keeper.newest()
    assert facts["step"] <= 7
    assert all(bool(t.isfinite().all()) for n, t in tensors.items() if n.startswith("trained"))


def test_a_loss_that_explodes_stops(tmp_path):
    module, batches = net(), data()
    run = Run(
        module=module, model=open_checkpoint(net()), layout=layouts.from_module(net().eval(), torch.zeros(2, 4)),
        budget=Budget(keep=1.0), steps=100, learning_rate=0.0,
    )  # fmt: skip

    def loss(place):
        found = F.cross_entropy(module(batches[place][0]), batches[place][1])
        return found * (1 if run.step < 40 else 100)

    with seeded(run), pytest.raises(TrainingError, match=r"explodes: over the steps to 60 it is"):
        fit(run, batches, loss, keeper=Keeper(tmp_path, "a"))
