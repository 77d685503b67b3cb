"""One tensor cut in pieces equals the same cut by plain indexing."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.surgery import cut
from penjing.surgery.recipe import Recipe


@given(
    data=st.data(), rows=st.integers(1, 9), columns=st.integers(1, 7), depth=st.integers(1, 3), seed=st.integers(0, 99)
)
def test_pieces_equal_plain_indexing(data, rows, columns, depth, seed):
    g = torch.Generator().manual_seed(seed)
    dtype = data.draw(
        st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool])
    )
    stored = torch.randint(0, 2 if dtype == torch.bool else 100, (rows, columns, depth), generator=g).to(dtype)
    places = tuple(
        None
        if data.draw(st.booleans())
        else torch.tensor(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=torch.int64)
        for n in stored.shape
    )
    wanted = stored
    for dim, place in enumerate(places):
        wanted = wanted if place is None else wanted.index_select(dim, place)
    kept = torch.rand(wanted.shape, generator=g) > 0.3 if data.draw(st.booleans()) else None
    wanted = wanted if kept is None else torch.where(kept, wanted, torch.zeros((), dtype=dtype))
    recipe = Recipe(source="w", stored=tuple(stored.shape), pattern=None, places=places, kept=kept)
    before, cut.PIECE = cut.PIECE, data.draw(st.integers(1, 200))
    try:
        parts = list(cut.pieces(recipe, lambda a, b: stored[a:b], dtype))
    finally:
        cut.PIECE = before
    assert torch.equal(torch.cat(parts), wanted)
    assert torch.equal(cut.whole(recipe, lambda: stored, dtype), wanted)


def test_bits_stay_the_same():
    stored = torch.tensor([0x7FC1, 0x7F81, 1, -0x8000], dtype=torch.int32).to(torch.int16).view(torch.bfloat16)[None]
    recipe = Recipe(source="w", stored=(1, 4), pattern=None, places=(None, torch.tensor([0, 1, 3])))
    out = torch.cat(list(cut.pieces(recipe, lambda a, b: stored[a:b], torch.bfloat16)))
    assert out.view(torch.int16).tolist() == stored.view(torch.int16)[:, [0, 1, 3]].tolist()
