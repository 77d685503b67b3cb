"""What a run of attacks comes to: accuracies, success rate, words changed, queries."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from penjing.core import Measurement
from penjing.core.report import Better
from penjing.errors import MeasureError
from penjing.tasks.attacks.attack import Outcome

SHOWN = 500
"""Letters of an adversarial text that are kept in the records."""


def attack_figures(outcomes: Sequence[Outcome], *, name: str, protocol: str) -> tuple[Measurement, ...]:
    """Accuracy under attack (the main figure), clean accuracy, success rate, words changed and queries.

    A text that was wrong from the start counts as wrong under attack. The success rate is over attacked texts, words
    changed (a share of the text's words) over successes, queries over attacked texts. Chance of both accuracies is the
    share of the commonest label: who always says the same cannot be attacked.

    Raises:
        MeasureError: there are no outcomes.
    """
    if not outcomes:
        raise MeasureError("there are no texts to attack; give at least one")
    attacked = [o for o in outcomes if o.correct]
    won = [o for o in attacked if o.flipped]
    chance = max(Counter(o.item.label for o in outcomes).values()) / len(outcomes)
    robust = _figure(name, "share right under attack", outcomes, [int(o.robust) for o in outcomes], protocol, "higher")
    clean = _figure(
        f"{name}:clean_accuracy", "share right", outcomes, [int(o.correct) for o in outcomes], protocol, "higher"
    )
    items = {**robust.items, **_records(outcomes)}
    return (
        replace(robust, chance=chance, items=items),
        replace(clean, chance=chance),
        _figure(
            f"{name}:success_rate", "share of attacked texts whose label flipped", attacked,
            [int(o.flipped) for o in attacked], protocol, "lower", "no text was right, so none was attacked",
        ),
        _figure(
            f"{name}:words_changed", "share of words changed, of successes", won,
            [o.changed / o.words for o in won], protocol, "higher", "no attack succeeded",
        ),
        _figure(
            f"{name}:queries", "queries per attacked text", attacked,
            [o.queries for o in attacked], protocol, "higher", "no text was right, so none was attacked",
        ),
    )  # fmt: skip


def _records(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    return {
        "clean_correct": [int(o.correct) for o in outcomes],
        "robust": [int(o.robust) for o in outcomes],
        "queries": [o.queries for o in outcomes],
        "changed": [o.changed for o in outcomes],
        "text": [o.text[:SHOWN] if o.flipped else "" for o in outcomes],
    }


def _figure(
    name: str,
    unit: str,
    outcomes: Sequence[Outcome],
    values: Sequence[float],
    protocol: str,
    better: Better,
    why: str = "",
) -> Measurement:
    """The mean with its standard error sqrt(variance / n); without values, no figure and `why`."""
    n = len(values)
    mean = math.fsum(values) / n if n else None
    spread = None
    if mean is not None and n > 1:
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    # which texts are attacked and which flip is each model's own: such figures have no items to pair, only an error
    own = not unit.startswith("share right")
    items = {} if own else {"id": [o.item.id for o in outcomes], "correct": list(values)}
    return Measurement(
        name=name, value=mean, unit=unit, n=n, spread=spread, spread_kind="standard error" if n > 1 else "",
        protocol=protocol, note="" if n else why, better=better, group="quality", items=items,
    )  # fmt: skip


def transfer_figures(
    found: Sequence[Outcome], clean: Sequence[bool], after: Sequence[bool], *, name: str, protocol: str
) -> tuple[Measurement, ...]:
    """What attacks found on one model do to another: accuracy on the attacked texts (main), clean accuracy, success.

    `clean` and `after` say whether the other model is right on the original and on the attacked text. Success is over
    texts that flipped the first model and that the other had right.

    Raises:
        MeasureError: there are no outcomes.
    """
    if not found:
        raise MeasureError("there are no texts to transfer; give at least one")
    rows = list(zip(found, clean, after, strict=True))
    tried = [(o, a) for o, c, a in rows if o.flipped and c]
    return (
        _figure(
            name, "share right on texts attacked on another model", found, [int(a) for a in after], protocol, "higher"
        ),
        _figure(f"{name}:clean_accuracy", "share right", found, [int(c) for c in clean], protocol, "higher"),
        _figure(
            f"{name}:success_rate", "share of right texts that the other model's attack flips",
            [o for o, _ in tried], [int(not a) for _, a in tried], protocol, "lower",
            "no text flipped the first model that this one had right",
        ),
    )  # fmt: skip
