"""Distillation of logits: the exact divergence, whether the teacher's body runs or its states are kept."""

import pytest
import torch
from tests.healers.conftest import blocks_of, drawn, run_of
from tests.world import subject
from torch import nn

from penjing.core import Looks, Seen
from penjing.errors import RequestError, UnsupportedError
from penjing.healers import HEALERS
from penjing.train.teacher import Teacher


def naive(teacher, student):
    """Sum over the vocabulary of p (log p - log q), mean over tokens."""
    total, count = 0.0, 0
    for t, s in zip(teacher.flatten(0, 1), student.flatten(0, 1), strict=True):
        p, q = t.softmax(0), s.softmax(0)
        total += float((p * (p.log() - q.log())).sum())
        count += 1
    return total / count


def test_equals_the_loop_and_mixes_in_the_data_s_own_loss():
    t, s, run = drawn(2, 3, 7), drawn(2, 3, 7, seed=1), run_of("decoder")
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    student, teacher = Seen(output=s, logits=s), Seen(logits=t)
    found = float(HEALERS.build("logits").loss(run, ids, student, teacher))
    assert found == pytest.approx(naive(t, s), rel=1e-4)
    mixed = float(HEALERS.build("logits", {"own": 0.25}).loss(run, ids, student, teacher))
    assert mixed == pytest.approx(0.75 * found + 0.25 * float(run.objective(ids, s)), rel=1e-4)


@pytest.mark.parametrize("name", ["decoder", "qwen2", "mixtral"])
@pytest.mark.parametrize("room", [1 << 30, 0])
def test_what_is_kept_of_the_teacher_gives_the_same_logits(name, room):
    found = subject(name)
    teacher = Teacher(found.module, found.data, Looks(logits=True), (), room=room)
    for place in (1, 0, 1, 0):
        given = found.data[place]
        with torch.no_grad():
            assert torch.equal(teacher(place).logits, found.module(**given).logits)
    assert teacher.is_exact
    assert teacher.passes == (2 if room else 4)
    teacher.close()


def test_states_of_blocks_come_along_and_nothing_else():
    found = subject("decoder")
    teacher = Teacher(found.module, found.data, Looks(logits=True, blocks=((0, 1),)), blocks_of("decoder"))
    first, again, fresh = teacher(0), teacher(0), teacher.of(found.data[0])
    assert set(first.states) == set(again.states) == set(fresh.states) == {1}
    assert torch.equal(first.states[1], again.states[1])
    assert torch.equal(first.logits, fresh.logits)
    assert torch.equal(first.states[1], fresh.states[1])
    teacher.close()


def test_logits_that_are_bounded_after_the_last_layer_are_not_made_from_states():
    class Bounded(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 6)

        def get_output_embeddings(self):
            return self.head

        def forward(self, x):
            return 30 * torch.tanh(self.head(self.body(x)) / 30)

    module, batches = Bounded(), [drawn(2, 3), drawn(2, 3, seed=1)]
    teacher = Teacher(module, batches, Looks(logits=True), ())
    for place in (0, 1, 0):
        assert torch.equal(teacher(place).logits, module(batches[place]))
    assert not teacher.is_exact
    assert teacher.passes == 2
    teacher.close()


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(UnsupportedError, match=r"student gives logits \[2, 5\] and the teacher \[2, 6\]"):
        HEALERS.build("logits").prepare(run_of("decoder"), Seen(logits=drawn(2, 5)), Seen(logits=drawn(2, 6)))


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(RequestError, match="temperature above 0"):
        HEALERS.build("logits", {"temperature": 0.0})
