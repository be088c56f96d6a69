"""Results that show themselves in a notebook."""

import os
import re

import jax
import numpy as np

from vtiqa_jax.models import params
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_table import SHOWN, ScoreTable
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer


def test_a_table_shows_what_was_scored(
    config: ModelConfig, weights: params.Params, scale: LabelScale, rng: np.random.Generator
) -> None:
    scorer = Scorer(config, weights, scale, devices=jax.devices()[:1])
    photos = [*rng.integers(0, 256, (3, 300, 200, 3), np.uint8), "<script>alert(1)</script>.jpg"]
    table = scorer.table(photos, sampling=MosaicSampling(2))
    assert len(table) == 4 and [result.score for result in table][3] is None
    shown = table._repr_html_()
    rows = re.findall(r"<tr>(.*?)</tr>", shown)
    assert rows[0] == "<th></th><th>photo</th><th>score</th><th>mean</th><th>± spread</th><th>remarks</th>"
    pattern = (
        r'<td><img alt="" src="data:image/jpeg;base64,/9j/[^"]*"></td><td>photo 1</td>'
        r"<td>%.4f</td><td>%.4f</td><td>± %.4f</td><td></td>"
    )
    assert re.fullmatch(pattern % (table[1].score, table[1].mean, table[1].spread), rows[2])
    assert "script" in rows[4] and "<script" not in shown
    assert "No such file" in rows[4]
    assert repr(table) == f"ScoreTable(4 photos, 1 failed; {scale})"  # not the photos' pixels


def test_a_long_table_says_what_it_leaves_out(scale: LabelScale) -> None:
    result = ScoreResult(os.fsdecode(b"a\xff.jpg"), 3.0, percentile=50.0, out_of_range="above", warning="<cut off>")
    results = (result,) * (SHOWN + 7)
    shown = ScoreTable(results, scale)._repr_html_()
    assert shown.count("<tr>") == SHOWN + 1
    assert "7 more photos are not shown" in shown and "<td>a\ufffd.jpg</td><td>3.0000</td><td>50 %</td>" in shown
    assert "<td>above the scores of all training photos; &lt;cut off&gt;</td>" in shown
