"""The trainer, to be read from top to bottom and forked.

`train` is one run: data, model, state, epochs, results. What a recipe decides is in `training/finetune.py` and
`training/published.py`, an epoch's steps are `training/loop.py`, the step is `training/step.py`, data is put together
by `training/data.py`, states are kept by `training/run_checkpointer.py`, logs written by `training/logger.py`.
`vtiqa train` and `python train.py` get here through `commands/train.py`, which reads photos and options.

Killed anywhere and started again, a run ends with the same bits as one that never was.
"""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vtiqa_jax import atomic, sharding
from vtiqa_jax.data import splits
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import metrics, report
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.models.params import Params
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training import preflight
from vtiqa_jax.training.advice import advise
from vtiqa_jax.training.data import prepare_data
from vtiqa_jax.training.features import features_key
from vtiqa_jax.training.logger import MetricLogger, epochs_of, estimate_left, format_epoch, format_header, say
from vtiqa_jax.training.loop import train_epoch
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.recorder import EpochRecorder
from vtiqa_jax.training.resume import begun_dtype, find_saved_state, resume
from vtiqa_jax.training.run_checkpointer import RunCheckpointer
from vtiqa_jax.training.run_state import RunState, finished_result, run_identity
from vtiqa_jax.training.signals import stop_on_sigterm, stopped_after
from vtiqa_jax.training.start import initial_params, score_before
from vtiqa_jax.training.step import TrainState, init_state, make_key, make_train_step

PERCENTILE_PHOTOS = 1000
"""Training photos that a trained model scores, at most: what a score is compared with later."""


