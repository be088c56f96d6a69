"""The trainer, to be read from top to bottom and forked.

`train` is one run: data, model, state, steps, loop, results. What it calls is out of its way: what a recipe decides is
in `training/finetune.py` and `training/published.py`, batches come from `data/loader.py`, states are kept by
`training/run_checkpointer.py`, logs written by `training/logger.py`. `vtiqa train` and `python train.py` get here
through `commands/train.py`, which reads photos and options.

Killed anywhere and started again, a run ends with the same bits as one that never was.
"""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from vtiqa_jax import atomic, sharding
from vtiqa_jax.data import distorted, image_cache, loader, splits
from vtiqa_jax.data.loader import Batch, ImageStore, Store
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.evaluation import metrics, report
from vtiqa_jax.evaluation.scorer import Scorer, make_score_step, round_weights, score_store
from vtiqa_jax.models import checkpoint, views
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import Checkpoint, LabelScale
from vtiqa_jax.models.compute_dtype import resolve_dtype
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import ComputeDtype, ModelConfig, select_implementation
from vtiqa_jax.training import preflight
from vtiqa_jax.training.features import FeatureStore, compute_features, draw_mosaic, features_key
from vtiqa_jax.training.logger import HEADER, MetricLogger, epochs_of, format_epoch
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.recipe import Recipe, order_loss
from vtiqa_jax.training.run_checkpointer import RunCheckpointer, SavedState
from vtiqa_jax.training.run_state import RunState, begun_as, diff_settings, finished_result, run_identity
from vtiqa_jax.training.signals import stop_on_sigterm
from vtiqa_jax.training.start import map_scale, score_before

PERCENTILE_PHOTOS = 1000
"""Training photos that a trained model scores, at most: what a score is compared with later."""

# ---- state and step ----


class TrainState(NamedTuple):
    """Everything on the devices that a run resumes from. Parameters are those that the recipe trains at some time."""

    params: Params
    opt_state: optax.OptState
    ema_params: Params
    """Exponential moving average of `params`; empty when the recipe has none."""
    best_params: Params
    """Those of the best epoch so far."""
    step: Int[Array, ""]

    @property
    def eval_params(self) -> Params:
        """What is evaluated and kept: the average where there is one."""
        return self.ema_params or self.params


TrainStep = Callable[[TrainState, Params, Array, np.float32, Batch], tuple[TrainState, dict[str, Array]]]


def init_state(recipe: Recipe, config: ModelConfig, params: Params, mesh: Mesh) -> tuple[TrainState, Params]:
    """The state before the first step, and the frozen parameters; both replicated over the mesh."""
    trainable = {k: v for k, v in params.items() if recipe.is_trainable(k, config, head_only=False)}
    frozen = {k: v for k, v in params.items() if k not in trainable}
    opt_state = recipe.optimizer(config).init(trainable)
    state = TrainState(trainable, opt_state, trainable if recipe.ema else {}, trainable, jnp.int32(0))
    return sharding.replicate(state, mesh), sharding.replicate(frozen, mesh)


