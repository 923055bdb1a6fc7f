"""Brings raw scores to 0..100. Source: kubernetes/pkg/scheduler/framework/plugins/helper/normalize_score.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SCORE: Final = 100


def normalize_up(scores: Sequence[int]) -> list[int]:
    """Scale so that the highest becomes 100 (all 0 when the highest is 0)."""
    highest = max(scores, default=0)
    return [score * MAX_SCORE // highest for score in scores] if highest else [0] * len(scores)


def normalize_down(scores: Sequence[int]) -> list[int]:
    """Scale so that the highest becomes 0 and 0 becomes 100."""
    highest = max(scores, default=0)
    if not highest:
        return [MAX_SCORE] * len(scores)
    return [MAX_SCORE - score * MAX_SCORE // highest for score in scores]
