"""What a setting takes, by the type of its field; what it does not take is said in words."""

from typing import Literal

import pytest

from penjing.core.setting_values import UnfitError, fitted
from penjing.errors import PenjingError
from penjing.methods import METHODS


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (3, int, 3), (3, float, 3), (0.5, float, 0.5), (True, bool, True), ("a", Literal["a", "b"], "a"),
        (0.5, tuple[float, ...], (0.5,)), ("a", tuple[str, ...], ("a",)), ([1, 2], tuple[int, ...], (1, 2)),
        (None, int | None, None), (4, int | None, 4), ([[1], 2], object, ([1], 2)),
    ],
)  # fmt: skip
def test_what_fits_is_taken(value, kind, wanted):
    assert fitted(value, kind) == wanted


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("nan", float, "a number"), (0.5, int, "a whole number"), (True, int, "a whole number"),
        (1, bool, "true or false"),
        ("mesured", Literal["uniform", "measured"], "one of uniform, measured; did you mean 'measured'?"),
        (["x"], tuple[float, ...], "several, each a number"), ("x", int | None, "a whole number or nothing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(value, kind, said):
    with pytest.raises(UnfitError, match=said.replace("?", r"\?")):
        fitted(value, kind)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("compactifai", {"ranks": "mesured"}), ("compactifai", {"way": "x"}), ("compactifai", {"bond": "nan"}),
        ("slicegpt_blocks", {"basis": "foo"}), ("slicegpt_blocks", {"damping": "nan"}),
    ],
)  # fmt: skip
def test_methods_refuse_before_any_work(method, settings):
    (name,) = settings
    with pytest.raises(PenjingError, match=rf"method '{method}' has the setting '{name}' at .*; it takes "):
        METHODS.build(method, settings)
    assert METHODS.build("compactifai", {"fractions": 0.5}).fractions == (0.5,)
