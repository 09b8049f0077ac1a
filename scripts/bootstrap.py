"""Bring .venv to exactly what requirements.lock says, then install this repository into it, editable.

Standard library only, and written so that an old Python can still parse it and say what it lacks. A stamp in .venv
holds what was installed; while it fits, there is nothing to do. The stamp is taken away before anything is changed
and written last, so that an interrupted installation is never taken for a whole one.

A hook in .venv pins the numeric kernels at every start of its Python, so that a notebook computes what the pipeline
computes. It is a copy of src/mainline/numerics.py: the module itself would tie every process to this work tree's code.
A second hook puts the programs of .venv first on PATH, so that `.venv/bin/dvc repro` finds `mainline` in any shell.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys

LOWEST, HIGHEST = (3, 11), (3, 13)
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(TOP, ".venv")
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(BIN, "python.exe" if os.name == "nt" else "python")
STAMP = os.path.join(VENV, "mainline.stamp")
LOCK = os.path.join(TOP, "requirements.lock")
LIGHT = "requirements-light.lock"
PINS = "src/mainline/numerics.py"
HOOK = "mainline_numerics"
PATH_HOOK = "mainline_path.pth"
OWN_FIRST = (
    "import os, sys; own, path = os.path.dirname(sys.executable), os.environ.get('PATH') or os.defpath; "
    "os.environ['PATH'] = path if path.split(os.pathsep)[0] == own else own + os.pathsep + path\n"
)
PACKAGES = os.path.join(VENV, "Lib" if os.name == "nt" else "lib/python%d.%d" % sys.version_info[:2], "site-packages")
NETWORK = "check the network and your package index settings, then run it again"


class Failed(Exception):
    """What is wrong and how to mend it, on one line."""


def main(light: bool = False) -> int:
    """Return the exit code: 0 when .venv is ready, else 1 after one line that says why.

    With ``light`` it holds only what commands need that read JSON, ask git and call GitHub; the whole will do, too.
    """
    try:
        check_tools()
        stamp = wanted_stamp()
        ready = read(STAMP) if os.path.exists(PYTHON) else None
        if light and ready != stamp:
            stamp = wanted_stamp(LIGHT)
        if ready != stamp:
            (install_light if light else install)(stamp)
    except Failed as error:
        sys.stderr.write("mainline: %s\n" % error)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("mainline: interrupted; fix: run the same command again, it goes on from here\n")
        return 1
    except OSError as error:
        where = getattr(error, "filename", None) or VENV
        sys.stderr.write("mainline: %s: %s; fix: free disk space or check permissions\n" % (where, error.strerror))
        return 1
    return 0


def check_tools() -> None:
    """Raise Failed when this Python or git cannot be used."""
    if not LOWEST <= sys.version_info[:2] <= HIGHEST:
        found = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
        fix = "add PYTHON=%s to the command" % found[0] if found else "install Python 3.13, then add PYTHON=python3.13"
        version = ".".join(map(str, sys.version_info[:3]))
        raise Failed("Python %s at %s cannot be used, 3.11 to 3.13 can; fix: %s" % (version, sys.executable, fix))
    if not shutil.which("git"):
        raise Failed("git is not on PATH; fix: install git")


def wanted_stamp(lock: str = "requirements.lock") -> str:
    """Return the stamp of an environment that fits the lock, pyproject.toml and this Python."""
    parts = ["python %d.%d.%d" % sys.version_info[:3], "at " + TOP]
    for name in (lock, "pyproject.toml", PINS):
        content = read(os.path.join(TOP, name))
        if content is None:
            raise Failed("%s is missing; fix: git checkout -- %s" % (name, name))
        parts.append("%s %s" % (name, hashlib.sha256(content.encode("utf-8")).hexdigest()))
    parts.append("path " + OWN_FIRST.strip())
    return "\n".join(parts) + "\n"


def install(stamp: str) -> None:
    """Bring .venv in line with the lock and write the stamp."""
    sys.stderr.write("mainline: setting up .venv from requirements.lock\n")
    before = read(STAMP)
    if before is not None:
        os.remove(STAMP)
    moved = before is not None and "at " + TOP not in before.splitlines()
    pinned = stanza("uv")
    version = pinned.split("==")[1].split()[0]
    if moved or not usable():
        make_venv()
    if uv_version() != version:
        if run([PYTHON, "-m", "pip", "--version"], check=False) != 0:
            make_venv()
        install_uv(pinned)
    uv = [PYTHON, "-m", "uv", "pip"]
    run(uv + ["sync", "--quiet", "--require-hashes", "--python", PYTHON, LOCK], "the packages of requirements.lock")
    editable = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--python", PYTHON, "-e", TOP]
    run(uv + editable, "this repository")
    module = os.path.join(PACKAGES, HOOK + ".py")
    write(module, read(os.path.join(TOP, PINS)) or "")
    run([PYTHON, "-m", "py_compile", module], "the hook that pins numeric kernels")
    write(os.path.join(PACKAGES, HOOK + ".pth"), "import %s; %s.pin()\n" % (HOOK, HOOK))
    write(os.path.join(PACKAGES, PATH_HOOK), OWN_FIRST)
    write(STAMP, stamp)


def install_light(stamp: str) -> None:
    """Make .venv from requirements-light.lock, by pip alone: it is a dozen packages, and uv would be the largest."""
    sys.stderr.write("mainline: setting up .venv from %s\n" % LIGHT)
    base = getattr(sys, "_base_executable", None) or sys.executable
    borrowed = run([base, "-m", "pip", "--python", base, "--version"], check=False) == 0  # a pip that serves another
    make_venv(*(["--without-pip"] if borrowed else []))
    pip = [base, "-m", "pip", "--python", PYTHON] if borrowed else [PYTHON, "-m", "pip"]
    # Compiling all of it takes longer than running the little that is used.
    flags = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--no-compile"]
    run(pip + ["install"] + flags + ["-r", os.path.join(TOP, LIGHT)], "the packages of " + LIGHT)
    write(os.path.join(PACKAGES, "mainline.pth"), os.path.join(TOP, "src") + "\n")
    program = os.path.join(BIN, "mainline")
    write(program, "#!%s\nimport sys\nfrom mainline.cli import main\nsys.exit(main())\n" % PYTHON)
    os.chmod(program, 0o755)
    write(STAMP, stamp)


def usable() -> bool:
    """Return whether .venv runs the same Python as this one, by major and minor version."""
    if not os.path.exists(PYTHON):
        return False
    ask = "import sys; sys.exit(sys.version_info[:2] != (%d, %d))" % sys.version_info[:2]
    return run([PYTHON, "-c", ask], check=False) == 0


def make_venv(*options: str) -> None:
    """Make .venv anew with this Python, or with the one behind it when it is .venv's own."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    if os.path.isdir(VENV):
        shutil.rmtree(VENV)
    fix = "install your system's python3-venv package, or choose another Python with PYTHON=…"
    run([base, "-m", "venv", *options, VENV], ".venv", fix)


