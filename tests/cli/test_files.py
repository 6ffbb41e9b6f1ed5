"""Which files there are, and what can be learned from one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from oqron_sql.cli import demo_files
from oqron_sql.cli.demo_files import Stopped, analyse, find_files
from oqron_sql.contract import codec


def write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_a_file_is_measured(tmp_path: Path) -> None:
    content = "Ünder the bridge\nthe BRIDGE, the end of x1 it".encode()
    result = analyse(write(tmp_path / "a", content))
    assert result["bytes"] == len(content)
    assert result["lines"] == 2
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    assert result["words"] == [["the", 3], ["bridge", 2], ["ünder", 1], ["end", 1]]


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"\n\n", 2), (b"a\nb", 2)]
)
def test_an_unfinished_last_line_is_a_line(tmp_path: Path, content: bytes, lines: int) -> None:
    assert analyse(write(tmp_path / "a", content))["lines"] == lines


def test_words_and_characters_cut_by_a_chunk_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", "Straße über Straße und über Straße".encode())
    whole = analyse(path)
    for size in range(7, 30):
        monkeypatch.setattr(demo_files, "CHUNK", size)
        assert analyse(path) == whole


def test_binary_files_have_no_words(tmp_path: Path) -> None:
    result = analyse(write(tmp_path / "a", b"word word\0word\n"))
    assert (result["lines"], result["words"]) == (1, [])


def test_any_result_can_be_stored(tmp_path: Path) -> None:
    assert codec.dumps(analyse(write(tmp_path / "a", bytes(range(1, 256)) * 99)))


def test_a_reader_that_is_told_to_stop_stops(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        analyse(write(tmp_path / "a", b"content"), lambda: True)


def test_only_regular_files_are_found(tmp_path: Path) -> None:
    wanted = {write(tmp_path / "a", b"12"), write(tmp_path / "sub/b", b""), str(tmp_path / "link")}
    write(tmp_path / "skipped/c", b"")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    found = find_files(str(tmp_path), skip=frozenset({"skipped"}))
    assert set(found.files) == wanted
    assert found.files[str(tmp_path / "a")].size == 2


def test_a_path_may_be_a_single_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"1")
    assert list(find_files(path).files) == [path]


def test_names_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"\xff\xfe"), "w"):
        pass
    write(tmp_path / "a", b"")
    found = find_files(str(tmp_path))
    assert (len(found.files), found.unnameable) == (1, 1)
