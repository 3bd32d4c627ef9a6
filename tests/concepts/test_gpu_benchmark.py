"""The GPU benchmark, small: ready to run, and the same figures on every device."""

from __future__ import annotations

import re

import pytest
import torch

from benchmarks.concepts_gpu import ResNet, main

torch.set_num_threads(1)


def test_the_network_is_a_resnet_50() -> None:
    with torch.device("meta"):
        network = ResNet(64)
    assert sum(weight.numel() for weight in network.parameters()) - sum(
        weight.numel() for weight in network.head.parameters()
    ) == 25_557_032 - (2048 * 1000 + 1000)  # torchvision's resnet50 less its last layer
    assert network(torch.zeros(2, 3, 224, 224, device="meta")).shape == (2, 4)


def test_a_small_run(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--size", "64", "--width", "8", "--images", "240", "--agree", "200"])
    first, agreement, throughput = capsys.readouterr().out.splitlines()
    assert "d = 1,024" in first
    apart = [float(value) for value in re.findall(r"(\d\.\d+e[+-]\d+)", agreement)]
    if torch.cuda.is_available():
        assert max(apart[:2]) < 1e-3
        assert "on cuda" in throughput
    else:  # a process that sees no GPU against one on a machine that has none
        assert apart[:2] == [0, 0]
        assert "gaps: effect 0.0e+00" in agreement
        assert "on cpu" in throughput
    assert "5 of 5 verdicts the same" in agreement
    assert re.search(r"240 images .* [\d.]+ x the passes", throughput)
