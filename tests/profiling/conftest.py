"""Tiny models of sound, for what is timed."""

from tests.tasks.speech.conftest import ctc, whisper

__all__ = ["ctc", "whisper"]
