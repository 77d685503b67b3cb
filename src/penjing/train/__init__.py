"""Training a copy of a model while a method acts on it, or a healer says what is made small."""

from penjing.train.healing import Pair, Place, heal
from penjing.train.loop import facts, fit, train
from penjing.train.run import Run
from penjing.train.settings import Settings, settings_from

__all__ = ["Pair", "Place", "Run", "Settings", "facts", "fit", "heal", "settings_from", "train"]
