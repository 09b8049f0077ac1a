"""``mainline registry sync``: MLflow's versions, tags and aliases become what the ledger says, from nothing if need be.

MLflow is a view. What people changed there by hand is put back and told; tags of their own stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.address import shown
from mainline.config import load_settings
from mainline.console import Mark
from mainline.errors import UserError
from mainline.release.ledger import Deploy, Entry
from mainline.train.tracking_store import address, open_experiment, quiet

ALIASES = ("champion", "challenger")
OWN = ("release", "commit", "pull_request", "verdict", "approver")
OWN_ROOMS = ("digest.", "time.")
LAST = "mainline."  # of the registered model: the release that each alias was given last
Said = list[tuple[Mark, str]]


def version_tags(entry: Entry) -> dict[str, str]:
    """Return the tags of a release's version: what it is, and when each thing last happened to it."""
    known = {
        "release": entry.release,
        "commit": entry.commit,
        "pull_request": None if entry.pull_request is None else str(entry.pull_request),
        "verdict": entry.verdict,
        "approver": entry.approver,
    }
    digests = {f"digest.{name}": value for name, value in entry.digests.items()}
    times = {f"time.{item.environment}.{item.event}": item.time or "" for item in entry.transitions}
    return {name: value for name, value in known.items() if value is not None} | digests | times


def wanted_aliases(deploy: Deploy) -> dict[str, str | None]:
    """Return the release of each alias: champion serves in production, challenger is being tried there."""
    state = deploy.state("production")
    return {"champion": state.stable, "challenger": state.candidate}


def sync(deploy: Deploy) -> Said:
    """Make MLflow show the ledger; return what was done, a line each.

    Raises:
        UserError: MLflow cannot be reached or refuses, or an environment names a release that the ledger has not.
    """
    name = load_settings().project
    entries = sorted((deploy.entry(item) for item in deploy.releases()), key=_age)
    wanted = wanted_aliases(deploy)
    known = {entry.release for entry in entries}
    lost = [f"{alias} is {release}" for alias, release in wanted.items() if release and release not in known]
    if lost:
        raise UserError(
            f"production.yaml: {lost[0]}, which is not in the ledger", "`mainline release list` shows those"
        )
    if not entries:
        return [("none", "the ledger holds no release yet: nothing to show in MLflow")]
    try:
        with quiet():
            return _sync(name, entries, wanted)
    except UserError:
        raise
    except Exception as error:  # whatever MLflow, its server or its database may raise
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise UserError(
            f"MLflow ({shown(address())}): {shown(reason)[:300]}",
            "nothing depends on it: the ledger stands; run `mainline registry sync` again when it answers",
        ) from error


def _age(entry: Entry) -> tuple[str, str]:
    return (entry.transitions[0].time or "") if entry.transitions else "", entry.release


def _sync(name: str, entries: list[Entry], wanted: Mapping[str, str | None]) -> Said:
    from mlflow.exceptions import MlflowException

    client, experiment = open_experiment(name)
    said: Said = []
    try:
        model = client.get_registered_model(name)
    except MlflowException:
        model = client.create_registered_model(name, description="A projection of the ledger on branch deploy.")
    versions = _versions(client, name, said)
    for entry in entries:
        if entry.release not in versions:
            versions[entry.release] = _create(client, name, experiment, entry)
            said.append(("pass", f"version {versions[entry.release].version}: {entry.release}, new"))
            continue
        changed = _tag(client, name, versions[entry.release], version_tags(entry))
        if changed:
            said.append(("pass", f"version {versions[entry.release].version}: {entry.release}: {', '.join(changed)}"))
    for release in sorted(set(versions) - {entry.release for entry in entries}):
        said.append(("warn", f"version {versions[release].version}: {release} is not in the ledger; left as it is"))
    for alias in ALIASES:
        said += _alias(client, name, model, alias, wanted[alias], versions)
    return said or [("pass", f"MLflow shows the ledger already: {len(entries)} versions of {name}")]


def _versions(client: Any, name: str, said: Said) -> dict[str, Any]:
    """Return MLflow's versions by release; of two of one release the older stays."""
    found: dict[str, Any] = {}
    listed = sorted(
        client.search_model_versions(f"name='{name}'", max_results=10_000), key=lambda item: int(item.version)
    )
    for version in listed:
        release = version.tags.get("release")
        if release is None:
            continue
        if release in found:
            client.delete_model_version(name, version.version)
            said.append(("warn", f"version {version.version}: {release} a second time; deleted"))
        else:
            found[release] = version
    return found


def _create(client: Any, name: str, experiment: str, entry: Entry) -> Any:
    """Return a new version. It points to the model of the recorded run, if there is one, so that MLflow can load it."""
    model = entry.digests.get("model", "")
    runs = client.search_runs(
        [experiment], f"tags.`mainline.model.sha256` = '{model}'", max_results=1, order_by=["start_time ASC"]
    )
    run_id = runs[0].info.run_id if runs else None
    logged = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'") if run_id else []
    source = f"models:/{logged[0].model_id}" if logged else f"mainline:/{entry.release}"
    return client.create_model_version(
        name,
        source,
        run_id if logged else None,
        tags={key: value[:5000] for key, value in version_tags(entry).items()},
        model_id=logged[0].model_id if logged else None,
    )


def _tag(client: Any, name: str, version: Any, tags: Mapping[str, str]) -> list[str]:
    """Set what differs and take out what is ours and no longer true; return the names."""
    have = dict(version.tags)
    new = {key: value for key, value in tags.items() if have.get(key) != value[:5000]}
    old = [key for key in have if key not in tags and (key in OWN or key.startswith(OWN_ROOMS))]
    for key, value in new.items():
        client.set_model_version_tag(name, version.version, key, value[:5000])
    for key in old:
        client.delete_model_version_tag(name, version.version, key)
    return sorted([*new, *old])


def _alias(client: Any, name: str, model: Any, alias: str, release: str | None, versions: Mapping[str, Any]) -> Said:
    by_version = {str(version.version): item for item, version in versions.items()}
    number = (model.aliases or {}).get(alias)
    now = None if number is None else by_version.get(str(number), f"version {number}")
    last = (model.tags or {}).get(LAST + alias) or None
    if last != release or LAST + alias not in (model.tags or {}):
        client.set_registered_model_tag(name, LAST + alias, release or "")
    if now == release:
        return []
    if release is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, str(versions[release].version))
    if now is not None and now != last:
        return [("warn", f"alias {alias}: was set to {now} by hand; the ledger says {release or 'none'}: put back")]
    if now is None and last is not None and last == release:
        return [("warn", f"alias {alias}: was taken away by hand; the ledger says {release}: put back")]
    return [("pass", f"alias {alias}: {release or 'none'}")]
