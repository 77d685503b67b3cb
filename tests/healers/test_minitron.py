"""Two losses of the same weight, and one where no block went."""

import pytest
import torch
from tests.healers.conftest import drawn, run_of

from penjing.core import Seen
from penjing.errors import PenjingError, UnsupportedError
from penjing.healers import HEALERS


def naive(t, s, hidden_t, hidden_s):
    """(L_logits, L_is), the second of states brought to mean 0 and variance 1, position by position."""
    divergence = 0.0
    for p, q in zip(t.flatten(0, 1).softmax(-1), s.flatten(0, 1).softmax(-1), strict=True):
        divergence += float((p * (p / q).log()).sum())
    error = 0.0
    for one, other in zip(hidden_s.flatten(0, 1), hidden_t.flatten(0, 1), strict=True):
        one, other = ((x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() for x in (one, other))
        error += float((one - other).square().mean())
    count = t.shape[0] * t.shape[1]
    return divergence / count, error / count


def seen(logits, hidden):
    return Seen(logits=logits, states={0: hidden})


def test_the_sum_is_twice_the_divergence_and_both_have_gradients():
    """That is what the dynamic weight makes of it: each part is as large as L_logits."""
    t, s = drawn(2, 3, 7), drawn(2, 3, 7, seed=1)
    theirs, ours = drawn(2, 3, 5, seed=2), drawn(2, 3, 5, seed=3).requires_grad_()
    run, healer = run_of("decoder"), HEALERS.build("minitron", {"states": "always"})
    healer.prepare(run, seen(s, ours), seen(t, theirs))
    found = healer.loss(run, None, seen(s, ours), seen(t, theirs))
    divergence, error = naive(t, s, theirs, ours.detach())
    assert float(found.detach()) == pytest.approx(2 * divergence, rel=1e-4)
    found.backward()
    own = ours.grad.clone()
    ours.grad = None
    torch.nn.functional.mse_loss(*(torch.nn.functional.layer_norm(x, (5,)) for x in (ours, theirs))).backward()
    torch.testing.assert_close(own, ours.grad * divergence / error, rtol=1e-3, atol=1e-6)  # the weight is rounded


def test_the_same_states_weigh_nothing():
    t, s, hidden = drawn(2, 3, 7), drawn(2, 3, 7, seed=1), drawn(2, 3, 5)
    run, healer = run_of("decoder"), HEALERS.build("minitron", {"states": "always"})
    healer.prepare(run, seen(s, hidden), seen(t, hidden))
    found = float(healer.loss(run, None, seen(s, hidden), seen(t, hidden)).detach())
    assert found == pytest.approx(naive(t, s, hidden, hidden)[0], rel=1e-4)


def test_states_are_looked_at_where_blocks_went():
    healer = HEALERS.build("minitron")
    assert healer.looks((4, 4)).blocks == ()
    assert healer.looks((2, 4)).blocks == ((1, 3),)
    assert HEALERS.build("minitron", {"states": "never"}).looks((2, 4)).blocks == ()
    assert HEALERS.build("minitron", {"states": "always", "last": 2}).looks((4, 4)).blocks == ((2, 2), (3, 3))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(PenjingError, match="it takes one of auto, always, never"):
        HEALERS.build("minitron", {"states": "some"})
    with pytest.raises(UnsupportedError, match="0 blocks"):
        HEALERS.build("minitron", {"states": "always"}).looks((0, 0))
    with pytest.raises(UnsupportedError, match="same classes or tokens"):
        HEALERS.build("minitron").prepare(run_of("decoder"), Seen(logits=drawn(1, 2)), Seen(logits=drawn(1, 3)))
