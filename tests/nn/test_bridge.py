"""A block with a matrix behind it, against the block and the product."""

import copy

import pytest
import torch
from torch import nn

from penjing.core.modules import Place
from penjing.errors import CheckpointError, PlanError
from penjing.nn.bridge import Settings, build, tensors

LIKE = Settings(like="norm.weight:0")


class Block(nn.Module):
    """A branch that is added, and perhaps a second value."""

    def __init__(self, second):
        super().__init__()
        self.norm, self.inner, self.second = nn.LayerNorm(5), nn.Linear(5, 5), second

    def forward(self, x, *, scale=1.0):
        x = x + scale * self.inner(self.norm(x))
        return (x, "cache") if self.second else x


@pytest.mark.parametrize("second", [False, True])
def test_what_the_block_gives_first_goes_through_the_matrix(second):
    old, x = Block(second), torch.randn(2, 3, 5)
    new = build(old, LIKE)
    before = old(x, scale=2.0)
    assert torch.equal(new(x, scale=2.0)[0] if second else new(x, scale=2.0), before[0] if second else before)
    new.bridge.data.normal_()
    found = new(x, scale=2.0)
    if second:
        assert found[1] == "cache"
        found, before = found[0], before[0]
    rows = new.bridge.tolist()
    wanted = [[[sum(b * v for b, v in zip(r, x, strict=True)) for r in rows] for x in xs] for xs in before.tolist()]
    torch.testing.assert_close(found.detach(), torch.tensor(wanted), rtol=1e-4, atol=1e-5)


def test_it_has_the_parts_of_the_old_block_which_stays_as_it_is():
    old = Block(False)
    new = build(old, LIKE)
    assert new.inner is old.inner
    assert set(new.state_dict()) - set(old.state_dict()) == {"bridge"}
    assert isinstance(new, Block)
    assert type(old) is Block
    assert torch.equal(copy.deepcopy(new)(torch.ones(1, 5)), old(torch.ones(1, 5)))


def test_what_makes_no_sense_is_refused():
    for like in ("norm.weight", "", 3):
        with pytest.raises(PlanError, match="is one"):
            Settings(like=like)
    with pytest.raises(CheckpointError, match="no place for a bridge"):
        build(Block(False), Settings(like="other.weight:0"))
    with pytest.raises(CheckpointError, match="no place for a bridge"):
        build(build(Block(False), LIKE), LIKE)
    with pytest.raises(PlanError, match="by rotating the stream"):
        tensors(Place(path="layers.0", shapes={}), LIKE)
