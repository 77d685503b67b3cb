"""One file per paper, in a folder per family. Nothing here imports a method: the folder is the registry."""

from types import ModuleType

from penjing.core import Card, Method
from penjing.core.registry import Registry


def _wrong(module: ModuleType) -> str:
    """What a method's file lacks besides its class, or an empty string."""
    if not isinstance(getattr(module, "CARD", None), Card):
        return "has no CARD; its file must define CARD = Card(...)"
    return ""


METHODS: Registry[Method] = Registry(
    "penjing.methods", kind="method", attribute="Method", calls=("wants", "plan"), nested=True, check=_wrong
)
"""Every method, by name; other packages add theirs through the entry-point group `penjing.methods`."""
