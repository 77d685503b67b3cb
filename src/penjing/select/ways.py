"""Which way to multiply by a chain of cores is the fastest on this machine."""

import time
from collections.abc import Sequence
from functools import lru_cache

import torch

from penjing.maths.tensor_train import WAYS
from penjing.nn.mpo import Mpo, Settings

REPEATS = 7
"""Of so many runs, after one that warms up, the fastest counts: what else the machine does only makes runs slower."""


def fastest(outs: Sequence[int], ins: Sequence[int], bond: int, inputs: int) -> str:
    """The way that took the least time, in float32 on the processor; the same within one process."""
    found = seconds(tuple(outs), tuple(ins), bond, inputs)
    return min(WAYS, key=found.__getitem__)


@lru_cache(maxsize=256)
def seconds(outs: tuple[int, ...], ins: tuple[int, ...], bond: int, inputs: int) -> dict[str, float]:
    """Way -> seconds of one pass of so many inputs, the least of some; runs take turns."""
    text = ["x".join(map(str, d)) for d in (outs, ins)]
    out, into = (int(torch.tensor(d).prod()) for d in (outs, ins))
    chains = {w: Mpo(Settings(outs=text[0], ins=text[1], bond=bond, way=w), out, into, bias=False) for w in WAYS}
    x, found = torch.ones(inputs, into), dict.fromkeys(WAYS, float("inf"))
    with torch.no_grad():
        for turn in range(REPEATS + 1):
            for way, chain in chains.items():
                began = time.perf_counter()
                chain(x)
                if turn:
                    found[way] = min(found[way], time.perf_counter() - began)
    return found
