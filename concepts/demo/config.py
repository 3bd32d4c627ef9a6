"""The demo's ``audit.toml``: a policy of which one rule holds, some fail and some cannot be decided."""

from __future__ import annotations

AUDIT_TOML = """\
# The built-in example of xaudit. The digits are real (scikit-learn's); scanner, exposure, site and session
# are SIMULATED, and so is the mark that scanner B burns into the top right corner of its images.
[subject]
name = "Closed-loop detector (demo)"
version = "1.0"
purpose = "Flag handwritten digits with a closed loop (0, 6, 8, 9). Real digits, simulated acquisition."
date = "2026-11-20"

[card]                           # what only people can state; what is left out is printed as left out
intended_use = "To show how xaudit works. The network flags digits with a closed loop for a second reading."
out_of_scope = "Everything else. The network was trained to fail: do not use it to read digits."
users = "Whoever tries xaudit for the first time."
reference_standard = "The digit as labelled in scikit-learn's data set; 0, 6, 8 and 9 count as closed loops."
independence = "No digit of the log was used in training or in a concept set. Digits of one \
simulated session share scanner, site and exposure; who wrote a digit is not known, so one writer's \
digits may be in both halves."
training_data = "900 digits of the same data set. In training, scanner B (with its mark) took 92% of \
the digits with a loop and 8% of the others; in the log, scanners know nothing of the label."

[log]
path = "predictions.parquet"
id = "id"
label = "label"
score = "score"
threshold = 0.5
tie = ">="
positive = "loop"
cluster = "session"              # images of one session share scanner, site and exposure

[[attributes]]
name = "scanner"
kind = "acquisition"
[[attributes]]
name = "exposure"
kind = "acquisition"
names = { low = "dark", normal = "normal", high = "bright" }   # in the report, and their order
[[attributes]]
name = "site"
kind = "acquisition"
[[attributes]]
name = "ink"                     # percent of the image covered by ink: thin to thick strokes
kind = "other"
bands = [28, 32, 36]

[slices]
intersections = 2

[statistics]
confidence = 0.95
resamples = 10000
seed = @SEED@

# What a release of this network would have to show. One rule holds, several do not.
[[policy.rules]]
id = "accuracy-floor"            # the only figure that many reports give
metric = "accuracy"
at_least = 0.80
overall = true

[[policy.rules]]
id = "recall-floor"              # loops must be found whichever scanner took the image
metric = "recall"
at_least = 0.80
attributes = ["scanner", "exposure"]

[[policy.rules]]
id = "false-alarm-ceiling"
metric = "fpr"
at_most = 0.10
attributes = ["scanner"]

[[policy.rules]]
id = "site-gap"                  # too few images to be sure of so small a gap
metric = "recall"
gap_at_most = 0.10
against = "complement"
attributes = ["site"]

[[policy.rules]]
id = "no-corner-mark"
concept = "corner mark"
must_not_drive = ["loop"]
margin = 0.1

[[policy.rules]]
id = "no-thick-strokes"
concept = "thick strokes"
must_not_drive = ["loop"]
margin = 0.1

[model]
factory = "concepts.demo.training:digits_cnn"
weights = "model.safetensors"
sha256 = "@SHA256@"
layers = ["block2", "block3"]
outputs = ["no loop", "loop"]
input = { size = [32, 32], channels = 1, mean = [0.2], std = [0.3] }

[concepts]
images = "images"
image_column = "file"
classes = ["loop"]
random = "concepts/random"
pseudo_concepts = 300

[[concepts.concept]]
name = "corner mark"
folder = "concepts/corner_mark"
[[concepts.concept]]
name = "thick strokes"
folder = "concepts/thick_strokes"
[[concepts.concept]]
name = "null concept"            # ordinary images: nothing to learn, so no claim may come of it
folder = "concepts/null"

[report]
formats = ["html", "pdf"]
"""
