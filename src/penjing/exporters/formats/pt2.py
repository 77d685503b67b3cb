"""A graph of torch.export, which torch alone opens: neither transformers nor penjing is needed.

Batch and length of text stay free. What a model keeps from token to token is not in it: it reads whole texts.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.exporters.exporter import Exporter, Inputs, free_dimensions


def write(module: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write the module's graph with its weights."""
    free: Any = {k: dict.fromkeys(range(free_dimensions(v)), torch.export.Dim.AUTO) for k, v in inputs.items()}
    program = torch.export.export(module, (), dict(inputs), dynamic_shapes=free, strict=False)
    torch.export.save(program, path)


def run(path: Path, inputs: Inputs) -> Tensor:
    """The output that the file computes."""
    return torch.export.load(path).module()(**inputs)


EXPORTER = Exporter(
    suffix=".pt2",
    opens="import torch\nmodel = torch.export.load(FILE).module()",
    write=write,
    run=run,
)
