"""Vision models on labelled images: accuracy, calibration, common corruptions, geometry of the last features."""

from penjing.tasks.images.accuracy import ImageAccuracy
from penjing.tasks.images.corrupted import Corrupted, mean_corruption_error, relative_corruption_error
from penjing.tasks.images.corrupted_images import CorruptedImages
from penjing.tasks.images.corruptions import COMMON, EXTRA, SEVERITIES, corrupt
from penjing.tasks.images.feature_geometry import FeatureGeometry
from penjing.tasks.images.geometry import Geometry, Shift, class_angles, flips, geometry, last_linear, shift
from penjing.tasks.images.preparation import Preparation, from_processor
from penjing.tasks.images.probe import Probe, WithProbe, features, fit_probe
from penjing.tasks.images.redundancy import Redundancy, of_corruptions, redundancy

__all__ = [
    "COMMON",
    "EXTRA",
    "SEVERITIES",
    "Corrupted",
    "CorruptedImages",
    "FeatureGeometry",
    "Geometry",
    "ImageAccuracy",
    "Preparation",
    "Probe",
    "Redundancy",
    "Shift",
    "WithProbe",
    "class_angles",
    "corrupt",
    "features",
    "fit_probe",
    "flips",
    "from_processor",
    "geometry",
    "last_linear",
    "mean_corruption_error",
    "of_corruptions",
    "redundancy",
    "relative_corruption_error",
    "shift",
]
