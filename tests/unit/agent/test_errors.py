from __future__ import annotations

from airflow_edge.agent import errors
from airflow_edge.cli.site.main import EXIT_STATUSES


def subclasses(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


ALL = {errors.AgentError, *subclasses(errors.AgentError)}


def test_the_hierarchy_printed_atop_the_module_is_complete():
    ours = {kind for kind in ALL if kind.__module__ == errors.__name__}
    assert errors.__doc__ is not None
    for kind in ours:
        assert kind.__name__ in errors.__doc__


def test_the_printed_exit_statuses_are_those_of_the_classes():
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()
        if len(words) > 1 and words[1].isdigit():
            assert getattr(errors, words[0]).exit_status == int(words[1])


def test_each_kind_of_error_has_its_own_exit_status_and_the_help_names_it():
    documented = {int(line.split()[0]) for line in EXIT_STATUSES.splitlines()[1:]}
    direct = [kind.exit_status for kind in errors.AgentError.__subclasses__() if kind.__module__ == errors.__name__]
    assert len(direct) == len(set(direct))
    assert documented == {0, 1, *direct}
