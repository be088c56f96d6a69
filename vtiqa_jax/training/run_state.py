"""The position of a run and its identity: what is saved beside the arrays, as JSON."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from vtiqa_jax.data import image_cache, splits
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params, hash_params
from vtiqa_jax.own_code import source_hash
from vtiqa_jax.training.logger import History
from vtiqa_jax.training.recipe import Recipe, ScheduleState


@dataclasses.dataclass
class RunState:
    """Where a run stands within and between epochs."""

    schedule: ScheduleState
    batches_done: int = 0
    """Batches of the present epoch that are done."""
    totals: dict[str, float] = dataclasses.field(default_factory=dict)
    """Their metrics, summed up."""
    history: History = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def add(self, values: dict[str, float]) -> None:
        """Counts a batch of the present epoch, and adds its metrics up."""
        self.batches_done += 1
        self.totals = {name: self.totals.get(name, 0.0) + value for name, value in values.items()}

    def end_epoch(self, following: ScheduleState, entry: dict[str, Any]) -> None:
        """Goes on to the next epoch; the entry is of the one that ends."""
        self.schedule, self.batches_done, self.totals = following, 0, {}
        self.history.append(entry)

    def to_json(self) -> dict[str, Any]:
        """Returns the state as JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> "RunState":
        """Returns the inverse of `to_json`."""
        return RunState(**{**content, "schedule": ScheduleState(**content["schedule"])})


def run_identity(
    recipe: Recipe,
    config: ModelConfig,
    params: Params,
    photos: Manifest,
    split: Split,
    scale: LabelScale,
    keep_head: bool,
) -> dict[str, Any]:
    """Returns what makes two runs the same, as JSON: settings, start, photos, labels and split."""
    settings = dataclasses.asdict(recipe)  # type: ignore[call-overload]
    identity = {
        "recipe": type(recipe).__name__,
        **{f"recipe.{name}": value for name, value in settings.items()},
        **{f"model.{name}": value for name, value in dataclasses.asdict(config).items()},
        "init": hash_params(params),
        "keep head": keep_head,
        "split": splits.to_json(split, photos.names)["sha256"],
        "selected on": split.selection_part,
        "labels": hashlib.sha256(photos.mos.tobytes()).hexdigest(),
        "photos": image_cache.fingerprint(photos),
    }
    if type(recipe).__module__.split(".")[0] != "vtiqa_jax":
        identity["code of the recipe"] = source_hash(type(recipe))
    if not scale.higher_is_better:
        identity["lower is better"] = True
    if len(split.selection) > len(recipe.selection(split)):
        identity["selected on"] = "nothing"
    return json.loads(json.dumps(identity))


def begun_as(identity: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Returns an identity in which a type that is left to the machine is the one that an earlier run began with."""
    left_open = {name for name in identity.keys() & {"recipe.compute_dtype"} if identity[name] == "auto"}
    return identity | {name: before.get(name) for name in left_open}


SHOWN_AS = {
    "keep head": "--keep-head",
    "split": "the split",
    "labels": "the scores",
    "photos": "the photos",
    "code of the recipe": "the recipe's file",
    "lower is better": "--lower-is-better",
    "model.readout_blocks": "--readout-blocks",
    "model.eval_mosaics": "--eval-mosaics",
    "model.view_size": "--view-size",
    "model.screen_side": "--screen-side",
}
"""What a person changed, by its name in an identity: the option as it is typed, if there is one."""


def diff_settings(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Returns what differs between two runs, options as they are typed: "--keep-head, --recipe.seed"."""
    names = {name for name in one.keys() | other if one.get(name) != other.get(name)}
    names.discard("selected on")  # follows from the split and the recipe
    if "recipe" in names:  # another one has other settings
        names = {name for name in names if not name.startswith("recipe.")}
    recipe = {f"--{name.replace('_', '-')}" for name in names if name.startswith("recipe")}
    typed = {SHOWN_AS[name] for name in names & SHOWN_AS.keys()}
    from_checkpoint = {name for name in names if name == "init" or name.startswith("model.")} - SHOWN_AS.keys()
    # The options that shape a model change its weights and its other sizes, too.
    if from_checkpoint and not typed & {"--keep-head", "--readout-blocks", "--view-size"}:
        typed.add("--checkpoint")
    return ", ".join(sorted(recipe | typed)) or "the validation photos"


def finished_result(workdir: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the result of the run in a folder, when it is finished.

    Raises:
        UserError: it is another run's, or damaged.
    """
    file = workdir / "result.json"
    if not file.exists():
        return None
    try:
        result = json.loads(file.read_text())
        before = result["identity"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged, or was not written by a training; remove it and start again") from error
    identity = begun_as(identity, before)
    if before != identity:
        raise UserError(
            f"{workdir} holds the results of another run, which differs in {diff_settings(identity, before)}; name"
            " another with --workdir"
        )
    return result
