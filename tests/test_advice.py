"""What a person is told after a training."""

from typing import Any

import pytest

from tests.reasoned import CONFIG
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.training.advice import advise

WORSE = "the model had a higher SRCC before training: keep that one, or try "


def told(now: float | None, earlier: float | None, count: int = 40, **identity: Any) -> list[str]:
    given = {"recipe.freeze_backbone": False, "keep head": False} | identity
    result = {"srcc": now, "n": count, "before": {"srcc": earlier}, "identity": given}
    return list(advise(result, None))


def test_a_training_that_made_the_model_worse_says_so() -> None:
    assert told(0.8, 0.95) == [f"{WORSE}--recipe.freeze-backbone, --keep-head or more photos"]
    assert told(0.95, 0.8) == told(0.8, 0.8) == told(0.8, None) == []
    assert told(None, 0.8)[0].startswith(WORSE), "a model that gives all photos one score has no SRCC"


@pytest.mark.parametrize(
    ("given", "proposed"),
    [
        ({"keep head": True}, "--recipe.freeze-backbone or more photos"),
        ({"recipe.freeze_backbone": True}, "--keep-head or more photos"),
        ({"recipe.freeze_backbone": True, "keep head": True}, "more photos"),
        ({"recipe.freeze_backbone": None}, "--keep-head or more photos"),
    ],
    ids=["with a kept head", "with a frozen backbone", "with both", "of a recipe that freezes nothing"],
)
def test_no_option_is_proposed_that_was_given_or_is_none(given: dict[str, Any], proposed: str) -> None:
    assert told(0.8, 0.95, **given) == [WORSE + proposed]


def test_few_photos_do_not_tell_what_many_do() -> None:
    """One standard error of a correlation of .8 is .36 / sqrt(n - 1)."""
    said = "12 test photos cannot tell whether the model was better before training"
    assert told(0.8, 0.9, count=12) == [said]
    assert told(0.8, 0.9, count=40)[0].startswith(WORSE)
    assert told(0.8, 0.9, count=2)[0].startswith("2 test photos cannot tell")


def test_what_the_new_model_lacks_is_told_if_the_old_one_had_it(config: ModelConfig, scale: LabelScale) -> None:
    plain = Checkpoint(config, {}, scale, {})
    detailed = Checkpoint(CONFIG, {}, scale, {})
    (said,) = advise({}, detailed)
    assert said.startswith("this model gives scores only; `vtiqa heads` makes detail")
    assert list(advise({}, plain)) == list(advise({}, None)) == []
