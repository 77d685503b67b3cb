"""Measuring a model's activations on data, once, for any number of methods."""

from penjing.calibrate.collect import collect

__all__ = ["collect"]
