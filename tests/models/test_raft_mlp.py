"""RaftMLP."""

import pytest
import torch
from torch import nn

from penjing.models import MODELS, create

FILE = MODELS.load("raft_mlp")


@pytest.mark.parametrize("vertical", [True, False])
def test_a_raft_mixes_a_line_and_its_channels_together(vertical):
    torch.manual_seed(0)
    raft = FILE.Raft(6, 3 if vertical else 4, 7, 2, vertical=vertical, eps=1e-5, drop=0.0).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    y, want = raft.norm(x), x.clone()
    for b in range(2):
        for o in range(3):
            for other in range(4 if vertical else 3):
                lines = [y[b, :, other, k * 3 + o] if vertical else y[b, other, :, k * 3 + o] for k in range(2)]
                first, second = raft.mlp(torch.cat(lines)).chunk(2)
                for k, line in enumerate((first, second)):
                    place = (b, slice(None), other, k * 3 + o) if vertical else (b, other, slice(None), k * 3 + o)
                    want[place] += line
    torch.testing.assert_close(raft(x), want)


def test_convolutions_of_several_kernels_are_one_linear_layer_on_patches_of_several_sizes():
    torch.manual_seed(0)
    level, x = create("raft_mlp", "tiny").stages[0], torch.randn(1, 3, 12, 12)
    patches = [nn.functional.unfold(x, k, stride=2, padding=(k - 2) // 2) for k in (2, 4)]
    weight = torch.cat([e.weight.flatten(1) for e in level.embed], 1)
    want = weight @ torch.cat(patches, 1)[0] + level.embed[0].bias[:, None]
    got = level.embed[0](x) + level.embed[1](x)
    torch.testing.assert_close(got[0].flatten(1), want)


def test_images_of_other_sizes_go_through_the_trained_grid():
    model = create("raft_mlp", "tiny")
    for side in (12, 13, 20):
        assert model(torch.randn(1, 3, side, side + 4))[0].shape == (1, 4)


def test_a_mixer_of_rafts_has_fewer_weights_than_one_of_all_tokens():
    size = FILE.CARD.parameters
    assert size["single-r1"] < size["single-r2"] < size["single-r4"] < 59_918_200


def test_channels_that_no_raft_divides_are_refused():
    with pytest.raises(ValueError, match="raft_size must divide"):
        FILE.Raft(7, 3, 4, 2, vertical=True, eps=1e-5, drop=0.0)
