"""Sizes of a quantised original and of another type are told beside each other."""

from types import SimpleNamespace

import pytest

from penjing.core import Measurement, Report, Subject
from penjing.pipeline.sizes import with_sizes


def report(*models):
    def subject(name, parameters, size):
        known = {"parameters": parameters, "bytes": size}
        figures = tuple(Measurement(name=n, value=v, unit=n, group="size") for n, v in known.items())
        return Subject(name=name, source=name, figures=figures)

    return Report(title="t", subjects=tuple(subject(*m) for m in models))


PAIR = (("a", 1000.0, 2000.0), ("b", 800.0, 1600.0))


def values(found, name):
    return [f.value if (f := s.figure(name)) else None for s in found.subjects]


def test_a_quantised_file_is_told_as_it_lay_and_what_quantising_after_would_give(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"x" * 500)
    found = with_sizes(report(*PAIR), SimpleNamespace(name=str(tmp_path / "m.gguf")), None)
    assert values(found, "file_bytes") == [500.0, 1600.0]
    assert "quantised to 4.0 bits a weight" in found.notes[0]
    assert "measure it again" in found.notes[0]


def test_a_file_that_is_whole_has_no_remark(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"x" * 4000)
    found = with_sizes(report(*PAIR), SimpleNamespace(name=str(tmp_path / "m.gguf")), None)
    assert values(found, "file_bytes") == [4000.0, 1600.0]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("float32", [4000.0, 3200.0]), ("bfloat16", [None, None]), (None, [None, None])]
)
def test_another_type_is_told_of_both(tmp_path, dtype, wanted):
    found = with_sizes(report(*PAIR), SimpleNamespace(name=str(tmp_path)), dtype)
    assert values(found, "dtype_bytes") == wanted


def test_without_counts_nothing_is_added(tmp_path):
    bare = report(("a", None, None), ("b", 800.0, 1600.0))
    assert with_sizes(bare, SimpleNamespace(name=str(tmp_path)), "float32") == bare
