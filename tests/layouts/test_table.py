"""A layout written as a table reads back the same, and a mistake in the table is found and named."""

import json

import pytest

from penjing.core import Axis, Blocks, Entry, Layout, Norm, Work, Writer
from penjing.core.pattern import cut, parse
from penjing.errors import LayoutError
from penjing.layouts.table import check_shapes, from_text, load_layout, rows, save_layout, to_text


def small() -> Layout:
    axes = [
        Axis(name="residual", size=8, state="sensitive", reason="mean in norm", entries=("hidden_size",)),
        *(Axis(name=f"neurons.{i}", size=6, state="free", proofs=("graph",), entries=("width",)) for i in range(3)),
        Axis(name="experts.0", size=4, state="free", least=2),
    ]
    sizes = {a.name: a.size for a in axes}
    text = {f"up.{i}.weight": f"(neurons.{i} + neurons.{i}) residual" for i in range(3)}
    text |= {"q.weight": "(experts.0 3) residual", "bias": "1"}
    return Layout(
        axes={a.name: a for a in axes},
        patterns={t: cut(parse(p), sizes) for t, p in text.items()},
        reads={"q.weight": (1,)},
        aliases={"head.weight": "q.weight"},
        blocks=(Blocks(axis="blocks", path="layers", size=3, entry="depth", lists=("kinds",)),),
        entries=(Entry(path="width", value=6, moves={"neurons.0": 1.0}, scales=("a.b",)),),
        norms=(
            Norm(
                module="norm", kind="rms", axis="residual", weight="norm.weight", readers=("q.weight",), foldable=True
            ),
        ),
        writers=(Writer(tensor="up.0.weight", axis="residual"),),
        work=(Work(1, ("neurons.0", "residual"), 1, "up.0.weight"),),
        unreached=("bias",),
        notes=("a remark",),
    )


def test_what_is_written_reads_back_the_same(tmp_path):
    assert load_layout(save_layout(small(), tmp_path / "table.json")) == small()


def test_one_pattern_stands_on_one_line():
    assert '  "up.1.weight": "(neurons.1 + neurons.1) residual",' in to_text(small()).splitlines()


def test_a_corrected_pattern_is_taken(tmp_path):
    path = save_layout(small(), tmp_path / "table.json")
    path.write_text(path.read_text().replace('"(experts.0 3) residual"', '"12 residual"'))
    assert load_layout(path).tensors("experts.0") == []


def test_an_unknown_axis_is_named_with_its_line_and_the_nearest():
    text = to_text(small()).replace('"(neurons.1 + neurons.1) residual"', '"(neuron.1 + neurons.1) residual"')
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "neuron.1 " in row)
    with pytest.raises(
        LayoutError, match=rf"table line {line}: up.1.weight names the axis 'neuron.1'.*mean 'neurons.1'"
    ):
        from_text(text, "table")


def test_broken_json_names_its_line():
    text = to_text(small()).replace('"1"', '"1')
    line = next(i for i, row in enumerate(text.splitlines(), 1) if '"bias"' in row)
    with pytest.raises(LayoutError, match=f"line {line} is not JSON"):
        from_text(text)


def test_another_kind_of_file_is_refused():
    with pytest.raises(LayoutError, match="'penjing layout 1' was needed"):
        from_text(json.dumps({"format": "else"}))


def test_a_missing_part_is_told():
    data = json.loads(to_text(small()))
    del data["axes"]
    with pytest.raises(LayoutError, match="not a whole layout table: 'axes'"):
        from_text(json.dumps(data))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(LayoutError, match="cannot be read as a layout table"):
        load_layout(tmp_path / "none.json")


def test_like_axes_are_collapsed_into_one_row():
    found = {r.axis: r for r in rows(small())}
    assert found["neurons.0..2"].count == 3
    assert found["neurons.0..2"].proofs == ("graph",)
    assert found["residual"].reason == "mean in norm"
    assert list(found) == ["residual", "neurons.0..2", "experts.0"]


def test_a_pattern_that_does_not_make_the_shape_is_told():
    with pytest.raises(LayoutError, match=r"up.0.weight has shape \[12, 9\].*makes \[12, 8\]"):
        check_shapes(small(), {"up.0.weight": (12, 9)})
