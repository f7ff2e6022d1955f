"""Several processes write one log of served answers, and stop without losing any."""

# grpc's classes are generic for the type checker only.
from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from shortlist.ranking.v1 import ranking_service_pb2 as pb
from shortlist.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from shortlist.served.segments import FINISHED, call_of, finished_segments, read_segment
from shortlist.type.v1.user_pb2 import User
from testbed.services import Service, ServiceFailed, start_both

pytestmark = pytest.mark.integration


def test_every_answer_is_in_the_log_after_sigterm(small_bundles: Path, tmp_path: Path) -> None:
    """Proves it for the answers of a moment ago, and for two workers, each with segments of its own."""
    directory, ids = tmp_path / "new" / "served", set[str]()
    logging = ["--served-log", str(directory), "--workers", "2"]
    with start_both(small_bundles, tmp_path, ranking=logging) as services:
        for number in range(60):
            # A connection for each call, for the kernel spreads connections over workers.
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(services.ranking.address, options=options) as channel:
                request = pb.RecommendRequest(user=User(user_id=f"user-{number}"), limit=3)
                ids.add(RankingServiceStub(channel).Recommend(request, timeout=10).recommendation_id)
        assert services.ranking.stop() == 0
    segments = finished_segments(directory)
    served = [call_of(answer).response.recommendation_id for path in segments for answer in read_segment(path)]
    assert (len(served), {*served}) == (60, ids)
    assert len(segments) == 2
    assert {path.suffix for path in directory.iterdir()} == {FINISHED}


def test_a_directory_that_cannot_be_used_ends_the_start(small_bundles: Path, tmp_path: Path) -> None:
    """Proves that a wrong flag is found at once, and not by answers that are missing later."""
    (tmp_path / "file").write_text("")
    arguments = ["--bundles", str(small_bundles), "--served-log", str(tmp_path / "file")]
    with pytest.raises(ServiceFailed, match="--served-log") as raised:
        Service.start("ranking_service", arguments, tmp_path / "log")
    assert raised.value.exit_code == 2
