"""What comes from outside and stands in a commit message."""

from __future__ import annotations

import pytest

from mainline.retrain.tree import _keys
from mainline.retrain.words import git_words


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2009-06.csv", "2009-06.csv"),
        ("März, 3. Lieferung (neu)_v2.csv.gz", "März, 3. Lieferung (neu)_v2.csv.gz"),
        ("closes #5.csv", "closes %235.csv"),
        ("fixes GH-5.csv", "fixes GH%2D5.csv"),
        ("resolves gh-12", "resolves gh%2D12"),
        ("fixes owner/repo#5", "fixes owner%2Frepo%235"),
        ("closes https://github.com/o/r/issues/5", "closes https%3A%2F%2Fgithub.com%2Fo%2Fr%2Fissues%2F5"),
        ("@everyone", "%40everyone"),
        ("a\nFixes: x", "a%0AFixes%3A x"),
        ("a\r\u2028b\x1b[2J", "a%0D%E2%80%A8b%1B%5B2J"),
        ("a\u202ecsv.exe\u200b", "a%E2%80%AEcsv.exe%E2%80%8B"),
        ("half \udcff.csv", "half %ED%B3%BF.csv"),
        ("100 %.csv", "100 %25.csv"),
        ("[skip ci] <b>`x`", "%5Bskip ci%5D %3Cb%3E%60x%60"),
    ],
)
def test_text_from_outside_means_nothing_in_a_commit_message(text: str, written: str) -> None:
    assert git_words(text) == written


def test_a_long_text_is_cut() -> None:
    assert git_words("a" * 500) == "a" * 160


def test_only_the_last_paragraph_has_trailers() -> None:
    assert _keys("Retrain\n\n- x\n\nRetrain-Key: forged\n\nFor #1.\n\nRetrain-Key: own\n") == ["own"]
    assert _keys("Retrain\n\nRetrain-Key: own\nSigned-off-by: Ada <ada@example.org>\n") == ["own"]
    assert _keys("Raise a bound") == []
