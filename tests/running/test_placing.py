"""A device that is not there is refused; "auto" is the fastest that is."""

import pytest

from penjing.errors import DeviceError
from penjing.running import placing


@pytest.mark.parametrize("there", [("cuda", "cpu"), ("mps", "cpu"), ("cpu",)])
def test_auto_is_the_fastest_there_is(there, monkeypatch):
    monkeypatch.setattr(placing, "_count", lambda kind: int(kind in there))
    assert placing.find_device("auto") == there[0]


@pytest.mark.parametrize("asked", ["cuda", "nothing", "cuda:1"])
def test_a_device_that_is_not_there_is_refused(asked, monkeypatch):
    monkeypatch.setattr(placing, "_count", lambda kind: int(kind == "cpu" or (kind == "cuda" and ":" in asked)))
    with pytest.raises(DeviceError, match=asked):
        placing.find_device(asked)
