"""The service on this machine: its key, and where it logs predictions."""

from __future__ import annotations

import os

from mainline.address import shown
from mainline.doctor.found import Check, Found, NotSeen, broken, ok, optional
from mainline.doctor.hub import within
from mainline.doctor.sight import REMOTE_SECONDS, Sight
from mainline.errors import UserError
from mainline.serve.identity import api_key
from mainline.serve.log_read import find

AREA = "the service on this machine"


def log(sight: Sight) -> Found:
    """The prediction log can be written, and holds something."""
    try:
        return _log(sight)
    except UserError as error:
        return broken(shown(error.problem), error.fix)


def _log(sight: Sight) -> Found:
    place = sight.environment.get("MAINLINE_LOG", "").strip() or sight.settings.serve.log.folder
    if "://" in place:
        if sight.online is False:
            raise NotSeen(f"{shown(place)}: not checked: offline")
        try:
            files = within(REMOTE_SECONDS, lambda: find(place), shown(place))
        except NotSeen:
            if sight.online:
                fix = "check MAINLINE_LOG and its key: mainline log show"
                return broken(f"{shown(place)}: no answer within {REMOTE_SECONDS:g} seconds", fix)
            raise
    else:
        folder = sight.root / place
        if not folder.exists():
            return optional(f"{place}: nothing was logged here yet", "mainline serve, or make run")
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            return broken(f"{place}: this user may not write there", f"chmod u+rwx {place}")
        files = find(folder)
    if not files:
        return optional(f"{shown(place)}: no file of a prediction log", "mainline serve, then mainline log show")
    newest = next((last for file in reversed(files) if (last := file.last())), "")
    return ok(f"{shown(place)}: {len(files)} files, newest record {newest or 'still being written'}")


def key(sight: Sight) -> Found:
    """Who asks for a prediction needs a key."""
    name = sight.settings.serve.api_key_env
    if name is None:
        return optional(
            "no key is asked for: who reaches the port gets answers", "params.yaml: serve.api_key_env: SERVICE_KEY"
        )
    try:
        api_key(name, sight.environment)
    except UserError as error:
        return optional(f"{error.problem}; only a machine that serves needs it", error.fix)
    return ok(f"{name} is set")


CHECKS = (
    Check("prediction log", AREA, log, "what was asked and answered here, which monitoring reads"),
    Check("API key", AREA, key, "only who has the key gets a prediction"),
)
