"""What every test stands on: no network, one thread, hypothesis profiles."""

import os
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from hypothesis import HealthCheck, settings

# Building a tiny model inside an example takes longer than hypothesis' deadline, and the first one far longer.
settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

torch.set_num_threads(1)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run."""
    no_gpu = pytest.mark.skip(reason="no CUDA device")
    no_browser = pytest.mark.skip(reason=f"no browser: none of {', '.join(BROWSERS)} is installed")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        if "browser" in item.keywords and not any(map(shutil.which, BROWSERS)):
            item.add_marker(no_browser)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Code that forgets its generator is at least the same each time; tests that want randomness pass their own."""
    torch.manual_seed(0)
