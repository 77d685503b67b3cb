"""Corruptions are deterministic, belong to an image alone, and do what their formulas say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import DataError, MissingExtraError
from penjing.tasks.images.corruptions import COMMON, EXTRA, SEVERITIES, blur, corrupt, digital, label, noise, weather
from penjing.tasks.images.corruptions.constants import AT_LARGE, AT_SMALL, IN_PIXELS, constants
from penjing.tasks.images.corruptions.draw import Draw
from penjing.tasks.images.corruptions.filters import along, box, disk, folded, gaussian, plasma, sampled, zoomed

try:
    import PIL

    PILLOW = bool(PIL)
except ImportError:
    PILLOW = False

ALL = (*COMMON, *EXTRA)
needs_pillow = pytest.mark.skipif(not PILLOW, reason="Pillow is not installed")
EVERY = [pytest.param(k, marks=needs_pillow if k == "jpeg_compression" else ()) for k in ALL]


def pictures(n=4, height=32, width=32, channels=3):
    """Soft shapes with edges, so that blur and noise both have something to spoil."""
    g = torch.Generator().manual_seed(n)
    rows, columns = torch.arange(height)[:, None] / height, torch.arange(width) / width
    out = []
    for _ in range(n):
        a, b, c = torch.rand(3, generator=g).tolist()
        shape = torch.sin(9 * a * rows + 7 * columns) * 0.3 + 0.5 + 0.3 * ((rows - b) ** 2 + (columns - c) ** 2 < 0.05)
        out.append(torch.stack([shape * t for t in (1.0, 0.8, 0.6)][:channels], dim=-1))
    return (torch.stack(out).clamp(0, 1) * 255).round().byte()


def ids(n):
    return [f"image {i}" for i in range(n)]


def draw(n=1, seed=0):
    return Draw([f"{seed};{i}" for i in range(n)])


@pytest.mark.parametrize("kind", EVERY)
def test_an_image_gets_the_same_whatever_its_batch(kind):
    x = pictures(5)
    whole = corrupt(x, kind, 3, ids=ids(5), seed=1)
    assert torch.equal(whole, corrupt(x, kind, 3, ids=ids(5), seed=1))
    some = [3, 0]
    assert torch.equal(whole[some], corrupt(x[some], kind, 3, ids=[ids(5)[i] for i in some], seed=1))


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (33, 21, 3), (4, 4, 3), (28, 40, 1)])
def test_odd_sizes_and_grey_images_keep_shape_and_type(kind, height, width, channels):
    x = pictures(2, height, width, channels)
    for severity in (1, 5):
        found = corrupt(x, kind, severity, ids=ids(2))
        assert (found.shape, found.dtype) == (x.shape, torch.uint8)
    assert torch.equal(x, pictures(2, height, width, channels)), "the pixels given were changed"


@pytest.mark.parametrize("kind", ["gaussian_noise", "fog", "frost", "elastic_transform", "glass_blur", "snow"])
def test_seed_severity_and_id_change_what_is_random(kind):
    x = pictures(1).expand(3, -1, -1, -1)
    one = corrupt(x, kind, 2, ids=ids(3), seed=0)
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, corrupt(x, kind, 2, ids=ids(3), seed=1))
    assert not torch.equal(one, corrupt(x, kind, 3, ids=ids(3), seed=0))


RISING = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur", "gaussian_blur", "zoom_blur"),
    *("motion_blur", "fog", "brightness", "contrast", "pixelate", "jpeg_compression"),
)


@pytest.mark.parametrize("kind", [p for p in EVERY if p.values[0] in RISING])
def test_error_rises_with_severity(kind):
    x = pictures(8)
    errors = [(corrupt(x, kind, s, ids=ids(8)).float() - x.float()).square().mean() for s in SEVERITIES]
    assert 0 < errors[0] < errors[-1]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("made", "limit"),
    [
        (noise.gaussian_noise, (0.0,)),
        (noise.speckle_noise, (0.0,)),
        (noise.impulse_noise, (0.0,)),
        (blur.gaussian_blur, (0.0,)),
        (blur.defocus_blur, (0.0, 0.0)),
        (blur.motion_blur, (0.0, 0.0)),
        (blur.zoom_blur, (1.0, 5)),
        (blur.glass_blur, (0.0, 1, 0)),
        (weather.brightness, (0.0,)),
        (weather.fog, (0.0, 2.0)),
        (weather.frost, (1.0, 0.0)),
        (digital.contrast, (1.0,)),
        (digital.saturate, (1.0, 0.0)),
        (digital.pixelate, (1.0,)),
        (digital.elastic_transform, (0.0, 0.0, 0.0)),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_no_strength_gives_the_image_back(made, limit):
    x = pictures(2, 9, 12).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(made(x, draw(2), *limit), x, atol=2e-5, rtol=0)


def test_uniform_numbers_are_even_and_normal_ones_normal():
    u, z = draw(2).uniform(200, 100), draw(2, seed=1).normal(200, 100)
    assert bool((u > 0).all() and (u < 1).all())
    assert abs(float(u.mean()) - 0.5) < 0.01
    assert abs(float(z.mean())) < 0.02
    assert abs(float(z.std()) - 1) < 0.02
    assert abs(float((z.abs() < 1).float().mean()) - 0.6827) < 0.01
    assert not torch.equal(u[0], u[1])
    assert sorted(draw(1).whole(-2, 3, 500).unique().tolist()) == [-2, -1, 0, 1, 2]


def test_streams_stay_as_they_are():
    """Stored figures name their pixels by hash: a change here needs a new VERSION of the corruptions."""
    assert [round(v, 6) for v in Draw(["a"]).uniform(3)[0].tolist()] == [0.164411, 0.28952, 0.023354]


@pytest.mark.parametrize("photons", [3.0, 60.0, 500.0])
def test_shot_noise_has_poissons_mean_and_variance(photons):
    level = 128
    found = noise.shot_noise(torch.full((1, 1, 200, 200), level / 255), draw(), photons) * photons
    rate = level / 255 * photons
    assert float((found - found.round()).abs().max()) < 1e-3
    assert abs(float(found.mean()) - rate) < 5 * math.sqrt(rate / 40_000)
    assert abs(float(found.var()) / rate - 1) < 0.05
    assert float(noise.shot_noise(torch.zeros(1, 1, 5, 5), draw(), photons).abs().max()) == 0


def test_impulse_noise_hits_the_stated_share():
    found = noise.impulse_noise(torch.full((1, 1, 300, 300), 0.5), draw(), 0.2)
    assert abs(float((found != 0.5).float().mean()) - 0.2) < 0.01
    assert abs(float((found == 1).float().mean()) - 0.1) < 0.01


@settings(max_examples=20)
@given(length=st.integers(1, 9), place=st.integers(-30, 30), edge=st.sampled_from(["nearest", "mirror", "mirror101"]))
def test_folding_walks_to_and_fro(length, place, edge):
    line = list(range(length))
    if edge == "nearest" or length == 1:
        expected = min(max(place, 0), length - 1)
    else:
        there = line + (line[::-1] if edge == "mirror" else line[-2:0:-1])
        expected = there[place % len(there)]
    assert int(folded(torch.tensor([place]), length, edge)) == expected


@settings(max_examples=8)
@given(size=st.integers(3, 6), sigma=st.floats(0.2, 3), edge=st.sampled_from(["nearest", "mirror"]))
def test_smoothing_equals_the_loop(size, sigma, edge):
    x = torch.rand(1, 1, size, size + 1, generator=torch.Generator().manual_seed(size))
    radius = int(4 * sigma + 0.5)
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]
    expected = torch.zeros_like(x)
    for i in range(size):
        for j in range(size + 1):
            for a, wa in zip(range(-radius, radius + 1), taps, strict=True):
                for b, wb in zip(range(-radius, radius + 1), taps, strict=True):
                    if wa * wb < 1e-9:
                        continue
                    row = int(folded(torch.tensor([i + a]), size, edge))
                    column = int(folded(torch.tensor([j + b]), size + 1, edge))
                    expected[0, 0, i, j] += wa * wb * x[0, 0, row, column]
    torch.testing.assert_close(gaussian(x, sigma, edge=edge), expected / sum(taps) ** 2, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("edge", "called"), [("nearest", "nearest"), ("mirror", "reflect")])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 6.0])
def test_smoothing_is_that_of_scipy(sigma, edge, called):
    from scipy.ndimage import gaussian_filter

    x = torch.rand(2, 3, 17, 24, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy(gaussian_filter(x.numpy(), sigma, mode=called, axes=(2, 3)))
    torch.testing.assert_close(gaussian(x, sigma, edge=edge), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("edge", "called"), [("nearest", "nearest"), ("mirror101", "mirror")])
def test_sampling_between_pixels_is_that_of_scipy(edge, called):
    from scipy.ndimage import map_coordinates

    g = torch.Generator().manual_seed(0)
    x, rows, columns = torch.rand(1, 1, 7, 9, generator=g), *torch.rand(2, 1, 7, 9, generator=g).double() * 18 - 5
    expected = map_coordinates(x[0, 0].numpy(), [rows[0].numpy(), columns[0].numpy()], order=1, mode=called)
    torch.testing.assert_close(sampled(x, rows, columns, edge)[0, 0], torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_dragging_along_the_rows_equals_the_loop():
    x = torch.rand(2, 1, 5, 9, generator=torch.Generator().manual_seed(0))
    found = along(x, 2, 1.5, torch.tensor([0.0, 90.0]))
    taps = torch.tensor([math.exp(-0.5 * (k / 1.5) ** 2) for k in range(5)])
    taps = taps / taps.sum()
    for j in range(9):
        across = sum(w * x[0, 0, :, min(j + k, 8)] for k, w in enumerate(taps))
        torch.testing.assert_close(found[0, 0, :, j], across)
    for i in range(5):
        down = sum(w * x[1, 0, min(i + k, 4), :] for k, w in enumerate(taps))
        torch.testing.assert_close(found[1, 0, i, :], down)


def test_a_disk_sums_to_one_and_is_round():
    for radius, alias in ((0.3, 0.4), (1.5, 0.1), (10, 0.5)):
        kernel = disk(radius, alias)
        torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
        torch.testing.assert_close(kernel, kernel.T)
        torch.testing.assert_close(kernel, kernel.flip(0))
    assert int((disk(3, 0.0) > 0).sum()) == 29  # whole-number points within 3 of the origin


def test_zooming_enlarges_about_the_middle():
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 3:6, 3:6] = 1
    found = zoomed(x, 2.0)
    assert float(found.sum()) > 3 * float(x.sum())
    torch.testing.assert_close(found, found.flip(2))
    torch.testing.assert_close(found, found.mT)


def test_sampling_between_pixels_is_a_straight_line():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    rows, columns = torch.full((1, 3, 4), 0.5), torch.full((1, 3, 4), 1.25)
    torch.testing.assert_close(sampled(x, rows, columns, "nearest"), torch.full((1, 1, 3, 4), 3.25))


def test_a_box_is_the_mean_of_pixels_and_back_the_nearest():
    torch.testing.assert_close(box(4, 2), torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))
    torch.testing.assert_close(box(2, 4), torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]]))
    for source, target in ((32, 30), (28, 17), (7, 5)):
        torch.testing.assert_close(box(source, target).sum(1), torch.ones(target))


@needs_pillow
@pytest.mark.parametrize(("source", "target"), [(32, 30), (32, 20), (28, 17), (17, 28), (9, 9)])
def test_boxes_are_those_of_pillow(source, target):
    from PIL import Image

    x = torch.rand(source, source, generator=torch.Generator().manual_seed(0))
    expected = Image.fromarray(x.numpy()).resize((target, target), Image.Resampling.BOX)
    found = box(source, target) @ x @ box(source, target).T
    torch.testing.assert_close(found, torch.from_numpy(np.array(expected)))


def test_plasma_spans_its_range_and_smooths_with_decay():
    def roughness(decay):
        field = plasma(draw(3), 30, 33, decay)
        assert field.shape == (3, 1, 30, 33)
        assert 0 <= float(field.min()) <= float(field.max()) <= 1
        return float(field.diff(dim=3).abs().mean())

    assert roughness(1.3) > roughness(2.0) > roughness(3.0)
    assert tuple(plasma(draw(), 32, 32, 2.0).aminmax()) == (0, 1)


def test_brightness_adds_to_the_value_and_keeps_the_hue():
    import colorsys

    x = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    x[0, :, 0, 0] = 0
    brighter, duller = weather.brightness(x, draw(), 0.2), digital.saturate(x, draw(), 0.3, 0.1)
    for i in range(4):
        for j in range(5):
            h, s, v = colorsys.rgb_to_hsv(*x[0, :, i, j].tolist())
            expected = colorsys.hsv_to_rgb(h, s, min(1, v + 0.2))
            torch.testing.assert_close(brighter[0, :, i, j], torch.tensor(expected), atol=1e-5, rtol=0)
            expected = colorsys.hsv_to_rgb(h, min(1, s * 0.3 + 0.1), v)
            torch.testing.assert_close(duller[0, :, i, j], torch.tensor(expected), atol=1e-5, rtol=0)


def test_glass_moves_pixels_no_further_than_its_reach_per_round():
    x = torch.arange(81.0).view(1, 1, 9, 9)
    found = blur.glass_blur(x, draw(), 0.0, 1, 1)
    assert set(found.flatten().tolist()) <= set(x.flatten().tolist())
    moved = (found - x).long().flatten().tolist()
    assert any(moved)
    assert all(-step // 9 in (0, 1) and -step % 9 in (0, 1) for step in moved)


@needs_pillow
def test_jpeg_is_that_of_pillow():
    from io import BytesIO

    from PIL import Image

    x = pictures(1)
    held = BytesIO()
    Image.fromarray(x[0].numpy()).save(held, "JPEG", quality=58)
    expected = torch.from_numpy(np.array(Image.open(held))).long()
    assert torch.equal(corrupt(x, "jpeg_compression", 3, ids=ids(1))[0].long(), expected)


def test_without_pillow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"'jpeg_compression'.*penjing\[images\]"):
        corrupt(pictures(1), "jpeg_compression", 1, ids=ids(1))


@pytest.mark.parametrize("kind", ALL)
def test_constants_meet_the_published_ones_at_both_sizes_and_lie_between(kind):
    for severity in SEVERITIES:
        small, large = AT_SMALL[kind][severity - 1], AT_LARGE[kind][severity - 1]
        assert constants(kind, severity, 32) == tuple(map(float, small))
        assert constants(kind, severity, 224) == tuple(map(float, large))
        for low, middle, high in zip(small, constants(kind, severity, 96), large, strict=True):
            assert min(low, high) <= middle <= max(low, high)
        for i, value in enumerate(constants(kind, severity, 448)):
            assert value == pytest.approx(large[i] * (2 if i in IN_PIXELS.get(kind, ()) else 1))
        for i, value in enumerate(constants(kind, severity, 16)):
            assert value == pytest.approx(small[i] / (2 if i in IN_PIXELS.get(kind, ()) else 1))


def test_there_are_fifteen_and_four_and_our_own_are_starred():
    assert (len(COMMON), len(EXTRA), len(set(ALL))) == (15, 4, 19)
    assert {k for k in ALL if label(k) != k} == {"frost", "spatter"}


@pytest.mark.parametrize(
    ("kind", "severity", "said"),
    [
        ("gausian_noise", 1, "did you mean 'gaussian_noise'"),
        ("fog", 0, "severities from 1 to 5"),
        ("fog", 6, "severities from 1 to 5"),
    ],
)
def test_unknown_ones_are_refused(kind, severity, said):
    with pytest.raises(DataError, match=said):
        corrupt(pictures(1), kind, severity, ids=ids(1))


@pytest.mark.parametrize(
    ("x", "names", "said"),
    [
        (torch.zeros(1, 8, 8, 3), ["a"], "needed uint8"),
        (torch.zeros(1, 8, 8, 4, dtype=torch.uint8), ["a"], "1 or 3 channels"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), ["a"], "1 ids for 2 images"),
        (torch.zeros(1, 3, 9, 3, dtype=torch.uint8), ["a"], "9 x 3 pixels, needed at least 4"),
    ],
)
def test_pixels_that_do_not_fit_are_refused(x, names, said):
    with pytest.raises(DataError, match=said):
        corrupt(x, "fog", 1, ids=names)


@pytest.mark.parametrize("fill", [0, 255])
@pytest.mark.parametrize("kind", EVERY)
def test_black_and_white_images_survive(kind, fill):
    x = torch.full((1, 12, 12, 3), fill, dtype=torch.uint8)
    assert corrupt(x, kind, 5, ids=["a"]).shape == x.shape
