"""A figure over a setting that is a number: where a grid has three values of one or more, it is drawn as curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from penjing.core.study import Curve, Shown
from penjing.experiments import EXPERIMENTS
from penjing.maths.student import mean_of
from penjing.studies.asked import Study, say
from penjing.studies.journal import Row

LEAST = 3


def over_settings(study: Study, rows: Sequence[Row], figures: Sequence[Shown]) -> list[Curve]:
    """A curve for each figure over the setting with the most numbers; none where no setting has three."""
    flat = {s.name: dict(_flat(s.values)) for s in study.settings}
    names = list(dict.fromkeys(n for values in flat.values() for n in values))
    usual = {s.name: s.default for s in EXPERIMENTS.settings(study.experiment) if s.name in names}
    flat = {setting: {**usual, **values} for setting, values in flat.items()}
    counts = {n: len({v[n] for v in flat.values() if _is(v.get(n))}) for n in names}
    key = max(counts, key=lambda n: counts[n], default="")
    if not key or counts[key] < LEAST:
        return []
    groups: dict[str, list[tuple[float, str]]] = {}
    for setting, values in flat.items():
        if _is(values.get(key)):
            changing = {
                n: v for n, v in values.items() if n != key and len({repr(f.get(n)) for f in flat.values()}) > 1
            }
            label = ", ".join(f"{n.rpartition('.')[2]} {say(v)}" for n, v in changing.items()) or "all"
            groups.setdefault(label, []).append((float(values[key]), setting))
    return [_curve(one, rows, groups, key.rpartition(".")[2].replace("_", " ")) for one in figures]


def _curve(shown: Shown, rows: Sequence[Row], groups: Mapping[str, list[tuple[float, str]]], across: str) -> Curve:
    points, counts = {}, {}
    for label, places in groups.items():
        found = []
        for x, setting in sorted(places):
            values = [float(r.figures[shown.name]) for r in rows if r.setting == setting and shown.name in r.figures]
            if len(values) > 1:
                said = mean_of(torch.tensor(values, dtype=torch.float64))
                found.append((x, said.value, said.low, said.high))
            elif values:
                found.append((x, values[0], None, None))
            counts[label] = max(counts.get(label, 0), len(values))
        if found:
            points[label] = tuple(found)
    return Curve(name=f"{shown.name} over {across}", figure=shown.figure, across=across, points=points, n=counts)


def _is(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    out = []
    for key, value in values.items():
        out += _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else [(f"{above}{key}", value)]
    return out
