"""How weights are stored: bits and groups, what the config of a folder says of them, and which rows hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from penjing.errors import ExportError

KIND, FORMAT = "compressed-tensors", "pack-quantized"
GROUPS = (128, 64, 32)
ENTRY = "quantization_config"


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Codes of so many bits, a scale for each `group` of a row, or for the whole row where there is none."""

    bits: int
    group: int | None = None

    def table(self, kept: Sequence[str]) -> dict[str, Any]:
        """The entry of the config: all linear layers but those that are `kept`, which are named."""
        weights = {
            "num_bits": self.bits, "type": "int", "symmetric": True, "dynamic": False,
            "strategy": "channel" if self.group is None else "group", "group_size": self.group,
        }  # fmt: skip
        alone = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
        return {
            "quant_method": KIND, "format": FORMAT, "quantization_status": "compressed", "ignore": list(kept),
            "config_groups": {"group_0": {**alone, "format": FORMAT}},
        }  # fmt: skip

    def refuse(self, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]], asked: str) -> None:
        """See that the rows of these matrices are made of whole groups.

        Raises:
            ExportError: they are not; it says which widths there are, and what would do.
        """
        group = self.group
        wrong = {shapes[n][-1]: n for n in reversed(names) if group and shapes[n][-1] % group}
        if not wrong or group is None:
            return
        said = ", ".join(f"{name} has {width}" for width, name in sorted(wrong.items()))
        near = [str(width // group * group) for width in sorted(wrong) if width >= group]
        cut = f"cut to {' and '.join(near)} (--multiple {group}), or " if len(near) == len(wrong) else ""
        fit = [f"int4:g{g}" for g in GROUPS if not any(shapes[n][-1] % g for n in names)]
        raise ExportError(
            f"{said} values in a row, and {asked} holds whole groups of {group}; {cut}export as "
            f"{' or '.join([*fit[:1], 'int8'])}, which such rows suit"
        )


def is_packed(config: Mapping[str, Any]) -> bool:
    """Whether the config is of a folder of this kind, whoever wrote it."""
    told = config.get(ENTRY)
    return isinstance(told, Mapping) and (told.get("quant_method"), told.get("format")) == (KIND, FORMAT)


def share(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Which part of all weights lies in these matrices."""
    return sum(prod(shapes[n]) for n in names) / sum(map(prod, shapes.values()))
