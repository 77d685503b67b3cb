"""A folder for transformers, and loaders for GPUs: weights in 8 bits, a scale for each row.

Made for what reads the format `pack-quantized` of compressed-tensors. All linear layers but the head are packed;
activations are not quantised.
"""

from penjing.exporters.packed.format import Packed
from penjing.exporters.packed.scheme import Scheme

EXPORTER = Packed(name="int8", schemes={"": (Scheme(bits=8), "8 bits a weight")})
