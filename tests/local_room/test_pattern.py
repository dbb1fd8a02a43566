"""The pattern matcher of the local bus answers as EventBridge does."""

import pytest

from local.pattern import PatternError, check, matches

EVENT = {
    "source": "gonogo",
    "detail-type": "launch.cleared",
    "account": "123456789012",
    "resources": ["arn:a", "arn:b"],
    "detail": {
        "subject": "l-1",
        "data": {
            "cost": 12.5,
            "count": 1,
            "spot": True,
            "note": None,
            "empty": [],
            "ip": "10.1.2.3",
            "path": "a*b/c",
            "gates": [
                {"name": "lead", "state": "GO"},
                {"name": "finance", "state": "OPEN"},
            ],
        },
    },
}


def data(**wanted):
    """Return a pattern over detail.data."""
    return {"detail": {"data": {key.replace("_", "-"): value for key, value in wanted.items()}}}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["gonogo"]}, True),
        ({"source": ["other", "gonogo"]}, True),
        ({"source": ["gono"]}, False),
        ({"source": ["gonogo"], "detail-type": ["launch.started"]}, False),
        ({"missing": ["x"]}, False),
        ({"resources": ["arn:b"]}, True),
        ({"resources": ["arn:c"]}, False),
        (data(count=[1]), True),
        (data(count=[1.0]), True),
        (data(count=["1"]), False),
        (data(count=[True]), False),
        (data(spot=[1]), False),
        (data(spot=[True]), True),
        (data(note=[None]), True),
        (data(absent=[None]), False),
        ({"detail-type": [{"prefix": "launch."}]}, True),
        ({"detail-type": [{"prefix": "Launch."}]}, False),
        ({"detail-type": [{"prefix": {"equals-ignore-case": "LAUNCH."}}]}, True),
        ({"detail-type": [{"suffix": ".cleared"}]}, True),
        ({"detail-type": [{"suffix": {"equals-ignore-case": ".CLEARED"}}]}, True),
        ({"detail-type": [{"equals-ignore-case": "LAUNCH.cleared"}]}, True),
        ({"detail-type": [{"wildcard": "launch.*"}]}, True),
        ({"detail-type": [{"wildcard": "*.clear"}]}, False),
        (data(path=[{"wildcard": "a\\*b/*"}]), True),
        (data(ip=[{"wildcard": "10\\*"}]), False),
        (data(cost=[{"numeric": [">", 10, "<=", 12.5]}]), True),
        (data(cost=[{"numeric": ["<", 10]}]), False),
        (data(spot=[{"numeric": ["=", 1]}]), False),
        (data(ip=[{"numeric": [">", 0]}]), False),
        (data(ip=[{"cidr": "10.0.0.0/8"}]), True),
        (data(ip=[{"cidr": "10.2.0.0/16"}]), False),
        (data(path=[{"cidr": "10.0.0.0/8"}]), False),
        ({"source": [{"anything-but": "other"}]}, True),
        ({"source": [{"anything-but": ["other", "gonogo"]}]}, False),
        ({"source": [{"anything-but": {"prefix": "go"}}]}, False),
        ({"source": [{"anything-but": {"suffix": ["x", "y"]}}]}, True),
        ({"source": [{"anything-but": {"equals-ignore-case": ["GONOGO"]}}]}, False),
        ({"source": [{"anything-but": {"wildcard": "*no*"}}]}, False),
        (data(count=[{"anything-but": 1}]), False),
        (data(absent=[{"anything-but": "x"}]), False),
        (data(count=[{"exists": True}]), True),
        (data(note=[{"exists": True}]), True),
        (data(empty=[{"exists": True}]), False),
        (data(absent=[{"exists": False}]), True),
        (data(absent={"deeper": [{"exists": False}]}), True),
        (data(count={"deeper": [{"exists": True}]}), False),
        ({"detail": {"data": [{"exists": True}]}}, False),
        (data(gates={"name": ["finance"], "state": ["OPEN"]}), True),
        (data(gates={"name": ["finance"], "state": ["GO"]}), False),
        (data(absent=["x", {"exists": False}]), True),
        ({"$or": [{"source": ["x"]}, {"detail-type": ["launch.cleared"]}]}, True),
        ({"$or": [{"source": ["x"]}, {"source": ["y"]}]}, False),
        ({"source": ["gonogo"], "$or": [{"account": ["1"]}, data(cost=[12.5])]}, True),
    ],
)
def test_a_pattern_lets_through_what_eventbridge_would(pattern, expected):
    """A stranger's rule tried on one machine must not surprise its owner in the cloud."""
    check(pattern)
    assert matches(pattern, EVENT) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        [],
        {"source": "gonogo"},
        {"source": []},
        {"source": [["a"]]},
        {"source": [{"prefix": 1}]},
        {"source": [{"prefix": "a", "suffix": "b"}]},
        {"source": [{"like": "a"}]},
        {"source": [{"exists": "yes"}]},
        {"source": [{"cidr": "10.0.0.300"}]},
        {"source": [{"numeric": [">"]}]},
        {"source": [{"numeric": ["!", 1]}]},
        {"source": [{"anything-but": {"numeric": ["=", 1]}}]},
        {"source": [{"anything-but": [["a"]]}]},
        {"$or": []},
        {"$or": "source"},
    ],
)
def test_a_pattern_that_eventbridge_refuses_is_refused(pattern):
    """A misspelt operator that silently matches nothing would cost its author an afternoon."""
    with pytest.raises(PatternError):
        check(pattern)
