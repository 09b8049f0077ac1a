"""Faults in what the comparison stands on: lock, outputs, remote, and main's champion."""

from __future__ import annotations

from typing import Any

import yaml

from mainline.objects import data_outputs, expand, place
from planted.plants import Fault, Plant, changed, lock, on_main, rows, several, text
from planted.site import Site

COMPARE = ("mainline compare",)


def _lock_data(site: Site) -> None:
    oid = yaml.safe_load((site.folder / "data.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    name = site.folder / "dvc.lock"
    content = name.read_text(encoding="utf-8")
    assert oid in content
    name.write_text(content.replace(oid, "c" * 32 + ".dir"), encoding="utf-8")


def _model_swapped(site: Site) -> None:
    path = "artifacts/model.skops"
    site.rewrite(path, (site.folder / path).read_bytes() + b"\0")


def _metric(value: float) -> Any:
    def edit(content: Any) -> None:
        content["metrics"]["roc_auc"]["value"] = value

    return edit


def _no_batch(site: Site) -> None:
    (_embedded(site) / "x").parent.mkdir(exist_ok=True)
    oid = next(oid for oid, path in _objects(site).items() if path.endswith("2008-07.csv"))
    place(_embedded(site), oid).unlink()


def _embedded(site: Site) -> Any:
    return site.folder / ".dvc" / "embedded"


def _objects(site: Site) -> dict[str, str]:
    return expand(data_outputs(site.folder), _embedded(site))


def _no_data_for_main(site: Site) -> None:
    content = site.folder / "data.dvc"
    made = yaml.safe_load(content.read_text(encoding="utf-8"))
    made["outs"][0]["md5"] = "d" * 32 + ".dir"
    content.write_text(yaml.safe_dump(made), encoding="utf-8")


def _flattering(site: Site) -> None:
    """Give main's metrics files that say the champion is very bad, with a lock that fits them."""

    def bad(content: Any) -> None:
        content["metrics"]["log_loss"]["value"] = 9.9

    changed("reports/evaluation.json", bad)(site)
    changed("reports/metrics.json", lambda content: content.update(log_loss=9.9))(site)


def _file(
    kind: str, name: str, plant: Plant, gate: str, *says: str, hold: bool = False, also: tuple[str, ...] = ()
) -> Fault:
    return Fault(kind, name, plant, COMPARE, gate, says, "hold" if hold else "reject", also)


FILES = [
    _file("lock", "the model's hash in dvc.lock edited", lock("artifacts/model.skops"), "lock",
          f"artifacts/model.skops: dvc.lock pins {'b' * 32}, on disk is"),
    _file("lock", "the data's hash in dvc.lock edited", _lock_data, "lock", "validate: data modified"),
    _file("params", "a param changed, and no run after it", text("params.yaml", "    C: 1.0", "    C: 0.9"), "lock",
          "params.yaml: model modified"),
    _file("code", "code changed, and no run after it", text("src/bank/model.py", "max_iter=2000", "max_iter=2001"),
          "lock", "src/bank/model.py modified"),
    _file("outputs", "another model in the place of the trained one", _model_swapped, "lock",
          "artifacts/model.skops: dvc.lock pins"),
    _file("outputs", "a better evaluation.json written by hand, and the lock made to fit",
          changed("reports/evaluation.json", _metric(0.9)), "evaluation",
          "metrics.roc_auc.value: reports/evaluation.json says 0.9, measured again it is 0.66"),
    _file("outputs", "a better metrics.json written by hand, and the lock made to fit",
          changed("reports/metrics.json", lambda content: content.update(roc_auc=0.9)), "evaluation",
          "roc_auc: reports/metrics.json says 0.9, measured again it is 0.66"),
    Fault("data", "rows taken out of a batch, a run after it, and no `dvc push`", rows(lambda frame: frame.iloc[:-9]),
          ("dvc repro", "mainline compare"), "remote", ("is not in the embedded remote",)),
    _file("remote", "an object of the data missing from the remote", _no_batch, "remote", "data/2008-07.csv",
          "is not in the embedded remote"),
    _file("main", "main's champion in no remote, and its data as well",
          on_main(several(lock("artifacts/model.skops"), _no_data_for_main)), "champion not reproducible",
          "building it again failed", hold=True),
    Fault("main", "main's metrics files edited: the champion looks worse than a bad challenger",
          several(on_main(_flattering), text("params.yaml", "method: sigmoid ", "method: none ")),
          ("dvc repro", "mainline compare"), "primary: log_loss", ("worse beyond the bound", "log_loss: 0.3460"),
          also=("slices", "business value", "calibration", "fairness")),
]  # fmt: skip
