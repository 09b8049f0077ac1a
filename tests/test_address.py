from __future__ import annotations

import pytest

from mainline.address import shown


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://ann:word@example.org/a", "https://example.org/a"),
        ("https://ann:w@rd@example.org/a", "https://example.org/a"),
        ("postgresql://db/x?password=word&ssl=1", "postgresql://db/x"),
        ("s3://bucket/log#word", "s3://bucket/log"),
        ("what? see https://u:p@a.org?k=v and b@c.org", "what? see https://a.org and b@c.org"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_nothing_but_the_place_is_left(text: str, left: str) -> None:
    assert shown(text) == left
