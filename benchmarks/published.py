"""Published figures from published logs, through the whole pipeline: COMPAS, ECG, 16-class image distortions.

    python -m benchmarks.published FOLDER

``FOLDER`` holds ``compas_aequitas``, ``ecg_code_test_log`` and ``vision16_distortion_log``. Each log is
audited by a configuration file in a temporary folder; the evidence is compared with the published
tables cell by cell. Exits 1 if a cell differs.
"""

from __future__ import annotations

import csv
import gzip
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from audit import run_audit
from reports.evidence import Evidence, SliceRecord

NETWORKS = ("googlenet", "vgg19", "resnet152")
# The published tables write these conditions differently from the raw files.
CONDITIONS = {"colour": "cr", "greyscale": "bw"}
COMPAS = {
    "all": (32.35, 37.40),
    "African-American": (44.85, 27.99),
    "Caucasian": (23.45, 47.72),
}
COMPAS_COUNTS = {"tn": 2681, "fp": 1282, "fn": 1216, "tp": 2035}


def configured(folder: Path, log: str, columns: str, attributes: Iterable[str], *, order: int = 1) -> Path:
    """Write ``audit.toml`` for a log; ``attributes`` are TOML lines, one table each."""
    tables = "\n".join(f"[[attributes]]\n{lines}" for lines in attributes)
    text = f'[log]\npath = "{log}"\n{columns}\n{tables}\n[slices]\nintersections = {order}\n'
    path = folder / "audit.toml"
    path.write_text(text + "[statistics]\nresamples = 2000\n", encoding="utf-8")
    return path


def value_of(record: SliceRecord, metric: str) -> tuple[float, float, float]:
    """Value and limits of a metric; all are there in these logs."""
    found = next(item for item in record.estimates if item.metric == metric)
    if found.value is None or found.low is None or found.high is None:
        raise SystemExit(f"{metric} of {record.slice} is undefined: {found.undefined}")
    return found.value, found.low, found.high


def compas(data: Path, folder: Path) -> int:
    """False positive and false negative rates of the COMPAS log, in percent."""
    (folder / "compas.csv").write_bytes((data / "compas_aequitas" / "compas_for_aequitas.csv").read_bytes())
    columns = 'label = "label_value"\nprediction = "score"\npositive = "1"'
    attributes = [f'name = "{name}"\nkind = "demographic"' for name in ("race", "sex", "age_cat")]
    evidence = run_audit(configured(folder, "compas.csv", columns, attributes))
    records = {"all": evidence.results.overall[0]}
    records |= {record.slice["race"]: record for record in evidence.results.slices if "race" in record.slice}
    wrong = 0
    for group, published in COMPAS.items():
        for metric, expected in zip(("fpr", "fnr"), published, strict=True):
            value, low, high = (100 * number for number in value_of(records[group], metric))
            wrong += round(value, 2) != expected
            print(
                f"COMPAS {group:<17} {metric} {value:6.2f}  ({low:5.2f} to {high:5.2f})  published {expected}"
            )
    counts = evidence.results.overall[0].counts
    assert counts is not None
    for name, number in COMPAS_COUNTS.items():
        wrong += getattr(counts, name) != number
    print(f"COMPAS all rows: {counts!r}")
    return wrong


