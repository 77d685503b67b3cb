"""The names of all statistics that can be collected, by where they are measured."""

SAMPLED = ("input_activity", "input_energy", "input_mean", "input_second_moment")
"""Means over samples (positions of examples) of what goes into a layer."""

WINDOWS = ("window_second_moment",)
"""Means over the places of a convolution's window."""

INPUTS = (*SAMPLED, *WINDOWS, "input_magnitude")
OUTPUTS = ("output_magnitude",)
BLOCKS = ("block_cosine",)
FORWARD = (*INPUTS, *OUTPUTS, *BLOCKS)

OBJECTIVES = ("loss", "output", "entropy")
KINDS = ("gradient", "fisher", "taylor")
DERIVATIVES = {f"{objective}_{kind}": (objective, kind) for objective in OBJECTIVES for kind in KINDS}
"""Statistic -> its objective and kind."""

KNOWN = (*FORWARD, *DERIVATIVES)
