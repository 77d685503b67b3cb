"""What time a shape will take on this machine, from what the machine was seen to do: before anything is cut."""

from penjing.profiling.roofline.calibrating import calibrate
from penjing.profiling.roofline.predicting import Job, Prediction, free_width, predict
from penjing.profiling.roofline.profile import Profile, find, save
from penjing.profiling.roofline.shape import Product, Scores, Shape, describe, without_blocks
from penjing.profiling.roofline.what_if import WhatIf, what_if

__all__ = [
    "Job",
    "Prediction",
    "Product",
    "Profile",
    "Scores",
    "Shape",
    "WhatIf",
    "calibrate",
    "describe",
    "find",
    "free_width",
    "predict",
    "save",
    "what_if",
    "without_blocks",
]