def ecg(data: Path, folder: Path) -> int:
    """Precision, recall, specificity and F1 of the network for six abnormalities, to the printed digits."""
    (folder / "ecg.csv").write_bytes((data / "ecg_code_test_log" / "tidy_long.csv").read_bytes())
    columns = 'label = "y_true"\nprediction = "pred_dnn"\npositive = "1"\nclass = "label"\nid = "record"'
    attributes = [
        'name = "sex"\nkind = "demographic"',
        'name = "age"\nkind = "demographic"\nbands = [18, 40, 65]',
    ]
    evidence = run_audit(configured(folder, "ecg.csv", columns, attributes, order=2))
    records = {record.klass: record for record in evidence.results.overall}
    with (data / "ecg_code_test_log" / "published_scores.csv").open(encoding="utf-8") as file:
        metrics, predictors, *rows = csv.reader(file)
    names = {"Precision": "precision", "Recall": "recall", "Specificity": "specificity", "F1 score": "f1"}
    wrong = cells = 0
    for klass, *values in rows:
        for metric, predictor, printed in zip(metrics[1:], predictors[1:], values, strict=True):
            if predictor != "DNN":
                continue
            cells += 1
            ours, low, high = value_of(records[klass], names[metric])
            wrong += f"{ours:.3f}" != printed
            print(
                f"ECG {klass:<6} {names[metric]:<12} {ours:.3f}  ({low:.3f} to {high:.3f})  published "
                f"{printed}"
            )
    print(f"ECG: {cells - wrong} of {cells} cells agree to the printed digits")
    for record in evidence.results.slices:
        if record.klass == "AF" and len(record.slice) == 1:
            found = next(item for item in record.estimates if item.metric == "recall")
            print(
                f"ECG AF recall {record.slice}: {found.value} ({found.low} to {found.high}), n = "
                f"{found.support}"
            )
    return wrong


def vision_log(source: Path, target: Path) -> None:
    """One prediction column: networks by summed probabilities, people by their answer; people pooled."""
    with gzip.open(source, "rt", encoding="utf-8", newline="") as raw, target.open("w", newline="") as made:
        writer = csv.writer(made)
        writer.writerow(("category", "prediction", "subj", "condition"))
        for row in csv.DictReader(raw):
            human = row["subj"].startswith("subject-")
            answer = row["object_response"] if human else row["object_response_sums"]
            writer.writerow((row["category"], answer, "humans" if human else row["subj"], row["condition"]))


def vision(data: Path, folder: Path) -> int:
    """Accuracy of three networks and of people under three image distortions, every published cell."""
    wrong = cells = 0
    for experiment in ("colour", "contrast-png", "noise"):
        vision_log(data / "vision16_distortion_log" / f"{experiment}.csv.gz", folder / "vision.csv")
        columns = 'label = "category"\nprediction = "prediction"'
        attributes = [f'name = "{name}"\nkind = "acquisition"' for name in ("condition", "subj")]
        evidence = run_audit(configured(folder, "vision.csv", columns, attributes, order=2))
        accuracy = by_condition(evidence)
        table = data / "vision16_distortion_log" / f"published_accuracies_{experiment}.csv"
        worst = 0.0
        with table.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                condition = row.pop("condition")
                for subject, printed in row.items():
                    cells += 1
                    ours = accuracy[written(condition, experiment), subject]
                    worst = max(worst, abs(ours - float(printed)))
                    wrong += abs(ours - float(printed)) > 1e-9
        print(f"Vision, {experiment}: largest difference over the table {worst:.1e}")
    print(f"Vision: {cells - wrong} of {cells} published cells agree to 1e-9")
    return wrong


def written(condition: str, experiment: str) -> str:
    """A condition of a published table as the raw log writes it."""
    return f"{float(condition):.2f}" if experiment == "noise" else CONDITIONS.get(condition, condition)


def by_condition(evidence: Evidence) -> dict[tuple[str | None, str | None], float]:
    """Accuracy over all classes for each condition and subject."""
    return {
        (record.slice["condition"], record.slice["subj"]): value_of(record, "accuracy")[0]
        for record in evidence.results.slices
        if record.klass is None and len(record.slice) == 2
    }


def main(arguments: list[str]) -> int:
    """Run the three comparisons; 1 if any cell differs."""
    if len(arguments) != 1:
        print("usage: python -m benchmarks.published FOLDER", file=sys.stderr)
        return 2
    data = Path(arguments[0])
    with tempfile.TemporaryDirectory() as name:
        wrong = sum(compare(data, Path(name)) for compare in (compas, ecg, vision))
    print("every published cell agrees" if not wrong else f"{wrong} cells differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
