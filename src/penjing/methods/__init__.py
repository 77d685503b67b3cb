"""One file per paper, in a folder per family. Nothing here imports a method: the folder is the registry."""

from types import ModuleType

from penjing.core import Card, Method
from penjing.core.registry import Registry

TRAINS = ("prepare", "loss", "step", "finish")


def _wrong(module: ModuleType) -> str:
    """What a method's file lacks besides its class, or an empty string."""
    if not isinstance(getattr(module, "CARD", None), Card):
        return "has no CARD; its file must define CARD = Card(...)"
    of = getattr(module, "Method", None)
    if of and not hasattr(of, "plan") and not all(hasattr(of, call) for call in TRAINS):
        return f"has a Method without plan(view); define it, or {', '.join(TRAINS)} for one that acts while training"
    return ""


def _from_a_score(module: ModuleType) -> type | None:
    """The class of a file that is a card and a score."""
    card, score = getattr(module, "CARD", None), getattr(module, "score", None)
    if not isinstance(card, Card) or not card.reads or not callable(score):
        return None
    from penjing.select.criterion import method_of

    return method_of(module)


METHODS: Registry[Method] = Registry(
    "penjing.methods", kind="method", attribute="Method", calls=("wants",), nested=True, check=_wrong,
    supply=_from_a_score,
)  # fmt: skip
"""Every method, by name; other packages add theirs through the entry-point group `penjing.methods`."""
