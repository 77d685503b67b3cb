"""Work done by several processes that make a process group, as those that torchrun starts; forked, which is quick."""

import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def forked(work: Callable[[], object], count: int, folder: Path) -> list[int]:
    """The process ids of so many copies of this process that do the work; what they say goes to files in the folder."""
    told = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    out = []
    for rank in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            code = 1
            try:
                os.environ.update({**told, "RANK": str(rank), "LOCAL_RANK": str(rank)})
                said = os.open(folder / f"said.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(said, 1)
                os.dup2(said, 2)
                sys.stdout, sys.stderr = (os.fdopen(n, "w") for n in (1, 2))
                warnings.simplefilter("ignore")
                work()
                code = 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        out.append(child)
    return out


def ended(children: list[int], *, limit: float = 300.0) -> list[int]:
    """The code that each ended with, less than 0 for a signal."""
    until, codes = time.monotonic() + limit, {}
    while len(codes) < len(children) and time.monotonic() < until:
        for child in children:
            if child not in codes:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    for child in children:
        if child not in codes:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert len(codes) == len(children), "a process did not come to its end"
    return [codes[child] for child in children]


def said(folder: Path, rank: int = 0) -> str:
    """What a process said."""
    return (folder / f"said.{rank}").read_text(encoding="utf-8", errors="replace")
