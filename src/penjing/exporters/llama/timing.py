"""One GGUF file, timed in the process that runs it; attention and cache are llama.cpp's own choice."""

import time
from pathlib import Path
from random import Random

from penjing.exporters.llama.library import Running, version


class TimedGguf:
    """The file, loaded, with a context of tokens drawn at random.

    Raises:
        ExportError: llama.cpp does not open the file, or it has too few positions.
    """

    decodes, images = True, False

    def __init__(self, path: Path, *, prompt: int, context: int, threads: int, room: int = 64) -> None:
        self.version, self.clock = version(), time.perf_counter
        self.what = f"tokens={prompt} context={context}"
        self._running = Running(path, context=max(prompt, context) + room, threads=threads, exact=False)
        drawn = Random(0)
        self._prompt = [drawn.randrange(self._running.size) for _ in range(max(prompt, context))]
        self._tokens, self._context = prompt, context
        self._filled = False

    def prefill(self) -> float:
        """Seconds of one pass over the prompt, with the logits of all positions."""
        self._filled = False
        self._running.forget(0)
        return self._timed(self._prompt[: self._tokens], 0)

    def decode(self, steps: int) -> list[float]:
        """Seconds of each of some steps of one token after the context; one before them is not timed."""
        if not self._filled:
            self._running.forget(0)
            self._timed(self._prompt[: self._context], 0)
            self._filled = True
        self._running.forget(self._context)
        return [self._timed([self._prompt[0]], self._context + i) for i in range(steps + 1)][1:]

    def _timed(self, tokens: list[int], start: int) -> float:
        """Seconds of the runtime's own work: what is handed over is made ready before."""
        taken = 0.0
        for begin in range(0, len(tokens), self._running.batch):
            part = tokens[begin : begin + self._running.batch]
            with self._running.ready(part, start + begin, every=True) as batch:
                begun = self.clock()
                self._running.run(batch, len(part), start + begin)
                taken += self.clock() - begun
        return taken
