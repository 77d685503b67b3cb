"""The network of a recipe of training: built anew or opened, and for the maximal update parametrisation set up."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.errors import PenjingError, RequestError, UnsupportedError
from penjing.io.shards import read_config
from penjing.layouts.config.stock import build
from penjing.models import MODELS, create, enrol, sized
from penjing.pipeline.train_recipe import Mup, Network
from penjing.running.stock import load
from penjing.train.mup import fold, scales, set_up
from penjing.train.mup.scales import Scale


def config_of(network: Network) -> Mapping[str, Any]:
    """The entries of the network's config that are given, before the data say how many classes there are.

    Raises:
        PenjingError: there is no such architecture, size or file.
    """
    if network.name:
        card = MODELS.load(network.name).CARD
        enrol(network.name)
        defaults = MODELS.load(network.name).Config().to_dict()
        return {**defaults, **sized(card, network.size), **network.settings}
    if network.checkpoint:
        return read_config(Path(network.checkpoint))
    path = Path(str(network.config))
    try:
        return {**json.loads(path.read_text(encoding="utf-8")), **network.settings}
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read as a config ({error}); name a config.json") from error


def network_of(network: Network, entries: Mapping[str, Any], *, seed: int) -> nn.Module:
    """The network in float32, on the CPU, with weights drawn by the seed, or those of its checkpoint.

    `entries` are others of its config, such as the number of classes.

    Raises:
        PenjingError: it cannot be made.
    """
    if network.checkpoint:
        module = load(network.checkpoint, dtype=torch.float32)
        has, needs = getattr(module.config, "num_labels", None), entries.get("num_labels")
        if needs is not None and has is not None and int(has) < int(needs):
            found = f"{network.checkpoint} tells {has} classes apart"
            raise PenjingError(f"{found} and the data have {needs}; name another checkpoint")
        return module.train()
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        if network.name:
            return create(network.name, network.size, **{**network.settings, **entries}).float().train()
        return build({**config_of(network), **entries}, device="cpu").float().train()


def widened(network: Network, entries: Mapping[str, Any], mup: Mup, by: int, *, seed: int) -> nn.Module:
    """The base network with all its widths so many times as large, its first values drawn but not set up."""
    grown = {k: [w * by for w in v] if isinstance(v, list | tuple) else v * by for k, v in mup.base.items()}
    return network_of(network, {**entries, **grown}, seed=seed)


def parametrised(module: nn.Module, network: Network, entries: Mapping[str, Any], mup: Mup) -> dict[str, Scale]:
    """How the parameters of a fresh module stand to those of the base, after it was set up by that.

    Raises:
        UnsupportedError: the network is not fresh, or could not be saved as any other.
    """
    if network.checkpoint:
        raise UnsupportedError("a checkpoint has its first values behind it; set up a new network, by name or config")
    base, delta = (widened(network, entries, mup, by, seed=0) for by in (1, 2))
    known = scales(module, base, delta)
    trial = set_up(widened(network, entries, mup, 2, seed=0), base, scales(delta, base, delta), fixed=True)
    fold(trial)  # refuses now what could not be saved after hours
    set_up(module, base, known, fixed=True, zero_readout=mup.zero_readout)
    return known
