"""What the command line may write and never writes: originals, earlier results, each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import complaint
from impasto.cli import main
from impasto.errors import ImpastoError, InputError
from impasto.image.files.decode import read_picture

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

JOB = ["photo.png", "--style", "painting.png"]
QUICK = ["--recipe", "sketch", "--iterations", "2", "--size", "32", "--quiet"]


def copy(name: str, source: str = "photo.png") -> Path:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(Path(source).read_bytes())
    return Path(name)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("flag", ["-o", "--loss-plot", "--timelapse", "--checkpoint"])
@pytest.mark.parametrize("spelling", ["{}", "./{}", "sub/../{}", "{absolute}", "link"])
def test_no_flag_replaces_an_input_however_it_is_spelled(work, flag, spelling, capsys):
    name = "photo.gif" if flag == "--timelapse" else "photo.png"
    original = copy(name).read_bytes() if name != "photo.png" else (work / name).read_bytes()
    (work / "sub").mkdir()
    link = work / f"link{Path(name).suffix}"
    link.symlink_to(work / name)
    target = link.name if spelling == "link" else spelling.format(name, absolute=work / name)
    assert main([name, "--style", "painting.png", flag, target, "--force"]) == 2
    assert "inputs are never replaced" in complaint(capsys)
    assert (work / name).read_bytes() == original


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("flag", ["--init", "--weights", "--recipe"])
def test_every_file_that_is_read_is_an_original(flag, capsys):
    if flag == "--recipe":
        Path("mine.toml").write_text('base = "sketch"\n')
        arguments = [flag, "mine.toml", "--checkpoint", "mine.toml"]
    else:
        copy("kept.png")
        arguments = [flag, "kept.png", "-o", "kept.png"]
    assert main([*JOB, *arguments, "--force"]) == 2
    assert "inputs are never replaced" in complaint(capsys)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("flag", "name"),
    [("--loss-plot", "l.png"), ("--timelapse", "t.gif"), ("--checkpoint", "state")],
)
def test_records_of_an_earlier_run_are_kept_without_force(flag, name, capsys):
    Path(name).write_bytes(b"precious")
    assert main([*JOB, flag, name]) == 2
    assert f"{name}: exists already" in complaint(capsys)
    assert Path(name).read_bytes() == b"precious"


def test_force_replaces_the_records_of_an_earlier_run():
    arguments = [*JOB, *QUICK, "--loss-plot", "l.png", "--snapshots", "s", "--checkpoint", "c"]
    assert main([*arguments, "-o", "a.png"]) == 0
    copy("l.png", "painting.png")
    assert main([*arguments, "-o", "b.png", "--force"]) == 0
    assert Path("l.png").read_bytes() != Path("painting.png").read_bytes()


def test_a_checkpoint_may_be_gone_on_from_and_kept_in_one_file(work, monkeypatch):
    from impasto.optimize import checkpoint

    long = [*JOB, "--recipe", "tf-vgg19", "--iterations", "6", "--size", "32", "--quiet"]
    assert main([*long, "-o", "whole.png"]) == 0
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    keep, states = checkpoint.Keeper.keep, []

    def stop_after_3(self, state):
        keep(self, state)
        states.append(state)
        if len(states) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Keeper, "keep", stop_after_3)
        assert main([*long, "-o", "o.png", "--checkpoint", "c"]) == 130
    before = Path("c").read_bytes()
    assert main([*long, "-o", "o.png", "--checkpoint", "c", "--resume", "c"]) == 0
    assert Path("o.png").read_bytes() == Path("whole.png").read_bytes()
    assert Path("c").read_bytes() != before


@pytest.mark.usefixtures("no_work")
def test_two_outputs_of_one_name_are_refused(capsys):
    assert main([*JOB, "-o", "a.png", "--loss-plot", "./a.png", "--force"]) == 2
    assert "named twice" in complaint(capsys)
    assert main([*JOB, "--loss-plot", "photo-painting.png"]) == 2
    assert "named twice" in complaint(capsys)


@pytest.mark.usefixtures("no_work")
def test_snapshots_never_replace_pictures_of_the_users(capsys):
    original = copy("s/step-00002.png").read_bytes()
    assert main([*JOB, "--snapshots", "s"]) == 2
    assert "already contains snapshots (step-00002.png)" in complaint(capsys)
    bad = ["s/step-00002.png", "--style", "painting.png", "--snapshots", "s", "--force"]
    assert main(bad) == 2
    assert "contains the input step-00002.png" in complaint(capsys)
    assert Path("s/step-00002.png").read_bytes() == original
    assert main([*JOB, "--snapshots", "photo.png"]) == 4
    assert "snapshots need a folder" in complaint(capsys)
    assert main(["none.png", "--style", "painting.png", "--snapshots", "new"]) == 2
    assert not Path("new").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "x" * 300 + ".png"],
        ["--loss-plot", "x" * 300 + ".png"],
        ["--checkpoint", "x" * 300],
        ["--snapshots", "x" * 300],
        ["--resume", "x" * 300],
        ["--weights", "x" * 300],
        ["--init", "x" * 300],
        ["--recipe", "x" * 300 + ".toml"],
        ["--timelapse", "nowhere/t.gif"],
        ["--checkpoint", "."],
        ["--resume", "none"],
        ["--style-weight", "1", "--style-weight", "1"],
        ["--device", "cuda:x"],
        ["--init", "none.png"],
    ],
)
def test_bad_files_are_one_line_before_any_work(arguments, capsys):
    try:
        code = main([*JOB, *arguments])
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    assert complaint(capsys).startswith("impasto: error: ")


def test_bad_input_is_found_before_torch_is_loaded(work):
    (work / "eps.png").write_bytes(b"%!PS-Adobe")
    lines = [
        ["none.png", "--style", "painting.png"],
        ["photo.png", "--style", "eps.png"],
        [*JOB, "--recipe", "unknown"],
        [*JOB, "-o", "photo.png", "--force"],
        [*JOB, "--timelapse", "t.avi"],
        [*JOB, "--loss-plot", "l.gif"],
        [*JOB, "--init", "none.png"],
        [*JOB, "--resume", "none"],
        [*JOB, "--weights", "none.h5"],
        [*JOB, "--style-weight", "1", "--style-weight", "2"],
        ["replay", "photo.png"],
        ["replay", "none.png"],
    ]
    script = (
        "import sys; from impasto.cli import main\n"
        f"for line in {lines!r}:\n"
        "    assert main(line) == 2, line\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert process.returncode == 0, process.stderr.decode()
    assert len(process.stderr.splitlines()) == len(lines)


def test_long_names_give_a_default_name_that_fits(work):
    photo, painting = copy("ü" * 120 + ".png"), copy("b" * 200 + ".png", "painting.png")
    assert main([str(photo), "--style", str(painting), *QUICK]) == 0
    (result,) = set(work.iterdir()) - {photo.absolute(), painting.absolute()} - set(JOB_FILES(work))
    assert result.name.startswith("ü" * 120 + "-b")
    assert len(os.fsencode(result.name)) == 255
    assert read_picture(result).width == 32


def JOB_FILES(work: Path) -> list[Path]:
    return [work / "photo.png", work / "painting.png"]


def test_an_option_like_name_after_two_dashes(work):
    copy("-odd.png")
    assert main(["--style", "painting.png", *QUICK, "--", "-odd.png"]) == 0
    assert read_picture(work / "-odd-painting.png").width == 32


@pytest.mark.parametrize("word", ["replya", "recipies", "doctr", "compre"])
def test_a_mistyped_command_is_recognized(word, capsys):
    assert main([word, "out.png"]) == 2
    assert "did you mean the command" in complaint(capsys)
    copy(word)  # a file of that name is a photo
    assert main([word, "--style", "painting.png", *QUICK, "-o", "o.png"]) == 0


def test_control_characters_in_names_do_not_reach_the_terminal(capsys):
    assert main(["\x1b[31mred\r\n.png", "--style", "painting.png"]) == 2
    assert "\\x1b[31mred\\r\\n.png: no such file" in complaint(capsys)
    with pytest.raises(SystemExit):
        main([*JOB, "--no\x1b\nsense"])
    assert "--no\\x1b\\nsense" in complaint(capsys)


def test_every_documented_error_has_its_exit_code(monkeypatch, capsys):
    from impasto.cli.commands import recipes_command as recipes

    def kinds(base: type[ImpastoError]) -> list[type[ImpastoError]]:
        return [base, *(k for each in base.__subclasses__() for k in kinds(each))]

    for kind in kinds(ImpastoError):

        def fail(_, kind=kind):
            raise kind("two\nlines")

        monkeypatch.setattr(recipes, "run", fail)
        assert main(["recipes"]) == kind.exit_code
        assert complaint(capsys) == "impasto: error: two\\nlines"
    assert {k.exit_code for k in kinds(InputError)} == {2}


def test_what_fails_beside_the_picture_is_given_up_and_the_picture_is_finished(monkeypatch, capsys):
    import shutil

    from impasto.cli.reports import progress
    from impasto.optimize import checkpoint

    def remove_folder(*_: object) -> None:
        shutil.rmtree("beside", ignore_errors=True)

    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    Path("beside").mkdir()
    for name in dir(progress):
        kind = getattr(progress, name)
        if isinstance(kind, type) and hasattr(kind, "update"):
            monkeypatch.setattr(kind, "update", remove_folder)
    flags = ["--snapshots", "beside/s", "--snapshot-every", "1", "--timelapse", "beside/t.gif"]
    flags += ["--loss-plot", "beside/l.png", "--checkpoint", "beside/state"]
    assert main([*JOB, *QUICK, *flags, "-o", "o.png"]) == 0
    assert read_picture("o.png").width == 32
    lines = capsys.readouterr().err.splitlines()
    for file in ("s/step-00001.png", "t.gif", "l.png", "state"):
        assert len([line for line in lines if "not written: " in line and file in line]) == 1
