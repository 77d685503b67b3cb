"""On a Ray cluster, or on one that is started on this machine; a task whose machine is lost runs on another."""

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from penjing.errors import DeviceError, MissingExtraError
from penjing.studies.task import Outcome, Task, lost, perform

PATIENCE = 5.0
"""Seconds that a cluster has to answer."""


@dataclass(frozen=True, kw_only=True)
class Executor:
    """At the cluster of this `address` ("auto": the one that this machine is of; "": a local one of `workers` cores).

    A task gets one core, and `attempts` tries where machines are lost. Every machine needs penjing and the data.
    """

    address: str = ""
    workers: int = 0
    attempts: int = 3

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, list[Outcome]]]:
        """The tasks as they are done.

        Raises:
            MissingExtraError: ray is not installed.
            DeviceError: no cluster answers at the address.
        """
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise MissingExtraError("ray", "ray", "a study on a cluster") from error
        self._connect(ray)
        remote = ray.remote(num_cpus=1, max_retries=self.attempts - 1)(_alone)
        waiting, running = deque(tasks), {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * max(1, int(ray.cluster_resources().get("CPU", 1))):
                    task = waiting.popleft()
                    running[remote.remote(task)] = task
                for done in ray.wait(list(running), num_returns=1)[0]:
                    task = running.pop(done)
                    try:
                        found = ray.get(done)
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
                        found = lost(task, f"its machine was lost {self.attempts} times ({type(error).__name__})")
                    yield task, found
        finally:
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        local = {"address": "local", "num_cpus": self.workers or None, "include_dashboard": False}
        how: dict[str, Any] = {"address": self.address} if self.address else local
        try:
            _reach(self.address)
            ray.init(log_to_driver=False, logging_level="ERROR", **how)
        except (OSError, ValueError, RuntimeError) as error:
            advice = "start one with 'ray start --head', or leave address out"
            raise DeviceError(f"no Ray cluster answers at '{self.address}' ({error}); {advice}") from error


def _reach(address: str) -> None:
    """Ray itself waits for minutes where nobody answers."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _alone(task: Task) -> list[Outcome]:
    import torch

    torch.set_num_threads(1)
    return perform(task)