@functools.cache
def make_train_step(
    recipe: Recipe, config: ModelConfig, mesh: Mesh, head_only: bool = False, higher_is_better: bool = True
) -> TrainStep:
    """The jitted `(state, frozen, key, lr, batch) -> (state, metrics)`.

    What does not learn is a constant of the loss, so that its backward pass is never built. `nnx.jit` is not used: its
    Python overhead is 20 ms a step at this number of parameters.
    """
    optimizer = recipe.optimizer(config)
    device = mesh.devices.flat[0]
    dtype = resolve_dtype(recipe.compute_dtype, device.platform)
    rates = (recipe.drop_path, recipe.head_dropout)
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(device, dtype), *rates)

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(
        state: TrainState, frozen: Params, key: Array, lr: Array, batch: Batch
    ) -> tuple[TrainState, dict[str, Array]]:
        view_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        if recipe.freeze_backbone:
            seen = (draw_mosaic(view_key, batch["features"]),)
        else:
            seen = tuple(map(views.normalize, recipe.augment(view_key, batch, config)))
        trainable = {k: v for k, v in state.params.items() if recipe.is_trainable(k, config, head_only=head_only)}
        fixed = frozen | {k: v for k, v in state.params.items() if k not in trainable}

        def loss_fn(trainable: Params) -> tuple[Array, dict[str, Array]]:
            params = fixed | trainable
            # What sees features is the head alone.
            model: Any = (
                parameters.merge_head(config, params, recipe.head_dropout)
                if recipe.freeze_backbone
                else parameters.merge_params(graphdef, params)
            )
            outputs = model(*seen, rngs=nnx.Rngs(dropout=dropout_key))
            loss, logged = recipe.loss(outputs, batch)
            if recipe.chains:
                quality = outputs if higher_is_better else -outputs
                order = order_loss(quality, batch["chains"], batch["places"], recipe.order_margin)
                loss, logged = loss + recipe.order_weight * order, logged | {"order": order}
            return loss, logged

        (loss, logged), grads = jax.value_and_grad(loss_fn, has_aux=True)(trainable)
        updates, opt_state = optimizer.update(grads, state.opt_state, trainable)
        params = state.params | jax.tree.map(lambda param, update: param - lr * update, trainable, updates)
        ema_params = state.ema_params
        if recipe.ema:
            # Young averages forget faster, or the first weights would stay in them.
            count = state.step.astype(jnp.float32)
            decay = jnp.minimum(jnp.float32(recipe.ema), (1 + count) / (10 + count))
            ema_params = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema_params, params)
        logged = {"loss": loss, **logged, "grad_norm": optax.tree.norm(grads)}
        return TrainState(params, opt_state, ema_params, state.best_params, state.step + 1), logged

    return train_step


# ---- one run ----


def initial_params(
    start: Checkpoint, recipe: Recipe, scale: LabelScale, stats: tuple[float, float], keep_head: bool
) -> Params:
    """The start's backbone with a fresh head, or with its own head moved to the standardised labels of `scale`."""
    if not keep_head:
        fresh = recipe.init_head(parameters.init_params(start.config, recipe.seed))
        return fresh | {k: v for k, v in start.params.items() if parameters.param_group(k)[0] != "head"}
    assert start.scale is not None
    mean, std = stats
    slope, intercept = map_scale(start.scale, scale)
    return parameters.rescale_head(start.config, start.params, slope / std, (intercept - mean) / std)


def require_finite(values: dict[str, float], run: RunState, names: list[str], states: RunCheckpointer) -> None:
    """Stops the run when a step's loss or gradient is not finite.

    Raises:
        UserError: names the step, its photos and the last good state.
    """
    if all(math.isfinite(values[name]) for name in ("loss", "grad_norm")):
        return
    file = states.folder.parent / "failed-batch.txt"
    if sharding.is_main_process():
        atomic.write_text(file, "".join(f"{name}\n" for name in names))
    saved = states.latest_valid()
    good = "no state was saved before"
    if saved is not None and saved.step >= 0:
        good = f"the last good state, of step {saved.step}, is in {states.folder}"
    bad = "the loss is {loss}" if not math.isfinite(values["loss"]) else "the gradient's norm is {grad_norm}"
    raise UserError(
        f"{bad.format(**values)} in epoch {run.schedule.epoch + 1}, batch {run.batches_done + 1}, on"
        f" {', '.join(names[:4])}{f', ... (all: {file})' if len(names) > 4 else ''}; {good}; look at these photos and"
        " their scores, or lower the learning rates of --recipe"
    )


def find_saved_state(states: RunCheckpointer, identity: dict[str, Any]) -> SavedState | None:
    """The newest whole state in the folder of a run.

    Raises:
        UserError: it is of a run with other settings.
    """
    saved = states.latest_valid()
    if saved is not None and saved.step >= 0:
        identity = begun_as(identity, saved.metadata["identity"])
    if saved is not None and saved.step >= 0 and saved.metadata["identity"] != identity:
        raise UserError(
            f"{states.folder} holds a run with other settings ({diff_settings(identity, saved.metadata['identity'])});"
            " name another --workdir, or give that run's command to go on with it"
        )
    return saved


