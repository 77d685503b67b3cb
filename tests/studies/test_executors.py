"""Processes that die, drivers that are killed at any moment, machines that are lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from tests.studies.conftest import noted

from penjing.errors import DeviceError
from penjing.studies import carry, read_study, shown
from penjing.studies.executors import EXECUTORS

PROCESSES = '[run]\nexecutor = "processes"\nworkers = 2\n'
SHORT = "[settings]\nseconds = 0.05\n"


def started(file, *more):
    command = [sys.executable, "-c", "from penjing.cli import main; main()", "study", "run", str(file), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def until(true, seconds=60.0):
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.01)
    assert true()


def finished(study):
    try:
        return [(r.setting, r.seed) for r in shown(study).rows]
    except Exception:  # not begun yet
        return []


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow  # processes are started, which import torch
def test_in_processes_each_run_once_and_the_same_rows(counting, tmp_path):
    study = read_study(counting("[grid]\nshift = [0, 10]\n" + PROCESSES))
    rows = carry(study).rows
    assert [r.figures["value"] for r in rows] == [s + shift for s in range(3) for shift in (0, 10)]
    assert len(noted(tmp_path, "begin")) == 6
    assert not {r.where for r in rows} & {f"{os.uname().nodename}:{os.getpid()}"}


@pytest.mark.slow  # processes are started, some of them again
def test_a_process_that_dies_costs_only_what_it_had_in_hand(counting, tmp_path):
    text = '[settings]\nfail = "die"\n[run]\nexecutor = "processes"\nworkers = 1\n'
    rows = carry(read_study(counting(text, seeds="2"))).rows
    assert [r.error for r in rows] == ["", ""]
    assert noted(tmp_path, "begin") == [("0", "0"), ("0", "0"), ("0", "1"), ("0", "1")]
    assert noted(tmp_path, "end") == [("0", "0"), ("0", "1")]


@pytest.mark.slow  # processes are started, some of them again
def test_a_run_that_always_kills_its_process_fails_and_the_others_go_on(counting, tmp_path):
    listed = '[[setting]]\nname = "bad"\nfail = "always"\nshift = 1\n[[setting]]\nname = "good"\n'
    text = listed + '[run]\nexecutor = "processes"\nworkers = 1\nattempts = 2\n'
    rows = carry(read_study(counting(text, seeds="1"))).rows
    assert ["its process died 2 times" in r.error for r in rows] == [True, False]


@pytest.mark.slow  # processes are started
def test_a_mistake_in_another_process_is_raised_here(counting):
    with pytest.raises(KeyError, match="a mistake"):
        carry(read_study(counting('[settings]\nfail = "mistake"\n' + PROCESSES)))


def killed_and_gone_on(counting, tmp_path, executor, wait):
    """Kill the process that carries a study out, and its group, after `wait` seconds of running; then go on."""
    study = read_study(counting("[settings]\nseconds = 0.03\n[grid]\nshift = [0, 10]\n" + executor, seeds="8"))
    process = started(study.file)
    until(lambda: noted(tmp_path, "begin"))
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    known = finished(study)
    mine = {int(line.split()[3]) for line in (tmp_path / "log.txt").read_text().splitlines()}
    until(lambda: not any(map(alive, mine)), 20)
    before = len(noted(tmp_path, "begin"))
    done = carry(study)
    assert len(done.rows) == 16
    assert all(r.figures["value"] == r.seed + (10 if "10" in r.setting else 0) for r in done.rows)
    later = noted(tmp_path, "begin")[before:]
    assert not {(f"shift {shift}", int(seed)) for shift, seed in later} & set(known), "a finished run was run again"
    assert len(later) == 16 - len(known)


@pytest.mark.slow  # a process is started and killed
@pytest.mark.parametrize("executor", ["", PROCESSES], ids=["here", "processes"])
def test_killed_while_it_runs_it_goes_on_with_what_is_not_finished(counting, tmp_path, executor):
    killed_and_gone_on(counting, tmp_path, executor, 0.2)


@pytest.mark.nightly  # many random moments
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(counting, tmp_path, seed):
    draw = random.Random(seed)
    killed_and_gone_on(counting, tmp_path, draw.choice(["", PROCESSES]), draw.uniform(0, 0.5))


def ray_command():
    """The `ray` that belongs to this Python, or why there is none."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'penjing[ray]'")
    beside = shutil.which("ray", path=os.path.dirname(sys.executable))
    return beside or pytest.skip("the command ray does not lie beside this Python")


@pytest.fixture
def two_nodes(counting):
    """Two Ray nodes of one core each on this machine; gives (address, kill the second)."""
    ray, port = ray_command(), 20_000 + os.getpid() % 20_000
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    common = ["--num-cpus=1", "--disable-usage-stats", "--block", "--object-store-memory=100000000"]
    head = subprocess.Popen([ray, "start", "--head", f"--port={port}", "--include-dashboard=false", *common], **quiet)
    nodes = [head]
    try:
        address = f"127.0.0.1:{port}"
        time.sleep(8)
        nodes.append(subprocess.Popen([ray, "start", f"--address={address}", *common], **quiet))
        time.sleep(8)
        yield address, lambda: os.killpg(nodes[1].pid, signal.SIGKILL)
    finally:
        for node in nodes:
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.wait()


@pytest.mark.nightly  # two Ray nodes are started, and one of them killed
def test_a_ray_node_that_is_killed_loses_nothing_and_nothing_is_run_twice(counting, tmp_path, two_nodes):
    address, kill = two_nodes
    text = f'[settings]\nseconds = 0.5\n[run]\nexecutor = "ray"\naddress = "{address}"\nattempts = 5\n'
    study = read_study(counting(text, seeds="40"))
    process = started(study.file)
    until(lambda: len(finished(study)) >= 8, 120)
    workers = {line.split()[3] for line in (tmp_path / "log.txt").read_text().splitlines()}
    assert len(workers) == 2, "one process on each node"
    before = set(finished(study))
    kill()
    assert process.wait(240) == 0
    rows = shown(study).rows
    assert [r.seed for r in rows] == list(range(40))
    assert not [r for r in rows if r.error]
    assert [r.figures["value"] for r in rows] == list(map(float, range(40)))
    begun, ended = noted(tmp_path, "begin"), noted(tmp_path, "end")
    assert sorted(set(ended)) == sorted(ended), "no run came to its end twice"
    twice = {seed for _, seed in begun if begun.count(("0", seed)) > 1}
    assert len(twice) <= 2, "only what the lost node had in hand is begun again"
    assert not {("counting", int(seed)) for seed in twice} & before


@pytest.mark.nightly  # Ray waits for a while
def test_a_cluster_that_does_not_answer_is_named():
    ray_command()
    executor = EXECUTORS.build("ray", {"address": "127.0.0.1:9"})
    with pytest.raises(DeviceError, match=r"no Ray cluster answers at '127\.0\.0\.1:9'"):
        list(executor.run([]))


@pytest.mark.nightly  # a local Ray is started
def test_a_ray_of_this_machine(counting, tmp_path):
    ray_command()
    rows = carry(read_study(counting('[run]\nexecutor = "ray"\nworkers = 2\n', seeds="5"))).rows
    assert [r.figures["value"] for r in rows] == list(map(float, range(5)))
    assert len(noted(tmp_path, "begin")) == 5
