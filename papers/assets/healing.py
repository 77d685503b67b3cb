"""What programs that heal SmolLM2 share: a text to train on that nothing is judged on, and the losses of a folder."""

from pathlib import Path
from typing import Any

import torch
from papers.assets.texts import addresses, novels
from torch import Tensor

import penjing


def training_text(out: Path, characters: int) -> Path:
    """A file in `out`: so many characters of the newest addresses, then as many of novels."""
    path = out / "train.txt"
    if not path.is_file():
        parts = ("\n".join(reversed(addresses())), "\n".join(novels()))
        path.write_text("\n".join(part[:characters] for part in parts), encoding="utf-8")
    return path


@torch.no_grad()
def losses(folder: Path, rows: Tensor) -> Tensor:
    """[rows] float64: the mean loss of each row of tokens in nats, of the model in a folder, in float32."""
    module: Any = penjing.load(folder).float().eval()
    out = []
    for row in rows:
        logits = module(input_ids=row[None], use_cache=False).logits[0, :-1]
        out.append(float(torch.nn.functional.cross_entropy(logits, row[1:])))
    return torch.tensor(out, dtype=torch.float64)
