"""A learning rate found on a narrow network that is right for a wide one: the maximal update parametrisation."""

from penjing.train.mup.check import Change, changes, slopes
from penjing.train.mup.groups import factor, groups
from penjing.train.mup.limit import Linear
from penjing.train.mup.scales import Scale, scales
from penjing.train.mup.set_up import fold, set_up

__all__ = ["Change", "Linear", "Scale", "changes", "factor", "fold", "groups", "scales", "set_up", "slopes"]
