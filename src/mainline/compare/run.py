"""``mainline compare``: from two commits to reports/verdict.json and an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline import console
from mainline.compare.champion import pinned
from mainline.compare.git import changed_files, git, resolve, text_at
from mainline.config import load_settings
from mainline.files import sha256, write_atomic, write_json
from mainline.paths import EVALUATION, MODEL, REPORT, REPORT_PAGE, VERDICT, read_plots

if TYPE_CHECKING:
    from mainline.compare.against import Found
    from mainline.compare.bound import Bound
    from mainline.compare.challenger import Challenger
    from mainline.compare.reproduce import Reproduction
    from mainline.compare.verdict import Reason, Verdict


def run_compare(against: str = "") -> int:
    """Write reports/verdict.json, report.md and report.html, print a summary, return ``verdict.EXIT_CODES``' code.

    Raises:
        UserError: there is no such commit, or nothing to compare: the pipeline has not run. Then no verdict is left.
    """
    from mainline.compare.against import hold_against
    from mainline.compare.challenger import measure, own_gates
    from mainline.compare.changes import notes
    from mainline.compare.report import render
    from mainline.compare.reproduce import written
    from mainline.compare.verdict import decide

    for path in (VERDICT, REPORT, REPORT_PAGE):
        path.unlink(missing_ok=True)  # an old verdict must not stand for this one
    settings = load_settings()
    ref, commit = resolve(against)
    want = pinned(commit)
    with console.working("measuring the challenger"):
        challenger = measure(settings)
    with console.working(f"holding it against {ref} ({commit[:12]})"):
        found = hold_against(challenger, want)
        gates = own_gates(challenger, found.numbers, found.same)
    changes = _changes(challenger, commit, found)
    made = written()
    verdict = decide(found.case, found.said, [*found.gates, *gates], [*_reproduced(found, made), *notes(changes)])
    document = _document(verdict, found, challenger, (ref, commit), [*found.gates, *gates], changes)
    document["reproduction"] = made.row() if made else None
    write_json(VERDICT, document)
    markdown, page = render(document, read_plots())
    write_atomic(REPORT, markdown)
    write_atomic(REPORT_PAGE, page)
    _show(document)
    return verdict.exit_code


def _reproduced(found: Found, made: Reproduction | None) -> list[Reason]:
    """Return one note for each model that was built again with other bytes."""
    from mainline.compare.reproduce import other_bytes
    from mainline.compare.verdict import Reason

    notes = []
    if made and made.case in ("other bytes", "not compared"):
        notes.append(Reason("note", "dvc.lock", f"dvc.lock: {made.sentence()}; it names the outputs of this run now"))
    if found.proof and found.proof.equal:
        notes.append(Reason("note", "champion", f"champion: {other_bytes(found.proof)}"))
    return notes


def _changes(challenger: Challenger, commit: str, found: Found) -> dict[str, Any]:
    import yaml

    from mainline.compare.changes import data_diff, dependency_diff, feature_diff, gates_diff, params_diff

    inputs, identical = challenger.inputs, found.case == "identical model"
    before = yaml.safe_load(text_at(commit, "params.yaml") or "") or {}
    after = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    lock = Path("requirements.lock")
    first = found.champion is None
    return {
        "data": data_diff(inputs["validation"] if identical else found.data, inputs["validation"]),
        "params": [] if first else params_diff(before, after),
        "gates": [] if first else gates_diff(before, after, challenger.settings.model.task),
        "features": feature_diff(inputs["training"] if identical else found.training, inputs["training"]),
        "dependencies": []
        if first
        else dependency_diff(
            text_at(commit, "requirements.lock"), lock.read_text(encoding="utf-8") if lock.is_file() else None
        ),
        "schema": not first and bool(changed_files(commit, f"src/{challenger.settings.project}/schema.py")),
        "code": [] if first else changed_files(commit, "src"),
    }


def _document(
    verdict: Verdict,
    found: Found,
    challenger: Challenger,
    against: tuple[str, str],
    gates: list[Bound],
    changes: dict[str, Any],
) -> dict[str, Any]:
    from mainline.compare.measured import alone
    from mainline.train.lineage import commit

    settings, inputs, head = challenger.settings, challenger.inputs, commit().sha
    window = inputs["split"]["test"]
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "reasons": [reason.row() for reason in verdict.reasons],
        "case": found.case,
        "against": {"ref": against[0], "commit": against[1]},
        # Unlike in the model card, a dvc.lock that is not committed counts: the commit alone does not give this model.
        "head": {
            "commit": head,
            "dirty": bool(changed_files("HEAD")) if head else None,
            "tree": git("rev-parse", "HEAD^{tree}", check=False) or None,
        },
        "champion": found.champion,
        "challenger": {
            "model_sha256": sha256(MODEL),
            "trained_to": inputs["split"]["train"]["to"],
            "rows": inputs["training"]["rows"],
        },
        "rows": len(challenger.rows),
        "window": {"from": window["from"], "to": window["to"]},
        "primary": settings.evaluate.primary,
        "rule": settings.compare.rule,
        "margin": settings.compare.margin,
        "level": settings.evaluate.level,
        "resamples": settings.evaluate.resamples,
        **(found.numbers or alone(challenger.evaluation, challenger.predicted)),
        "gates": [gate.row() for gate in gates],
        "changes": changes,
        "lost": [*inputs["validation"]["lost"], *inputs["split"]["lost"], *challenger.evaluation["lost"]],
    }


def _show(document: Mapping[str, Any]) -> None:
    marks: dict[str, console.Mark] = {"promote": "pass", "hold": "warn", "reject": "fail", "note": "warn"}
    against = document["against"]
    if document["champion"]:
        console.say(f"champion {against['commit'][:12]} of {against['ref']}, {document['case']}")
    for entry in document["metrics"]:
        if entry["difference"] is not None:
            span = entry["difference"]
            words = f"{entry['metric']}: {entry['champion']:.4f} → {entry['challenger']:.4f}"
            console.say(f"{words}, difference {span['value']:+.4f} ({span['low']:+.4f} to {span['high']:+.4f})")
    for reason in document["reasons"]:
        console.say(reason["text"], marks[reason["level"]])
        level = {"reject": "error", "hold": "error", "note": "warning"}[reason["level"]]
        console.annotate(level, reason["text"], str(EVALUATION) if level == "error" else "params.yaml")  # type: ignore[arg-type]
    console.say(f"{document['verdict']}: {document['reason']} ({VERDICT})", marks[document["verdict"]])
    console.say(f"report: {REPORT_PAGE}")
