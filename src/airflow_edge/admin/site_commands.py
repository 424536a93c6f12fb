"""What to type at a site to make a worker of it, from an enrolment token to a worker that runs."""

from __future__ import annotations

from typing import Final

HOME: Final = "/var/lib/airflow-edge"
VENV: Final = "/opt/airflow-edge"

UNIT: Final = f"""\
[Unit]
Description=Airflow edge worker
After=network-online.target
Wants=network-online.target
RequiresMountsFor={HOME}
StartLimitIntervalSec=0

[Service]
User=airflow-edge
StateDirectory=airflow-edge
StateDirectoryMode=0700
Environment=AIRFLOW_HOME={HOME}
Environment=AIRFLOW__EDGE__STATE_DIR={HOME}/edge
Environment=AIRFLOW__CORE__DAGS_FOLDER=/path/to/dags
ExecStart={VENV}/bin/airflow-edge worker --concurrency 4

# Signals are for the agent alone. On a restart it leaves its tasks to the next agent, on a stop it ends them.
KillMode=process
RestartKillSignal=SIGHUP
TimeoutStopSec=30

# A crash is no end; neither is a task that runs out of memory. 2, 3, 4, 8: somebody has to put something right first.
# What may pass by itself (a disk that is full, read-only or not mounted, a locked journal) has another status.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2 3 4 8
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
"""
"""As `docs/how-to/run-as-a-service.md` has it, which says why each line is there."""


def site_commands(enroll: str) -> dict[str, str]:
    """Give the commands by the way in which a worker is run: `pip` for a shell, `systemd` for a service, as root.

    :param enroll: the command that enrols, `airflow-edge enroll …`
    """
    return {
        "pip": f"""\
# In a clone of airflow-edge; Dags are looked for in ~/airflow/dags, elsewhere with AIRFLOW__CORE__DAGS_FOLDER
python3 -m venv ~/edge-worker
~/edge-worker/bin/pip install '.[worker]'
~/edge-worker/bin/{enroll}
~/edge-worker/bin/airflow-edge worker
""",
        "systemd": f"""\
# As root, in a clone of airflow-edge
useradd --system --home-dir {HOME} airflow-edge
install -d -o airflow-edge -g airflow-edge -m 0700 {HOME}
python3 -m venv {VENV}
{VENV}/bin/pip install '.[worker]'
runuser -u airflow-edge -- env AIRFLOW_HOME={HOME} AIRFLOW__EDGE__STATE_DIR={HOME}/edge \\
  {VENV}/bin/{enroll}
cat > /etc/systemd/system/airflow-edge.service <<'UNIT'
{UNIT}UNIT
systemctl daemon-reload
systemctl enable --now airflow-edge
""",
    }
