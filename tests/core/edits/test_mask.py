"""A mask is packed as numpy's `packbits` packs it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.edits.mask import bits, from_bits


@given(st.lists(st.booleans(), max_size=40))
def test_bits_are_those_of_packbits_and_come_back(mask: list[bool]) -> None:
    kept = torch.tensor(mask, dtype=torch.bool)
    assert bits(kept).tolist() == np.packbits(kept.numpy()).tolist()
    assert torch.equal(from_bits(bits(kept), len(mask)), kept)


def test_a_mask_of_any_shape_is_packed_row_major() -> None:
    kept = torch.rand(3, 5) > 0.5
    assert torch.equal(bits(kept.T.contiguous().T), bits(kept.flatten()))
