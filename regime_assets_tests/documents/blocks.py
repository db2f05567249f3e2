"""The code blocks of a document, run in order as a reader would run them.

A block of a shell is typed line by line, Python is executed, YAML is read as a universe or as a part of one, text is
what the block before it printed. A block with a title becomes the file of that name. Two comments before a block
change that: `<!-- not run: why -->`, and `<!-- exit code: 1 -->` for commands that answer no.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from sybil import Document, Example, Region
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from regime_assets.cli import main
from regime_assets.library.universe import load_universe

FENCE = RawFencedCodeBlockLexer(re.compile(r'(?P<language>\w*)(?: title="(?P<title>[^"]+)")?[ \t]*\n'))
BEFORE = re.compile(r"<!-- (?P<word>not run|exit code): (?P<said>[^>]+?) -->\s*$")
PICTURE = "mermaid"
NEEDS_A_SHELL = re.compile(r"[|>&~]|^\w+ -[mp]|^mkdir")
COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, file name where it has one, and what stands in the comment before it."""

    language: str
    text: str
    title: str
    not_run: str
    exit_codes: tuple[int, ...]


def blocks(path: Path) -> Iterator[Example]:
    """The blocks of a document as Sybil's examples; `parsed` is the `Block`."""
    document = Document.parse(str(path), _parsed)
    yield from document.examples()


def _parsed(document: Document) -> Iterator[Region]:
    for found in FENCE(document):
        words = found.lexemes
        comment = BEFORE.search(document.text[: found.start])
        said = comment["said"] if comment else ""
        is_code = comment is not None and comment["word"] == "exit code"
        codes = tuple(map(int, said.split(" or "))) if is_code else (0,)
        block = Block(words["language"], words["source"], words["title"] or "", "" if is_code else said, codes)
        yield Region(found.start, found.end, block)


@dataclass
class Reader:
    """Someone who types what a document shows.

    Attributes:
        folder: where they are.
        patch: what stands behind `monkeypatch`.
        printed: by the last block that printed.
        names: of Python.
        after_init: lines that are added to a new universe, so that its first run is short.
    """

    folder: Path
    patch: pytest.MonkeyPatch
    printed: str = ""
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "document"})
    after_init: str = ""

    def read(self, path: Path) -> None:
        """Do what every block says, and fail with the block's line."""
        for example in blocks(path):
            block: Block = example.parsed
            if block.not_run or block.language == PICTURE:
                continue
            try:
                self._do(block)
            except (Exception, SystemExit) as error:
                raise AssertionError(f"{path.name}:{example.line}: {type(error).__name__}: {error}") from error

    def _do(self, block: Block) -> None:
        self.patch.chdir(self.folder)
        if block.language == "csv":
            assert (self.folder / block.title).read_text().startswith(block.text), "the file begins otherwise"
            return
        if block.title:
            file = self.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        match block.language:
            case "python":
                self._python(block)
            case "sh":
                if not block.title:
                    self._shell(block)
            case "text":
                self._compare(block.text)
            case "yaml":
                self._yaml(block)
            case "ini":
                ConfigParser(strict=False).read_string(block.text)
            case _:
                raise AssertionError(f"nobody knows how to run {block.language or 'a block without a language'!r}")

    def _python(self, block: Block) -> None:
        if block.title:
            module = block.title.removesuffix(".py").replace("/", ".")
            (self.folder / block.title).with_name("__init__.py").touch()
            importlib.invalidate_caches()
            for known in (module.partition(".")[0], module):
                sys.modules.pop(known, None)
            importlib.import_module(module)
            return
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block.text, "document", "exec"), self.names)
        self.printed = printed.getvalue()

    def _shell(self, block: Block) -> None:
        self.printed = ""
        for line in block.text.replace("\\\n", " ").splitlines():
            command = COMMENT.sub("", line).strip()
            if not command:
                continue
            if command.startswith("cd "):
                self.folder = (self.folder / command.removeprefix("cd ")).resolve()
                self.patch.chdir(self.folder)
                self.patch.syspath_prepend(str(self.folder))
                continue
            code = self._in_a_shell(command) if NEEDS_A_SHELL.search(command) else self._command(command)
            assert code in block.exit_codes, f"`{command}` ended with code {code}:\n{self.printed}"

    def _command(self, command: str) -> int:
        words = shlex.split(command)
        with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(io.StringIO()) as printed:
            while "=" in words[0]:
                name, _, value = words.pop(0).partition("=")
                patched.setenv(name, value)
            assert words.pop(0) == "regime-assets", f"`{command}` is no command of this project: say why it is not run"
            with contextlib.redirect_stderr(printed):
                code = main(words)
        self.printed += printed.getvalue()
        if words[0] == "init" and self.after_init:
            for file in self.folder.glob("*/universes/*.yaml"):
                file.write_text(file.read_text() + self.after_init)
        return code

    def _in_a_shell(self, command: str) -> int:
        root = Path(__file__).parents[2]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(root), "HOME": str(self.folder)}
        ended = subprocess.run(  # noqa: PLW1510
            ["bash", "-o", "pipefail", "-c", command], env=environment, capture_output=True, text=True
        )
        self.printed += ended.stdout + ended.stderr
        return ended.returncode

    def _compare(self, text: str) -> None:
        """Each line stands there in this order; `...` alone is any lines, at a line's end any rest of it."""
        printed = iter(self.printed.splitlines())
        for line in text.rstrip("\n").splitlines():
            if line == "...":
                continue
            begin, dots, _ = line.partition("...")
            there = (one for one in printed if (one.startswith(begin) if dots else one.rstrip() == line.rstrip()))
            assert next(there, None) is not None, f"{line!r} was not printed:\n{self.printed}"

    def _yaml(self, block: Block) -> None:
        content = yaml.safe_load(block.text)
        if block.title and "name" not in content:
            return  # read by the command that is given the file
        text = block.text
        if "name" not in content:
            (desk, *_) = sorted(self.folder.glob("universes/*.yaml"))
            text = yaml.safe_dump(yaml.safe_load(desk.read_text()) | content, sort_keys=False)
        file = self.folder / "shown" / f"{yaml.safe_load(text)['name']}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        load_universe(file)