def train(
    photos: Manifest,
    split: Split,
    scale: LabelScale,
    start: Checkpoint,
    options: TrainOptions,
    workdir: Path,
    provenance: dict[str, Any],
    *,
    before: Checkpoint | None = None,
    partial: bool = False,
) -> dict[str, Any]:
    """Trains one model on one split, to the end, from the beginning or from where an earlier call was stopped.

    Args:
        photos: all photos with their labels.
        split: which of them train, select the best epoch, and are tested on.
        scale: what the labels mean.
        start: the model to start from, see `training/start.py`.
        options: everything else.
        workdir: where results, logs and states go.
        provenance: JSON to be kept with the model: what it was trained on.
        before: the model that `start` was made from; if it has a head, its metrics on the test photos are told too.
        partial: leaves out photos that cannot be read.

    Returns:
        The metrics on the test photos, and how they came about: what `result.json` holds.

    Raises:
        UserError: a person's mistake.
        Terminated: SIGTERM came, and the state is saved.
    """
    config, machine, began = start.config, options.machine, time.perf_counter()
    asked = run_identity(options.recipe, config, start.params, photos, split, scale, options.keep_head)
    if finished := finished_result(workdir, asked):
        shown = [f"{workdir} is finished: its results are shown again", report.format_table(finished)]
        say("\n".join([*shown, *advise(finished, before)]))
        return finished

    # ---- what cannot be is refused before anything is written ----
    preflight.check_targets(photos)
    preflight.check_labels(photos, split, options.recipe)
    checkpoint.check_overwrite(workdir / "checkpoint", force=True)
    for note in preflight.notes(split, start, before, options, provenance.get("data"), asked["split"]):
        say(note)

    with RunCheckpointer(workdir / "states") as states, stop_on_sigterm(states.has_state) as should_stop:
        # ---- data: every photo decoded and resized once, labels standardised ----
        saved = find_saved_state(states, asked)
        dtype = begun_dtype(options.recipe, saved)
        recipe = dataclasses.replace(options.recipe, compute_dtype=dtype)
        identity = asked | {"recipe.compute_dtype": dtype}
        mesh, stored = sharding.data_mesh(), machine.image_cache or options.workdir / "images"
        data = prepare_data(
            recipe, photos, split, scale, config, mesh, stored, on_device=machine.photos_on_device, partial=partial
        )
        preflight.check_left_out(saved, data.left_out)

        # ---- model and state ----
        learner, key = recipe.learner(config, mesh), make_key(recipe.seed, mesh)
        first, frozen = init_state(
            recipe, config, initial_params(start, recipe, scale, (data.mean, data.std), options.keep_head), mesh
        )
        feature_folder = stored / "features" / features_key(identity, data.photos)
        store = learner.open(data.images, len(data.photos.names), frozen | first.params, feature_folder, should_stop)
        state, run = resume(states, saved, first, RunState(recipe.init_schedule()))
        began -= run.seconds
        say(
            f"{len(data.split.train)} photos to train, {len(data.split.val)} to validate, {len(data.split.test)} to"
            f" test ({split.note}); {config.depth} blocks of width {config.embed_dim} on {jax.device_count()} x"
            f" {jax.devices()[0].device_kind}{', where the photos stay' if data.images.on_device else ''}, products in"
            f" {dtype}{', the faster type here' if options.recipe.compute_dtype == 'auto' and saved is None else ''}"
        )

        # ---- saving: the state of the run, and the best model on the label scale ----
        def save_state(state: TrainState, step: int) -> None:
            run.seconds = time.perf_counter() - began
            states.save(step, state, {"identity": identity, "run": run.to_json(), "left out": data.left_out})

        def best_model(state: TrainState) -> Params:
            return parameters.rescale_head(config, frozen | state.best_params, data.std, data.mean)

        def save_model(best: Params, **correlations: Any) -> None:
            trained = provenance | {"recipe": dataclasses.asdict(recipe), "split": split.note}  # type: ignore[call-overload]
            trained |= {"split sha256": identity["split"], "started from": start.provenance, **correlations}
            checkpoint.save(workdir / "checkpoint", Checkpoint(config, best, scale, {"trained": trained}), force=True)

        # ---- epochs: steps, then evaluation with the parameters as they stand, selection, saving ----
        if sharding.is_main_process():
            atomic.write_text(workdir / "split.json", json.dumps(splits.to_json(split, photos.names), indent=1) + "\n")
        with MetricLogger(workdir, scale, split.selection_part, run.history, machine.plots) as logger:
            if not run.schedule.done:
                say(format_header())
            while not run.schedule.done:
                schedule, end = run.schedule, (run.schedule.epoch + 1) * data.plan.steps
                step = make_train_step(recipe, config, mesh, schedule.head_only)
                with EpochRecorder(run, data, recipe, machine, logger, states, should_stop, save_state) as recorder:
                    state = train_epoch(
                        step, state, frozen, key, store, data.plan, recipe, schedule,
                        begin=run.batches_done, after_step=recorder.after_step,
                    )  # fmt: skip
                    recorder.flush()
                scores = data.to_scale(learner.score(frozen | state.eval_params, store, data.selection, dtype))
                correlations = metrics.correlations_if_any(scores, data.selection_mos)
                selected_by = getattr(correlations, recipe.selection_metric) if len(data.selection) else None
                following = recipe.update_schedule(schedule, selected_by)
                state = state.after_epoch(following)
                logged = {name: getattr(correlations, name) for name in metrics.logged_names(recipe.selection_metric)}
                entry = {
                    "step": end,
                    "epoch": schedule.epoch + 1,
                    **{name: total / data.plan.steps for name, total in run.totals.items()},
                    **{name: value if math.isfinite(value) else None for name, value in logged.items()},
                    "lr": recipe.learning_rate(schedule, end - 1, data.plan.steps),
                    "note": following.note,
                    "photos_per_second": recorder.photos_per_second,
                    "seconds": time.perf_counter() - began,
                }
                run.end_epoch(following, entry)
                states.wait()  # Orbax confuses two savings at the same time
                if following.improved:
                    save_model(best_model(state))
                save_state(state, end)
                logger.log_epoch(run.history, scores, data.selection_mos, best=following.improved)
                pace = recorder.seconds_per_step
                first = None if pace is None else pace * data.plan.steps
                left = estimate_left(recipe.remaining_epochs(following), epochs_of(run.history), first)
                say(format_epoch(entry, left))
                if not following.done and should_stop(end):
                    raise stopped_after(end)

        # ---- results: the test photos of a clean split are scored once, here, in float32 ----
        epochs, best = epochs_of(run.history), best_model(state)
        if len(data.selection) and all(entry[recipe.selection_metric] is None for entry in epochs):
            raise UserError(
                f"in no epoch did the scores of the {split.selection_part} photos differ, so no best model was found;"
                " lower the learning rates of --recipe"
            )
        drawn = np.sort(np.random.default_rng(recipe.seed).permutation(data.split.train)[:PERCENTILE_PHOTOS])
        train_scores = learner.score(sharding.replicate(best, mesh), store, drawn, "float32")
        if np.ptp(train_scores) == 0:
            raise UserError(
                "the model gives every training photo the same score: nothing was learned; lower the learning rates of"
                " --recipe"
            )
        compared = {"labels": data.photos.mos[data.split.train], "scores": train_scores}
        save_model(best, percentiles={k: np.percentile(v, range(101)).tolist() for k, v in compared.items()})
        result = {"epochs": len(epochs), "split": split.note}
        result["selected_on"] = split.selection_part if len(data.selection) else None
        result["left_out"] = len(data.left_out)
        test = data.split.test
        if len(test):
            scores = Scorer(config, best, scale).score_store(data.images, test)
            earlier = score_before(before, config, scale, data.images, test)
            if sharding.is_main_process():
                result |= report.write_report(workdir, data.photos, test, scores, scale, before=earlier)
        if sharding.is_main_process():
            result |= {"seconds": round(time.perf_counter() - began, 1), "identity": identity}
            atomic.write_text(workdir / "result.json", json.dumps(result, indent=2) + "\n")
            files = sorted({path.name for path in workdir.iterdir()} - {"states", ".lock"})
            print(f"{workdir}/: {', '.join(files)}; {result['seconds']:.0f} s")
            for line in advise(result, before):
                print(line)
        states.delete_all()
        return result
