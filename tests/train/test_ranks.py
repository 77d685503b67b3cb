"""Several processes train what one does, and a state of some is gone on from by others."""

import json
import os
import signal
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.train.processes import ended, forked, said
from torch import nn

from penjing import layouts
from penjing.core import Budget
from penjing.errors import DataError, RequestError, UnsupportedError
from penjing.healers import HEALERS
from penjing.io import open_checkpoint
from penjing.train import Place, Run, Settings, heal
from penjing.train import keeper as keeping
from penjing.train.healing import Pair
from penjing.train.keeper import Keeper
from penjing.train.ranks import LostError, Ranks, here, join, parts_of, told_if_lost
from penjing.train.sharded_state import SharedKeeper
from penjing.train.sharding import cut, mine, shard

STEPS = 8
HOWS = {
    "shared rows": {"accumulate": 1, "average": 0.5},
    "shared batches": {"accumulate": 4, "ema": 0.9, "weight_decay": 0.1},
    "sgd": {"accumulate": 2, "optimiser": "sgd", "patience": 3},
}


class Net(nn.Module):
    """Two blocks of odd widths, the second of fewer rows than there are processes."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(5, 7), nn.Tanh()), nn.Sequential(nn.Linear(7, 3))])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


@cache
def layout():
    return layouts.from_module(net().eval(), torch.zeros(2, 5))


@pytest.fixture(autouse=True, scope="module")
def imported():
    """What the forked processes would each import by themselves."""
    import torch.distributed.checkpoint.hf_storage
    import torch.distributed.fsdp  # noqa: F401

    layout()
    HEALERS.build("logits")


def data(count=6, rows=8):
    g = torch.Generator().manual_seed(1)
    return [(torch.randn(rows, 5, generator=g), torch.randint(3, (rows,), generator=g)) for _ in range(count)]


def trained(folder: Path, how: str, *, sparse: bool = False, slow: float = 0.0, steps: int = STEPS) -> Run:
    """A net healed by another one, which keeps a state after each step."""
    module, teacher = net(), net(9)
    if sparse:
        with torch.no_grad():
            module.blocks[0][0].weight[::2] = 0.0
    run = Run(
        module=module, model=open_checkpoint(net()), layout=layout(),
        budget=Budget(keep=1.0), steps=steps, learning_rate=0.03, seed=3, how=Settings(**HOWS[how]), ranks=join(),
    )  # fmt: skip
    paths = ("blocks.0", "blocks.1")
    Keeper.due = lambda self: time.sleep(slow) is None
    heal(
        HEALERS.build("logits"), run, data(), pair=Pair(blocks=paths, teacher=teacher, teacher_blocks=paths),
        held_out=data(2), place=Place(folder=folder, identity="this"),
    )  # fmt: skip
    return run


def in_processes(count, folder, how, *, states=None, name="out", **more):
    """(tensors, facts) that so many processes come to."""
    out = folder / name

    def work():
        run = trained(states or folder / f"{name}.states", how, **more)
        if run.ranks.first:
            save_file({n: t.contiguous() for n, t in run.module.state_dict().items()}, f"{out}.safetensors")
            Path(f"{out}.json").write_text(json.dumps({"losses": run.losses, "held": run.held_out}))

    codes = ended(forked(work, count, folder))
    assert codes == [0] * count, said(folder) + said(folder, count - 1)
    return load_file(f"{out}.safetensors"), json.loads(Path(f"{out}.json").read_text())


def same(one, other, tolerance=1e-5):
    for key in ("losses", "held"):
        torch.testing.assert_close(torch.tensor(one[1][key]), torch.tensor(other[1][key]), atol=tolerance, rtol=0)
    for name, tensor in one[0].items():
        torch.testing.assert_close(tensor, other[0][name], atol=10 * tolerance, rtol=0)


@pytest.mark.parametrize("how", HOWS)
def test_two_processes_come_to_what_one_does(tmp_path, how):
    whole = in_processes(1, tmp_path, how, sparse=True)
    shared = in_processes(2, tmp_path, how, name="two", sparse=True)
    same(whole, shared)
    assert not shared[0]["blocks.0.0.weight"][::2].any()
    assert shared[0]["blocks.0.0.weight"][1::2].all()


def stopped_at_four(folder, count, states):
    """A run of so many processes that ends after the state of its fourth step."""

    def work():
        save = Keeper.save_by

        def once(self, write, needed, facts):
            kept = save(self, write, needed, facts)
            if facts["step"] == 4:
                os._exit(7)
            return kept

        Keeper.save_by = once
        trained(states, "shared batches", sparse=True)

    assert ended(forked(work, count, folder))[0] == 7
    assert [p.name for p in states.glob("step-*")] == ["step-00000004"]
    assert (states / "step-00000004" / "shards").is_dir() == (count > 1)


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2), (2, 4), pytest.param(2, 2, marks=pytest.mark.slow)])
def test_other_numbers_of_processes_go_on(tmp_path, first, then):
    whole = in_processes(1, tmp_path, "shared batches", name="whole", sparse=True)
    states = tmp_path / "states"
    stopped_at_four(tmp_path, first, states)
    gone_on = in_processes(then, tmp_path, "shared batches", name="gone on", states=states, sparse=True)
    same(whole, gone_on)
    if first == then:
        again = in_processes(then, tmp_path, "shared batches", name="again", sparse=True)
        assert all(torch.equal(again[0][n], t) for n, t in gone_on[0].items()), "as many processes: the same bits"


def test_a_process_that_is_killed_ends_the_other_with_a_word_and_the_newest_state_stays(tmp_path):
    states = tmp_path / "states"
    both = forked(lambda: trained(states, "shared rows", slow=0.05, steps=100_000), 2, tmp_path)
    until = time.monotonic() + 60
    while not list(states.glob("step-*")) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(both[1], signal.SIGKILL)
    codes = ended(both)
    assert codes == [1, -signal.SIGKILL]
    assert "another of the 2 processes that train together has ended" in said(tmp_path)
    assert "The newest state stays" in said(tmp_path)
    tensors, facts = Keeper(states, "this").newest()
    assert facts["step"] >= 1
    assert tensors["trained:blocks.0.0.weight"].shape == (7, 5)


def test_what_a_disk_refuses_one_process_is_refused_all(tmp_path):
    def work():
        real = keeping.disk_usage
        keeping.disk_usage = lambda path: real(path)._replace(free=5)
        run = trained(tmp_path / "states", "shared rows")
        keeper = SharedKeeper(Keeper(tmp_path / "states", "this"), run)
        assert not keeper.save({"x": torch.zeros(9)}, {"step": 1})
        if run.ranks.first:
            (tmp_path / "refused").write_text("".join(keeper.refused))

    assert ended(forked(work, 2, tmp_path)) == [0, 0], said(tmp_path)
    assert "was not kept" in (tmp_path / "refused").read_text()


def test_alone_nothing_is_sent():
    assert here() == Ranks()
    assert join() == Ranks()
    alone = Ranks()
    assert (alone.agree(3), alone.mean(2.5), alone.all_of("x")) == (3, 2.5, ["x"])
    assert alone.device("cuda:1") == "cuda:1"
    assert Ranks(number=1, count=2).device("cpu") == "cpu"


def naive(batches, accumulate):
    """The mean over a step's batches of the mean over their rows."""
    return sum(sum(float(x) for x in rows) / len(rows) for rows in batches) / accumulate


