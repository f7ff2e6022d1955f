"""The messages of GetBundle, for both services."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from shortlist.bundle.bundle import Bundle
from shortlist.serving.served_bundles import LoadFailure
from shortlist.type.v1.bundle_pb2 import Bundle as BundleMessage
from shortlist.type.v1.bundle_pb2 import LoadFailure as LoadFailureMessage


def bundle_message(bundle: Bundle) -> BundleMessage:
    """The message that describes a bundle."""
    manifest = bundle.manifest
    return BundleMessage(
        bundle_id=manifest.bundle_id,
        create_time=_timestamp(bundle.create_time),
        item_count=manifest.item_count,
        user_count=manifest.user_count,
        dimension=manifest.dimension,
        objectives=manifest.objective_names,
        candidate_count=manifest.candidate_count,
        metrics=dict(manifest.metrics),
        index_spec=manifest.index.spec,
        index_parameters=manifest.index.parameters,
        index_recall=manifest.index.recall,
        describes_new_items=not manifest.new_items_refusal,
        new_items_refusal=manifest.new_items_refusal,
    )


def failure_message(failure: LoadFailure | None) -> LoadFailureMessage | None:
    """The message that says why a bundle was not loaded; None when none failed."""
    if failure is None:
        return None
    return LoadFailureMessage(
        bundle_id=failure.bundle_id,
        reason=failure.reason,
        attempts=failure.attempts,
        attempt_time=_timestamp(failure.time),
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
