"""Tables: what is read equals a loop over the lines, and what cannot be used is refused with its name."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import penjing
from penjing.errors import DataError


def written(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def flowers(path, rows=30, mark=","):
    g = torch.Generator().manual_seed(3)
    lines = [mark.join(("long", "wide", "name", "sort"))]
    for i in range(rows):
        kind = i % 3
        a, b = (torch.randn(2, generator=g) + 4 * kind).tolist()
        lines.append(mark.join((f"{a:.4f}", f"{b:.4f}", f"plant {i}", ("iris", "rose", "vine")[kind])))
    return written(path, lines)


@given(
    rows=st.lists(st.tuples(st.integers(-50, 50), st.integers(-9, 9), st.floats(-5, 5)), min_size=10, max_size=30),
    seed=st.integers(0, 9),
)
def test_equals_the_loop(tmp_path_factory, rows, seed):
    path = written(
        tmp_path_factory.mktemp("t") / "t.csv", ["a,b,y", *(f"{a},{b},{y!r}" for a, b, y in rows)]
    )
    found = penjing.table(path, target="y", kind="amount", seed=seed)
    judged = [line - 2 for line in found.lines]
    training = [r for i, r in enumerate(rows) if i not in judged]
    assert len(judged) == round(0.2 * len(rows))
    for place in range(2):
        column = [float(r[place]) for r in training]
        mean = sum(column) / len(column)
        std = math.sqrt(sum((v - mean) ** 2 for v in column) / (len(column) - 1)) or 1.0
        wanted = torch.tensor([(v - mean) / std for v in column])
        torch.testing.assert_close(found.training[0][:, place], wanted, rtol=1e-4, atol=1e-5)
        held = torch.tensor([(float(rows[i][place]) - mean) / std for i in judged])
        torch.testing.assert_close(found.judged[0][:, place], held, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.training[1], torch.tensor([r[2] for r in training]))


def test_a_target_of_words_is_one_of_classes(tmp_path):
    found = penjing.table(flowers(tmp_path / "f.csv"), target="sort", drop=["name"])
    assert (found.features, found.classes) == (("long", "wide"), ("iris", "rose", "vine"))
    inputs, labels = found.batches[0]
    assert (list(inputs.shape), labels.dtype) == ([24, 2], torch.int64)
    assert list(found.held_out[0].shape) == [6, 2]


def test_a_module_is_shrunk_and_judged_by_a_table(tmp_path):
    found = penjing.table(flowers(tmp_path / "f.csv", rows=60, mark=";"), target="sort", drop=["name"])
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(60):
        inputs, labels = found.training
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        optimiser.step()
    done = penjing.shrink(
        net.eval(), example=found.example, data=found.batches, held_out=found.held_out, metric=found.metric, keep=0.5,
        settings={"multiple": 1}, speed=False, progress=False,
    )  # fmt: skip
    before, after = (s.figure("metric:accuracy") for s in done.report.subjects)
    right = int((net(found.judged[0]).argmax(1) == found.judged[1]).sum())
    assert before.value == right / 12
    assert before.value > 0.9
    assert (before.n, before.better, before.chance) == (12, "higher", pytest.approx(1 / 3))
    assert after.spread is not None
    assert done.module[0].out_features == 8


def test_a_method_that_needs_a_loss_has_its_labels(tmp_path):
    found = penjing.table(flowers(tmp_path / "f.csv"), target="sort", drop=["name"])
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    plan = penjing.plan(
        net, method="taylor", keep=0.5, data=found.batches, example=found.example, settings={"multiple": 1}
    )
    assert [len(units) for units in plan.keeps().values()] == [8]


def test_an_amount_is_judged_by_its_error(tmp_path):
    lines = ["x,z,price", *(f"{i},{i % 3},{2 * i + 0.5}" for i in range(20))]
    found = penjing.table(written(tmp_path / "p.csv", lines), target="price", standardise=False)
    assert found.classes == ()

    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x[:, :1]

    figure = found.metric(Twice())["rmse"]
    assert figure.value == pytest.approx(0.5)
    assert (figure.unit, figure.better, figure.n) == ("price", "lower", 4)
    with pytest.raises(DataError, match=r"gave \[4, 2\] for price, needed \[4 1\]"):
        found.metric(nn.Identity())


@pytest.mark.parametrize(
    ("lines", "changes", "said"),
    [
        (["a,b,y", "1,2,0", "1,x,1"], {}, r"not numbers: b \(such as 'x'\).*drop=\['b'\]"),
        (["a,b,y", "1,2,0", ",2,1", "NA,1,0"], {}, r"missing values in a \(2: line 3, 4\).*missing='drop'"),
        (["a,b,y", "1,2,0", "1,2"], {}, "line 3: found 2 values, needed 3"),
        (["a,a,y", "1,2,0"], {}, "a names several columns"),
        (["1,2,3", "1,2,0"], {}, "first line with the names"),
        (["a,b,y", "1,2,0", "2,1,1"], {"target": "z"}, r"no column 'z'.*it has a, b, y"),
        (["a,b,y", "1,2,0", "2,1,1"], {"drop": ["c"]}, "no column 'c'"),
        (["a,b,y", "1,2,0", "2,1,1"], {}, "found 2 whole rows, needed 2 to plan from and 2 held out"),
        (["a,b,y", *["1,2,4"] * 20], {"kind": "classes"}, "y is the same in all rows"),
        (["a,b,y", "1,2,0"], {"held_out": 1.0}, "found held_out=1"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_do(tmp_path, lines, changes, said):
    with pytest.raises(DataError, match=said):
        penjing.table(written(tmp_path / "t.csv", lines), **{"target": "y", **changes})


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="CSV file in UTF-8"):
        penjing.table(tmp_path / "t.csv", target="b")
    with pytest.raises(DataError, match="cannot be read as a table"):
        penjing.table(tmp_path / "nowhere.csv", target="b")


def test_rows_with_missing_values_may_be_left_out(tmp_path):
    lines = ["a,b,y", *(f"{i},{'' if i % 5 == 0 else i},{i % 2}" for i in range(20))]
    found = penjing.table(written(tmp_path / "t.csv", lines), target="y", missing="drop")
    assert found.left_out == 4
    assert len(found.training[0]) + len(found.judged[0]) == 16
    assert found.classes == ("0", "1")