def resume(
    states: RunCheckpointer, saved: SavedState | None, state: TrainState, run: RunState
) -> tuple[TrainState, RunState]:
    """The saved state; what is given when there is none.

    Raises:
        UserError: the processes see different states.
    """
    # Where machines do not share the folder they would resume from different steps.
    step = sharding.broadcast_from_main(-1 if saved is None else saved.step)
    if step >= 0 and (saved is None or saved.step != step):
        raise UserError("the processes see different states of the run; --workdir must be on a file system all share")
    for problem in saved.problems if saved else ():
        say(problem)
    # Damaged ones would count among the newest and push whole ones out.
    states.delete_after(step)
    if saved is None or step < 0:
        if saved is not None:
            say("no whole state of the run is left: starting anew")
        return state, run
    run = RunState.from_json(saved.metadata["run"])
    where = "trained to the end" if run.schedule.done else f"in epoch {run.schedule.epoch + 1}"
    say(f"going on after step {step}, {where}")
    return states.restore(step, state), run


def begun_dtype(recipe: Recipe, saved: SavedState | None) -> ComputeDtype:
    """The type that a run goes on with or, at its beginning, the fastest one here where that is left open."""
    if saved is not None and saved.step >= 0:
        return saved.metadata["identity"]["recipe.compute_dtype"]
    dtype = resolve_dtype(recipe.compute_dtype, jax.default_backend())
    return "bfloat16" if sharding.broadcast_from_main(int(dtype == "bfloat16")) else "float32"


