"""Segments of a log of served answers, as a service writes them."""

import io

from google.protobuf.proto import serialize_length_prefixed

from shortlist.ranking.v1.served_answer_pb2 import ServedAnswer


def segment_of(*answers: ServedAnswer) -> bytes:
    """The content of a segment."""
    content = io.BytesIO()
    for answer in answers:
        serialize_length_prefixed(answer, content)
    return content.getvalue()
