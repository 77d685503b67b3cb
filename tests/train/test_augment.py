"""Every change of an image against a loop over images and pixels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.train.augment import beta, crop, cutmix, erase, flip, mixup, views

SIZES = {"n": st.integers(1, 4), "c": st.integers(1, 3), "h": st.integers(2, 7), "w": st.integers(2, 7)}
SEED = st.integers(0, 999)


def drawn(n, c, h, w, seed):
    return torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(seed))


def gen(seed):
    return torch.Generator().manual_seed(seed)


@given(**SIZES, margin=st.integers(1, 3), seed=SEED)
def test_a_crop_is_the_image_moved(n, c, h, w, margin, seed):
    images = drawn(n, c, h, w, seed)
    found, g = crop(images, margin, gen(seed)), gen(seed)
    top, left = (torch.randint(2 * margin + 1, (n, 1, 1, 1), generator=g).flatten() for _ in range(2))
    for i in range(n):
        for y in range(h):
            for x in range(w):
                a, b = y + int(top[i]) - margin, x + int(left[i]) - margin
                there = images[i, :, a, b] if 0 <= a < h and 0 <= b < w else torch.zeros(c)
                assert torch.equal(found[i, :, y, x], there)


@given(**SIZES, seed=SEED)
def test_a_flip_mirrors_some(n, c, h, w, seed):
    images = drawn(n, c, h, w, seed)
    found, turned = flip(images, gen(seed)), torch.rand(n, generator=gen(seed)) < 0.5
    for i in range(n):
        expected = [[[row[w - 1 - x] for x in range(w)] for row in plane] for plane in images[i].tolist()]
        assert found[i].tolist() == (expected if turned[i] else images[i].tolist())


@given(n=st.integers(1, 3), c=st.integers(1, 3), side=st.integers(6, 12), seed=SEED)
def test_what_is_erased_is_one_rectangle(n, c, side, seed):
    images = drawn(n, c, side, side, seed)
    found = erase(images, gen(seed + 1), share=1.0)  # a stream of its own: the same one may draw a pixel's value again
    for before, after in zip(images, found, strict=True):
        other = (before != after).any(0)
        rows, columns = other.any(1).nonzero().flatten(), other.any(0).nonzero().flatten()
        assert bool(other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())
        assert not bool(other.sum() != len(rows) * len(columns))
        assert len(rows) * len(columns) <= 0.34 * side * side + 2 * side
    assert torch.equal(erase(images, gen(seed), share=0.0), images)


@given(**SIZES, alpha=st.sampled_from([0.2, 1.0, 3.0]), seed=SEED)
def test_mixup_adds_two_images(n, c, h, w, alpha, seed):
    images = drawn(n, c, h, w, seed)
    found = mixup(images, alpha, gen(seed))
    assert 0 <= found.own <= 1
    assert sorted(found.others.tolist()) == list(range(n))
    for i, j in enumerate(found.others.tolist()):
        torch.testing.assert_close(found.images[i], found.own * images[i] + (1 - found.own) * images[j])


@given(**SIZES, alpha=st.sampled_from([0.2, 1.0, 3.0]), seed=SEED)
def test_cutmix_takes_a_rectangle_of_the_area_that_it_tells(n, c, h, w, alpha, seed):
    images = drawn(n, c, h, w, seed)
    found = cutmix(images, alpha, gen(seed))
    taken = set()
    for i, j in enumerate(found.others.tolist()):
        for y in range(h):
            for x in range(w):
                if not torch.equal(found.images[i, :, y, x], images[i, :, y, x]):
                    assert torch.equal(found.images[i, :, y, x], images[j, :, y, x])
                    taken.add((y, x))
    assert len(taken) <= (1 - found.own) * h * w + 1e-6
    if all(i != j for i, j in enumerate(found.others.tolist())) and n > 1:
        assert len(taken) == pytest.approx((1 - found.own) * h * w, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_beta_has_its_moments(alpha):
    g = gen(0)
    found = torch.tensor([beta(alpha, g) for _ in range(4000)])
    assert float(found.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(found.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_views_are_the_image_mirrored_and_moved():
    images = torch.arange(9.0).view(1, 1, 3, 3)
    found = views(images, ("flip", "shift"))
    assert torch.equal(found[0], images)
    assert found[1][0, 0, 0].tolist() == [2, 1, 0]
    assert found[2][0, 0].tolist() == [[0, 0, 0], [0, 1, 2], [3, 4, 5]]
    assert len(found) == 6
