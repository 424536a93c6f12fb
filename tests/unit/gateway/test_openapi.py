from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from airflow_edge.gateway.openapi import document

KEPT = Path(__file__).parents[3] / "docs" / "reference" / "gateway-openapi.json"


def test_the_document_in_the_docs_is_current():
    assert KEPT.read_text() == document(), "run: make docs"


def test_every_reference_leads_somewhere():
    made = json.loads(document())
    wanted = {part.split('"')[0] for part in document().split("#/components/schemas/")[1:]}
    assert wanted <= set(made["components"]["schemas"])


def test_it_is_made_without_airflow():
    code = (
        "import sys; from airflow_edge.gateway import openapi; openapi.document(); assert 'airflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
