"""The hashes that a folder written without a stop has."""

import pytest
from tests.io.written import hashes, write


@pytest.fixture(scope="session")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("reference") / "out"
    write(out)
    return hashes(out)
