from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.compare.integrity import Finding
from mainline.errors import UserError
from mainline.files import sha256
from mainline.release import bento, identity
from mainline.release.build import _check, enter, pull_request
from mainline.release.fitness import check_fitness
from mainline.release.ledger import Deploy
from mainline.release.store import STORE, every, find, place

pytestmark = pytest.mark.usefixtures("quick")

Copy = Callable[[Any], Any]


def refusal(made: Any) -> str:
    """Return what ``release build`` says when it refuses; nothing may be left behind."""
    code, output = made.mainline("release", "build")
    assert code == 1, output
    assert "Traceback" not in output
    left = [path.name for path in (made.folder / STORE).glob("*")] if (made.folder / STORE).is_dir() else []
    assert left in ([], [".lock"])
    return " ".join(output.split())


def test_the_release_holds_everything_and_says_where_it_comes_from(built: Any) -> None:
    release = built.only()
    manifest = release.manifest
    assert manifest["id"] == release.id == identity.release_id("bank", manifest["digests"])
    assert manifest["commit"] == built.git("rev-parse", "HEAD")
    assert manifest["created"].endswith("+00:00")
    assert manifest["digests"]["model"] == sha256(built.folder / "artifacts/model.skops")
    assert [item["file"] for item in manifest["data"]] == [f"2009-0{month}.csv" for month in range(1, 6)]
    listed = set(manifest["files"])
    assert {"card.md", "card.html", "sbom.cdx.json", "golden.json", "params.yaml", "dvc.lock"} <= listed
    inside = "bento/src/release"
    assert {f"{inside}/{name}" for name in ("identity.json", "card.md", "sbom.cdx.json", "golden.json")} <= listed
    assert json.loads((release.bento / "src/release/identity.json").read_text())["id"] == release.id
    assert not [name for name in listed if "__pycache__" in name]
    assert str(built.folder) not in (release.path / "release.json").read_text()
    settings = yaml.safe_load((release.bento / "src/bentofile.yaml").read_text())
    assert {"name": "MAINLINE_RELEASE", "value": release.id}.items() <= settings["envs"][0].items()
    assert (release.bento / "README.md").read_bytes() == (built.folder / "reports/card.md").read_bytes()


def test_the_ledger_has_an_entry_that_anchors_the_manifest(built: Any) -> None:
    deploy, release = Deploy.open(built.folder / ".mainline/deploy"), built.only()
    entry = deploy.entry(release.id)
    assert entry.commit == release.commit
    assert entry.pull_request == 7
    assert entry.digests == {**release.digests, "manifest": sha256(release.path / "release.json")}
    (transition,) = entry.transitions
    assert (transition.environment, transition.event, transition.by) == ("staging", "built", "Ada")
    assert transition.why == "Merge pull request #7 from ada/model"
    assert entry.verdict == "not found: nobody has compared this model here"


def test_a_verdict_from_elsewhere_is_asked_for_once_and_kept(built: Any, tmp_path: Path) -> None:
    deploy, release, asked = Deploy.open(tmp_path / "deploy"), built.only(), []

    def ask(commit: str) -> dict[str, Any]:
        asked.append(commit)
        return {"verdict": "promote", "reason": "better", "source": "the status of #7"}

    for _ in range(2):
        enter(deploy, release, None, built.folder, ask)
    entry = deploy.entry(release.id)
    assert asked == [release.commit] and entry.verdict == "promote"
    evidence = entry.transitions[0].evidence or {}
    assert (evidence["verdict"], evidence["verdict_source"]) == ("better", "the status of #7")


def test_a_second_build_does_nothing_and_says_so(built: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.only().path.rglob("*")}
    head = Deploy.open(built.folder / ".mainline/deploy").head()
    code, output = built.mainline("release", "build")
    assert code == 0
    assert "it is in the store already, and whole" in output
    assert {path: path.stat().st_mtime_ns for path in built.only().path.rglob("*")} == before
    assert Deploy.open(built.folder / ".mainline/deploy").head() == head


@pytest.mark.slow
def test_a_lost_release_is_restored_byte_for_byte_also_after_a_later_commit(built: Any, copy_of: Copy) -> None:
    """The bytes follow from the commit alone: another folder, another process, and a newer commit checked out."""
    made = copy_of(built)
    release = made.only()
    before = {path.relative_to(release.path): path.read_bytes() for path in release.path.rglob("*") if path.is_file()}
    made.write("src/bank/model.py", (made.folder / "src/bank/model.py").read_text() + "\n# newer\n")
    made.commit("Go on")
    shutil.rmtree(release.path)
    assert "is not in .mainline/releases" in made.mainline("release", "show", "bank-000000000000")[1]
    code, output = made.mainline("release", "restore", release.id)
    assert code == 0, output
    after = {path.relative_to(release.path): path.read_bytes() for path in release.path.rglob("*") if path.is_file()}
    assert after == before
    assert made.git("worktree", "list").count("\n") == 0