def say(text: str) -> None:
    """Prints in one process of a run."""
    if sharding.is_main_process():
        print(text, flush=True)


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
    recipe, config, started = options.recipe, start.config, time.perf_counter()
    identity = run_identity(recipe, config, start.params, photos, split, scale, options.keep_head)
    if result := finished_result(workdir, identity):
        say(f"{workdir} is finished: its results are shown again\n{report.format_table(result)}")
        return result

    # ---- what cannot be is refused before anything is written ----
    preflight.check_targets(photos)
    preflight.check_labels(photos, split, recipe)
    checkpoint.check_overwrite(workdir / "checkpoint", force=True)
    for note in preflight.notes(split, start, before, options, provenance.get("data"), identity["split"]):
        say(note)

    with RunCheckpointer(workdir / "states") as states, stop_on_sigterm() as should_stop:
        # ---- data: every photo decoded and resized once, labels standardised ----
        saved = find_saved_state(states, identity)
        dtype = begun_dtype(recipe, saved)
        recipe = dataclasses.replace(recipe, compute_dtype=dtype)
        identity |= {"recipe.compute_dtype": dtype}
        drawn_split, chains = split, np.empty((0, 0), np.int64)
        if recipe.chains:
            photos, chains = distorted.add_chains(
                photos, split.train, recipe.chains, recipe.leave_out, higher_is_better=scale.higher_is_better
            )
        stored = options.machine.image_cache or options.workdir / "images"
        cache = image_cache.build_image_cache(photos, stored, config, leave_out_broken=partial)
        left_out = [photos.names[row] for row in cache.broken]
        if left_out:
            split, chains = split.without(cache.broken), chains[~np.isin(chains, cache.broken).any(axis=1)]
            if recipe.chains and not len(chains):
                raise UserError("no photo of the series of --recipe.chains can be read: make more, or leave it out")
            preflight.check_labels(photos, split, recipe)
        preflight.check_left_out(saved, left_out)
        train_mos = photos.mos[split.train]
        selection = split.selection if len(recipe.selection(drawn_split)) else split.val[:0]
        mesh = sharding.data_mesh()
        images = ImageStore(cache, mesh, on_device=options.machine.photos_on_device)
        mean, std = recipe.label_stats(train_mos)
        columns = {"labels": ((photos.mos - mean) / std).astype(np.float32), **photos.targets}
        if recipe.chains:
            columns |= distorted.chain_columns(chains, len(photos.names))
        labelled = min(recipe.batch_size, len(split.train))
        batch_size = sharding.round_up(labelled + recipe.chains_per_batch * chains.shape[1], mesh)
        steps_per_epoch = math.ceil(len(split.train) / recipe.batch_size)

        # ---- model and state ----
        params = initial_params(start, recipe, scale, (mean, std), options.keep_head)
        state, frozen = init_state(recipe, config, params, mesh)
        store: Store = images
        if recipe.freeze_backbone:
            folder = stored / "features" / features_key(identity, photos)
            features = compute_features(
                images, len(photos.names), frozen | state.params, config, dtype, folder, should_stop
            )
            store = FeatureStore(features, mesh, config)
        state, run = resume(states, saved, state, RunState(recipe.init_schedule()))
        started -= run.seconds
        key = sharding.replicate(jax.random.key_data(jax.random.key(recipe.seed)), mesh)
        key = jax.random.wrap_key_data(key)
        say(
            f"{len(split.train)} photos to train, {len(split.val)} to validate, {len(split.test)} to test"
            f" ({split.note}); {config.depth} blocks of width {config.embed_dim} on {jax.device_count()} x"
            f" {jax.devices()[0].device_kind}{', where the photos stay' if images.on_device else ''}, products in"
            f" {dtype}{', the faster type here' if options.recipe.compute_dtype == 'auto' and saved is None else ''}"
        )

        # ---- evaluation: on the devices, with the parameters as they stand ----
        score_step = make_score_step(config, dtype, mesh)

        def evaluate() -> Float[np.ndarray, " n"] | None:
            if not len(selection):
                return None
            if isinstance(store, FeatureStore):
                scores = store.score(state.eval_params, selection)
            else:
                eval_params = round_weights(frozen | state.eval_params, dtype)
                scores = score_store(score_step, eval_params, images, selection)
            return scores * np.float32(std) + np.float32(mean)

        # ---- saving: the state of the run, and the best model on the label scale ----
        def save_state(step: int) -> None:
            run.seconds = time.perf_counter() - started
            states.save(step, state, {"identity": identity, "run": run.to_json(), "left out": left_out})

        def stop_after(step: int) -> NoReturn:
            raise Terminated(f"stopped after step {step} and saved; the same command goes on from there")

        def best_model() -> Params:
            return parameters.rescale_head(config, frozen | state.best_params, std, mean)

        def save_model(best: Params, **found: Any) -> None:
            trained = provenance | {"recipe": dataclasses.asdict(recipe), "split": split.note}  # type: ignore[call-overload]
            trained |= {"split sha256": identity["split"], "started from": start.provenance, **found}
            checkpoint.save(workdir / "checkpoint", Checkpoint(config, best, scale, {"trained": trained}), force=True)

        # ---- loop ----
        if sharding.is_main_process():
            content = splits.to_json(drawn_split, photos.names)
            atomic.write_text(workdir / "split.json", json.dumps(content, indent=1) + "\n")
        with MetricLogger(workdir, scale, split.selection_part, run.history, options.machine.plots) as logger:

            def record(logged: dict[str, Array], rows: Int[np.ndarray, " _"]) -> float:
                """Adds a step's metrics to the run's; waits for the step. Returns its loss."""
                values = {name: float(value) for name, value in jax.device_get(logged).items()}
                require_finite(values, run, [photos.names[row] for row in rows], states)
                run.batches_done += 1
                run.totals = {name: run.totals.get(name, 0.0) + value for name, value in values.items()}
                step = run.schedule.epoch * steps_per_epoch + run.batches_done
                if step % options.machine.log_every == 0 and run.batches_done < steps_per_epoch:
                    lr = recipe.learning_rate(run.schedule, step - 1, steps_per_epoch)
                    run.history.append({"step": step, "epoch": run.schedule.epoch + 1, **values, "lr": lr})
                    logger.log_step(run.history[-1])
                return values["loss"]

            if not run.schedule.done:
                say(HEADER)
            while not run.schedule.done:
                schedule, first = run.schedule, run.schedule.epoch * steps_per_epoch
                begin, epoch_start = run.batches_done, time.perf_counter()
                order = loader.epoch_batches(split.train, recipe.batch_size, recipe.seed, schedule.epoch)
                if recipe.chains:
                    order = loader.add_chains(order, chains, recipe.chains_per_batch, recipe.seed, schedule.epoch)
                order = order[begin:]
                train_step = make_train_step(recipe, config, mesh, schedule.head_only, scale.higher_is_better)
                progress = tqdm(
                    loader.load_batches(store, columns, order, batch_size), f"epoch {schedule.epoch + 1}",
                    steps_per_epoch, initial=begin, unit="step", leave=False,
                    disable=None if sharding.is_main_process() else True,
                )  # fmt: skip
                pending: tuple[dict[str, Array], np.ndarray] | None = None
                for index, batch in enumerate(progress):
                    lr = np.float32(recipe.learning_rate(schedule, first + begin + index, steps_per_epoch))
                    state, logged = train_step(state, frozen, key, lr, batch)
                    if pending is not None:  # the step before: reading it never holds the device up
                        progress.set_postfix(loss=f"{record(*pending):.3f}")
                    pending = logged, order[index]
                    step = first + begin + index + 1
                    if index + 1 == len(order):
                        break
                    stop = should_stop(step)
                    if stop or step % options.machine.save_every == 0:
                        record(*pending)
                        pending = None
                        save_state(step)
                    if stop:
                        stop_after(step)
                if pending is not None:
                    record(*pending)
                speed = sum(map(len, order)) / (time.perf_counter() - epoch_start)

                # ---- the end of an epoch: evaluate, select, save ----
                scores = evaluate()
                found = None
                if scores is not None and np.isfinite(scores).all():
                    found = metrics.correlations(scores, photos.mos[selection])
                selected_by = getattr(found, recipe.selection_metric) if found else math.nan
                following = recipe.update_schedule(schedule, None if scores is None else selected_by)
                if following.improved:
                    state = state._replace(best_params=jax.tree.map(jnp.copy, state.eval_params))
                if following.restore_best:
                    state = state._replace(params=jax.tree.map(jnp.copy, state.best_params))
                step = first + steps_per_epoch
                entry = {
                    "step": step,
                    "epoch": schedule.epoch + 1,
                    **{name: total / steps_per_epoch for name, total in run.totals.items()},
                    "plcc": found.plcc if found and math.isfinite(found.plcc) else None,
                    "srcc": found.srcc if found and math.isfinite(found.srcc) else None,
                    "lr": recipe.learning_rate(schedule, step - 1, steps_per_epoch),
                    "note": following.note,
                    "photos_per_second": speed,
                    "seconds": time.perf_counter() - started,
                }
                run = RunState(following, history=[*run.history, entry])
                states.wait()  # Orbax confuses two savings at the same time
                if following.improved:
                    save_model(best_model())
                save_state(step)
                logger.log_epoch(run.history, scores if following.improved else None, photos.mos[selection])
                left = recipe.remaining_epochs(following)
                say(format_epoch(entry, None if left is None else left * entry["seconds"] / entry["epoch"]))
                if not following.done and should_stop(step):
                    stop_after(step)

        epochs = epochs_of(run.history)
        if len(selection) and all(entry["srcc"] is None for entry in epochs):
            raise UserError(
                f"in no epoch did the scores of the {split.selection_part} photos differ, so no best model was found;"
                " lower the learning rates of --recipe"
            )

        # ---- results: the test photos of a clean split are scored once, here, in float32 ----
        best = best_model()
        scorer = Scorer(config, best, scale)
        drawn = np.sort(np.random.default_rng(recipe.seed).permutation(split.train)[:PERCENTILE_PHOTOS])
        known = store.score(best, drawn) if isinstance(store, FeatureStore) else scorer.score_store(images, drawn)
        if np.ptp(known) == 0:
            raise UserError(
                "the model gives every training photo the same score: nothing was learned; lower the learning rates of"
                " --recipe"
            )
        compared = {"labels": train_mos, "scores": known}
        save_model(best, percentiles={k: np.percentile(v, range(101)).tolist() for k, v in compared.items()})
        selected_on = split.selection_part if len(selection) else None
        result = {"epochs": len(epochs), "split": split.note, "selected_on": selected_on, "left_out": len(left_out)}
        if len(split.test):
            scores = scorer.score_store(images, split.test)
            earlier = score_before(before, config, scale, images, split.test)
            if sharding.is_main_process():
                result |= report.write_report(workdir, photos, split.test, scores, scale, before=earlier)
        if sharding.is_main_process():
            result |= {"seconds": round(time.perf_counter() - started, 1), "identity": identity}
            atomic.write_text(workdir / "result.json", json.dumps(result, indent=2) + "\n")
            files = sorted({path.name for path in workdir.iterdir()} - {"states", ".lock"})
            print(f"{workdir}/: {', '.join(files)}; {result['seconds']:.0f} s")
        states.delete_all()
        return result
