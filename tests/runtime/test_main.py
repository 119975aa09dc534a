from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import PIL
import pytest
from PIL import Image

from edgetl.runtime.__main__ import main
from edgetl.runtime.bundle import digest_file
from edgetl.runtime.contract import Contract

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "green.png"
    Image.new("RGB", (32, 32), (0, 200, 0)).save(path)
    return path


@pytest.fixture
def bundle(model_folder: Path) -> Path:
    files = {path.name: digest_file(path) for path in model_folder.iterdir()}
    (model_folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))
    return model_folder


def test_predict_names_the_class(
    bundle: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(bundle), str(image), "--top", "2"]) == 0
    # exp(2) / (exp(2) + 2) = 0.786986
    assert capsys.readouterr().out == f"{image}: green 0.7870, red 0.1065\n"


def test_predict_as_json(bundle: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(bundle), str(image), str(image), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in rows] == ["green", "green"]
    assert rows[0]["image"] == str(image)
    assert rows[0]["top"][0]["probability"] == pytest.approx(0.786986, abs=1e-5)


@pytest.mark.parametrize(("words", "rows"), [(["--json"], 3), ([], None)])
def test_images_around_one_that_cannot_be_read_are_predicted(
    bundle: Path,
    image: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    rows: int | None,
) -> None:
    images = [str(image), str(image), "none.png", str(image)]
    assert main(["predict", str(bundle), *images, *words]) == 3
    said = capsys.readouterr()
    assert said.err == (
        "edgetl.runtime: cannot read image 'none.png': no such file\n  check the path\n"
    )
    if rows is None:
        assert said.out == f"{image}: green 0.7870\n" * 3
    else:
        assert [row["label"] for row in json.loads(said.out)] == ["green"] * rows


def test_each_unreadable_image_is_named_when_its_turn_comes(bundle: Path, image: Path) -> None:
    (image.parent / "text.png").write_text("no image")
    words = ["predict", str(bundle), "none.png", str(image), "text.png", str(image)]
    done = subprocess.run(
        [sys.executable, "-m", "edgetl.runtime", *words],
        cwd=image.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "edgetl.runtime: cannot read image 'none.png': no such file",
        "  check the path",
        f"{image}: green 0.7870",
        "edgetl.runtime: cannot read image 'text.png': not an image in a format that Pillow reads",
        "  save it again as an 8-bit JPEG or PNG, or exclude it",
        f"{image}: green 0.7870",
    ]


