"""Plans of models of sound that need a loss: CTC's is the model's own, recording by recording."""

import pytest
import torch
from tests.tasks.speech.conftest import ctc, spoken

import penjing
from penjing.calibrate.objectives import per_example
from penjing.data.features import Features
from penjing.data.sounds import read_sounds
from penjing.errors import DataError
from penjing.running.stock import load

__all__ = ["ctc", "spoken"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))


def batch_of(folder, spoken, *places):
    features, sounds = Features(folder), read_sounds(spoken)
    made = features([sounds.wave(i, features.rate) for i in places])
    return {**made, "labels": features.tokens([sounds.texts[i] for i in places])}


def naive(probabilities, wanted, blank):
    """The negative log of the summed probability of all paths [frames] that give the wanted tokens."""
    import itertools
    import math

    total = 0.0
    for path in itertools.product(range(len(probabilities[0])), repeat=len(probabilities)):
        said = [k for k, _ in itertools.groupby(path)]
        if [k for k in said if k != blank] == wanted:
            total += math.prod(row[k] for row, k in zip(probabilities, path, strict=True))
    return -math.log(total)


def test_the_loss_is_that_of_all_paths():
    import torch.nn.functional as F
    from transformers.modeling_outputs import CausalLMOutput

    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    logs = logits.log_softmax(-1).transpose(0, 1)
    own = F.ctc_loss(logs, torch.tensor([[1, 2]]), torch.tensor([5]), torch.tensor([2]), blank=0, reduction="sum")
    batch = {"input_values": torch.zeros(1, 50), "labels": torch.tensor([[1, 2]])}
    (found,) = per_example("loss")(CausalLMOutput(loss=own, logits=logits), batch)
    assert float(found) == pytest.approx(naive(logits[0].softmax(-1).tolist(), [1, 2], 0), rel=1e-4)


def test_the_loss_of_ctc_is_the_models_own_for_each_recording(ctc, spoken):
    module = load(ctc)
    with torch.no_grad():
        for place in (0, 3):
            batch = batch_of(ctc, spoken, place)
            output = module(**batch)
            (found,) = per_example("loss")(output, batch)
            assert float(found) == pytest.approx(float(output.loss))
            assert float(found) > 0


def test_several_recordings_at_once_are_refused(ctc, spoken):
    batch = batch_of(ctc, spoken, 0, 3)
    with pytest.raises(DataError, match=r"as for CTC.*found one of 2; give batch=1"):
        per_example("loss")(load(ctc)(**batch), batch)


def test_a_method_that_needs_a_loss_plans_with_the_words(ctc, spoken):
    plan = penjing.plan(ctc, method="taylor", keep=0.5, audio=[spoken], settings={"multiple": 1})
    assert {len(units) for axis, units in plan.keeps().items() if axis.startswith("neurons")} == {12}
