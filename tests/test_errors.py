from __future__ import annotations

from mainline.errors import UserError


def test_it_says_what_is_wrong_and_how_to_mend_it() -> None:
    error = UserError("a.csv:3: is torn", "deliver it again")
    assert (error.problem, error.fix) == ("a.csv:3: is torn", "deliver it again")
    assert str(error) == "a.csv:3: is torn\n  fix: deliver it again"
    assert str(UserError("a.csv:3: is torn")) == "a.csv:3: is torn"
