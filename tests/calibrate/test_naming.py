"""Files may name a module's tensors otherwise: what is looked at is found by the module's own names, or is told of."""

import pytest
import torch
from torch import nn

from penjing.calibrate.naming import own_names
from penjing.errors import UnsupportedError


class Experts(nn.Module):
    """One tensor for all experts, of which files store one each."""

    def __init__(self):
        super().__init__()
        self.up = nn.Parameter(torch.zeros(3, 4, 2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.ModuleDict({"gate": nn.Linear(2, 3), "experts": Experts()})
        self.attention = nn.Linear(2, 2)


NAMES = {"moe.gate.weight": "mlp.gate.weight", "moe.gate.bias": "mlp.gate.bias", "attention.weight": "attention.weight"}


def test_tensors_and_modules_are_found_by_what_files_call_them():
    wanted = ["moe.gate.weight", "moe.gate", "moe", "attention", "attention.weight"]
    found = ["mlp.gate.weight", "mlp.gate", "mlp", "attention", "attention.weight"]
    assert own_names(Block(), wanted, NAMES) == dict(zip(wanted, found, strict=True))


def test_what_is_computed_as_a_part_of_a_larger_tensor_is_told_with_a_glob_of_it():
    wanted = ["moe.gate.weight", *(f"moe.experts.{k}.up.weight" for k in range(3))]
    told = r"Block computes with 3 of .* such as moe\.experts\.0\.up\.weight.*'moe\.experts\.\*\.up\.weight'"
    with pytest.raises(UnsupportedError, match=told):
        own_names(Block(), wanted, NAMES)


def test_a_name_that_nobody_knows_is_left_to_whoever_looks_for_it():
    assert own_names(Block(), ["nothing"], {}) == {"nothing": "nothing"}
