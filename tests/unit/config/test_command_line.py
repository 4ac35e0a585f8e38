"""The command line: what is wrong is told with a remedy, and ends with 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.cli.main import main
from fmload.plugins import COMMANDS


@pytest.mark.parametrize(("arguments", "told"), [
    (("rnu",), "unknown command 'rnu'; did you mean 'run'?"),
    (("run", "x.yml", "--resmue"), "unrecognized arguments: --resmue; did you mean '--resume'?"),
    (("compare", "a", "b", "--metrcs=ttft_p95"), "did you mean '--metrics'?"),
    (("run", "x.yml", "--workers", "0"), "argument --workers: '0' is not a whole number of at least 1"),
    (("run", "x.yml", "--remote-workers", "-2"), "argument --remote-workers: '-2' is not a whole number"),
    (("evaluate", "x", "--concurrency", "many"), "argument --concurrency: 'many' is not a whole number of at least 1"),
    (("audit", "nowhere"), "cannot read nowhere: No such file or directory"),
    (("report", "nowhere"), "nowhere is not a results folder"),
    (("run", "nowhere.yml"), "nowhere.yml: no such run file"),
])
def test_what_is_wrong_is_told_and_ends_with_2(arguments: tuple[str, ...], told: str, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse
        code = int(end.code or 0)
    err = capsys.readouterr().err
    assert code == 2 and told in err and "Traceback" not in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: fmload {command}" in capsys.readouterr().out
