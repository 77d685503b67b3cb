"""MS-MLP."""

import pytest
import torch
from torch import nn

from penjing.layers.shifts import MixShift, chunks
from penjing.models import MODELS, create


@pytest.mark.parametrize(("size", "groups"), [(96, 5), (192, 5), (384, 5), (13, 5), (7, 3), (5, 5)])
def test_groups_are_those_of_torch_chunk(size, groups):
    assert [n for n in chunks(size, groups) if n] == [len(c) for c in torch.arange(size).chunk(groups)]


def test_a_group_reads_what_lies_its_distance_away_and_wraps_around():
    torch.manual_seed(0)
    mix, x = MixShift(5, (-1, 0, 2), (1, 3, 3)).double(), torch.randn(2, 5, 4, 6, dtype=torch.float64)
    want, first = torch.zeros_like(x), 0
    for g, (shift, kernel, n) in enumerate(zip((-1, 0, 2), (1, 3, 3), (2, 2, 1), strict=True)):
        reach = kernel // 2
        for c in range(n):
            for dim, convs in ((1, mix.across), (0, mix.along)):
                moved = torch.zeros(2, 4, 6, dtype=torch.float64)
                for i in range(4):
                    for j in range(6):
                        a, b = ((i - shift) % 4, j) if dim == 0 else (i, (j - shift) % 6)
                        moved[:, i, j] = x[:, first + c, a, b]
                padded = nn.functional.pad(moved, [reach] * 4)
                weight = convs[g].weight[c, 0]
                for i in range(4):
                    for j in range(6):
                        seen = (padded[:, i : i + kernel, j : j + kernel] * weight).sum((1, 2))
                        want[:, first + c, i, j] += seen + convs[g].bias[c]
        first += n
    torch.testing.assert_close(mix(x), want)


def test_without_layer_scale_a_block_is_the_identity():
    file = MODELS.load("ms_mlp")
    model = create("ms_mlp", "tiny", layer_scale=0.0)
    block, x = model.stages[0].blocks[0], torch.randn(1, 13, 6, 6)
    assert torch.equal(block(x), x)
    assert file.CARD.sizes["ms-tiny"]["depths"] == [3, 3, 9, 3]


def test_sides_that_do_not_divide_and_kernels_that_lack_are_refused():
    with pytest.raises(ValueError, match="pad the images"):
        create("ms_mlp", "tiny")(torch.zeros(1, 3, 13, 12))
    with pytest.raises(ValueError, match="6 channels do not fill 5 groups"):
        MixShift(6, (-2, -1, 0, 1, 2), (1, 1, 3, 3, 5))
    with pytest.raises(ValueError, match="5 shifts and 1 kernels"):
        MixShift(5, (-2, -1, 0, 1, 2), (3,))
