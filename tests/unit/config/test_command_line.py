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
    (("report",), "there are no results here yet"),
    (("run",), "nothing to measure is named"),
    (("run", "quickstrat"), "quickstrat: no such run file; did you mean 'quickstart'?"),
    (("run", "http:/localhost:8000/v1"), "'http:/localhost:8000/v1' lacks the // after its scheme\nhint: write http://localhost:8000/v1"),
    (("run", "localhost:8000/v1"), "has no scheme"),
    (("run", "http://127.0.0.1:9/v1"), "nothing answers at 127.0.0.1:9: connection refused"),
    (("run", "http://no-such-host.invalid/v1"), "there is no host 'no-such-host.invalid'"),
    (("run", "quickstart", "--concurrency", "1,8"), "--set load.concurrency=1,8"),
    (("run", "http://h/v1", "--concurrency", "1", "--rate", "2"), "--concurrency and --rate: give one of them"),
    (("run", "http://h/v1", "--requests", "5", "--duration", "3s"), "--requests and --duration: give one of them"),
    (("run", "http://h/v1", "--concurency", "1"), "did you mean '--concurrency'?"),
    (("run", "http://h/v1", "--duration", "soon"), "--duration soon: not a duration"),
    (("init", "quickstart"), "a run file that ships: fmload init --from quickstart"),
    (("init", "http://h/v1", "--url", "http://i/v1"), "http://h/v1 and --url http://i/v1: which of them?"),
    (("init", "h:8000"), "'h:8000' has no scheme"),
    (("http://h/v1",), "did you mean 'fmload run http://h/v1'?"),
    (("my-run.yml",), "did you mean 'fmload run my-run.yml'?"),
    (("help", "run-flie"), "did you mean 'run-file'?"),
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
    assert code in (2, 4) and told in err and "Traceback" not in err


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: fmload {command}" in capsys.readouterr().out


def test_fmload_alone_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS.names())


def test_help_shows_pages_and_the_options_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert "run-file" in capsys.readouterr().out
    assert main(["help", "run-file"]) == 0
    assert "`concurrency`" in capsys.readouterr().out
    assert main(["help", "compare"]) == 0
    assert "--fail-on" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "levels"), [("1,2", [1, 2]), ("4", [4]), ("[3]", [3]), ("1, 2,8", [1, 2, 8])])
def test_lists_may_be_set_with_commas(text: str, levels: list[int]) -> None:
    from fmload import config

    run = config.load(config.find("quickstart"), [f"load.concurrency={text}"])
    assert run.load.concurrency == levels
