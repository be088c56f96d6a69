"""The command line on its own: small made-up functions, called as a person calls them."""

import dataclasses
import errno
import io
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import pytest
from cyclopts import Parameter

from vtiqa_jax import cli
from vtiqa_jax.command_line import Command, Group
from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.errors import Terminated, UserError

calls: list[tuple[Any, ...]] = []
"""What the functions below were called with."""


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """How photos are divided."""

    split_seed: int = 0
    """Shuffles the photos."""
    split_file: Path | None = None
    """Take the split from a file."""


@dataclasses.dataclass(frozen=True)
class MachineOptions:
    """Training on more than one."""

    coordinator: str | None = None
    """HOST:PORT of process 0."""
    on_device: Annotated[bool | None, Parameter(negative_bool="no-")] = None
    """Keep the photos there."""


@dataclasses.dataclass(frozen=True)
class Modern:
    """AdamW."""

    epochs: int = 8
    """Passes over the photos."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UserError("--recipe.epochs must be at least 1")


@dataclasses.dataclass(frozen=True)
class Options:
    """What every training has."""

    workdir: Path = Path("runs")
    """Where the results go."""
    recipe: Annotated[Modern, Parameter(group="Recipe")] = Modern()
    """How to train."""
    split: Annotated[SplitOptions, Parameter(name="*", group="Split")] = SplitOptions()
    machine: Annotated[MachineOptions, Parameter(name="*", group="Machine")] = MachineOptions()


def score(
    *paths: Path,
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    csv_file: Annotated[Path | None, Parameter(name="--csv")] = None,
    batch_size: int | None = None,
    blocks: tuple[int, ...] = (),
    at: tuple[float, float] | None = None,
    fraction: float = 0.2,
    dtype: Literal["float32", "bfloat16"] = "float32",
    force: bool = False,
) -> int:
    """Scores photos.

    A second paragraph.

    Args:
        paths: photos.
        checkpoint: the model.
        csv_file: write a CSV.
        batch_size: photos computed together.
        blocks: which.
        at: a point.
        fraction: of the photos.
        dtype: of the products.
        force: replace the CSV.
    """
    calls.append((paths, checkpoint, csv_file, batch_size, blocks, at, fraction, dtype, force))
    return 1 if csv_file else 0


def demo(*, workdir: Path = Path("demo")) -> None:
    """A demonstration."""
    calls.append(("demo", workdir))


def manifest(*, scores: Path, images: Path, options: Annotated[Options, Parameter(name="*")] = Options()) -> None:
    """Your own photos.

    Args:
        scores: the CSV file.
        images: the folder of the photos.
    """
    calls.append((scores, images, options))


def convert(kind: Literal["vtiqa", "vit"], source: Path, out: Path, /) -> None:
    """Converts."""
    calls.append((kind, source, out))


TRAIN = Group(
    {"demo": Command(demo, "A demonstration."), "manifest": Command(manifest, "Your own photos.")},
    "Trains a model.",
    default="demo",
)
PROGRAM = Group(
    {"score": Command(score, "Scores photos."), "train": TRAIN, "convert": Command(convert, "Converts.")},
    "Image quality.",
)

Vtiqa = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vtiqa:
    """Runs a program with the given words; its exit status, standard output and standard error."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    monkeypatch.setenv("COLUMNS", "100")
    calls.clear()

    def call(words: str = "", group: Group = PROGRAM, program: str = "vtiqa") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *words.split()])
        with pytest.raises(SystemExit) as ended:
            cli.run(group, program)
        assert isinstance(ended.value.code, int)
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


# ---- subcommands ----


def test_a_function_gets_its_arguments(run: Vtiqa) -> None:
    given = "score a.jpg --checkpoint c b --batch_size 4 --blocks 3 12 --fraction -1e-3 --dtype bfloat16 --force"
    assert run(given) == (0, "", "")
    assert calls == [((Path("a.jpg"), Path("b")), "c", None, 4, (3, 12), None, -1e-3, "bfloat16", True)]


