from __future__ import annotations

import pytest

from airflow_edge.agent.net.identity import Clock


class Machine:
    wall = 1000.0
    steady = 5.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, steady=lambda: self.steady)


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_it_goes_on_evenly_when_somebody_sets_the_machines_clock(jump: int) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.steady += 10
    machine.wall += 10 + jump
    assert clock.now() == 1010
    # Nobody has said which of the two is right.
    assert clock.machine_ahead == 0


def test_it_goes_by_the_centres_time_when_that_is_known() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.refused(9000)
    machine.steady += 1
    machine.wall += 1
    assert clock.now() == 9001
    assert clock.machine_ahead == -8000
    assert not clock.refused(9001.5)
    machine.wall = 9001.5
    assert clock.machine_ahead == 0


def test_else_it_looks_whether_somebody_has_set_the_machines_clock_right() -> None:
    machine = Machine()
    clock = machine.clock()
    assert not clock.refused(None)
    machine.wall = 9000
    assert clock.refused(None)
    assert (clock.now(), clock.machine_ahead) == (9000, 0)


def test_a_real_one_tells_the_time() -> None:
    assert Clock().machine_ahead == 0
