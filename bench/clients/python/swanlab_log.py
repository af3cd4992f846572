"""SwanLab: the reader of `swanlab sync` over the offline log, beside metrics.jsonl. Nothing is sent."""

import glob

from client import artefacts, check, done, equal, facts, version
from swanlab.proto.swanlab.record.v1.record_pb2 import Record
from swanlab.sdk.internal.core_python.store import DataStoreReader

path = max(glob.glob(artefacts["run"] + "/swanlog/run-*/run-*.swanlab"))
reader = DataStoreReader()
reader.open(path)
records = [Record.FromString(each) for each in reader]
kinds = [each.WhichOneof("record_type") for each in records]
equal("first and last record", [kinds[0], kinds[-1]], ["start", "finish"])
points = {}
for each in records:
    if each.HasField("scalar"):
        points.setdefault(each.scalar.key, []).append((each.scalar.step, each.scalar.value.number))
for key, wanted in (("train/loss", facts["loss"]), ("eval/loss", facts["evalLoss"])):
    got = points.get(key, [])
    equal(key, got, [tuple(each) for each in wanted])
check("records", len(records) > 100, f"{len(records)} of {len(set(kinds))} kinds")
done(version("swanlab"))