def test_of_a_repeated_option_the_last_value_is_taken(run: Vtiqa) -> None:
    """As with `alias vtiqa='vtiqa score --batch-size 4'`; an option that takes several values gathers them."""
    given = "score --csv a --batch-size 4 --at .1 .2 --blocks 1 2 --dtype bfloat16 --force"
    assert run(f"{given} --csv b --batch-size 8 --at .3 .4 --blocks 3 --dtype float32 --force") == (1, "", "")
    assert calls == [((), "default", Path("b"), 8, (1, 2, 3), (0.3, 0.4), 0.2, "float32", True)]


def test_what_a_function_returns_is_the_exit_status(run: Vtiqa) -> None:
    assert run("score --csv a.csv")[0] == 1
    assert run("train demo")[0] == 0  # of None


def test_groups_and_their_default(run: Vtiqa) -> None:
    for words, workdir in {
        "train": "demo", "train demo": "demo", "train --workdir w": "w", "train demo --workdir w": "w",
    }.items():  # fmt: skip
        assert run(words)[0] == 0
        assert calls.pop() == ("demo", Path(workdir))
    assert run("train manifest --scores s --images i")[0] == 0
    assert calls == [(Path("s"), Path("i"), Options())]


def test_a_group_is_a_program_of_its_own(run: Vtiqa) -> None:
    assert run("", TRAIN, "train.py")[0] == 0
    assert calls == [("demo", Path("demo"))]
    _, _, error = run("--workdr w", TRAIN, "train.py")
    assert error == "train.py: Unknown option: --workdr. Did you mean --workdir? See train.py demo --help.\n"


def test_arguments_may_be_given() -> None:
    calls.clear()
    with pytest.raises(SystemExit, match="0"):
        cli.run(PROGRAM, "vtiqa", ("train", "demo", "--workdir", "w"))
    assert calls == [("demo", Path("w"))]


