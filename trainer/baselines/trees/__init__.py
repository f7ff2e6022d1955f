"""LightGBM beside the rankers, on the same columns: an extra, for it is what many teams have today."""

from trainer.progress import Reporter


def has_lightgbm(reporter: Reporter) -> bool:
    """Whether the extra ``baselines`` is installed and can be loaded; if not, says what to install."""
    try:
        import lightgbm  # noqa: F401 - that it is installed does not say that its library can be loaded
    except ImportError:
        reporter.say("no boosted trees to measure beside: install the extra baselines")
    except OSError as error:
        reporter.say(f"no boosted trees to measure beside: {error}; install OpenMP's runtime, libgomp1 in Debian")
    else:
        return True
    return False
