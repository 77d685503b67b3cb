import json
from pathlib import Path

import pytest
import torch

from penjing.core import Keep, Mask, Plan, Update
from penjing.errors import OutputError, PlanError
from penjing.io import load_plan, save_plan

PLAN = Plan(
    (
        Keep("neurons.0", (0, 1, 5)),
        Mask("a", torch.rand(3, 5) > 0.5),
        Update("b", torch.randn(4, 3).bfloat16()),
        Update("c", torch.randn(3)),
    ),
    {"method": "maw", "seed": 0},
)


def test_a_plan_comes_back_equal(tmp_path: Path) -> None:
    save_plan(PLAN, tmp_path / "p")
    got = load_plan(tmp_path / "p")
    assert got.edits == PLAN.edits
    assert got.made == PLAN.made
    assert load_plan(tmp_path / "p" / "plan.json").edits == PLAN.edits
    save_plan(Plan((Keep("x", ()),)), tmp_path / "p")
    assert sorted(f.name for f in (tmp_path / "p").iterdir()) == ["plan.json"]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("version",), 2, "version 2"),
        (("format",), "x", "not a plan of penjing"),
        (("edits",), {}, "not a plan of penjing"),
        (("edits", 0, "units"), "5,1", "must ascend"),
        (("edits", 0, "kept"), 4, "make them agree"),
        (("edits", 0, "edit"), "rotated", "no edit named 'rotated'"),
        (("edits", 0, "axis"), None, "no text 'axis'"),
        (("edits", 1, "shape"), [3, 50], "packed bytes were needed"),
        (("edits", 1, "shape"), [-3], "list of sizes"),
        (("edits", 1, "kept"), "../../x", "does not hold"),
        (("edits", 2, "values"), "9.values", "does not hold"),
        (("edits", 2, "shape"), [1], "says shape"),
        (("edits", 3), 7, "a table was needed"),
    ],
)
def test_a_plan_that_was_spoiled_is_refused(place: tuple, value: object, reason: str, tmp_path: Path) -> None:
    save_plan(PLAN, tmp_path)
    table = json.loads((tmp_path / "plan.json").read_text())
    inner = table
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / "plan.json").write_text(json.dumps(table))
    with pytest.raises(PlanError, match=reason):
        load_plan(tmp_path)


def test_missing_and_damaged_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan(tmp_path)
    save_plan(PLAN, tmp_path)
    values = tmp_path / "plan.safetensors"
    values.write_bytes(values.read_bytes()[:-1])
    with pytest.raises(PlanError, match="truncated"):
        load_plan(tmp_path)
    values.unlink()
    values.symlink_to("/etc/hostname")
    with pytest.raises(PlanError, match="outside the folder"):
        load_plan(tmp_path)


def test_a_plan_gets_among_no_other_files(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(OutputError, match=r"such as letter\.txt"):
        save_plan(PLAN, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        save_plan(PLAN, tmp_path / "file")