def test_a_release_whose_commit_is_gone_is_refused_by_name(built: Any, copy_of: Copy) -> None:
    made = copy_of(built)
    release = made.only()
    deploy = Deploy.open(made.folder / ".mainline/deploy")
    deploy.commit("x", expect=deploy.head(), entries=[replace(deploy.entry(release.id), commit="f" * 40)])
    shutil.rmtree(release.path)
    code, output = made.mainline("release", "restore", release.id)
    assert code == 1
    assert "its commit ffffffffffff is not here" in output
    assert "git fetch origin ffff" in output


def test_a_release_that_nobody_knows_is_refused(built: Any) -> None:
    for command in ("verify", "show", "restore", "container"):
        code, output = built.mainline("release", command, "bank-ffffffffffff")
        assert code == 1, command
        assert "bank-ffffffffffff" in output
        assert "Traceback" not in output


def test_a_changed_file_is_refused(finished: Any, copy_of: Copy) -> None:
    made = copy_of(finished)
    shutil.rmtree(made.folder / ".mainline", ignore_errors=True)
    made.write("src/bank/new.py", "")
    made.write("params.yaml", (made.folder / "params.yaml").read_text() + "\n")
    assert "not committed: params.yaml, src/bank/new.py" in refusal(made)


def test_a_lock_that_does_not_fit_is_refused(finished: Any, copy_of: Copy) -> None:
    made = copy_of(finished)
    shutil.rmtree(made.folder / ".mainline", ignore_errors=True)
    params = yaml.safe_load((made.folder / "params.yaml").read_text())
    params["model"]["seed"] += 1
    made.write("params.yaml", yaml.safe_dump(params))
    made.commit("Change the seed, and forget to train")
    said = refusal(made)
    assert "dvc.lock does not match this work tree" in said
    assert "model.seed" in said or "params.yaml" in said


def test_an_output_that_was_changed_or_is_missing_is_refused(finished: Any, copy_of: Copy) -> None:
    made = copy_of(finished)
    shutil.rmtree(made.folder / ".mainline", ignore_errors=True)
    model = made.folder / "artifacts/model.skops"
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content + b" ")
    assert "artifacts/model.skops: dvc.lock pins" in refusal(made)
    model.unlink()
    assert "artifacts/model.skops: not there" in refusal(made)


@pytest.fixture
def fit(finished: Any, monkeypatch: pytest.MonkeyPatch, copy_of: Copy) -> Any:
    """A copy that is fit for a release; the lock is taken as read, since no test here changes what it pins."""
    made = copy_of(finished)
    shutil.rmtree(made.folder / ".mainline", ignore_errors=True)
    monkeypatch.setattr("mainline.release.fitness.lock_integrity", lambda _: Finding())
    return made


def test_an_output_that_no_lock_pins_is_refused(fit: Any) -> None:
    lock = yaml.safe_load((fit.folder / "dvc.lock").read_text())
    card = lock["stages"]["card"]
    card["outs"] = [item for item in card["outs"] if item["path"] != "reports/card.md"]
    fit.write("dvc.lock", yaml.safe_dump(lock))
    fit.commit("Keep the card out of the lock")
    assert "reports/card.md: dvc.lock does not pin it" in refusal(fit)


def test_a_folder_without_a_commit_is_refused(fit: Any) -> None:
    fit.git("update-ref", "-d", "HEAD")
    assert "there is no commit yet" in refusal(fit)


@pytest.mark.parametrize("name", ["bentofile.yaml", "requirements.lock"])
def test_a_file_that_a_release_needs_is_named(fit: Any, name: str) -> None:
    (fit.folder / name).unlink()
    fit.commit("Drop it")
    assert f"{name}: not there" in refusal(fit)


def test_a_gate_that_was_not_passed_is_refused(fit: Any) -> None:
    path = fit.folder / "reports/evaluation.json"
    content = json.loads(path.read_text())
    content["gates"][0]["passed"] = False
    path.unlink()
    path.write_text(json.dumps(content))
    assert f"gates not passed: {content['gates'][0]['gate']}" in refusal(fit)


