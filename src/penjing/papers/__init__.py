"""What became of each paper's claims: what it says, our figure, the verdict, and how to run it again.

A reproduction lies in a clone, in `papers/<folder>/expected.json` beside its program. What of it is for readers is also
in `rows/`, so that an installed package can print it; a paper that nobody has reproduced yet has its row alone. This
room imports neither torch nor anything else of penjing but its errors, so that printing the list takes no time.
"""

from penjing.papers.reading import read
from penjing.papers.schema import VERDICTS, Claim, Figure, Paper, Run, to_json
from penjing.papers.shelf import find, shelf

__all__ = ["VERDICTS", "Claim", "Figure", "Paper", "Run", "find", "read", "shelf", "to_json"]
