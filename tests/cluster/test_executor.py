from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from validator.cluster import Executor
from validator.errors import ConfigurationError


def test_an_address_is_that_of_a_scheduler() -> None:
    executor = Executor.read("dask://host:8786")
    assert (executor.scheduler, executor.cluster, executor.address) == (
        "dask://host:8786",
        None,
        "tcp://host:8786",
    )
    assert Executor.read("tls://host:8786").address == "tls://host:8786"


def test_a_class_is_a_cluster_to_start() -> None:
    assert Executor.read("LocalCluster").cluster == "LocalCluster"


def test_a_file_describes_either(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yml"
    file.write_text(
        "cluster: SLURMCluster\noptions: {cores: 2, memory: 8GiB}\nworkers: 16\nstore: s3://b/p\n"
    )
    executor = Executor.read(str(file))
    assert (executor.cluster, executor.workers, executor.options["cores"]) == ("SLURMCluster", 16, 2)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cluster: LocalCluster\nscheduler: dask://h:1\n", "either"),
        ("{}\n", "either"),
        ("cluster: MyCluster\n", "none of LocalCluster"),
        ("scheduler: host:8786\n", "no address such as dask://host:8786"),
        ("scheduler: dask://h:1\nworkers: 3\n", "of a `cluster` that is started"),
        ("cluster: LocalCluster\nworker: 3\n", "worker: Extra inputs"),
        ("cluster: LocalCluster\nworkers: 2\noptions: {n_workers: 3}\n", "leave one out"),
        ("cluster: SSHCluster\nworkers: 2\n", "needs `options.hosts`"),
        ("cluster: SSHCluster\noptions: {hosts: [one]}\n", "needs `options.hosts`"),
        ("cluster: LocalCluster\nretries: -1\n", "retries: "),
        ("cluster: LocalCluster\nshards: 257\n", "shards: "),
        ("cluster: LocalCluster\ntransfer_gib: .nan\n", "transfer_gib: "),
        ("- a\n", "valid dictionary"),
        ("a: [\n", "expected"),
        ("\0", "special characters"),
    ],
)
def test_a_file_that_describes_none_is_refused_with_its_name(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        Executor.read(str(file))
    assert str(file) in str(refused.value)
    assert part in str(refused.value)


@pytest.mark.parametrize("text", ["", "local", "http://host:1", "dask://", "SlurmCluster", "cluster.json"])
def test_what_names_nothing_is_refused_with_what_can_be_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"name a scheduler .*LocalCluster.* or a YAML file"):
        Executor.read(text)


def test_hosts_cannot_be_left_out() -> None:
    with pytest.raises(ConfigurationError, match=r"--executor SSHCluster: SSHCluster needs `options\.hosts`"):
        Executor.read("SSHCluster")


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Executor.read(str(tmp_path / "none.yml"))


def test_a_cluster_whose_package_is_missing_names_it() -> None:
    with pytest.raises(ConfigurationError, match="pip install dask-jobqueue"):
        Executor.read("SLURMCluster").start()


def test_a_package_that_changes_what_ctrl_c_does_is_not_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dask_jobqueue 0.9 does; what stands for it here has that line and no queue."""
    code = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit())\nSLURMCluster = dict\n"
    (tmp_path / "dask_jobqueue.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "dask_jobqueue", raising=False)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert Executor(cluster="SLURMCluster", options={"cores": 1}).start() == {"cores": 1}
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, before)
        sys.modules.pop("dask_jobqueue", None)


def test_a_cluster_that_does_not_start_says_why() -> None:
    with pytest.raises(ConfigurationError, match="LocalCluster does not start: Could not interpret 'many'"):
        Executor(cluster="LocalCluster", options={"memory_limit": "many"}).start()
