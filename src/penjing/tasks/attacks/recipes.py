"""Published attacks, as far as they need no embeddings, by their names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from penjing.data.synonyms import Synonyms
from penjing.errors import MeasureError, nearest
from penjing.tasks.attacks.attack import Attack
from penjing.tasks.attacks.constraints import EditDistance, MostChanged
from penjing.tasks.attacks.ranking import Deletion, Unknown, WeightedSaliency
from penjing.tasks.attacks.transformations import DeepWordBug, Misspellings, SynonymSwap, TextBuggerCharacters


def pwws(synonyms: Synonyms, most_changed: float = 1.0) -> Attack:
    """Synonyms, words ranked by weighted saliency. Source: Ren et al., ACL 2019; without named entities."""
    return Attack(
        name="pwws",
        transformation=SynonymSwap(synonyms),
        ranking=WeightedSaliency(),
        constraints=(MostChanged(most_changed),),
    )


def deepwordbug(most_changed: float = 1.0) -> Attack:
    """Letters changed, at most 30 over the text, words ranked by an unknown in their place.

    Source: Gao et al., arXiv:1801.04354; its ranking of head and tail is replaced by the unknown token.
    """
    return Attack(
        name="deepwordbug",
        transformation=DeepWordBug(),
        ranking=Unknown(),
        constraints=(EditDistance(30), MostChanged(most_changed)),
    )


def textbugger_characters(most_changed: float = 1.0) -> Attack:
    """TextBugger's five bugs but for embedding neighbours, and without its sentence encoder.

    Source: Li et al., arXiv:1812.05271.
    """
    return Attack(
        name="textbugger-characters",
        transformation=TextBuggerCharacters(),
        ranking=Deletion(),
        constraints=(MostChanged(most_changed),),
    )


def misspellings(most_changed: float = 1.0) -> Attack:
    """Typing errors inside words. Source: Pruthi et al., arXiv:1905.11268."""
    return Attack(
        name="misspellings",
        transformation=Misspellings(),
        ranking=Deletion(),
        constraints=(MostChanged(most_changed),),
    )


_PLAIN: Mapping[str, Callable[[float], Attack]] = MappingProxyType({
    "deepwordbug": deepwordbug, "textbugger-characters": textbugger_characters, "misspellings": misspellings,
})  # fmt: skip
RECIPES = ("pwws", *_PLAIN)


def recipe(name: str, *, synonyms: Synonyms | None = None, most_changed: float = 1.0) -> Attack:
    """The attack of this name; "pwws" needs `synonyms`. `most_changed` is the share of words that may change.

    Raises:
        MeasureError: there is no such attack, it has no synonyms, or the share is not between 0 and 1.
    """
    if not 0 < most_changed <= 1:
        raise MeasureError(f"most_changed is {most_changed:g}; it is a share of words, above 0 and at most 1")
    if name == "pwws":
        if synonyms is None:
            raise MeasureError("the attack 'pwws' needs synonyms; read WordNet's folder or a synonym file of your own")
        return pwws(synonyms, most_changed)
    if name not in _PLAIN:
        hint = nearest(name, RECIPES) or f"; needed one of {', '.join(RECIPES)}"
        raise MeasureError(f"no attack is called '{name}'{hint}")
    return _PLAIN[name](most_changed)
