"""Units survive being text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.core.edits.keep import runs, units


@given(st.sets(st.integers(0, 60)))
def test_units_survive_being_text(kept: set[int]) -> None:
    assert units(runs(sorted(kept))) == tuple(sorted(kept))


def test_runs_are_short() -> None:
    assert runs((0, 1, 2, 5, 7, 8)) == "0-2,5,7-8"


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "1,1", "2,1", "0-999999999999", "1,,2", " 1", "٣"])
def test_other_text_is_no_units(text: str) -> None:
    with pytest.raises(ValueError, match="unit"):
        units(text)
