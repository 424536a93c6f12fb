from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_edge.agent.errors import AgentError, AlreadyRunningError
from airflow_edge.agent.process import daemon
from airflow_edge.agent.process.daemon import check_program, handled, has_begun_again, pid_file, wait_for_end


def test_it_holds_the_pid_while_it_is_held(tmp_path):
    path = tmp_path / "agent.pid"
    with pid_file(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_second_one_is_refused_and_the_pid_named(tmp_path):
    path = tmp_path / "agent.pid"
    with pid_file(path):
        with pytest.raises(AlreadyRunningError, match=rf"pid {os.getpid()}.*airflow-edge stop"), pid_file(path):
            pass
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_dead_workers_file_does_not_count(tmp_path):
    path = tmp_path / "agent.pid"
    path.write_text("1\n")
    with pid_file(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_file_that_goes_away_while_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "agent.pid"
    real_open = os.open
    opened: list[int] = []

    def open_and_lose_once(name, *args):
        descriptor = real_open(name, *args)
        if not opened:
            path.unlink()
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr("os.open", open_and_lose_once)
    with pid_file(path):
        assert path.exists()
    assert len(opened) == 2


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(AgentError, match="nowhere"), pid_file(tmp_path / "nowhere" / "agent.pid"):
        pass


@pytest.mark.parametrize("lay", [os.symlink, os.link])
def test_another_file_is_not_overwritten_through_a_link_that_was_laid_in_its_place(tmp_path, lay):
    other, path = tmp_path / "passwd", tmp_path / "agent.pid"
    other.write_text("root\n")
    lay(other, path)
    with pytest.raises(AgentError, match=r"agent\.pid .*would be overwritten; remove it"), pid_file(path):
        pass
    assert other.read_text() == "root\n"


def test_no_file_is_made_through_a_link_that_leads_nowhere(tmp_path):
    other, path = tmp_path / "cron", tmp_path / "agent.pid"
    path.symlink_to(other)
    with pytest.raises(AgentError, match="remove it"), pid_file(path):
        pass
    assert not other.exists()


def test_who_waits_for_the_end_of_one_does_not_keep_the_next_from_beginning(tmp_path):
    path = tmp_path / "agent.pid"
    with ThreadPoolExecutor(8) as threads:
        for _ in range(50):
            with pid_file(path):
                waiting = [threads.submit(wait_for_end, path) for _ in range(8)]
            with pid_file(path):
                assert path.read_text() == f"{os.getpid()}\n"
            for one in waiting:
                one.result(timeout=30)
    wait_for_end(path)


HOLD = """
import sys
from pathlib import Path
from airflow_edge.agent.process.daemon import pid_file

with pid_file(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a PID namespace")
def test_one_in_another_pid_namespace_is_waited_for(tmp_path):
    path = tmp_path / "agent.pid"
    inside = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", HOLD, str(path)]
    with (
        subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder,
        ThreadPoolExecutor(1) as thread,
    ):
        assert holder.stdin
        assert holder.stdout
        holder.stdout.readline()
        assert path.read_text() == "1\n"
        waiting = thread.submit(wait_for_end, path)
        assert not waiting.done()
        holder.stdin.close()
        waiting.result(timeout=30)
        assert holder.wait(30) == 0


BEGINS_AGAIN = """
import os, sys
from airflow_edge.agent.process.daemon import begin_again, has_begun_again

again = has_begun_again()
print(os.getpid(), again, os.getcwd(), *sys.argv[1:], *(name for name in os.environ if "BEGUN" in name), flush=True)
if not again:
    begin_again()
"""


@pytest.mark.parametrize("program", [["program.py"], ["-m", "program"], ["-X", "utf8", "./program.py"]])
def test_what_begins_again_is_the_same_command_in_the_same_process_and_folder(tmp_path, program):
    (tmp_path / "program.py").write_text(BEGINS_AGAIN)
    done = subprocess.run(
        [sys.executable, *program, "-D", "a b"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    first, then = done.stdout.splitlines()
    pid, facts = first.split(maxsplit=1)
    assert facts == f"False {tmp_path} -D a b"
    assert then == f"{pid} True {tmp_path} -D a b"


def test_what_another_process_has_begun_is_not_begun_again(monkeypatch):
    monkeypatch.setenv(daemon._BEGUN_AGAIN, str(os.getppid()))
    assert not has_begun_again()


def test_a_program_that_is_not_there_is_named(tmp_path, monkeypatch):
    check_program()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.orig_argv", ["python", "venv/bin/airflow-edge", "worker"])
    with pytest.raises(AgentError, match="venv/bin/airflow-edge is not there"):
        check_program()
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "airflow_edge.cli.site.main", "worker"])
    check_program()
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", "/nowhere/python")
        with pytest.raises(AgentError, match="/nowhere/python is not there"):
            check_program()
    # Python is there, and what it would need is not.
    monkeypatch.setattr("websockets.__file__", "/nowhere/websockets/__init__.py")
    with pytest.raises(AgentError, match="websockets"):
        check_program()


DETACH = """
import os, sys
from pathlib import Path
from airflow_edge.agent.process.daemon import detach, pid_file

folder = Path(sys.argv[1])
pid = detach(umask=0o027, stdout=folder / "out", stderr=folder / "err")
if pid:
    print(pid)
    sys.exit(0)
lock = pid_file(folder / "agent.pid")
lock.__enter__()
print("to stdout", flush=True)
os.write(2, b"to stderr")
(folder / "made").touch()
facts = f"{os.getpid()} {os.getsid(0)} {os.getppid()} {os.getcwd()} {os.isatty(0)}"
(folder / "facts.new").write_text(facts)
(folder / "facts.new").rename(folder / "facts")
sys.stdin.read()
os.read(os.open(folder / "go", os.O_RDONLY), 1)
"""


def test_the_background_is_a_session_of_its_own_with_its_output_in_files(tmp_path):
    os.mkfifo(tmp_path / "go")
    (tmp_path / "out").write_text("earlier\n")
    done = subprocess.run(
        [sys.executable, "-c", DETACH, tmp_path], capture_output=True, text=True, timeout=30, check=True
    )
    # The child in the background waits at the pipe: opening our end waits until it has come that far.
    with (tmp_path / "go").open("wb") as go:
        pid, session, parent, folder, terminal = (tmp_path / "facts").read_text().split()
        assert int(done.stdout) == int(pid)
        assert session != pid
        assert session not in {str(os.getsid(0)), str(os.getpid())}
        assert parent != str(os.getpid())
        assert folder == str(Path.cwd())
        assert terminal == "False"
        assert (tmp_path / "out").read_text() == "earlier\nto stdout\n"
        assert (tmp_path / "err").read_text() == "to stderr"
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o640
        assert (tmp_path / "agent.pid").read_text() == f"{pid}\n"
        with pytest.raises(AlreadyRunningError), pid_file(tmp_path / "agent.pid"):
            pass
        go.write(b"x")


def test_an_output_that_cannot_be_written_is_told_before_anything_is_forked(tmp_path):
    from airflow_edge.agent.process.daemon import detach

    with pytest.raises(AgentError, match="nowhere"):
        detach(umask=0o022, stdout=tmp_path / "nowhere" / "out", stderr=None)


DIES = """
import sys
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.process.daemon import detach

try:
    # No umask: the process in the background ends before it is there.
    detach(umask=1 << 40, stdout=None, stderr=None)
except AgentError as error:
    sys.exit(str(error))
"""


def test_that_the_process_in_the_background_ended_at_once_is_told():
    done = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "ended before it was in the background" in done.stderr


async def test_that_sighup_is_ignored_is_said_with_what_to_use_instead(caplog):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled(interrupt=print, terminate=print, hang_up=print):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "airflow-edge worker -D" in caplog.text
