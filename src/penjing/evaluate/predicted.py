"""What speed the sizes alone promise, to be printed beside what was measured.

One decoded token at batch 1 reads every weight once and the cache once, so its time follows bytes; a pass over many
tokens is bound by arithmetic, so its time follows multiply-adds.

Source: the roofline model (Williams et al. 2009) at its two ends.
"""

from math import prod

from penjing.core.pattern import shape
from penjing.evaluate.costs import Costs, main_dtype


def decode_bytes(model: Costs, context: int) -> float | None:
    """Bytes read to decode one token after `context` tokens; None without a layout.

    An embedding table that is only looked up (not tied to the output head) gives one row, which is left out.
    """
    if model.layout is None:
        return None
    layout = model.layout
    multiplied = {layout.aliases.get(w.tensor, w.tensor) for w in layout.work}
    usual = main_dtype(model.dtypes)
    total = 0.0
    for name, pattern in layout.patterns.items():
        dims = shape(pattern, layout.sizes)
        if name in layout.aliases or (len(dims) > 1 and name not in multiplied):
            continue
        total += prod(dims) * model.dtypes.get(name, usual).itemsize
    return total + model.cache_bytes * context


def decode_ratio(other: Costs, base: Costs, context: int) -> float | None:
    """The predicted ratio of decode times; below 1 is faster."""
    return _ratio(decode_bytes(other, context), decode_bytes(base, context))


def prefill_ratio(other: Costs, base: Costs, tokens: int) -> float | None:
    """The predicted ratio of prefill times; below 1 is faster."""
    return _ratio(_macs(other, tokens), _macs(base, tokens))


def _macs(model: Costs, tokens: int) -> float | None:
    from penjing.layouts import costs as counting

    return float(counting.macs(model.layout, tokens=tokens)) if model.layout and model.layout.work else None


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return top / bottom if top is not None and bottom else None
