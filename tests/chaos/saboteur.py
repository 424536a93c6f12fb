"""Does to a deployment what the plan says, and starts again what has ended, as a service manager would."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from harness.faults import Direction, FaultProxy
from harness.limits import CAN_LIMIT_PROCESSES, most_processes
from harness.processes import Process, without_descriptors
from tests.chaos.deployment import Deployment, Place
from tests.chaos.plan import Blow, Fault

LONGEST_RESTART = 5.0
"""Seconds at most after which a service manager starts again what has ended."""


@dataclass
class Exit:
    """A process ended by itself."""

    name: str
    status: int
    time: float


class Saboteur:
    """Call `act` often; it never waits for long. `rest` ends every fault there is."""

    def __init__(self, deployment: Deployment, blows: Iterable[Blow], report: Callable[[str], None]) -> None:
        self.deployment = deployment
        self.done: Counter[Fault] = Counter()
        self.exits: list[Exit] = []
        self._blows = list(blows)
        self._report = report
        self._began = time.monotonic()
        self._endings: list[tuple[float, Callable[[], None]]] = []
        self._busy: set[object] = set()
        """What a fault is lasting at."""
        self._away: dict[Process, float] = {}
        """What has ended, and when it is to be started again."""

    def act(self) -> None:
        """Do whatever is due."""
        now = time.monotonic()
        for ending in [ending for ending in self._endings if ending[0] <= now]:
            self._endings.remove(ending)
            ending[1]()
        while self._blows and self._began + self._blows[0].at <= now:
            blow = self._blows.pop(0)
            if victim := self._strike(blow):
                self.done[blow.fault] += 1
                self._report(f"{blow.at:7.1f} s  {blow.fault}: {victim}, {blow.seconds:.1f} s")
        self._tend(now)

    def rest(self) -> None:
        """End all faults, and have everything started that is not running."""
        self._blows.clear()
        for _, end in self._endings:
            end()
        self._endings.clear()
        self._away = dict.fromkeys(self._away, 0.0)
        self._tend(time.monotonic())

    def _processes(self) -> list[Process]:
        return [*self.deployment.airflow.components, *(place.agent for place in self.deployment.places.values())]

    def _tend(self, now: float) -> None:
        for process in self._processes():
            status = process.exit_status
            if status is None:
                continue
            if process not in self._away:
                self.exits.append(Exit(process.name, status, time.time()))
                self._report(f"{now - self._began:7.1f} s  {process.name} ended by itself, with status {status}")
                self._away[process] = now + 1.0
            if self._away[process] <= now:
                del self._away[process]
                process.restart()

    def _strike(self, blow: Blow) -> str | None:
        """Do it, and say to what; None if there is nothing it could be done to now."""
        match blow.fault:
            case Fault.ALL_SITES_CUT_OFF:
                return self._cut_everybody_off(blow)
            case Fault.AGENT_KILLED | Fault.AGENT_FROZEN | Fault.AGENT_REPLACED | Fault.POWER_CUT:
                return self._strike_site(blow)
            case Fault.SITE_COPIED:
                return self._copy_site(blow)
            case Fault.STATE_DAMAGED:
                return self._damage_state(blow)
            case Fault.DISK_FULL | Fault.NO_PROCESSES | Fault.NO_DESCRIPTORS:
                return self._exhaust(blow)
            case Fault.RUNTIME_KILLED | Fault.TASK_KILLED:
                return self._strike_tasks(blow)
            case Fault.API_SERVER_KILLED | Fault.API_SERVERS_KILLED | Fault.API_SERVER_FROZEN | Fault.SCHEDULER_KILLED:
                return self._strike_centre(blow)
            case Fault.DATABASE_RESTARTED | Fault.DATABASE_CRASHED:
                self.deployment.postgres.restart(crash=blow.fault is Fault.DATABASE_CRASHED)
                return "PostgreSQL"
            case _:
                return self._strike_network(blow)

    def _strike_network(self, blow: Blow) -> str | None:
        place = self._choose(blow, [place for place in self._places() if place.proxy not in self._busy])
        if place is None:
            return None
        proxy = place.proxy
        way = (Direction.UP, Direction.DOWN, Direction.BOTH)[int(blow.share * 3)]
        match blow.fault:
            case Fault.CUT:
                proxy.cut()
            case Fault.RESET:
                proxy.reset()
            case Fault.HALF_A_MESSAGE:
                proxy.halve(way)
            case Fault.ONE_CONNECTION:
                if connections := proxy.connections():
                    connections[int(blow.share * len(connections))].reset()
            case Fault.BLACK_HOLE:
                proxy.block()
                self._later(blow.seconds, proxy, proxy.restore)
            case Fault.BLACK_HOLE_AND_RESET:
                proxy.block()
                self._later(blow.seconds, proxy, lambda: _lose_everything(proxy))
            case Fault.ONLY_UP:
                proxy.block(Direction.DOWN)
                self._later(blow.seconds, proxy, proxy.restore)
            case Fault.ONLY_DOWN:
                proxy.block(Direction.UP)
                self._later(blow.seconds, proxy, proxy.restore)
            case Fault.DELAY:
                proxy.delay(2 * blow.share, way)
                self._later(blow.seconds, proxy, proxy.restore)
            case Fault.REFUSE:
                proxy.refuse()
                proxy.reset()
                self._later(blow.seconds, proxy, proxy.restore)
            case Fault.SOMEBODY_ELSE_ANSWERS:
                place.let_others_answer(blow.share)
                self._later(blow.seconds, proxy, place.let_the_centre_answer)
        return place.name

    def _cut_everybody_off(self, blow: Blow) -> str | None:
        proxies = [place.proxy for place in self._places()]
        if any(proxy in self._busy for proxy in proxies):
            return None
        for proxy in proxies:
            proxy.refuse()
            proxy.reset()
            self._later(blow.seconds, proxy, proxy.restore)
        return "all"

    def _strike_site(self, blow: Blow) -> str | None:
        place = self._choose(blow, self._running_sites())
        if place is None:
            return None
        match blow.fault:
            case Fault.AGENT_KILLED:
                place.agent.kill_alone()
                self._start_later(place.agent, blow)
            case Fault.AGENT_FROZEN:
                self._freeze(place.agent, blow)
            case Fault.AGENT_REPLACED:
                # As a service manager does it that restarts the worker after an upgrade.
                place.agent.send_signal(signal.SIGHUP)
                self._start_later(place.agent, blow)
            case Fault.POWER_CUT:
                place.cut_power()
                self._start_later(place.agent, blow)
        return place.name

    def _copy_site(self, blow: Blow) -> str | None:
        place = self._choose(blow, [place for place in self._places() if place.name not in self._busy])
        if place is None:
            return None
        place.start_copy()
        self._later(blow.seconds, place.name, place.end_copy)
        return place.name

    def _damage_state(self, blow: Blow) -> str | None:
        place = self._choose(blow, self._running_sites())
        if place is None:
            return None
        place.agent.kill_alone()
        self._start_later(place.agent, blow)
        return f"{place.name} ({place.damage_state(blow.share)})"

    def _exhaust(self, blow: Blow) -> str | None:
        """Leave none of something to a site, or to an API server, for a while."""
        places = [place for place in self._places() if (place.name, blow.fault) not in self._busy]
        place = self._choose(blow, places)
        if place is None:
            return None
        end = ExitStack()
        name = place.name
        match blow.fault:
            case Fault.DISK_FULL:
                if not place.has_disk:
                    return None
                end.callback(place.fill_disk())
            case Fault.NO_PROCESSES:
                if not CAN_LIMIT_PROCESSES:
                    return None
                end.enter_context(most_processes(place.pids, int(blow.share * 3)))
            case Fault.NO_DESCRIPTORS:
                victims = {
                    # One that only just starts may end for that, to be started again.
                    place.agent.name: [place.agent.pid] if place.has_begun() else [],
                    f"the runtime of {place.name}": [runtime.pid for runtime in place.runtimes()],
                    **{server.name: [server.pid] for server in self.deployment.components("api-server")},
                }
                name = list(victims)[int(blow.share * len(victims))]
                if not victims[name]:
                    return None
                for pid in victims[name]:
                    with suppress(ProcessLookupError):
                        end.enter_context(without_descriptors(pid))
        self._later(blow.seconds, (place.name, blow.fault), end.close)
        return name

    def _strike_tasks(self, blow: Blow) -> str | None:
        """What the agent is doing meanwhile does not matter: it may be gone."""
        place = self._places()[blow.target % len(self._places())]
        if blow.fault is Fault.RUNTIME_KILLED:
            place.kill_runtime()
        elif not place.kill_a_task(blow.share):
            return None
        return place.name

    def _strike_centre(self, blow: Blow) -> str | None:
        kind = "scheduler" if blow.fault is Fault.SCHEDULER_KILLED else "api-server"
        components = self.deployment.components(kind)
        running = [process for process in components if process.exit_status is None and process not in self._busy]
        # Coming up takes them long on a busy machine: one of them at a time, but for the one fault that says all.
        if len(running) < len(components) or not self.deployment.all_listen():
            return None
        victims = running if blow.fault is Fault.API_SERVERS_KILLED else [running[blow.target % len(running)]]
        for process in victims:
            if blow.fault is Fault.API_SERVER_FROZEN:
                self._freeze(process, blow)
            else:
                process.kill()
                self._start_later(process, blow)
        return " and ".join(process.name for process in victims)

    def _freeze(self, process: Process, blow: Blow) -> None:
        process.send_signal(signal.SIGSTOP)
        self._later(blow.seconds, process, lambda: process.send_signal(signal.SIGCONT))

    def _start_later(self, process: Process, blow: Blow) -> None:
        self._away[process] = time.monotonic() + blow.share * LONGEST_RESTART

    def _later(self, seconds: float, victim: object, end: Callable[[], None]) -> None:
        self._busy.add(victim)

        def ending() -> None:
            end()
            self._busy.discard(victim)

        self._endings.append((time.monotonic() + seconds, ending))

    def _running_sites(self) -> list[Place]:
        return [place for place in self._places() if place.agent.exit_status is None and place.agent not in self._busy]

    def _places(self) -> list[Place]:
        return list(self.deployment.places.values())

    def _choose(self, blow: Blow, places: list[Place]) -> Place | None:
        return places[blow.target % len(places)] if places else None


def _lose_everything(proxy: FaultProxy) -> None:
    proxy.reset()
    proxy.restore()