def uv_version() -> "str | None":
    """Return the version of uv in .venv, or None."""
    try:
        done = subprocess.run([PYTHON, "-m", "uv", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    words = done.stdout.decode("utf-8", "replace").split()
    return words[1] if done.returncode == 0 and len(words) > 1 else None


def install_uv(pinned: str) -> None:
    """Install the uv that the lock pins, checked against the lock's hashes."""
    only = os.path.join(VENV, "uv.lock.txt")
    with open(only, "w", encoding="utf-8") as stream:
        stream.write(pinned)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(pip + ["--require-hashes", "--no-deps", "-r", only], "uv")
    os.remove(only)


def stanza(name: str) -> str:
    """Return the lines of requirements.lock that pin ``name``, with their hashes."""
    found = re.search(r"^%s==(?:.*\\\n)*.*\n?" % re.escape(name), read(LOCK) or "", re.MULTILINE)
    if not found:
        raise Failed("requirements.lock does not pin %s; fix: git checkout -- requirements.lock" % name)
    return found.group(0)


def run(command: "list[str]", what: str = "", fix: str = NETWORK, check: bool = True) -> int:
    """Run ``command`` and return its exit code; raise Failed with its last words when it must not fail."""
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(command, cwd=TOP, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        told = [line for line in lines if "error" in line.lower()] or lines
        words = " ".join(" ".join(told[-4:]).split())[-400:]
        words = re.sub(r"://[^/\s@]+@", "://***@", words) or "exit code %d" % done.returncode
        raise Failed("could not install %s (%s); fix: %s" % (what, words, fix))
    return done.returncode


def write(path: str, text: str) -> None:
    """Write a file beside its place and rename it."""
    temporary = path + ".part"
    with open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
    os.replace(temporary, path)


def read(path: str) -> "str | None":
    """Return the text of a file, or None when it is not there."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main("--light" in sys.argv[1:]))
