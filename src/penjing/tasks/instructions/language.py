"""The language of a response, as IFEval's own detector tells it."""

from functools import cache, lru_cache
from typing import Any

from penjing.errors import MissingExtraError

KINDS = frozenset({"language:response_language", "change_case:english_capital", "change_case:english_lowercase"})
"""The kinds of instruction that need the detector."""


def response_language(text: str, *, language: str) -> bool:
    """The detector finds this language (an ISO 639-1 code), or nothing to go by: then any will do, as in the original.

    Deviations: the detector's draws have a fixed seed, and "zh" is either Chinese script.

    Raises:
        MissingExtraError: langdetect is not installed.
    """
    found = _found(text)
    return found is None or found.split("-")[0] == language


@lru_cache(maxsize=1024)
def _found(text: str) -> str | None:
    detector = ready().create()
    from langdetect.lang_detect_exception import LangDetectException

    try:
        detector.append(text)
        return detector.detect()
    except LangDetectException:
        return None


@cache
def ready() -> Any:
    """The factory of langdetect's detectors, its profiles read.

    Raises:
        MissingExtraError: langdetect is not installed.
    """
    try:
        from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory
    except ImportError:
        raise MissingExtraError("langdetect", "instructions", "telling the language of an answer") from None
    factory = DetectorFactory()
    factory.set_seed(0)
    factory.load_profile(PROFILES_DIRECTORY)
    return factory
