"""The command line on its own: small made-up functions, called as a person calls them."""

import dataclasses
import errno
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import pytest
from tyro.conf import OmitArgPrefixes, Positional, arg

from vtiqa_jax import cli
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
    on_device: bool | None = None
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
class Released:
    """SGD."""

    decay: float = 0.5
    """Weight decay."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What every training has."""

    workdir: Path = Path("runs")
    """Where the results go."""
    recipe: Modern | Released = Modern()
    """How to train."""
    split: OmitArgPrefixes[SplitOptions] = SplitOptions()
    machine: Annotated[MachineOptions, OmitArgPrefixes, arg(name="several machines")] = MachineOptions()


def score(
    paths: Positional[tuple[Path, ...]],
    checkpoint: Annotated[str, arg(metavar="DIR")] = "default",
    csv_file: Annotated[Path | None, arg(name="csv")] = None,
    batch_size: int | None = None,
    blocks: tuple[int, ...] = (),
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
        fraction: of the photos.
        dtype: of the products.
        force: replace the CSV.
    """
    calls.append((paths, checkpoint, csv_file, batch_size, blocks, fraction, dtype, force))
    return 1 if csv_file else 0


def demo(workdir: Path = Path("demo")) -> None:
    """A demonstration."""
    calls.append(("demo", workdir))


def manifest(scores: Path, images: Path, options: Annotated[Options, arg(name="")] = Options()) -> None:
    """Your own photos.

    Args:
        scores: the CSV file.
        images: the folder of the photos.
    """
    calls.append((scores, images, options))


def convert(kind: Positional[Literal["vtiqa", "vit"]], source: Positional[Path], out: Positional[Path]) -> None:
    """Converts."""
    calls.append((kind, source, out))


TRAIN = cli.Group({"demo": demo, "manifest": manifest}, "Trains a model.", default="demo")
COMMANDS = {"score": score, "train": TRAIN, "convert": convert}

Vtiqa = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vtiqa:
    """Runs a program with the given words; its exit status, standard output and standard error."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    monkeypatch.setenv("COLUMNS", "100")
    calls.clear()

    def call(words: str = "", commands: Any = COMMANDS, **named: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *words.split()])
        with pytest.raises(SystemExit) as ended:
            cli.run(commands, named.pop("program", "vtiqa"), "Image quality.", **named)
        assert isinstance(ended.value.code, int)
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


# ---- subcommands ----


def test_a_function_gets_its_arguments(run: Vtiqa) -> None:
    given = "score a.jpg b --checkpoint c --batch_size 4 --blocks 3 12 --fraction -1e-3 --dtype bfloat16 --force"
    assert run(given) == (0, "", "")
    assert calls == [((Path("a.jpg"), Path("b")), "c", None, 4, (3, 12), -1e-3, "bfloat16", True)]


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
    assert run("", TRAIN.subcommands, program="train.py", default="demo")[0] == 0
    assert calls == [("demo", Path("demo"))]
    _, _, error = run("manifest --scors s", TRAIN.subcommands, program="train.py", default="demo")
    assert error == "train.py: unknown option --scors; did you mean --scores?\n"


def test_arguments_may_be_given(run: Vtiqa) -> None:
    assert run("nonsense", arguments=("train", "demo", "--workdir", "w"))[0] == 0
    assert calls == [("demo", Path("w"))]


