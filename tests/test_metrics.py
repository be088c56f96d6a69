"""The figures against their definitions, computed the slow way."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.evaluation import metrics, plots, report
from vtiqa_jax.evaluation.metrics import METRICS, Metric, correlations, within_groups
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.training import logger


def ranks(values: np.ndarray) -> np.ndarray:
    return np.array([np.mean(np.flatnonzero(np.sort(values) == value)) for value in values])


def test_figures_are_their_definitions(rng: np.random.Generator) -> None:
    mos = rng.integers(1, 6, 40).astype(np.float64)  # with ties
    scores = mos + rng.normal(0, 1, 40)
    found = correlations(scores, mos)
    assert found.plcc == pytest.approx(np.corrcoef(scores, mos)[0, 1])
    assert found.srcc == pytest.approx(np.corrcoef(ranks(scores), ranks(mos))[0, 1])
    pairs = list(itertools.combinations(range(40), 2))
    agreement = [np.sign(scores[i] - scores[j]) * np.sign(mos[i] - mos[j]) for i, j in pairs]
    untied = sum(mos[i] != mos[j] for i, j in pairs)
    assert found.krcc == pytest.approx(sum(agreement) / np.sqrt(untied * len(pairs)))
    assert found.rmse == pytest.approx(np.sqrt(np.mean((scores - mos) ** 2)))
    assert found.n == 40


def test_rank_figures_ignore_a_monotonic_change_and_plcc_does_not(rng: np.random.Generator) -> None:
    mos = rng.random(30)
    plain, bent = correlations(mos, mos), correlations(np.exp(5 * mos), mos)
    assert plain.plcc == pytest.approx(1)
    assert bent.srcc == bent.krcc == pytest.approx(1)
    assert bent.plcc < 0.95
    turned = correlations(-mos, mos)
    assert turned.plcc == turned.srcc == turned.krcc == pytest.approx(-1)


def test_constant_scores_have_no_correlation() -> None:
    found = correlations(np.ones(3), np.array([1.0, 2.0, 3.0]))
    assert np.isnan([found.plcc, found.srcc, found.krcc]).all()
    assert found.rmse == pytest.approx(np.sqrt(5 / 3))


def test_a_group_is_judged_by_itself(rng: np.random.Generator) -> None:
    """A model that knows the group's mean and nothing else looks good in total only."""
    mos = np.concatenate([rng.random(50), rng.random(50) + 3])
    scores = np.concatenate([rng.random(50), rng.random(50) + 3])
    assert correlations(scores, mos).srcc > 0.7
    within = within_groups(scores, mos, ["a"] * 50 + ["b"] * 50)
    assert all(abs(figures.srcc) < 0.4 for figures in within.values())
    assert list(within_groups(scores, mos, ["a"] * 99 + ["alone"])) == ["a"]
    assert list(within_groups(scores, np.r_[mos[:98], 1.0, 1.0], ["a"] * 98 + ["equal"] * 2)) == ["a"]


def test_nonsense_is_refused() -> None:
    for scores, mos in (([1.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])):
        with pytest.raises(ValueError, match="correlations"):
            correlations(np.array(scores), np.array(mos))


def test_the_logistic_undoes_a_logistic() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(-3, 3, 200)
    mos = 4 / (1 + np.exp(-(scores - 0.5) / 0.7)) + 1
    assert metrics.correlations(scores, mos).plcc < 0.98
    fitted = metrics.fit_logistic(scores, mos)
    np.testing.assert_allclose(fitted, mos, atol=1e-4)
    assert np.isnan(metrics.fit_logistic(scores[:3], mos[:3])).all(), "four parameters need more than three photos"


def test_a_logistic_that_says_the_same_of_all_photos_is_none() -> None:
    """Scores that tell nothing: the best curve may be a level line, of which correlations are noise."""
    level = metrics.fit_logistic(np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0]), np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0]))
    assert np.isnan(level).all()


def test_a_logistic_that_is_level_but_for_the_fit_s_own_error_is_none() -> None:
    """A fit stops some 1e-5 beside a level line, on one processor here and on another there."""
    scores, opinions = np.repeat(np.arange(20.0), 2), np.tile([1.0, 2.0], 20)
    assert np.isnan(metrics.fit_logistic(scores, opinions + 1e-6 * scores)).all()
    assert not np.isnan(metrics.fit_logistic(scores, opinions + 1e-3 * scores)).any()


def test_the_logistic_keeps_the_order() -> None:
    rng = np.random.default_rng(1)
    scores = rng.standard_normal(100)
    fitted = metrics.fit_logistic(scores, scores + 0.5 * rng.standard_normal(100))
    assert (np.diff(fitted[np.argsort(scores)]) >= 0).all()


