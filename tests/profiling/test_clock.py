"""Seconds of the processor: those in which others had it are not counted."""

import time

import pytest

from penjing.profiling.speed import Speed
from penjing.profiling.speed.comparing import _protocol, _settings
from penjing.profiling.speed.jobs import Loaded, _timed
from penjing.profiling.worker import clock_of


@pytest.mark.parametrize(("clock", "least", "most"), [("wall", 0.2, 60.0), ("processor", 0.0, 0.1)])
def test_waiting_counts_on_the_wall_only(clock, least, most):
    loaded = Loaded(None, {}, None, None, lambda: None, clock=clock_of({"clock": clock}))
    assert least <= _timed(loaded, lambda: time.sleep(0.2)) < most


def test_the_protocol_says_which_clock():
    greeting = {"dtype": "float32", "torch": "2", "transformers": "5"}
    for speed, said in ((Speed(clock="processor"), True), (Speed(), False)):
        assert ("clock=processor" in _protocol(speed, _settings(speed), greeting)) == said
