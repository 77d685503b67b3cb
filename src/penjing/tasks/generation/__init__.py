"""What a model writes, greedily, and whether that is the right answer."""

from penjing.tasks.generation.answers import READINGS, Reading, pattern
from penjing.tasks.generation.exact import ExactMatch
from penjing.tasks.generation.greedy import Reply, generate

__all__ = ["READINGS", "ExactMatch", "Reading", "Reply", "generate", "pattern"]
