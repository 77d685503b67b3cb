"""One tiny random model of each architecture, with data as its forward takes them, and its layout.

Six of them have names of what they stand for; tests that want one of a kind ask for these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from tests.layouts import modules
from tests.layouts.zoo import ZOO
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.layouts import from_config, from_module, save_layout
from penjing.layouts.config.stock import build

EXAMPLES, BATCHES = 6, 2


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, an example of its input, batches with labels, and the file that its layout lies in."""

    module: nn.Module
    example: Any
    data: list[Any]
    layout: Any
    table: Path

    def output(self, module: nn.Module) -> Tensor:
        """What a module gives for the first batch."""
        given = self.data[0]
        with torch.no_grad():
            found = module(**given) if isinstance(given, dict) else module(given[0])
        return found if isinstance(found, Tensor) else found.logits


class Lite(nn.Module):
    """As EfficientNet-lite: inverted bottlenecks with depthwise convolutions, whose ends share a residual."""

    class Bottleneck(nn.Module):
        def __init__(self, width: int, wide: int):
            super().__init__()
            self.expand, self.norm = nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide)
            self.depthwise, self.second = nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.BatchNorm2d(wide)
            self.project, self.third = nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width)

        def forward(self, x: Tensor) -> Tensor:
            h = F.relu6(self.second(self.depthwise(F.relu6(self.norm(self.expand(x))))))
            return x + self.third(self.project(h))

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Lite.Bottleneck(8, 16), Lite.Bottleneck(8, 20))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(F.relu6(self.norm(self.stem(x)))).mean((2, 3)))


class Digits(nn.Module):
    """Two convolutions, whose channels a linear layer reads at every place."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.c, self.out = nn.Linear(8 * 2 * 2, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(F.relu(self.b(F.max_pool2d(F.relu(self.a(x)), 2))), 2)
        return self.out(F.relu(self.c(h.flatten(1))))


class Residual(nn.Module):
    """A block of ResNet, and a layer behind it."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.a, self.first = nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.b, self.second = nn.Conv2d(12, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.down, self.out = nn.Conv2d(8, 10, 1, stride=2), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm(self.stem(x)))
        h = F.relu(h + self.second(self.b(F.relu(self.first(self.a(h))))))
        return self.out(F.relu(self.down(h)).mean((2, 3)))


class Last(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, cell: nn.RNNBase):
        super().__init__()
        self.cell, self.head = cell, nn.Linear(6 * (2 if cell.bidirectional else 1), 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


def _recurrent(kind: type[nn.RNNBase], **settings: Any) -> Callable[[], nn.Module]:
    return lambda: Last(kind(5, 6, batch_first=True, **settings))


OWN: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "mlp": (modules.Mlp, (5,), 3),
    "digits cnn": (Digits, (1, 8, 8), 5),
    "efficientnet-lite": (Lite, (3, 8, 8), 5),
    "residual cnn": (Residual, (3, 8, 8), 5),
    "grouped cnn": (modules.Grouped, (3, 8, 8), 2),
    "lstm": (_recurrent(nn.LSTM), (4, 5), 5),
    "stacked lstm": (_recurrent(nn.LSTM, num_layers=2, bidirectional=True), (4, 5), 5),
    "gru": (_recurrent(nn.GRU, num_layers=2), (4, 5), 5),
    "kan": (modules.Kan, (4,), 2),
    "tied autoencoder": (modules.TiedAutoencoder, (9,), 9),
}
"""Name -> (module, shape of one input, classes)."""

_BERT = {**ZOO["bert"].config, "architectures": ["BertForSequenceClassification"]}
STOCK: dict[str, dict[str, Any]] = {
    "llama": ZOO["llama_tied"].config, "qwen2": ZOO["qwen2"].config, "bert": _BERT, "vit": ZOO["vit"].config,
    "dinov2": ZOO["dinov2"].config, "swin": ZOO["swin"].config, "resnet": ZOO["resnet"].config,
    "mixtral": ZOO["mixtral"].config,
}  # fmt: skip
"""Name -> config, of models of transformers."""

NAMED = {
    "decoder": "llama",
    "encoder": "bert",
    "vision": "swin",
    "cnn": "efficientnet-lite",
    "experts": "mixtral",
    "shared": "tied autoencoder",
}
"""What it stands for -> name: grouped queries and a gate; biases and LayerNorm; stages of several widths; groups and
BatchNorm; routed experts; a module of one's own with shared weights."""


@cache
def subject(name: str) -> Subject:
    """The model of this name, or what stands for it; nobody changes it."""
    name = NAMED.get(name, name)
    g = torch.Generator().manual_seed(1)
    if name in OWN:
        make, shape, classes = OWN[name]
        module = _drawn(make())
        example = torch.randn(2, *shape, generator=g)
        layout = from_module(module, example)
        drawn = [torch.randn(EXAMPLES, *shape, generator=g) for _ in range(BATCHES)]
        data: list[Any] = [(x, torch.randint(classes, (EXAMPLES,), generator=g)) for x in drawn]
    else:
        module = _drawn(build(STOCK[name], device="cpu"))
        layout = from_config(STOCK[name])
        data = [_given(module, g) for _ in range(BATCHES)]
        example = {k: v[:2] for k, v in data[0].items() if k != "labels"}
    table = Path(mkdtemp(prefix="penjing-")) / "layout.json"
    save_layout(layout, table)
    return Subject(module, example, data, layout, table)


def _given(module: nn.Module, g: torch.Generator) -> dict[str, Tensor]:
    """Pictures with labels, or rows of tokens, the last ones padded on the right."""
    config: Any = module.config
    if not hasattr(config, "vocab_size"):
        pixels = torch.randn(EXAMPLES, 3, 16, 16, generator=g)
        return {"pixel_values": pixels, "labels": torch.randint(2, (EXAMPLES,), generator=g)}
    ids = torch.randint(3, 90, (EXAMPLES, 7), generator=g)
    mask = torch.ones_like(ids)
    mask[-2:, 5:] = 0
    labels = {"labels": torch.randint(2, (EXAMPLES,), generator=g)} if config.model_type == "bert" else {}
    return {"input_ids": ids, "attention_mask": mask, **labels}


def _drawn(module: nn.Module) -> nn.Module:
    """All weights and statistics of norms random, so that nothing is hidden behind zeros and ones."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                positive = name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight"))
                draw = torch.rand if positive else torch.randn
                drawn = draw(tensor.shape, generator=g) + (0.5 if positive else 0.0)
                tensor.copy_(drawn if positive else 0.3 * drawn)
    return module.eval()
