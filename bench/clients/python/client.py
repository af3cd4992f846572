"""What every client's script does: reads what ortune says, compares, prints one JSON line.

A script is called with the path of facts.json, imports this file, makes checks and ends with `done`.
"""

import json
import math
import os
import sys
import tempfile

# Nothing is fetched or reported: everything lies on this machine.
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "DO_NOT_TRACK"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("HF_HOME", tempfile.mkdtemp())

# Libraries print what they like to standard output; the answer goes where it went at first.
_answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

with open(sys.argv[1], encoding="utf-8") as file:
    _all = json.load(file)
artefacts, facts, server = _all["artefacts"], _all["facts"], _all["server"]

# Largest difference of float32 logits of around 10, of another library's order of additions.
LOGITS = 1e-4

_checks = []


def check(what, passed, measured):
    """A comparison, with what was measured in words."""
    _checks.append({"what": what, "passed": bool(passed), "measured": str(measured)})


def limit(what, error):
    """What the client cannot do, which the script goes around."""
    _checks.append({"what": what, "passed": True, "limit": True, "measured": str(error)})


def equal(what, got, wanted):
    """Both are the same."""
    same = got == wanted
    check(what, same, "equal" if same else f"{str(got)[:160]!r}, not {str(wanted)[:160]!r}")


def tokens(what, got, wanted):
    """Lists of lists of token ids: counts those that are the same up to the first that is not."""
    same = total = 0
    for mine, theirs in zip(got, wanted, strict=True):
        total += max(len(mine), len(theirs))
        for a, b in zip(mine, theirs):
            if a != b:
                break
            same += 1
    check(what, same == total > 0, f"{same} of {total}")


def close(what, got, wanted, tolerance=LOGITS):
    """Lists of lists of numbers: the largest absolute difference."""
    worst = 0.0
    for mine, theirs in zip(got, wanted, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            worst = max(worst, abs(float(a) - float(b))) if math.isfinite(a) else math.inf
    check(what, len(wanted) > 0 and worst <= tolerance, f"error {worst:.1e}")


def without_end(ids):
    """A reply without the token that ends it."""
    ids = [int(each) for each in ids]
    ends = [at for at, each in enumerate(ids) if each in facts["eosTokenIds"]]
    return ids[: ends[0]] if ends else ids


def version(package):
    from importlib.metadata import version as installed

    return installed(package)


def done(version_text):
    """Prints the answer."""
    print(json.dumps({"version": version_text, "checks": _checks}), file=_answer, flush=True)
    os._exit(0)  # threads of clients do not hold the answer up