def test_images_around_one_that_the_system_refuses_are_predicted(
    bundle: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = f"{'x' * 300}.png"
    assert main(["predict", str(bundle), str(image), refused, str(image)]) == 3
    said = capsys.readouterr()
    assert said.out == f"{image}: green 0.7870\n" * 2
    assert said.err == (
        f"edgetl.runtime: cannot read image '{refused}': File name too long\n"
        "  check the path, and the owner and mode of file and folders\n"
    )


def test_list_is_empty_where_no_image_was_read(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(bundle), "none.png", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == []


def test_no_list_is_printed_where_the_model_fails(
    bundle: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "model.onnx").unlink()
    assert main(["predict", str(bundle), str(image), "--json"]) == 6
    assert capsys.readouterr().out == ""


def test_predict_of_a_detector_has_a_line_for_each_object(
    detector_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pink, black = tmp_path / "pink image.png", tmp_path / "black.png"
    Image.new("RGB", (64, 64), (255, 0, 153)).save(pink)
    Image.new("RGB", (64, 64)).save(black)
    assert main(["predict", str(detector_folder), str(pink), str(black)]) == 0
    assert capsys.readouterr().out == (
        f"{pink}: rote Öse 1.0000 at 16.0 16.0 32.0 34.0\n"
        f"{pink}: blue screw 0.6000 at 32.0 0.0 64.0 32.0\n"
        f"{black}: no detections\n"
    )


def test_predict_of_a_detector_as_json_with_a_picture(
    detector_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pink = tmp_path / "pink.png"
    Image.new("RGB", (64, 64), (255, 0, 153)).save(pink)
    out = tmp_path / "out"
    words = ["predict", str(detector_folder), str(pink), "--json", "--draw", str(out)]
    assert main([*words, "--threshold", "0.7"]) == 0
    said = capsys.readouterr().out
    assert '"rote Öse"' in said
    (row,) = json.loads(said)
    assert [found["box"] for found in row["objects"]] == [[16, 16, 32, 34]]
    with Image.open(row["drawn"]) as picture:
        assert picture.size == (64, 64)


def test_check_of_a_detector_tells_what_became_of_its_objects(
    detector_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path.name: digest_file(path) for path in detector_folder.iterdir()}
    manifest = json.dumps({"schema": 1, "files": files})
    (detector_folder / "manifest.json").write_text(manifest)
    assert main(["check", str(detector_folder)]) == 0
    assert (
        "detections     3 recorded, missing or new: worst 0, 0 allowed: ok\n"
        in capsys.readouterr().out
    )


def test_check_tells_each_step(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["files", "5", "match", "the", "manifest"]
    assert lines[1].startswith("golden-0.png   fitted pixels: worst 0, 1 allowed: ok")
    assert lines[2].startswith(
        "logits         against the recorded outputs: worst 0, 0.00025 allowed: ok"
    )
    assert lines[-1] == "the bundle reproduces its golden samples"


def test_check_of_a_tampered_bundle_names_the_file(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "labels.txt").write_text("red\nblue\ngreen\n")
    assert main(["check", str(bundle)]) == 6
    assert "'labels.txt' was changed" in capsys.readouterr().err


def test_check_of_another_answer_fails(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (32, 20), (10, 20, 99)).save(bundle / "golden-0.png")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["golden-0.png"] = digest_file(bundle / "golden-0.png")
    manifest["made_with"] = {"onnxruntime": "1.2.3", "numpy": "1.24.2", "pillow": "9.4.0"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert main(["check", str(bundle)]) == 6
    said = capsys.readouterr()
    assert "worst 69, 1 allowed: FAILED" in said.out
    assert said.err == (
        f"edgetl.runtime: bundle {bundle} does not reproduce its golden samples here, with "
        f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, pillow {PIL.__version__}\n"
        "  they were recorded with onnxruntime 1.2.3, numpy 1.24.2, pillow 9.4.0: install those, "
        "or use a bundle of another format or precision\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(
            ["predict", "none", "a.png"],
            2,
            "there is no folder 'none'\n  check the path, or name the folder of a bundle",
            id="folder",
        ),
        pytest.param(
            ["predict", "{bundle}/golden-0.png", "{bundle}"],
            2,
            "golden-0.png' is a file; BUNDLE is a folder and comes before any image\n"
            "  name the folder of a bundle first",
            id="swapped",
        ),
        pytest.param(
            ["predict", "{bundle}", "none.png"],
            3,
            "cannot read image 'none.png': no such file\n  check the path",
            id="image",
        ),
        pytest.param(
            ["predict", "{bundle}", "{bundle}"],
            3,
            "': it is a folder\n  pass the images in it, for example ",
            id="folder of images",
        ),
        pytest.param(
            ["predict", "{bundle}", "{bundle}/labels.txt"], 3, "not an image", id="no image"
        ),
        pytest.param(
            ["predict", "{bundle}", "{bundle}/golden-0.png", "--threshold", "0.5"],
            2,
            "is a classifier, which has no threshold",
            id="threshold",
        ),
        pytest.param(
            ["predict", "{bundle}", "{bundle}/golden-0.png", "--draw", "{bundle}/labels.txt"],
            2,
            "cannot write",
            id="picture",
        ),
        pytest.param(
            ["check", "{bundle}/.."],
            2,
            "is not a bundle: it has neither contract.json nor manifest.json\n"
            "  name the folder of a bundle",
            id="no bundle",
        ),
        pytest.param(["check", "none"], 2, "there is no folder 'none'", id="check"),
        pytest.param(["bench", "none"], 2, "there is no folder 'none'", id="bench"),
        pytest.param(
            ["check", "x" * 300],
            2,
            "x': File name too long\n  check the path, and the owner and mode of file and folders",
            id="name that no folder can have",
        ),
    ],
)
def test_expected_error_is_a_paragraph_with_its_exit_code(
    bundle: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    assert main([argument.format(bundle=bundle) for argument in arguments]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("edgetl.runtime: ")
    assert len(said.splitlines()) == 2, "message and remedy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "required: COMMAND", id="none"),
        pytest.param(
            ["bench", ".", "--count", "0"], "0 is not a whole number of at least 1", id="count"
        ),
        pytest.param(["bench", ".", "--seconds", "nan"], "nan is not a time", id="seconds"),
        pytest.param(
            ["bench", ".", "--runs", "0"], "0 is not a whole number of at least 1", id="runs"
        ),
        pytest.param(
            ["bench", ".", "--sustained", "-1"], "-1 is not a time of at least 0", id="sustained"
        ),
        pytest.param(
            ["bench", ".", "--seconds", "1m"], "1m is not a time of at least 0", id="minute"
        ),
        pytest.param(["bench", ".", "--threads", "2.5"], "2.5 is not a whole number", id="threads"),
        pytest.param(
            ["predict", ".", "a", "--top", "x"],
            "--top: x is not a whole number of at least 1",
            id="top",
        ),
        pytest.param(
            ["predict", ".", "a", "--threshold", "2"], "2 is not a score in 0...1", id="threshold"
        ),
        pytest.param(
            ["predict", ".", "a", "--threshold", "50%"],
            "--threshold: 50% is not a score in 0...1, such as 0.5",
            id="per cent",
        ),
        pytest.param(
            ["predict", ".", "a", "--draw", ""],
            "--draw: an empty path names nothing; '.' is the folder here",
            id="draw",
        ),
        pytest.param(["predict", "", "a"], "BUNDLE: an empty path names nothing", id="bundle"),
        pytest.param(["predict", ".", ""], "IMAGE: an empty path names nothing", id="image"),
    ],
)
def test_wrong_usage_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["predict"], ["check"], ["bench"]])
def test_help_shows_an_example(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "python -m edgetl.runtime" in capsys.readouterr().out


def test_help_imports_neither_numpy_nor_an_engine() -> None:
    code = (
        "import sys\n"
        "from edgetl.runtime.__main__ import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "sys.exit(bool({'numpy', 'PIL', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=-3, check=False).returncode == 0


_OLD_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("program", ["edgetl.runtime", "edgetl"])
@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
        pytest.param({"PYTHONIOENCODING": "latin-1"}, id="latin-1"),
        pytest.param({"PYTHONIOENCODING": "utf-8"}, id="strict UTF-8"),
        pytest.param(_OLD_LOCALE, id="old locale"),
    ],
)
def test_text_that_the_terminal_lacks_is_escaped(
    detector_folder: Path, tmp_path: Path, program: str, variables: dict[str, str]
) -> None:
    # A class with an umlaut, letters that are not in Latin-1, and a name that is no text at all.
    names = ["Łódź.png".encode(), b"b\xff.png"]
    for name in names:
        Image.new("RGB", (64, 64), (255, 0, 153)).save(tmp_path / os.fsdecode(name), "PNG")
    command: list[str | bytes] = [
        sys.executable,
        "-m",
        program,
        "predict",
        str(detector_folder),
        *names,
        "none.png",
    ]
    environment = {**os.environ, **variables, "PYTHONPATH": str(_ROOT)}
    for option in ([], ["--json"]):
        done = subprocess.run(
            [*command, *option], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 3, done.stderr
        assert b"no such file" in done.stderr
        assert b"Traceback" not in done.stderr
        if option:
            rows = json.loads(done.stdout)
            assert [row["objects"][0]["label"] for row in rows] == ["rote Öse"] * 2
        else:
            assert len(done.stdout.splitlines()) == 4


def test_names_that_are_no_text_pass_through_a_stream_that_keeps_them(
    model_folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (32, 32), (0, 200, 0)).save(tmp_path / os.fsdecode(b"b\xff.png"), "PNG")
    command: list[str | bytes] = [sys.executable, "-m", "edgetl.runtime", "predict"]
    command += [str(model_folder), b"b\xff.png"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:surrogateescape"}
    environment["PYTHONPATH"] = str(_ROOT)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert done.stdout == b"b\xff.png: green 0.7870\n"


def test_lack_of_memory_is_a_sentence(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise MemoryError(arguments)

    monkeypatch.setattr("edgetl.runtime.predictor.open_session", refuse)
    assert main(["predict", str(bundle), str(bundle / "golden-0.png")]) == 2
    assert capsys.readouterr().err == (
        "edgetl.runtime: there is not enough memory\n"
        "  stop other programs, or use a smaller model\n"
    )


def test_reader_that_stops_is_no_error(bundle: Path, image: Path) -> None:
    command = [sys.executable, "-m", "edgetl.runtime", "predict", str(bundle), str(image)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0


@pytest.mark.parametrize(
    "words",
    [["bench", "--seconds", "0", "--count", "1"], ["check"], ["predict", "green.png"]],
    ids=lambda words: words[0],
)
def test_bundle_for_a_gpu_gives_no_answer_and_no_number_without_one(
    model_folder: Path, image: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    dataclasses.replace(Contract.load(model_folder), provider="cuda").save(model_folder)
    files = {path.name: digest_file(path) for path in model_folder.iterdir()}
    (model_folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))
    given = [str(image) if word == image.name else word for word in words]
    assert main([given[0], str(model_folder), *given[1:]]) == 4
    said = capsys.readouterr()
    assert re.search(
        r"^edgetl\.runtime: onnxruntime \S+ has no CUDAExecutionProvider here, which 'cuda' "
        r"needs; it has .*\n  replace onnxruntime by onnxruntime-gpu",
        said.err,
    )
    assert "ms" not in said.out
    assert image.name not in said.out
