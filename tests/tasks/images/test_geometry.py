"""Angle, length and margin equal naive loops; the formulas' pitfalls are covered; the last layer is found."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.images.models import PLAIN, Net, images
from torch import nn

from penjing.errors import MeasureError
from penjing.tasks.images import FeatureGeometry, class_angles, flips, geometry, last_linear, shift
from penjing.tasks.images.geometry import by_parts
from penjing.tasks.task import Examined


def drawn(n=7, f=5, c=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, f, generator=g).relu(), torch.randn(c, f, generator=g), torch.randn(c, generator=g), (
        torch.randint(c, (n,), generator=g)
    )


def naive(h, w, b, y):
    """Section 3 of the paper, one image at a time, in plain floats."""
    h, w, b = h.double().tolist(), w.double().tolist(), b.double().tolist()
    out = []
    for x, label in zip(h, y.tolist(), strict=True):
        dot = [sum(p * q for p, q in zip(x, row, strict=True)) for row in w]
        length = math.sqrt(sum(p * p for p in x))
        size = [math.sqrt(sum(p * p for p in row)) for row in w]
        cosine = [d / (length * s) if length * s else 0.0 for d, s in zip(dot, size, strict=True)]
        angle = [math.degrees(math.acos(max(-1.0, min(1.0, c)))) for c in cosine]
        best = None
        for c in range(len(w)):
            if c != label:
                apart = math.sqrt(sum((p - q) ** 2 for p, q in zip(w[label], w[c], strict=True)))
                d = (dot[label] - dot[c] + b[label] - b[c]) / apart
                best = (d, c) if best is None or d < best[0] else best
        out.append((angle[label], length, best[0], best[0] / length if length else 0.0, best[1], angle[best[1]]))
    return list(zip(*out, strict=True))


@settings(max_examples=20)
@given(n=st.integers(1, 8), f=st.integers(1, 6), c=st.integers(2, 5), seed=st.integers(0, 99))
def test_it_equals_the_loop(n, f, c, seed):
    h, w, b, y = drawn(n, f, c, seed)
    g = geometry(h, w, b, y)
    angle, length, margin, relative, rival, rival_angle = naive(h, w, b, y)
    for found, expected in (
        (g.angle, angle), (g.length, length), (g.margin, margin), (g.relative, relative), (g.rival_angle, rival_angle),
    ):  # fmt: skip
        # The arc cosine loses half the digits near 0 and 180 degrees.
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-5)
    assert g.rival.tolist() == list(rival)
    assert g.correct.tolist() == [bool(m > 0) for m in margin]


def test_the_margin_is_that_of_lengths_and_angles():
    h, w, b, y = drawn()
    g = geometry(h, w, b, y)
    sizes = w.double().norm(dim=1)
    own = sizes[y] * g.angle.deg2rad().cos()
    other = sizes[g.rival] * g.rival_angle.deg2rad().cos()
    apart = (w[y] - w[g.rival]).double().norm(dim=1)
    torch.testing.assert_close(g.margin, (g.length * (own - other) + (b[y] - b[g.rival]).double()) / apart)


def test_the_margin_is_the_way_to_the_boundary():
    h, w, b, y = drawn()
    g = geometry(h, w, b, y)
    direction = (w[y] - w[g.rival]).double()
    moved = h.double() - g.margin[:, None] * direction / direction.norm(dim=1, keepdim=True)
    z = moved @ w.double().T + b.double()
    each = torch.arange(len(y))
    torch.testing.assert_close(z[each, y], z[each, g.rival])


def test_features_of_length_zero_are_at_ninety_degrees_and_counted():
    _, w, b, _ = drawn()
    g = geometry(torch.zeros(2, 5), w, b, torch.tensor([0, 1]))
    assert g.dead == 2
    assert g.angle.tolist() == [90.0, 90.0]
    assert g.relative.tolist() == [0.0, 0.0]
    assert bool(g.margin.isfinite().all())


def test_parallel_features_do_not_leave_the_arc_cosine():
    w = torch.tensor([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    g = geometry(w[:1] * 3.3, w, None, torch.tensor([0]))
    assert float(g.angle) == pytest.approx(0, abs=1e-3)
    assert float(g.rival_angle) == pytest.approx(180, abs=1e-3)


def test_equal_class_directions_have_no_boundary():
    w = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    h = torch.ones(1, 2)
    assert float(geometry(h, w, torch.tensor([1.0, 0.0]), torch.tensor([0])).margin) == math.inf
    assert float(geometry(h, w, torch.tensor([0.0, 1.0]), torch.tensor([0])).margin) == -math.inf
    assert float(geometry(h, w, None, torch.tensor([0])).margin) == 0.0


def test_scaling_features_scales_length_and_margin_only():
    h, w, _, y = drawn()
    one, two = geometry(h, w, None, y), geometry(h * 3, w, None, y)
    torch.testing.assert_close(two.angle, one.angle, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(two.length, one.length * 3)
    torch.testing.assert_close(two.margin, one.margin * 3)
    torch.testing.assert_close(two.relative, one.relative)


def test_class_angles_equal_the_formula():
    found = class_angles(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, -2.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 45, 90], [45, 0, 135], [90, 135, 0]], dtype=torch.float64))


def test_flips_are_of_four_kinds():
    found = flips(torch.tensor([1, 1, 0, 0, 1]), torch.tensor([1, 0, 1, 0, 0]))
    assert {k: v.tolist() for k, v in found.items()} == {
        "fragile": [1, 4], "rescued": [2], "stable right": [0], "stable wrong": [3],
    }  # fmt: skip
    with pytest.raises(MeasureError, match="same ones"):
        flips(torch.ones(2), torch.ones(3))


def test_a_shift_is_the_mean_of_differences():
    h, w, b, y = drawn(20)
    one, two = geometry(h, w, b, y), geometry(h * 0.5, w, b, y)
    predicted = [(x @ w.T + b).argmax(1) for x in (h, h * 0.5)]
    found = shift(one, two, predicted=(predicted[0], predicted[1]))
    assert found.length == pytest.approx(float((two.length - one.length).mean()))
    assert found.length < 0
    assert found.angle == pytest.approx(0, abs=1e-5)
    pairs = torch.stack([one.margin, two.margin])
    assert found.margin_correlation == pytest.approx(float(torch.corrcoef(pairs)[0, 1]))
    assert found.agreement == pytest.approx(float((predicted[0] == predicted[1]).double().mean()))
    same = shift(one, one, predicted=(y, y))
    assert (same.margin_rank_correlation, same.agreement, same.infinite) == (pytest.approx(1), 1.0, 0)


def test_parts_go_from_the_lowest_up():
    assert by_parts(torch.tensor([3.0, 1, 2, 0]), torch.tensor([30.0, 10, 20, 0]), 2) == [5, 25]
    with pytest.raises(MeasureError, match="for 5 parts"):
        by_parts(torch.zeros(4), torch.zeros(4))


@pytest.mark.parametrize(
    ("h", "w", "y", "said"),
    [
        (torch.zeros(2, 3), torch.zeros(1, 3), [0, 0], "no rival"),
        (torch.zeros(2, 3), torch.zeros(2, 4), [0, 0], "needed"),
        (torch.full((2, 3), math.nan), torch.zeros(2, 3), [0, 0], "not finite"),
        (torch.zeros(2, 3), torch.zeros(2, 3), [0, 2], "outside the 2 outputs"),
    ],
)
def test_what_does_not_fit_is_refused(h, w, y, said):
    with pytest.raises(MeasureError, match=said):
        geometry(h, w, None, torch.tensor(y))


def test_the_last_linear_layer_is_found_by_running():
    name, layer = last_linear(net := Net().eval(), torch.zeros(2, 1, 8, 8))
    assert (name, layer) == ("head", net.head)
    with pytest.raises(MeasureError, match="none of the 2 linear layers"):
        last_linear(nn.Sequential(Net(), nn.Softmax(1)).eval(), torch.rand(2, 1, 8, 8))


def run(net, data, **options):
    task = FeatureGeometry(images=data, prepare=PLAIN, **options)
    return {m.name: m for m in task.run(Examined(name="net", module=net))}


@pytest.mark.parametrize("bias", [True, False])
def test_the_task_gives_the_means_of_what_the_layer_sees(bias):
    data, net = images(), Net(bias=bias).eval()
    found = run(net, data, kinds=("gaussian_noise",), severities=(5,), batch=7)
    with torch.inference_mode():
        h = net.body(PLAIN(data.pixels[torch.arange(24)]))
    g = geometry(h, net.head.weight.detach(), net.head.bias.detach() if bias else None, data.labels)
    assert found["feature_geometry:angle"].value == pytest.approx(float(g.angle.mean()), rel=1e-5)
    assert found["feature_geometry:length"].value == pytest.approx(float(g.length.mean()), rel=1e-5)
    assert found["feature_geometry:margin"].items["score"] == pytest.approx(g.margin.tolist(), rel=1e-3, abs=1e-5)
    main = found["feature_geometry"]
    assert main.value == pytest.approx(float(g.relative.mean()), rel=1e-3)
    assert main.details["bias"] is bias
    assert set(main.details["corrupted"]) == {"gaussian_noise/5"}
    assert len(main.items["gaussian_noise/5"]) == 24
    assert "pixels=sha256:" in main.protocol


def test_a_dead_layer_is_said():
    net = Net().eval()
    nn.init.zeros_(net.body[1].weight)
    nn.init.constant_(net.body[1].bias, -1.0)
    found = run(net, images())["feature_geometry:angle"]
    assert found.value == 90.0
    assert "24 images have features of length 0" in found.note


def test_a_named_layer_that_is_not_there_suggests_one():
    with pytest.raises(MeasureError, match="did you mean 'head'"):
        run(Net().eval(), images(), layer="haed")


def test_what_is_no_module_is_refused():
    with pytest.raises(MeasureError, match="needed a torch module"):
        run(lambda x: x, images())
