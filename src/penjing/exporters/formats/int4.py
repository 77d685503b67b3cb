"""A folder for transformers, and loaders for GPUs: weights in 4 bits, a scale for each group of a row.

Behind a colon stands the size of the groups, as `int4:g64`. Rows are made of whole groups. All linear layers but the
head are packed; activations are not quantised.
"""

from penjing.exporters.packed.format import Packed
from penjing.exporters.packed.scheme import GROUPS, Scheme

EXPORTER = Packed(
    name="int4",
    schemes={f"g{n}": (Scheme(bits=4, group=n), f"4 bits a weight, a scale for each {n}") for n in GROUPS},
)
