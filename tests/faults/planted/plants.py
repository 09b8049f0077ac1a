"""What a line of the table is made of, and the small functions that plant a fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from planted.site import Site

Plant = Callable[[Site], None]
Verdict = Literal["stops", "reject", "hold", "seen"]
NEWEST = "2009-05.csv"
SCORED = "    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities\n"


@dataclass(frozen=True)
class Fault:
    """A line of the table.

    Attributes:
        kind: where it is planted.
        name: what is planted.
        plant: the function that does it.
        way: commands of a pull request, in their order; all but the last let it through.
        gate: what must stop it: the gate in verdict.json; the column or check in validation.json; the stage; the rule.
        says: words that the last command must say.
        verdict: how it ends; "seen" is a promotion with a note that a reviewer must see.
        also: other gates that may stop it, too.
    """

    kind: str
    name: str
    plant: Plant
    way: tuple[str, ...]
    gate: str
    says: tuple[str, ...]
    verdict: Verdict = "reject"
    also: tuple[str, ...] = ()


def nothing(site: Site) -> None:
    """Plant nothing: for the clean cases."""


def text(name: str, old: str, new: str) -> Plant:
    """Return a plant that replaces the one place where a file has ``old``."""
    return lambda site: site.replace(name, old, new)


def several(*plants: Plant) -> Plant:
    """Return a plant that plants all of them."""

    def plant(site: Site) -> None:
        for one in plants:
            one(site)

    return plant


def rows(edit: Callable[[pd.DataFrame], pd.DataFrame], *batches: str) -> Plant:
    """Return a plant that edits batches, every value a text; without a name the newest one."""

    def plant(site: Site) -> None:
        for batch in batches or (NEWEST,):
            site.write_rows(batch, edit(site.rows(batch)))

    return plant


def all_rows(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Plant:
    """Return a plant that edits every batch."""
    return lambda site: [rows(edit, path.name)(site) for path in (site.folder / "data").glob("*.csv")] and None


def scoring(*lines: str) -> Plant:
    """Return a plant that changes every prediction: ``found`` are the chances ``(n,)``, ``frame`` the raw rows."""
    body = "".join(f"    {line}\n" for line in ("found = probabilities[:, 1]", *lines, "return found"))
    return text("src/mainline/project.py", SCORED, body)


def changed(name: str, edit: Callable[[Any], None]) -> Plant:
    """Return a plant that edits a JSON file by hand, and makes the lock fit it, as a forger would."""

    def plant(site: Site) -> None:
        content = site.json(name)
        edit(content)
        site.rewrite(name, (json.dumps(content, indent=2) + "\n").encode())
        site.dvc("commit", "--force", "--quiet", "evaluate")

    return plant


def lock(path: str) -> Plant:
    """Return a plant that writes another hash for ``path`` into dvc.lock, wherever it stands."""

    def plant(site: Site) -> None:
        name = site.folder / "dvc.lock"
        content = name.read_text(encoding="utf-8")
        name.write_text(content.replace(site.pinned(path), "b" * 32), encoding="utf-8")

    return plant


def on_main(plant: Plant) -> Plant:
    """Return a plant that commits ``plant`` to main, and comes back to the branch."""

    def planted(site: Site) -> None:
        site.git("checkout", "--quiet", "main")
        plant(site)
        site.commit("On main")
        site.git("checkout", "--quiet", "change")

    return planted


def forget(site: Site) -> None:
    """Take away what is not in git, as on a machine that has just cloned the branch."""
    import shutil

    site.commit("What the author pushes")
    for name in (".dvc/cache", ".dvc/tmp", "artifacts", "reports", "data"):
        shutil.rmtree(site.folder / name)
