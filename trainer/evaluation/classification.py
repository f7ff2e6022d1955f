"""Metrics of log-odds ``[n]`` and labels ``[n]`` of 1 and 0."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10
Numbers = NDArray[np.floating]
Labels = NDArray[np.floating] | NDArray[np.integer] | NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationCurve:
    """Bins of about as many rows each, by ascending probability.

    ``predicted`` ``[bins]`` is the mean probability, ``observed`` ``[bins]`` the share of ones, ``counts`` ``[bins]``
    the number of rows.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by rows (Naeini et al., 2015)."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.counts))


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """A ranker's ``logits`` for n rows, their ``labels`` and their ``users``."""

    logits: NDArray[np.float32]
    labels: NDArray[np.bool_]
    users: NDArray[np.int64]


def auc(logits: Numbers, labels: Labels) -> float:
    """The share of pairs with the one above the zero, ties half (Mann and Whitney, 1947); NaN with one class."""
    return gauc(logits, labels, np.zeros(len(logits), dtype=np.int64))


def gauc(logits: Numbers, labels: Labels, users: NDArray[np.int64]) -> float:
    """The mean of each user's AUC, weighted by rows (Zhu et al., 2017); ``users`` ``[n]`` are the rows' users.

    Users with one class do not count; NaN when there are no others.
    """
    if not len(logits):
        return np.nan
    order = np.lexsort((logits, users))
    sorted_users, positive = users[order], labels[order] > 0
    new_user = _changes(sorted_users)
    user = np.cumsum(new_user) - 1
    rows = np.bincount(user)
    ranks = _mean_ranks(new_user | _changes(logits[order])) - (np.cumsum(rows) - rows)[user]
    ones = np.bincount(user, weights=positive)
    pairs = ones * (rows - ones)
    below = np.bincount(user, weights=ranks * positive) - ones * (ones + 1) / 2
    both = pairs > 0
    if not both.any():
        return np.nan
    return float(np.average(below[both] / pairs[both], weights=rows[both]))


def log_loss(logits: Numbers, labels: Labels) -> float:
    """The mean of -log of the predicted probability of each label, in nats."""
    wide = logits.astype(np.float64)
    return float((np.logaddexp(0.0, wide) - wide * labels).mean())


def calibration_error(logits: Numbers, labels: Labels) -> float:
    """See :attr:`CalibrationCurve.error`."""
    return calibration_curve(logits, labels).error


def calibration_curve(logits: Numbers, labels: Labels, bins: int = BINS) -> CalibrationCurve:
    """At most so many bins; equal probabilities share one, and empty bins are left out."""
    place = np.searchsorted(np.sort(logits), logits) * bins // max(len(logits), 1)
    counts = np.bincount(place, minlength=bins)
    there = counts > 0
    predicted = np.bincount(place, weights=sigmoid(logits), minlength=bins)
    observed = np.bincount(place, weights=labels, minlength=bins)
    return CalibrationCurve(
        predicted=predicted[there] / counts[there], observed=observed[there] / counts[there], counts=counts[there]
    )


def sigmoid(logits: Numbers) -> NDArray[np.float64]:
    """Log-odds as probabilities."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits.astype(np.float64))))


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """The rows of a sorted column whose value differs from the row before."""
    return np.concatenate([[True], values[1:] != values[:-1]])


def _mean_ranks(starts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Ranks from 1; equal values get their mean rank, and ``starts`` marks the first of each run of equals."""
    run = np.cumsum(starts) - 1
    lengths = np.bincount(run)
    return np.asarray((np.cumsum(lengths) - (lengths - 1) / 2)[run], dtype=np.float64)
