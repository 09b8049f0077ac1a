"""The challenger against the champion: which case it is, both models' numbers, and the gates on their difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.compare.challenger import TRIES, Challenger
from mainline.compare.champion import Champion, NotReproducible, Pinned, provide, worktree
from mainline.compare.git import changed_files, text_at
from mainline.compare.scoring import CannotScore, Predictions, predictions
from mainline.config import Settings
from mainline.dvc import cache_folder
from mainline.files import read_json, sha256
from mainline.paths import EVALUATION, MODEL, SPLIT, TEST, TRAIN, TRAINING, VALIDATION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mainline.compare.bound import Bound
    from mainline.compare.verdict import Case
    from mainline.evaluate.check_rows import Compared

QUESTION = (("data", "label"), ("model", "task"), ("data", "positive"), ("data", "id"), ("data", "time"))


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
    same: bool = False  # model and evaluation are the champion's, byte for byte
    proof: Compared | None = None  # of a champion that was built again with other bytes


def hold_against(challenger: Challenger, want: Pinned | None) -> Found:
    """Return what is found when ``challenger`` is held against the model that ``want`` pins.

    Raises:
        UserError: git or DVC fails in a way that says nothing of the champion.
    """
    from mainline.objects import md5

    if want is None:
        return Found(
            "first model", "the first model: no champion to compare with, every gate on the model alone is passed"
        )
    other = another_question(challenger.settings, text_at(want.commit, "params.yaml"))
    if other:
        return Found("first model", other)
    code = _scoring_code(challenger.settings.project)
    if md5(MODEL) == want.model and not changed_files(want.commit, *code):
        same = "the model and its code are the champion's, byte for byte: nothing to promote, nothing to lose"
        facts: dict[str, Any] = {"source": None, "reproduced": None, "model_sha256": sha256(MODEL)}
        numbers_too = want.outputs.get(EVALUATION.as_posix()) == md5(EVALUATION)
        return Found("identical model", same, _champion_facts(want, challenger.inputs, facts), same=numbers_too)
    cache = cache_folder()
    with worktree(want.commit, cache=cache) as tree:
        try:
            champion = provide(want, tree, cache)
        except NotReproducible as error:
            facts = {"source": "rebuilt", "reproduced": False, "model_sha256": None, "proof": _row(error.proof)}
            return Found("champion not reproducible", str(error), _champion_facts(want, {}, facts), proof=error.proof)
        return _measure(challenger, want, champion)


def another_question(settings: Settings, before: str | None) -> str:
    """Return why a champion with the params.yaml ``before`` is no measure for these settings, empty if it is one.

    Both must differ: the project, and what is predicted or how its rows are told. A new name alone changes nothing.
    """
    import yaml

    try:
        params = yaml.safe_load(before or "") or {}
        project, theirs = params["project"], {(room, key): params[room][key] for room, key in QUESTION}
    except (yaml.YAMLError, KeyError, TypeError):
        return ""
    mine = {(room, key): getattr(getattr(settings, room), key) for room, key in QUESTION}
    differ = [place for place in QUESTION if mine[place] != theirs[place]]
    if project == settings.project or not differ:
        return ""
    first = differ[0]
    return (
        f"the first model of {settings.project}: the champion is of {project} and answers another question "
        f"({'.'.join(first)} was {theirs[first]!r}, now {mine[first]!r}), so nothing was compared; "
        "every gate on the model alone is passed"
    )


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


def _row(proof: Compared | None) -> dict[str, Any] | None:
    return proof.row() if proof else None


def _measure(challenger: Challenger, want: Pinned, champion: Champion) -> Found:
    from mainline.compare.gates import relative, unseen_gate
    from mainline.compare.paired import compared
    from mainline.compare.seen import seen_rows
    from mainline.data.split import read_rows

    names = {"split": SPLIT, "training": TRAINING, "validation": VALIDATION}
    theirs = {key: read_json(path) if (path := champion.path(name)) else None for key, name in names.items()}
    trained = champion.path(TRAIN)
    rebuilt = True if champion.source == "rebuilt" else None
    facts = {
        "source": champion.source,
        "reproduced": rebuilt,
        "model_sha256": sha256(champion.root / MODEL),
        "proof": _row(champion.proof),
    }
    found = Found("compared", "", _champion_facts(want, theirs, facts), proof=champion.proof)
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
    """Return both latencies and their ratio: of each the smallest of a few tries, as noise only ever slows down."""
    bound = challenger.settings.compare.latency_ratio
    if challenger.predicted is None or not champion.latency_ms or challenger.predicted.latency_ms is None:
        return None
    mine, theirs = challenger.predicted.latency_ms, champion.latency_ms
    for _ in range(TRIES - 1):
        # Near the bound, too: a champion that was measured while the machine was busy would hide a slower challenger.
        if bound is None or mine <= bound / 2 * theirs:
            break
        try:
            mine = min(mine, predictions(Path(), TEST).latency_ms or mine)
            theirs = min(theirs, predictions(tree, TEST).latency_ms or theirs)
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
