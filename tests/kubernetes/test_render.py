from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mainline.config import load_settings
from mainline.errors import UserError
from mainline.rollout.kubernetes import workload
from mainline.rollout.kubernetes.flatten import flatten
from mainline.rollout.kubernetes.plan import Image, placeholder, target
from mainline.rollout.kubernetes.render import read, tree, write

ROOT = Path(__file__).parents[2]


def by_name(manifests):
    return {(item["kind"], item["metadata"]["name"]): item for item in manifests}


def test_the_committed_files_are_what_params_yaml_says() -> None:
    said = target(load_settings(ROOT / "params.yaml"))
    assert read(ROOT / "deploy/kubernetes") == tree(said, placeholder(said.name)), "run `mainline kubernetes render`"


def test_equal_input_is_equal_bytes_and_files_hold_no_anchors(bank, files, tmp_path: Path) -> None:
    again = tree(bank, Image(*placeholder("bank").__dict__.values()))
    assert again == tree(bank, placeholder("bank"))
    write(files, tmp_path)
    assert read(tmp_path) == files
    assert not [path for path, text in files.items() if "&id" in text or "\n  \n" in text]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed: the own flattening is not compared")
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_kustomize_reads_the_files_as_we_do(files, environment: str, tmp_path: Path) -> None:
    write(files, tmp_path)
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path / "overlays" / environment)],
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    ours = flatten(files, f"overlays/{environment}")
    assert len(built) == len(ours) and by_name(built) == by_name(ours)


def test_the_plan_becomes_steps_and_the_last_one_waits_for_a_p99(bank, find) -> None:
    steps = find("Rollout")["spec"]["strategy"]["canary"]["steps"]
    assert [step["setWeight"] for step in steps if "setWeight" in step] == list(bank.plan.weights)
    asked = [step["analysis"] for step in steps if "analysis" in step]
    assert [len(item["templates"]) for item in asked] == [1, 1, 1, 2]
    given = [{argument["name"]: argument.get("value") for argument in item["args"]} for item in asked]
    assert [item["requests"] for item in given] == ["300", "300", "300", "1000"]
    assert {item["window"] for item in given} == {f"{bank.plan.seconds}s"}


def test_a_release_is_in_one_environment_only(bank) -> None:
    one, two = (Image(f"x/bank@sha256:{sign * 64}", f"bank-{sign}") for sign in "cd")
    production = tree(bank, one, environments=["production"])
    staging = tree(bank, two, environments=["staging"])
    assert not [path for path in production if "staging" in path]
    assert "bank-c" in production["overlays/production/kustomization.yaml"]
    shared = set(production) & set(staging)
    assert {path: production[path] for path in shared} == {path: staging[path] for path in shared}


def test_without_a_candidate_nothing_is_mirrored(bank) -> None:
    files = tree(bank, placeholder("bank"))
    for environment in ("staging", "production"):
        found = by_name(flatten(files, f"overlays/{environment}"))
        assert ("Deployment", "bank-shadow") not in found
        rules = found["HTTPRoute", "bank"]["spec"]["rules"]
        assert not [item for rule in rules for item in rule["filters"] if item["type"] == "RequestMirror"]


def test_only_predictions_are_split_and_copied(find) -> None:
    predict, feedback = find("HTTPRoute")["spec"]["rules"]
    assert predict["matches"][0]["path"]["value"] == "/predict"
    assert [item["type"] for item in predict["filters"]] == ["RequestHeaderModifier", "RequestMirror"]
    assert [item["name"] for item in feedback["backendRefs"]] == ["bank-stable"]
    assert [item["type"] for item in feedback["filters"]] == ["RequestHeaderModifier"]


def test_staging_has_neither_canary_nor_many_pods(files) -> None:
    found = by_name(flatten(files, "overlays/staging"))
    assert not [kind for kind, _ in found if kind in ("Rollout", "AnalysisTemplate")]
    assert found["HorizontalPodAutoscaler", "bank"]["spec"]["minReplicas"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("base/pdb.yaml", None), "base/pdb.yaml/kustomization.yaml: not there"),
        (("overlays/staging/kustomization.yaml", "a: ["), "is not valid YAML"),
        (("overlays/staging/kustomization.yaml", "- 1"), "without apiVersion and kind"),
        (("name: bank\n  patch", "name: other\n  patch"), "patch of Deployment other: there is none"),
        (("op: replace", "op: remove"), "patch operation 'remove' is not known here"),
        (("/containers/0/", "/containers/7/"), "there is no such place"),
        (("resources:", "images: []\nresources:"), "images: not known here"),
    ],
)
def test_what_flattening_does_not_know_is_refused(change, words: str, files) -> None:
    files = dict(files)
    old, new = change
    place = "overlays/staging/kustomization.yaml"
    if new is None:
        del files[old]
    elif old in files:
        files[old] = new
    else:
        assert old in files[place]
        files[place] = files[place].replace(old, new, 1)
    with pytest.raises(UserError, match=words):
        flatten(files, "overlays/staging")


def test_user_and_folder_are_those_of_the_image() -> None:
    from bentoml._internal.container.generate import BENTO_PATH, BENTO_UID_GID

    assert (workload.USER, workload.BENTO) == (BENTO_UID_GID, BENTO_PATH)
