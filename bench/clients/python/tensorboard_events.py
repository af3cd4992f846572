"""TensorBoard: EventAccumulator reads every loss that metrics.jsonl has."""

import glob

from client import artefacts, check, done, facts, version
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

(folder,) = glob.glob(artefacts["run"] + "/tensorboard/*")
events = EventAccumulator(folder, size_guidance={"scalars": 0})
events.Reload()
for tag, wanted in (("train/loss", facts["loss"]), ("eval/loss", facts["evalLoss"])):
    got = [(each.step, each.value) for each in events.Scalars(tag)]
    worst = max(abs(a[1] - b[1]) / b[1] for a, b in zip(got, wanted, strict=True))
    same = [step for step, _ in got] == [step for step, _ in wanted]
    check(tag, same and worst < 1e-7, f"{len(got)} points, relative error {worst:.1e}")
done(version("tensorboard"))
