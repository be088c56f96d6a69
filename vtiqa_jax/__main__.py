"""Scores the quality of photos, and trains, evaluates and converts the models that do."""

from vtiqa_jax import cli

TRAIN = cli.Group(
    {
        "demo": "vtiqa_jax.commands.train:run_demo",
        "manifest": "vtiqa_jax.commands.train:train_manifest",
        "dataset": "vtiqa_jax.commands.train:train_dataset",
        "datasets": "vtiqa_jax.commands.train:train_datasets",
    },
    "Train a VT-IQA. Without a further word: a demonstration on photographs that come inside ordinary wheels.",
    default="demo",
)
EVAL = cli.Group(
    {
        "demo": "vtiqa_jax.commands.eval:eval_demo",
        "manifest": "vtiqa_jax.commands.eval:eval_manifest",
    },
    "Evaluate a checkpoint: PLCC, SRCC, KRCC and RMSE against mean opinion scores, a CSV and a scatter plot.",
)
CONVERT = cli.Group(
    {
        "vtiqa": "vtiqa_jax.commands.convert:vtiqa",
        "original": "vtiqa_jax.commands.convert:original",
        "backbone": "vtiqa_jax.commands.convert:backbone",
        "export": "vtiqa_jax.commands.convert:export",
        "quantize": "vtiqa_jax.commands.convert:quantize",
        "pack": "vtiqa_jax.commands.convert:quantize",  # its old name
    },
    "Convert published PyTorch weights to an Orbax checkpoint, and back.",
)
COMMANDS = {
    "demo": "vtiqa_jax.commands.demo:demo",
    "score": "vtiqa_jax.commands.score:score",
    "bulk": "vtiqa_jax.commands.bulk:bulk",
    "explain": "vtiqa_jax.commands.explain:explain",
    "compare": "vtiqa_jax.commands.compare:compare",
    "train": TRAIN,
    "tune": "vtiqa_jax.commands.tune:tune",
    "heads": "vtiqa_jax.commands.heads:heads",
    "eval": EVAL,
    "bench": "vtiqa_jax.commands.bench:bench",
    "convert": CONVERT,
    "export": "vtiqa_jax.commands.export:export",
    "info": "vtiqa_jax.commands.info:info",
}


def main() -> None:
    """Entry point of the console command."""
    cli.run(COMMANDS, "vtiqa", __doc__)


if __name__ == "__main__":
    main()
