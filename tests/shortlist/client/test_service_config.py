"""Which targets need the ejection of an address, since it costs each call something."""

import pytest

from shortlist.client.service_config import balancing_of


@pytest.mark.parametrize("target", ["127.0.0.1:50051", "dns:///10.0.0.7:50051", "ipv4:10.0.0.7:50051", "ipv6:[::1]:5"])
def test_one_numeric_address_has_no_ejection(target: str) -> None:
    """There is nobody else to call."""
    assert [*balancing_of(target)[0]] == ["round_robin"]


@pytest.mark.parametrize(
    "target",
    ["dns:///retrieval.shop.svc:50051", "localhost:50051", "ipv4:10.0.0.7:1,10.0.0.8:1", "unix:/run/shortlist"],
)
def test_a_name_and_several_addresses_have_it(target: str) -> None:
    """One of them may hang, and a name may mean several at any time."""
    first, *others = balancing_of(target)
    assert [*first] == ["outlier_detection_experimental"]
    assert [[*one] for one in others] == [["round_robin"]]
