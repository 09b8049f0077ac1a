"""The one exception that a user's mistake may raise."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: what is wrong, and how to put it right.

    The command line prints it as one block without a traceback and exits with code 1.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}\n  fix: {self.fix}" if self.fix else self.problem
