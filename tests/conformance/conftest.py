"""A tiny language model that really learned something, and everything the suite asks of it, made once a session."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from penjing import layouts, surgery
from penjing.calibrate import collect
from penjing.core import Budget, Checkpoint, Layout, Live, Plan, Stats, View
from penjing.data import read_texts, shipped, windows
from penjing.io import open_checkpoint
from penjing.methods import METHODS

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256, "hidden_size": 64,
    "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "tie_word_embeddings": True, "hidden_act": "silu",
}  # fmt: skip
STEPS, ROWS, LENGTH = 200, 16, 64
SPARSE = "sparsify"
"""The family whose methods zero single weights; all others take units away."""

EFFORT = {"steps": 3, "batch": 8}
"""Settings of methods that try things on the model itself, so that a plan takes a second."""


def methods(*, sparse: bool) -> list[str]:
    """The names of all methods that zero single weights, or of all that take units away."""
    return [n for n, (family, _) in sorted(METHODS.places().items()) if (family == SPARSE) == sparse]


def built(name: str, **settings: Any) -> Any:
    """A method with those of the settings, and of `EFFORT`, that it has."""
    given = {**(EFFORT if "live" in METHODS.load(name).CARD.needs else {}), **settings}
    known = {s.name for s in METHODS.settings(name)}
    return METHODS.build(name, {k: v for k, v in given.items() if k in known})


@dataclass(frozen=True)
class Subject:
    """One model on disk, its layout, and statistics for every method."""

    folder: Path
    layout: Layout
    stats: Stats
    rows: Tensor

    @cached_property
    def live(self) -> Live:
        """The model itself, for methods that run it."""
        from penjing.running.live import Running

        return Running(self.module(torch.float32), list(self.rows.split(8)), self.layout)

    def view(self, method: Any, model: Checkpoint, budget: Budget, seed: int = 0) -> View:
        """What the method asked to see of a model, and no more."""
        wants = method.wants(self.layout)
        declared = {(t, s): self.stats[t, s] for t, names in wants.statistics.items() for s in names}
        stats = Stats(declared, self.stats.samples)
        return View(model, self.layout, stats, budget, seed=seed, live=self.live if wants.live else None)

    def open(self):
        return open_checkpoint(self.folder)

    def module(self, dtype: torch.dtype | None = None) -> nn.Module:
        """A fresh copy in memory."""
        return load(self.folder, dtype)

    def plan(self, name: str, budget: Budget, **settings: Any) -> Plan:
        """The plan of a method; settings that it does not have are left out."""
        method = built(name, **settings)
        with self.open() as checkpoint:
            return method.plan(self.view(method, checkpoint, budget))


def load(folder: Path, dtype: torch.dtype | None = None) -> nn.Module:
    """The model as plain transformers opens it."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto").eval()


def letters(paths: Sequence[Path]) -> Tensor:
    """[bytes]: the texts as bytes."""
    return torch.tensor(list("\n".join(read_texts(paths)).encode("utf-8")))


def perplexity(module: nn.Module, rows: Tensor) -> float:
    """Of each byte but the first of every row."""
    with torch.no_grad():
        logits = module(rows).logits[:, :-1].flatten(0, 1).float()
    return float(nn.functional.cross_entropy(logits, rows[:, 1:].flatten()).exp())


def build(config: dict[str, Any], seed: int = 0) -> nn.Module:
    """The stock model of a config with random weights."""
    torch.manual_seed(seed)
    settings = {k: v for k, v in config.items() if k not in {"model_type", "architectures"}}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))


def train(module: nn.Module) -> None:
    """A few seconds on the shipped calibration text."""
    rows = windows(letters(shipped("calibration")), LENGTH)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=STEPS)
    module.train()
    for _ in range(STEPS):
        batch = rows[torch.randint(len(rows), (ROWS,), generator=generator)]
        loss = module(batch, labels=batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()


def subject(folder: Path, rows: Tensor) -> Subject:
    """The layout of a folder, and the statistics that any method wants of it."""
    with open_checkpoint(folder) as checkpoint:
        layout = layouts.from_config(checkpoint.config, stored=checkpoint.shapes)
    wanted: dict[str, frozenset[str]] = {}
    for name in METHODS.names():
        for axes in ("neurons", "heads"):
            for tensor, statistics in built(name, axes=axes).wants(layout).statistics.items():
                wanted[tensor] = wanted.get(tensor, frozenset()) | statistics
    return Subject(folder, layout, collect(load(folder, torch.float32), rows.split(8), wanted), rows)


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest) -> Subject:
    """Two blocks, grouped heads, SwiGLU, tied embeddings; trained for seconds, kept in pytest's cache."""
    text = "".join(p.read_text("utf-8") for p in shipped("calibration"))
    key = json.dumps([CONFIG, STEPS, ROWS, LENGTH, torch.__version__, transformers.__version__, text])
    folder = request.config.cache.mkdir(f"penjing-tiny-{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    if not (folder / "done").exists():
        module = build(CONFIG)
        train(module)
        module.eval().save_pretrained(folder)
        (folder / "done").touch()
    return subject(folder, windows(letters(shipped("calibration")), LENGTH, 64))


@pytest.fixture(scope="session")
def held_out() -> Tensor:
    """[128 64]: bytes of speeches that were not trained on."""
    return windows(letters(shipped("evaluation")[:1]), LENGTH, 128)


@pytest.fixture(scope="session")
def dense(trained: Subject, held_out: Tensor) -> float:
    """The perplexity of the unpruned model."""
    return perplexity(trained.module(), held_out)


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
    "odd sizes": (torch.float32, {"hidden_size": 60, "head_dim": 14, "intermediate_size": 157, "vocab_size": 251}),
    "biases, no groups": (torch.float32, {"mlp_bias": True, "attention_bias": True, "num_key_value_heads": 4}),
    "untied, three blocks": (torch.bfloat16, {"tie_word_embeddings": False, "num_hidden_layers": 3}),
}


@pytest.fixture(scope="session", params=SHAPES)
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Models with random weights, of many shapes."""
    dtype, changes = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("shape")
    config = {**CONFIG, **changes}
    build(config).to(dtype).eval().save_pretrained(folder)
    rows = torch.randint(config["vocab_size"], (8, 32), generator=torch.Generator().manual_seed(1))
    return subject(folder, rows)
