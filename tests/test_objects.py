"""The remote inside the repository holds the example's data, whole, and nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mainline.embedded import embedded_faults
from mainline.objects import EMBEDDED, data_outputs, expand, place, stage_outputs

TOP = Path(__file__).parents[1]


def put(folder: Path, content: bytes, suffix: str = "") -> str:
    """Store ``content`` under its own MD5 and return its object id."""
    oid = hashlib.md5(content).hexdigest() + suffix
    place(folder, oid).parent.mkdir(parents=True, exist_ok=True)
    place(folder, oid).write_bytes(content)
    return oid


def put_list(folder: Path, files: dict[str, str]) -> str:
    listing = [{"md5": oid, "relpath": name} for name, oid in files.items()]
    return put(folder, json.dumps(listing).encode(), ".dir")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / EMBEDDED
    first, second = put(folder, b"1"), put(folder, b"2")
    put_list(folder, {"a.csv": first})
    listing = put_list(folder, {"a.csv": first, "b.csv": second})
    (tmp_path / "data.dvc").write_text(f"outs:\n- md5: {listing}\n  hash: md5\n  path: data\n")
    return tmp_path


def test_the_committed_remote_is_sound() -> None:
    assert embedded_faults(TOP) == []


def test_data_and_an_earlier_list_of_it_are_fine(repo: Path) -> None:
    assert embedded_faults(repo) == []
    assert sorted(expand(data_outputs(repo), repo / EMBEDDED).values()) == ["data", "data/a.csv", "data/b.csv"]


def test_an_output_that_was_pushed_there_is_found(repo: Path) -> None:
    model = put(repo / EMBEDDED, b"model")
    assert embedded_faults(repo) == [
        f".dvc/embedded/files/md5/{model[:2]}/{model[2:]} is named by no .dvc file, "
        "and is not an output that the repository keeps"
    ]


def test_a_folder_of_outputs_that_was_pushed_there_is_found(repo: Path) -> None:
    plot = put(repo / EMBEDDED, b"plot")
    put_list(repo / EMBEDDED, {"plot.csv": plot})
    assert len(embedded_faults(repo)) == 2


def test_a_missing_and_a_damaged_object_are_named(repo: Path) -> None:
    found = {path: oid for oid, path in expand(data_outputs(repo), repo / EMBEDDED).items()}
    place(repo / EMBEDDED, found["data/a.csv"]).unlink()
    place(repo / EMBEDDED, found["data/b.csv"]).write_bytes(b"3")
    faults = "\n".join(embedded_faults(repo))
    assert f"data/a.csv ({found['data/a.csv']}) is missing" in faults
    assert f"data/b.csv ({found['data/b.csv']}) is damaged" in faults


def test_a_repository_without_the_example_has_no_faults(tmp_path: Path) -> None:
    assert embedded_faults(tmp_path) == []


def test_stage_outputs_leave_out_what_no_remote_holds(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: x\n    outs: [kept.txt, {local.txt: {push: false}}]\n"
        "    metrics: [{small.json: {cache: false}}]\n"
    )
    (tmp_path / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  one:\n    outs:\n"
        + "".join(
            f"    - {{path: {name}, md5: '0{n}', hash: md5}}\n"
            for n, name in enumerate(("kept.txt", "local.txt", "small.json"))
        )
    )
    assert [output.path for output in stage_outputs(tmp_path)] == ["kept.txt"]