def test_bootstrap_intervals_hold_what_they_promise() -> None:
    """Of 60 samples of 80 photos with a true PLCC of .8, about 95 % of the intervals hold it; and they are as wide as
    the figures spread from sample to sample."""
    rng, held, widths, figures = np.random.default_rng(2), 0, [], []
    for seed in range(60):
        mos = rng.standard_normal(80)
        scores = 0.8 * mos + 0.6 * rng.standard_normal(80)
        found = metrics.bootstrap_ci(scores, mos, resamples=300, seed=seed)
        held += found["plcc"][0] <= 0.8 <= found["plcc"][1]
        widths.append(np.subtract(*found["srcc"][::-1]))
        figures.append(metrics.correlations(scores, mos).srcc)
    assert held >= 51
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(figures), rel=0.35)
    assert np.isnan(metrics.bootstrap_ci(mos[:2], mos[:2])["srcc"]).all()
    assert np.isnan(metrics.bootstrap_ci(mos, np.full_like(mos, 3.0))["plcc"]).all()


def test_three_photos_have_an_interval_without_a_warning() -> None:
    """Some resamples are one photo thrice."""
    assert metrics.bootstrap_ci(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0]))["srcc"] == (-1.0, 1.0)


@pytest.mark.parametrize(("count", "told"), [(2, True), (report.FEW - 1, True), (report.FEW, False)])
def test_correlations_of_few_photos_are_told_to_be_chance(
    tmp_path: Path, count: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    mos = np.arange(count, dtype=np.float32)
    photos = Manifest(tuple(map(str, range(count))), mos, ImageFolder(tmp_path))
    report.write_report(tmp_path, photos, np.arange(count), mos**2, LabelScale("test", 0.0, 400.0))
    assert ("correlations of fewer than 20 photos are mostly chance" in capsys.readouterr().out) is told


def test_a_new_metric_is_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is in every table, file and log: those of an evaluation, of several splits, of several data sets, of a run."""
    mae = Metric("mae", lambda scores, mos: float(np.abs(scores - mos).mean()), in_mos=True, logged=True)
    monkeypatch.setitem(METRICS, "mae", mae)
    mos, scores = np.float32([1, 2, 3, 5]), np.float32([1, 3, 3, 2])
    photos = Manifest(tuple("abcd"), mos, ImageFolder(tmp_path), ("x", "x", "y", "y"))
    scale = LabelScale("test", 1.0, 5.0)
    result = report.write_report(tmp_path, photos, np.arange(4), scores, scale, before=mos)
    assert (result["mae"], result["before"]["mae"], result["within"]["x"]["mae"]) == (1.0, 0.0, 0.5)
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in table[:3]] == ["MAE", "1.0000", "0.0000"]
    assert report.write_report(tmp_path, photos, np.arange(4), scores, scale, opposite=True)["mae"] is None
    report.write_splits_summary(tmp_path, [result | {"selected_on": None}] * 2)
    assert "MAE 1.0000 (1.0000 to 1.0000)" in capsys.readouterr().out
    assert (tmp_path / "splits.csv").read_text().startswith("split,plcc,srcc,krcc,rmse,mae\n")
    assert metrics.compare(scores, mos)["mae"] == 1.0
    entry = {"epoch": 1, "loss": 0.5, "lr": 1e-3, "photos_per_second": 9.0, "note": "", **dict.fromkeys(METRICS)}
    header, line = logger.format_header(), logger.format_epoch(entry | {"mae": 0.125}, None)
    assert header[: header.index("MAE") + 3].split()[-1] == "MAE"
    assert line[: header.index("MAE") + 3].split()[-1] == "0.1250"
    pictures = []
    for shown in (0.1, None):
        entries = [entry | {"epoch": epoch, "mae": shown} for epoch in (1, 2)]
        plots.training_curve(tmp_path / "curve.png", entries, "validation")
        pictures.append((tmp_path / "curve.png").read_bytes())
    assert pictures[0] != pictures[1]


def test_a_figure_in_units_of_the_mos_means_nothing_on_another_scale() -> None:
    points = np.array([1.0, 2.0, 4.0])
    found = metrics.on_other_scale(correlations(points, points))
    assert np.isnan(found.rmse) and found.plcc == pytest.approx(1) and found.n == 3


def test_nothing_to_compare_is_no_figure() -> None:
    for scores in (np.empty(0), np.array([1.0, np.inf])):
        found = metrics.correlations_if_any(scores, np.arange(float(len(scores))))
        assert np.isnan([getattr(found, name) for name in METRICS]).all()


def test_the_time_left_is_estimated_without_the_compilation() -> None:
    """The first epoch took a minute and 100 s more; each other one takes a minute."""
    epochs = [{"seconds": 160.0}, {"seconds": 220.0}, {"seconds": 280.0}]
    assert logger.estimate_left(19, epochs[:1], 60.0) == 19 * 60
    assert logger.estimate_left(18, epochs[:2], None) == 18 * 60
    assert logger.estimate_left(17, epochs, 60.0) == 17 * 60
    assert logger.estimate_left(19, epochs[:1], None) is None, "an epoch of one step tells nothing"
    assert logger.estimate_left(None, epochs, 60.0) is None
