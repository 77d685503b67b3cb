"""Where models run: the device that is asked for, or the fastest that there is."""

import torch

from penjing.errors import DeviceError

AUTO = "auto"


def find_device(asked: str = AUTO) -> str:
    """The device that is asked for, such as "cpu" or "cuda:1"; "auto" is the fastest of cuda, mps and cpu.

    Raises:
        DeviceError: torch knows no such device, or this machine has none.
    """
    if asked == AUTO:
        return next((kind for kind in ("cuda", "mps") if _count(kind)), "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise DeviceError(f"'{asked}' is no device; name one of {', '.join((AUTO, *devices()))}") from error
    count = _count(device.type)
    if not count:
        raise DeviceError(
            f"the device '{asked}' was asked for, and this machine or this build of torch has none; it has "
            f"{', '.join(devices())}"
        )
    if device.index is not None and device.index >= count:
        raise DeviceError(f"the device '{asked}' was asked for, and there are {count} of them, counted from 0")
    return str(device)


def devices() -> tuple[str, ...]:
    """The kinds of devices that this machine has."""
    return tuple(kind for kind in ("cuda", "mps", "cpu") if _count(kind))


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return int(kind == "cpu")
