"""Predictions beside a measured ratio: from sizes always, from the machine's profile when it has one."""

from dataclasses import replace

import pytest
from tests.evaluate.models import folder
from tests.profiling.roofline import machine

from penjing.core import Measurement
from penjing.evaluate.costs import costs
from penjing.profiling.predicted import decode_ratio, prefill_ratio, with_prediction
from penjing.profiling.roofline import save
from penjing.profiling.speed import Speed

SPEED = Speed(tokens=16, context=16, threads=1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    where = tmp_path_factory.mktemp("models")
    return costs(folder(where / "small", neurons=20)), costs(folder(where / "base"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))


def ratio(job, note=""):
    return Measurement(name=f"{job}_ratio", value=0.9, unit="", note=note, details={"job": job, "kept": 1})


def test_sizes_predict_without_a_profile(pair, cache):
    small, base = pair
    step = with_prediction(ratio("decode", "withheld: busy"), small, base, SPEED)
    whole = with_prediction(ratio("prefill"), small, base, SPEED)
    assert step.details["predicted"] == decode_ratio(small, base, 16 + SPEED.steps // 2)
    assert whole.details["predicted"] == prefill_ratio(small, base, 16)
    assert step.note.startswith("withheld: busy; predicted 0.")
    assert step.details["kept"] == 1
    assert "roofline" not in step.details | whole.details


def test_a_rate_is_predicted_as_a_rate(pair, cache):
    small, base = pair
    images = with_prediction(ratio("batch_images"), small, base, SPEED)
    assert images.details["predicted"] == pytest.approx(1 / prefill_ratio(small, base, 16))
    assert "predicted" not in with_prediction(ratio("batch_decode"), small, base, SPEED).details


def test_the_profile_predicts_seconds_of_both(pair, cache):
    small, base = pair
    save(machine.profile())
    for job in ("decode", "prefill", "first_token"):
        found = with_prediction(ratio(job), small, base, SPEED)
        other, first = found.details["roofline_seconds"]
        assert 0 < other < first
        assert found.details["roofline"] == pytest.approx(other / first)
        assert "from this machine's profile" in found.note
    rate = with_prediction(ratio("batch_decode"), small, base, SPEED)
    assert rate.details["roofline"] > 1


def test_another_device_dtype_or_thread_count_has_no_profile(pair, cache):
    small, base = pair
    save(machine.profile())
    for other in ({"device": "cuda"}, {"dtype": "bfloat16"}, {"threads": 3}):
        assert "roofline" not in with_prediction(ratio("decode"), small, base, replace(SPEED, **other)).details
