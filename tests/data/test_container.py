from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgetl.data import container as module
from edgetl.data.container import open_container
from edgetl.errors import DataError
from edgetl.hashing import digest_file
from edgetl.runtime.errors import ImageError

Write = Callable[[Mapping[str, bytes | None]], Path]
FILES: Mapping[str, bytes | None] = {"a/1.jpg": b"one", "a/b/2.jpg": b"two", "c": None}


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_folder_and_zip_list_and_read_alike(kind: str, request: pytest.FixtureRequest) -> None:
    write: Write = request.getfixturevalue(kind)
    container = open_container(write(FILES))
    assert container.files == ("a/1.jpg", "a/b/2.jpg")
    assert container.folders == ("a", "a/b", "c")
    assert container.read("a/b/2.jpg") == b"two"
    container.close()


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_excluded_files_and_the_folders_they_leave_empty_are_not_listed(
    kind: str, request: pytest.FixtureRequest
) -> None:
    write: Write = request.getfixturevalue(kind)
    container = open_container(write(FILES), exclude=("a/b/*",))
    assert container.files == ("a/1.jpg",)
    assert container.folders == ("a", "c")
    container.close()


def test_exclude_pattern_without_a_match_is_refused(tree: Write) -> None:
    with pytest.raises(DataError, match=r"pattern '\*\.jpeg' matches no file"):
        open_container(tree(FILES), exclude=("*.jpeg",))


@pytest.mark.parametrize("table", ["data", "evaluation", "unlabelled"])
@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_exclude_pattern_without_a_match_names_its_table(
    kind: str, table: str, request: pytest.FixtureRequest
) -> None:
    write: Write = request.getfixturevalue(kind)
    with pytest.raises(DataError, match=rf"^`{table}\.exclude` pattern '\*\.jpeg' ") as caught:
        open_container(write(FILES), exclude=("*.jpeg",), table=table)
    assert caught.value.remedy == (
        f"patterns are relative to `{table}.path`, for example 'train/ants/0013.jpg'"
    )


def test_missing_path_is_refused_with_the_recipe_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone' does not exist\n  set `data: \{path: "):
        open_container(tmp_path / "gone")


def test_file_that_is_not_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    path.write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"images\.tar' is neither a folder nor a zip"):
        open_container(path)


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_digest_changes_with_content_and_name_only(
    kind: str, request: pytest.FixtureRequest
) -> None:
    write: Write = request.getfixturevalue(kind)

    def digest(files: Mapping[str, bytes | None], names: tuple[str, ...]) -> str:
        container = open_container(write(files))
        try:
            return container.digest(names, digest_file)
        finally:
            container.close()

    names = ("a/1.jpg", "a/b/2.jpg")
    first = digest(FILES, names)
    assert digest(FILES, names) == first
    assert digest(FILES, names[:1]) != first
    assert digest({**FILES, "a/1.jpg": b"other"}, names) != first


def test_link_to_a_parent_folder_is_not_followed(tree: Write) -> None:
    root = tree(FILES)
    (root / "a" / "loop").symlink_to(root)
    assert open_container(root).files == ("a/1.jpg", "a/b/2.jpg")


def test_linked_class_folder_is_followed(tree: Write, tmp_path: Path) -> None:
    root = tree(FILES)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "3.jpg").write_bytes(b"three")
    (root / "d").symlink_to(elsewhere)
    assert open_container(root).read("d/3.jpg") == b"three"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_read_permission_is_unreadable(tree: Write) -> None:
    root = tree(FILES)
    (root / "a/1.jpg").chmod(0)
    container = open_container(root)
    with pytest.raises(ImageError, match=r"'a/1\.jpg': Permission denied"):
        container.read("a/1.jpg")


def test_deleted_file_is_unreadable_and_still_part_of_the_digest(tree: Write) -> None:
    root = tree(FILES)
    container = open_container(root)
    (root / "a/1.jpg").unlink()
    with pytest.raises(ImageError, match=r"cannot read image 'a/1\.jpg': No such file"):
        container.read("a/1.jpg")
    assert len(container.digest(("a/1.jpg",), digest_file)) == 64


@pytest.mark.parametrize(
    "name",
    [
        "../out.jpg", "/etc/out.jpg", "a/../../out.jpg", "C:/out.jpg", "a//b.jpg",
        "..\\out.jpg", "a\\..\\..\\out.jpg", "C:\\out.jpg", "\\\\server\\out.jpg",
    ],
)  # fmt: skip
def test_zip_with_a_path_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tricky.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(DataError, match=r"which leads outside"):
        open_container(path)