def verdict(made: Any, **changes: Any) -> Path:
    model = sha256(made.folder / "artifacts/model.skops")
    content = {"verdict": "promote", "reason": "better", "challenger": {"model_sha256": model}} | changes
    return made.write("reports/verdict.json", json.dumps(content))


@pytest.mark.parametrize("word", ["hold", "reject"])
def test_a_verdict_on_this_model_that_is_not_promote_is_refused(fit: Any, word: str) -> None:
    verdict(fit, verdict=word, reason="too few rows")
    assert f"the verdict on this model is {word}: too few rows" in refusal(fit)


def test_a_verdict_that_cannot_be_read_is_refused(fit: Any) -> None:
    fit.write("reports/verdict.json", "{}")
    assert "is no verdict" in refusal(fit)


def test_a_promotion_of_uncommitted_changes_says_nothing_about_the_commit(fit: Any) -> None:
    verdict(fit, head={"commit": "a" * 40, "dirty": True})
    assert check_fitness(fit.folder) is None
    verdict(fit, head={"commit": "a" * 40, "dirty": False})
    assert check_fitness(fit.folder) is not None
    verdict(fit, verdict="reject", head={"commit": "a" * 40, "dirty": True})
    assert "the verdict on this model is reject" in refusal(fit)


def test_a_verdict_on_another_model_says_nothing(fit: Any) -> None:
    verdict(fit, verdict="reject", challenger={"model_sha256": "0" * 64})
    assert check_fitness(fit.folder) is None
    verdict(fit)
    found = check_fitness(fit.folder)
    assert found is not None
    assert found["reason"] == "better"


BROKEN = {
    "no service": ({"service": None}, "service: is missing"),
    "a lock of BentoML's own": ({"python": {"requirements_txt": "r"}}, "python.lock_packages: is not false"),
    "an index": (
        {"python": {"lock_packages": False, "index_url": "https://example.org"}},
        "python.index_url: is set",
    ),
    "a package by name": ({"python": {"lock_packages": False, "packages": ["x"]}}, "python.packages: is set"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_bentofile_that_could_give_another_bento_is_refused(tmp_path: Path, case: str) -> None:
    change, said = BROKEN[case]
    content = {"service": "a:b", "python": {"lock_packages": False}} | change
    (tmp_path / "bentofile.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=re.escape(said)):
        bento.bentofile(tmp_path, "bank", "bank-1")


def test_a_service_that_cannot_be_imported_is_refused(fit: Any) -> None:
    fit.write("src/bank/stand_in.py", "import nowhere_to_be_found\n")
    fit.commit("Break the service")
    assert "bentoml build: " in refusal(fit)


def test_an_index_address_never_gets_into_a_bento(tmp_path: Path) -> None:
    (tmp_path / "env/python").mkdir(parents=True)
    (tmp_path / "bento.yaml").write_text("name: bank\ncreation_time: '2026'\n")
    listed = tmp_path / "env/python/requirements.txt"
    listed.write_text("alpha==1.0\n")
    bento._settle(tmp_path, "2009-01-01")
    assert "creation_time: '2009-01-01'" in (tmp_path / "bento.yaml").read_text()
    for line in ("--index-url https://example.org/simple", "alpha @ https://example.org/a.whl", "--find-links x"):
        listed.write_text(f"alpha==1.0\n{line}\n")
        with pytest.raises(UserError, match="the Bento lists an address"):
            bento._settle(tmp_path, "2009-01-01")
    (tmp_path / "bento.yaml").write_text("name: bank\n")
    with pytest.raises(UserError, match="holds no creation_time"):
        bento._settle(tmp_path, "2009-01-01")


def stand_in(files: dict[str, str]) -> Callable[..., Path]:
    """Return what stands in for BentoML where only the result of its build matters."""

    def build(root: Path, work: Path, *_: Any) -> Path:
        made = work / "made"
        for name in ("artifacts/model.skops", "params.yaml"):
            (made / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, made / "src" / name)
        if (root / "artifacts/serving").is_dir():
            shutil.copytree(root / "artifacts/serving", made / "src/artifacts/serving")
        for name, text in files.items():
            (made / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            (made / "src" / name).write_text(text)
        return made

    return build


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"artifacts/model.skops": "other"}, "artifacts/model.skops is not in the Bento as it is here"),
        ({"params.yaml": "project: other"}, "params.yaml is not in the Bento as it is here"),
        ({"artifacts/serving/model.onnx": "other"}, "artifacts/serving is not in the Bento as it is here"),
        ({"notes.txt": "hello"}, "notes.txt gets into the Bento, but the release id does not depend on it"),
    ],
)
def test_a_bento_of_other_parts_is_refused(finished: Any, tmp_path: Path, files: dict[str, str], said: str) -> None:
    with contextlib.chdir(finished.folder):
        parts = identity.digests()
        _check(stand_in({})(Path(), tmp_path / "sound"), parts, Path())
        with pytest.raises(UserError, match=re.escape(said)):
            _check(stand_in(files)(Path(), tmp_path), parts, Path())


