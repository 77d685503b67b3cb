"""Text that the teacher writes: drawn from its own predictions, the same for a seed, kept, gone on with."""

import pytest
import torch
from tests.evaluate.models import llama
from tests.pipeline.healing_home import HOW, bits, healed, home, no_fresh_process

from penjing.core.progress import silent
from penjing.errors import RequestError, UnsupportedError
from penjing.pipeline import teacher_text
from penjing.pipeline.request import Heal
from penjing.pipeline.teacher_text import ROWS, written
from penjing.running.lending import Lender
from penjing.running.sampling import sampled_rows
from penjing.running.source import resolve

__all__ = ["home", "no_fresh_process"]


def draw(length=12, seed=0, **how):
    generator = torch.Generator().manual_seed(seed)
    return sampled_rows(llama(), torch.tensor([3, 4, 5]), length, generator=generator, **how)


def naive(first, length, seed, greedy, barred):
    """One token at a time, the whole row read anew each time."""
    model, rows = llama(), first[:, None]
    generator = torch.Generator().manual_seed(seed)
    for place in range(length - 1):
        with torch.no_grad():
            scores = model(rows, use_cache=False).logits[:, -1].float()
        scores[:, barred] = -torch.inf
        new = scores.argmax(1) if place < greedy else torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
        rows = torch.cat([rows, new[:, None]], 1)
    return rows


@pytest.mark.parametrize("greedy", [0, 4, 20])
def test_rows_are_those_that_reading_anew_gives(greedy):
    expected = naive(torch.tensor([3, 4, 5]), 12, 1, greedy, [1, 2])
    assert torch.equal(draw(seed=1, greedy=greedy, barred=[1, 2]), expected)


def test_a_seed_gives_the_same_rows_and_another_gives_others():
    assert torch.equal(draw(seed=2), draw(seed=2))
    assert not torch.equal(draw(seed=2), draw(seed=3))
    assert torch.equal(draw(seed=2, greedy=12), draw(seed=3, greedy=12)), "nothing is drawn where all is greedy"


def test_what_keeps_no_states_is_refused():
    class Forgets(torch.nn.Linear):
        def forward(self, input_ids, past_key_values=None, use_cache=True):
            return {"logits": None}

    with pytest.raises(UnsupportedError, match="does not go on with text"):
        sampled_rows(Forgets(2, 2), torch.tensor([1]), 4, generator=torch.Generator())


def of(home, cache, **more):
    with Lender() as lender:
        how = {"tokens": 2 * ROWS * 16, "length": 16, "seed": 0, **more}
        return written(resolve(home / "tiny"), lender=lender, cache=cache, progress=silent, **how)


def test_what_was_written_is_kept_and_a_killed_process_goes_on(home, tmp_path, monkeypatch):
    whole = of(home, tmp_path / "one")
    assert whole.shape == (2 * ROWS, 16)
    of(home, tmp_path / "two", tokens=ROWS * 16)
    drawn = []
    real = teacher_text.sampled_rows
    monkeypatch.setattr(teacher_text, "sampled_rows", lambda *a, **k: drawn.append(1) or real(*a, **k))
    assert torch.equal(of(home, tmp_path / "two"), whole)
    assert len(drawn) == 1, "the first half was there"
    assert torch.equal(of(home, tmp_path / "one"), whole)
    assert len(drawn) == 1
    next((tmp_path / "one" / "written").rglob("1.safetensors")).write_bytes(b"torn")
    assert torch.equal(of(home, tmp_path / "one"), whole), "what is damaged is written anew"
    assert not torch.equal(of(home, tmp_path / "one", seed=1), whole)


def test_a_model_heals_by_what_its_teacher_writes(home, tmp_path):
    done = healed(home, tmp_path / "out", texts=(), how=Heal(**HOW, written=True))
    told = done.plan.made["healing"]["data"]
    assert told["written by"] == "the teacher"
    assert told["tokens written"] == ROWS * 32
    assert told["seed"] == 0
    assert bits(tmp_path / "out") != bits(home / "cut")
    healed(home, tmp_path / "again", texts=(), how=Heal(**HOW, written=True))
    assert bits(tmp_path / "again") == bits(tmp_path / "out")


def test_text_beside_the_teachers_is_refused(home):
    with pytest.raises(RequestError, match=r"text\.txt was named too"):
        Heal(tokens=10, written=True, texts=(str(home / "text.txt"),))
    assert Heal(tokens=10, written=True).texts == ()
