"""Tiles: every pixel is covered, and a local network gives away from the seams what it gives of the whole."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.pipeline.tiling import count, extent, over, padded, ramp, starts


@given(length=st.integers(1, 200), tile=st.integers(4, 64), part=st.integers(0, 3))
def test_tiles_cover_every_pixel_and_share_the_overlap(length, tile, part):
    overlap = tile * part // 8
    found = starts(length, tile, overlap)
    covered = np.zeros(max(length, tile), int)
    for start in found:
        covered[start : start + tile] += 1
    assert (covered > 0).all()
    assert found[-1] + tile == max(length, tile)
    assert all(a + tile - b >= overlap for a, b in pairwise(found))


@given(rows=st.integers(1, 30), columns=st.integers(1, 30))
def test_a_small_picture_is_padded_and_found_again(rows, columns):
    picture = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    big, top, left = padded(picture, extent(rows, 32, 8), extent(columns, 32, 8))
    assert big.shape[0] % 8 == big.shape[1] % 8 == 0
    assert np.array_equal(big[top : top + rows, left : left + columns], picture)


def test_the_ramp_rises_through_the_overlap():
    assert np.allclose(ramp(6, 2), [1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3])


@given(rows=st.integers(1, 70), columns=st.integers(1, 70))
def test_a_network_that_changes_nothing_changes_nothing(rows, columns):
    picture = np.random.default_rng(1).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    steps = []
    got, apart = over(lambda x: x, picture, tile=32, overlap=8, multiple=8, advance=steps.append)
    assert np.array_equal(got, picture)
    assert sum(steps) == count(rows, 32, 8) * count(columns, 32, 8)
    assert (apart is None) == (len(steps) == 1)
    assert (apart or 0) < 1e-4


def test_away_from_the_seams_tiles_give_what_the_whole_gives():
    torch.manual_seed(0)
    blur = torch.nn.Conv2d(3, 3, 5, padding=2)  # reaches 2 pixels
    torch.nn.init.constant_(blur.weight, 1 / 75)
    torch.nn.init.zeros_(blur.bias)
    picture = np.random.default_rng(2).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    ways = {"multiple": 1, "advance": lambda n: None}
    whole, alone = over(blur, picture, tile=96, overlap=8, **ways)
    tiled, apart = over(blur, picture, tile=32, overlap=8, **ways)
    near = np.zeros((70, 90), bool)
    for side, axis in ((70, 0), (90, 1)):
        for start in starts(side, 32, 8):
            for edge in (start, start + 32):
                band = slice(max(edge - 2, 0), edge + 2)
                near[(band, slice(None)) if axis == 0 else (slice(None), band)] |= 0 < edge < side
    assert np.abs(whole.astype(int) - tiled)[~near].max() <= 1  # rounding
    assert np.abs(whole.astype(int) - tiled)[near].max() > 1
    assert alone is None
    assert apart > 0


def test_memory_for_one_tile_at_a_time():
    seen = []

    def network(x):
        seen.append(tuple(x.shape))
        return x

    over(network, np.zeros((100, 40, 3), np.uint8), tile=32, overlap=4, multiple=8, advance=lambda n: None)
    assert set(seen) == {(1, 3, 32, 32)}
