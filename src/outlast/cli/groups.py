"""How help shows the options: the title of every group, and one command a verb."""

from __future__ import annotations

from outlast.cli.option_groups import (
    Affording,
    Learning,
    Machine,
    Measuring,
    Model,
    Reading,
    Repairing,
    Running,
    Source,
    Starting,
    Stepping,
    Trust,
    Weighing,
)

GROUPS: dict[type, str] = {
    Model: "Model",
    Trust: "Model",
    Source: "Data",
    Reading: "Data",
    Measuring: "Measuring",
    Affording: "Measuring",
    Stepping: "Training",
    Learning: "Training",
    Weighing: "Training",
    Starting: "Starts",
    Repairing: "Repair",
    Machine: "Machine",
    Running: "Output",
}
"""The title under which help shows a group of options; groups of one title are shown together."""

OWN: dict[str, str] = {
    "family": "Model",
    "settings": "Model",
    "base": "Model",
    "repaired": "Model",
    "task": "Data",
    "stationary": "Data",
    "guard": "Data",
    "budget": "Money and time",
    "price_per_hour": "Money and time",
    "value_per_unit": "Money and time",
    "interventions": "Starts",
    "expected_runs": "Starts",
    "jobs": "Machine",
    "language": "Output",
    "figures": "Output",
    "page": "Output",
    "seeds": "Output",
    "results": "Results",
    "prompt": "Text",
    "tokens": "Text",
    "steps": "Text",
    "state": "State",
    "temperature": "Text",
    "age": "Text",
    "against": "Text",
    "resets": "Streams",
    "stream": "Streams",
    "state_every": "State",
    "run_length": "Watching",
    "fleet": "Watching",
    "every": "Watching",
}
"""The titles of options that are of one verb alone; the others stand under `Options`."""

_READINGS = "--data readings.csv --target power --horizon 60 --train-context 64"
EXAMPLES: dict[str, str] = {
    "quickstart": "outlast quickstart --out runs/quickstart",
    "recipe": "outlast recipe recipes/recall.toml",
    "check": "outlast check --model my_lstm:build",
    "train": f"outlast train --model my_lstm:build {_READINGS} --steps 2000 --out runs/my_lstm",
    "evaluate": f"outlast evaluate --model my_lstm:build {_READINGS}",
    "diagnose": f"outlast diagnose --model my_lstm:build {_READINGS} --language ja",
    "plan": f"outlast plan --model my_lstm:build {_READINGS} --price-per-hour 0.40 --value-per-unit 30",
    "repair": f"outlast repair --model my_lstm:build {_READINGS} --intervention carry --expected-run 1280",
    "compare": f"outlast compare --model my_lstm:build {_READINGS} --interventions zero state_passing carry --jobs 2",
    "dose": "outlast dose --base my_lstm:build --repaired runs/repair/model --allow-code --dose 0.5",
    "generate": "outlast generate --model runs/train/model --prompt 'Once upon' --steps 64 --state runs/state",
    "stream": "outlast stream --model runs/repair/model --allow-code < rows.jsonl > forecasts.jsonl",
    "report": "outlast report runs/evaluate runs/repair --out report.html",
    "tasks": "outlast tasks --fetch power",
    "env": "outlast env --json",
    "live profile": f"outlast live profile --model runs/repair/model --allow-code {_READINGS} --run-length 7d",
}
"""One command a verb, which its help ends with."""
