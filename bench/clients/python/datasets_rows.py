"""datasets: load_dataset reads what `deno task data` wrote."""

import json

from client import artefacts, check, done, equal, version
from datasets import load_dataset

folder = artefacts["data"]
files = {"train": f"{folder}/train.jsonl", "validation": f"{folder}/val.jsonl"}
data = load_dataset("json", data_files=files)
for split, path in files.items():
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    equal(f"rows of {split}", [dict(each) for each in data[split]], rows)
with open(artefacts["trainFile"], encoding="utf-8") as file:
    given = sorted(file.read().splitlines())
both = sorted(json.dumps(dict(each), sort_keys=True) for split in data for each in data[split])
wanted = sorted(json.dumps(json.loads(each), sort_keys=True) for each in given)
check("rows of both", both == wanted, f"{len(both)} of {len(wanted)}")
done(version("datasets"))
