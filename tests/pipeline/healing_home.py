"""What tests of healing share: a tiny model, what is left of it, and a heal of it."""

from hashlib import sha256
from pathlib import Path

import pytest
from tests.house.tiny import tiny_model

import penjing
from penjing.pipeline import carry_out
from penjing.pipeline.request import Heal, Measure
from penjing.surgery import ReopenResult

HOW = {"tokens": 640, "length": 32, "learning_rate": 1e-3}
MEASURE = Measure(speed=False, length=32, answers=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A tiny model that has learned a little, and what is left of it; a text of its own to train on."""
    place = tmp_path_factory.mktemp("healing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_CACHE", str(place / "cache"))
        tiny_model(place / "tiny")
        (place / "text.txt").write_text("the tide comes in and the tide goes out again; " * 60, encoding="utf-8")
        (place / "other.txt").write_text("what was not read before is what is asked for now. " * 20, encoding="utf-8")
        patch.setattr(carry_out, "reopen", opened)
        penjing.shrink(place / "tiny", place / "cut", keep=0.5, method="magnitude", measure=False, progress=False)
        yield place


def opened(*given, **how):
    return ReopenResult(loader="none", versions={}, ok=True, max_abs_difference=0.0)


@pytest.fixture(autouse=True)
def no_fresh_process(monkeypatch):
    monkeypatch.setattr(carry_out, "reopen", opened)


def healed(home, out, **more):
    named = {"teacher": home / "tiny", "texts": [home / "text.txt"], "how": Heal(**HOW), "measure": False, **more}
    return penjing.heal(home / "cut", out, progress=False, **named)


def bits(folder: Path) -> str:
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()