def test_the_same_content_keeps_id_and_commit_and_other_bytes_are_refused(
    fit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bento, "build", stand_in({}))
    assert fit.mainline("release", "build")[0] == 0
    first = fit.only()
    fit.write("NOTES.md", "words only")
    fit.commit("Explain")
    shutil.rmtree(first.path)
    code, output = fit.mainline("release", "build")
    assert code == 0, output
    assert fit.only() == first
    (first.path / "card.md").write_text("")
    code, output = fit.mainline("release", "build")
    assert code == 0, output
    assert "built again, for the one in the store was damaged" in output
    assert (first.path / "card.md").read_text()
    shutil.rmtree(first.path)
    monkeypatch.setattr(bento, "build", stand_in({"src/other.py": "1"}))
    said = refusal(fit)
    assert "is not, byte for byte, what the ledger has" in said


def test_a_build_that_is_killed_leaves_no_release(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    with pytest.raises(Killed), place(tmp_path, "bank-1") as folder:
        (folder / "release.json").write_text('{"id": "bank-1"}')
        raise Killed
    assert every(tmp_path) == []
    (tmp_path / ".part-bank-1").mkdir()
    (tmp_path / ".part-bank-1" / "release.json").write_text("{}")
    assert every(tmp_path) == []
    with place(tmp_path, "bank-2"):
        assert [path.name for path in tmp_path.glob(".part-*")] == [".part-bank-2"]


def test_two_builds_at_once_are_one_too_many(tmp_path: Path) -> None:
    with place(tmp_path, "bank-1"), pytest.raises(UserError, match="another .* is running"), place(tmp_path, "bank-2"):
        pass


def test_a_manifest_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bank-1").mkdir()
    (tmp_path / "bank-1" / "release.json").write_text('{"id": "bank-2"}')
    with pytest.raises(UserError, match="is not the manifest of bank-1"):
        find("bank-1", tmp_path)


def test_a_damaged_manifest_does_not_hide_the_others(built: Any, copy_of: Copy) -> None:
    made = copy_of(built)
    made.write(".mainline/releases/bank-000000000000/release.json", "{")
    code, output = made.mainline("release", "list")
    assert code == 0, output
    assert made.only().id in output
    assert "bank-000000000000/release.json: is not valid JSON" in output


def test_the_id_follows_from_every_part() -> None:
    parts = {name: name * 2 for name in identity.PARTS}
    name = identity.release_id("bank", parts)
    assert re.fullmatch(r"bank-[0-9a-f]{12}", name)
    others = {identity.release_id("bank", parts | {part: "other"}) for part in identity.PARTS}
    assert len(others | {name}) == len(identity.PARTS) + 1


@pytest.mark.parametrize(
    ("subject", "number"),
    [
        ("Merge pull request #12 from ada/model", 12),
        ("Train on June (#34)", 34),
        ("Mend #56 and #57", None),
        ("", None),
    ],
)
def test_the_pull_request_stands_in_the_subject(subject: str, number: int | None) -> None:
    assert pull_request(subject) == number


def test_without_an_engine_there_is_no_container(built: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "sh"):
        (tools / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tools))
    code, output = built.mainline("release", "container", built.only().id)
    assert code == 1
    assert "neither docker nor podman is on PATH" in output
    said = tmp_path / "said"
    (tools / "podman").write_text(f'#!/bin/sh\necho "$@" > {said}\n')
    (tools / "podman").chmod(0o755)
    code, output = built.mainline("release", "container", built.only().id)
    assert code == 0, output
    release = built.only()
    assert said.read_text().split() == [
        "build", "--file", f"{release.bento}/env/docker/Dockerfile", "--tag", release.manifest["bento"],
        str(release.bento),
    ]  # fmt: skip
    (tools / "podman").write_text("#!/bin/sh\nexit 3\n")
    assert built.mainline("release", "container", built.only().id)[0] == 1
