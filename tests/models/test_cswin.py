"""CSWin."""

import pytest
import torch
from torch import nn

from penjing.errors import CheckpointError
from penjing.layers.windows import join, split
from penjing.models import MODELS, create

FILE = MODELS.load("cswin")


@pytest.mark.parametrize(
    ("rows", "columns", "height", "width"), [(6, 4, 3, 2), (6, 4, 6, 1), (5, 10, 5, 5), (3, 3, 1, 3)]
)
def test_windows_are_the_rectangles_and_come_together_again(rows, columns, height, width):
    x = torch.randn(2, rows, columns, 3)
    parts = split(x, height, width)
    n = 0
    for b in range(2):
        for r in range(0, rows, height):
            for c in range(0, columns, width):
                assert torch.equal(parts[n], x[b, r : r + height, c : c + width].reshape(-1, 3))
                n += 1
    assert n == len(parts)
    assert torch.equal(join(parts, height, width, rows, columns), x)


def test_a_map_that_no_window_divides_is_refused():
    with pytest.raises(ValueError, match="a map of 5 x 4 cannot be cut into windows of 2 x 4"):
        split(torch.zeros(1, 5, 4, 1), 2, 4)


def test_a_branch_is_attention_by_the_formula_in_each_stripe():
    torch.manual_seed(0)
    branch, x = FILE.Branch(5, 2, 3).double(), torch.randn(2, 6, 4, 5, dtype=torch.float64)
    got = branch(x, 6, 2)
    for b in range(2):
        for c in (0, 2):
            stripe = x[b, :, c : c + 2].reshape(-1, 5)
            q, k, v = (part(stripe) for part in (branch.query, branch.key, branch.value))
            want = torch.zeros(12, 6, dtype=torch.float64)
            for h in (slice(0, 3), slice(3, 6)):
                want[:, h] = torch.softmax(q[:, h] @ k[:, h].T / 3**0.5, -1) @ v[:, h]
            padded = nn.functional.pad(v.reshape(6, 2, 6), (0, 0, 1, 1, 1, 1))
            for i in range(6):
                for j in range(2):
                    around = padded[i : i + 3, j : j + 3].permute(2, 0, 1)
                    want[2 * i + j] += (around * branch.lepe.weight[:, 0]).sum((1, 2)) + branch.lepe.bias
            torch.testing.assert_close(got[b, :, c : c + 2].reshape(-1, 6), want)


def test_two_branches_over_the_whole_map_are_one_with_all_heads():
    torch.manual_seed(0)
    one, x = FILE.Branch(6, 4, 3).double(), torch.randn(2, 5, 7, 6, dtype=torch.float64)
    halves = [FILE.Branch(6, 2, 3).double() for _ in range(2)]
    for i, half in enumerate(halves):
        kept = slice(6 * i, 6 * i + 6)
        half.load_state_dict({name: value[kept] for name, value in one.state_dict().items()})
    torch.testing.assert_close(torch.cat([half(x, 5, 7) for half in halves], -1), one(x, 5, 7))


def test_a_stage_whose_stripes_are_as_wide_as_its_map_has_one_branch():
    config = FILE.Config(**{**FILE.CARD.sizes["tiny"], "stripe_widths": [12, 3]})
    assert [len(stage.blocks[0].branches) for stage in FILE.Model(config).stages] == [1, 1]
    assert [len(stage.blocks[0].branches) for stage in create("cswin", "tiny").stages] == [2, 1]


def test_sides_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="sides must divide"):
        create("cswin", "tiny")(torch.zeros(1, 3, 13, 12))


def released(config):
    """Random weights under the authors' names."""
    own = FILE.Model(config).state_dict()
    out = {}
    for i in range(len(config.depths)):
        out |= {
            f"{'stage1_conv_embed.0' if i == 0 else f'merge{i}.conv'}.{k}": own[f"stages.{i}.reduce.{k}"] for k in WB
        }
        out |= {f"{'stage1_conv_embed.2' if i == 0 else f'merge{i}.norm'}.{k}": own[f"stages.{i}.norm.{k}"] for k in WB}
        for n in range(config.depths[i]):
            new, old = f"stages.{i}.blocks.{n}", f"stage{i + 1}.{n}"
            for a, b in (
                ("norm1", "norm1"),
                ("norm2", "norm2"),
                ("proj", "proj"),
                ("up", "mlp.fc1"),
                ("down", "mlp.fc2"),
            ):
                out |= {f"{old}.{b}.{k}": own[f"{new}.{a}.{k}"] for k in WB}
            count = 1 if config.whole(i) else 2
            for k in WB:
                parts = [own[f"{new}.branches.{b}.{p}.{k}"] for p in ("query", "key", "value") for b in range(count)]
                out[f"{old}.qkv.{k}"] = torch.cat(parts)
                out |= {f"{old}.attns.{b}.get_v.{k}": own[f"{new}.branches.{b}.lepe.{k}"] for b in range(count)}
    for a, b in (("norm", "norm"), ("classifier", "head")):
        out |= {f"{b}.{k}": own[f"{a}.{k}"] for k in WB}
    return out, own


WB = ("weight", "bias")


def test_the_authors_names_become_ours():
    config = FILE.Config(**FILE.CARD.sizes["tiny"])
    theirs, ours = released(config)
    got = FILE.from_released(theirs, config)
    assert got.keys() == ours.keys()
    assert all(torch.equal(got[k], ours[k]) for k in ours)
    del theirs["stage2.1.qkv.bias"]
    with pytest.raises(CheckpointError, match=r"'stage2\.1\.qkv\.bias' is missing"):
        FILE.from_released(theirs, config)
    theirs["stage2.1.qkv.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointError, match=r"'stage2\.1\.qkv\.bias' has the shape \(5,\)"):
        FILE.from_released(theirs, config)
