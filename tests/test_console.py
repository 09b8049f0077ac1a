from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mainline import console

SCRIPTS = sorted((Path(__file__).parents[1] / "scripts").glob("*.py"))
ON_STDERR = {"bootstrap.py", "check_embedded.py"}  # Python escapes there what the terminal lacks


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def test_a_line_has_its_mark_and_is_never_cut_or_read_as_markup(capsys) -> None:
    console.say("[red] " + "x" * 300 + " :smile:", "pass")
    console.say("plain")
    assert capsys.readouterr().out == "✓ [red] " + "x" * 300 + " :smile:\nplain\n"


@pytest.mark.parametrize(("mark", "sign"), [("pass", "✓"), ("fail", "✗"), ("warn", "!")])
def test_marks(mark, sign, capsys) -> None:
    console.say("text", mark)
    assert capsys.readouterr().out == f"{sign} text\n"


def test_table(capsys) -> None:
    console.table("Found", ("name", "rows"), [("a", "1,000"), ("[b]", "7")], right=(1,))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Found", "name   rows", "a     1,000", "[b]       7"]


def test_annotations_only_in_actions(capsys, monkeypatch) -> None:
    console.annotate("error", "bad", "a.csv", 3)
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    console.annotate("error", "bad", "a.csv", 3)
    console.annotate("notice", "fine")
    assert capsys.readouterr().out == "::error file=a.csv,line=3::bad\n::notice::fine\n"


def test_annotations_cannot_be_forged_by_a_value(capsys, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    console.annotate("error", "50%\r\n::set-output name=x::y", "a,b:c.csv", 1)
    out = capsys.readouterr().out
    assert out == "::error file=a%2Cb%3Ac.csv,line=1::50%25%0D%0A::set-output name=x::y\n"


def test_errors_go_to_standard_error_and_warnings_to_output(capsys, monkeypatch) -> None:
    console.error("first\nsecond")
    console.warn("careful")
    found = capsys.readouterr()
    assert found.err == "✗ first\nsecond\n" and found.out == "! careful\n"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    console.error("first\nsecond")
    console.warn("careful")
    assert capsys.readouterr().out == "::error::first%0Asecond\n! careful\n::warning::careful\n"


def test_work_is_one_plain_line_outside_a_terminal(capsys) -> None:
    with console.working("fitting"):
        console.say("inside")
    assert capsys.readouterr().out == "fitting …\ninside\n"


def test_a_terminal_that_lacks_a_character_gets_a_question_mark() -> None:
    script = "from mainline import console; console.any_terminal(); print('CPU × 2'); console.say('fine', 'pass')"
    shown = subprocess.run([sys.executable, "-c", script], env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert shown.stdout == "CPU ? 2\n? fine\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_that_prints_more_than_ascii_runs_on_any_terminal(script: Path) -> None:
    tree = ast.parse(script.read_text(encoding="utf-8"))
    docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)}  # fmt: skip
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    printed = [text for text in texts if text not in docs]
    printed += [ast.get_docstring(tree) or ""] if "__doc__" in names else []
    calls = {getattr(node.func, "id", getattr(node.func, "attr", "")) for node in ast.walk(tree)
             if isinstance(node, ast.Call)}  # fmt: skip
    more = [text for text in printed if not text.isascii()]
    assert not more or script.name in ON_STDERR or calls & {"any_terminal", "reconfigure"}, more