def test_a_subcommand_is_imported_when_it_is_wanted(
    run: Vtiqa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_up_command.py").write_text('def go(n: int = 1) -> int:\n    """Goes far."""\n    return n\n')
    monkeypatch.syspath_prepend(tmp_path)
    lazy = Group({"go": Command("made_up_command:go", "Goes.")}, "Lazy.")
    program = Group({"lazy": lazy, "score": Command(score, "")}, "")
    assert run("--help", program)[0] == run("score", program)[0] == run("lazy --help", program)[0] == 0
    assert run("lazi", program)[0] == run("lazy og", program)[0] == 2
    assert "made_up_command" not in sys.modules
    assert run("lazy go --n 7", program)[0] == 7
    assert sys.modules.pop("made_up_command")
    assert "Goes." in run("lazy --help", program)[1]
    assert "Goes far." in run("lazy go --help", program)[1]


def test_jax_is_prepared_for_functions_alone(run: Vtiqa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NPROC", raising=False)
    try:
        for words in ("--help", "train --help", "score --help", "score --nonsense", "--version"):
            run(words)
            assert jax.config.jax_compilation_cache_dir != str(tmp_path / "vtiqa-jax")
        run("score")
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "vtiqa-jax")
        assert os.environ["NPROC"] == str(available_cpus())
        jax.config.update("jax_compilation_cache_dir", "chosen")
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "chosen")
        run("score")
        assert jax.config.jax_compilation_cache_dir == "chosen"
    finally:
        jax.config.update("jax_compilation_cache_dir", before[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


def test_the_version(run: Vtiqa) -> None:
    assert run("--version") == (0, f"vtiqa-jax {version('vtiqa-jax')}\n", "")


# ---- help ----


SCORE_HELP = """\
Usage: vtiqa score [OPTIONS] [ARGS...]

Scores photos.

A second paragraph.

Arguments:
  PATHS                   photos.

Options:
  --checkpoint DIR        the model. (default: default)
  --csv PATH              write a CSV.
  --batch-size INT        photos computed together.
  --blocks INT...         which.
  --at FLOAT FLOAT        a point.
  --fraction FLOAT        of the photos. (default: 0.2)
  --dtype CHOICE          of the products. (one of float32, bfloat16; default:
                          float32)
  --force                 replace the CSV.

"""


def test_the_help_of_a_function(run: Vtiqa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run("score --help") == (0, SCORE_HELP, "")
    assert run("score photo.jpg --force -h") == (0, SCORE_HELP, "")
    assert calls == []


def test_nested_options_are_grouped_and_quiet(run: Vtiqa) -> None:
    status, said, _ = run("train manifest --help")
    assert status == 0
    assert said.endswith("""\
Options:
  --scores PATH           the CSV file. (required)
  --images PATH           the folder of the photos. (required)
  --workdir PATH          Where the results go. (default: runs)

Machine:
  --coordinator STR       HOST:PORT of process 0.
  --on-device, --no-on-device
                          Keep the photos there.

Recipe:
  --recipe.epochs INT     Passes over the photos. (default: 8)

Split:
  --split-seed INT        Shuffles the photos. (default: 0)
  --split-file PATH       Take the split from a file.

""")


def test_the_help_of_groups(run: Vtiqa) -> None:
    assert run("--help")[1].split("\n\n")[1:] == [
        "Image quality.",
        "Commands:\n"
        "  score                   Scores photos.\n"
        "  train                   Trains a model.\n"
        "  convert                 Converts.",
        "Options:\n"
        "  --help, -h              Display this message and exit.\n"
        "  --print-completion      Print a script that completes command lines.\n"
        "  --version               Display application version.",
        "",
    ]
    status, said, _ = run("train -h")
    assert (status, calls) == (0, []) and "Your own photos." in said and "--version" not in said


@pytest.mark.parametrize("columns", [40, 59, 60, 80, 200])
def test_help_fills_the_terminal_and_keeps_its_words(run: Vtiqa, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    def plain(n: int = 1) -> None:
        """Says [bold]this[/] and *that* of `VTIQA_<data set>.pt` :smile:
        over two lines.

            plain --n 1
              | more

        The end.

        Args:
            n: a description that is long enough to need two lines, of half-width and of whole words, in a terminal
                of eighty columns; see [1] and <this>.
        """

    monkeypatch.setenv("COLUMNS", str(columns))
    said = run("plain --help", Group({"plain": Command(plain, "")}, ""))[1]
    assert max(map(len, said.splitlines())) <= columns
    for sentence in (
        "Says [bold]this[/] and *that* of `VTIQA_<data set>.pt` :smile: over two lines.",
        "a description that is long enough to need two lines, of half-width and of whole words, in a terminal of eighty"
        " columns; see [1] and <this>. (default: 1)",
    ):
        assert sentence in " ".join(said.split())
    assert "\n\n    plain --n 1\n      | more\n\nThe end.\n\n" in said
    assert "\nSays" in said and ("over two\n" not in said or columns == 40)


# ---- the values of options ----


@pytest.mark.parametrize(("words", "value"), [("", None), ("--on-device", True), ("--no-on-device", False)])
def test_an_optional_boolean_has_two_flags(run: Vtiqa, words: str, value: bool | None) -> None:
    run(f"train manifest --scores s --images i {words}")
    assert calls[0][2].machine.on_device is value


def test_a_boolean_has_one_flag(run: Vtiqa) -> None:
    status, _, error = run("score --no-force")
    assert (status, calls) == (2, []) and "Unknown option: --no-force." in error


def test_values_that_look_like_something_else(run: Vtiqa) -> None:
    assert run("score --at -.5 -1e2 --csv=--force --checkpoint a=b -- --at -x.jpg -- score")[0] == 1
    paths = tuple(map(Path, ("--at", "-x.jpg", "--", "score")))
    assert calls == [(paths, "a=b", Path("--force"), None, (), (-0.5, -100.0), 0.2, "float32", False)]
    assert run("score train score") == (0, "", "")
    assert calls[1][0] == (Path("train"), Path("score"))


def test_a_value_stays_where_it_is(run: Vtiqa) -> None:
    assert run("train manifest --recipe.epochs 3 --scores recipe --images other:name") == (0, "", "")
    assert calls == [(Path("recipe"), Path("other:name"), Options(recipe=Modern(3)))]


# ---- mistakes ----

MISTAKES = {
    "score p --chekpoint x": "Unknown option: --chekpoint. Did you mean --checkpoint?",
    "score p --batch_sise=4": "Unknown option: --batch_sise=4. Did you mean --batch-size?",
    "score p --zzz": "Unknown option: --zzz.",
    "score p -x": "Unknown option: -x.",
    "score p --recipe.epochs 3": "Unknown option: --recipe.epochs.",
    "train demo --scores s": "Unknown option: --scores.",
    "train manifest --scor s --images i": "--scores is required, and --scor is unknown.",
    "train manifest --scores s --images i --recipe.epoch 3": (
        "Unknown option: --recipe.epoch. Did you mean --recipe.epochs?"
    ),
    "scor p": "Unknown command: scor. Did you mean score?",
    "train manfest": "Unknown command: manfest. Did you mean manifest?",
    "photo.jpg": "Unknown command: photo.jpg.",
    "--verson": "Unknown option: --verson. Did you mean --version?",
    "-- score": "Unknown option: --.",
    "": "Name a command: score, train, convert.",
    "train manifest": "--scores is required.",
    "train manifest --images i": "--scores is required.",
    "convert vtiqa": "SOURCE is required.",
    "convert": "KIND is required.",
    "score --batch-size many p": "--batch-size takes a whole number, not many.",
    "score --batch_size many p": "--batch-size takes a whole number, not many.",
    "score --batch-size 1.5": "--batch-size takes a whole number, not 1.5.",
    "score --blocks 1 2.0": "--blocks takes a whole number, not 2.0.",
    "score --batch-size None": "--batch-size takes a whole number, not None.",
    "train manifest --scores s --images i --split-seed x": ("--split-seed takes a whole number, not x."),
    "score --fraction=half": 'Invalid value for --fraction: unable to convert "half" into float.',
    "score --blocks 1 x": "--blocks takes a whole number, not x.",
    "score --force=3": 'Invalid value for --force: unable to convert "3" into bool.',
    "score --dtype int8": 'Invalid value "int8" for --dtype. Choose from: "float32", "bfloat16".',
    "convert dino a b": 'Invalid value "dino" for KIND. Choose from: "vtiqa", "vit".',
    "score --batch-size": "--batch-size needs a value.",
    "score --csv --force": "--csv needs a value.",
    "score --csv -": "--csv needs a value.",
    "score --blocks": "--blocks needs a value.",
    "score --at .5": "--at needs 2 values.",
    "convert vit a b c d": "c is one argument too many.",
    "convert vit -- --a b c": "c is one argument too many.",
    "--print-completion": "SHELL is required.",
}
"""What is told of them."""


@pytest.mark.parametrize(("words", "told"), MISTAKES.items(), ids=[words or "nothing" for words in MISTAKES])
@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_mistake_is_one_line(
    run: Vtiqa, monkeypatch: pytest.MonkeyPatch, words: str, told: str, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    named = itertools.takewhile({"score", "train", "demo", "manifest", "convert"}.__contains__, words.split())
    assert run(words) == (2, "", f"vtiqa: {told} See {' '.join(['vtiqa', *named])} --help.\n")
    assert calls == []


def test_a_mistake_in_an_option_of_the_default(run: Vtiqa) -> None:
    assert run("train --scores s") == (2, "", "vtiqa: Unknown option: --scores. See vtiqa train demo --help.\n")


def test_what_options_refuse_themselves_is_told_as_it_is(run: Vtiqa) -> None:
    assert run("train manifest --scores s --images i --recipe.epochs 0") == (
        2, "", "vtiqa: --recipe.epochs must be at least 1\n",
    )  # fmt: skip


@pytest.mark.parametrize("words", [("score", ""), ("score", "--csv", ""), ("train", ""), ("",)])
def test_an_empty_argument_is_a_mistake(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """As in `vtiqa score "$UNSET"`, which would be the present folder."""
    calls.clear()
    with pytest.raises(SystemExit, match="2"):
        cli.run(PROGRAM, "vtiqa", words)
    assert calls == [] and "an argument is empty" in capsys.readouterr().err


def test_a_mistake_that_nobody_foresaw_is_one_line(run: Vtiqa) -> None:
    @dataclasses.dataclass(frozen=True)
    class Even:
        """Halves of it."""

        n: int = 2

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("an odd number cannot be halved")

    def halve(even: Even = Even()) -> None:
        """Halves."""

    program = Group({"halve": Command(halve, "Halves.")}, "")
    assert run("halve --even.n 4", program)[0] == 0
    status, said, told = run("halve --even.n 3", program)
    assert (status, said, told.count("\n")) == (2, "", 1)
    assert told.startswith("vtiqa: ") and "an odd number cannot be halved" in told


# ---- what happens in a function ----


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UserError("no photos"), 2, "vtiqa: no photos\n"),
        (Terminated("stopped"), 143, "vtiqa: stopped\n"),
        (KeyboardInterrupt(), 130, "vtiqa: interrupted\n"),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), 2, "vtiqa: out.csv: No space left on device\n"),
        (OSError(errno.EROFS, "Read-only file system"), 2, "vtiqa: the disk: Read-only file system\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_is_one_line_and_a_status(run: Vtiqa, error: BaseException, status: int, told: str) -> None:
    def fail() -> None:
        """Fails."""
        print("begun")
        raise error

    assert run("fail", Group({"fail": Command(fail, "")}, "")) == (status, "begun\n", told)


@pytest.mark.parametrize("error", [ValueError("a bug"), TypeError("a bug"), OSError(errno.EIO, "a broken disk")])
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(n: int = 1) -> None:
        """Fails."""
        raise error

    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    with pytest.raises(type(error)) as raised:
        cli.run(Group({"fail": Command(fail, "")}, ""), "vtiqa", ["fail", "--n", "2"])
    assert raised.value is error


def test_a_function_may_exit_and_write_to_standard_error(run: Vtiqa) -> None:
    def leave() -> None:
        """Leaves."""
        print("Missing from the shelf", file=sys.stderr)
        sys.exit(7)

    assert run("leave", Group({"leave": Command(leave, "")}, "")) == (7, "", "Missing from the shelf\n")


def test_nobody_reads_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    for words in (["score"], ["score", "--help"]):
        with (tmp_path / "pipe").open("w") as pipe:
            closed = Closed()
            closed.fileno = pipe.fileno  # type: ignore[method-assign]
            with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
                patch.setattr(sys, "stdout", closed)
                cli.run(PROGRAM, "vtiqa", words)
            assert ended.value.code == 141
            pipe.write("nowhere")
        assert (tmp_path / "pipe").read_text() == ""


# ---- completion ----


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes(run: Vtiqa, tmp_path: Path) -> None:
    status, script, error = run("--print-completion bash")
    assert (status, error) == (0, "")
    (tmp_path / "script").write_text(script)
    subprocess.run(["bash", "-n", tmp_path / "script"], check=True)

    def complete(*words: str) -> set[str]:
        steps = (
            f'source {tmp_path / "script"}; COMP_WORDS=(vtiqa "$@"); COMP_CWORD=$#;'
            " $(complete -p vtiqa | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        # The script asks the python3 it finds; here that is this one.
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        asked = subprocess.run(["bash", "-c", steps, "bash", *words], capture_output=True, text=True, env=path)
        assert asked.stderr == ""
        return set(asked.stdout.split())

    assert {"score", "train", "convert"} <= complete("")
    assert {"demo", "manifest"} <= complete("train", "")
    assert complete("train", "manifest", "--split-") == {"--split-seed", "--split-file"}
    assert complete("score", "--dtype", "b") == {"bfloat16"}


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_other_shells_complete(run: Vtiqa, shell: str) -> None:
    status, script, _ = run(f"--print-completion {shell}")
    assert status == 0
    for name in ("vtiqa", "score", "manifest", "split-seed"):
        assert name in script


def test_no_completion_for_all_of_python(run: Vtiqa) -> None:
    status, said, error = run("--print-completion bash", program="python -m convert")
    assert (status, said) == (2, "") and error.startswith("python -m convert: Unknown option: --print-completion")
    assert "--print-completion" not in run("--help", program="python -m convert")[1]
