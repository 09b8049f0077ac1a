"""The image that a cluster starts: built once from the release, pushed, and known to the ledger by its digest."""

from __future__ import annotations

from pathlib import Path

from mainline.config import load_settings
from mainline.console import say
from mainline.errors import UserError
from mainline.release.image import enter_image, image_of, publish
from mainline.release.ledger import Deploy
from mainline.release.store import STORE


def provide(release: str, deploy: Deploy, root: Path = Path()) -> str:
    """Return the image of a release in the store by digest, an empty text where no cluster runs releases.

    Raises:
        UserError: there is no place for it, or it cannot be built or pushed.
    """
    settings = load_settings(root / "params.yaml")
    if settings.rollout.target != "kubernetes":
        say(f"rollout.target is {settings.rollout.target}: no image is needed")
        return ""
    known = image_of(deploy.entry(release))
    if known:
        say(f"release {release}: its image is {known}", "pass")
        return known
    if not settings.kubernetes.image:
        raise UserError(
            "params.yaml: kubernetes.image: is null, so the image of the release has no place",
            "set it to registry/owner/name, and the secret REGISTRY_TOKEN (docs/kubernetes.md)",
        )
    made = enter_image(deploy, release, publish(release, settings.kubernetes.image, root / STORE))
    say(f"release {release}: its image is {made}", "pass")
    return made
