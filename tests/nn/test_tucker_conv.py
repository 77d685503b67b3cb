"""Three convolutions in the place of one: the same kernel, stride, padding and dilation."""

import pytest
import torch
from torch import nn

from penjing.errors import PlanError
from penjing.nn.tucker_conv import Settings, build, dense

RANKS = Settings(into=3, out=2)
CASES = [
    nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), nn.Conv2d(4, 6, 5, dilation=2),
    nn.Conv2d(4, 6, (1, 3), padding=(0, 1), padding_mode="circular"), nn.Conv2d(4, 6, 3, padding="same"),
    nn.Conv1d(4, 6, 3, stride=3), nn.Conv3d(4, 6, 2),
]  # fmt: skip


def naive(kernel):
    """Entry by entry, [out in *window]: the sum over both ranks."""
    first, core, last = (kernel[n].flatten(1).double() for n in ("first.weight", "core.weight", "last.weight"))
    core = kernel["core.weight"].double()
    made = torch.zeros(len(last), first.shape[1], *core.shape[2:], dtype=torch.float64)
    for o in range(len(last)):
        for i in range(first.shape[1]):
            for r in range(len(core)):
                for s in range(len(first)):
                    made[o, i] += last[o, r] * core[r, s] * first[s, i]
    return made


@pytest.mark.parametrize("old", CASES, ids=str)
def test_it_convolves_by_its_kernel_as_the_old_layer_would(old):
    torch.manual_seed(0)
    new, x = build(old, RANKS), torch.randn(2, 4, *[11] * (old.weight.dim() - 2))
    kernel = naive({n: t.detach() for n, t in new.state_dict().items()})
    torch.testing.assert_close(new.weight.detach().double(), kernel, rtol=1e-4, atol=1e-5)
    old.load_state_dict(dense(old, RANKS, dict(new.state_dict())))
    torch.testing.assert_close(new(x), old(x), rtol=1e-3, atol=1e-5)
    assert (new.bias is None) == (old.bias is None)


class Padded(nn.Conv2d):
    """Looks like a convolution, and pads first."""

    def forward(self, x):
        return super().forward(nn.functional.pad(x, (1, 1, 1, 1)))


@pytest.mark.parametrize("old", [Padded(4, 6, 3), nn.Linear(4, 6), nn.ConvTranspose2d(4, 6, 3)], ids=str)
def test_what_is_no_plain_convolution_is_refused(old):
    with pytest.raises(PlanError, match="is no plain convolution"):
        build(old, RANKS)


def test_groups_and_ranks_of_nothing_are_refused():
    with pytest.raises(PlanError, match="in 2 groups"):
        build(nn.Conv2d(4, 6, 3, groups=2), RANKS)
    with pytest.raises(PlanError, match="a whole number was needed"):
        Settings(into=0, out=2)
