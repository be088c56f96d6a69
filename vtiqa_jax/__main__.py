"""Scores the quality of photos, and trains, evaluates and converts the models that score them."""

from vtiqa_jax import cli
from vtiqa_jax.command_line import Command, Group

ROOM = "vtiqa_jax.commands"
TRAIN = Group(
    {
        "demo": Command(f"{ROOM}.train:run_demo", "Train on demonstration photos, in two minutes."),
        "manifest": Command(f"{ROOM}.train:train_manifest", "Train on your own photos, listed in a CSV."),
        "dataset": Command(f"{ROOM}.train:train_dataset", "Train on a public data set."),
        "datasets": Command(f"{ROOM}.train:train_datasets", "Train on several data sets together."),
    },
    "Train a model. Without another word, `vtiqa train` trains on demonstration photos, in two minutes.",
    default="demo",
)
EVAL = Group(
    {
        "demo": Command(f"{ROOM}.eval:eval_demo", "Evaluate on the held-out photos of the demonstration."),
        "manifest": Command(f"{ROOM}.eval:eval_manifest", "Evaluate on your own photos, listed in a CSV."),
    },
    "Evaluate a model against mean opinion scores: PLCC, SRCC, KRCC, RMSE and a scatter plot.",
)
CONVERT = Group(
    {
        "vtiqa": Command(f"{ROOM}.convert:vtiqa", "Convert the released model."),
        "original": Command(f"{ROOM}.convert:original", "Convert the paper's model, three files."),
        "backbone": Command(f"{ROOM}.convert:backbone", "Convert a DeiT, DINO or other ViT to train from."),
        "export": Command(f"{ROOM}.convert:export", "Convert a checkpoint back to PyTorch."),
        "quantize": Command(f"{ROOM}.convert:quantize", "Pack a checkpoint into one small file."),
    },
    "Convert published PyTorch weights to a checkpoint, and back.",
)
VTIQA = Group(
    {
        "demo": Command(f"{ROOM}.demo:demo", "Score a dozen photos that come with the program."),
        "score": Command(f"{ROOM}.score:score", "Score photos; choose, copy, rate or show them."),
        "bulk": Command(f"{ROOM}.bulk:bulk", "Score millions of photos on many machines."),
        "explain": Command(f"{ROOM}.explain:explain", "Show where photos are bad."),
        "compare": Command(f"{ROOM}.compare:compare", "Say which of two photos is better."),
        "train": TRAIN,
        "tune": Command(f"{ROOM}.tune:tune", "Learn what you like from your marks."),
        "heads": Command(f"{ROOM}.heads:heads", "Make a model's heads: detail, faults, intervals."),
        "eval": EVAL,
        "bench": Command(f"{ROOM}.bench:bench", "Compare models on public data sets."),
        "convert": CONVERT,
        "export": Command(f"{ROOM}.export:export", "Write a model as ONNX, StableHLO or a web page."),
        "info": Command(f"{ROOM}.info:info", "Print a model's card."),
    },
    __doc__ or "",
)


def main() -> None:
    """Runs the console command."""
    cli.run(VTIQA, "vtiqa")


if __name__ == "__main__":
    main()
