"""What plans were measured to do on held-out examples, on disk, so that a stopped run goes on where it was."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from penjing.running.source import Source
from penjing.search.split import Split


@dataclass(frozen=True)
class Notes:
    """A file with a line for each plan that was measured; None keeps none."""

    path: Path | None

    def find(self, key: str) -> Tensor | None:
        """What was measured, or None; a line that is not whole is passed over."""
        if self.path is None or not self.path.is_file():
            return None
        for line in reversed(self.path.read_text(encoding="utf-8").splitlines()):
            try:
                held = json.loads(line)
            except json.JSONDecodeError:
                continue
            if held.get("plan") == key:
                return torch.tensor(held["values"])
        return None

    def add(self, key: str, values: Tensor) -> None:
        """Note what was measured; of two lines for one plan the later one holds."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"plan": key, "values": values.tolist()}) + "\n")


def notes_path(source: Source, parted: Split, cache: Path) -> Path | None:
    """Where measurements of this model on these examples lie; None for what cannot be told again."""
    if not source.config or "sha256" not in parted.told:
        return None
    config = json.dumps(dict(source.config), sort_keys=True, default=str)
    facts = [source.weights().fingerprint, config, parted.told["sha256"], parted.objective, torch.__version__]
    return cache / "sensitivity" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]}.jsonl"
