"""Hidden states: the mean over pairs, a map where widths differ, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.healers.conftest import drawn, run_of, states

from penjing.errors import RequestError, UnsupportedError
from penjing.healers import HEALERS


def naive(students, teachers):
    """The mean over pairs of the mean of squares, value by value."""
    total = 0.0
    for one, other in zip(students, teachers, strict=True):
        a, b = one.flatten().tolist(), other.flatten().tolist()
        total += sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)
    return total / len(students)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(2, 6), st.integers(0, 99))
def test_equals_the_loop(blocks, length, width, seed):
    ours, theirs = (drawn(blocks, 2, length, width, seed=seed + i) for i in (0, 1))
    run, healer = run_of("decoder"), HEALERS.build("hidden", {"normalise": False})
    healer.prepare(run, states(ours), states(theirs))
    assert not run.beside
    assert float(healer.loss(run, None, states(ours), states(theirs))) == pytest.approx(naive(ours, theirs), rel=1e-4)


def test_a_map_is_learned_where_widths_differ_and_is_in_the_state():
    ours, theirs = drawn(2, 3, 5, 4), drawn(2, 3, 5, 7, seed=1)
    run, healer = run_of("decoder"), HEALERS.build("hidden", {"normalise": False})
    healer.prepare(run, states(ours), states(theirs))
    widened = torch.cat([ours, torch.zeros(2, 3, 5, 3)], dim=-1)
    found = healer.loss(run, None, states(ours), states(theirs))
    assert float(found.detach()) == pytest.approx(naive(widened, theirs), rel=1e-4)
    found.backward()
    assert run.beside["hidden"].weight.grad.abs().sum() > 0
    assert "beside:hidden.weight" in run.trained()


def test_the_last_blocks_are_paired_from_the_end():
    assert HEALERS.build("hidden", {"last": 2}).looks((3, 6)).blocks == ((1, 3), (2, 5))
    assert len(HEALERS.build("hidden").looks((3, 6)).blocks) == 3


def test_what_has_no_blocks_or_other_positions_is_refused():
    with pytest.raises(UnsupportedError, match="0 blocks in the student"):
        HEALERS.build("hidden").looks((0, 2))
    with pytest.raises(UnsupportedError, match="position by position"):
        HEALERS.build("hidden").prepare(run_of("decoder"), states([drawn(2, 3, 4)]), states([drawn(2, 5, 4)]))
    with pytest.raises(RequestError, match="last is -1"):
        HEALERS.build("hidden", {"last": -1})
