"""How fast models are: times, rates, memory and energy, taken in turn with a null beside them."""

from penjing.profiling.speed.comparing import compare_speed
from penjing.profiling.speed.figures import FIGURES, MEMORY, MORE
from penjing.profiling.speed.ratios import ratios
from penjing.profiling.speed.settings import JOBS, Speed, SpeedResult, Timings

__all__ = ["FIGURES", "JOBS", "MEMORY", "MORE", "Speed", "SpeedResult", "Timings", "compare_speed", "ratios"]
