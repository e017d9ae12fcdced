"""The container image without an engine: the files that its build sees, and what it installs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

DOCKERFILE = Path("deploy/Dockerfile")
IGNORE_FILE = Path("deploy/Dockerfile.dockerignore")


class IgnoreFile:
    """A .dockerignore: the last pattern that matches a path, or a directory above it, decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [
            (not line.startswith("!"), _pattern(line.removeprefix("!").strip("/")))
            for line in lines
            if line and not line.startswith("#")
        ]

    def ignores(self, path: str) -> bool:
        """Whether the build does not see `path`, which is relative to the build's context."""
        parts = path.split("/")
        places = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        ignored = False
        for ignore, pattern in self._rules:
            if any(pattern.fullmatch(place) for place in places):
                ignored = ignore
        return ignored


def _pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` stay within a directory; `**` is any number of them, none included."""
    assert not set(glob) & set("[]\\"), f"no test reads a pattern like {glob}"
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(meant.get(piece) or re.escape(piece) for piece in pieces))


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Each instruction and its arguments, with continued lines joined."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, arguments = line.partition(" ")
        if name:
            yield name, arguments.strip()


def copy_context(context: Path, ignore: IgnoreFile, sources: Sequence[str], to: Path) -> None:
    """Copy what `COPY sources… ./` copies: the named files, or all that is not ignored for `.`."""
    for source in sources:
        files = _files(context, ignore) if source == "." else [source]
        for file in files:
            assert not ignore.ignores(file), f"the build does not see {file}"
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(context / file, to / file)


def _files(context: Path, ignore: IgnoreFile) -> Iterator[str]:
    for directory, below, files in os.walk(context):
        here = Path(directory).relative_to(context)
        below[:] = [name for name in below if not ignore.ignores((here / name).as_posix())]
        paths = [(here / name).as_posix() for name in files]
        yield from (path for path in paths if not ignore.ignores(path))


class Image:
    """What deploy/Dockerfile builds, with a directory in place of its /venv.

    The dependencies are those of this Python, where the Dockerfile installs requirements.txt.
    """

    def __init__(self, context: Path, directory: Path) -> None:
        self._source, self.venv = directory / "source", directory / "venv"
        ignore = IgnoreFile((context / IGNORE_FILE).read_text())
        self.instructions = list(instructions((context / DOCKERFILE).read_text()))
        for sources in self._copied():
            copy_context(context, ignore, sources, self._source)
        self._install()

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return next(self.venv.glob("lib/python3*/site-packages"))

    def command(self) -> list[str]:
        """The path of the program that the image runs."""
        program, *arguments = json.loads(dict(self.instructions)["CMD"])
        return [str(self.venv / "bin" / program), *arguments]

    def _copied(self) -> Iterator[list[str]]:
        """The sources of each COPY into the build; the image itself gets /venv and nothing else."""
        for name, arguments in self.instructions:
            if name == "COPY" and arguments != "--from=build /venv /venv":
                *sources, target = arguments.split()
                assert target in (".", "./"), arguments
                yield sources

    def _install(self) -> None:
        runs = " ".join(arguments for name, arguments in self.instructions if name == "RUN")
        itself = r'/venv/bin/pip install( --\S+| requirements\.lock)* "\.\$\{EXTRAS\}"( |$)'
        assert re.search(itself, runs), runs
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.venv], check=True)
        ours = "\n".join(place for place in sys.path if place.endswith("site-packages"))
        (self.packages / "dependencies.pth").write_text(f"{ours}\n")
        pip = [sys.executable, "-m", "pip", "--python", str(self.venv / "bin" / "python")]
        offline = ["--no-deps", "--no-index", "--no-build-isolation"]
        done = subprocess.run(
            [*pip, "--disable-pip-version-check", "install", "--quiet", *offline, "."],
            cwd=self._source,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
