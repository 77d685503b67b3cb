"""Training a copy of a model while a method acts on it."""

from penjing.train.loop import train

__all__ = ["train"]
