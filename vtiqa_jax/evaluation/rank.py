"""Which of two photos comes first: one number of what is seen on a screen and of what is seen at 100 %."""


def rank_photo(score: float, detail: float | None) -> float:
    """Ranks a photo by the mean of its score and its detail: the better in either, the better in the whole.

    Args:
        score: of the photo as a screen shows it.
        detail: of the photo at 100 %, on the score's scale. Without it, the score alone ranks.
    """
    return score if detail is None else (score + detail) / 2