def test_zip_with_backslashes_or_a_leading_point_is_read_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("./", b"")
        for name in ("a\\", "a\\1.jpg", "./a/b/2.jpg", ".\\c\\"):
            archive.writestr(zipfile.ZipInfo(name), b"" if name.endswith("\\") else name.encode())

    container = open_container(path)

    assert container.files == ("a/1.jpg", "a/b/2.jpg")
    assert container.folders == ("a", "a/b", "c")
    assert container.read("a/1.jpg") == b"a\\1.jpg"
    assert container.read("a/b/2.jpg") == b"./a/b/2.jpg"
    container.close()


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["猫/照片1.jpg", "狗/照片2.jpg"], "gbk"),
        (["猫/a.jpg", "朱镕基/b.jpg"], "gbk"),  # the second character is not in GB 2312
        (["Käfer/a.jpg", "Ameise/b.jpg"], "utf-8"),
        (["Käfer/a.jpg", "Grüße/Größe.jpg"], "cp437"),
        (["é/a.jpg", "ñandú/b.jpg"], "cp437"),
    ],
    ids=["gbk", "gbk with a rare character", "utf-8", "german", "spanish"],
)
def test_names_of_a_zip_are_decoded_as_they_were_written(
    tmp_path: Path, names: list[str], encoding: str
) -> None:
    path = tmp_path / "foreign.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for position, name in enumerate(names):
            # Written as ASCII of the same length, so that no mark of UTF-8 is set.
            raw = name.encode(encoding)
            archive.writestr(f"{position}" * len(raw), name.encode())
    content = path.read_bytes()
    for position, name in enumerate(names):
        raw = name.encode(encoding)
        content = content.replace(f"{position}".encode() * len(raw), raw)
    path.write_bytes(content)

    container = open_container(path)

    assert container.files == tuple(sorted(names))
    assert [container.read(name).decode() for name in names] == names
    container.close()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.jpg", b"x")
        archive.writestr("a/1.jpg", b"y")
    with pytest.raises(DataError, match=r"contains two files named 'a/1\.jpg'"):
        open_container(path)


@pytest.mark.parametrize("table", ["data", "evaluation", "unlabelled"])
def test_encrypted_zip_is_refused_with_the_line_of_its_table(packed: Write, table: str) -> None:
    path = packed({"a/1.jpg": b"x"})
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1  # the encryption flag in the central directory
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is protected with a password \('a/1\.jpg'\)") as caught:
        open_container(path, table=table)
    assert caught.value.remedy == f"unpack it and set `{table}: {{path: ...}}` to the folder"


def test_damaged_entry_of_a_zip_is_unreadable(packed: Write) -> None:
    path = packed({"a/1.jpg": b"image" * 50, "b/2.jpg": b"sound"})
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    container = open_container(path)
    with pytest.raises(ImageError, match=r"'a/1\.jpg': damaged in the zip"):
        container.read("a/1.jpg")
    assert container.read("b/2.jpg") == b"sound"
    container.close()


@pytest.mark.parametrize("kind", ["tree", "packed"])
def test_huge_file_is_not_read(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    write: Write = request.getfixturevalue(kind)
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    container = open_container(write({"a/1.jpg": bytes(1001), "a/2.jpg": bytes(1000)}))
    with pytest.raises(ImageError, match=r"1,001 bytes exceed the limit of 1,000"):
        container.read("a/1.jpg")
    assert len(container.read("a/2.jpg")) == 1000
    container.close()


def test_zip_with_a_method_that_is_not_supported_is_refused(packed: Write) -> None:
    path = packed({"a.jpg": b"x" * 100})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.find(mark) + offset] = 9  # Deflate64
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"is compressed by method 9, which is not supported \('a\.jpg'\)"
    ) as caught:
        open_container(path)
    assert caught.value.remedy == (
        "unpack it and set `data: {path: ...}` to the folder, or create the zip again with the "
        "method Deflate"
    )


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"PK\x03\x04" + b"x" * 60, "begins like a zip, but its end is missing", "copy or"),
        (b"\x1f\x8b\x08" + b"x" * 60, "is an archive, but no zip", "unpack it, and name the"),
        (b"a" * 257 + b"ustar" + b"x" * 60, "is an archive, but no zip", "unpack it, and name"),
        (b"hello", "is neither a folder nor a zip", "set `data: {path: ...}` in the recipe"),
    ],
    ids=["cut zip", "gzip", "tar", "text"],
)
def test_path_that_is_no_zip_is_named_by_what_it_is(
    tmp_path: Path, content: bytes, what: str, remedy: str
) -> None:
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        open_container(path)
    assert caught.value.remedy.startswith(remedy)
