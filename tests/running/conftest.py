"""What goes with a small Llama that a file of tests has as its fixture `model`, and how often blocks run."""

from collections import Counter

import pytest
import torch
from tests.methods.tiny import Tensors
from torch import nn

from penjing import layouts


@pytest.fixture(scope="module")
def layout(model):
    return layouts.from_config({**model.config.to_dict(), "architectures": ["LlamaForCausalLM"]})


@pytest.fixture(scope="module")
def checkpoint(model):
    return Tensors(dict(model.state_dict()), {"model_type": "llama", "intermediate_size": 24})


@pytest.fixture(scope="module")
def batches():
    g = torch.Generator().manual_seed(1)
    return [torch.randint(50, (n, 32), generator=g) for n in (4, 3, 5)]


@pytest.fixture
def runs(monkeypatch):
    """Count the forwards of each block, by its number; a hook would be heeded, and change what is counted."""

    def watch(watched: list[nn.Module]) -> Counter:
        found: Counter = Counter()
        numbers = {id(b): k for k, b in enumerate(watched)}
        forward = type(watched[0]).forward

        def counting(self, *args, **kwargs):
            found[numbers[id(self)]] += 1
            return forward(self, *args, **kwargs)

        monkeypatch.setattr(type(watched[0]), "forward", counting)
        return found

    return watch
