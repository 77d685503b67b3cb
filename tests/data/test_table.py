"""Tables: what is read equals a loop over the lines, and what cannot be used is refused with its name."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import penjing
from penjing.errors import DataError, RequestError


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
    path = written(tmp_path_factory.mktemp("t") / "t.csv", ["a,b,y", *(f"{a},{b},{y!r}" for a, b, y in rows)])
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


def filled(path, value, rows=40, head="a,y"):
    """A table of so many rows, each what `value` gives for its number."""
    return written(path / "t.csv", [head, *(value(i) for i in range(rows))])


def labels(found):
    """The class name of each row, by its line in the file."""
    return dict(zip(found.lines, [found.classes[i] for i in found.judged[1].tolist()], strict=True))


@pytest.mark.parametrize(
    "names", [("1000001", "1000002"), ("0.1234567", "0.1234568"), ("9007199254740992", "9007199254740993")]
)
def test_numbers_that_differ_are_classes_apart_named_as_they_stand(tmp_path, names):
    found = penjing.table(filled(tmp_path, lambda i: f"{i},{names[i % 2]}"), target="y", kind="classes")
    assert found.classes == names
    assert labels(found) == {line: names[line % 2] for line in found.lines}


def test_a_number_written_in_two_ways_is_one_class(tmp_path):
    found = penjing.table(filled(tmp_path, lambda i: f"{i},{('10', '2', '2.0')[i % 3]}"), target="y", kind="classes")
    assert found.classes == ("2", "10")


@pytest.mark.parametrize("word", ["none", "None", "null", "na", "N/A", "nan", "?"])
@pytest.mark.parametrize("missing", ["refuse", "drop"])
@pytest.mark.parametrize("kind", ["auto", "classes"])
def test_a_word_among_words_is_a_class(tmp_path, word, missing, kind):
    names = (word, "mild", "severe")
    path = filled(tmp_path, lambda i: f"{i},{names[i % 3]}")
    found = penjing.table(path, target="y", missing=missing, kind=kind)
    assert (found.classes, found.left_out) == (tuple(sorted(names)), 0)
    assert labels(found) == {line: names[(line - 2) % 3] for line in found.lines}


def test_an_empty_cell_among_words_is_missing(tmp_path):
    path = filled(tmp_path, lambda i: f"{i},{('', 'none', 'mild', 'severe')[i % 4]}")
    with pytest.raises(DataError, match=r"missing values in y \(10: line 2, 6, 10 and 7 more\)"):
        penjing.table(path, target="y")
    found = penjing.table(path, target="y", missing="drop")
    assert (found.classes, found.left_out) == (("mild", "none", "severe"), 10)


@pytest.mark.parametrize("kind", ["auto", "classes", "amount"])
def test_a_word_for_no_value_among_numbers_is_missing(tmp_path, kind):
    path = filled(tmp_path, lambda i: f"{i},{('NA', '0', '1', '?')[i % 4]}")
    with pytest.raises(DataError, match=r"missing values in y \(20: line 2, 5, 6 and 17 more\)"):
        penjing.table(path, target="y", kind=kind)
    assert penjing.table(path, target="y", kind=kind, missing="drop").left_out == 20


@pytest.mark.parametrize("text", ["1_{}", "\u0661{}", "0x{}", "inf{}"])
def test_text_that_only_python_takes_for_a_number_is_text(tmp_path, text):
    path = filled(tmp_path, lambda i: f"{text.format(i)},{i % 2}")
    with pytest.raises(DataError, match=rf"not numbers: a \(such as '{text.format(0)}'\)"):
        penjing.table(path, target="y")


@given(st.floats(-3e38, 3e38) | st.integers(-(10**30), 10**30))
def test_every_number_that_python_writes_is_a_number(tmp_path_factory, value):
    path = filled(tmp_path_factory.mktemp("t"), lambda i: f"{i},{value!r}")
    found = penjing.table(path, target="y", kind="amount")
    torch.testing.assert_close(found.judged[1], torch.full([8], float(value)))


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("value", ["1e300", "-1e300", "1e999"])
@pytest.mark.parametrize(("place", "kind"), [("a", "classes"), ("y", "amount")])
def test_a_number_too_large_for_the_module_is_refused_by_its_place(tmp_path, standardise, value, place, kind):
    def row(i):
        odd = value if i == 5 else str(i % 2)
        return f"{odd},{i % 2}" if place == "a" else f"{i % 2},{odd}"

    with pytest.raises(DataError, match=rf"too large for float32: {place} \({value} in line 7\)"):
        penjing.table(filled(tmp_path, row), target="y", kind=kind, standardise=standardise)


def test_a_number_that_the_scale_makes_too_large_is_refused_by_its_place(tmp_path):
    def rows(odd):
        return filled(tmp_path, lambda i: f"{'1e20' if i + 2 == odd else f'{i}e-60'},{i % 2}")

    line = penjing.table(rows(0), target="y").lines[0]
    with pytest.raises(DataError, match=f"a in line {line} cannot be standardised"):
        penjing.table(rows(line), target="y")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_out": "0.2"}, "held_out='0.2', needed a share.* such as 0.2"),
        ({"held_out": True}, "held_out=True, needed a share"),
        ({"held_out": None}, "held_out=None, needed a share"),
        ({"missing": "ignore"}, "missing='ignore', needed 'refuse' or 'drop'"),
        ({"missing": "dorp"}, "missing='dorp', .*did you mean 'drop'"),
        ({"missing": None}, "missing=None, needed 'refuse' or 'drop'"),
        ({"kind": "klasses"}, "kind='klasses', needed 'auto', 'classes' or 'amount'; did you mean 'classes'"),
        ({"kind": ["classes"]}, r"kind=\['classes'\], needed 'auto'"),
        ({"drop": 3}, "drop=3, needed the name of a column or a list of names"),
        ({"drop": [3]}, r"drop=\[3\], needed the name of a column or a list of names"),
        ({"drop": None}, "drop=None, needed the name"),
        ({"target": 1}, "target=1, needed the name of a column"),
        ({"seed": "0"}, "seed='0', needed a whole number"),
        ({"standardise": "no"}, "standardise='no', needed True or False"),
    ],
)
def test_a_choice_that_is_none_is_refused(tmp_path, changes, said):
    with pytest.raises(RequestError, match=said):
        penjing.table(filled(tmp_path, lambda i: f"{i},{i % 2}"), **{"target": "y", **changes})


def test_one_column_to_drop_may_be_given_by_its_name(tmp_path):
    path = filled(tmp_path, lambda i: f"{i},{i},{i % 2}", head="age,b,y")
    assert penjing.table(path, target="y", drop="age").features == ("b",)
    with pytest.raises(DataError, match="no column 'aeg'; did you mean 'age'"):
        penjing.table(path, target="y", drop="aeg")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("other", [",", ";", "\t", "|"])
def test_a_mark_within_quotes_parts_no_columns(tmp_path, mark, other):
    head = mark.join((f'"price{other} in{other} EUR{other} net"', "qty", "y"))
    path = filled(tmp_path, lambda i: mark.join((str(i), f'"{i}"', str(i % 2))), head=head)
    assert penjing.table(path, target="y").features == (f"price{other} in{other} EUR{other} net", "qty")


def test_commas_in_names_without_quotes_part_no_columns_of_a_file_with_semicolons(tmp_path):
    path = filled(tmp_path, lambda i: f"{i};{i};{i % 2}", head="price, in, EUR;qty;y")
    assert penjing.table(path, target="y").features == ("price, in, EUR", "qty")


@pytest.mark.parametrize("missing", ["refuse", "drop"])
def test_all_that_is_wrong_is_said_at_once(tmp_path, missing):
    def row(i):
        return f"{'' if i == 1 else i},{'red' if i == 2 else ''},{'1e300' if i == 3 else 1},{i},{i % 2}"

    path = filled(tmp_path, lambda i: row(i).replace(",,", ",7,"), head="gap,word,large,good,y")
    with pytest.raises(DataError) as caught:
        penjing.table(path, target="y", missing=missing)
    said = str(caught.value)
    assert ("missing values in gap (1: line 3)" in said) == (missing == "refuse")
    assert "not numbers: word (such as 'red')" in said
    assert "too large for float32: large (1e300 in line 5)" in said
    assert "good" not in said


def test_what_is_wrong_in_a_row_that_is_left_out_does_not_matter(tmp_path):
    path = filled(tmp_path, lambda i: ",red,1" if i == 3 else f"{i},{i},{i % 2}", head="a,b,y")
    assert penjing.table(path, target="y", missing="drop").left_out == 1
    with pytest.raises(DataError, match=r"missing values in a \(1: line 5\).*not numbers: b \(such as 'red'\)"):
        penjing.table(path, target="y")


def test_a_target_of_words_is_no_amount_and_is_not_to_be_dropped(tmp_path):
    path = filled(tmp_path, lambda i: f"{i},{'ab'[i % 2]}")
    with pytest.raises(DataError, match=r"not numbers: y \(such as 'a'\).*kind='classes'") as caught:
        penjing.table(path, target="y", kind="amount")
    assert "drop=" not in str(caught.value)