@given(
    count=st.integers(1, 6), accumulate=st.integers(1, 6), rows=st.lists(st.integers(6, 9), min_size=6, max_size=6),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_parts_of_all_processes_make_the_step_of_one(count, accumulate, rows, seed):
    g = torch.Generator().manual_seed(seed)
    batches = [torch.randn(n, generator=g, dtype=torch.float64) for n in rows]
    places = torch.randperm(6, generator=g)[:accumulate].tolist()
    pieces = cut(batches, parts_of(count, accumulate))
    sums, counts = [], set()
    for number in range(count):
        own = list(mine(places, pieces, Ranks(number=number, count=count), accumulate))
        counts.add(len(own))
        sums.append(sum(weight * float(pieces[place].mean()) for place, weight in own) / len(own))
    assert len(counts) == 1
    torch.testing.assert_close(sum(sums) / count, naive([batches[p] for p in places], accumulate))


def test_too_few_rows_to_share_are_refused():
    with pytest.raises(DataError, match="has 2 rows, and the processes share it in 3 parts; make batches larger"):
        cut(data(1, rows=2), 3)


def test_a_loss_that_compares_examples_takes_whole_batches():
    run = Run(
        module=net(), model=open_checkpoint(net()), layout=layout(), budget=Budget(keep=1.0), steps=1,
        learning_rate=0.1, how=Settings(accumulate=2), ranks=Ranks(count=4),
    )  # fmt: skip
    with pytest.raises(RequestError, match=r"compares the examples of a batch, .* accumulate=4"):
        heal(HEALERS.build("similarity"), run, data())


def test_a_batch_norm_is_refused():
    with pytest.raises(UnsupportedError, match=r"1 is a batch norm, .* train this model in one process"):
        shard(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), (), Ranks(count=2))


def test_only_what_tells_of_a_lost_process_is_told_so():
    with pytest.raises(LostError, match="another of the 2 processes"), told_if_lost(Ranks(count=2)):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1")
    with pytest.raises(RuntimeError, match="shapes"), told_if_lost(Ranks(count=2)):
        raise RuntimeError("shapes differ")
