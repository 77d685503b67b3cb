"""Codes and scales against loops over single values, and the packing against its own reading, on odd shapes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import ExportError
from penjing.maths.quantise import from_codes, packed, rounded, to_codes, words

SHAPES = {"rows": st.integers(1, 5), "groups": st.integers(1, 3), "group": st.integers(1, 9), "seed": st.integers(0, 9)}


def drawn(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def naive(weight, bits, group):
    """Each value of each group by itself: the nearest of the 2^bits codes, in plain numbers."""
    top = 2 ** (bits - 1)
    out = torch.empty_like(weight)
    for i, row in enumerate(weight.tolist()):
        for start in range(0, len(row), group):
            part = row[start : start + group]
            scale = torch.tensor(max(abs(v) for v in part)) / (top - 0.5)
            scale = float(scale) or 1.0
            for j, value in enumerate(part):
                nearest = min(range(-top, top), key=lambda code: abs(code * scale - value))
                out[i, start + j] = nearest * scale
    return out


@given(**SHAPES, bits=st.sampled_from([2, 4, 8]))
def test_each_value_is_the_nearest_that_there_is(rows, groups, group, seed, bits):
    weight = drawn(rows, groups * group, seed)
    # A value halfway between two codes may go to either: then both are as near.
    off, best = (rounded(weight, bits=bits, group=group) - weight).abs(), (naive(weight, bits, group) - weight).abs()
    torch.testing.assert_close(off, best, atol=1e-6, rtol=0)


@given(**SHAPES)
def test_no_value_is_off_by_more_than_half_a_step(rows, groups, group, seed):
    weight = drawn(rows, groups * group, seed)
    codes, scales = to_codes(weight, bits=4, group=group)
    assert scales.shape == (rows, groups)
    assert codes.dtype == torch.int8
    assert int(codes.min()) >= -8
    assert int(codes.max()) <= 7
    off = (from_codes(codes, scales) - weight).abs().view(rows, groups, group)
    assert bool((off <= 0.5001 * scales[..., None]).all())


@given(rows=st.integers(1, 4), width=st.integers(1, 41), seed=st.integers(0, 99), bits=st.sampled_from([2, 4, 8]))
def test_words_hold_the_codes_bit_by_bit(rows, width, seed, bits):
    codes, _ = to_codes(drawn(rows, width, seed), bits=bits)
    found = packed(codes, bits)
    assert found.shape == (rows, words(width, bits))
    for i in range(rows):
        for j in range(width):
            word = int(found[i, j * bits // 32]) & 0xFFFFFFFF
            code = (word >> (j * bits % 32)) & (2**bits - 1)
            assert code - 2 ** (bits - 1) == int(codes[i, j])


@given(rows=st.integers(1, 4), width=st.integers(1, 41), seed=st.integers(0, 99), bits=st.sampled_from([4, 8]))
def test_compressed_tensors_packs_the_same_words(rows, width, seed, bits):
    helpers = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
    codes, _ = to_codes(drawn(rows, width, seed), bits=bits)
    assert torch.equal(packed(codes, bits), helpers.pack_to_int32(codes, bits))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scales_have_the_type_of_the_weights_and_codes_suit_them(dtype):
    weight = drawn(3, 32, 0).to(dtype)
    codes, scales = to_codes(weight, bits=4, group=16)
    assert scales.dtype == dtype
    wanted = (weight.float().view(3, 2, 16) / scales.float()[..., None]).round().clamp(-8, 7)
    assert torch.equal(codes.float().view(3, 2, 16), wanted)


def test_zeros_stay_zeros_and_have_a_scale():
    weight = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    codes, scales = to_codes(weight, bits=4, group=2)
    assert scales[0, 0] == scales[1, 1] == 1
    assert rounded(weight, bits=4, group=2)[weight == 0].tolist() == [0.0] * 7
    # In half precision so small a scale is zero itself.
    assert to_codes(torch.full((1, 4), 6e-8, dtype=torch.float16), bits=8)[1].item() == 1
    assert codes[0, 2] == 7


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ExportError, match="NaN or infinity"):
        to_codes(torch.tensor([[1.0, bad]]), bits=8)


def test_rows_that_are_not_whole_groups_are_refused():
    with pytest.raises(ExportError, match="rows of 6 values are not made of whole groups of 4"):
        to_codes(torch.ones(2, 6), bits=4, group=4)
