"""One file per way to heal: what is made small while a pruned model is trained. The folder is the registry.

A healer removes nothing and meets no budget, so it is no method: it is given a student, mostly a teacher, and a loop.
A file says in its first line what it makes small, and defines `Healer`, a dataclass that is a `core.Heals`.
"""

from typing import TYPE_CHECKING

from penjing.core.registry import Registry

if TYPE_CHECKING:
    from penjing.core import Heals

HEALERS: "Registry[Heals]" = Registry(
    "penjing.healers", kind="healer", attribute="Healer", calls=("looks", "prepare", "loss")
)
"""Every healer, by name; other packages add theirs through the entry-point group `penjing.healers`."""
