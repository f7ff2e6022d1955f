"""The last lines of the commands that write a bundle."""

from pathlib import Path

from trainer.errors import NotPublishedError
from trainer.export.publish import Decision
from trainer.progress import Reporter

_NEXT_OF_SERVED = (
    "next: `python -m retrieval_service --bundles {root}` and `python -m ranking_service --bundles {root}` serve it; "
    "running services swap to it by themselves"
)
_NEXT_OF_KEPT = "next: `shortlist bundles pin {id} --bundles {root}` serves it"
_NEXT_OF_REFUSED = (
    "{id} is written but not served. If you accept that, `shortlist bundles pin {id} --bundles {root}` "
    "serves it, and `{command} --publish --force` publishes regardless"
)


def conclude_decision(decision: Decision, directory: Path, command: str, reporter: Reporter) -> None:
    """Ends with the reason why the bundle is served or not, and the next command to run.

    Raises:
        NotPublishedError: the bundle was to be published, and is worse than the served one or than a baseline. The
            message has the next commands.
    """
    known = {"id": directory.name, "root": directory.parent, "command": command}
    if decision.refused:
        raise NotPublishedError(f"{decision.text}. {_NEXT_OF_REFUSED.format(**known)}")
    reporter.conclude(f"{directory.name}: {decision.text}")
    reporter.conclude((_NEXT_OF_SERVED if decision.publish else _NEXT_OF_KEPT).format(**known))
