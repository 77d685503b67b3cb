"""The texts in the package are there, and what is measured is not in what is learned from."""

import pytest

from penjing.data import read_texts, shared_passage, shipped
from penjing.data.shipped import FOLDER


def test_calibration_is_a_quarter_of_a_megabyte():
    assert 240_000 < sum(map(len, read_texts(shipped("calibration")))) < 260_000


def test_evaluation_is_a_text_of_the_same_kind_and_one_of_another():
    assert [p.name for p in shipped("evaluation")] == ["evaluation-speeches.txt", "evaluation-novel.txt"]
    assert all(100_000 < len(t) < 130_000 for t in read_texts(shipped("evaluation")))


@pytest.mark.parametrize("path", shipped("evaluation"), ids=lambda p: p.stem)
def test_no_passage_of_50_characters_is_in_both(path):
    assert shared_passage(read_texts(shipped("calibration")), read_texts([path]), length=50) == ""


def test_every_text_has_its_origin_and_size_in_the_readme():
    readme = (FOLDER / "README.md").read_text("utf-8")
    for path in FOLDER.glob("*.txt"):
        assert f"| `{path.name}` | {len(path.read_text('utf-8')):,} |" in readme
