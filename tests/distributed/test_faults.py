"""What befalls a distributed run, one fault a test: what is kept, what is marked, how it ends. Real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import EXIT_DISK_FULL, EXIT_INTERRUPTED, EXIT_INVALID
from fmload.base.resources import resource
from fmload.results.frames import PACKED_HEADER
from tests.distributed.faults import FAULTS, LOAD, kinds, suffer
from tests.load_rig import cluster, emulator, ids, locust, may_mount, run_file

PACE = ("--ttft", "20ms", "--gap", "10ms")


def test_a_killed_worker_is_marked_and_its_journal_kept(tmp_path: Path) -> None:
    found = suffer(tmp_path, "worker_killed", load=FAULTS["worker_killed"].load)
    found.check()
    first, second = found.run.stages()
    assert {mark["kind"] for mark in first["marks"]} == {"worker_lost"}
    assert second["marks"] == []
    assert [first["status"], second["status"]] == ["done", "done"]
    assert second["users"] == 2, "the next stage runs in full on the worker that is left"
    assert sum(worker["lost_ns"] is not None for worker in found.run.workers()) == 1
    assert found.exit_codes == {"master": 0, "worker-0": -9, "worker-1": 0}


def test_users_of_a_lost_worker_are_given_to_the_others_when_asked(tmp_path: Path) -> None:
    found = suffer(tmp_path, "worker_killed", load={**LOAD, "respread": True, "window": "7s"})
    found.check()
    stage, = found.run.stages()
    lost_ns = max(worker["lost_ns"] or 0 for worker in found.run.workers())
    after = [(record.send_ns, record.end_ns) for record in found.records
             if record.send_ns and record.end_ns and record.send_ns > lost_ns + 10**9]
    peak = max(sum(start <= at < end for start, end in after) for at, _ in after)
    assert peak == stage["users"] == 4


@pytest.mark.parametrize("fault", ["worker_frozen", "worker_frozen_long", "worker_cut_off"])
def test_a_lost_worker_that_lives_is_marked_and_sends_nothing_into_a_later_stage(fault: str, tmp_path: Path) -> None:
    """Frozen until the master has taken it for lost; until the next stage is measured; cut off from the master for
    good, where a request of it in the next stage would be marked by nobody."""
    found = suffer(tmp_path, fault, number=1, load={**LOAD, "concurrency": [4, 2], "window": "5s", "drain": "1s"})
    found.check()
    first, second = found.run.stages()
    assert "worker_lost" in {mark["kind"] for mark in first["marks"]}
    assert ("worker_frozen" in kinds(found.run)) is (fault != "worker_cut_off"), "whether it is taken back"
    assert all((record.send_ns or 0) <= second["ramp_start_ns"] for record in found.records if record.stage == 0)
    assert (first["status"], second["status"], second["users"]) == ("done", "done", 2)
    assert set(found.exit_codes.values()) == {0}


def test_a_worker_cut_off_from_the_master_is_marked_stops_by_itself_and_its_journal_has_the_rest(
        tmp_path: Path) -> None:
    found = suffer(tmp_path, "worker_cut_off", number=0)  # the way is never mended
    found.check()
    assert found.marks == {"worker_lost"}
    assert found.exit_codes["master"] == 0
    records_at_the_master = {worker["worker"]: worker["records"] for worker in found.run.workers()}
    lost, = (worker["worker"] for worker in found.run.workers() if worker["lost_ns"])
    assert sum(record.worker == lost for record in found.records) > records_at_the_master[lost]


def test_a_late_joiner_is_marked_and_takes_its_share(tmp_path: Path) -> None:
    found = suffer(tmp_path, "worker_late", load={**LOAD, "window": "16s"})
    found.check()
    assert found.marks == {"worker_joined_late"}
    assert len({record.worker for record in found.records}) == 3
    assert found.run.stages()[0]["users"] == 4


def test_a_killed_master_stops_the_load_and_the_workers_journals_have_everything(tmp_path: Path) -> None:
    found = suffer(tmp_path, "master_killed")
    found.check()
    assert found.exit_codes == {"master": -9, "worker-0": 0, "worker-1": 0}
    assert found.wait_s < 60


def test_a_worker_with_a_full_disk_sends_its_records_to_the_master(tmp_path: Path) -> None:
    found = suffer(tmp_path, "disk_full")
    found.check()
    assert found.marks == {"journal_failed"}
    workers = [path for path in found.run.results.journal.glob("*.log") if not path.name.startswith("master")]
    small = min(path.stat().st_size for path in workers)
    assert 0 < small <= FAULTS["disk_full"].options["file_limit"]


def test_a_master_that_stands_still_loses_nothing_and_says_so(tmp_path: Path) -> None:
    found = suffer(tmp_path, "slow_master")
    found.check()
    assert found.marks == {"master_stalled"}
    assert set(found.exit_codes.values()) == {0}


def test_ctrl_c_in_the_terminal_reaches_master_and_workers_and_loses_nothing(tmp_path: Path) -> None:
    found = suffer(tmp_path, "ctrl_c")
    found.check()
    assert found.run.stages()[0]["status"] == "interrupted"
    assert "interrupted" in found.marks
    assert found.exit_codes["master"] == 130


def test_ctrl_c_twice_ends_everything_at_once_and_keeps_what_had_ended(tmp_path: Path) -> None:
    found = suffer(tmp_path, "ctrl_c_twice")
    found.check()
    assert found.exit_codes["master"] == 130
    assert found.wait_s < 20


def test_one_locust_process_is_master_and_worker_at_once(tmp_path: Path) -> None:
    with emulator(tmp_path, *PACE) as server:
        with locust(tmp_path, "--headless", "-H", f"{server.url}/v1", "-u", "3", "-r", "30", "-t", "3s",
                    "--fmload-model", "m", "--fmload-warmup", "500ms", "--fmload-output-tokens", "5") as run:
            assert run.wait() == 0, run.output()
        served = server.requests()
    stage, = run.stages()
    assert (stage["load"]["value"], stage["users"], stage["status"]) == (3, 3, "done")
    assert {one.request_id for one in served} == ids(run.records())


needs_a_disk = pytest.mark.skipif(not may_mount(), reason="needs the right to mount a small disk")


@needs_a_disk
def test_a_disk_that_is_full_for_all_stops_the_load_and_tells_what_is_lost(tmp_path: Path) -> None:
    found = suffer(tmp_path, "disk_full_all", load=FAULTS["disk_full_all"].load)
    found.check()
    assert found.exit_codes["master"] == EXIT_DISK_FULL
    assert "disk_full" in found.marks and len(found.finished & ids(found.records)) > 0
    assert found.wait_s < 45, "the window of a minute is not waited for"
    assert "disk full" in found.run.output() and "Traceback" not in found.run.output()


def test_a_master_with_a_full_disk_stops_the_load_and_the_workers_journals_have_everything(tmp_path: Path) -> None:
    found = suffer(tmp_path, "disk_full_master", load=FAULTS["disk_full_master"].load)
    found.check()
    assert found.exit_codes["master"] == EXIT_DISK_FULL and "disk_full" in found.marks


@needs_a_disk
def test_a_disk_that_is_full_when_the_report_is_made_is_a_message_and_the_report_works_later(tmp_path: Path) -> None:
    suffer(tmp_path, "disk_full_report", load=FAULTS["disk_full_report"].load).check()


def test_a_poisoned_count_costs_no_more_than_its_own_record(tmp_path: Path) -> None:
    found = suffer(tmp_path, "poisoned_record", load=FAULTS["poisoned_record"].load)
    found.check()
    assert len(found.missing) < len(found.finished) / 5 and found.exit_codes["master"] == 0


def test_a_closed_terminal_reaches_master_and_workers_and_loses_nothing(tmp_path: Path) -> None:
    found = suffer(tmp_path, "hangup", load=FAULTS["hangup"].load)
    found.check()
    assert found.exit_codes["master"] == 130 and "interrupted" in found.marks


def test_a_run_whose_workers_are_all_gone_says_so(tmp_path: Path) -> None:
    found = suffer(tmp_path, "workers_killed", load=FAULTS["workers_killed"].load)
    found.check()
    assert found.exit_codes["master"] == EXIT_INVALID
    assert "every worker is gone" in found.run.output()


def test_a_master_killed_while_it_writes_loses_nothing(tmp_path: Path) -> None:
    suffer(tmp_path, "master_killed_writing", load=FAULTS["master_killed_writing"].load).check()


@pytest.mark.parametrize("damage", ["flipped_bits", "zeroed_tails"])
def test_damage_in_the_only_journals_costs_what_it_hits_and_that_is_told(tmp_path: Path, damage: str) -> None:
    found = suffer(tmp_path, damage, load=FAULTS[damage].load)
    found.check()
    assert len(found.missing) <= (2 if damage == "flipped_bits" else 8), "the rest of the journals is read"


def test_garbage_on_the_masters_port_is_dropped_counted_and_told_and_the_run_goes_on(tmp_path: Path) -> None:
    found = suffer(tmp_path, "garbage", load=FAULTS["garbage"].load)
    found.check()
    assert found.exit_codes == {"master": 0, "worker-0": 0, "worker-1": 0} and found.marks == set()
    told = [event["detail"] for event in found.run.events() if event["kind"] == "message_dropped"]
    assert len(told) == 2 and "messages in all were dropped" in told[-1]


SMALL_FILES = """
from fmload.master import collector
from fmload.worker import spool
collector.SEGMENT_BYTES, spool.SEGMENT_BYTES = 30_000, 10_000
exec(compile(open({file!r}).read(), {file!r}, "exec"))
"""


def test_a_long_run_packs_its_journal_away_and_keeps_every_record(tmp_path: Path) -> None:
    """As with files of 256 and 64 MiB, each of 30 and 10 kB."""
    small = tmp_path / "small.py"
    small.write_text(SMALL_FILES.format(file=str(resource("locustfiles", "openai.py"))))
    load = {"concurrency": [8], "ramp": "100ms", "warmup": "100ms", "requests": 600, "drain": "10s"}
    with emulator(tmp_path, *PACE) as server, \
            cluster(tmp_path, run_file(tmp_path, {"a": server.url}, load), workers=1, worker_file=small,
                    master_file=small) as here:
        assert here.master.wait(120) == 0, here.master.output()
    served = {one.request_id for one in server.requests() if one.outcome == "ok"}
    kept = [record.request_id for record in here.master.records()]
    assert served == set(kept) and len(kept) == len(served) >= 600
    journals = {path: path.read_bytes() for path in here.master.results.journal.iterdir()}
    masters = {path: data for path, data in journals.items() if path.name.startswith("master-")}
    packed = [data for data in masters.values() if data.startswith(PACKED_HEADER)]
    assert len(packed) == len(masters) - 1 >= 3 and all(len(data) < 15_000 for data in packed)
    assert len(journals) - len(masters) <= 3 and not [path for path in journals if path.suffix != ".log"]


def test_strangers_without_the_token_change_nothing_in_whatever_name_they_speak(tmp_path: Path) -> None:
    found = suffer(tmp_path, "rogue_worker", load=FAULTS["rogue_worker"].load)
    found.check()
    assert found.exit_codes == {"master": 0, "worker-0": 0, "worker-1": 0} and found.marks == set()
    assert not [record for record in found.records if record.request_id.startswith("forged")]
    assert len(found.run.workers()) == 2


def test_workers_of_other_versions_are_refused_in_the_run_which_loses_nothing(tmp_path: Path) -> None:
    found = suffer(tmp_path, "mixed_versions", load=FAULTS["mixed_versions"].load)
    found.check()
    assert [found.exit_codes[f"worker-{number}"] for number in (2, 3)] == [EXIT_INVALID] * 2
    told = [event["detail"] for event in found.run.events() if event["kind"] == "worker_refused"]
    assert len(told) == 2 and "fmload 9.9" in told[0] + told[1] and found.exit_codes["master"] == EXIT_INTERRUPTED
    assert len(found.run.workers()) == 2


def test_a_worker_out_of_descriptors_says_that_it_is_and_its_users_wait(tmp_path: Path) -> None:
    found = suffer(tmp_path, "out_of_descriptors", load=FAULTS["out_of_descriptors"].load)
    found.check()
    short = [record for record in found.records if record.outcome == "client"]
    assert short and all("out of file descriptors" in str(record.error) for record in short)
    assert len(short) < 120 * 10, "each waits a second before it tries again"
