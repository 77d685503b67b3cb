"""The stretch over which the last token's stream turns least, against a loop."""

import math

import pytest
from tests.methods.drop import deep


def naive(module, count):
    """arccos(cos) / pi at the last token, on the mean over examples, for every start."""
    found = []
    for i in range(deep.BLOCKS - count + 1):
        values = []
        for batch in deep.ROWS:
            h = deep.streams(module, batch["input_ids"])
            for example in range(h[0].shape[0]):
                a, b = h[i][example, -1].double(), h[i + count][example, -1].double()
                values.append(math.acos(float(a @ b / a.norm() / b.norm())) / math.pi)
        found.append(sum(values) / len(values))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deep") / "model"


@pytest.fixture(scope="module")
def module(folder):
    return deep.make(folder)


@pytest.mark.parametrize(("ends", "count"), [(0, 1), (0, 3), (1, 2), (1, 3)])
def test_the_stretch_with_the_smallest_angle_goes(module, folder, ends, count):
    angles = naive(module, count)
    best = min(range(ends, deep.BLOCKS - ends - count + 1), key=lambda i: angles[i])
    plan = deep.plan(folder, "angular", (5 - count) / 5, ends=ends)
    assert plan.keeps()["blocks"] == tuple(k for k in range(5) if not best <= k < best + count)


def test_with_nothing_to_drop_all_stay(module, folder):
    assert deep.plan(folder, "angular", 1.0).keeps()["blocks"] == (0, 1, 2, 3, 4)
