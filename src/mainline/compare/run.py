"""``mainline compare``: from two commits to reports/verdict.json and an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline import console
from mainline.compare.champion import Champion, NotReproducible, Pinned, cache_folder, pinned, provide, worktree
from mainline.compare.git import changed_files, resolve, text_at
from mainline.compare.scoring import CannotScore, Predictions, predictions
from mainline.config import Settings, load_settings
from mainline.files import read_json, sha256, write_json
from mainline.stages import EVALUATION, MODEL, SPLIT, TEST, TRAIN, TRAINING, VALIDATION, VERDICT, read_inputs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mainline.compare.gates import Bound
    from mainline.compare.verdict import Case, Verdict
    from mainline.project import Project

TRIES = 3  # a busy machine makes one measurement of latency slow; it takes three to reject for it


@dataclass(frozen=True)
class Challenger:
    """Everything that is known of the model of the work tree."""

    settings: Settings
    project: Project
    inputs: dict[str, Any]
    rows: pd.DataFrame
    y: NDArray[Any]
    score: NDArray[np.float64]
    evaluation: dict[str, Any]
    predicted: Predictions | None
    trouble: str = ""


@dataclass
class Found:
    """What the comparison has established so far."""

    case: Case
    said: str
    champion: dict[str, Any] | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    gates: list[Bound] = field(default_factory=list)
    data: Mapping[str, Any] | None = None
    training: Mapping[str, Any] | None = None


def run_compare(against: str = "") -> int:
    """Write reports/verdict.json, print its summary, and return the exit code (``verdict.EXIT_CODES``).

    Raises:
        UserError: there is no such commit, or nothing to compare: the pipeline has not run. Then no verdict is left.
    """
    from mainline.compare.verdict import decide

    VERDICT.unlink(missing_ok=True)  # an old verdict must not stand for this one
    settings = load_settings()
    ref, commit = resolve(against)
    want = pinned(commit)
    with console.working("measuring the challenger"):
        challenger = _challenger(settings)
    with console.working(f"holding it against {ref} ({commit[:12]})"):
        found = _against(challenger, want)
        gates = _own_gates(challenger, found.numbers)
    changes = _changes(challenger, commit, found)
    from mainline.compare.changes import notes

    verdict = decide(found.case, found.said, [*found.gates, *gates], notes(changes))
    document = _document(verdict, found, challenger, (ref, commit), [*found.gates, *gates], changes)
    write_json(VERDICT, document)
    _show(document)
    return verdict.exit_code


def _challenger(settings: Settings) -> Challenger:
    from dataclasses import replace

    from threadpoolctl import threadpool_limits

    from mainline.data.split import read_rows
    from mainline.evaluate.run import evaluate, score_rows
    from mainline.project import load_project
    from mainline.train.artifact import load_model

    project, inputs, rows = load_project(settings.project), read_inputs(), read_rows(TEST)
    model = load_model(MODEL, project.trusted)
    # Intervals of the challenger alone are not asked for here, so the fewest resamples will do.
    quick = settings.model_copy(update={"evaluate": settings.evaluate.model_copy(update={"resamples": 100})})
    with threadpool_limits(1):
        evaluation = evaluate(rows, model, project, quick, inputs["training"], MODEL.stat().st_size)
        scored = score_rows(rows, model, settings, inputs["training"])
    made = Challenger(settings, project, inputs, rows, scored.y, scored.score, evaluation, None)
    try:
        return replace(made, predicted=predictions(Path(), TEST))
    except CannotScore as error:
        return replace(made, trouble=str(error))


def _own_gates(challenger: Challenger, numbers: Mapping[str, Any]) -> list[Bound]:
    """Return the gates on the challenger alone; ``numbers``, if any, tell which of them the champion misses too."""
    from mainline.compare.gates import absolute, data_gate, finding_gate, held_scores, rows_gate
    from mainline.compare.integrity import lock_integrity, remote_integrity
    from mainline.compare.measured import champion_evaluation, same_evaluation
    from mainline.evaluate.gates import absolute_gates, model_gates

    settings, predicted = challenger.settings, challenger.predicted
    gates = absolute_gates(challenger.evaluation, settings.gates, predicted.latency_ms if predicted else None)
    theirs = model_gates(champion_evaluation(numbers, settings.model.task), settings.gates) if numbers else []
    return [
        rows_gate(len(challenger.rows), settings.compare.min_rows),
        data_gate(challenger.inputs["validation"]),
        finding_gate("lock", lock_integrity()),
        finding_gate("remote", remote_integrity()),
        finding_gate("evaluation", same_evaluation(challenger.evaluation, challenger.inputs["evaluation"])),
        held_scores(challenger.score, predicted.score if predicted else None, challenger.trouble),
        *absolute(gates, theirs),
    ]


def _against(challenger: Challenger, want: Pinned | None) -> Found:
    from mainline.compare.integrity import md5

    if want is None:
        return Found(
            "first model", "the first model: no champion to compare with, every gate on the model alone is passed"
        )
    code = _scoring_code(challenger.settings.project)
    if md5(MODEL) == want.model and not changed_files(want.commit, *code):
        same = "the model and its code are the champion's, byte for byte: nothing to promote, nothing to lose"
        facts: dict[str, Any] = {"source": None, "reproduced": None, "model_sha256": sha256(MODEL)}
        return Found("identical model", same, _champion_facts(want, challenger.inputs, facts))
    with worktree(want.commit) as tree:
        try:
            champion = provide(want, tree, cache_folder())
        except NotReproducible as error:
            facts = {"source": "rebuilt", "reproduced": False, "model_sha256": None}
            return Found("champion not reproducible", str(error), _champion_facts(want, {}, facts))
        return _measure(challenger, want, champion)


def _scoring_code(project: str) -> tuple[str, ...]:
    """Return the paths on which predictions depend; what is expected of a model does not change what it predicts."""
    package = f"src/{project}"
    return (
        package,
        f":(exclude){package}/expectations.py",
        "src/mainline/project.py",
        "src/mainline/train/artifact.py",
        "src/mainline/compare/scoring.py",
    )


def _champion_facts(want: Pinned, inputs: Mapping[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    split, training = inputs.get("split") or {}, inputs.get("training") or {}
    return {
        "commit": want.commit,
        **facts,
        "trained_to": (split.get("train") or {}).get("to"),
        "rows": training.get("rows"),
    }


def _measure(challenger: Challenger, want: Pinned, champion: Champion) -> Found:
    from mainline.compare.gates import relative, unseen_gate
    from mainline.compare.paired import compared
    from mainline.compare.seen import seen_rows
    from mainline.data.split import read_rows

    names = {"split": SPLIT, "training": TRAINING, "validation": VALIDATION}
    theirs = {key: read_json(path) if (path := champion.path(name)) else None for key, name in names.items()}
    trained = champion.path(TRAIN)
    rebuilt = True if champion.source == "rebuilt" else None
    facts = {"source": champion.source, "reproduced": rebuilt, "model_sha256": sha256(champion.root / MODEL)}
    found = Found("compared", "", _champion_facts(want, theirs, facts))
    found.data, found.training = theirs["validation"], theirs["training"]
    settings = challenger.settings
    seen, note = seen_rows(
        challenger.rows,
        settings.data,
        read_rows(trained) if trained else None,
        theirs["split"],
        (theirs["validation"], challenger.inputs["validation"]),
    )
    found.gates.append(unseen_gate(seen, note))
    if seen:
        found.case = "champion saw test rows"
        found.said = f"{seen:,} of {len(challenger.rows):,} test rows are among its training rows"
        return found
    try:
        predicted = predictions(champion.root, TEST)
        score = _aligned(predicted.score, challenger, theirs["training"], champion.root)
    except CannotScore as error:
        found.case, found.said = "champion cannot score", str(error)
        return found
    found.numbers = compared(challenger.rows, challenger.y, score, challenger.score, challenger.project, settings)
    found.numbers["size"] = {
        "champion_mb": (champion.root / MODEL).stat().st_size / 1e6,
        "challenger_mb": MODEL.stat().st_size / 1e6,
    }
    found.numbers["latency"] = _latency(challenger, predicted, champion.root)
    enough = len(challenger.rows) >= settings.compare.min_rows
    primary = settings.evaluate.primary
    found.gates = [*relative(found.numbers, settings.compare, primary, enough), *found.gates]
    if not enough:
        found.case = "too few rows"
        found.said = f"{len(challenger.rows):,} test rows, compare.min_rows is {settings.compare.min_rows:,}"
        return found
    found.said = _sentence(found.numbers, settings)
    return found


def _aligned(
    score: NDArray[np.float64], challenger: Challenger, training: Mapping[str, Any] | None, tree: Path
) -> NDArray[np.float64]:
    """Return the champion's scores in the order of the challenger's classes.

    Raises:
        CannotScore: it predicts another label, other classes or another number of rows.
    """
    import numpy as np
    import yaml

    params = yaml.safe_load((tree / "params.yaml").read_text(encoding="utf-8"))
    settings = challenger.settings
    mine = {
        "model.task": settings.model.task, "data.label": settings.data.label, "data.positive": settings.data.positive
    }  # fmt: skip
    for key, value in mine.items():
        room, name = key.split(".")
        if params[room][name] != value:
            raise CannotScore(f"it predicts something else: {key} was {params[room][name]!r}, now {value!r}")
    if len(score) != len(challenger.rows):
        raise CannotScore(f"it gave {len(score):,} predictions for {len(challenger.rows):,} rows")
    if not np.isfinite(score).all():
        raise CannotScore("some of its predictions are not finite numbers")
    if settings.model.task != "multiclass":
        if score.ndim != 1:
            raise CannotScore(f"it tells {score.shape[1]} classes apart, the task is {settings.model.task}")
        return score
    old, new = (list((side or {}).get("classes") or ()) for side in (training, challenger.inputs["training"]))
    score = np.column_stack([1 - score, score]) if score.ndim == 1 else score
    if len(old) != score.shape[1] or set(old) - set(new):
        raise CannotScore(f"its classes are {', '.join(old)}, the challenger's {', '.join(new)}")
    aligned = np.zeros((len(score), len(new)))  # a class that it never saw has no chance with it
    aligned[:, [new.index(name) for name in old]] = score
    return aligned


def _latency(challenger: Challenger, champion: Predictions, tree: Path) -> dict[str, float] | None:
    """Return both latencies and their ratio: the smallest of a few tries, as noise only ever slows down."""
    bound = challenger.settings.compare.latency_ratio
    if challenger.predicted is None or not champion.latency_ms or challenger.predicted.latency_ms is None:
        return None
    mine, theirs = challenger.predicted.latency_ms, champion.latency_ms
    for _ in range(TRIES - 1):
        if bound is None or mine <= bound * theirs:
            break
        try:
            mine = min(mine, predictions(Path(), TEST).latency_ms or mine)
            theirs = max(theirs, predictions(tree, TEST).latency_ms or theirs)
        except CannotScore:
            break
    return {"champion_ms": round(theirs, 4), "challenger_ms": round(mine, 4), "ratio": round(mine / theirs, 4)}


def _sentence(numbers: Mapping[str, Any], settings: Settings) -> str:
    (entry,) = [item for item in numbers["metrics"] if item["metric"] == settings.evaluate.primary]
    if entry["difference"] is None:
        return f"{entry['metric']} could not be compared"
    value, low, high = (entry["difference"][key] for key in ("value", "low", "high"))
    better = entry["worse"]["high"] < 0
    rule = f"margin {settings.compare.margin:g}" if settings.compare.rule == "non_inferior" else "superior"
    return (
        f"{'better than' if better else 'not worse than'} the champion: {entry['metric']} {entry['challenger']:.4f} "
        f"against {entry['champion']:.4f}, difference {value:+.4f} "
        f"({settings.evaluate.level:.0%} interval {low:+.4f} to {high:+.4f}; {rule})"
    )


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

    settings, inputs, head = challenger.settings, challenger.inputs, commit()
    window = inputs["split"]["test"]
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "reasons": [reason.row() for reason in verdict.reasons],
        "case": found.case,
        "against": {"ref": against[0], "commit": against[1]},
        "head": {"commit": head.sha, "dirty": head.dirty},
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
