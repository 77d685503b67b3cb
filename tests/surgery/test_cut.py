"""One tensor cut in pieces equals the same cut by plain indexing."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.pattern import cut as cut_pattern
from penjing.core.pattern import parse
from penjing.surgery import cut
from penjing.surgery.maps import Gain, Map, mapping, units
from penjing.surgery.recipe import Recipe


class Rows(dict):
    def rows(self, name, start, stop):
        return self[name][start:stop]


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
        parts = list(cut.pieces(recipe, Rows(w=stored), dtype))
    finally:
        cut.PIECE = before
    assert torch.equal(torch.cat(parts), wanted)
    assert torch.equal(cut.whole(recipe, {"w": stored}, dtype), wanted)


def test_bits_stay_the_same():
    stored = torch.tensor([0x7FC1, 0x7F81, 1, -0x8000], dtype=torch.int32).to(torch.int16).view(torch.bfloat16)[None]
    recipe = Recipe(source="w", stored=(1, 4), pattern=None, places=(None, torch.tensor([0, 1, 3])))
    out = torch.cat(list(cut.pieces(recipe, Rows(w=stored), torch.bfloat16)))
    assert out.view(torch.int16).tolist() == stored.view(torch.int16)[:, [0, 1, 3]].tolist()


@given(
    data=st.data(), rows=st.integers(1, 9), columns=st.integers(1, 7), depth=st.integers(1, 3), seed=st.integers(0, 99)
)
def test_maps_are_products_along_each_dimension_in_float64_and_rounded_once(data, rows, columns, depth, seed):
    g = torch.Generator().manual_seed(seed)
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
    stored, gain = (torch.randn(*s, generator=g).to(dtype) for s in ((rows, columns, depth), (columns,)))
    place = torch.tensor(sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1))))
    sizes = [data.draw(st.integers(1, n)) for n in (len(place), columns)]
    shapes = zip((len(place), columns), sizes, strict=True)
    bases = [torch.randn(n, m, dtype=torch.float64, generator=g) for n, m in shapes]
    of = Gain(Recipe(source="g", stored=(columns,), pattern=None, places=(None,)), offset=1.0)
    maps = (
        Map((bases[0],), sizes[0], torch.arange(sizes[0])) if data.draw(st.booleans()) else None,
        Map((of, bases[1]), sizes[1], torch.arange(sizes[1]), root=columns),
        None,
    )
    recipe = Recipe(source="w", stored=(rows, columns, depth), pattern=None, places=(place, None, None), maps=maps)
    wanted = torch.zeros(*recipe.shape, dtype=torch.float64)
    for i in range(recipe.shape[0]):
        for a in range(len(place)):
            through = float(bases[0][a, i]) if maps[0] else float(a == i)
            for j in range(sizes[1]):
                for b in range(columns):
                    weight = (1 + float(gain[b])) * float(bases[1][b, j]) * (columns / sizes[1]) ** 0.5
                    wanted[i, j] += through * weight * stored[place[a], b].double()
    before, cut.PIECE = cut.PIECE, data.draw(st.integers(1, 200))
    tensors = Rows(w=stored, g=gain)
    try:
        parts = torch.cat(list(cut.pieces(recipe, tensors, dtype)))
        whole = cut.whole(recipe, tensors, dtype)
        exact = cut.whole(recipe, tensors, torch.float64)
    finally:
        cut.PIECE = before
    torch.testing.assert_close(exact, wanted, rtol=1e-12, atol=1e-12)
    assert torch.equal(parts, whole)
    assert whole.dtype == dtype


def test_a_dimension_of_several_parts_goes_through_the_basis_part_by_part():
    basis = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    pattern = cut_pattern(parse("(3 a) (a + b)"), {"a": 2, "b": 1})
    x = torch.arange(18.0).reshape(6, 3)
    turned = mapping(pattern[0], "a", basis).T @ x @ mapping(pattern[1], "a", basis)
    wanted = torch.zeros(6, 3)
    for i in range(3):
        wanted[2 * i : 2 * i + 2] = basis.T @ x[2 * i : 2 * i + 2]
    wanted = torch.cat([wanted[:, :2] @ basis, wanted[:, 2:]], 1)
    assert torch.equal(turned, wanted)
    assert units(pattern[0], "a").tolist() == [0, 1] * 3
    assert units(pattern[1], "a").tolist() == [0, 1, -1]
