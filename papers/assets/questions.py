"""Tasks of BIG-bench, each a JSON file with its questions, from one source archive."""

from pathlib import Path

from papers.assets.pinned import Pinned, fetch_all

_FILES = {
    "arithmetic/1_digit_addition": ("533525ec8298560cfa7be75399c77538e4d458eb3cfc343b56263e7d879203b1", 23_461),
    "arithmetic/2_digit_addition": ("1dd3e6fd6bc325a0010b21cef74bd94321b991003715e7299eb0cbd29f1d5582", 249_425),
    "strategyqa": ("60af9081fed20102fd8bb1e02dc7d9f12238efcba33e4c1a56b4d61cb6409803", 854_248),
    "social_iqa": ("edc9f568b70ae6d4af0783764dbe4e4f18aa1242c675a93f534338d73a565348", 639_200),
    "cause_and_effect/two_sentences": ("74b23a42e6c7663505ce60bf845dd138e3b9a977a9508c443e4de8990da0edb7", 8_514),
    "date_understanding": ("ff716f0e399109146db3a998281c39954907b78268a9b633a95582d63847822f", 119_336),
    "logical_deduction/three_objects": ("5e3f4a7569cb70bb1469374d3d34fb7883445a9d5743e1a81fd8dcdaf6fcb40f", 120_606),
    "physics": ("0994a99e5b1466881ecc46e547604e25c1ab05d4de8d07e2c2be93b2cfc76aeb", 83_066),
    "hhh_alignment/honest": ("69ba96e5bff121327ad1366e3772b7b45c50e96e7f995b2cef62c350380f1b14", 86_819),
}
TASKS = {
    name: Pinned(
        manager="pip",
        package="bigbench",
        version="1.0.0",
        member=f"bigbench/benchmark_tasks/{name}/task.json",
        sha256=digest,
        bytes=size,
        licence="Apache-2.0",
    )
    for name, (digest, size) in _FILES.items()
}


def bigbench() -> dict[str, Path]:
    """Name -> task.json of every task above; the archive (358 MB) is fetched once.

    Raises:
        CheckpointError: it cannot be fetched, or is not what was pinned.
    """
    return dict(zip(TASKS, fetch_all(list(TASKS.values())), strict=True))