def test_a_subcommand_is_imported_when_it_is_wanted(
    run: Vtiqa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_up_command.py").write_text('def go(n: int = 1) -> int:\n    """Goes."""\n    return n\n')
    monkeypatch.syspath_prepend(tmp_path)
    commands = {"lazy": cli.Group({"go": "made_up_command:go"}, "Lazy."), "score": score}
    assert run("--help", commands)[0] == run("score", commands)[0] == 0
    assert "made_up_command" not in sys.modules
    assert run("lazy go --n 7", commands)[0] == 7
    assert sys.modules.pop("made_up_command")
    assert "Goes." in run("lazy --help", commands)[1]


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


def _flat(text: str) -> str:
    """A help text without its frames and line breaks."""
    return " ".join(re.sub(r"[╭─╮│╰╯]|-{3,}", " ", text).split())


def test_the_help_of_a_function(run: Vtiqa) -> None:
    status, said, error = run("score --help")
    assert (status, error, calls) == (0, "", [])
    assert _flat(said) == (
        "usage: vtiqa score [-h] [OPTIONS] [PATHS] Scores photos. A second paragraph."
        " positional arguments [PATHS] photos."
        " options -h, --help show this help message and exit --checkpoint DIR the model. (default: default)"
        " --csv PATH write a CSV. --batch-size INT photos computed together. --blocks [INT [INT ...]] which."
        " --fraction FLOAT of the photos. (default: 0.2) --dtype {float32,bfloat16} of the products."
        " (default: float32) --force replace the CSV."
    )


def test_nested_options_are_grouped_and_quiet(run: Vtiqa) -> None:
    status, said, _ = run("train manifest --help")
    assert status == 0
    assert (
        "options -h, --help show this help message and exit --scores PATH the CSV file. (required)"
        " --images PATH the folder of the photos. (required) --workdir PATH Where the results go. (default: runs)"
        " split options How photos are divided."
        " --split-seed INT Shuffles the photos. (default: 0) --split-file PATH Take the split from a file."
        " several machines options Training on more than one."
        " --coordinator STR HOST:PORT of process 0. --on-device, --no-on-device Keep the photos there."
        " recipe options AdamW. (source subcommand: recipe:modern)"
        " --recipe.epochs INT Passes over the photos. (default: 8)"
    ) in _flat(said)


def test_the_help_of_groups(run: Vtiqa) -> None:
    status, said, _ = run("--help")
    flat = _flat(said)
    assert status == 0 and "Image quality." in flat and "--version, --print-completion" in flat
    assert flat.endswith("• score Scores photos. • train Trains a model. • convert Converts.")
    status, said, _ = run("train -h")
    flat = _flat(said)
    assert status == 0 and calls == [] and "Trains a model." in flat and "--version" not in flat
    assert flat.endswith("(default: demo) • demo A demonstration. • manifest Your own photos.")


# ---- the values of options ----


@pytest.mark.parametrize(("words", "value"), [("", None), ("--on-device", True), ("--no-on-device", False)])
def test_an_optional_boolean_has_two_flags(run: Vtiqa, words: str, value: bool | None) -> None:
    run(f"train manifest --scores s --images i {words}")
    assert calls[0][2].machine.on_device is value


def test_a_boolean_has_one_flag(run: Vtiqa) -> None:
    status, _, error = run("score --no-force")
    assert (status, error, calls) == (2, "vtiqa: unknown option --no-force; did you mean --force?\n", [])


@pytest.mark.parametrize(
    "words",
    [
        "recipe:released --recipe.decay 2 --workdir w --split-seed 3",
        "--workdir w --split-seed 3 recipe:released --recipe.decay 2",
        "--recipe.decay 2 --workdir w recipe:released --split-seed 3",
        "--split-seed 3 --recipe.decay=2 --workdir w recipe:released",
    ],
)
def test_options_stand_before_or_after_the_recipe(run: Vtiqa, words: str) -> None:
    assert run(f"train manifest --scores s --images i {words}") == (0, "", "")
    assert calls[0][2] == Options(workdir=Path("w"), recipe=Released(2.0), split=SplitOptions(3))


@pytest.mark.parametrize(
    "words", ["--recipe.epochs 3", "recipe:modern --recipe.epochs 3", "--recipe.epochs 3 recipe:modern"]
)
def test_the_default_recipe_may_be_named(run: Vtiqa, words: str) -> None:
    assert run(f"train manifest --scores s --images host:1 {words}") == (0, "", "")
    assert calls[0][2].recipe == Modern(3)


def test_a_value_stays_where_it_is(run: Vtiqa) -> None:
    assert run("train manifest --recipe.epochs 3 --scores recipe --images other:name") == (0, "", "")
    assert calls == [(Path("recipe"), Path("other:name"), Options(recipe=Modern(3)))]


# ---- mistakes ----

MISTAKES = {
    "score p --chekpoint x": "unknown option --chekpoint; did you mean --checkpoint?",
    "score p --batch_sise=4": "unknown option --batch_sise; did you mean --batch-size?",
    "score p --zzz": "unknown option --zzz; see vtiqa score --help",
    "score p -x": "unknown option -x; see vtiqa score --help",
    "train --scores s": "unknown option --scores; see vtiqa train demo --help",
    "train manifest --scor s --images i": "unknown option --scor; did you mean --scores?",
    "train manifest --recipe.epoch 3": "unknown option --recipe.epoch; did you mean --recipe.epochs?",
    "train manifest --recipe.deca 3": "unknown option --recipe.deca; did you mean --recipe.decay?",
    "scor p": "unknown subcommand scor; did you mean score?",
    "train manfest": "unknown subcommand manfest; did you mean manifest?",
    "photo.jpg": "unknown subcommand photo.jpg; see vtiqa --help",
    "--verson": "unknown option --verson; did you mean --version?",
    "train manifest": "--scores and --images are required; see vtiqa train manifest --help",
    "train manifest --images i": "--scores is required; see vtiqa train manifest --help",
    "convert vtiqa": "SOURCE and OUT are required; see vtiqa convert --help",
    "convert": "{vtiqa,vit}, SOURCE and OUT are required; see vtiqa convert --help",
    "": "name one of score, train, convert; see vtiqa --help",
    "score --batch-size many p": "--batch-size takes INT, not 'many'",
    "score --batch_size many p": "--batch-size takes INT, not 'many'",
    "train manifest --scores s --images i --split-seed x": "--split-seed takes INT, not 'x'",
    "score --fraction=half": "--fraction takes FLOAT, not 'half'",
    "score --blocks 1 x": "--blocks takes [INT [INT ...]], not '1', 'x'",
    "score --batch-size None": "--batch-size takes INT, not 'None'",
    "score --dtype int8": "--dtype takes one of 'float32', 'bfloat16', not 'int8'",
    "convert dino a b": "kind takes one of 'vtiqa', 'vit', not 'dino'",
    "score --batch-size": "--batch-size needs a value; see vtiqa score --help",
    "score --csv --force": "--csv needs a value; see vtiqa score --help",
    "convert vit a b c d": "unexpected c; see vtiqa convert --help",
    "train manifest --scores s --images i recipe:released --recipe.epochs 3": (
        "unexpected --recipe.epochs; see vtiqa train manifest --help"
    ),
    "train manifest --scores s --images i --recipe.epochs 0": "--recipe.epochs must be at least 1",
    "--print-completion": "--print-completion takes bash, zsh, fish or tcsh",
    "--print-completion sh": "--print-completion takes bash, zsh, fish or tcsh",
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.items(), ids=[words or "nothing" for words in MISTAKES])
def test_a_mistake_is_one_line(run: Vtiqa, monkeypatch: pytest.MonkeyPatch, words: str, told: str) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # tyro breaks its lines there
    assert run(words) == (2, "", f"vtiqa: {told}\n")
    assert calls == []
    assert os.environ["COLUMNS"] == "40"


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

    assert run("halve --even.n 4", {"halve": halve})[0] == 0
    told = "vtiqa: even: an odd number cannot be halved; see vtiqa halve --help\n"
    assert run("halve --even.n 3", {"halve": halve}) == (2, "", told)


def test_what_options_say_on_standard_error_is_kept(run: Vtiqa) -> None:
    @dataclasses.dataclass(frozen=True)
    class Loud:
        """Says so."""

        n: int = 2

        def __post_init__(self) -> None:
            print("noted", file=sys.stderr)

    def note(loud: Annotated[Loud, arg(name="")]) -> int:
        """Notes."""
        return loud.n

    assert run("note --n 4", {"note": note}) == (4, "", "noted\n")


def test_what_follows_two_dashes_is_no_option(run: Vtiqa) -> None:
    assert run("convert vit -- --a b")[0] == 0
    assert calls == [("vit", Path("--a"), Path("b"))]
    assert run("convert vit -- --a b c")[2] == "vtiqa: unexpected c; see vtiqa convert --help\n"


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

    assert run("fail", {"fail": fail}) == (status, "begun\n", told)


@pytest.mark.parametrize("error", [ValueError("a bug"), TypeError("a bug"), OSError(errno.EIO, "a broken disk")])
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(n: int = 1) -> None:
        """Fails."""
        raise error

    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    with pytest.raises(type(error)) as raised:
        cli.run({"fail": fail}, "vtiqa", "", arguments=["fail", "--n", "2"])
    assert raised.value is error


def test_a_function_may_exit_and_write_to_standard_error(run: Vtiqa) -> None:
    def leave() -> None:
        """Leaves."""
        print("Missing from the shelf", file=sys.stderr)
        sys.exit(7)

    assert run("leave", {"leave": leave}) == (7, "", "Missing from the shelf\n")


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
                cli.run(COMMANDS, "vtiqa", "", arguments=words)
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


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete(run: Vtiqa, shell: str) -> None:
    status, script, _ = run(f"--print-completion {shell}")
    assert status == 0
    for name in ("vtiqa", "score", "manifest", "split-seed"):
        assert name in script


def test_tcsh_completes_with_a_package(run: Vtiqa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)  # as if it were not installed
    assert run("--print-completion tcsh") == (2, "", "vtiqa: completion for tcsh needs the package shtab\n")


def test_no_completion_for_all_of_python(run: Vtiqa) -> None:
    status, said, error = run("--print-completion bash", program="python -m convert")
    assert (status, said) == (2, "") and error.startswith("python -m convert: unknown option --print-completion")
    assert "--print-completion" not in run("--help", program="python -m convert")[1]
