"""The image of a release: by digest, once, and pushed by an engine that sees no key but the registry's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mainline.ci.release_image import provide
from mainline.cli import app
from mainline.errors import UserError
from mainline.release import image
from mainline.release.image import enter_image, image_of, publish
from mainline.release.ledger import Deploy, Entry

ROOT = Path(__file__).parents[2]
REPOSITORY = "shop.example/ada/bank"
DIGEST = "sha256:" + "a" * 64
ENGINE = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$1" in
  login) cat > {folder}/token; env > {folder}/env ;;
  image) echo '{listed}' ;;
esac
exit {code}
"""


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    monkeypatch.chdir(tmp_path)
    made = Deploy.open(tmp_path / ".mainline/deploy")
    made.commit("begin", expect=made.head(), entries=[Entry("bank-1", "c" * 40, digests={"model": "m"})])
    return made


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The build itself is left out; it needs a release and an engine, and is `release container`'s."""
    file = tmp_path / "docker"
    monkeypatch.setattr(image, "container", lambda release, store, tag: (str(file), tag))
    write(file, f'["mirror.example/x@{DIGEST}", "{REPOSITORY}@{DIGEST}"]')
    return file


def write(file: Path, listed: str, code: int = 0) -> None:
    file.write_text(ENGINE.format(folder=file.parent, listed=listed, code=code), encoding="utf-8")
    file.chmod(0o755)


def test_an_image_is_entered_once_and_nothing_else_changes(deploy: Deploy) -> None:
    reference = f"{REPOSITORY}@{DIGEST}"
    assert image_of(deploy.entry("bank-1")) == ""
    assert CliRunner().invoke(app, ["release", "image", "bank-1", reference]).exit_code == 0
    assert deploy.entry("bank-1").digests == {"model": "m", "image": reference}
    head = deploy.head()
    assert enter_image(deploy, "bank-1", reference) == reference and deploy.head() == head
    other = f"{REPOSITORY}@sha256:{'b' * 64}"
    with pytest.raises(UserError, match="has the image shop.example/ada/bank@sha256:aaa"):
        enter_image(deploy, "bank-1", other)
    assert image_of(deploy.entry("bank-1")) == reference
    assert CliRunner().invoke(app, ["release", "image", "bank-1", other, "--again"]).exit_code == 0
    assert image_of(deploy.entry("bank-1")) == other


@pytest.mark.parametrize("reference", [f"{REPOSITORY}:latest", DIGEST, f"{REPOSITORY}@sha256:abc", ""])
def test_a_tag_is_refused(deploy: Deploy, reference: str) -> None:
    with pytest.raises(UserError, match="is not named by digest"):
        enter_image(deploy, "bank-1", reference)
    with pytest.raises(UserError, match="bank-2.yaml"):
        enter_image(deploy, "bank-2", f"{REPOSITORY}@{DIGEST}")


def test_it_is_pushed_and_known_by_its_digest_there(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "key-of-github")
    monkeypatch.setenv("REGISTRY_TOKEN", "key-of-registry")
    keys = {"REGISTRY_USER": "ada", "REGISTRY_TOKEN": "key-of-registry"}
    assert publish("bank-1", REPOSITORY, environment=keys) == f"{REPOSITORY}@{DIGEST}"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:2] == ["login --username ada --password-stdin shop.example", f"push {REPOSITORY}:bank-1"]
    assert (tmp_path / "token").read_text() == "key-of-registry"
    assert "key-of-" not in (tmp_path / "env").read_text() + "".join(asked), "in no argument and no environment"
    (tmp_path / "asked").unlink()
    publish("bank-1", REPOSITORY, environment={})
    assert (tmp_path / "asked").read_text().startswith("push"), "without a token the engine is logged in already"


@pytest.mark.parametrize(
    ("listed", "code", "words"),
    [("[]", 0, "names no digest"), (f'["other.example/bank@{DIGEST}"]', 0, "names no digest"), ("null", 0, "names no"),
     (f'["{REPOSITORY}@sha256:abc"]', 0, "names no digest"), ("nonsense", 0, "names no digest"),
     (f'["x{REPOSITORY}@{DIGEST}"]', 0, "names no digest"), ("[]", 1, "docker push: it said nothing")],
)  # fmt: skip
def test_what_names_no_digest_of_this_place_is_refused(engine: Path, listed: str, code: int, words: str) -> None:
    write(engine, listed, code)
    with pytest.raises(UserError, match=words):
        publish("bank-1", REPOSITORY, environment={})


def test_the_workflow_makes_an_image_only_where_a_cluster_needs_one(
    deploy: Deploy, engine: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(params, encoding="utf-8")
    assert provide("bank-1", deploy) == "" and not (tmp_path / "asked").exists()
    assert "no image is needed" in capsys.readouterr().out
    params = params.replace("target: rehearsal", "target: kubernetes")
    Path("params.yaml").write_text(params, encoding="utf-8")
    with pytest.raises(UserError, match="kubernetes.image: is null"):
        provide("bank-1", deploy)
    Path("params.yaml").write_text(params.replace("image: null", f"image: {REPOSITORY}"), encoding="utf-8")
    assert provide("bank-1", deploy) == f"{REPOSITORY}@{DIGEST}" == image_of(deploy.entry("bank-1"))
    (tmp_path / "asked").unlink()
    assert provide("bank-1", deploy) == f"{REPOSITORY}@{DIGEST}"
    assert not (tmp_path / "asked").exists(), "it is built once: another build would have another digest"
