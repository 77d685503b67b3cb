"""What goes with a small Llama that a file of tests has as its fixture `model`."""

import pytest
import torch
from tests.methods.tiny import Tensors

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
