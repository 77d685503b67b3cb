"""An experiment that notes in a file when it begins and ends, as another package would bring it."""

import os
import sys
from pathlib import Path

import pytest

SOURCE = '''
"""Counts how often it is run."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from penjing.core.experiment import Figure, place
from penjing.errors import TrainingError

FIGURES = {
    "value": Figure(label="The value", unit="nats", better="lower"),
    "curve": Figure(label="The curve", over="step"),
    "step": Figure(label="Step"),
    "own": Figure(label="Own", aside=True),
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings."""

    log: str = place("log.txt")
    shift: float = 0.0
    seconds: float = 0.0
    fail: str = ""
    marks: tuple[int, ...] = ()

    def note(self, what, seed):
        with open(self.log, "a") as file:
            file.write(f"{what} {self.shift:g} {seed} {os.getpid()}\\n")

    def run(self, seed):
        self.note("begin", seed)
        time.sleep(self.seconds)
        if self.fail == "always":
            os.kill(os.getpid(), 9)
        marker = Path(self.log).with_name(f"tried-{self.shift:g}-{seed}")
        if self.fail and not marker.exists():
            marker.touch()
            if self.fail == "die":
                os.kill(os.getpid(), 9)
            if self.fail == "nan":
                return {"value": float("nan")}
            if self.fail == "memory":
                raise RuntimeError("can't allocate memory: you tried to allocate 64 bytes")
            if self.fail == "mistake":
                raise KeyError("a mistake")
            raise TrainingError("it came to no good")
        self.note("end", seed)
        curve = [seed + self.shift + i for i in range(3)]
        return {"value": seed + self.shift, "own": 1, "curve": curve, "step": [0, 10, 20]}
'''


def package(folder: Path) -> Path:
    """A folder to import from, with the experiment `counting` and what an installed package says of itself."""
    told = folder / "counting_runs-1.dist-info"
    told.mkdir(parents=True)
    (folder / "counting_runs.py").write_text(SOURCE)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: counting-runs\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[penjing.experiments]\ncounting = counting_runs\n")
    return folder


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """The experiment `counting`, here and in processes that are started; gives a maker of study files."""
    from penjing.experiments import EXPERIMENTS

    place = package(tmp_path / "package")
    monkeypatch.syspath_prepend(str(place))
    known = [str(Path(p).absolute()) for p in sys.path if p]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(dict.fromkeys(known)))
    monkeypatch.delitem(EXPERIMENTS._loaded, "counting", raising=False)
    monkeypatch.delitem(sys.modules, "counting_runs", raising=False)
    (tmp_path / "log.txt").touch()

    def make(text="", name="study", seeds="3", experiment="counting"):
        head = f'out = "{name}-out"\nexperiment = "{experiment}"\nseeds = {seeds}\n'
        path = tmp_path / f"{name}.toml"
        path.write_text(head + text)
        return path

    yield make
    EXPERIMENTS._loaded.pop("counting", None)


def noted(folder: Path, what: str) -> list[tuple[str, str]]:
    """(shift, seed) of each line of the log of this kind, in order."""
    lines = [line.split() for line in (folder / "log.txt").read_text().splitlines()]
    return [(shift, seed) for kind, shift, seed, _ in lines if kind == what]
