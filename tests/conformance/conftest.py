"""What the suite asks of a method, each thing made once: statistics in one pass for all, and every plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests import trained as tiny
from torch import Tensor, nn

from penjing import layouts, surgery
from penjing.calibrate import collect
from penjing.core import Budget, Checkpoint, Layout, Live, Plan, Plans, Stats, View
from penjing.io import open_checkpoint
from penjing.methods import METHODS
from penjing.planning.statistics_cache import union
from penjing.train import train

CUT, SPARSE, FACTOR, DROP = "prune", "sparsify", "factor", "drop"
"""The families whose methods cut widths, zero single weights, write matrices as products, and leave out blocks."""
SHALLOW = {"ends": 0}
"""Settings of methods that drop blocks, for a model that has two."""
EFFORT = {"steps": 3, "batch": 8}
"""Settings of methods that try things on the model itself, so that a plan takes a second."""
LESSON = {"steps": 30, "learning_rate": 2e-3, "every": 3}
"""The same of methods that train."""


def methods(*, sparse: bool) -> list[str]:
    """The names of all methods that zero single weights, or of all that take units away."""
    wanted = SPARSE if sparse else CUT
    return [n for n, (family, _) in sorted(METHODS.places().items()) if family == wanted]


def dropping() -> list[str]:
    """The names of all methods that leave out blocks or parts of them."""
    return [n for n, (family, _) in sorted(METHODS.places().items()) if family == DROP]


def factoring() -> list[str]:
    """The names of all methods that write matrices as products."""
    return [n for n, (family, _) in sorted(METHODS.places().items()) if family == FACTOR]


def trains(name: str) -> bool:
    """Whether a method makes its plan by training."""
    return not hasattr(METHODS.type_of(name), "plan")


def built(name: str, **settings: Any) -> Any:
    """A method with those of the settings, and of `EFFORT` or `LESSON`, that it has."""
    usual = LESSON if trains(name) else EFFORT if "live" in METHODS.load(name).CARD.needs else {}
    usual = usual | (SHALLOW if name in dropping() else {})
    known = {s.name for s in METHODS.settings(name)}
    return METHODS.build(name, {k: v for k, v in {**usual, **settings}.items() if k in known})


@dataclass(frozen=True)
class Batches:
    """Data that can be had again."""

    batches: Sequence[Tensor]

    @property
    def count(self) -> int:
        return len(self.batches)

    def again(self) -> Sequence[Tensor]:
        return self.batches


@dataclass(frozen=True, eq=False)
class Subject:
    """One model on disk, its layout, and what any method wants of it."""

    folder: Path
    layout: Layout
    rows: Tensor
    _plans: dict[Any, Plan] = field(default_factory=dict)

    @cached_property
    def stats(self) -> Stats:
        """What all methods want together, of neurons and of heads, from one pass."""
        cutting = [built(n, axes=a) for n in methods(sparse=False) for a in ("neurons", "heads")]
        others = [built(n) for n in METHODS.names() if METHODS.places()[n][0] != CUT]
        wanted = (m.wants(self.layout) for m in (*cutting, *others))
        return collect(self.module(torch.float32), self.rows.split(8), union(*(w.statistics for w in wanted)))

    @cached_property
    def live(self) -> Live:
        """The model itself, for methods that run it."""
        from penjing.running.live import Running

        return Running(self.module(torch.float32), list(self.rows.split(8)), self.layout)

    def view(self, method: Any, model: Checkpoint, budget: Budget, seed: int = 0) -> View:
        """What the method asked to see of a model, and no more."""
        wants = method.wants(self.layout)
        declared = {(t, s): self.stats[t, s] for t, names in wants.statistics.items() for s in names}
        stats = Stats(declared, self.stats.samples) if declared else Stats()
        data = Batches(self.rows.split(8)) if wants.data else None
        live = self.live if wants.live else None
        return View(model, self.layout, stats, budget, seed=seed, live=live, data=data)

    def open(self):
        return open_checkpoint(self.folder)

    def module(self, dtype: torch.dtype | None = None) -> nn.Module:
        """A fresh copy in memory."""
        return tiny.load(self.folder, dtype)

    def asked(self, method: Any, model: Checkpoint, budget: Budget, seed: int = 0) -> Plan:
        """The plan of a method, made anew."""
        view = self.view(method, model, budget, seed)
        return method.plan(view) if isinstance(method, Plans) else train(method, view, self.module(torch.float32))

    def plan(self, name: str, budget: Budget, *, anew: bool = False, seed: int = 0, **settings: Any) -> Plan:
        """The plan of a method, made once for all tests; settings that it does not have are left out."""
        method = built(name, seed=seed, **settings)
        key = (name, method, budget, seed)
        if anew or key not in self._plans:
            with self.open() as checkpoint:
                self._plans[key] = self.asked(method, checkpoint, budget, seed)
        return self._plans[key]


def subject(folder: Path, rows: Tensor) -> Subject:
    """A folder and its layout."""
    with open_checkpoint(folder) as checkpoint:
        return Subject(folder, layouts.from_config(checkpoint.config, stored=checkpoint.shapes), rows)


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest) -> Subject:
    """The tiny language model that was trained for seconds."""
    assert request.config.cache is not None
    return subject(tiny.folder(request.config.cache), tiny.text_rows(64))


@pytest.fixture(scope="session")
def held_out() -> Tensor:
    """[128 64]: bytes of speeches that were not trained on."""
    return tiny.text_rows(128, kind="evaluation")


@pytest.fixture(scope="session")
def dense(trained: Subject, held_out: Tensor) -> float:
    """The perplexity of the unpruned model."""
    return tiny.perplexity(trained.module(), held_out)


def stored(folder) -> dict[str, Tensor]:
    return {n: t for path in sorted(folder.glob("*.safetensors")) for n, t in load_file(path).items()}


def streamed(subject: Subject, plan, out):
    with subject.open() as checkpoint:
        return surgery.stream(checkpoint, subject.layout, plan, out)


def logits(module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return module(rows).logits


SHAPES = {
    "float32": (torch.float32, {}),
    "bfloat16": (torch.bfloat16, {}),
    "odd sizes": (torch.bfloat16, {"hidden_size": 60, "head_dim": 14, "intermediate_size": 157, "vocab_size": 251}),
    "biases, no groups": (torch.float32, {"mlp_bias": True, "attention_bias": True, "num_key_value_heads": 4}),
    "untied, three blocks": (torch.bfloat16, {"tie_word_embeddings": False, "num_hidden_layers": 3}),
}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory):
    """Models with random weights, of many shapes, each made when it is first asked for."""
    made: dict[str, Subject] = {}

    def of(name: str) -> Subject:
        if name not in made:
            dtype, changes = SHAPES[name]
            config = {**tiny.CONFIG, **changes}
            folder = tmp_path_factory.mktemp("shape")
            tiny.build(config).to(dtype).eval().save_pretrained(folder)
            rows = torch.randint(config["vocab_size"], (8, 32), generator=torch.Generator().manual_seed(1))
            made[name] = subject(folder, rows)
        return made[name]

    return of
