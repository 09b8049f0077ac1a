"""What the commands about releases print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mainline import console
from mainline.errors import UserError
from mainline.release.build import Built
from mainline.release.ledger import Deploy, Entry
from mainline.release.state import ENVIRONMENTS
from mainline.release.store import STORE, every, find


def show_built(built: Built) -> None:
    """Say what was built, or why nothing was."""
    manifest = built.release.manifest
    console.say(f"release {built.release.id}: {built.note}", "pass")
    console.say(f"  of commit {manifest['commit'][:12]}, {len(manifest['files'])} files, Bento {manifest['bento']}")
    console.say(f"  {built.release.path}")


def roles(deploy: Deploy) -> dict[str, str]:
    """Return what each release does now, by id: "stable in production" and the like."""
    found: dict[str, list[str]] = {}
    for name in ENVIRONMENTS:
        state = deploy.state(name)
        for role, release in (("stable", state.stable), ("candidate", state.candidate)):
            if release:
                found.setdefault(release, []).append(f"{role} in {name}")
    return {release: ", ".join(words) for release, words in found.items()}


def show_all(deploy: Deploy, store: Path = STORE) -> None:
    """Print every release that the ledger or the store knows, oldest first."""
    now, here = roles(deploy), {item.id: item for item in every(store, console.warn)}
    entries = {name: deploy.entry(name) for name in deploy.releases()}
    if not entries and not here:
        console.say("there are no releases yet: `mainline release build` makes one")
        return
    rows = []
    for name in sorted({*entries, *here}, key=lambda item: (born(entries.get(item)), item)):
        entry = entries.get(name)
        commit = entry.commit if entry else here[name].commit
        last = entry.transitions[-1] if entry and entry.transitions else None
        rows.append(
            (
                name,
                commit[:12],
                (born(entry) or str(here[name].manifest["created"]))[:19] if entry or name in here else "",
                (entry.verdict if entry else None) or "-",
                f"{last.event} {last.time or ''}" if last else "not in the ledger",
                now.get(name, ""),
                "yes" if name in here else "no (mainline release restore)",
            )
        )
    console.table("Releases", ("release", "commit", "since", "verdict", "last event", "now", "in the store"), rows)


def born(entry: Entry | None) -> str:
    """Return the time of the first transition, an empty text without one."""
    return (entry.transitions[0].time or "") if entry and entry.transitions else ""


def facts(release: str, deploy: Deploy, store: Path = STORE) -> dict[str, Any]:
    """Return manifest and ledger entry of a release as one JSON value; either may be None, but not both.

    Raises:
        UserError: neither the store nor the ledger knows it.
    """
    from dataclasses import asdict

    known = release in deploy.releases()
    try:
        manifest: dict[str, Any] | None = dict(find(release, store).manifest)
    except UserError:
        if not known:
            raise
        manifest = None
    return {
        "release": release,
        "now": roles(deploy).get(release, ""),
        "manifest": manifest,
        "ledger": asdict(deploy.entry(release)) if known else None,
    }


def show_one(found: dict[str, Any]) -> None:
    """Print what :func:`facts` returned, for a person."""
    manifest, entry = found["manifest"] or {}, found["ledger"] or {}
    console.say(f"release {found['release']}" + (f": {found['now']}" if found["now"] else ""))
    lines = [
        ("commit", manifest.get("commit") or entry.get("commit")),
        ("pull request", f"#{entry['pull_request']}" if entry.get("pull_request") else None),
        ("verdict", entry.get("verdict")),
        ("approver", entry.get("approver")),
        ("bento", manifest.get("bento")),
        ("fast path", (manifest.get("serving") or {}).get("path")),
        *((f"digest of {name}", value[:16]) for name, value in (entry.get("digests") or manifest["digests"]).items()),
    ]
    for name, value in lines:
        if value:
            console.say(f"  {name:<22} {value}")
    for item in entry.get("transitions", ()):
        weight = "" if item["weight"] is None else f" {item['weight']} %"
        console.say(f"  {item['time']}  {item['environment']}: {item['event']}{weight}, by {item['by']}: {item['why']}")
