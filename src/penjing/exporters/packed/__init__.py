"""A folder of weights in few bits that transformers opens, by the package compressed-tensors."""
